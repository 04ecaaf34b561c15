# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The component scan, without the GIL: one pass over the samples, run by run.

Arguments arrive validated from `kernels/components.py`; nothing here raises but for memory and buffers.
Only the runs of two slices are kept, and one record per component. An image is handled as a volume of one row per
slice, so that two rows are kept.
"""
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t, uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

cdef extern from "_components.h":
    ctypedef struct Type:
        char kind
        int size
        int swapped

    ctypedef struct Run:
        int32_t begin
        int32_t end
        int32_t label

    ctypedef struct Component:
        pass

    ctypedef struct Forest:
        Component* list
        Py_ssize_t count
        Py_ssize_t room

    ctypedef struct Layer:
        Run* runs
        Py_ssize_t* rows
        Py_ssize_t count
        Py_ssize_t room

    ctypedef struct Neighbours:
        const Run* at
        const Run* end

    ctypedef struct Image:
        const char* data
        Py_ssize_t row_stride
        Py_ssize_t column_stride
        Py_ssize_t rows
        Py_ssize_t columns
        Type type
        float threshold

    void pack_floats(const char* row, Py_ssize_t stride, Py_ssize_t n, Type type, float* to) nogil
    void pack_inside(const char* row, Py_ssize_t stride, Py_ssize_t n, Type type, uint8_t* to) nogil
    Py_ssize_t scan_f32(const char* row, Py_ssize_t n, float threshold, Run* runs) nogil
    Py_ssize_t scan_u8(const char* row, Py_ssize_t n, float threshold, Run* runs) nogil
    void measure(const float* values, Py_ssize_t n, float* most, double* sum) nogil
    int32_t touching(const Forest* forest, const Run* run, Neighbours* neighbours, int count, int32_t reach) nogil
    bint make_room(void** memory, Py_ssize_t* room, Py_ssize_t wanted, size_t size) nogil
    int32_t begin_component(Forest* forest, int32_t x, int32_t y, int32_t z) nogil
    void add_run(Component* component, const Run* run, int32_t y, int32_t z, float most, double sum) nogil
    Py_ssize_t settle(Forest* forest) nogil
    void relabel(const Forest* forest, int32_t* labels, Py_ssize_t n) nogil
    void write_2d(const Forest* forest, char* out) nogil
    void write_3d(const Forest* forest, char* out) nogil
    Py_ssize_t outline(const Image* image, Py_ssize_t x, Py_ssize_t y, int diagonals, int32_t* points,
                       Py_ssize_t room) nogil

cdef struct Samples:
    const char* data            # NULL: there are none
    Py_ssize_t strides[3]       # bytes from slice to slice, row to row, column to column
    Type type
    bint plain                  # rows are read as they are
    char* row                   # else here, one at a time

cdef struct Scan:
    Samples samples
    Samples values              # none: every value is 1
    int32_t* labels             # NULL: not wanted
    Py_ssize_t shape[3]
    bint is_float               # inside is above the threshold, else what is not 0
    float threshold
    int32_t reach               # 1 where diagonals touch


cdef bint describe(Samples* samples, const Py_buffer* view, tuple type) except False:
    """How a volume is read: `type` is (plain, kind, swapped)."""
    samples.data, samples.strides = <const char*>view.buf, [view.strides[0], view.strides[1], view.strides[2]]
    samples.plain, samples.type = type[0], Type(ord(type[1]), view.itemsize, type[2])
    samples.row = NULL
    if not samples.plain:
        samples.row = <char*>calloc(view.shape[2], sizeof(float))
        if samples.row == NULL:
            raise MemoryError("no memory for one row of an image")
    return True


cdef const char* row_of(const Samples* samples, Py_ssize_t z, Py_ssize_t y, Py_ssize_t columns,
                        bint is_float) noexcept nogil:
    """A row as the scan reads it: float32, or bytes of which 0 is outside."""
    cdef const char* row = samples.data + z * samples.strides[0] + y * samples.strides[1]
    if samples.plain:
        return row
    if is_float:
        pack_floats(row, samples.strides[2], columns, samples.type, <float*>samples.row)
    else:
        pack_inside(row, samples.strides[2], columns, samples.type, <uint8_t*>samples.row)
    return samples.row


cdef class Components:
    """All components of one volume (slices, rows, columns); `flat`: of an image, given as (rows, 1, columns)."""
    cdef Forest forest
    cdef readonly Py_ssize_t count

    def __cinit__(self):
        memset(&self.forest, 0, sizeof(Forest))

    def __dealloc__(self):
        free(self.forest.list)

    def __init__(self, samples, tuple type, bint is_float, float threshold, values, value_type,
                 int32_t[:, :, ::1] labels, bint diagonals):
        """With `is_float` samples above the threshold are inside, else those that are not 0; values may be None.

        type, value_type : (plain, kind, swapped): rows that are float32 (or with no threshold bytes) side by side,
        the kind of sample (i, u or f), and whether it is in the other byte order.
        """
        cdef Scan scan
        cdef Py_buffer view, value_view
        cdef Py_ssize_t found
        memset(&scan, 0, sizeof(scan))
        scan.threshold, scan.reach, scan.is_float = threshold, diagonals, is_float
        if labels is not None:
            scan.labels = &labels[0, 0, 0]
        PyObject_GetBuffer(samples, &view, PyBUF_STRIDES | PyBUF_FORMAT)
        try:
            describe(&scan.samples, &view, type)
            scan.shape = [view.shape[0], view.shape[1], view.shape[2]]
            if values is None:
                with nogil:
                    found = self._scan(&scan)
            else:
                PyObject_GetBuffer(values, &value_view, PyBUF_STRIDES | PyBUF_FORMAT)
                try:
                    describe(&scan.values, &value_view, value_type)
                    with nogil:
                        found = self._scan(&scan)
                finally:
                    PyBuffer_Release(&value_view)
        finally:
            PyBuffer_Release(&view)
            free(scan.samples.row)
            free(scan.values.row)
        if found < 0:
            raise MemoryError("no memory for the components of one image")
        self.count = found

    def write(self, char[::1] out, bint flat):
        """Records of `count` components, oldest first."""
        if self.count == 0:
            return
        if flat:
            write_2d(&self.forest, &out[0])
        else:
            write_3d(&self.forest, &out[0])

    cdef Py_ssize_t _scan(self, const Scan* scan) noexcept nogil:
        """Slice after slice; the number of components, or -1 without memory."""
        cdef Layer[2] layers
        cdef Py_ssize_t z, found = 0
        memset(layers, 0, sizeof(layers))
        layers[0].rows = <Py_ssize_t*>calloc(2 * (scan.shape[1] + 1), sizeof(Py_ssize_t))
        if layers[0].rows == NULL:
            return -1
        layers[1].rows = layers[0].rows + scan.shape[1] + 1
        for z in range(scan.shape[0]):
            if not self._slice(scan, z, &layers[(z + 1) & 1], &layers[z & 1]):
                found = -1
                break
        free(layers[0].runs)
        free(layers[1].runs)
        free(layers[0].rows)
        if found < 0:
            return found
        found = settle(&self.forest)
        if scan.labels != NULL:
            relabel(&self.forest, scan.labels, scan.shape[0] * scan.shape[1] * scan.shape[2])
        return found

    cdef bint _slice(self, const Scan* scan, Py_ssize_t z, const Layer* before, Layer* layer) noexcept nogil:
        """The runs of slice z into `layer`, each with its component; False without memory."""
        cdef Py_ssize_t y, columns = scan.shape[2]
        cdef const char* row
        layer.count = 0
        for y in range(scan.shape[1]):
            if not make_room(<void**>&layer.runs, &layer.room, layer.count + columns // 2 + 1, sizeof(Run)):
                return False
            layer.rows[y] = layer.count
            row = row_of(&scan.samples, z, y, columns, scan.is_float)
            if scan.is_float:
                layer.count += scan_f32(row, columns, scan.threshold, layer.runs + layer.count)
            else:
                layer.count += scan_u8(row, columns, scan.threshold, layer.runs + layer.count)
            layer.rows[y + 1] = layer.count
            if scan.labels != NULL:
                memset(scan.labels + (z * scan.shape[1] + y) * columns, 0, columns * sizeof(int32_t))
            if layer.count > layer.rows[y] and not self._join(scan, z, y, before, layer):
                return False
        return True

    cdef bint _join(self, const Scan* scan, Py_ssize_t z, Py_ssize_t y, const Layer* before,
                    const Layer* layer) noexcept nogil:
        """The runs of one row to the components of the rows beside it; False without memory."""
        cdef Neighbours[4] neighbours
        cdef const char* values = NULL
        cdef int count = 0
        cdef Py_ssize_t i, x, first = max(<Py_ssize_t>0, y - scan.reach), last = min(y + scan.reach, scan.shape[1] - 1)
        cdef float most = 1
        cdef double total
        cdef Run* run
        if y > 0:
            neighbours[0] = Neighbours(layer.runs + layer.rows[y - 1], layer.runs + layer.rows[y])
            count = 1
        if z > 0:
            for i in range(first, last + 1):
                neighbours[count] = Neighbours(before.runs + before.rows[i], before.runs + before.rows[i + 1])
                count += 1
        if scan.values.data != NULL:
            values = row_of(&scan.values, z, y, scan.shape[2], True)
        for i in range(layer.rows[y], layer.rows[y + 1]):
            run = layer.runs + i
            run.label = touching(&self.forest, run, neighbours, count, scan.reach)
            if run.label < 0:
                run.label = begin_component(&self.forest, run.begin, y, z)
                if run.label < 0:
                    return False
            total = run.end - run.begin
            if values != NULL:
                measure(<const float*>values + run.begin, run.end - run.begin, &most, &total)
            add_run(self.forest.list + run.label, run, y, z, most, total)
            if scan.labels != NULL:
                for x in range(run.begin, run.end):
                    scan.labels[(z * scan.shape[1] + y) * scan.shape[2] + x] = run.label + 1
        return True


def trace(samples, tuple type, float threshold, Py_ssize_t x, Py_ssize_t y, bint diagonals, int32_t[:, ::1] points):
    """The outline of the component of pixel (x, y), its topmost and leftmost; how many points, written where they fit."""
    cdef Image image
    cdef Py_buffer view
    cdef Py_ssize_t count, room = points.shape[0]
    cdef int32_t* to = &points[0, 0]
    PyObject_GetBuffer(samples, &view, PyBUF_STRIDES | PyBUF_FORMAT)
    image = Image(<const char*>view.buf, view.strides[0], view.strides[1], view.shape[0], view.shape[1],
                  Type(ord(type[1]), view.itemsize, type[2]), threshold)
    with nogil:
        count = outline(&image, x, y, diagonals, to, room)
    PyBuffer_Release(&view)
    return count
