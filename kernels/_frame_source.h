/* Rows of samples side by side: of any strides, or turned into RGB on the way. */
#ifndef EDGE_KERNELS_FRAME_SOURCE_H
#define EDGE_KERNELS_FRAME_SOURCE_H

#include <math.h>

#include "_samples.h"

/* What a stored pixel is, and what the loop is given for it. */
enum { AS_STORED, YBR_FULL, YBR_FULL_422, PALETTE, SHOWN };

/* Display value of a sample: clip(v, low, high) * a + b, or table[clip(v + bias, 0, entries - 1)]; NaN is black. */
typedef struct {
    double low, high, a, b;
    const float *table;
    double entries, bias;
} Display;

typedef struct {
    const char *data;
    Py_ssize_t row, column, sample;    /* strides in bytes */
    int size;                          /* bytes of a stored sample */
    char kind;                         /* of samples to be SHOWN: i, u or f ... */
    int swapped;                       /* ... and whether they are in the other byte order */
    int packed;                        /* each row is one run of aligned samples that need no turning */
    int colour;                        /* one of the above */
    const uint16_t *palette;           /* entries of three */
    Py_ssize_t entries;
    int first;                         /* the index of the first entry */
} Source;

#define DEFINE_PACK(NAME, TYPE)                                                                             \
    static inline void NAME(const Source *source, const char *from, Py_ssize_t width, int samples, TYPE *to) \
    {                                                                                                       \
        const Py_ssize_t column = source->column, sample = source->sample;                                  \
        for (Py_ssize_t x = 0; x < width; x++, from += column)                                              \
            for (int s = 0; s < samples; s++) memcpy(to++, from + s * sample, sizeof(TYPE));                \
    }

DEFINE_PACK(pack_1, uint8_t)
DEFINE_PACK(pack_2, uint16_t)
DEFINE_PACK(pack_4, uint32_t)

static inline uint8_t byte(int value) { return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value); }

/* PS3.3 C.7.6.3.1.2, in 1/4194304, the finest that 32 bits hold; rounded to the nearest, as decoders do. */
static inline void to_rgb(int y, int cb, int cr, uint8_t *to)
{
    y = (y << 22) + (1 << 21), cb -= 128, cr -= 128;
    to[0] = byte((y + 5880414 * cr) >> 22);
    to[1] = byte((y - 1443412 * cb - 2995305 * cr) >> 22);
    to[2] = byte((y + 7432307 * cb + 128) >> 22);  /* 1.772 * 125 ends in a half: it goes up */
}

static inline void pack_ybr(const Source *source, const char *from, Py_ssize_t width, uint8_t *to)
{
    const Py_ssize_t column = source->column, sample = source->sample;
    const uint8_t *p = (const uint8_t *)from;
    if (column == 3 && sample == 1)
        for (Py_ssize_t x = 0; x < width; x++) to_rgb(p[3 * x], p[3 * x + 1], p[3 * x + 2], to + 3 * x);
    else
        for (Py_ssize_t x = 0; x < width; x++, p += column) to_rgb(p[0], p[sample], p[2 * sample], to + 3 * x);
}

/* Two pixels in four samples, Y Y Cb Cr; columns and samples have two strides like all else. */
static inline void pack_ybr_422(const Source *source, const char *from, Py_ssize_t width, uint8_t *to)
{
    const Py_ssize_t column = source->column, sample = source->sample;
    for (Py_ssize_t x = 0; x + 1 < width; x += 2, from += 2 * column, to += 6) {
        const int cb = (uint8_t)from[column], cr = (uint8_t)from[column + sample];
        to_rgb((uint8_t)from[0], cb, cr, to);
        to_rgb((uint8_t)from[sample], cb, cr, to + 3);
    }
}

/* Indices below the first entry take the first, above the last the last (C.7.6.3.1.5). */
static inline void pack_palette(const Source *source, const char *from, Py_ssize_t width, uint16_t *to)
{
    for (Py_ssize_t x = 0; x < width; x++, from += source->column, to += 3) {
        uint16_t word = (uint8_t)from[0];
        if (source->size == 2) memcpy(&word, from, 2);
        Py_ssize_t index = (Py_ssize_t)word - source->first;
        index = index < 0 ? 0 : index >= source->entries ? source->entries - 1 : index;
        memcpy(to, source->palette + 3 * index, 6);
    }
}

static inline float shown(double value, const Display *display)
{
    const int is_number = value == value;
    if (display->table) {
        if (!is_number) return 0;
        const double index = rint(value) + display->bias;
        return display->table[(Py_ssize_t)(index < 0 ? 0 : index > display->entries - 1 ? display->entries - 1 : index)];
    }
    value = value > display->low ? value : display->low;
    value = value < display->high ? value : display->high;
    return is_number ? (float)(value * display->a + display->b) : 0;
}

static inline void pack_shown_as(const Source *source, const Display *how, const char *from, Py_ssize_t width,
                                 int samples, float *__restrict to, char kind, int size, int swapped)
{
    const Display display = *how;  /* a copy of our own stays in registers */
    const Py_ssize_t column = source->column, sample = source->sample;
    if (samples == 1)
        for (Py_ssize_t x = 0; x < width; x++) to[x] = shown(number(from + x * column, kind, size, swapped), &display);
    else
        for (Py_ssize_t x = 0; x < width; x++, from += column)
            for (int s = 0; s < samples; s++) *to++ = shown(number(from + s * sample, kind, size, swapped), &display);
}

/* Each type that is common gets a loop of its own. */
static void pack_shown(const Source *source, const Display *display, const char *from, Py_ssize_t width, int samples,
                       float *to)
{
    const char kind = source->swapped ? 0 : source->kind;
    if (kind == 'f' && source->size == 4) pack_shown_as(source, display, from, width, samples, to, 'f', 4, 0);
    else if (kind == 'f') pack_shown_as(source, display, from, width, samples, to, 'f', 8, 0);
    else if (kind == 'i' && source->size == 4) pack_shown_as(source, display, from, width, samples, to, 'i', 4, 0);
    else if (kind == 'u' && source->size == 4) pack_shown_as(source, display, from, width, samples, to, 'u', 4, 0);
    else if (source->size == 1) pack_shown_as(source, display, from, width, samples, to, source->kind, 1, 0);
    else if (source->size == 2) pack_shown_as(source, display, from, width, samples, to, source->kind, 2, source->swapped);
    else if (source->size == 4) pack_shown_as(source, display, from, width, samples, to, source->kind, 4, source->swapped);
    else pack_shown_as(source, display, from, width, samples, to, source->kind, 8, source->swapped);
}

/* `display` is for samples to be SHOWN. */
static void pack_row(const Source *source, const Display *display, const char *from, Py_ssize_t width, int samples,
                     char *to)
{
    if (source->colour == YBR_FULL) pack_ybr(source, from, width, (uint8_t *)to);
    else if (source->colour == YBR_FULL_422) pack_ybr_422(source, from, width, (uint8_t *)to);
    else if (source->colour == SHOWN) pack_shown(source, display, from, width, samples, (float *)to);
    else if (source->colour == PALETTE) pack_palette(source, from, width, (uint16_t *)to);
    else if (source->size == 1) pack_1(source, from, width, samples, (uint8_t *)to);
    else if (source->size == 2) pack_2(source, from, width, samples, (uint16_t *)to);
    else pack_4(source, from, width, samples, (uint32_t *)to);
}

#endif
