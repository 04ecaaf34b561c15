/* Samples through a table, which points at the entry of sample value 0.

   Neighbours in an image are alike, so the entries are in the first level cache and the address arithmetic is what
   costs: several samples per load (little endian), plain loads from the table. Gather instructions take half as
   long again. Rows that have one weight are summed on the way, which saves writing and reading them. */
#ifndef EDGE_KERNELS_FRAME_TABLE_H
#define EDGE_KERNELS_FRAME_TABLE_H

#include "_frame_vertical.h"

typedef struct {
    const char *next, *end;    /* bytes to ask for */
    Py_ssize_t share;          /* so many at a time */
} Ahead;

static inline void prefetch_share(Ahead *ahead)
{
    for (Py_ssize_t i = 0; i < ahead->share && ahead->next < ahead->end; i += 64, ahead->next += 64)
        __builtin_prefetch(ahead->next, 0, 2);
}

#if defined(__GNUC__) && !defined(__clang__)
#define ONE_BY_ONE __attribute__((optimize("no-tree-slp-vectorize")))  /* collecting entries in vectors costs more */
#else
#define ONE_BY_ONE
#endif

#define ENTRY(i) table[(SAMPLE)(word >> (8 * sizeof(SAMPLE) * (i)))]

/* row[x] = sum over k < count of table[sample x of row k]; eight sums at a time. */
#define DEFINE_TABLE(NAME, SAMPLE_TYPE)                                                               \
    ONE_BY_ONE static void NAME(const char *rows, Py_ssize_t stride, Py_ssize_t count, Py_ssize_t n,  \
                                const float *table, float *__restrict row, Ahead *ahead)              \
    {                                                                                                 \
        typedef SAMPLE_TYPE SAMPLE;                                                                   \
        const int half = 4 * sizeof(SAMPLE);                                                          \
        Py_ssize_t x = 0;                                                                             \
        for (; x + 8 <= n; x += 8) {                                                                  \
            const char *p = rows + x * (Py_ssize_t)sizeof(SAMPLE);                                    \
            float a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;                             \
            if (x % 32 == 0) prefetch_share(ahead);                                                   \
            for (Py_ssize_t k = 0; k < count; k++, p += stride) {                                     \
                uint64_t word = 0;                                                                    \
                __builtin_memcpy(&word, p, half);                                                     \
                a += ENTRY(0), b += ENTRY(1), c += ENTRY(2), d += ENTRY(3);                           \
                __builtin_memcpy(&word, p + half, half);                                              \
                e += ENTRY(0), f += ENTRY(1), g += ENTRY(2), h += ENTRY(3);                           \
            }                                                                                         \
            row[x] = a, row[x + 1] = b, row[x + 2] = c, row[x + 3] = d;                               \
            row[x + 4] = e, row[x + 5] = f, row[x + 6] = g, row[x + 7] = h;                           \
        }                                                                                             \
        for (; x < n; x++) {                                                                          \
            row[x] = 0;                                                                               \
            for (Py_ssize_t k = 0; k < count; k++)                                                    \
                row[x] += table[((const SAMPLE *)(rows + k * stride))[x]];                            \
        }                                                                                             \
    }

DEFINE_TABLE(table_u8, uint8_t)
DEFINE_TABLE(table_u16, uint16_t)
DEFINE_TABLE(table_s16, int16_t)

/* One row of sums. */
static inline void table_sums(char kind, const char *rows, Py_ssize_t stride, Py_ssize_t count, Py_ssize_t n,
                              const float *table, float *out, Ahead *ahead)
{
    if (kind == 'B') table_u8(rows, stride, count, n, table, out, ahead);
    else if (kind == 'H') table_u16(rows, stride, count, n, table, out, ahead);
    else table_s16(rows, stride, count, n, table, out, ahead);
}

/* The vertical pass of entries, by way of `entries`: rows of `pitch` floats. Own rows of one weight are summed. */
static void table_pass(char kind, const Strip *piece, const float *table, float *entries, Py_ssize_t pitch, float *row)
{
    const Clip none = {0, 0, 0, 0, 1, 0};
    const Py_ssize_t summed = piece->even && piece->own > 1 ? piece->own : 0;
    const Py_ssize_t rows = (summed ? 1 : piece->own) + piece->shared;
    const char *from = piece->rows;
    Ahead ahead = {piece->ahead, piece->ahead + piece->ahead_bytes, 0};
    Strip strip = *piece;
    ahead.share = (piece->ahead_bytes / ((rows ? rows : 1) * (piece->width / 32 + 1)) + 63) / 64 * 64;
    for (Py_ssize_t k = 0; k < rows; k++) {
        const Py_ssize_t count = k == 0 && summed ? summed : 1;
        table_sums(kind, from, piece->stride, count, piece->width, table, entries + k * pitch, &ahead);
        from += count * piece->stride;
    }
    strip.rows = (const char *)entries, strip.stride = pitch * (Py_ssize_t)sizeof(float), strip.ahead_bytes = 0;
    if (summed) strip.own = 1, strip.weights += summed - 1;
    vertical_pass('f', &strip, none, row);
}

#endif
