/* One vocabulary for the vector units: LANES floats at a time.

   floats       a vector of LANES floats
   FROM_U8(p, base), FROM_U16, FROM_S16, FROM_F32     LANES samples at p, less base, as floats
   The level is the compiler's (-march), so each built module holds exactly one branch. */
#ifndef EDGE_KERNELS_VECTOR_H
#define EDGE_KERNELS_VECTOR_H

#include <stdint.h>

#if defined(__AVX512BW__)
#include <immintrin.h>
#define LANES 16
typedef __m512 floats;
typedef __m512i ints;
#define SPREAD _mm512_set1_ps
#define SPREAD_INT _mm512_set1_epi32
#define LOAD _mm512_loadu_ps
#define STORE _mm512_storeu_ps
#define MIN _mm512_min_ps
#define MAX _mm512_max_ps
#define ADD _mm512_add_ps
#define SUB _mm512_sub_ps
#define STREAM _mm512_stream_ps
#define FMA _mm512_fmadd_ps
#define TO_FLOATS(i, base) _mm512_cvtepi32_ps(_mm512_sub_epi32(i, base))
#define FROM_U8(p, base) TO_FLOATS(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(p))), base)
#define FROM_U16(p, base) TO_FLOATS(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(p))), base)
#define FROM_S16(p, base) TO_FLOATS(_mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)(p))), base)

#elif defined(__AVX2__)
#include <immintrin.h>
#define LANES 8
typedef __m256 floats;
typedef __m256i ints;
#define SPREAD _mm256_set1_ps
#define SPREAD_INT _mm256_set1_epi32
#define LOAD _mm256_loadu_ps
#define STORE _mm256_storeu_ps
#define MIN _mm256_min_ps
#define MAX _mm256_max_ps
#define ADD _mm256_add_ps
#define SUB _mm256_sub_ps
#define STREAM _mm256_stream_ps
#define FMA _mm256_fmadd_ps
#define TO_FLOATS(i, base) _mm256_cvtepi32_ps(_mm256_sub_epi32(i, base))
#define FROM_U8(p, base) TO_FLOATS(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(p))), base)
#define FROM_U16(p, base) TO_FLOATS(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(p))), base)
#define FROM_S16(p, base) TO_FLOATS(_mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)(p))), base)

#elif defined(__SSE4_1__)
#include <smmintrin.h>
#define LANES 4
typedef __m128 floats;
typedef __m128i ints;
#define SPREAD _mm_set1_ps
#define SPREAD_INT _mm_set1_epi32
#define LOAD _mm_loadu_ps
#define STORE _mm_storeu_ps
#define MIN _mm_min_ps
#define MAX _mm_max_ps
#define ADD _mm_add_ps
#define SUB _mm_sub_ps
#define STREAM _mm_stream_ps
#define FMA(a, b, c) _mm_add_ps(_mm_mul_ps(a, b), c)
#define TO_FLOATS(i, base) _mm_cvtepi32_ps(_mm_sub_epi32(i, base))
#define FROM_U8(p, base) TO_FLOATS(_mm_cvtepu8_epi32(_mm_loadu_si32(p)), base)
#define FROM_U16(p, base) TO_FLOATS(_mm_cvtepu16_epi32(_mm_loadl_epi64((const __m128i *)(p))), base)
#define FROM_S16(p, base) TO_FLOATS(_mm_cvtepi16_epi32(_mm_loadl_epi64((const __m128i *)(p))), base)

#else
#define LANES 0
#endif

#define FROM_F32(p, base) LOAD(p)

#endif
