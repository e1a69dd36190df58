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

static mb_gemm_args_t product_of(const mb_run_t *run, const mb_linear_t *linear, int kernel,
                                 int bias, const void *x, void *y)
{
    return (mb_gemm_args_t){.type = mb_run_type(run),
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
}

static mb_status_t stored_product(const mb_run_t *run, const mb_linear_t *linear, int kernel,
                                  int bias, const void *x, void *y)
{
    mb_stored_gemm_args_t args = {.type = mb_run_type(run),
                                  .m = linear->rows,
                                  .lda = linear->in,
                                  .ldc = linear->out,
                                  .integer = run->integer,
                                  .a = x,
                                  .bias = bias == MB_NO_PARAM ? NULL : mb_run_value(run, bias),
                                  .b = *mb_run_stored(run, kernel),
                                  .c = y};
    return mb_run_stored_gemm(run->exec, &args);
}

mb_status_t mb_linear_forward(const mb_run_t *run, const mb_linear_t *linear, int kernel, int bias,
                              const void *x, void *y)
{
    MB_TRY(observe(run, linear, kernel, x));
    if (mb_run_stored(run, kernel) != NULL)
        return stored_product(run, linear, kernel, bias, x, y);
    mb_gemm_args_t args = product_of(run, linear, kernel, bias, x, y);
    return mb_run_gemm(run->exec, &args);
}

mb_status_t mb_linear_activated(const mb_run_t *run, const mb_linear_t *linear, int kernel,
                                int bias, const mb_activation_t *activation, const void *x)
{
    if (activation->softmax || mb_run_stored(run, kernel) != NULL) {
        void *z = mb_activated_target(activation, run);
        MB_TRY(mb_linear_forward(run, linear, kernel, bias, x, z));
        return mb_activated_forward(activation, run);
    }
    mb_gemm_args_t args = product_of(run, linear, kernel, bias, x, run->output);
    args.act = activation->act;
    args.p0 = activation->p0;
    args.p1 = activation->p1;
    args.p2 = activation->p2;
    args.pre = activation->needs_input ? run->saved : NULL;
    MB_TRY(observe(run, linear, kernel, x));
    return mb_run_gemm(run->exec, &args);
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

static mb_status_t kernel_gradient(const mb_run_t *run, const mb_linear_t *linear, float *dkernel,
                                   float *dbias, const void *x, const void *dy)
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
                           .c = dkernel,
                           .dbias = dbias};
    return mb_run_gemm(run->exec, &args);
}

static mb_status_t bias_gradient(const mb_run_t *run, const mb_linear_t *linear, float *dbias,
                                 const void *dy)
{
    mb_column_sum_args_t args = {.type = mb_run_type(run),
                                 .rows = linear->rows,
                                 .columns = linear->out,
                                 .accumulate = run->accumulate,
                                 .a = dy,
                                 .sum = dbias};
    return mb_run_column_sum(run->exec, &args);
}

/* The product that makes the kernel's gradient makes the bias' too, unless only that is wanted. */
mb_status_t mb_linear_backward_weights(const mb_run_t *run, const mb_linear_t *linear, int kernel,
                                       int bias, const void *x, const void *dy)
{
    bool has_bias = bias != MB_NO_PARAM;
    float *dkernel = mb_run_grad_param(run, kernel);
    float *dbias = has_bias ? mb_run_grad_param(run, bias) : NULL;
    if (mb_run_wants_param(run, kernel))
        MB_TRY(kernel_gradient(run, linear, dkernel, dbias, x, dy));
    bool alone = has_bias && mb_run_wants_param(run, bias) && dkernel == NULL;
    return alone ? bias_gradient(run, linear, dbias, dy) : MB_OK;
}
