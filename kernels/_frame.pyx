# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Between Python and the frame loop of `_frame.h`: addresses, strides and the scratch rows.

Numbers arrive validated from `kernels/frame.py`; what is checked here is what each call brings, frames and a tensor.
One call computes the output rows [begin, end), so threads may share a frame; every output row is computed the same
way whatever the split, hence bit-identical results.
"""
cimport cython
from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport int32_t, uint16_t
from libc.stdlib cimport calloc, free

cdef extern from "_frame.h":
    int AS_STORED, YBR_FULL, YBR_FULL_422, PALETTE, SHOWN

    ctypedef struct Display:
        double low, high, a, b
        const float* table
        double entries, bias

    ctypedef struct Source:
        const char* data
        Py_ssize_t row, column, sample
        int size, packed, colour, swapped
        char kind
        const uint16_t* palette
        Py_ssize_t entries
        int first

    ctypedef struct Row:
        pass

    ctypedef struct Down:
        const int32_t* start
        const int32_t* extent
        const float* weights
        Py_ssize_t count, taps

    ctypedef struct Across:
        const int32_t* start
        const float* weights
        Py_ssize_t count, taps, near_taps
        const int32_t* near_index
        const float* near_weights

    ctypedef struct Clip:
        int base, range
        float low, high
        int whole
        Py_ssize_t most

    ctypedef struct Step:
        Clip clip
        const float* table
        Display display

    ctypedef struct Kernel:
        const Row* rows
        Py_ssize_t count, width
        int sharing, samples
        char kind
        Across across
        const Step* steps
        Py_ssize_t step_count, each
        const float* scale
        const float* offset
        const float* padding
        Py_ssize_t height, columns, top, left
        Py_ssize_t row_stride, column_stride, channel_stride

    bint arrange_rows(const Down* down, Row* rows)
    Py_ssize_t used_taps(const Across* across)
    Py_ssize_t arrange_near(const Across* across, Py_ssize_t taps, int32_t* index, float* near)
    Py_ssize_t measure(Kernel* kernel, Py_ssize_t taps)
    void run_frame(const Kernel* kernel, const Source* source, float* memory, float* out, Py_ssize_t begin,
                   Py_ssize_t end) noexcept nogil


cdef inline char letter(const Py_buffer* view, bint swapped) noexcept:
    """The struct module's letter of samples in the expected byte order, 0 for others; NumPy marks unaligned ones."""
    cdef const char* format = view.format
    if swapped != (format[0] == c'>'):
        return 0
    if format[0] == c'=' or format[0] == c'^' or format[0] == c'>':
        format += 1
    return format[0] if format[1] == 0 else 0


@cython.final
cdef class Resampler:
    """The taps of one plan, ready for the loop.

    y_start, y_extent, x_start : int32[n]; y_weights, x_weights : float32[n, taps], rows padded with zeros, x taps 4
    or a multiple of 8. width is the source's, in pixels.
    """
    cdef const int32_t[::1] y_start, y_extent, x_start
    cdef const float[:, ::1] y_weights, x_weights
    cdef Row* plan
    cdef Across across
    cdef void* near
    cdef bint sharing
    cdef Py_ssize_t width
    cdef readonly Py_ssize_t rows, columns

    def __cinit__(self, const int32_t[::1] y_start, const int32_t[::1] y_extent, const float[:, ::1] y_weights,
                  const int32_t[::1] x_start, const float[:, ::1] x_weights, Py_ssize_t width):
        cdef Down down = Down(&y_start[0], &y_extent[0], &y_weights[0, 0], y_start.shape[0], y_weights.shape[1])
        self.y_start, self.y_extent, self.y_weights = y_start, y_extent, y_weights
        self.x_start, self.x_weights = x_start, x_weights
        self.width = width
        self.rows, self.columns = y_start.shape[0], x_start.shape[0]
        self.plan = <Row*>PyMem_Calloc(self.rows, sizeof(Row))
        if self.plan == NULL:
            raise MemoryError
        self.sharing = arrange_rows(&down, self.plan)
        self.across = Across(&x_start[0], &x_weights[0, 0], self.columns, x_weights.shape[1], 0, NULL, NULL)
        self._arrange()

    def __dealloc__(self):
        PyMem_Free(self.plan)
        PyMem_Free(self.near)

    cdef _arrange(self):
        """The near layout of the horizontal pass, where the level has one that serves these taps."""
        cdef Py_ssize_t taps = used_taps(&self.across)
        cdef Py_ssize_t size = arrange_near(&self.across, taps, NULL, NULL)
        if size == 0:
            return
        self.near = PyMem_Calloc(size, sizeof(int32_t) + sizeof(float))
        if self.near == NULL:
            raise MemoryError
        self.across.near_taps = taps
        self.across.near_index, self.across.near_weights = <int32_t*>self.near, <float*>self.near + size
        arrange_near(&self.across, taps, <int32_t*>self.near, <float*>self.near + size)


@cython.final
cdef class Loop:
    """One prepared kernel: taps, transforms and constants with their addresses, and the scratch rows of a call.

    kind : the struct module's letter of the stored samples: "B", "H", "h", or any with `display`
    samples : 1 or 3 per pixel in the loop
    steps : of each transform (table, bias), (base, range, low, high) or, with `display`, (low, high, a, b, table, bias)
    shape : (channels, rows, columns) of the tensor; box : (top, left) of what is computed, the rest is padding
    scale, offset, padding : float32[channels]
    colour : "RGB" (or gray, as stored), "YBR_FULL", "YBR_FULL_422", or for PALETTE COLOR the pair uint16[n, 3] and first index
    display : for all other samples, of which the steps make 0..1 one by one: "i", "u" or "f", and whether swapped
    """
    cdef Kernel kernel
    cdef Resampler taps
    cdef char kind
    cdef int stored_samples, colour, first_entry
    cdef char family
    cdef bint swapped
    cdef const uint16_t[:, ::1] palette
    cdef Step* steps
    cdef list tables
    cdef const float[::1] scale, offset, padding
    cdef Py_ssize_t in_rows, scratch_floats
    cdef Py_ssize_t[3] shape  # of the tensor of one frame, as it lies in memory
    cdef float* scratch
    cdef bint busy

    def __cinit__(self, Resampler taps, str kind, int samples, list steps, Py_ssize_t in_rows, tuple shape, tuple box,
                  bint channels_last, const float[::1] scale, const float[::1] offset, const float[::1] padding,
                  object colour, tuple display):
        cdef Kernel* kernel = &self.kernel
        self.taps, self.in_rows = taps, in_rows
        self.scale, self.offset, self.padding = scale, offset, padding
        self.steps = <Step*>PyMem_Calloc(len(steps), sizeof(Step))
        if self.steps == NULL:
            raise MemoryError
        self.tables = [self._step(&self.steps[i], step) for i, step in enumerate(steps)]
        kernel.rows, kernel.count, kernel.width, kernel.sharing = taps.plan, taps.rows, taps.width, taps.sharing
        kernel.across, kernel.steps, kernel.step_count = taps.across, self.steps, len(steps)
        kernel.scale, kernel.offset, kernel.padding = &scale[0], &offset[0], &padding[0]
        kernel.samples, kernel.each = samples, shape[0] // len(steps)
        self._lay_out(shape, box, channels_last)
        self._colour(kind, colour)
        if display is not None:
            self.colour, self.kernel.kind = SHOWN, c'f'
            self.family, self.swapped = ord(display[0]), display[1]
        self.scratch_floats = measure(kernel, taps.y_weights.shape[1])
        self.scratch = <float*>PyMem_Calloc(self.scratch_floats, sizeof(float))
        if self.scratch == NULL:
            raise MemoryError

    def __dealloc__(self):
        PyMem_Free(self.steps)
        PyMem_Free(self.scratch)

    cdef object _step(self, Step* step, tuple numbers):
        """Fill `step`; what must live as long is returned."""
        cdef const float[::1] table
        if len(numbers) == 6:
            return self._shown(step, numbers)
        if len(numbers) == 2:
            table = numbers[0]
            step.table = &table[0] + <Py_ssize_t>numbers[1]
            return table
        step.clip.base, step.clip.range, step.clip.low, step.clip.high = numbers
        step.clip.whole = step.clip.low == 0 and step.clip.high == step.clip.range
        step.clip.most = 65535 // max(step.clip.range, 1)
        return None

    cdef object _shown(self, Step* step, tuple numbers):
        """A step for samples that are made display values one by one: nothing is left to clip."""
        cdef const float[::1] table
        cdef Display* display = &step.display
        step.clip = Clip(0, 1, 0, 1, True, 0)
        display.low, display.high, display.a, display.b, lut, display.bias = numbers
        if lut is None:
            return None
        table = lut
        display.table, display.entries = &table[0], table.shape[0]
        return table

    cdef _lay_out(self, tuple shape, tuple box, bint channels_last):
        cdef Kernel* kernel = &self.kernel
        cdef Py_ssize_t channels
        channels, kernel.height, kernel.columns = shape
        kernel.top, kernel.left = box
        kernel.channel_stride = 1 if channels_last else kernel.height * kernel.columns
        kernel.column_stride = channels if channels_last else 1
        kernel.row_stride = kernel.columns * kernel.column_stride
        for i, n in enumerate((*shape[1:], channels) if channels_last else shape):
            self.shape[i] = n

    cdef _colour(self, str kind, object colour):
        """How stored pixels become those of the loop."""
        self.kind, self.kernel.kind, self.stored_samples = ord(kind), ord(kind), self.kernel.samples
        if isinstance(colour, tuple):
            self.palette, self.first_entry = colour
            self.colour, self.stored_samples, self.kernel.kind = PALETTE, 1, c'H'
            return
        self.colour = {"RGB": AS_STORED, "YBR_FULL": YBR_FULL, "YBR_FULL_422": YBR_FULL_422}[colour]
        if self.colour == YBR_FULL_422:
            self.stored_samples = 2

    def run(self, frames, out, Py_ssize_t begin, Py_ssize_t end):
        """Output rows [begin, end) of each frame.

        False, and nothing done, when an array is not of the prepared type, shape or layout.
        """
        cdef Py_buffer source, target
        cdef bint fits
        try:
            PyObject_GetBuffer(frames, &source, PyBUF_STRIDES | PyBUF_FORMAT)
        except (BufferError, TypeError, ValueError):
            return False
        try:
            try:
                PyObject_GetBuffer(out, &target, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
            except (BufferError, TypeError, ValueError):
                return False
            try:
                fits = self._fits(&source, &target)
                if fits:
                    self._run(&source, &target, begin, end)
            finally:
                PyBuffer_Release(&target)
        finally:
            PyBuffer_Release(&source)
        return fits

    cdef bint _fits(self, const Py_buffer* source, const Py_buffer* target) noexcept:
        cdef int more = source.ndim - 2 - (self.stored_samples > 1)
        if letter(source, self.swapped) != self.kind or more < 0 or more > 1:
            return False
        if letter(target, False) != c'f' or target.ndim != 4 or <size_t>target.buf % 4 != 0:
            return False
        if target.shape[0] != (source.shape[0] if more else 1) or target.shape[1] != self.shape[0]:
            return False
        if target.shape[2] != self.shape[1] or target.shape[3] != self.shape[2]:
            return False
        if self.stored_samples > 1 and source.shape[more + 2] != self.stored_samples:
            return False
        return source.shape[more + 1] == self.taps.width and source.shape[more] == self.in_rows

    cdef Source _source(self, const Py_buffer* view, int more) noexcept:
        """The first frame."""
        cdef Source source
        source.data, source.size = <const char*>view.buf, view.itemsize
        source.row, source.column = view.strides[more], view.strides[more + 1]
        source.sample = view.strides[more + 2] if self.stored_samples > 1 else source.size
        source.colour, source.first = self.colour, self.first_entry
        source.kind, source.swapped = self.family, self.swapped
        source.palette = &self.palette[0, 0] if self.colour == PALETTE else NULL
        source.entries = self.palette.shape[0] if self.colour == PALETTE else 0
        source.packed = (self.colour == AS_STORED and source.sample == source.size
                         and source.column == self.stored_samples * source.size
                         and (<size_t>view.buf | <size_t>source.row) % source.size == 0)
        return source

    cdef _run(self, const Py_buffer* view, const Py_buffer* target, Py_ssize_t begin, Py_ssize_t end):
        cdef int more = view.ndim - 2 - (self.stored_samples > 1)
        cdef Py_ssize_t i, step = view.strides[0] if more else 0
        cdef Py_ssize_t floats = self.shape[0] * self.shape[1] * self.shape[2]
        cdef bint mine = not self.busy
        cdef float* memory = self.scratch if mine else <float*>calloc(self.scratch_floats, sizeof(float))
        cdef Source source = self._source(view, more)
        if memory == NULL:
            raise MemoryError("no memory for the scratch rows of one frame")
        if step % source.size:
            source.packed = False
        self.busy = True
        with nogil:
            for i in range(target.shape[0]):
                run_frame(&self.kernel, &source, memory, <float*>target.buf + i * floats, begin, end)
                source.data += step
        if mine:
            self.busy = False
        else:
            free(memory)
