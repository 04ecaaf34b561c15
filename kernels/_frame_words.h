/* Samples of 8 and 16 bits as words: 2 * LANES uint16 at a time.

   WORDS_U8(p), WORDS_U16, WORDS_S16   2 * LANES samples at p as words; int16 moved up by 32768, so that it is unsigned
   FIRST(w), SECOND(w)   the words as floats, half of them each, in an order of their own ...
   order(&a, &b)         ... that this puts right */
#ifndef EDGE_KERNELS_FRAME_WORDS_H
#define EDGE_KERNELS_FRAME_WORDS_H

#include "_vector.h"

#if LANES == 16
typedef __m512i words;
#define NO_WORDS _mm512_setzero_si512()
#define SPREAD_WORD(i) _mm512_set1_epi16((short)(i))
#define WORDS_U8(p) _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(p)))
#define WORDS_U16(p) _mm512_loadu_si512(p)
#define WORDS_S16(p) _mm512_xor_si512(_mm512_loadu_si512(p), _mm512_set1_epi16((short)0x8000))
#define LESS_WORDS _mm512_subs_epu16
#define MIN_WORDS _mm512_min_epu16
#define ADD_WORDS _mm512_add_epi16
#define FIRST(w) _mm512_cvtepi32_ps(_mm512_unpacklo_epi16(w, NO_WORDS))
#define SECOND(w) _mm512_cvtepi32_ps(_mm512_unpackhi_epi16(w, NO_WORDS))
static inline void order(floats *a, floats *b)
{
    const __m512i first = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
    const __m512i second = _mm512_setr_epi32(8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
    const floats c = _mm512_permutex2var_ps(*a, first, *b);
    *b = _mm512_permutex2var_ps(*a, second, *b);
    *a = c;
}

#elif LANES == 8
typedef __m256i words;
#define NO_WORDS _mm256_setzero_si256()
#define SPREAD_WORD(i) _mm256_set1_epi16((short)(i))
#define WORDS_U8(p) _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(p)))
#define WORDS_U16(p) _mm256_loadu_si256((const __m256i *)(p))
#define WORDS_S16(p) _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(p)), _mm256_set1_epi16((short)0x8000))
#define LESS_WORDS _mm256_subs_epu16
#define MIN_WORDS _mm256_min_epu16
#define ADD_WORDS _mm256_add_epi16
#define FIRST(w) _mm256_cvtepi32_ps(_mm256_unpacklo_epi16(w, NO_WORDS))
#define SECOND(w) _mm256_cvtepi32_ps(_mm256_unpackhi_epi16(w, NO_WORDS))
static inline void order(floats *a, floats *b)
{
    const floats c = _mm256_permute2f128_ps(*a, *b, 0x20);
    *b = _mm256_permute2f128_ps(*a, *b, 0x31);
    *a = c;
}

#elif LANES == 4
typedef __m128i words;
#define NO_WORDS _mm_setzero_si128()
#define SPREAD_WORD(i) _mm_set1_epi16((short)(i))
#define WORDS_U8(p) _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)(p)))
#define WORDS_U16(p) _mm_loadu_si128((const __m128i *)(p))
#define WORDS_S16(p) _mm_xor_si128(_mm_loadu_si128((const __m128i *)(p)), _mm_set1_epi16((short)0x8000))
#define LESS_WORDS _mm_subs_epu16
#define MIN_WORDS _mm_min_epu16
#define ADD_WORDS _mm_add_epi16
#define FIRST(w) _mm_cvtepi32_ps(_mm_unpacklo_epi16(w, NO_WORDS))
#define SECOND(w) _mm_cvtepi32_ps(_mm_unpackhi_epi16(w, NO_WORDS))
static inline void order(floats *a, floats *b) { (void)a, (void)b; }
#endif

#endif
