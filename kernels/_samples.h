/* Samples of any type and any strides: what loops that want one type, side by side, are given of them. */
#ifndef EDGE_KERNELS_SAMPLES_H
#define EDGE_KERNELS_SAMPLES_H

#include <stdint.h>
#include <string.h>

typedef struct {
    char kind;                 /* i, u or f ... */
    int size;                  /* ... of so many bytes: 1, 2, 4 or 8, of f 4 or 8 */
    int swapped;               /* the other byte order */
} Type;

static inline double number(const char *from, char kind, int size, int swapped)
{
    uint64_t word = 0;
    memcpy(&word, from, size);  /* little endian: the bytes that are there are the low ones */
    if (swapped) word = __builtin_bswap64(word) >> (64 - 8 * size);
    if (kind == 'f' && size == 4) {
        float value;
        memcpy(&value, &word, 4);
        return value;
    }
    if (kind == 'f') {
        double value;
        memcpy(&value, &word, 8);
        return value;
    }
    if (kind == 'u') return (double)word;
    return (double)((int64_t)(word << (64 - 8 * size)) >> (64 - 8 * size));
}

/* n samples, `stride` bytes apart, to single precision. */
static void pack_floats(const char *from, Py_ssize_t stride, Py_ssize_t n, Type type, float *__restrict to)
{
    for (Py_ssize_t x = 0; x < n; x++) to[x] = (float)number(from + x * stride, type.kind, type.size, type.swapped);
}

/* To 1 where they are not 0. */
static inline void pack_inside(const char *from, Py_ssize_t stride, Py_ssize_t n, Type type, uint8_t *__restrict to)
{
    for (Py_ssize_t x = 0; x < n; x++) to[x] = number(from + x * stride, type.kind, type.size, type.swapped) != 0;
}

/* As they are, of 1 or 2 bytes, in the byte order of the machine. */
static inline void pack_samples(const char *from, Py_ssize_t stride, Py_ssize_t n, Type type, char *__restrict to)
{
    uint16_t word;
    for (Py_ssize_t x = 0; x < n; x++, from += stride) {
        if (type.size == 1) {
            to[x] = *from;
            continue;
        }
        memcpy(&word, from, 2);
        if (type.swapped) word = __builtin_bswap16(word);
        memcpy(to + 2 * x, &word, 2);
    }
}

#endif
