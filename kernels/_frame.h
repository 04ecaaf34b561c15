/* The frame loop: clip or table, vertical pass, horizontal pass, affine per channel, layout. No Python here, no
   allocation, no errors. */
#ifndef EDGE_KERNELS_FRAME_H
#define EDGE_KERNELS_FRAME_H

#include "_frame_plan.h"
#include "_frame_source.h"
#include "_frame_table.h"

enum {
    PIECE = 8,      /* source rows that are in the scratch at a time, and entries summed before they are weighted */
    ALIGNED = 64,   /* floats that the vertical pass may take at a time */
};

typedef struct {
    Clip clip;
    const float *table;        /* entry of sample value 0, or NULL for the clip */
    Display display;           /* of samples to be SHOWN; then the clip has nothing left to do */
} Step;

/* One prepared kernel. */
typedef struct {
    const Row *rows;           /* of the plan */
    Py_ssize_t count;          /* rows that are computed */
    Py_ssize_t width;          /* of the source, in pixels */
    int sharing, samples;
    char kind;                 /* B, H, h or f: the struct module's letters */
    Across across;
    const Step *steps;         /* each makes `each` channels */
    Py_ssize_t step_count, each;
    const float *scale, *offset, *padding;     /* per channel */
    Py_ssize_t height, columns, top, left;     /* of the tensor; the box that is computed */
    Py_ssize_t row_stride, column_stride, channel_stride;  /* in floats */
    Py_ssize_t batch;          /* filtered rows that go through the horizontal pass together */
    Py_ssize_t row_floats, plane_floats, entry_floats, source_floats;     /* of scratch */
} Kernel;

/* The scratch of one call. */
typedef struct {
    float *rows;               /* filtered rows, interleaved like the source: `batch` for each step */
    float *carry;              /* two rows for each step: what goes from output row to output row */
    float *kept;               /* a row for each step: what goes from piece to piece of a strip */
    float *entries;            /* PIECE rows, out of the table */
    char *source;              /* PIECE source rows, side by side */
    float *planes;             /* three planes of one row, for three samples per pixel */
    float *resampled;          /* a row after the horizontal pass, for tensors with channels last */
} Scratch;

/* Sizes of the scratch; how many floats it takes in all. */
static Py_ssize_t measure(Kernel *kernel, Py_ssize_t taps)
{
    const Py_ssize_t piece = taps < PIECE ? taps : PIECE, size = kernel->kind == 'B' ? 1 : kernel->kind == 'f' ? 4 : 2;
    const Py_ssize_t width = kernel->width * kernel->samples;
    kernel->row_floats = (width + ALIGNED - 1) / ALIGNED * ALIGNED + ALIGNED;
    kernel->plane_floats = kernel->samples == 3 ? kernel->width + MARGIN : 0;
    kernel->entry_floats = 0;
    for (Py_ssize_t i = 0; i < kernel->step_count; i++)
        if (kernel->steps[i].table) kernel->entry_floats = piece * kernel->row_floats;
    kernel->source_floats = (piece * width * size + 64) / 64 * 16;
    kernel->batch = kernel->across.near_taps ? 2 : 1;
    return kernel->row_floats * (kernel->batch + 3) * kernel->step_count + kernel->entry_floats
         + kernel->source_floats + 3 * kernel->plane_floats + kernel->across.count;
}

static Scratch share(const Kernel *kernel, float *memory)
{
    const Py_ssize_t each = kernel->step_count * kernel->row_floats;
    Scratch scratch;
    scratch.rows = memory;
    scratch.carry = scratch.rows + kernel->batch * each;
    scratch.kept = scratch.carry + 2 * each;
    scratch.entries = scratch.kept + each;
    scratch.source = (char *)(scratch.entries + kernel->entry_floats);
    scratch.planes = scratch.entries + kernel->entry_floats + kernel->source_floats;
    scratch.resampled = scratch.planes + 3 * kernel->plane_floats;
    return scratch;
}

/* Fill what lies outside the box, channel by channel. */
static void pad(const Kernel *kernel, float *out)
{
    const Py_ssize_t bottom = kernel->top + kernel->count, right = kernel->left + kernel->across.count;
    const Py_ssize_t step = kernel->column_stride, channels = kernel->step_count * kernel->each;
    if (kernel->count == kernel->height && kernel->across.count == kernel->columns) return;
    for (Py_ssize_t c = 0; c < channels; c++)
        for (Py_ssize_t y = 0; y < kernel->height; y++) {
            float *row = out + c * kernel->channel_stride + y * kernel->row_stride;
            const int inside = kernel->top <= y && y < bottom;
            for (Py_ssize_t x = 0; inside && x < kernel->left; x++) row[x * step] = kernel->padding[c];
            for (Py_ssize_t x = inside ? right : 0; x < kernel->columns; x++) row[x * step] = kernel->padding[c];
        }
}

/* RGBRGB... to three planes, `plane` floats apart, or to one of luminance (ITU-R BT.601, as JPEG's Y). */
static void split_planes(const float *__restrict row, Py_ssize_t width, int luminance, float *__restrict planes,
                         Py_ssize_t plane)
{
    for (Py_ssize_t x = 0; luminance && x < width; x++)
        planes[x] = 0.299f * row[3 * x] + 0.587f * row[3 * x + 1] + 0.114f * row[3 * x + 2];
    for (Py_ssize_t x = 0; !luminance && x < width; x++) {
        planes[x] = row[3 * x];
        planes[plane + x] = row[3 * x + 1];
        planes[2 * plane + x] = row[3 * x + 2];
    }
}

/* Filtered rows through the horizontal pass to `count` channels from `first` on. */
static void resample_rows(const Kernel *kernel, const Scratch *scratch, const float *row, int rows, Py_ssize_t first,
                          Py_ssize_t count, float *out)
{
    const float one = 1, zero = 0;
    const Finish finish = {kernel->scale + first, kernel->offset + first, count, kernel->channel_stride,
                           kernel->row_stride};
    const Finish plain = {&one, &zero, 1, 0, 0};
    out += first * kernel->channel_stride;
    if (kernel->column_stride == 1) {
        horizontal_pass(row, kernel->row_floats, rows, &kernel->across, &finish, out);
        return;
    }
    for (int r = 0; r < rows; r++, out += kernel->row_stride) {
        horizontal_pass(row + r * kernel->row_floats, 0, 1, &kernel->across, &plain, scratch->resampled);
        for (Py_ssize_t c = 0; c < count; c++) {
            float *to = out + c * kernel->channel_stride;
            const float a = finish.scale[c], b = finish.offset[c];
            for (Py_ssize_t x = 0; x < kernel->across.count; x++)
                to[x * kernel->column_stride] = a * scratch->resampled[x] + b;
        }
    }
}

/* The filtered rows of one step, of output rows from y on, to its channels. */
static void write_rows(const Kernel *kernel, const Scratch *scratch, Py_ssize_t step, Py_ssize_t y, int rows, float *out)
{
    const float *row = scratch->rows + step * kernel->batch * kernel->row_floats;
    const Py_ssize_t first = step * kernel->each;
    out += (kernel->top + y) * kernel->row_stride + kernel->left * kernel->column_stride;
    if (kernel->samples == 1) {
        resample_rows(kernel, scratch, row, rows, first, kernel->each, out);
        return;
    }
    for (int r = 0; r < rows; r++, row += kernel->row_floats, out += kernel->row_stride) {
        split_planes(row, kernel->width, kernel->each == 1, scratch->planes, kernel->plane_floats);
        for (Py_ssize_t c = 0; c < kernel->each; c++)
            resample_rows(kernel, scratch, scratch->planes + c * kernel->plane_floats, 1, first + c, 1, out);
    }
}

/* Where the rows of a piece are: in the source, or side by side in the scratch. `coming` is the next output row. */
static void find_rows(const Kernel *kernel, const Source *source, const Display *display, const Scratch *scratch,
                      Py_ssize_t first, const Row *coming, Strip *piece)
{
    const char *data = source->data + first * source->row;
    piece->ahead = data, piece->ahead_bytes = 0;
    if (source->packed) {
        piece->rows = data, piece->stride = source->row;
        if (!coming || source->row <= 0) return;
        piece->ahead = source->data + coming->first * source->row;
        piece->ahead_bytes = (coming->end - coming->first) * source->row;
        return;
    }
    piece->rows = scratch->source;
    piece->stride = piece->width * (kernel->kind == 'B' ? 1 : kernel->kind == 'f' ? 4 : 2);
    for (Py_ssize_t k = 0; k < piece->own + piece->shared; k++)
        pack_row(source, display, data + k * source->row, kernel->width, kernel->samples,
                 scratch->source + k * piece->stride);
}

/* One output row of the plan: `done` source rows of it are done, `rows` follow. With the last ones it is filtered, and
   waits in `slot` until `flush`. */
typedef struct {
    Py_ssize_t y, done, rows, slot;
    const float *before;
    float *after;
    int last, flush;
} Turn;

static void take_piece(const Kernel *kernel, const Source *source, const Scratch *scratch, const Turn *turn, float *out)
{
    const Row *plan = kernel->rows + turn->y;
    const Py_ssize_t own = plan->strip.own > turn->done ? plan->strip.own - turn->done : 0, rows = turn->rows;
    const int more = turn->done == 0 && turn->y + 1 < kernel->count;
    Strip piece;  /* field by field: a copy of the whole would be read back before it is written */
    piece.own = own < rows ? own : rows, piece.shared = rows - piece.own;
    piece.even = plan->strip.even, piece.tall = plan->strip.tall;
    piece.weights = plan->strip.weights + turn->done;
    piece.resumed = turn->done > plan->strip.own;
    piece.next = plan->strip.next + (piece.resumed ? turn->done - plan->strip.own : 0);
    piece.width = kernel->width * kernel->samples;
    for (Py_ssize_t i = 0; i < kernel->step_count; i++) {
        const Py_ssize_t at = i * kernel->row_floats;
        const Step *step = kernel->steps + i;
        float *row = scratch->rows + (i * kernel->batch + turn->slot) * kernel->row_floats;
        if (i == 0 || source->colour == SHOWN)
            find_rows(kernel, source, &step->display, scratch, plan->first + turn->done, more ? plan + 1 : NULL, &piece);
        piece.before = turn->done ? scratch->kept + at : turn->before ? turn->before + at : NULL;
        piece.kept = turn->last ? NULL : scratch->kept + at;
        piece.after = turn->after + at;
        if (step->table) table_pass(kernel->kind, &piece, step->table, scratch->entries, kernel->row_floats, row);
        else vertical_pass(kernel->kind, &piece, step->clip, row);
        piece.ahead_bytes = 0;
        if (turn->flush) write_rows(kernel, scratch, i, turn->y - turn->slot, (int)turn->slot + 1, out);
    }
}

/* Output rows [begin, end) of one frame; where rows are shared, from the row before, for what it carries along. */
static void run_frame(const Kernel *kernel, const Source *source, float *memory, float *out, Py_ssize_t begin,
                      Py_ssize_t end)
{
    const Scratch scratch = share(kernel, memory);
    int whole = source->packed;
    Turn turn = {0, 0, 0, 0, NULL, scratch.carry, 0, 0};
    for (Py_ssize_t i = 0; i < kernel->step_count; i++) whole = whole && !kernel->steps[i].table;
    if (begin == 0) pad(kernel, out);
    for (turn.y = begin > 0 && kernel->sharing ? begin - 1 : begin; turn.y < end; turn.y++) {
        const Strip *strip = &kernel->rows[turn.y].strip;
        const Py_ssize_t total = strip->own + strip->shared;
        const int full = turn.y >= begin && ((turn.y - begin) % kernel->batch + 1 == kernel->batch || turn.y + 1 == end);
        turn.slot = turn.y >= begin ? (turn.y - begin) % kernel->batch : 0;
        turn.done = turn.last = 0;
        while (!turn.last) {
            turn.rows = whole || total - turn.done < PIECE ? total - turn.done : PIECE;
            turn.last = turn.done + turn.rows == total;
            turn.flush = full && turn.last;
            take_piece(kernel, source, &scratch, &turn, out);
            turn.done += turn.rows;
        }
        turn.before = strip->shared ? turn.after : NULL;
        turn.after = scratch.carry + (turn.after == scratch.carry ? kernel->step_count * kernel->row_floats : 0);
    }
}

#endif
