/* The vertical pass: source rows to one filtered row, in single precision.

   Between two output rows most filters share source rows, and no source row has a part in more than two. So each
   row is read, clipped and converted once: what it adds to the next output row is carried along. */
#ifndef EDGE_KERNELS_FRAME_VERTICAL_H
#define EDGE_KERNELS_FRAME_VERTICAL_H

#include "_frame_words.h"

/* Source rows that one output row needs in addition to those it shares with the row before; or a piece of them. */
typedef struct {
    const char *rows;          /* first sample of the first row */
    Py_ssize_t stride;         /* bytes from row to row */
    Py_ssize_t own, shared;    /* rows for this output row alone; then rows for this and the next */
    const float *weights;      /* own + shared, in this output row */
    const float *next;         /* shared, in the next output row */
    int even;                  /* all own weights are the same */
    int tall;                  /* many rows, for each output row of the plan */
    const float *before;       /* the sum so far: what the row before carried along, or earlier pieces; or NULL */
    float *kept;               /* where the sum goes when a piece is to follow, or NULL */
    float *after;              /* what the shared rows carry along for the next row */
    int resumed;               /* an earlier piece began `after` */
    Py_ssize_t width;          /* samples in a row */
    const char *ahead;         /* bytes that the next output row will need in addition ... */
    Py_ssize_t ahead_bytes;    /* ... one run of memory; 0 for none */
} Strip;

/* value = clip(sample - base, low, high); int16 samples and their base are moved up by 32768. */
typedef struct {
    int base, range;           /* whole numbers around the clip: 0 <= low, high <= range */
    float low, high;
    int whole;                 /* low is 0 and high is range: nothing is left to clip */
    Py_ssize_t most;           /* so many values fit a sum of 16 bits */
} Clip;

static inline float sample_at(const char *row, Py_ssize_t x, Clip clip, char kind)
{
    if (kind == 'f') return ((const float *)row)[x];
    const int sample = kind == 'B' ? ((const uint8_t *)row)[x]
                     : kind == 'H' ? ((const uint16_t *)row)[x] : ((const int16_t *)row)[x] + 32768;
    const float value = (float)(sample - clip.base);
    return value < clip.low ? clip.low : value > clip.high ? clip.high : value;
}

/* The portable form, and the form for images narrower than one step of the vector form. */
static inline void vertical_plain(const Strip *strip, Clip clip, float *__restrict row, char kind)
{
    const Py_ssize_t n = strip->width, own = strip->own;
    for (Py_ssize_t x = 0; x < n; x++) row[x] = strip->before ? strip->before[x] : 0;
    for (Py_ssize_t x = 0; strip->shared && !strip->resumed && x < n; x++) strip->after[x] = 0;
    for (Py_ssize_t k = 0; k < own + strip->shared; k++) {
        const char *p = strip->rows + k * strip->stride;
        const float weight = strip->weights[k];
        for (Py_ssize_t x = 0; x < n; x++) row[x] += weight * sample_at(p, x, clip, kind);
        if (k < own) continue;
        const float next = strip->next[k - own];
        for (Py_ssize_t x = 0; x < n; x++) strip->after[x] += next * sample_at(p, x, clip, kind);
    }
    for (Py_ssize_t x = 0; strip->kept && x < n; x++) strip->kept[x] = row[x];
}

#if LANES
#define INLINE static inline __attribute__((always_inline))

/* A step takes `parts` vectors of floats. Where many rows lie side by side, shorter steps read memory faster. */
#define MOST_PARTS 4
#define FEW_PARTS (LANES == 16 ? 2 : MOST_PARTS)

/* Ask for [start, start + size) in the second level cache; addresses past the image do no harm. */
INLINE void prefetch_lines(const char *start, Py_ssize_t size)
{
    for (Py_ssize_t i = 0; i < size; i += 64) __builtin_prefetch(start + i, 0, 2);
}

INLINE words words_at(const char *row, Py_ssize_t x, Clip clip, char kind)
{
    const words sample = kind == 'B' ? WORDS_U8(row + x) : kind == 'H' ? WORDS_U16(row + 2 * x) : WORDS_S16(row + 2 * x);
    return MIN_WORDS(LESS_WORDS(sample, SPREAD_WORD(clip.base)), SPREAD_WORD(clip.range));
}

/* The values of a step, in the order of FIRST and SECOND. */
INLINE void values_at(const char *row, Py_ssize_t x, Clip clip, char kind, int whole, int parts, floats value[MOST_PARTS])
{
    if (kind == 'f') {
        for (int i = 0; i < parts; i++) value[i] = LOAD((const float *)row + x + i * LANES);
        return;
    }
    for (int i = 0; i < parts; i += 2) {
        const words sample = words_at(row, x + i * LANES, clip, kind);
        value[i] = FIRST(sample), value[i + 1] = SECOND(sample);
    }
    if (whole) return;
    for (int i = 0; i < parts; i++) value[i] = MIN(MAX(value[i], SPREAD(clip.low)), SPREAD(clip.high));
}

/* The own rows of one step when all have one weight: summed as whole numbers, as many as 16 bits can hold at once. */
INLINE const char *sum_words(const Strip *strip, Py_ssize_t x, Clip clip, char kind, int parts, floats sum[MOST_PARTS])
{
    const floats weight = SPREAD(strip->weights[0]);
    const char *p = strip->rows;
    for (Py_ssize_t left = strip->own; left > 0;) {
        Py_ssize_t k = left < clip.most ? left : clip.most;
        words part[MOST_PARTS / 2];
        for (int i = 0; i < parts / 2; i++) part[i] = NO_WORDS;
        for (left -= k; k > 0; k--, p += strip->stride)
            for (int i = 0; i < parts / 2; i++)
                part[i] = ADD_WORDS(part[i], words_at(p, x + 2 * i * LANES, clip, kind));
        for (int i = 0; i < parts; i += 2) {
            sum[i] = FMA(weight, FIRST(part[i / 2]), sum[i]);
            sum[i + 1] = FMA(weight, SECOND(part[i / 2]), sum[i + 1]);
        }
    }
    return p;
}

/* Reading several rows side by side restarts the hardware prefetcher at every row, which costs more than the
   arithmetic. The bytes ahead are one run of memory, so they are asked for in that order, a few lines per step.
   The last step overlaps the one before instead of leaving a scalar rest; so each step carries in a place of its own,
   in the order of its own. */
INLINE void vertical_steps(const Strip *strip, Clip clip, float *__restrict row, char kind, int whole, int parts)
{
    const Strip s = *strip;  /* a copy of our own stays in registers */
    const Py_ssize_t step = parts * LANES, n = s.width, size = kind == 'B' ? 1 : kind == 'f' ? 4 : 2;
    const Py_ssize_t share = (s.ahead_bytes / ((n + step - 1) / step) + 63) / 64 * 64;
    const Py_ssize_t lead = s.stride % 64 ? 0 : -(uintptr_t)s.rows % 64 / size % step;
    const char *ahead = s.ahead, *end = ahead + s.ahead_bytes;
    const int even = whole && kind != 'f' && s.even;
    for (Py_ssize_t x = 0, at = 0;; at += step) {
        floats sum[MOST_PARTS], carry[MOST_PARTS], value[MOST_PARTS];
        const char *p = s.rows;
        prefetch_lines(ahead, end - ahead < share ? end - ahead : share);
        ahead += share;
        for (int i = 0; i < parts; i++) sum[i] = s.before ? LOAD(s.before + at + i * LANES) : SPREAD(0);
        if (even) p = sum_words(&s, x, clip, kind, parts, sum);
        for (Py_ssize_t k = even ? s.own : 0; k < s.own; k++, p += s.stride) {
            values_at(p, x, clip, kind, whole, parts, value);
            for (int i = 0; i < parts; i++) sum[i] = FMA(SPREAD(s.weights[k]), value[i], sum[i]);
        }
        if (s.shared) {
            for (int i = 0; i < parts; i++) carry[i] = s.resumed ? LOAD(s.after + at + i * LANES) : SPREAD(0);
            for (Py_ssize_t k = 0; k < s.shared; k++, p += s.stride) {
                values_at(p, x, clip, kind, whole, parts, value);
                for (int i = 0; i < parts; i++) sum[i] = FMA(SPREAD(s.weights[s.own + k]), value[i], sum[i]);
                for (int i = 0; i < parts; i++) carry[i] = FMA(SPREAD(s.next[k]), value[i], carry[i]);
            }
            for (int i = 0; i < parts; i++) STORE(s.after + at + i * LANES, carry[i]);
        }
        for (int i = 0; kind != 'f' && !s.kept && i < parts; i += 2) order(&sum[i], &sum[i + 1]);
        for (int i = 0; i < parts; i++) STORE((s.kept ? s.kept + at : row + x) + i * LANES, sum[i]);
        if (x + step >= n) return;
        x = at == 0 && lead > 0 ? lead : x + step;
        if (x > n - step) x = n - step;
    }
}

#define DEFINE_VERTICAL(NAME, KIND)                                                    \
    static void NAME(const Strip *strip, Clip clip, float *row)                        \
    {                                                                                  \
        if (strip->width < MOST_PARTS * LANES) vertical_plain(strip, clip, row, KIND); \
        else if (strip->tall && clip.whole) vertical_steps(strip, clip, row, KIND, 1, FEW_PARTS); \
        else if (strip->tall) vertical_steps(strip, clip, row, KIND, 0, FEW_PARTS);    \
        else if (clip.whole) vertical_steps(strip, clip, row, KIND, 1, MOST_PARTS);    \
        else vertical_steps(strip, clip, row, KIND, 0, MOST_PARTS);                    \
    }
#else
#define DEFINE_VERTICAL(NAME, KIND)                                                    \
    static void NAME(const Strip *strip, Clip clip, float *row) { vertical_plain(strip, clip, row, KIND); }
#endif

DEFINE_VERTICAL(vertical_u8, 'B')
DEFINE_VERTICAL(vertical_u16, 'H')
DEFINE_VERTICAL(vertical_s16, 'h')
DEFINE_VERTICAL(vertical_f32, 'f')

/* row = the rows of the strip, filtered. */
static inline void vertical_pass(char kind, const Strip *strip, Clip clip, float *row)
{
    switch (kind) {
    case 'B': vertical_u8(strip, clip, row); break;
    case 'H': vertical_u16(strip, clip, row); break;
    case 'h': vertical_s16(strip, clip, row); break;
    default: vertical_f32(strip, clip, row);
    }
}

#endif
