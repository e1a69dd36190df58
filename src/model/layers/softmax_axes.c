/* See softmax_axes.h. */
#include "model/layers/softmax_axes.h"

static mb_view_t sums_of(const mb_run_t *run, uint32_t axes)
{
    mb_view_t view = mb_view_output(run);
    mb_view_reduce(&view, axes);
    return view;
}

size_t mb_softmax_saved(const mb_call_t *call, uint32_t axes, int64_t samples)
{
    int64_t sums = samples;
    for (int d = 0; d < call->output.rank; d++)
        sums *= axes >> (d + 1) & 1 ? 1 : call->output.dim[d];
    return (size_t)sums * mb_dtype_bytes(call->output_type);
}

/* Into the saved block: the reduction of f(a, b) along the axes. */
static mb_status_t reduce(const mb_run_t *run, uint32_t axes, mb_reduction_t reduction,
                          mb_map_t function, mb_map_input_t a, mb_map_input_t b)
{
    mb_map_call_t map = {.function = function,
                         .reduction = reduction,
                         .inputs = {a, b},
                         .view = sums_of(run, axes),
                         .y = run->saved,
                         .reduced = axes};
    return mb_run_strided(run, &map);
}

static mb_status_t each(const mb_run_t *run, mb_map_t function, mb_map_input_t a, mb_map_input_t b,
                        void *y)
{
    mb_map_call_t map = {
        .function = function, .inputs = {a, b}, .view = mb_view_output(run), .y = y};
    return mb_run_strided(run, &map);
}

static mb_map_input_t whole(const mb_run_t *run, const void *values)
{
    return mb_map_tensor(values, mb_view_output(run));
}

/* x less the largest, then either exp(.) over its sum, or less the logarithm of the sum of exp(.)
 */
mb_status_t mb_softmax_forward(const mb_run_t *run, uint32_t axes, bool logarithm)
{
    mb_map_input_t x = whole(run, mb_run_input(run, 0)), y = whole(run, run->output);
    mb_map_input_t sums = mb_map_tensor(run->saved, sums_of(run, axes)), none = mb_map_constant(0);
    MB_TRY(reduce(run, axes, MB_REDUCE_MAX, MB_MAP_COPY, x, none));
    MB_TRY(each(run, MB_MAP_SUBTRACT, x, sums, run->output));
    if (!logarithm)
        MB_TRY(each(run, MB_MAP_EXP, y, none, run->output));
    MB_TRY(reduce(run, axes, MB_REDUCE_SUM, logarithm ? MB_MAP_EXP : MB_MAP_COPY, y, none));
    if (!logarithm)
        return each(run, MB_MAP_DIVIDE, y, sums, run->output);
    mb_map_call_t log = {
        .function = MB_MAP_LOG, .inputs = {sums}, .view = sums_of(run, axes), .y = run->saved};
    for (int d = 0; d < log.view.axes; d++) {
        if (axes >> d & 1)
            log.view.dim[d] = log.inputs[0].view.dim[d] = 1;
    }
    MB_TRY(mb_run_strided(run, &log));
    return each(run, MB_MAP_SUBTRACT, y, sums, run->output);
}

/* dx = y (dy - sum(y dy)); of the logarithm dx = dy - exp(y) sum(dy). */
mb_status_t mb_softmax_backward(const mb_run_t *run, uint32_t axes, bool logarithm)
{
    void *dx = mb_run_grad_input(run, 0);
    mb_map_input_t dy = whole(run, run->grad_output), y = whole(run, run->output);
    mb_map_input_t sums = mb_map_tensor(run->saved, sums_of(run, axes)), own = whole(run, dx);
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    MB_TRY(reduce(run, axes, MB_REDUCE_SUM, logarithm ? MB_MAP_COPY : MB_MAP_MULTIPLY, dy, y));
    if (!logarithm) {
        MB_TRY(each(run, MB_MAP_SUBTRACT, dy, sums, dx));
        return each(run, MB_MAP_MULTIPLY, own, y, dx);
    }
    MB_TRY(each(run, MB_MAP_EXP, y, mb_map_constant(0), dx));
    MB_TRY(each(run, MB_MAP_MULTIPLY, own, sums, dx));
    return each(run, MB_MAP_SUBTRACT, dy, own, dx);
}
