/* Rows of samples side by side: of any strides, or turned into RGB on the way. */
#ifndef EDGE_KERNELS_FRAME_SOURCE_H
#define EDGE_KERNELS_FRAME_SOURCE_H

#include <stdint.h>
#include <string.h>

/* What a stored pixel is, and what the loop is given for it. */
enum { AS_STORED, YBR_FULL, YBR_FULL_422, PALETTE };

typedef struct {
    const char *data;                  /* of stored row `origin` */
    Py_ssize_t origin;
    Py_ssize_t row, column, sample;    /* strides in bytes */
    int size;                          /* bytes of a stored sample */
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

/* PS3.3 C.7.6.3.1.2, in 1/1048576; rounded to the nearest, as decoders do. */
static inline void to_rgb(int y, int cb, int cr, uint8_t *to)
{
    y = (y << 20) + (1 << 19), cb -= 128, cr -= 128;
    to[0] = byte((y + 1470104 * cr) >> 20);
    to[1] = byte((y - 360853 * cb - 748826 * cr) >> 20);
    to[2] = byte((y + 1858077 * cb + 64) >> 20);  /* 1.772 * 125 ends in a half: it goes up */
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

static void pack_row(const Source *source, const char *from, Py_ssize_t width, int samples, char *to)
{
    if (source->colour == YBR_FULL) pack_ybr(source, from, width, (uint8_t *)to);
    else if (source->colour == YBR_FULL_422) pack_ybr_422(source, from, width, (uint8_t *)to);
    else if (source->colour == PALETTE) pack_palette(source, from, width, (uint16_t *)to);
    else if (source->size == 1) pack_1(source, from, width, samples, (uint8_t *)to);
    else if (source->size == 2) pack_2(source, from, width, samples, (uint16_t *)to);
    else pack_4(source, from, width, samples, (uint32_t *)to);
}

#endif
