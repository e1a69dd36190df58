/* Functions of strided operands, and their reductions. A tile is a run of results. Each operand is
 * brought side by side for that run, unless it lies so; the function then sees contiguous rows
 * only, and walking along strides is kept out of it.
 *
 * A reduction takes the run once for each reduced index, or, where there are few results, one
 * result at a time over runs of reduced indices; which, and how many pieces it is cut into for the
 * threads, follows from the shape alone. */
#include "device/cpu/map.h"

#include <math.h>
#include <string.h>

#include "device/cpu/cpu.h"
#include "device/cpu/simd.h"

enum {
    RUN = 1024, /* elements brought side by side: four arrays of them stay in the first cache */
    FEW = 32,   /* results: fewer are reduced one at a time */
    PIECE = 1 << 16, /* of reduced elements, all results together, about */
    LANES = 8        /* of a sum over a run */
};

typedef struct {
    const mb_map_args_t *args;
    mb_cpu_map_fn_t function;
    int inputs, kept_axes;
    int64_t kept, reduced;
    bool contiguous[MB_MAP_INPUTS], y_contiguous; /* over the kept axes */
    bool across;                                  /* a run is of results */
    int64_t pieces;                               /* of the reduced indices */
    int64_t piece;                                /* indices in one */
    double *partial;                              /* [pieces, kept] */
} map_t;

/* ---- walking */

/* Where element INDEX of axes FROM to TO lies. */
static int64_t place_of(const mb_map_args_t *a, const int64_t *stride, int from, int to,
                        int64_t index)
{
    int64_t place = 0;
    for (int d = to - 1; d >= from; d--) {
        place += index % a->dim[d] * stride[d];
        index /= a->dim[d];
    }
    return place;
}

static bool is_contiguous(const mb_map_args_t *a, const int64_t *stride, int from, int to)
{
    int64_t step = 1;
    for (int d = to - 1; d >= from; d--) {
        if (a->dim[d] != 1 && stride[d] != step)
            return false;
        step *= a->dim[d];
    }
    return true;
}

/* Whole rows of the last axis at a time, from wherever the run begins in one. */
#define EACH_ROW(a, stride, from, to, begin, count, place, done, length, ...)                      \
    do {                                                                                           \
        int64_t row_ = (to) > (from) ? (a)->dim[(to)-1] : 1;                                       \
        for (int64_t done = 0, length; done < (count); done += length) {                           \
            int64_t left_ = row_ - ((begin) + done) % row_;                                        \
            int64_t place = place_of((a), (stride), (from), (to), (begin) + done);                 \
            length = left_ < (count)-done ? left_ : (count)-done;                                  \
            __VA_ARGS__;                                                                           \
        }                                                                                          \
    } while (0)

static void gather_row(const float *from, int64_t stride, float *to, int64_t count)
{
    if (stride == 1) {
        memcpy(to, from, (size_t)count * sizeof *to);
        return;
    }
    for (int64_t i = 0; i < count; i++)
        to[i] = from[i * stride];
}

static void gather(const mb_map_args_t *a, const int64_t *stride, int from, int to, int64_t begin,
                   int64_t count, const float *x, float *buffer)
{
    int64_t step = to > from ? stride[to - 1] : 0;
    EACH_ROW(a, stride, from, to, begin, count, place, done, length,
             gather_row(x + place, step, buffer + done, length));
}

static void store(const map_t *m, int64_t begin, int64_t count, const float *values)
{
    const mb_map_args_t *a = m->args;
    float *y = a->y;
    int64_t step = m->kept_axes > 0 ? a->y_stride[m->kept_axes - 1] : 0;
    EACH_ROW(a, a->y_stride, 0, m->kept_axes, begin, count, place, done, length, {
        for (int64_t i = 0; i < length; i++) {
            float *at = &y[place + i * step];
            *at = a->accumulate ? *at + values[done + i] : values[done + i];
        }
    });
}

typedef struct {
    float rows[MB_MAP_INPUTS][RUN], values[RUN];
    double sums[RUN];
} run_t;

/* The inputs of a run: results BEGIN and on at one reduced index, or reduced indices of one result.
 */
static void bring(const map_t *m, run_t *run, bool kept, int64_t begin, int64_t other,
                  int64_t count, const float *out[MB_MAP_INPUTS])
{
    const mb_map_args_t *a = m->args;
    int from = kept ? 0 : m->kept_axes, to = kept ? m->kept_axes : a->axes;
    for (int i = 0; i < m->inputs; i++) {
        out[i] = run->rows[i];
        if (a->constants >> i & 1)
            continue; /* filled once, by set_constants */
        int64_t there = place_of(a, a->stride[i], kept ? m->kept_axes : 0,
                                 kept ? a->axes : m->kept_axes, other);
        const float *x = (const float *)a->x[i] + there;
        if (m->contiguous[i])
            out[i] = x + begin;
        else
            gather(a, a->stride[i], from, to, begin, count, x, run->rows[i]);
    }
}

static void set_constants(const map_t *m, run_t *run)
{
    for (int i = 0; i < m->inputs; i++) {
        for (int64_t k = 0; (m->args->constants >> i & 1) && k < RUN; k++)
            run->rows[i][k] = m->args->constant[i];
    }
}

static const float *values_of(const map_t *m, run_t *run, bool kept, int64_t begin, int64_t other,
                              int64_t count)
{
    const float *x[MB_MAP_INPUTS] = {NULL};
    bring(m, run, kept, begin, other, count, x);
    if (m->args->function == MB_MAP_COPY)
        return x[0];
    m->function(x[0], x[1], x[2], run->values, count);
    return run->values;
}

/* ---- without a reduction */

static const float *scaled(const map_t *m, run_t *run, const float *values, int64_t count)
{
    if (!(m->args->scale < 1.0) && !(m->args->scale > 1.0))
        return values;
    for (int64_t i = 0; i < count; i++)
        run->values[i] = (float)((double)values[i] * m->args->scale);
    return run->values;
}

static void map_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const map_t *m = context;
    mb_span_t s = mb_span(tile, MB_CPU_BLOCK, m->kept);
    run_t run;
    set_constants(m, &run);
    for (int64_t begin = s.begin; begin < s.end; begin += RUN) {
        int64_t count = mb_min_i64(RUN, s.end - begin);
        const float *values = values_of(m, &run, true, begin, 0, count);
        store(m, begin, count, scaled(m, &run, values, count));
    }
}

/* ---- with one */

static double first_of(mb_reduction_t reduction)
{
    static const double firsts[] = {
        [MB_REDUCE_PRODUCT] = 1.0, [MB_REDUCE_MAX] = -INFINITY, [MB_REDUCE_MIN] = INFINITY};
    return firsts[reduction];
}

static inline double combine(mb_reduction_t reduction, double sum, double value)
{
    if (reduction == MB_REDUCE_SUM)
        return sum + value;
    if (reduction == MB_REDUCE_PRODUCT)
        return sum * value;
    if (reduction == MB_REDUCE_MAX)
        return sum > value || sum != sum ? sum : value;
    return sum < value || sum != sum ? sum : value;
}

MB_MULTIVERSION
static void add_values(double *sums, const float *values, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        sums[i] += (double)values[i];
}

static void take_values(mb_reduction_t reduction, double *sums, const float *values, int64_t count)
{
    if (reduction == MB_REDUCE_SUM) {
        add_values(sums, values, count);
        return;
    }
    for (int64_t i = 0; i < count; i++)
        sums[i] = combine(reduction, sums[i], (double)values[i]);
}

static void start(mb_reduction_t reduction, double *sums, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        sums[i] = first_of(reduction);
}

/* A run of results at each reduced index of the piece. */
static void reduce_across(const map_t *m, run_t *run, int64_t piece, int64_t begin, int64_t count)
{
    mb_reduction_t reduction = m->args->reduction;
    mb_span_t indices = mb_span(piece, m->piece, m->reduced);
    start(reduction, run->sums, count);
    for (int64_t r = indices.begin; r < indices.end; r++)
        take_values(reduction, run->sums, values_of(m, run, true, begin, r, count), count);
}

/* Whole groups of lanes side by side; what is left goes to the first ones. */
static double reduce_along(const map_t *m, run_t *run, int64_t piece, int64_t result)
{
    mb_reduction_t reduction = m->args->reduction;
    mb_span_t indices = mb_span(piece, m->piece, m->reduced);
    double lanes[LANES];
    start(reduction, lanes, LANES);
    for (int64_t r = indices.begin; r < indices.end; r += RUN) {
        int64_t count = mb_min_i64(RUN, indices.end - r);
        const float *values = values_of(m, run, false, r, result, count);
        for (int64_t i = 0; i < count; i += LANES)
            take_values(reduction, lanes, values + i, mb_min_i64(LANES, count - i));
    }
    for (int i = 1; i < LANES; i++)
        lanes[0] = combine(reduction, lanes[0], lanes[i]);
    return lanes[0];
}

static void finish(const map_t *m, run_t *run, int64_t begin, int64_t count, const double *sums)
{
    for (int64_t i = 0; i < count; i++)
        run->values[i] = (float)(sums[i] * m->args->scale);
    store(m, begin, count, run->values);
}

/* Tiles of one piece after the other. */
static void reduce_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const map_t *m = context;
    int64_t runs = mb_ceil_div(m->kept, RUN), piece = tile / runs;
    mb_span_t s = mb_span(tile % runs, RUN, m->kept);
    run_t run;
    set_constants(m, &run);
    if (m->across)
        reduce_across(m, &run, piece, s.begin, s.end - s.begin);
    for (int64_t k = s.begin; !m->across && k < s.end; k++)
        run.sums[k - s.begin] = reduce_along(m, &run, piece, k);
    if (m->pieces == 1)
        finish(m, &run, s.begin, s.end - s.begin, run.sums);
    else
        memcpy(m->partial + piece * m->kept + s.begin, run.sums,
               (size_t)(s.end - s.begin) * sizeof(double));
}

static void combine_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const map_t *m = context;
    mb_span_t s = mb_span(tile, RUN, m->kept);
    run_t run;
    for (int64_t k = s.begin; k < s.end; k++) {
        double sum = m->partial[k];
        for (int64_t piece = 1; piece < m->pieces; piece++)
            sum = combine(m->args->reduction, sum, m->partial[piece * m->kept + k]);
        run.sums[k - s.begin] = sum;
    }
    finish(m, &run, s.begin, s.end - s.begin, run.sums);
}

/* ---- the operation */

static void cut(map_t *m)
{
    const mb_map_args_t *a = m->args;
    m->across = m->kept >= FEW;
    int from = m->across || a->reduced == 0 ? 0 : m->kept_axes;
    int to = m->across || a->reduced == 0 ? m->kept_axes : a->axes;
    for (int i = 0; i < m->inputs; i++)
        m->contiguous[i] = is_contiguous(a, a->stride[i], from, to);
    int64_t results = mb_min_i64(m->kept, RUN);
    m->piece = mb_max_i64(1, PIECE / mb_max_i64(1, results));
    m->pieces = mb_ceil_div(m->reduced, m->piece);
}

static map_t map_of(const mb_map_args_t *args)
{
    map_t m = {.args = args,
               .function = mb_cpu_map_function(args->function),
               .inputs = mb_map_inputs(args->function),
               .kept_axes = args->axes - args->reduced,
               .kept = mb_map_kept(args),
               .reduced = mb_map_reduced(args)};
    cut(&m);
    return m;
}

static void reduce(mb_exec_t *exec, map_t *m)
{
    int64_t runs = mb_ceil_div(m->kept, RUN);
    mb_cpu_tiles(exec, runs * m->pieces, reduce_tile, m);
    if (m->pieces > 1)
        mb_cpu_tiles(exec, runs, combine_tile, m);
}

mb_status_t mb_cpu_map(mb_exec_t *exec, const mb_map_args_t *args)
{
    const char *fault = mb_map_fault(args);
    mb_workspace_t workspace;
    MB_CPU_CHECK(MB_OP_MAP, fault == NULL, fault);
    map_t m = map_of(args);
    size_t partial = m.pieces > 1 ? (size_t)(m.pieces * m.kept) * sizeof(double) : 0;
    MB_TRY(mb_cpu_workspace(exec, MB_OP_MAP, partial, 0, &workspace));
    m.partial = (double *)(void *)workspace.shared;
    if (exec->planning || m.kept == 0)
        return MB_OK;
    if (args->reduced == 0)
        mb_cpu_tiles(exec, mb_ceil_div(m.kept, MB_CPU_BLOCK), map_tile, &m);
    else
        reduce(exec, &m);
    return MB_OK;
}
