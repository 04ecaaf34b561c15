/* Connected components by runs: the scan of a row, the forest of components, the outline of one. No Python here. */
#ifndef EDGE_KERNELS_COMPONENTS_H
#define EDGE_KERNELS_COMPONENTS_H

#include <stdlib.h>
#include <string.h>

#include "_samples.h"
#include "_vector.h"

/* Samples [begin, end) of one row, all of them inside. */
typedef struct {
    int32_t begin, end, label;
} Run;

/* What is known of one component; axes are column, row, slice. A component that met an older one points at it. */
typedef struct {
    int32_t parent, low[3], high[3], seed[3];
    int64_t area, moments[3];  /* moments: sum of voxel centres, in half voxels */
    double sum;
    float most;
} Component;

typedef struct {
    Component *list;
    Py_ssize_t count, room;
} Forest;

/* The runs of one slice (an image is a slice per row): those of row y are [rows[y], rows[y + 1]). */
typedef struct {
    Run *runs;
    Py_ssize_t *rows, count, room;
} Layer;

/* 64 samples as bits: 1 where the sample is inside. */
static inline uint64_t inside_f32(const float *p, float threshold)
{
    uint64_t bits = 0;
#if defined(__AVX512BW__)
    const floats t = SPREAD(threshold);
    for (int i = 0; i < 4; i++) bits |= (uint64_t)_mm512_cmp_ps_mask(LOAD(p + 16 * i), t, _CMP_GT_OQ) << (16 * i);
#elif defined(__AVX2__)
    const floats t = SPREAD(threshold);
    for (int i = 0; i < 8; i++)
        bits |= (uint64_t)(unsigned)_mm256_movemask_ps(_mm256_cmp_ps(LOAD(p + 8 * i), t, _CMP_GT_OQ)) << (8 * i);
#elif defined(__SSE4_1__)
    const floats t = SPREAD(threshold);
    for (int i = 0; i < 16; i++)
        bits |= (uint64_t)(unsigned)_mm_movemask_ps(_mm_cmpgt_ps(LOAD(p + 4 * i), t)) << (4 * i);
#else
    for (int i = 0; i < 64; i++) bits |= (uint64_t)(p[i] > threshold) << i;
#endif
    return bits;
}

static inline uint64_t inside_u8(const uint8_t *p, float threshold)
{
    uint64_t bits = 0;
    (void)threshold;
#if defined(__AVX512BW__)
    const __m512i v = _mm512_loadu_si512(p);
    bits = _mm512_test_epi8_mask(v, v);
#elif defined(__AVX2__)
    for (int i = 0; i < 2; i++) {
        const __m256i v = _mm256_loadu_si256((const __m256i *)(p + 32 * i));
        bits |= (uint64_t)~(unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(v, _mm256_setzero_si256())) << (32 * i);
    }
#elif defined(__SSE4_1__)
    for (int i = 0; i < 4; i++) {
        const __m128i v = _mm_loadu_si128((const __m128i *)(p + 16 * i));
        bits |= (uint64_t)(~(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_setzero_si128())) & 0xFFFF) << (16 * i);
    }
#else
    for (int i = 0; i < 64; i++) bits |= (uint64_t)(p[i] != 0) << i;
#endif
    return bits;
}

/* The runs of one row of n samples, at most (n + 1) / 2; how many. Every bit that differs from its neighbour opens or
   closes one. */
#define DEFINE_SCAN(NAME, SAMPLE, INSIDE, IS_INSIDE)                                                  \
    static Py_ssize_t NAME(const char *row, Py_ssize_t n, float threshold, Run *runs)                 \
    {                                                                                                 \
        const SAMPLE *p = (const SAMPLE *)row;                                                        \
        uint64_t open = 0;                                                                            \
        Run *run = runs;                                                                              \
        for (Py_ssize_t x = 0; x < n; x += 64) {                                                      \
            uint64_t bits = 0, turns;                                                                 \
            if (x + 64 <= n) bits = INSIDE(p + x, threshold);                                         \
            else for (Py_ssize_t i = x; i < n; i++) bits |= (uint64_t)(IS_INSIDE) << (i - x);         \
            for (turns = bits ^ (bits << 1 | open); turns; turns &= turns - 1) {                      \
                const int32_t at = (int32_t)(x + __builtin_ctzll(turns));                             \
                if (open) (run++)->end = at;                                                          \
                else run->begin = at;                                                                 \
                open ^= 1;                                                                            \
            }                                                                                         \
        }                                                                                             \
        if (open) (run++)->end = (int32_t)n;                                                          \
        return run - runs;                                                                            \
    }
DEFINE_SCAN(scan_f32, float, inside_f32, p[i] > threshold)
DEFINE_SCAN(scan_u8, uint8_t, inside_u8, p[i] != 0)

/* Largest value and sum of n values. Runs are short, so what follows the loop counts: no lane is taken out by itself. */
#if defined(__AVX512VL__)
static inline void measure(const float *p, Py_ssize_t n, float *most, double *sum)
{
    __m256 best = _mm256_set1_ps(p[0]);
    __m512d added = _mm512_setzero_pd();
    for (Py_ssize_t i = 0; i < n; i += 8) {
        const __mmask8 here = (__mmask8)(n - i < 8 ? (1 << (n - i)) - 1 : 0xFF);
        const __m256 v = _mm256_mask_loadu_ps(best, here, p + i);
        best = _mm256_max_ps(best, v);
        added = _mm512_add_pd(added, _mm512_maskz_cvtps_pd(here, v));
    }
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(best), _mm256_extractf128_ps(best, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    *most = _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
    *sum = _mm512_reduce_add_pd(added);
}
#else
static inline void measure(const float *p, Py_ssize_t n, float *most, double *sum)
{
    float best[4] = {p[0], p[0], p[0], p[0]};
    double added[4] = {0, 0, 0, 0};
    Py_ssize_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; k++) {
            best[k] = p[i + k] > best[k] ? p[i + k] : best[k];
            added[k] += p[i + k];
        }
    for (int k = 0; i < n; i++, k++) {
        best[k] = p[i] > best[k] ? p[i] : best[k];
        added[k] += p[i];
    }
    best[0] = best[1] > best[0] ? best[1] : best[0], best[2] = best[3] > best[2] ? best[3] : best[2];
    *most = best[2] > best[0] ? best[2] : best[0];
    *sum = (added[0] + added[1]) + (added[2] + added[3]);
}
#endif

/* The oldest component that `label` is part of. */
static inline int32_t find_root(const Forest *forest, int32_t label)
{
    Component *list = forest->list;
    while (list[label].parent != label) label = list[label].parent = list[list[label].parent].parent;
    return label;
}

static inline int32_t unite(const Forest *forest, int32_t a, int32_t b)
{
    const int32_t older = a < b ? a : b;
    forest->list[a < b ? b : a].parent = older;
    return older;
}

/* What the runs of neighbour rows that touch `run` belong to, all of it united; -1 for nothing. `neighbours` are
   ranges of runs that both ends move along as the row is read; reach is 1 where diagonals touch. */
typedef struct {
    const Run *at, *end;
} Neighbours;

static inline int32_t touching(const Forest *forest, const Run *run, Neighbours *neighbours, int count, int32_t reach)
{
    int32_t label = -1;
    for (int i = 0; i < count; i++) {
        Neighbours *n = neighbours + i;
        while (n->at < n->end && n->at->end + reach <= run->begin) n->at++;
        for (const Run *other = n->at; other < n->end && other->begin < run->end + reach; other++) {
            const int32_t root = find_root(forest, other->label);
            label = label < 0 || label == root ? root : unite(forest, label, root);
        }
    }
    return label;
}

static inline int make_room(void **memory, Py_ssize_t *room, Py_ssize_t wanted, size_t size)
{
    void *more;
    if (wanted <= *room) return 1;
    wanted += wanted / 2;
    more = realloc(*memory, wanted * size);
    if (more == NULL) return 0;
    *memory = more;
    *room = wanted;
    return 1;
}

/* A new component, without any run yet; -1 without memory. */
static inline int32_t begin_component(Forest *forest, int32_t x, int32_t y, int32_t z)
{
    Component *made;
    if (forest->count == INT32_MAX ||
        !make_room((void **)&forest->list, &forest->room, forest->count + 1, sizeof(Component)))
        return -1;
    made = forest->list + forest->count;
    memset(made, 0, sizeof(*made));
    made->parent = (int32_t)forest->count;
    made->seed[0] = made->low[0] = made->high[0] = x;
    made->seed[1] = made->low[1] = made->high[1] = y;
    made->seed[2] = made->low[2] = made->high[2] = z;
    return (int32_t)forest->count++;
}

static inline void widen(Component *component, int axis, int32_t low, int32_t high)
{
    if (low < component->low[axis]) component->low[axis] = low;
    if (high > component->high[axis]) component->high[axis] = high;
}

static inline void add_run(Component *component, const Run *run, int32_t y, int32_t z, float most, double sum)
{
    const int64_t n = run->end - run->begin;
    widen(component, 0, run->begin, run->end);
    widen(component, 1, y, y + 1);
    widen(component, 2, z, z + 1);
    component->most = component->area == 0 || most > component->most ? most : component->most;
    component->area += n;
    component->moments[0] += n * ((int64_t)run->begin + run->end);
    component->moments[1] += n * (2 * (int64_t)y + 1);
    component->moments[2] += n * (2 * (int64_t)z + 1);
    component->sum += sum;
}

/* Give every component that met an older one to that, and put minus its number, from 1 in order of age, in `parent`;
   how many numbers. */
static Py_ssize_t settle(Forest *forest)
{
    Py_ssize_t number = 0;
    for (Py_ssize_t i = 0; i < forest->count; i++) {
        Component *part = forest->list + i, *whole = forest->list + find_root(forest, (int32_t)i);
        if (part == whole) continue;
        for (int axis = 0; axis < 3; axis++) {
            widen(whole, axis, part->low[axis], part->high[axis]);
            whole->moments[axis] += part->moments[axis];
        }
        whole->area += part->area;
        whole->sum += part->sum;
        if (part->most > whole->most) whole->most = part->most;
        part->area = 0;
    }
    for (Py_ssize_t i = 0; i < forest->count; i++) {
        Component *each = forest->list + i;
        each->parent = each->parent == i ? -(int32_t)++number : forest->list[each->parent].parent;
    }
    return number;
}

/* Provisional labels, from 1, to final numbers; 0 stays. */
static void relabel(const Forest *forest, int32_t *labels, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++)
        if (labels[i]) labels[i] = -forest->list[labels[i] - 1].parent;
}

/* The records that a caller gets: COMPONENT_2D and COMPONENT_3D of kernels/components.py. */
#define DEFINE_WRITE(NAME, AXES, FIRST)                                                               \
    typedef struct {                                                                                  \
        double centroid[AXES], mean;                                                                  \
        int64_t area;                                                                                 \
        int32_t box[2 * AXES], seed[AXES];                                                            \
        float max;                                                                                    \
    } NAME##_record;                                                                                  \
    static void NAME(const Forest *forest, char *out)                                                 \
    {                                                                                                 \
        NAME##_record *record = (NAME##_record *)out;                                                 \
        for (Py_ssize_t i = 0; i < forest->count; i++) {                                              \
            const Component *from = forest->list + i;                                                 \
            if (from->area == 0) continue;                                                            \
            memset(record, 0, sizeof(*record));                                                       \
            for (int axis = 0; axis < AXES; axis++) {                                                 \
                const int k = axis == 0 ? 0 : axis + FIRST;                                           \
                record->centroid[axis] = (double)from->moments[k] / (2 * (double)from->area);         \
                record->box[axis] = from->low[k];                                                     \
                record->box[AXES + axis] = from->high[k];                                             \
                record->seed[axis] = from->seed[k];                                                   \
            }                                                                                         \
            record->mean = from->sum / (double)from->area;                                            \
            record->area = from->area;                                                                \
            record->max = from->most;                                                                 \
            record++;                                                                                 \
        }                                                                                             \
    }
DEFINE_WRITE(write_2d, 2, 1)   /* an image is one row per slice: its rows are the axis of the slices */
DEFINE_WRITE(write_3d, 3, 0)

/* An image whose outlines are followed. */
typedef struct {
    const char *data;
    Py_ssize_t row_stride, column_stride, rows, columns;
    Type type;
    float threshold;
} Image;

static inline int is_inside(const Image *image, Py_ssize_t x, Py_ssize_t y)
{
    const char *p;
    if (x < 0 || y < 0 || x >= image->columns || y >= image->rows) return 0;
    p = image->data + y * image->row_stride + x * image->column_stride;
    return (float)number(p, image->type.kind, image->type.size, image->type.swapped) > image->threshold;
}

/* The outer outline of the component whose topmost, then leftmost pixel is (x, y): along pixel edges, the component to
   the right, corners only, the first one repeated at the end. Points beyond `room` pairs are counted, not written. */
static Py_ssize_t outline(const Image *image, Py_ssize_t x, Py_ssize_t y, int diagonals, int32_t *points,
                          Py_ssize_t room)
{
    static const int step_x[4] = {1, 0, -1, 0}, step_y[4] = {0, 1, 0, -1};       /* right, down, left, up */
    static const int left_x[4] = {0, 0, -1, -1}, left_y[4] = {-1, 0, 0, -1};     /* pixel ahead, on the left */
    static const int right_x[4] = {0, -1, -1, 0}, right_y[4] = {0, 0, -1, -1};   /* pixel ahead, on the right */
    const Py_ssize_t start_x = x, start_y = y;
    Py_ssize_t count = 0;
    int heading = 0, turn;
    do {
        if (count++ < room) *points++ = (int32_t)x, *points++ = (int32_t)y;
        do {
            int left, right;
            x += step_x[heading];
            y += step_y[heading];
            left = is_inside(image, x + left_x[heading], y + left_y[heading]);
            right = is_inside(image, x + right_x[heading], y + right_y[heading]);
            if (diagonals) turn = left ? 3 : right ? 0 : 1;
            else turn = !right ? 1 : left ? 3 : 0;
        } while (turn == 0);
        heading = (heading + turn) & 3;
    } while (x != start_x || y != start_y || heading != 0);
    if (count++ < room) *points++ = (int32_t)x, *points++ = (int32_t)y;
    return count;
}

#endif
