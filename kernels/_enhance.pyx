# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Histogram loops, without the GIL: extent and histogram of a frame, tables applied, CLAHE cell by cell.

Arguments arrive validated from `kernels/enhance.py`; nothing here raises but for memory and buffers.
"""
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t, uint16_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

cdef extern from "_enhance.h":
    enum: TABLES
    void quantise_u8(const char* row, Py_ssize_t n, int low, int range, int shift, uint16_t* bins) nogil
    void quantise_u16(const char* row, Py_ssize_t n, int low, int range, int shift, uint16_t* bins) nogil
    void extent_u8(const char* row, Py_ssize_t n, int* low, int* high) nogil
    void extent_u16(const char* row, Py_ssize_t n, int* low, int* high) nogil
    void extent_s16(const char* row, Py_ssize_t n, int* low, int* high) nogil
    void count_u8(const char* row, Py_ssize_t n, int low, Py_ssize_t size, uint32_t* counts) nogil
    void count_u16(const char* row, Py_ssize_t n, int low, Py_ssize_t size, uint32_t* counts) nogil
    void count_s16(const char* row, Py_ssize_t n, int low, Py_ssize_t size, uint32_t* counts) nogil
    void add_tables(uint32_t* counts, Py_ssize_t size) nogil
    void look_up_u8(const char* row, Py_ssize_t n, const void* table, int low, char* out) nogil
    void look_up_u16(const char* row, Py_ssize_t n, const void* table, int low, char* out) nogil
    void clipped_table(uint32_t* counts, Py_ssize_t bins, uint32_t limit, Py_ssize_t area, int top, float* table) nogil
    void weave(const float* a, const float* b, const float* c, const float* d, Py_ssize_t bins, float* corners) nogil
    void map_u8(const float* corners, const uint16_t* bins, Py_ssize_t n, float down, const float* across,
                char* out) nogil
    void map_u16(const float* corners, const uint16_t* bins, Py_ssize_t n, float down, const float* across,
                 char* out) nogil
    void prefetch_lines(const char* start, Py_ssize_t size) nogil
    Py_ssize_t mirrored(Py_ssize_t at, Py_ssize_t n) nogil

tables = TABLES

cdef enum:
    AHEAD = 4    # rows that parts of rows are asked for in advance: their ends defeat the hardware prefetcher

cdef struct Frame:
    char* data
    Py_ssize_t rows, columns, stride    # stride: bytes from row to row
    Py_ssize_t itemsize
    char kind                           # B, H or h: the struct module's letters


cdef struct Bins:
    int low, range, shift
    Py_ssize_t count
    uint32_t limit
    int top

cdef struct Scratch:
    uint32_t* counts                    # of one tile
    float* tables                       # of two rows of tiles
    float* corners                      # of one cell
    uint16_t* bins                      # of a part of a row


cdef class View:
    """A frame whose columns are neighbours in memory, held while it is read or written."""
    cdef Py_buffer buffer
    cdef Frame frame
    cdef bint held

    def __cinit__(self, frame, bint writable=False):
        self.held = False
        PyObject_GetBuffer(frame, &self.buffer, PyBUF_STRIDES | PyBUF_FORMAT | (PyBUF_WRITABLE if writable else 0))
        self.held = True
        self.frame = Frame(<char*>self.buffer.buf, self.buffer.shape[0], self.buffer.shape[1], self.buffer.strides[0],
                           self.buffer.itemsize, self.buffer.format[0])

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.buffer)


def extent(frame):
    """Least and largest sample."""
    cdef View view = View(frame)
    cdef int low = 1 << 30, high = -(1 << 30)
    cdef Py_ssize_t y
    cdef const char* row = view.frame.data
    with nogil:
        for y in range(view.frame.rows):
            if view.frame.kind == c'B':
                extent_u8(row, view.frame.columns, &low, &high)
            elif view.frame.kind == c'H':
                extent_u16(row, view.frame.columns, &low, &high)
            else:
                extent_s16(row, view.frame.columns, &low, &high)
            row += view.frame.stride
    return low, high


def histogram(frame, int low, uint32_t[::1] counts):
    """How often each value from `low` on occurs; counts is TABLES times as long as there are values, the first counts."""
    cdef View view = View(frame)
    cdef Py_ssize_t y, size = counts.shape[0] // TABLES
    cdef const char* row = view.frame.data
    with nogil:
        memset(&counts[0], 0, TABLES * size * sizeof(uint32_t))
        for y in range(view.frame.rows):
            if view.frame.kind == c'B':
                count_u8(row, view.frame.columns, low, size, &counts[0])
            elif view.frame.kind == c'H':
                count_u16(row, view.frame.columns, low, size, &counts[0])
            else:
                count_s16(row, view.frame.columns, low, size, &counts[0])
            row += view.frame.stride
        add_tables(&counts[0], size)


def look_up(frame, table, int low, out, Py_ssize_t begin, Py_ssize_t end):
    """out = table[sample - low] in rows [begin, end); table has the type of frame and out, uint8 or uint16."""
    cdef View source = View(frame), target = View(out, True)
    cdef Py_buffer entries
    cdef Py_ssize_t y
    PyObject_GetBuffer(table, &entries, PyBUF_STRIDES)
    with nogil:
        for y in range(begin, end):
            if source.frame.kind == c'B':
                look_up_u8(source.frame.data + y * source.frame.stride, source.frame.columns, entries.buf, low,
                           target.frame.data + y * target.frame.stride)
            else:
                look_up_u16(source.frame.data + y * source.frame.stride, source.frame.columns, entries.buf, low,
                            target.frame.data + y * target.frame.stride)
    PyBuffer_Release(&entries)


cdef class Clahe:
    """The geometry of tiles and cells, ready for the loop.

    A cell lies between the centres of four tiles; y_edges, x_edges : int32, where cells begin, one more than tiles
    plus one; down, across : float32, how far each row and column of the frame is on the way through its cell.
    """
    cdef const int32_t[::1] y_edges, x_edges
    cdef const float[::1] down, across
    cdef Py_ssize_t tile_rows, tile_columns, tiles_down, tiles_across

    def __init__(self, y_edges, x_edges, down, across, Py_ssize_t tile_rows, Py_ssize_t tile_columns):
        self.y_edges, self.x_edges, self.down, self.across = y_edges, x_edges, down, across
        self.tile_rows, self.tile_columns = tile_rows, tile_columns
        self.tiles_down, self.tiles_across = y_edges.shape[0] - 2, x_edges.shape[0] - 2

    def run(self, frame, out, int low, int range, int shift, uint32_t limit, int top, Py_ssize_t begin,
            Py_ssize_t end):
        """Rows of cells [begin, end); values from `low` to `low + range` in bins of 2 ** shift."""
        cdef View source = View(frame), target = View(out, True)
        cdef Bins bins = Bins(low, range, shift, (range >> shift) + 1, limit, top)
        cdef bint done = False
        with nogil:
            done = self._cells(&source.frame, &target.frame, &bins, begin, end)
        if not done:
            raise MemoryError("no memory for the histograms of one frame")

    cdef bint _cells(self, const Frame* frame, const Frame* out, const Bins* bins, Py_ssize_t begin,
                     Py_ssize_t end) noexcept nogil:
        """Row of cells after row of cells; False when there is no memory for the scratch."""
        cdef Py_ssize_t row = self.tiles_across * bins.count, c, above, below, held[2]
        cdef Scratch scratch
        scratch.counts = <uint32_t*>malloc(TABLES * bins.count * sizeof(uint32_t))
        scratch.tables = <float*>malloc((2 * row + 4 * bins.count) * sizeof(float))
        scratch.bins = <uint16_t*>malloc(self.tile_columns * sizeof(uint16_t))
        scratch.corners = scratch.tables + 2 * row
        held[0] = held[1] = -1
        if scratch.counts != NULL and scratch.tables != NULL and scratch.bins != NULL:
            for c in range(begin, end):
                above, below = max(c - 1, <Py_ssize_t>0), min(c, self.tiles_down - 1)
                if held[above & 1] != above:
                    self._tiles(frame, bins, &scratch, above, scratch.tables + (above & 1) * row)
                if held[below & 1] != below and below != above:
                    self._tiles(frame, bins, &scratch, below, scratch.tables + (below & 1) * row)
                held[above & 1], held[below & 1] = above, below
                self._row_of_cells(frame, out, bins, &scratch, c, scratch.tables + (above & 1) * row,
                                   scratch.tables + (below & 1) * row)
        else:
            begin = -1
        free(scratch.counts)
        free(scratch.tables)
        free(scratch.bins)
        return begin >= 0

    cdef void _tiles(self, const Frame* frame, const Bins* bins, const Scratch* scratch, Py_ssize_t tile,
                     float* tables) noexcept nogil:
        """The tables of one row of tiles."""
        cdef Py_ssize_t k, x, y, first, inside
        cdef const char* row
        for k in range(self.tiles_across):
            first = k * self.tile_columns
            inside = max(<Py_ssize_t>0, min(self.tile_columns, frame.columns - first))
            memset(scratch.counts, 0, TABLES * bins.count * sizeof(uint32_t))
            for y in range(tile * self.tile_rows, (tile + 1) * self.tile_rows):
                row = frame.data + mirrored(y, frame.rows) * frame.stride
                quantise(frame, bins, row, first, inside, scratch.bins)
                for x in range(inside, self.tile_columns):
                    quantise(frame, bins, row, mirrored(first + x, frame.columns), 1, scratch.bins + x)
                count_u16(<const char*>scratch.bins, self.tile_columns, 0, bins.count, scratch.counts)
            add_tables(scratch.counts, bins.count)
            clipped_table(scratch.counts, bins.count, bins.limit, self.tile_rows * self.tile_columns, bins.top,
                          tables + k * bins.count)

    cdef void _row_of_cells(self, const Frame* frame, const Frame* out, const Bins* bins, const Scratch* scratch,
                            Py_ssize_t c, const float* above, const float* below) noexcept nogil:
        """All cells between two rows of tiles."""
        cdef Py_ssize_t k, y, first, n, left, right
        cdef char* to
        for k in range(self.tiles_across + 1):
            first, n = self.x_edges[k], self.x_edges[k + 1] - self.x_edges[k]
            if n == 0:
                continue
            left, right = max(k - 1, <Py_ssize_t>0) * bins.count, min(k, self.tiles_across - 1) * bins.count
            weave(above + left, above + right, below + left, below + right, bins.count, scratch.corners)
            for y in range(self.y_edges[c], self.y_edges[c + 1]):
                quantise(frame, bins, frame.data + y * frame.stride, first, n, scratch.bins)
                to = out.data + y * out.stride + first * out.itemsize
                if out.kind == c'B':
                    map_u8(scratch.corners, scratch.bins, n, self.down[y], &self.across[first], to)
                else:
                    map_u16(scratch.corners, scratch.bins, n, self.down[y], &self.across[first], to)


cdef inline void quantise(const Frame* frame, const Bins* bins, const char* row, Py_ssize_t first, Py_ssize_t n,
                          uint16_t* to) noexcept nogil:
    row += first * frame.itemsize
    prefetch_lines(row + AHEAD * frame.stride, n * frame.itemsize)
    if frame.kind == c'B':
        quantise_u8(row, n, bins.low, bins.range, bins.shift, to)
    else:
        quantise_u16(row, n, bins.low, bins.range, bins.shift, to)
