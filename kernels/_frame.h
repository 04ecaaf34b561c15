/* The two passes of a separable resize, in single precision. No Python here, no allocation, no errors. */
#ifndef EDGE_KERNELS_FRAME_H
#define EDGE_KERNELS_FRAME_H

#include "_vector.h"

/* Source rows that one output row needs, and what to do with them. */
typedef struct {
    const char *rows;          /* first sample of the first row */
    Py_ssize_t stride;         /* bytes from row to row */
    const float *weights;      /* one per row */
    Py_ssize_t count;          /* rows */
    Py_ssize_t width;          /* samples in a row */
    const char *ahead;         /* bytes that the next output row will need in addition ... */
    Py_ssize_t ahead_bytes;    /* ... one run of memory; 0 for none */
} Strip;

/* value = clip(sample - base, low, high) */
typedef struct {
    int base;
    float low, high;
} Clip;

/* Ask for [start, start + size) in the second level cache; addresses past the image do no harm. */
static inline void prefetch_lines(const char *start, Py_ssize_t size)
{
    for (Py_ssize_t i = 0; i < size; i += 64) __builtin_prefetch(start + i, 0, 2);
}

/* Vertical pass, columns [x, width): the portable form and the form for narrow images. */
#define DEFINE_VERTICAL_PLAIN(NAME, SAMPLE, BASE)                                                     \
    static void NAME##_plain(const Strip *strip, Clip clip, Py_ssize_t x, float *__restrict row)      \
    {                                                                                                 \
        for (Py_ssize_t i = x; i < strip->width; i++) row[i] = 0;                                     \
        for (Py_ssize_t k = 0; k < strip->count; k++) {                                               \
            const SAMPLE *p = (const SAMPLE *)(strip->rows + k * strip->stride);                      \
            const float weight = strip->weights[k];                                                   \
            for (Py_ssize_t i = x; i < strip->width; i++) {                                           \
                float value = (float)(p[i] - BASE);                                                   \
                value = value > clip.low ? value : clip.low;                                          \
                row[i] += weight * (value < clip.high ? value : clip.high);                           \
            }                                                                                         \
        }                                                                                             \
    }

#if LANES
/* Vertical pass: row[x] = sum over k of weights[k] * clip(sample[k][x] - base).

   Reading several rows side by side restarts the hardware prefetcher at every row, which costs more than the
   arithmetic. The bytes ahead are one run of memory, so they are asked for in that order, a few lines per step.
   The last step overlaps the one before instead of leaving a scalar rest. */
#define DEFINE_VERTICAL(NAME, SAMPLE, FROM, BASE)                                                     \
    DEFINE_VERTICAL_PLAIN(NAME, SAMPLE, BASE)                                                         \
    static void NAME(const Strip *strip, Clip clip, float *__restrict row)                            \
    {                                                                                                 \
        const Py_ssize_t step = 4 * LANES, n = strip->width, count = strip->count;                    \
        const Py_ssize_t share = (strip->ahead_bytes / ((n + step - 1) / step) + 63) / 64 * 64;       \
        const ints base = SPREAD_INT(clip.base);                                                      \
        const floats low = SPREAD(clip.low), high = SPREAD(clip.high);                                \
        const char *ahead = strip->ahead, *end = ahead + strip->ahead_bytes;                          \
        Py_ssize_t x = 0;                                                                             \
        (void)base;                                                                                   \
        if (n < step) {                                                                               \
            NAME##_plain(strip, clip, 0, row);                                                        \
            return;                                                                                   \
        }                                                                                             \
        for (;;) {                                                                                    \
            const char *p = strip->rows + x * (Py_ssize_t)sizeof(SAMPLE);                             \
            floats a = SPREAD(0), b = a, c = a, d = a;                                                \
            prefetch_lines(ahead, end - ahead < share ? end - ahead : share);                         \
            ahead += share;                                                                           \
            for (Py_ssize_t k = 0; k < count; k++, p += strip->stride) {                              \
                const floats weight = SPREAD(strip->weights[k]);                                      \
                const SAMPLE *q = (const SAMPLE *)p;                                                  \
                a = FMA(weight, MIN(MAX(FROM(q, base), low), high), a);                               \
                b = FMA(weight, MIN(MAX(FROM(q + LANES, base), low), high), b);                       \
                c = FMA(weight, MIN(MAX(FROM(q + 2 * LANES, base), low), high), c);                   \
                d = FMA(weight, MIN(MAX(FROM(q + 3 * LANES, base), low), high), d);                   \
            }                                                                                         \
            STORE(row + x, a);                                                                        \
            STORE(row + x + LANES, b);                                                                \
            STORE(row + x + 2 * LANES, c);                                                            \
            STORE(row + x + 3 * LANES, d);                                                            \
            if (x + step >= n) return;                                                                \
            x = x + 2 * step > n ? n - step : x + step;                                               \
        }                                                                                             \
    }
#else
#define DEFINE_VERTICAL(NAME, SAMPLE, FROM, BASE)                                                     \
    DEFINE_VERTICAL_PLAIN(NAME, SAMPLE, BASE)                                                         \
    static void NAME(const Strip *strip, Clip clip, float *__restrict row) { NAME##_plain(strip, clip, 0, row); }
#endif

DEFINE_VERTICAL(vertical_u8, uint8_t, FROM_U8, clip.base)
DEFINE_VERTICAL(vertical_u16, uint16_t, FROM_U16, clip.base)
DEFINE_VERTICAL(vertical_s16, int16_t, FROM_S16, clip.base)
DEFINE_VERTICAL(vertical_f32, float, FROM_F32, 0)

/* row[x] = table[sample[x]], table pointing at the entry of sample value 0.
   Four samples per load (little endian) and plain loads from the table: neighbours in an image are alike, so the
   entries are in the first level cache, and gather instructions cannot profit from that. */
typedef float Four __attribute__((vector_size(16), aligned(4)));

#define DEFINE_TABLE(NAME, SAMPLE, WORD)                                                              \
    static void NAME(const SAMPLE *samples, Py_ssize_t n, const float *table, float *row)             \
    {                                                                                                 \
        const int bits = 8 * sizeof(SAMPLE);                                                          \
        Py_ssize_t x = 0;                                                                             \
        for (; x + 4 <= n; x += 4) {                                                                  \
            WORD word;                                                                                \
            __builtin_memcpy(&word, samples + x, sizeof(word));                                       \
            *(Four *)(row + x) = (Four){table[(SAMPLE)word], table[(SAMPLE)(word >> bits)],           \
                                        table[(SAMPLE)(word >> (2 * bits))],                          \
                                        table[(SAMPLE)(word >> (3 * bits))]};                         \
        }                                                                                             \
        for (; x < n; x++) row[x] = table[samples[x]];                                                \
    }

DEFINE_TABLE(table_u8, uint8_t, uint32_t)
DEFINE_TABLE(table_u16, uint16_t, uint64_t)
DEFINE_TABLE(table_s16, int16_t, uint64_t)

/* Horizontal pass: out[o] = sum over k of weights[o * taps + k] * row[start[o] + k].
   taps is 4 or a multiple of 8; row is readable (and finite) up to 8 floats past its end. */
static void horizontal_pass(const float *__restrict row, const int32_t *__restrict start,
                            const float *__restrict weights, Py_ssize_t n, Py_ssize_t taps,
                            float *__restrict out)
{
    Py_ssize_t o = 0;
#if defined(__AVX2__)
    if (taps == 4) {
        for (; o + 4 <= n; o += 4) {
            const float *w = weights + o * 4;
            __m128 a = _mm_mul_ps(_mm_loadu_ps(row + start[o]), _mm_loadu_ps(w));
            __m128 b = _mm_mul_ps(_mm_loadu_ps(row + start[o + 1]), _mm_loadu_ps(w + 4));
            __m128 c = _mm_mul_ps(_mm_loadu_ps(row + start[o + 2]), _mm_loadu_ps(w + 8));
            __m128 d = _mm_mul_ps(_mm_loadu_ps(row + start[o + 3]), _mm_loadu_ps(w + 12));
            _mm_storeu_ps(out + o, _mm_hadd_ps(_mm_hadd_ps(a, b), _mm_hadd_ps(c, d)));
        }
    } else {
        for (; o + 4 <= n; o += 4) {
            const float *p0 = row + start[o], *p1 = row + start[o + 1];
            const float *p2 = row + start[o + 2], *p3 = row + start[o + 3];
            const float *w = weights + o * taps;
            __m256 a = _mm256_mul_ps(_mm256_loadu_ps(p0), _mm256_loadu_ps(w));
            __m256 b = _mm256_mul_ps(_mm256_loadu_ps(p1), _mm256_loadu_ps(w + taps));
            __m256 c = _mm256_mul_ps(_mm256_loadu_ps(p2), _mm256_loadu_ps(w + 2 * taps));
            __m256 d = _mm256_mul_ps(_mm256_loadu_ps(p3), _mm256_loadu_ps(w + 3 * taps));
            for (Py_ssize_t k = 8; k < taps; k += 8) {
                a = _mm256_fmadd_ps(_mm256_loadu_ps(p0 + k), _mm256_loadu_ps(w + k), a);
                b = _mm256_fmadd_ps(_mm256_loadu_ps(p1 + k), _mm256_loadu_ps(w + taps + k), b);
                c = _mm256_fmadd_ps(_mm256_loadu_ps(p2 + k), _mm256_loadu_ps(w + 2 * taps + k), c);
                d = _mm256_fmadd_ps(_mm256_loadu_ps(p3 + k), _mm256_loadu_ps(w + 3 * taps + k), d);
            }
            __m256 s = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
            _mm_storeu_ps(out + o, _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
        }
    }
#endif
    for (; o < n; o++) {
        const float *p = row + start[o], *w = weights + o * taps;
        float s = 0;
        for (Py_ssize_t k = 0; k < taps; k++) s += p[k] * w[k];
        out[o] = s;
    }
}

#endif
