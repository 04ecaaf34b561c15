/* The rows of a plan, prepared: which source rows each output row must read itself, and which it shares. */
#ifndef EDGE_KERNELS_FRAME_PLAN_H
#define EDGE_KERNELS_FRAME_PLAN_H

#include "_frame_horizontal.h"
#include "_frame_vertical.h"

enum { TALL = 6 };  /* source rows of an output row that count as many */

typedef struct {
    Strip strip;               /* of one output row, without addresses of samples */
    Py_ssize_t first, end;     /* the source rows that it must read itself */
} Row;

typedef struct {
    const int32_t *start, *extent;     /* source rows of each output row */
    const float *weights;              /* a row of `taps` for each */
    Py_ssize_t count, taps;
} Down;

/* Source rows that output row y has in common with the one before. */
static inline Py_ssize_t overlap(const Down *down, Py_ssize_t y)
{
    if (y == 0 || y == down->count) return 0;
    const Py_ssize_t rows = down->start[y - 1] + down->extent[y - 1] - down->start[y];
    return rows > 0 ? rows : 0;
}

/* Fill `rows`; whether rows are shared, which needs that none has a part in more than two output rows. */
static int arrange_rows(const Down *down, Row *rows)
{
    int sharing = 1;
    for (Py_ssize_t y = 0; y < down->count; y++)
        if (overlap(down, y) + overlap(down, y + 1) > down->extent[y]) sharing = 0;
    for (Py_ssize_t y = 0; y < down->count; y++) {
        const Py_ssize_t skip = sharing ? overlap(down, y) : 0;
        Strip *strip = &rows[y].strip;
        rows[y].first = down->start[y] + skip, rows[y].end = down->start[y] + down->extent[y];
        strip->shared = sharing ? overlap(down, y + 1) : 0;
        strip->own = down->extent[y] - skip - strip->shared;
        strip->weights = down->weights + y * down->taps + skip;
        strip->next = down->weights + (strip->shared ? y + 1 : y) * down->taps;
        strip->tall = down->taps >= TALL;
        strip->even = 1;
        for (Py_ssize_t k = 1; k < strip->own; k++) strip->even &= strip->weights[k] == strip->weights[0];
    }
    return sharing;
}

/* Taps that any output uses: the rest of a row of weights is padding. */
static Py_ssize_t used_taps(const Across *across)
{
    for (Py_ssize_t k = across->taps - 1; k > 0; k--)
        for (Py_ssize_t o = 0; o < across->count; o++)
            if (across->weights[o * across->taps + k] != 0) return k + 1;
    return 1;
}

#endif
