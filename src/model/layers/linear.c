/* y = x W + b over rows, and its gradients: what Dense and the projections of attention share. */
#include "model/layers/layers.h"

/* Samples that do not count come last, and rows of a sample lie together. */
static mb_status_t observe(const mb_run_t *run, const mb_linear_t *linear, int kernel,
                           const void *x)
{
    const mb_observer_t *observer = run->observer;
    if (observer == NULL || run->exec->planning || run->valid == 0)
        return MB_OK;
    int64_t rows = linear->rows / run->samples * run->valid;
    return observer->rows(observer->user, run, kernel, x, rows, linear->in);
}

mb_status_t mb_linear_forward(const mb_run_t *run, const mb_linear_t *linear, int kernel, int bias,
                              const void *x, void *y)
{
    mb_gemm_args_t args = {.type = mb_run_type(run),
                           .m = linear->rows,
                           .n = linear->out,
                           .k = linear->in,
                           .lda = linear->in,
                           .ldb = linear->out,
                           .ldc = linear->out,
                           .a = x,
                           .b = mb_run_param(run, kernel),
                           .bias = bias == MB_NO_PARAM ? NULL : mb_run_param(run, bias),
                           .c = y};
    const mb_matrix_t *stored = mb_run_stored(run, kernel);
    MB_TRY(observe(run, linear, kernel, x));
    if (stored == NULL)
        return mb_run_gemm(run->exec, &args);
    mb_stored_gemm_args_t stored_args = {.type = mb_run_type(run),
                                         .m = args.m,
                                         .lda = args.lda,
                                         .ldc = args.ldc,
                                         .integer = run->integer,
                                         .a = x,
                                         .bias =
                                             bias == MB_NO_PARAM ? NULL : mb_run_value(run, bias),
                                         .b = *stored,
                                         .c = y};
    return mb_run_stored_gemm(run->exec, &stored_args);
}

mb_status_t mb_linear_backward_input(const mb_run_t *run, const mb_linear_t *linear, int kernel,
                                     bool accumulate, const void *dy, void *dx)
{
    mb_gemm_args_t args = {.type = mb_run_type(run),
                           .m = linear->rows,
                           .n = linear->in,
                           .k = linear->out,
                           .transpose_b = true,
                           .accumulate = accumulate,
                           .lda = linear->out,
                           .ldb = linear->out,
                           .ldc = linear->in,
                           .a = dy,
                           .b = mb_run_param(run, kernel),
                           .c = dx};
    return mb_run_gemm(run->exec, &args);
}

static mb_status_t kernel_gradient(const mb_run_t *run, const mb_linear_t *linear, int kernel,
                                   const void *x, const void *dy)
{
    mb_gemm_args_t args = {.type = mb_run_type(run),
                           .wide = true,
                           .m = linear->in,
                           .n = linear->out,
                           .k = linear->rows,
                           .transpose_a = true,
                           .accumulate = run->accumulate,
                           .lda = linear->in,
                           .ldb = linear->out,
                           .ldc = linear->out,
                           .a = x,
                           .b = dy,
                           .c = mb_run_grad_param(run, kernel)};
    return mb_run_gemm(run->exec, &args);
}

mb_status_t mb_linear_backward_weights(const mb_run_t *run, const mb_linear_t *linear, int kernel,
                                       int bias, const void *x, const void *dy)
{
    if (mb_run_wants_param(run, kernel))
        MB_TRY(kernel_gradient(run, linear, kernel, x, dy));
    if (bias == MB_NO_PARAM || !mb_run_wants_param(run, bias))
        return MB_OK;
    mb_column_sum_args_t args = {.type = mb_run_type(run),
                                 .rows = linear->rows,
                                 .columns = linear->out,
                                 .accumulate = run->accumulate,
                                 .a = dy,
                                 .sum = mb_run_grad_param(run, bias)};
    return mb_run_column_sum(run->exec, &args);
}
