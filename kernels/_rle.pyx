# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The RLE loop, without the GIL: all segments in step, a few kilobytes of each at a time.

Arguments arrive validated from `kernels/rle.py`: `bounds` are ranges inside `data`, `out` has room for every sample.
"""
from libc.stdint cimport uint8_t
from libc.stdlib cimport free, malloc

cdef extern from "_rle.h":
    enum: PITCH

    ctypedef struct Segment:
        const uint8_t* at
        const uint8_t* end

    int decode(Segment* segments, int samples, int bytes, Py_ssize_t pixels, uint8_t* planes, char* out) nogil


def rle(const uint8_t[::1] data, const Py_ssize_t[:, ::1] bounds, int samples, int size, char[::1] out):
    """Samples of `size` bytes into `out`, colour by pixel; -1, or the number of a segment that ends too early."""
    cdef Segment[15] segments
    cdef Py_ssize_t s, count = bounds.shape[0]
    cdef int short = -1
    cdef uint8_t* planes = <uint8_t*>malloc(count * PITCH)
    if planes == NULL:
        raise MemoryError("no memory for the byte planes of one frame")
    for s in range(count):
        segments[s] = Segment(&data[0] + bounds[s, 0], &data[0] + bounds[s, 1])
    with nogil:
        short = decode(segments, samples, size, out.shape[0] // (samples * size), planes, &out[0])
    free(planes)
    return short
