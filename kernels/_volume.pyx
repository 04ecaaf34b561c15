# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The volume loop, without the GIL: columns, rows, planes, each output the blend of two neighbours.

Arguments arrive validated from `kernels/volume.py`; nothing here raises but for memory and buffers.
One call computes the rows [begin, end) of every output plane, so threads may share a volume. It works in bands of
rows: two source planes of a band, resampled in their plane, stay in the second level cache while the outputs between
them are written. Each is computed once.
"""
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

cdef extern from "_volume.h":
    ctypedef struct Type:
        char kind
        int size
        int swapped

    enum: LANES
    enum: WINDOW
    enum: GROUPS
    enum: WORD_CONTROL

    ctypedef struct Columns:
        Py_ssize_t outputs
        Py_ssize_t count
        int windows
        const int32_t* start
        const int32_t* at
        const int32_t* base
        const float* weight
        const uint8_t* control

    ctypedef struct Rows:
        const char* rows[4]
        const char* ahead[4]
        int count
        int coming
        int last

    ctypedef void (*Filter)(const Rows* rows, const Columns* columns, int base, float* to,
                            Py_ssize_t pitch) noexcept nogil
    ctypedef void (*Stage)(const char* source, const Py_ssize_t* shape, const Py_ssize_t* strides, Type type,
                           char* to) noexcept nogil
    Filter columns_u8, columns_u16, columns_s16, columns_f32
    Stage stage_1, stage_2, stage_4, stage_floats
    void blend_rows(const float* a, const float* b, float weight, Py_ssize_t n, float* to) noexcept nogil
    void blend_planes(const float* a, const float* b, float weight, float gain, float shift, Py_ssize_t n,
                      int stream, float* out) noexcept nogil
    void finish_streams() noexcept nogil

lanes, window, groups, words = LANES, WINDOW, GROUPS, bool(WORD_CONTROL)

cdef enum:
    ROWS = 4                 # filtered together: the tables of the columns are read once for all
    BAND_FLOATS = 1 << 14    # of one output plane
    SLACK = 16               # floats past a row that a vector may write
    STAGED = 16              # planes staged together where they, not the columns, are neighbours in memory

cdef struct Source:
    const char* data
    const Py_ssize_t* strides    # bytes from plane to plane, row to row, column to column
    const Py_ssize_t* shape
    Py_ssize_t itemsize          # in the loop
    Type type
    bint plain                   # rows are read as they are
    int base
    Filter columns
    Stage stage

cdef struct Scale:
    float gain, shift
    int stream

cdef struct Band:
    Py_ssize_t begin, end        # output rows
    Py_ssize_t first, count      # which of the used source rows
    Py_ssize_t row, rows         # the source rows from the first to the last of these

cdef struct Scratch:
    float* rows                  # filtered source rows of a band
    Py_ssize_t pitch             # floats from one to the next
    float* planes                # two resampled source planes of a band
    Py_ssize_t plane             # floats from one to the next
    Py_ssize_t held[2]           # which source plane is in which
    char* staged                 # source rows of some planes, columns side by side; NULL when the source has them so
    Py_ssize_t depth             # how many planes are staged together
    Py_ssize_t block             # which ones are


cdef bint describe(Source* source, const Py_buffer* view, tuple type, int base) except False:
    """How a buffer is read; `type` is (letter, kind, swapped, aligned), the letter one of B, H, h, f, or "" of others."""
    cdef char kind = ord(type[0]) if type[0] else c'f'
    source.type = Type(ord(type[1]), view.itemsize, type[2])
    source.data, source.strides, source.shape = <const char*>view.buf, view.strides, view.shape
    source.itemsize, source.base = view.itemsize if type[0] else sizeof(float), base
    source.plain = bool(type[0]) and type[3] and view.strides[2] == view.itemsize
    source.columns = (columns_s16 if kind == c'h' else columns_u16 if kind == c'H' else columns_u8 if kind == c'B'
                      else columns_f32)
    source.stage = (stage_floats if not type[0] else stage_1 if view.itemsize == 1 else stage_2
                    if view.itemsize == 2 else stage_4)
    return True


cdef class Interpolator:
    """The taps of one grid, ready for the loop.

    z, y, x : (start int32[n], weight float32[n]); output i is between samples start and start + 1, weight of the
    latter; both are 0 where an axis has one sample. For y, start counts in `used`, the source rows that any output
    needs. at, base, control : the x taps in blocks (see Columns); windows : whether these may be used.
    """
    cdef const int32_t[::1] z_start, y_start, x_start, used, at, base
    cdef const float[::1] z_weight, y_weight, x_weight
    cdef const uint8_t[::1] control
    cdef bint windows

    def __init__(self, z, y, x, used, at, base, control, bint windows):
        self.z_start, self.z_weight = z
        self.y_start, self.y_weight = y
        self.x_start, self.x_weight = x
        self.used, self.at, self.base, self.control, self.windows = used, at, base, control, windows

    def run(self, volume, tuple type, int base, float gain, float shift, float[:, :, ::1] out, bint stream, Py_ssize_t begin,
            Py_ssize_t end):
        """out = gain * (trilinear of volume - base) + shift, rows [begin, end) of every plane."""
        cdef Source source
        cdef Scale scale = Scale(gain, shift, stream)
        cdef bint done = False
        cdef Py_buffer view
        PyObject_GetBuffer(volume, &view, PyBUF_STRIDES | PyBUF_FORMAT)
        try:
            describe(&source, &view, type, base)
            with nogil:
                done = self._bands(&source, &scale, &out[0, 0, 0], begin, end)
        finally:
            PyBuffer_Release(&view)
        if not done:
            raise MemoryError("no memory for the scratch planes of one volume")

    cdef bint _bands(self, const Source* source, const Scale* scale, float* out, Py_ssize_t begin,
                     Py_ssize_t end) noexcept nogil:
        """Band after band; False when there is no memory for the scratch."""
        cdef Py_ssize_t height = max(<Py_ssize_t>ROWS, BAND_FLOATS // self.x_start.shape[0]), i, count = 0, rows = 0
        cdef Py_ssize_t bands = (end - begin + height - 1) // height
        cdef Scratch scratch
        cdef Band band
        for i in range(bands):
            band = self._reach(begin + i * height, min(begin + (i + 1) * height, end))
            count, rows = max(count, band.count), max(rows, band.rows)
        if not self._allocate(source, &scratch, min(height, end - begin), count, rows):
            return False
        for i in range(bands):
            band = self._reach(begin + i * height, min(begin + (i + 1) * height, end))
            self._band(source, scale, &scratch, &band, out)
        finish_streams()
        free(scratch.rows)
        free(scratch.staged)
        return True

    cdef Band _reach(self, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        """The source rows that output rows [begin, end) need; starts run up or down."""
        cdef Py_ssize_t first = min(self.y_start[begin], self.y_start[end - 1])
        cdef Py_ssize_t last = max(self.y_start[begin], self.y_start[end - 1])
        last = min(last + 1, self.used.shape[0] - 1)
        return Band(begin, end, first, last - first + 1, self.used[first], self.used[last] - self.used[first] + 1)

    cdef bint _allocate(self, const Source* source, Scratch* scratch, Py_ssize_t height, Py_ssize_t count,
                        Py_ssize_t rows) noexcept nogil:
        """Room for `height` output rows, `count` filtered rows and `rows` staged rows."""
        cdef Py_ssize_t columns = self.x_start.shape[0]
        scratch.pitch = (columns + 2 * SLACK - 1) // SLACK * SLACK
        scratch.plane = height * columns + SLACK
        scratch.staged, scratch.depth = NULL, 1
        scratch.rows = <float*>malloc((count * scratch.pitch + 2 * scratch.plane) * sizeof(float))
        if scratch.rows == NULL:
            return False
        memset(scratch.rows, 0, count * scratch.pitch * sizeof(float))
        scratch.planes = scratch.rows + count * scratch.pitch
        if source.plain:
            return True
        if source.strides[0] == source.type.size:
            scratch.depth = min(<Py_ssize_t>STAGED, source.shape[0])
        scratch.staged = <char*>malloc(scratch.depth * rows * source.shape[2] * source.itemsize)
        if scratch.staged == NULL:
            free(scratch.rows)
            return False
        return True

    cdef void _band(self, const Source* source, const Scale* scale, Scratch* scratch, const Band* band,
                    float* out) noexcept nogil:
        """The output rows of a band in every plane; a resampled source plane is kept until its last use."""
        cdef Py_ssize_t columns = self.x_start.shape[0], rows = self.y_start.shape[0], z, k
        cdef const float* below
        cdef const float* above
        scratch.held[0] = scratch.held[1] = scratch.block = -1
        for z in range(self.z_start.shape[0]):
            k = self.z_start[z]
            below = self._plane(source, scratch, band, k)
            above = self._plane(source, scratch, band, min(k + 1, source.shape[0] - 1))
            blend_planes(below, above, self.z_weight[z], scale.gain, scale.shift, (band.end - band.begin) * columns,
                         scale.stream, out + (z * rows + band.begin) * columns)

    cdef const float* _plane(self, const Source* source, Scratch* scratch, const Band* band,
                             Py_ssize_t k) noexcept nogil:
        """Source plane k, resampled in its plane."""
        cdef int slot = k & 1
        cdef float* plane = scratch.planes + slot * scratch.plane
        if scratch.held[slot] == k:
            return plane
        scratch.held[slot] = k
        self._rows(source, scratch, band, k, plane)
        return plane

    cdef void _rows(self, const Source* source, Scratch* scratch, const Band* band, Py_ssize_t k,
                    float* plane) noexcept nogil:
        """The used rows of plane k through the filter of the columns, a few at a time; then what lies between them."""
        cdef Columns columns = Columns(self.x_start.shape[0], self.at.shape[0], self.windows, &self.x_start[0], NULL,
                                       NULL, &self.x_weight[0], NULL)
        cdef Py_ssize_t i = 0, done = 0, stride = source.strides[1]
        cdef const char* data = source.data + k * source.strides[0] + band.row * stride
        cdef Rows rows
        if columns.count:
            columns.at = &self.at[0]
        if columns.windows:
            columns.base, columns.control = &self.base[0], &self.control[0]
        if scratch.staged != NULL:
            data = self._staged(source, scratch, band, k)
            stride = source.shape[2] * source.itemsize
        rows.last = source.shape[2] - 1
        while i < band.count:
            rows.count = self._point(rows.rows, band, data, stride, i)
            if i + rows.count < band.count:
                rows.coming = self._point(rows.ahead, band, data, stride, i + rows.count)
            else:
                rows.coming = self._point(rows.ahead, band, data + source.strides[0], stride, 0)
            source.columns(&rows, &columns, source.base, scratch.rows + i * scratch.pitch, scratch.pitch)
            i += rows.count
            done = self._between(scratch, band, done, band.first + i, plane)

    cdef Py_ssize_t _between(self, const Scratch* scratch, const Band* band, Py_ssize_t done, Py_ssize_t ready,
                             float* plane) noexcept nogil:
        """Output rows of a band whose source rows are all below `ready`, while these are hot; how many are done."""
        cdef Py_ssize_t columns = self.x_start.shape[0], y, second
        cdef bint upwards = self.y_start[band.begin] > self.y_start[band.end - 1]
        while done < band.end - band.begin:
            y = band.end - 1 - done if upwards else band.begin + done
            second = min(self.y_start[y] + 1, self.used.shape[0] - 1)
            if second >= ready:
                break
            blend_rows(scratch.rows + (self.y_start[y] - band.first) * scratch.pitch,
                       scratch.rows + (second - band.first) * scratch.pitch, self.y_weight[y], columns,
                       plane + (y - band.begin) * columns)
            done += 1
        return done

    cdef int _point(self, const char** rows, const Band* band, const char* data, Py_ssize_t stride,
                    Py_ssize_t first) noexcept nogil:
        """Point at a few of the used rows, where `data` is the row of the first of the band; how many."""
        cdef int count = min(<Py_ssize_t>ROWS, band.count - first), r
        for r in range(count):
            rows[r] = data + (self.used[band.first + first + r] - band.row) * stride
        return count

    cdef const char* _staged(self, const Source* source, Scratch* scratch, const Band* band,
                             Py_ssize_t k) noexcept nogil:
        """The rows of plane k from `band.row`, columns side by side."""
        cdef Py_ssize_t block = k // scratch.depth, first = block * scratch.depth, shape[3]
        shape[0], shape[1], shape[2] = min(scratch.depth, source.shape[0] - first), band.rows, source.shape[2]
        if scratch.block != block:
            scratch.block = block
            source.stage(source.data + first * source.strides[0] + band.row * source.strides[1], shape, source.strides,
                         source.type, scratch.staged)
        return scratch.staged + (k - first) * shape[1] * shape[2] * source.itemsize
