/* The three passes of a separable trilinear resample. No Python here, no allocation, no errors. */
#ifndef EDGE_KERNELS_VOLUME_H
#define EDGE_KERNELS_VOLUME_H

#include "_samples.h"
#include "_vector.h"

#if defined(__FMA__)
#define FMA_ONE __builtin_fmaf
#else
#define FMA_ONE(a, b, c) ((a) * (b) + (c))
#endif

/* Where the outputs of one row look. Output o blends samples start[o] and start[o] + 1; weight is of the latter.

   The same in blocks of LANES outputs from at[k] on (the last block overlaps the one before): GROUPS windows of
   WINDOW samples per block begin at base[], and control[] (numbers of words with WORD_CONTROL, else of bytes) puts the two samples of each output side
   by side. count is 0 where a row is shorter than a block or a window; windows is 0 where the outputs are too far apart. */
typedef struct {
    Py_ssize_t outputs, count;
    int windows;
    const int32_t *start, *at, *base;
    const float *weight;
    const uint8_t *control;
} Columns;

/* Source rows of one call, and those of the next one: reading several rows side by side defeats the hardware
   prefetcher, so these are asked for meanwhile, in memory order. */
typedef struct {
    const char *rows[4], *ahead[4];
    int count, coming, last;   /* last: number of the last sample of a row */
} Rows;

/* Source rows to filtered rows `pitch` floats apart. */
typedef void (*Filter)(const Rows *rows, const Columns *columns, int base, float *to, Py_ssize_t pitch);

/* A box of samples to neighbours in memory. */
typedef void (*Stage)(const char *from, const Py_ssize_t *shape, const Py_ssize_t *strides, Type type, char *to);

#if defined(__AVX512BW__)
#define WINDOW 32
#define GROUPS 1
#define WORD_CONTROL 1
#define MULTIPLY_ADD _mm512_madd_epi16
#define XOR _mm512_xor_si512
#define AND _mm512_and_si512
#define SUB_INTS _mm512_sub_epi32
#define TO_FLOAT _mm512_cvtepi32_ps
#define LOAD_INTS(p) _mm512_loadu_si512(p)
#define WORDS(p, base) _mm512_loadu_si512((p) + (base)[0])
#define WORDS_U8(p, base) _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)((p) + (base)[0])))
#define PAIRS(words, control) _mm512_permutexvar_epi16(control, words)
#define GATHER(p, index, scale) _mm512_i32gather_epi32(index, p, scale)
#define AS_FLOATS _mm512_castsi512_ps

#elif defined(__AVX2__)
#define WINDOW 8
#define GROUPS 2
#define WORD_CONTROL 0
#define MULTIPLY_ADD _mm256_madd_epi16
#define XOR _mm256_xor_si256
#define AND _mm256_and_si256
#define SUB_INTS _mm256_sub_epi32
#define TO_FLOAT _mm256_cvtepi32_ps
#define LOAD_INTS(p) _mm256_loadu_si256((const __m256i *)(p))
#define WORDS(p, base) _mm256_loadu2_m128i((const __m128i *)((p) + (base)[1]), (const __m128i *)((p) + (base)[0]))
#define WORDS_U8(p, base)                                                                             \
    _mm256_cvtepu8_epi16(_mm_unpacklo_epi64(_mm_loadl_epi64((const __m128i *)((p) + (base)[0])),      \
                                            _mm_loadl_epi64((const __m128i *)((p) + (base)[1]))))
#define PAIRS(words, control) _mm256_shuffle_epi8(words, control)
#define GATHER(p, index, scale) _mm256_i32gather_epi32((const int *)(p), index, scale)
#define AS_FLOATS _mm256_castsi256_ps

#elif defined(__SSE4_1__)
#define WINDOW 8
#define GROUPS 1
#define WORD_CONTROL 0
#define MULTIPLY_ADD _mm_madd_epi16
#define XOR _mm_xor_si128
#define AND _mm_and_si128
#define SUB_INTS _mm_sub_epi32
#define TO_FLOAT _mm_cvtepi32_ps
#define LOAD_INTS(p) _mm_loadu_si128((const __m128i *)(p))
#define WORDS(p, base) _mm_loadu_si128((const __m128i *)((p) + (base)[0]))
#define WORDS_U8(p, base) _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)((p) + (base)[0])))
#define PAIRS(words, control) _mm_shuffle_epi8(words, control)

#else
#define WINDOW 0
#define GROUPS 0
#define WORD_CONTROL 0
#endif

/* Columns, one by one: to[o] = (p[start] - base) + weight * (p[start + 1] - p[start]), subtractions in integers where
   the samples are, so that little is rounded. */
#define DEFINE_COLUMNS_PLAIN(NAME, SAMPLE, BASE)                                                      \
    static void NAME##_plain(const SAMPLE *p, const Columns *columns, int base, int last, float *to)  \
    {                                                                                                 \
        (void)base;                                                                                   \
        for (Py_ssize_t o = 0; o < columns->outputs; o++) {                                           \
            const SAMPLE *a = p + columns->start[o], *b = a + (last > 0);                             \
            to[o] = FMA_ONE(columns->weight[o], (float)(*b - *a), (float)(*a - BASE));                \
        }                                                                                             \
    }
DEFINE_COLUMNS_PLAIN(columns_u8, uint8_t, base)
DEFINE_COLUMNS_PLAIN(columns_u16, uint16_t, base)
DEFINE_COLUMNS_PLAIN(columns_s16, int16_t, base)
DEFINE_COLUMNS_PLAIN(columns_f32, float, 0)

#if LANES
/* A pair is the words a (low) and b (high) of one output: b - a and a, as integers of 32 bits. */
#define RISE_SIGNED(pairs) MULTIPLY_ADD(pairs, SPREAD_INT(0x0001FFFF))
#define FIRST_SIGNED(pairs) MULTIPLY_ADD(pairs, SPREAD_INT(1))
#define RISE(pairs) RISE_SIGNED(XOR(pairs, SPREAD_INT((int)0x80008000)))
#define FIRST(pairs) AND(pairs, SPREAD_INT(0xFFFF))

#define BLEND_PAIRS(pairs, weight, base, RISE_OF, FIRST_OF)                                           \
    FMA(weight, TO_FLOAT(RISE_OF(pairs)), TO_FLOAT(SUB_INTS(FIRST_OF(pairs), base)))

/* `count` rows: the tables are read once for all of them. */
#define DEFINE_COLUMNS_NEAR(NAME, SAMPLE, LOAD_WORDS, RISE_OF, FIRST_OF)                            \
    static inline void NAME##_near(const Rows *rows, const int count, const Columns *columns, int base, \
                                   float *to, Py_ssize_t pitch)                                       \
    {                                                                                                 \
        const ints low = SPREAD_INT(base);                                                            \
        const Py_ssize_t bytes = (rows->last + 1) * (Py_ssize_t)sizeof(SAMPLE);                       \
        const Py_ssize_t share = rows->coming * (bytes / 64 + 1) / columns->count + 1;                \
        Py_ssize_t row = 0, offset = 0;                                                               \
        for (Py_ssize_t k = 0; k < columns->count; k++) {                                             \
            for (Py_ssize_t i = 0; i < share && row < rows->coming; i++) {                            \
                __builtin_prefetch(rows->ahead[row] + offset, 0, 2);                                  \
                offset += 64;                                                                         \
                if (offset >= bytes) offset = 0, row++;                                               \
            }                                                                                         \
            const ints control = LOAD_INTS(columns->control + k * sizeof(ints));                      \
            const floats weight = LOAD(columns->weight + columns->at[k]);                             \
            float *q = to + columns->at[k];                                                           \
            for (int r = 0; r < count; r++) {                                                         \
                const SAMPLE *p = (const SAMPLE *)rows->rows[r];                                      \
                const ints pairs = PAIRS(LOAD_WORDS(p, columns->base + k * GROUPS), control);         \
                STORE(q + r * pitch, BLEND_PAIRS(pairs, weight, low, RISE_OF, FIRST_OF));           \
            }                                                                                         \
        }                                                                                             \
    }
DEFINE_COLUMNS_NEAR(columns_u8, uint8_t, WORDS_U8, RISE, FIRST)
DEFINE_COLUMNS_NEAR(columns_u16, uint16_t, WORDS, RISE, FIRST)
DEFINE_COLUMNS_NEAR(columns_s16, int16_t, WORDS, RISE_SIGNED, FIRST_SIGNED)
#endif

#ifdef GATHER
/* Two samples of 16 bits are one gathered word. */
#define DEFINE_COLUMNS_FAR(NAME, RISE_OF, FIRST_OF)                                                 \
    static void NAME##_far(const char *row, const Columns *columns, int base, float *to)              \
    {                                                                                                 \
        const ints low = SPREAD_INT(base);                                                            \
        for (Py_ssize_t k = 0; k < columns->count; k++) {                                             \
            const Py_ssize_t at = columns->at[k];                                                     \
            const ints pairs = GATHER(row, LOAD_INTS(columns->start + at), 2);                        \
            STORE(to + at, BLEND_PAIRS(pairs, LOAD(columns->weight + at), low, RISE_OF, FIRST_OF)); \
        }                                                                                             \
    }
DEFINE_COLUMNS_FAR(columns_u16, RISE, FIRST)
DEFINE_COLUMNS_FAR(columns_s16, RISE_SIGNED, FIRST_SIGNED)

static void columns_f32_far(const char *row, const Columns *columns, int base, float *to)
{
    (void)base;
    for (Py_ssize_t k = 0; k < columns->count; k++) {
        const Py_ssize_t at = columns->at[k];
        const ints index = LOAD_INTS(columns->start + at);
        const floats a = AS_FLOATS(GATHER(row, index, 4)), b = AS_FLOATS(GATHER(row + 4, index, 4));
        STORE(to + at, FMA(LOAD(columns->weight + at), SUB(b, a), a));
    }
}
#define TRY_FAR(NAME)                                                                                 \
    if (columns->count) {                                                                             \
        for (int r = 0; r < rows->count; r++) NAME##_far(rows->rows[r], columns, base, to + r * pitch); \
        return;                                                                                       \
    }
#else
#define TRY_FAR(NAME)
#endif

#if LANES
#define TRY_NEAR(NAME)                                                                                \
    if (columns->count && columns->windows) {                                                         \
        if (rows->count == 4) NAME##_near(rows, 4, columns, base, to, pitch);                         \
        else NAME##_near(rows, rows->count, columns, base, to, pitch);                                      \
        return;                                                                                       \
    }
#else
#define TRY_NEAR(NAME)
#endif
#define NOTHING(NAME)

/* What a `Filter` is, for one type of samples. */
#define DEFINE_COLUMNS(NAME, SAMPLE, NEAR, FAR)                                                       \
    static void NAME(const Rows *rows, const Columns *columns, int base, float *to, Py_ssize_t pitch) \
    {                                                                                                 \
        NEAR(NAME)                                                                                    \
        FAR(NAME)                                                                                     \
        for (int r = 0; r < rows->count; r++)                                                         \
            NAME##_plain((const SAMPLE *)rows->rows[r], columns, base, rows->last, to + r * pitch);   \
    }
DEFINE_COLUMNS(columns_u8, uint8_t, TRY_NEAR, NOTHING)
DEFINE_COLUMNS(columns_u16, uint16_t, TRY_NEAR, TRY_FAR)
DEFINE_COLUMNS(columns_s16, int16_t, TRY_NEAR, TRY_FAR)
DEFINE_COLUMNS(columns_f32, float, NOTHING, TRY_FAR)

/* Between two rows of floats: to[i] = a[i] + weight * (b[i] - a[i]). All three may be written up to LANES past n. */
static void blend_rows(const float *a, const float *b, float weight, Py_ssize_t n, float *__restrict to)
{
#if LANES
    const floats w = SPREAD(weight);
    for (Py_ssize_t i = 0; i < n; i += LANES) {
        const floats p = LOAD(a + i);
        STORE(to + i, FMA(w, SUB(LOAD(b + i), p), p));
    }
#else
    for (Py_ssize_t i = 0; i < n; i++) to[i] = FMA_ONE(weight, b[i] - a[i], a[i]);
#endif
}

/* Between two planes: out[i] = gain * (a[i] + weight * (b[i] - a[i])) + shift. With `stream` the result goes past the
   caches, in whole lines, for outputs that no cache could hold. */
static void blend_planes(const float *__restrict a, const float *__restrict b, float weight, float gain, float shift,
                         Py_ssize_t n, int stream, float *__restrict out)
{
    Py_ssize_t i = 0;
#if LANES
    const floats w = SPREAD(weight), g = SPREAD(gain), s = SPREAD(shift);
    if (stream) {
        for (; i < n && ((uintptr_t)(out + i) & 63); i++)
            out[i] = FMA_ONE(gain, FMA_ONE(weight, b[i] - a[i], a[i]), shift);
        for (; i + LANES <= n; i += LANES) {
            const floats p = LOAD(a + i);
            STREAM(out + i, FMA(g, FMA(w, SUB(LOAD(b + i), p), p), s));
        }
    } else {
        for (; i + LANES <= n; i += LANES) {
            const floats p = LOAD(a + i);
            STORE(out + i, FMA(g, FMA(w, SUB(LOAD(b + i), p), p), s));
        }
    }
#endif
    (void)stream;
    for (; i < n; i++) out[i] = FMA_ONE(gain, FMA_ONE(weight, b[i] - a[i], a[i]), shift);
}

/* Streamed stores become visible to other threads. */
static inline void finish_streams(void)
{
#if LANES
    _mm_sfence();
#endif
}

/* A box of samples whose columns are not neighbours in memory, copied so that they are: tile by tile, so that each
   cache line is read once whichever axis is the contiguous one. */
#define DEFINE_STAGE(NAME, SAMPLE)                                                                    \
    static void NAME(const char *from, const Py_ssize_t *shape, const Py_ssize_t *strides, Type type, char *to) \
    {                                                                                                 \
        (void)type;                                                                                   \
        for (Py_ssize_t y0 = 0; y0 < shape[1]; y0 += 32)                                              \
        for (Py_ssize_t x0 = 0; x0 < shape[2]; x0 += 16)                                              \
        for (Py_ssize_t z = 0; z < shape[0]; z++)                                                     \
        for (Py_ssize_t y = y0; y < y0 + 32 && y < shape[1]; y++) {                                   \
            const char *p = from + z * strides[0] + y * strides[1];                                   \
            SAMPLE *q = (SAMPLE *)to + (z * shape[1] + y) * shape[2];                                 \
            for (Py_ssize_t x = x0; x < x0 + 16 && x < shape[2]; x++)                                 \
                memcpy(q + x, p + x * strides[2], sizeof(SAMPLE));                                    \
        }                                                                                             \
    }
DEFINE_STAGE(stage_1, uint8_t)
DEFINE_STAGE(stage_2, uint16_t)
DEFINE_STAGE(stage_4, uint32_t)

/* Of any other type, in single precision. */
static void stage_floats(const char *from, const Py_ssize_t *shape, const Py_ssize_t *strides, Type type, char *to)
{
    for (Py_ssize_t z = 0; z < shape[0]; z++)
        for (Py_ssize_t y = 0; y < shape[1]; y++)
            pack_floats(from + z * strides[0] + y * strides[1], strides[2], shape[2], type,
                        (float *)to + (z * shape[1] + y) * shape[2]);
}

#endif
