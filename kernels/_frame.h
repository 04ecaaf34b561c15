/* Horizontal pass: the one loop that compilers do not vectorise by themselves. */
#ifndef EDGE_KERNELS_FRAME_H
#define EDGE_KERNELS_FRAME_H

#include <stdint.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

/* out[o] = sum over k of weights[o * taps + k] * row[start[o] + k].
   taps is a multiple of 4; row is readable (and finite) up to 8 floats past its end. */
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
    } else if ((taps & 7) == 0) {
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
