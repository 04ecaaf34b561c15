/* The horizontal pass: sum over k of weights[o * taps + k] * row[start[o] + k], then gain and offset of each channel.

   taps is 4 or a multiple of 8; row is readable (and finite) MARGIN floats past its end. */
#ifndef EDGE_KERNELS_FRAME_HORIZONTAL_H
#define EDGE_KERNELS_FRAME_HORIZONTAL_H

#include "_vector.h"

#define MARGIN 32

typedef struct {
    const int32_t *start;
    const float *weights;          /* count rows of taps */
    Py_ssize_t count, taps;
    Py_ssize_t near_taps;          /* in the near layout, 0 where it does not serve */
    const int32_t *near_index;
    const float *near_weights;
} Across;

typedef struct {
    const float *scale, *offset;   /* per channel */
    Py_ssize_t channels, stride;   /* floats from channel to channel, */
    Py_ssize_t row;                /* and from row to row */
} Finish;

#if defined(__AVX2__)
/* Sums of the four floats of each half: [a b c d], lower halves in the lower half. One shuffle less per sum than
   the horizontal addition of the instruction set. */
static inline __m256 sums(__m256 a, __m256 b, __m256 c, __m256 d)
{
    const __m256 e = _mm256_add_ps(_mm256_blend_ps(a, b, 0xCC), _mm256_shuffle_ps(a, b, 0x4E));
    const __m256 f = _mm256_add_ps(_mm256_blend_ps(c, d, 0xCC), _mm256_shuffle_ps(c, d, 0x4E));
    return _mm256_add_ps(_mm256_shuffle_ps(e, f, 0x88), _mm256_shuffle_ps(e, f, 0xDD));
}

/* Two outputs of four taps. */
static inline __m256 two(const float *row, const int32_t *start, const float *weights)
{
    const __m256 low = _mm256_castps128_ps256(_mm_loadu_ps(row + start[0]));
    return _mm256_mul_ps(_mm256_insertf128_ps(low, _mm_loadu_ps(row + start[1]), 1), _mm256_loadu_ps(weights));
}

/* One output of eight taps, or more. */
static inline __m256 one(const float *row, const float *weights, Py_ssize_t taps)
{
    __m256 sum = _mm256_mul_ps(_mm256_loadu_ps(row), _mm256_loadu_ps(weights));
    for (Py_ssize_t k = 8; k < taps; k += 8)
        sum = _mm256_fmadd_ps(_mm256_loadu_ps(row + k), _mm256_loadu_ps(weights + k), sum);
    return sum;
}

/* Eight outputs. */
static inline __m256 eight(const float *row, const int32_t *start, const float *weights, Py_ssize_t taps)
{
    if (taps == 4) {
        const __m256 even_odd = sums(two(row, start, weights), two(row, start + 2, weights + 8),
                                     two(row, start + 4, weights + 16), two(row, start + 6, weights + 24));
        return _mm256_permutevar8x32_ps(even_odd, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    }
    __m256 part[8];
    for (int i = 0; i < 8; i++) part[i] = one(row + start[i], weights + i * taps, taps);
    const __m256 a = sums(part[0], part[1], part[2], part[3]), b = sums(part[4], part[5], part[6], part[7]);
    return _mm256_add_ps(_mm256_blend_ps(a, b, 0xF0), _mm256_permute2f128_ps(a, b, 0x21));
}
#endif

/* Sums to channels: out[c * stride] = scale[c] * sum + offset[c]. */
static inline void finish_one(float sum, const Finish *finish, float *out)
{
    for (Py_ssize_t c = 0; c < finish->channels; c++)
        out[c * finish->stride] = finish->scale[c] * sum + finish->offset[c];
}

#if defined(__AVX2__)
static inline void finish_eight(__m256 sum, const Finish *finish, float *out)
{
    for (Py_ssize_t c = 0; c < finish->channels; c++)
        _mm256_storeu_ps(out + c * finish->stride, _mm256_fmadd_ps(_mm256_set1_ps(finish->scale[c]), sum,
                                                                   _mm256_set1_ps(finish->offset[c])));
}
#endif

#if defined(__AVX512F__)
/* 16 outputs at a time whose samples lie within two vectors: each tap is a permutation of both. Two rows share the
   loads of indices and weights, which cost more than the rest. */
static inline void near_rows(const float *row, Py_ssize_t pitch, int rows, const Across *across, Py_ssize_t group,
                             __m512 sum[2])
{
    const float *samples = row + across->start[16 * group];
    __m512 low[2], high[2];
    for (int r = 0; r < rows; r++) {
        low[r] = _mm512_loadu_ps(samples + r * pitch), high[r] = _mm512_loadu_ps(samples + r * pitch + 16);
        sum[r] = _mm512_setzero_ps();
    }
    for (Py_ssize_t k = group * across->near_taps; k < (group + 1) * across->near_taps; k++) {
        const __m512i index = _mm512_loadu_si512(across->near_index + 16 * k);
        const __m512 weight = _mm512_loadu_ps(across->near_weights + 16 * k);
        for (int r = 0; r < rows; r++)
            sum[r] = _mm512_fmadd_ps(_mm512_permutex2var_ps(low[r], index, high[r]), weight, sum[r]);
    }
}

static inline Py_ssize_t near_pass(const float *row, Py_ssize_t pitch, int rows, const Across *across,
                                   const Finish *finish, float *out)
{
    Py_ssize_t o = 0;
    for (; o + 16 <= across->count; o += 16) {
        __m512 sum[2];
        near_rows(row, pitch, rows, across, o / 16, sum);
        for (Py_ssize_t c = 0; c < finish->channels; c++)
            for (int r = 0; r < rows; r++)
                _mm512_storeu_ps(out + o + c * finish->stride + r * finish->row,
                                 _mm512_fmadd_ps(_mm512_set1_ps(finish->scale[c]), sum[r],
                                                 _mm512_set1_ps(finish->offset[c])));
    }
    return o;
}
#endif

/* Outputs [o, count) of one row. */
static void across_row(const float *__restrict row, const Across *across, const Finish *finish, Py_ssize_t o, float *out)
{
    const int32_t *start = across->start;
    const float *weights = across->weights;
    const Py_ssize_t n = across->count, taps = across->taps;
#if defined(__AVX2__)
    if (taps == 4)
        for (; o + 8 <= n; o += 8) finish_eight(eight(row, start + o, weights + o * 4, 4), finish, out + o);
    else if (taps == 8)
        for (; o + 8 <= n; o += 8) finish_eight(eight(row, start + o, weights + o * 8, 8), finish, out + o);
    else
        for (; o + 8 <= n; o += 8) finish_eight(eight(row, start + o, weights + o * taps, taps), finish, out + o);
#endif
    for (; o < n; o++) {
        const float *p = row + start[o], *w = weights + o * taps;
        float sum = 0;
        for (Py_ssize_t k = 0; k < taps; k++) sum += p[k] * w[k];
        finish_one(sum, finish, out + o);
    }
}

/* One row or two, `pitch` floats apart. */
static void horizontal_pass(const float *row, Py_ssize_t pitch, int rows, const Across *across, const Finish *finish,
                            float *out)
{
    Py_ssize_t done = 0;
#if defined(__AVX512F__)
    if (across->near_taps)
        done = rows == 2 ? near_pass(row, pitch, 2, across, finish, out) : near_pass(row, pitch, 1, across, finish, out);
#endif
    for (int r = 0; r < rows; r++) across_row(row + r * pitch, across, finish, done, out + r * finish->row);
}

/* Fill the near layout, if the samples allow it: how many indices, and as many weights, there are; 0 for none. With
   NULL for `index`, only count. */
static Py_ssize_t arrange_near(const Across *across, Py_ssize_t taps, int32_t *index, float *near)
{
#if defined(__AVX512F__)
    const Py_ssize_t groups = across->count / 16;
    for (Py_ssize_t i = 0; i < groups * taps * 16; i++) {
        const Py_ssize_t first = i / (16 * taps) * 16, o = first + i % 16, tap = i / 16 % taps;
        const Py_ssize_t from = across->start[o] - across->start[first] + tap;
        const float weight = across->weights[o * across->taps + tap];
        if (weight != 0 && from > 31) return 0;
        if (!index) continue;
        index[i] = weight != 0 ? (int32_t)from : 0;
        near[i] = weight;
    }
    return groups * taps * 16;
#else
    (void)across, (void)taps, (void)index, (void)near;
    return 0;
#endif
}

#endif
