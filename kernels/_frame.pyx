# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The frame loop, without the GIL: clip or table, vertical pass, horizontal pass, affine per channel, layout.

Arguments arrive validated from `kernels/frame.py`; nothing here raises but for memory and buffers.
One call computes the output rows [begin, end), so threads may share a frame; every output row is computed the
same way whatever the split, hence bit-identical results.
"""
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int16_t, int32_t, uint8_t, uint16_t
from libc.stdlib cimport free, malloc
from libc.string cimport memmove, memset

cdef extern from "_frame.h":
    ctypedef struct Strip:
        const char* rows
        Py_ssize_t stride
        const float* weights
        Py_ssize_t count
        Py_ssize_t width
        const char* ahead
        Py_ssize_t ahead_bytes

    ctypedef struct Clip:
        int base
        float low
        float high

    void vertical_u8(const Strip* strip, Clip clip, float* row) noexcept nogil
    void vertical_u16(const Strip* strip, Clip clip, float* row) noexcept nogil
    void vertical_s16(const Strip* strip, Clip clip, float* row) noexcept nogil
    void vertical_f32(const Strip* strip, Clip clip, float* row) noexcept nogil
    void table_u8(const uint8_t* samples, Py_ssize_t n, const float* table, float* row) noexcept nogil
    void table_u16(const uint16_t* samples, Py_ssize_t n, const float* table, float* row) noexcept nogil
    void table_s16(const int16_t* samples, Py_ssize_t n, const float* table, float* row) noexcept nogil
    void horizontal_pass(const float* row, const int32_t* start, const float* weights, Py_ssize_t n,
                         Py_ssize_t taps, float* out) noexcept nogil

cdef enum:
    MARGIN = 16  # floats past a row that the horizontal pass may read, with weight 0

cdef struct Source:
    const char* data
    Py_ssize_t stride       # bytes from row to row
    Py_ssize_t width        # samples in a row
    int samples             # per pixel: 1 or 3
    char kind               # B, H, h or f: the struct module's letters
    Clip clip
    const float* table      # entry of sample value 0, or NULL for the clip

cdef struct Target:
    float* data             # first element of the box that is written
    Py_ssize_t row_stride   # all three in floats
    Py_ssize_t column_stride
    Py_ssize_t channel_stride
    Py_ssize_t channels
    const float* scale      # per channel
    const float* offset

cdef struct Scratch:
    float* row              # one filtered source row, interleaved like the source
    float* resampled        # the same after the horizontal pass
    float* planes           # three planes of one row, for three samples per pixel
    float* band             # source rows after the table


cdef inline void vertical_pass(char kind, const Strip* strip, Clip clip, float* row) noexcept nogil:
    if kind == c'H':
        vertical_u16(strip, clip, row)
    elif kind == c'h':
        vertical_s16(strip, clip, row)
    elif kind == c'B':
        vertical_u8(strip, clip, row)
    else:
        vertical_f32(strip, clip, row)


cdef inline void table_row(const Source* source, Py_ssize_t y, float* row) noexcept nogil:
    cdef const char* samples = source.data + y * source.stride
    if source.kind == c'H':
        table_u16(<const uint16_t*>samples, source.width, source.table, row)
    elif source.kind == c'h':
        table_s16(<const int16_t*>samples, source.width, source.table, row)
    else:
        table_u8(<const uint8_t*>samples, source.width, source.table, row)


cdef void write_row(const float* row, Py_ssize_t n, const Target* target, Py_ssize_t y, Py_ssize_t c) noexcept nogil:
    """Affine and layout: one row of one channel."""
    cdef Py_ssize_t x, step = target.column_stride
    cdef float a = target.scale[c], b = target.offset[c]
    cdef float* to = target.data + y * target.row_stride + c * target.channel_stride
    if step == 1:
        for x in range(n):
            to[x] = a * row[x] + b
    else:
        for x in range(n):
            to[x * step] = a * row[x] + b


cdef void split_planes(const float* row, Py_ssize_t width, bint luminance, float* planes) noexcept nogil:
    """RGBRGB... to three planes, or to one of luminance (ITU-R BT.601, as JPEG's Y)."""
    cdef Py_ssize_t x, plane = width + MARGIN
    for x in range(width):
        planes[x] = row[3 * x]
        planes[plane + x] = row[3 * x + 1]
        planes[2 * plane + x] = row[3 * x + 2]
    if luminance:
        for x in range(width):
            planes[x] = (<float>0.299 * planes[x] + <float>0.587 * planes[plane + x]
                         + <float>0.114 * planes[2 * plane + x])


cdef class Resampler:
    """The taps of one plan, ready for the loop.

    y_start, y_extent, x_start : int32[n]; y_weights, x_weights : float32[n, taps], rows padded with zeros, x taps 4
    or a multiple of 8. width is the source's, in pixels.
    """
    cdef const int32_t[::1] y_start, y_extent, x_start
    cdef const float[:, ::1] y_weights, x_weights
    cdef Py_ssize_t width
    cdef readonly Py_ssize_t rows, columns

    def __init__(self, const int32_t[::1] y_start, const int32_t[::1] y_extent, const float[:, ::1] y_weights,
                 const int32_t[::1] x_start, const float[:, ::1] x_weights, Py_ssize_t width):
        self.y_start, self.y_extent, self.y_weights = y_start, y_extent, y_weights
        self.x_start, self.x_weights = x_start, x_weights
        self.width = width
        self.rows, self.columns = y_start.shape[0], x_start.shape[0]

    def clip(self, frame, int samples, int base, float low, float high, const float[::1] scale,
             const float[::1] offset, float[:, :, :] out, Py_ssize_t begin, Py_ssize_t end):
        """out[c, y, x] = scale[c] * resampled(clip(sample - base, low, high)) + offset[c]."""
        cdef Source source
        source.samples, source.table = samples, NULL
        source.clip = Clip(base, low, high)
        self._run(frame, &source, scale, offset, out, begin, end)

    def table(self, frame, int samples, const float[::1] table, int bias, const float[::1] scale,
              const float[::1] offset, float[:, :, :] out, Py_ssize_t begin, Py_ssize_t end):
        """out[c, y, x] = scale[c] * resampled(table[sample + bias]) + offset[c]; table covers the sample type."""
        cdef Source source
        source.samples, source.table = samples, &table[0] + bias
        source.clip = Clip(0, 0.0, 1.0)
        self._run(frame, &source, scale, offset, out, begin, end)

    cdef _run(self, object frame, Source* source, const float[::1] scale, const float[::1] offset,
              float[:, :, :] out, Py_ssize_t begin, Py_ssize_t end):
        cdef Py_ssize_t size = sizeof(float)
        cdef Target target = Target(&out[0, 0, 0], out.strides[1] // size, out.strides[2] // size,
                                    out.strides[0] // size, out.shape[0], &scale[0], &offset[0])
        cdef bint done = False
        cdef Py_buffer view
        PyObject_GetBuffer(frame, &view, PyBUF_STRIDES | PyBUF_FORMAT)
        try:
            source.data, source.stride, source.kind = <const char*>view.buf, view.strides[0], view.format[0]
            source.width = self.width * source.samples
            with nogil:
                done = self._rows(source, &target, begin, end)
        finally:
            PyBuffer_Release(&view)
        if not done:
            raise MemoryError("no memory for the scratch rows of one frame")

    cdef bint _rows(self, const Source* source, const Target* target, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        """All rows of one call; False when there is no memory for the scratch."""
        cdef Py_ssize_t row = source.width + MARGIN, plane = self.width + MARGIN
        cdef Py_ssize_t planes = 3 * plane if source.samples == 3 else 0
        cdef Py_ssize_t band = 2 * self.y_weights.shape[1] * row if source.table != NULL else 0
        cdef float* memory = <float*>malloc((row + self.columns + planes + band) * sizeof(float))
        cdef Scratch scratch = Scratch(memory, memory + row, memory + row + self.columns,
                                       memory + row + self.columns + planes)
        if memory == NULL:
            return False
        memset(memory, 0, (row + self.columns + planes) * sizeof(float))
        if source.table == NULL:
            self._clip_rows(source, target, &scratch, begin, end)
        else:
            self._table_rows(source, target, &scratch, begin, end)
        free(memory)
        return True

    cdef void _clip_rows(self, const Source* source, const Target* target, const Scratch* scratch, Py_ssize_t begin,
                         Py_ssize_t end) noexcept nogil:
        """Each output row straight from the source rows that it needs."""
        cdef Py_ssize_t y, ready, more
        cdef Strip strip
        for y in range(begin, end):
            ready = self.y_start[y] + self.y_extent[y]
            more = self.y_start[y + 1] + self.y_extent[y + 1] - ready if y + 1 < end and source.stride > 0 else 0
            strip = Strip(source.data + self.y_start[y] * source.stride, source.stride, &self.y_weights[y, 0],
                          self.y_extent[y], source.width, source.data + ready * source.stride, more * source.stride)
            vertical_pass(source.kind, &strip, source.clip, scratch.row)
            self._columns(source, target, scratch, y)

    cdef void _table_rows(self, const Source* source, const Target* target, const Scratch* scratch, Py_ssize_t begin,
                          Py_ssize_t end) noexcept nogil:
        """Each source row through the table once, into a sliding band of rows; then as above."""
        cdef Py_ssize_t pitch = source.width + MARGIN, capacity = 2 * self.y_weights.shape[1]
        cdef Py_ssize_t y, first, last, origin = self.y_start[begin], ready = origin
        cdef Strip strip
        for y in range(begin, end):
            first, last = self.y_start[y], self.y_start[y] + self.y_extent[y]
            if last - origin > capacity:
                if ready > first:
                    memmove(scratch.band, scratch.band + (first - origin) * pitch,
                            (ready - first) * pitch * sizeof(float))
                else:
                    ready = first
                origin = first
            while ready < last:
                table_row(source, ready, scratch.band + (ready - origin) * pitch)
                ready += 1
            strip = Strip(<const char*>(scratch.band + (first - origin) * pitch), pitch * sizeof(float),
                          &self.y_weights[y, 0], self.y_extent[y], source.width, NULL, 0)
            vertical_f32(&strip, source.clip, scratch.row)
            self._columns(source, target, scratch, y)

    cdef void _columns(self, const Source* source, const Target* target, const Scratch* scratch,
                       Py_ssize_t y) noexcept nogil:
        """Horizontal pass and output of one filtered row; three samples are split into planes first."""
        cdef Py_ssize_t c, taps = self.x_weights.shape[1]
        if source.samples == 1:
            horizontal_pass(scratch.row, &self.x_start[0], &self.x_weights[0, 0], self.columns, taps, scratch.resampled)
            for c in range(target.channels):
                write_row(scratch.resampled, self.columns, target, y, c)
            return
        split_planes(scratch.row, self.width, target.channels == 1, scratch.planes)
        for c in range(target.channels):
            horizontal_pass(scratch.planes + c * (self.width + MARGIN), &self.x_start[0], &self.x_weights[0, 0],
                            self.columns, taps, scratch.resampled)
            write_row(scratch.resampled, self.columns, target, y, c)
