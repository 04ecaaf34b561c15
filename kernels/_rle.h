/* PackBits as PS3.5 annex G uses it: byte planes to samples. Reads and writes nothing beyond what it is given. */
#ifndef EDGE_KERNELS_RLE_H
#define EDGE_KERNELS_RLE_H

#include <string.h>

#include "_vector.h"

enum { CHUNK = 4096, LONGEST = 128, WIDE = 32, PITCH = CHUNK + LONGEST + WIDE };

typedef struct {
    const uint8_t *at, *end;
} Segment;

/* WIDE bytes: those at p, or p[0] over and over. */
static inline void put_wide(uint8_t *to, const uint8_t *p, int literal)
{
#if defined(__AVX2__)
    const __m256i mask = _mm256_set1_epi8((char)-literal);
    const __m256i run = _mm256_set1_epi8((char)p[0]), copy = _mm256_loadu_si256((const __m256i *)p);
    _mm256_storeu_si256((__m256i *)to, _mm256_blendv_epi8(run, copy, mask));
#elif defined(__SSE4_1__)
    const __m128i mask = _mm_set1_epi8((char)-literal), run = _mm_set1_epi8((char)p[0]);
    _mm_storeu_si128((__m128i *)to, _mm_blendv_epi8(run, _mm_loadu_si128((const __m128i *)p), mask));
    _mm_storeu_si128((__m128i *)to + 1, _mm_blendv_epi8(run, _mm_loadu_si128((const __m128i *)p + 1), mask));
#else
    if (literal) memcpy(to, p, WIDE);
    else memset(to, p[0], WIDE);
#endif
}

/* Packets of a segment to `to`, which holds `have` bytes and has room for CHUNK + LONGEST + WIDE, until it holds CHUNK
   or the segment ends; how many it holds then. */
static Py_ssize_t unpack(Segment *segment, uint8_t *to, Py_ssize_t have)
{
    const uint8_t *at = segment->at, *end = segment->end;
    /* Far from the end a packet is moved without asking which kind it is: short packets of both kinds in turn are what
       branches would guess wrong. */
    while (have < CHUNK && end - at > LONGEST + WIDE) {
        const int head = (int8_t)*at, literal = head >= 0, count = literal ? head + 1 : 1 - head;
        const uint8_t *p = at + 1;
        if (head == -128) {
            at++;
            continue;
        }
        put_wide(to + have, p, literal);
        if (count > WIDE) {
            if (literal) memcpy(to + have + WIDE, p + WIDE, LONGEST - WIDE);
            else memset(to + have + WIDE, p[0], LONGEST - WIDE);
        }
        have += count;
        at += literal ? count + 1 : 2;
    }
    while (have < CHUNK && end - at > 1) {
        const int head = (int8_t)*at++;
        if (head == -128) continue;
        if (head >= 0) {
            const Py_ssize_t count = head + 1 < end - at ? head + 1 : end - at;
            memcpy(to + have, at, count);
            have += count;
            at += count;
        } else {
            memset(to + have, *at++, 1 - head);
            have += 1 - head;
        }
    }
    segment->at = at;
    return have;
}

/* `count` samples of `bytes` byte planes (most significant first, PITCH apart) to every `step`-th sample of `to`. */
static void merge(const uint8_t *planes, int bytes, Py_ssize_t step, Py_ssize_t count, char *to)
{
    if (bytes == 1 && step == 1) {
        memcpy(to, planes, count);
    } else if (bytes == 1) {
        for (Py_ssize_t i = 0; i < count; i++) to[i * step] = (char)planes[i];
    } else if (bytes == 2 && step == 1) {
        uint16_t *samples = (uint16_t *)to;
        for (Py_ssize_t i = 0; i < count; i++) samples[i] = (uint16_t)(planes[i] << 8 | planes[PITCH + i]);
    } else if (bytes == 2) {
        uint16_t *samples = (uint16_t *)to;
        for (Py_ssize_t i = 0; i < count; i++) samples[i * step] = (uint16_t)(planes[i] << 8 | planes[PITCH + i]);
    } else {
        uint32_t *samples = (uint32_t *)to;
        for (Py_ssize_t i = 0; i < count; i++)
            samples[i * step] = (uint32_t)planes[i] << 24 | (uint32_t)planes[PITCH + i] << 16 |
                                (uint32_t)planes[2 * PITCH + i] << 8 | planes[3 * PITCH + i];
    }
}

/* `pixels` pixels of `samples` samples of `bytes` bytes, colour by pixel; `planes` has room for PITCH bytes of each
   segment. -1, or the segment that ends too early. */
static int decode(Segment *segments, int samples, int bytes, Py_ssize_t pixels, uint8_t *planes, char *out)
{
    const int count = samples * bytes;
    Py_ssize_t have[15] = {0};
    for (Py_ssize_t done = 0; done < pixels; done += CHUNK) {
        const Py_ssize_t wanted = pixels - done < CHUNK ? pixels - done : CHUNK;
        for (int s = 0; s < count; s++) {
            have[s] = unpack(segments + s, planes + s * PITCH, have[s]);
            if (have[s] < wanted) return s;
        }
        for (int s = 0; s < samples; s++)
            merge(planes + s * bytes * PITCH, bytes, samples, wanted, out + (done * samples + s) * bytes);
        for (int s = 0; s < count; s++) {
            have[s] = have[s] > CHUNK ? have[s] - CHUNK : 0;
            memcpy(planes + s * PITCH, planes + s * PITCH + CHUNK, have[s]);
        }
    }
    return -1;
}

#endif
