/* Activation functions as operations, and for operations that have elements at hand in the cache.
 */
#include "device/cpu/activation.h"

#include <string.h>
#include "device/cpu/activation_kernels.h"

static const mb_activation_kernels_t *kernels(void)
{
    const mb_activation_kernels_t *best = mb_activation_kernels_avx512();
    if (best == NULL)
        best = mb_activation_kernels_avx2();
    return best == NULL ? mb_activation_kernels_plain() : best;
}

void mb_cpu_activate(const mb_act_forward_args_t *a, mb_cpu_runs_t runs)
{
    const mb_activation_parameters_t parameters = {a->p0, a->p1, a->p2};
    kernels()[a->act].forward(a->x, a->y, &runs, &parameters);
}

void mb_cpu_act_run(const mb_function_t *f, const float *x, float *y, int64_t count)
{
    const mb_activation_parameters_t parameters = {f->p0, f->p1, f->p2};
    const mb_cpu_runs_t run = {0, 1, count, 0};
    if (f->act != MB_ACT_LINEAR)
        kernels()[f->act].forward(x, y, &run, &parameters);
    else if (x != y)
        memcpy(y, x, sizeof(float) * (size_t)count);
}

void mb_cpu_act_run_back(const mb_function_t *f, const float *kept, float *d, int64_t count)
{
    const mb_activation_parameters_t parameters = {f->p0, f->p1, f->p2};
    if (f->act != MB_ACT_LINEAR)
        kernels()[f->act].backward(kept, d, d, count, &parameters);
}

static void forward_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const mb_act_forward_args_t *a = context;
    mb_span_t s = mb_span(tile, mb_elements_block(a->count), a->count);
    mb_cpu_activate(a, (mb_cpu_runs_t){s.begin, 1, s.end - s.begin, 0});
}

static void backward_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const mb_act_backward_args_t *a = context;
    const mb_activation_parameters_t parameters = {a->p0, a->p1, a->p2};
    mb_span_t s = mb_span(tile, mb_elements_block(a->count), a->count);
    const float *value = mb_act_from_value(a->act) ? a->y : a->x;
    kernels()[a->act].backward(value + s.begin, mb_in(a->dy) + s.begin, mb_out(a->dx) + s.begin,
                               s.end - s.begin, &parameters);
}

/* The identity is a copy, or nothing at all in place. */
static mb_status_t copy(mb_exec_t *exec, int64_t count, const float *from, float *to)
{
    if (from == to)
        return MB_OK;
    mb_copy_rows_args_t rows = {MB_F32, 1, count, count, count, from, to};
    return mb_cpu_copy_rows(exec, &rows);
}

mb_status_t mb_cpu_act_forward(mb_exec_t *exec, const mb_act_forward_args_t *args)
{
    MB_CPU_CHECK(MB_OP_ACT_FORWARD, args->count >= 0, "negative count");
    MB_CPU_CHECK(MB_OP_ACT_FORWARD, (unsigned)args->act < MB_ACT_COUNT, "unknown function");
    if (exec->planning)
        return MB_OK;
    if (args->act == MB_ACT_LINEAR)
        return copy(exec, args->count, args->x, args->y);
    mb_act_forward_args_t act = *args;
    mb_cpu_tiles(exec, mb_ceil_div(args->count, mb_elements_block(args->count)), forward_tile,
                 &act);
    return MB_OK;
}

mb_status_t mb_cpu_act_backward(mb_exec_t *exec, const mb_act_backward_args_t *args)
{
    MB_CPU_CHECK(MB_OP_ACT_BACKWARD, args->count >= 0, "negative count");
    MB_CPU_CHECK(MB_OP_ACT_BACKWARD, (unsigned)args->act < MB_ACT_COUNT, "unknown function");
    if (exec->planning)
        return MB_OK;
    if (args->act == MB_ACT_LINEAR)
        return copy(exec, args->count, args->dy, args->dx);
    const float *value = mb_act_from_value(args->act) ? args->y : args->x;
    MB_CPU_CHECK(MB_OP_ACT_BACKWARD, value != NULL || args->count == 0,
                 "the value that the derivative needs is missing");
    mb_act_backward_args_t act = *args;
    mb_cpu_tiles(exec, mb_ceil_div(args->count, mb_elements_block(args->count)), backward_tile,
                 &act);
    return MB_OK;
}
