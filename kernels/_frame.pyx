# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The frame loop, without the GIL: clip or table, vertical pass, horizontal pass, affine per channel, layout.

Arguments arrive validated from `kernels/frame.py`; nothing here raises but for memory and buffers.
One call computes the output rows [begin, end), so threads may share a frame; each output row is computed
the same way whatever the split, hence bit-identical results.
"""
from cpython.buffer cimport (PyObject_GetBuffer, PyBuffer_Release, PyBUF_STRIDES, PyBUF_FORMAT, PyBUF_WRITABLE)
from libc.stdint cimport int16_t, int32_t, uint8_t, uint16_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

cdef extern from "_frame.h":
    void horizontal_pass(const float* row, const int32_t* start, const float* weights, Py_ssize_t n,
                         Py_ssize_t taps, float* out) noexcept nogil

ctypedef fused sample_t:
    uint8_t
    uint16_t
    int16_t
    float

cdef enum:
    MARGIN = 16            # floats past a row that the horizontal pass may read with weight 0
    MAX_ROWS = 8           # source rows that one vertical step reads together

cdef struct Target:
    float* data            # first element of the box that is written
    Py_ssize_t row_stride  # all three in floats
    Py_ssize_t column_stride
    Py_ssize_t channel_stride
    Py_ssize_t channels
    const float* scale     # per channel
    const float* offset


cdef inline void rows_step(const char* source, Py_ssize_t stride, sample_t* unused, Py_ssize_t n, const float* weights,
                           int base, float low, float high, float* row, const int count, const bint add) noexcept nogil:
    """row[x] (+)= sum over count rows of weight * clip(sample - base, low, high)."""
    cdef const sample_t* rows[MAX_ROWS]
    cdef float w[MAX_ROWS]
    cdef Py_ssize_t x
    cdef int k
    cdef float value, total
    for k in range(count):
        rows[k] = <const sample_t*>(source + k * stride)
        w[k] = weights[k]
    for x in range(n):
        total = 0
        for k in range(count):
            if sample_t is float:
                value = rows[k][x]
            else:
                value = <float>(<int>rows[k][x] - base)
            value = value if value > low else low
            value = value if value < high else high
            total = total + w[k] * value
        row[x] = row[x] + total if add else total


cdef inline void rows_any(const char* source, Py_ssize_t stride, sample_t* tag, Py_ssize_t n, const float* weights,
                          int base, float low, float high, float* row, int count, const bint add) noexcept nogil:
    """`rows_step` with the count made a literal, so that the compiler unrolls over the rows."""
    if count == 1: rows_step(source, stride, tag, n, weights, base, low, high, row, 1, add)
    elif count == 2: rows_step(source, stride, tag, n, weights, base, low, high, row, 2, add)
    elif count == 3: rows_step(source, stride, tag, n, weights, base, low, high, row, 3, add)
    elif count == 4: rows_step(source, stride, tag, n, weights, base, low, high, row, 4, add)
    elif count == 5: rows_step(source, stride, tag, n, weights, base, low, high, row, 5, add)
    elif count == 6: rows_step(source, stride, tag, n, weights, base, low, high, row, 6, add)
    elif count == 7: rows_step(source, stride, tag, n, weights, base, low, high, row, 7, add)
    else: rows_step(source, stride, tag, n, weights, base, low, high, row, 8, add)


cdef void vertical_pass(const char* source, Py_ssize_t stride, sample_t* tag, Py_ssize_t n, const float* weights,
                        int base, float low, float high, float* row, int count) noexcept nogil:
    """row = weighted sum of `count` clipped source rows."""
    cdef int step = count if count < MAX_ROWS else MAX_ROWS
    cdef int done = step
    rows_any(source, stride, tag, n, weights, base, low, high, row, step, False)
    while done < count:
        step = count - done if count - done < MAX_ROWS else MAX_ROWS
        rows_any(source + done * stride, stride, tag, n, weights + done, base, low, high, row, step, True)
        done += step


cdef void table_row(const char* source, sample_t* tag, Py_ssize_t n, const float* table, int bias, int last,
                    float* row) noexcept nogil:
    """row[x] = table[clip(sample + bias, 0, last)]."""
    cdef const sample_t* samples = <const sample_t*>source
    cdef Py_ssize_t x
    cdef int index
    for x in range(n):
        index = <int>samples[x] + bias
        index = index if index > 0 else 0
        index = index if index < last else last
        row[x] = table[index]


cdef void write_row(const float* row, Py_ssize_t n, const Target* target, Py_ssize_t y, Py_ssize_t first,
                    Py_ssize_t last) noexcept nogil:
    """Affine, layout: row into channels [first, last) of output row y."""
    cdef Py_ssize_t c, x
    cdef float a, b
    cdef float* to
    for c in range(first, last):
        a = target.scale[c]
        b = target.offset[c]
        to = target.data + y * target.row_stride + c * target.channel_stride
        if target.column_stride == 1:
            for x in range(n):
                to[x] = a * row[x] + b
        else:
            for x in range(n):
                to[x * target.column_stride] = a * row[x] + b


cdef class Resampler:
    """The taps of one plan, ready for the loop.

    y_start, y_count, x_start : int32[n]; y_weights, x_weights : float32[n, taps], rows padded with zeros,
    x taps a multiple of 4. width is the source's width in pixels; samples is 1 or 3 per pixel.
    """
    cdef const int32_t[::1] y_start, y_count, x_start
    cdef const float[:, ::1] y_weights, x_weights
    cdef Py_ssize_t width
    cdef readonly Py_ssize_t rows, columns

    def __init__(self, const int32_t[::1] y_start, const int32_t[::1] y_count, const float[:, ::1] y_weights,
                 const int32_t[::1] x_start, const float[:, ::1] x_weights, Py_ssize_t width):
        self.y_start, self.y_count, self.y_weights = y_start, y_count, y_weights
        self.x_start, self.x_weights = x_start, x_weights
        self.width = width
        self.rows, self.columns = y_start.shape[0], x_start.shape[0]

    def clip(self, frame, int samples, int base, float low, float high, const float[::1] scale, const float[::1] offset,
             float[:, :, :] out, Py_ssize_t begin, Py_ssize_t end):
        """Affine path: out[c, y, x] = scale[c] * resampled(clip(sample - base, low, high)) + offset[c]."""
        self._run(frame, samples, None, 0, base, low, high, scale, offset, out, begin, end)

    def table(self, frame, int samples, const float[::1] table, int bias, const float[::1] scale,
              const float[::1] offset, float[:, :, :] out, Py_ssize_t begin, Py_ssize_t end):
        """Table path: out[c, y, x] = scale[c] * resampled(table[sample + bias]) + offset[c]."""
        self._run(frame, samples, table, bias, 0, 0, 0, scale, offset, out, begin, end)

    cdef _run(self, object frame, int samples, const float[::1] table, int bias, int base, float low, float high,
              const float[::1] scale, const float[::1] offset, float[:, :, :] out, Py_ssize_t begin, Py_ssize_t end):
        cdef Py_buffer view
        cdef Target target
        cdef char kind
        cdef const float* entries = NULL
        cdef int last = 0
        cdef bint done = False
        target.data = &out[0, 0, 0]
        target.channel_stride = out.strides[0] // <Py_ssize_t>sizeof(float)
        target.row_stride = out.strides[1] // <Py_ssize_t>sizeof(float)
        target.column_stride = out.strides[2] // <Py_ssize_t>sizeof(float)
        target.channels = out.shape[0]
        target.scale = &scale[0]
        target.offset = &offset[0]
        if table is not None:
            entries = &table[0]
            last = <int>table.shape[0] - 1
        PyObject_GetBuffer(frame, &view, PyBUF_STRIDES | PyBUF_FORMAT)
        try:
            kind = view.format[0]
            with nogil:
                if kind == c'H':
                    done = self._rows(<uint16_t*>NULL, &view, samples, entries, bias, last, base, low, high, &target, begin, end)
                elif kind == c'h':
                    done = self._rows(<int16_t*>NULL, &view, samples, entries, bias, last, base, low, high, &target, begin, end)
                elif kind == c'B':
                    done = self._rows(<uint8_t*>NULL, &view, samples, entries, bias, last, base, low, high, &target, begin, end)
                else:
                    done = self._rows(<float*>NULL, &view, samples, entries, bias, last, base, low, high, &target, begin, end)
        finally:
            PyBuffer_Release(&view)
        if not done:
            raise MemoryError("no memory for the scratch rows of one frame")

    cdef bint _rows(self, sample_t* tag, const Py_buffer* view, int samples, const float* entries, int bias, int last,
                    int base, float low, float high, const Target* target, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        cdef Py_ssize_t n = self.width * samples, pitch = n + MARGIN, stride = view.strides[0]
        cdef Py_ssize_t ring = self.y_weights.shape[1] if entries != NULL else 0
        cdef Py_ssize_t plane = self.width + MARGIN, spare = 3 * plane if samples == 3 else 0
        cdef Py_ssize_t y, k, x, source_row, have = -1
        cdef const char* source = <const char*>view.buf
        cdef float* row = <float*>malloc((pitch * (1 + ring) + self.columns + MARGIN + spare) * sizeof(float))
        cdef float* line
        cdef float* resampled
        cdef float* planes
        cdef float w
        if row == NULL:
            return False
        memset(row + n, 0, MARGIN * sizeof(float))
        resampled = row + pitch
        planes = resampled + self.columns + MARGIN
        line = planes + spare
        for y in range(begin, end):
            if entries == NULL:
                vertical_pass(source + self.y_start[y] * stride, stride, tag, n, &self.y_weights[y, 0], base, low, high,
                              row, self.y_count[y])
            else:
                for k in range(self.y_count[y]):
                    source_row = self.y_start[y] + k
                    if source_row > have:
                        table_row(source + source_row * stride, tag, n, entries, bias, last,
                                  line + (source_row % ring) * pitch)
                        have = source_row
                    w = self.y_weights[y, k]
                    accumulate(line + (source_row % ring) * pitch, n, w, row, k > 0)
            self._columns(row, samples, planes, resampled, target, y)
        free(row)
        return True

    cdef void _columns(self, float* row, int samples, float* planes, float* resampled, const Target* target,
                       Py_ssize_t y) noexcept nogil:
        """Horizontal pass and output of one vertical row; three samples are split into planes first."""
        cdef Py_ssize_t c, x, plane = self.width + MARGIN
        cdef Py_ssize_t taps = self.x_weights.shape[1]
        if samples == 1:
            horizontal_pass(row, &self.x_start[0], &self.x_weights[0, 0], self.columns, taps, resampled)
            write_row(resampled, self.columns, target, y, 0, target.channels)
            return
        for c in range(3):
            for x in range(self.width):
                planes[c * plane + x] = row[3 * x + c]
            memset(planes + c * plane + self.width, 0, MARGIN * sizeof(float))
        if target.channels == 1:
            for x in range(self.width):
                planes[x] = <float>0.299 * planes[x] + <float>0.587 * planes[plane + x] + <float>0.114 * planes[2 * plane + x]
        for c in range(target.channels):
            horizontal_pass(planes + c * plane, &self.x_start[0], &self.x_weights[0, 0], self.columns, taps, resampled)
            write_row(resampled, self.columns, target, y, c, c + 1)


cdef void accumulate(const float* source, Py_ssize_t n, float w, float* row, bint add) noexcept nogil:
    cdef Py_ssize_t x
    if add:
        for x in range(n):
            row[x] = row[x] + w * source[x]
    else:
        for x in range(n):
            row[x] = w * source[x]
