/* Histograms and what is made of them. No Python here, no allocation, no errors. */
#ifndef EDGE_KERNELS_ENHANCE_H
#define EDGE_KERNELS_ENHANCE_H

#include <math.h>
#include <string.h>

#include "_vector.h"

/* Samples of one row to bins: (clip(sample, low, low + range) - low) >> shift. */
#define DEFINE_QUANTISE(NAME, SAMPLE)                                                                 \
    static void NAME(const char *row, Py_ssize_t n, int low, int range, int shift, uint16_t *__restrict bins) \
    {                                                                                                 \
        const SAMPLE *p = (const SAMPLE *)row;                                                        \
        const uint16_t base = (uint16_t)low, most = (uint16_t)range;                                  \
        for (Py_ssize_t i = 0; i < n; i++) {                                                          \
            uint16_t above = p[i] > base ? (uint16_t)(p[i] - base) : 0;                               \
            above = above < most ? above : most;                                                      \
            bins[i] = (uint16_t)(above >> shift);                                                     \
        }                                                                                             \
    }
DEFINE_QUANTISE(quantise_u8, uint8_t)
DEFINE_QUANTISE(quantise_u16, uint16_t)

/* Ask for part of a row in the first level cache; addresses past the frame do no harm. */
static inline void prefetch_lines(const char *start, Py_ssize_t size)
{
    for (Py_ssize_t i = 0; i < size; i += 64) __builtin_prefetch(start + i);
}

/* Least and largest sample of a row, against those so far. */
#define DEFINE_EXTENT(NAME, SAMPLE)                                                                   \
    static void NAME(const char *row, Py_ssize_t n, int *low, int *high)                              \
    {                                                                                                 \
        const SAMPLE *p = (const SAMPLE *)row;                                                        \
        SAMPLE least = p[0], most = p[0];                                                             \
        for (Py_ssize_t i = 0; i < n; i++) {                                                          \
            least = p[i] < least ? p[i] : least;                                                      \
            most = p[i] > most ? p[i] : most;                                                         \
        }                                                                                             \
        *low = least < *low ? least : *low;                                                           \
        *high = most > *high ? most : *high;                                                          \
    }
DEFINE_EXTENT(extent_u8, uint8_t)
DEFINE_EXTENT(extent_u16, uint16_t)
DEFINE_EXTENT(extent_s16, int16_t)

/* Count samples less `low` in TABLES tables of `size`, in turn: one table would wait for its own last write where
   neighbours are alike. */
enum { TABLES = 2 };

#define DEFINE_COUNT(NAME, SAMPLE)                                                                    \
    static void NAME(const char *row, Py_ssize_t n, int low, Py_ssize_t size, uint32_t *counts)       \
    {                                                                                                 \
        const SAMPLE *p = (const SAMPLE *)row;                                                        \
        uint32_t *even = counts, *odd = counts + size;                                                \
        Py_ssize_t i = 0;                                                                             \
        for (; i + 2 <= n; i += 2) {                                                                  \
            even[p[i] - low]++;                                                                       \
            odd[p[i + 1] - low]++;                                                                    \
        }                                                                                             \
        if (i < n) even[p[i] - low]++;                                                                \
    }
DEFINE_COUNT(count_u8, uint8_t)
DEFINE_COUNT(count_u16, uint16_t)
DEFINE_COUNT(count_s16, int16_t)

/* The tables of a histogram into the first one. */
static void add_tables(uint32_t *counts, Py_ssize_t size)
{
    for (Py_ssize_t i = 0; i < size; i++) counts[i] += counts[size + i];
}

/* to[i] = table[sample[i] - low]. */
#define DEFINE_LOOK_UP(NAME, SAMPLE)                                                                  \
    static void NAME(const char *row, Py_ssize_t n, const void *table, int low, char *out)            \
    {                                                                                                 \
        const SAMPLE *p = (const SAMPLE *)row, *entries = (const SAMPLE *)table;                      \
        SAMPLE *to = (SAMPLE *)out;                                                                   \
        for (Py_ssize_t i = 0; i < n; i++) to[i] = entries[p[i] - low];                               \
    }
DEFINE_LOOK_UP(look_up_u8, uint8_t)
DEFINE_LOOK_UP(look_up_u16, uint16_t)

/* Cut a histogram of `bins` at `limit` (0: not at all) and hand what was cut off round evenly, the rest of it at equal
   distances; then table[i] = share of `area` up to bin i, of `top`, as a whole number. */
static void clipped_table(uint32_t *counts, Py_ssize_t bins, uint32_t limit, Py_ssize_t area, int top, float *table)
{
    const float scale = (float)top / (float)area;
    uint32_t cut = 0, sum = 0;
    if (limit) {
        for (Py_ssize_t i = 0; i < bins; i++) {
            cut += counts[i] > limit ? counts[i] - limit : 0;
            counts[i] = counts[i] > limit ? limit : counts[i];
        }
        for (Py_ssize_t i = 0; i < bins; i++) counts[i] += (uint32_t)(cut / bins);
        cut %= (uint32_t)bins;
        if (cut) {
            const Py_ssize_t step = bins / cut;
            for (Py_ssize_t i = 0; cut; i += step, cut--) counts[i]++;
        }
    }
    for (Py_ssize_t i = 0; i < bins; i++) {
        const float share = (float)(sum += counts[i]) * scale;
        table[i] = share < (float)top ? rintf(share) : (float)top;
    }
}

/* The four tables around a cell, entry by entry: above left and right, below left and right. */
static void weave(const float *a, const float *b, const float *c, const float *d, Py_ssize_t bins,
                  float *__restrict corners)
{
    for (Py_ssize_t i = 0; i < bins; i++) {
        corners[4 * i] = a[i];
        corners[4 * i + 1] = b[i];
        corners[4 * i + 2] = c[i];
        corners[4 * i + 3] = d[i];
    }
}

static inline float between(const float *corner, float down, float across)
{
    const float left = corner[0] + down * (corner[2] - corner[0]), right = corner[1] + down * (corner[3] - corner[1]);
    return left + across * (right - left);
}

/* Bins of a part of a row in one cell to samples: between the four corner tables, `down` and across[] of the way. */
#if defined(__SSE4_1__)
static inline __m128i four_between(const float *corners, const uint16_t *bins, __m128 down, const float *across)
{
    uint64_t four;
    memcpy(&four, bins, sizeof(four));
    const __m128 p = _mm_loadu_ps(corners + 4 * (four & 0xFFFF));
    const __m128 q = _mm_loadu_ps(corners + 4 * (four >> 16 & 0xFFFF));
    const __m128 r = _mm_loadu_ps(corners + 4 * (four >> 32 & 0xFFFF));
    const __m128 s = _mm_loadu_ps(corners + 4 * (four >> 48));
    const __m128 above = _mm_movelh_ps(p, q), below = _mm_movehl_ps(q, p);
    const __m128 above2 = _mm_movelh_ps(r, s), below2 = _mm_movehl_ps(s, r);
    const __m128 one = _mm_add_ps(above, _mm_mul_ps(down, _mm_sub_ps(below, above)));
    const __m128 two = _mm_add_ps(above2, _mm_mul_ps(down, _mm_sub_ps(below2, above2)));
    const __m128 left = _mm_shuffle_ps(one, two, 0x88), right = _mm_shuffle_ps(one, two, 0xDD);
    return _mm_cvtps_epi32(_mm_add_ps(left, _mm_mul_ps(_mm_loadu_ps(across), _mm_sub_ps(right, left))));
}
#define EIGHT_BETWEEN                                                                                 \
    const __m128i eight = _mm_packus_epi32(four_between(corners, bins + i, steep, across + i),        \
                                           four_between(corners, bins + i + 4, steep, across + i + 4));
#define STORE_u8(p) _mm_storel_epi64((__m128i *)(p), _mm_packus_epi16(eight, eight))
#define STORE_u16(p) _mm_storeu_si128((__m128i *)(p), eight)
#define BLOCKS(STORE_EIGHT)                                                                           \
    const __m128 steep = _mm_set1_ps(down);                                                           \
    for (; i + 8 <= n; i += 8) {                                                                      \
        EIGHT_BETWEEN                                                                                 \
        STORE_EIGHT(to + i);                                                                          \
    }
#else
#define BLOCKS(STORE_EIGHT)
#endif

#define DEFINE_MAP(NAME, SAMPLE, STORE_EIGHT)                                                         \
    static void NAME(const float *corners, const uint16_t *bins, Py_ssize_t n, float down, const float *across, \
                     char *out)                                                                       \
    {                                                                                                 \
        SAMPLE *to = (SAMPLE *)out;                                                                   \
        Py_ssize_t i = 0;                                                                             \
        BLOCKS(STORE_EIGHT)                                                                           \
        for (; i < n; i++) to[i] = (SAMPLE)lrintf(between(corners + 4 * bins[i], down, across[i]));   \
    }
DEFINE_MAP(map_u8, uint8_t, STORE_u8)
DEFINE_MAP(map_u16, uint16_t, STORE_u16)

/* Position `at` of an axis of n samples that goes on mirrored at both ends, the outermost sample not repeated. */
static inline Py_ssize_t mirrored(Py_ssize_t at, Py_ssize_t n)
{
    if (n == 1) return 0;
    at %= 2 * (n - 1);
    return at < n ? at : 2 * (n - 1) - at;
}

#endif
