/* What it saves on the CPU that products carry their epilogues: a dense layer's forward with its
 * activation behind the product and in it, and the gradients of kernel and bias by two operations
 * and by one. Both are timed in turn, so that a busy machine slows them alike, and the best of
 * ROUNDS counts. One thread; the time that the process had the processor. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "device/device.h"

enum { ROUNDS = 60 };

typedef struct {
    mb_op_t op;
    const void *args;
    size_t bytes;
} step_t;

static void require(mb_status_t status)
{
    if (status == MB_OK)
        return;
    fprintf(stderr, "%s\n", mb_error_get());
    exit(1);
}

static float *numbers(mb_exec_t *exec, int64_t count)
{
    void *memory = NULL;
    require(mb_device_alloc(exec->device, sizeof(float) * (size_t)count, &memory));
    float *values = memory;
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)(i % 17) * 0.05f - 0.4f;
    return values;
}

static void run(mb_exec_t *exec, const step_t *steps, int n)
{
    for (int i = 0; i < n; i++)
        require(exec->device->class_->run(exec, steps[i].op, steps[i].args, steps[i].bytes));
}

static void plan(mb_exec_t *exec, const step_t *steps, int n)
{
    exec->planning = true;
    run(exec, steps, n);
    require(mb_exec_allocate(exec));
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static double time_of(mb_exec_t *exec, const step_t *steps, int n)
{
    double start = now();
    run(exec, steps, n);
    return now() - start;
}

/* APART: two steps; together: one. */
static void compare(mb_exec_t *exec, const char *what, const step_t apart[2], step_t together)
{
    double two = 1e9, one = 1e9;
    plan(exec, apart, 2);
    plan(exec, &together, 1);
    for (int i = 0; i < ROUNDS; i++) {
        double a = time_of(exec, apart, 2), b = time_of(exec, &together, 1);
        two = a < two ? a : two;
        one = b < one ? b : one;
    }
    printf("  %-16s apart %9.1f us, in one %9.1f us: %5.1f %%\n", what, two * 1e6, one * 1e6,
           100.0 * (one / two - 1.0));
}

typedef struct {
    int64_t rows, in, out;
    float *x, *w, *bias, *z, *y, *dw, *dbias;
} layer_t;

static mb_gemm_args_t forward_of(const layer_t *l, mb_act_t act, float *pre, float *to)
{
    return (mb_gemm_args_t){.m = l->rows,
                            .n = l->out,
                            .k = l->in,
                            .lda = l->in,
                            .ldb = l->out,
                            .ldc = l->out,
                            .a = l->x,
                            .b = l->w,
                            .bias = l->bias,
                            .c = to,
                            .act = act,
                            .pre = pre};
}

static void compare_forward(mb_exec_t *exec, const layer_t *l, const char *what, mb_act_t act,
                            bool keeps)
{
    float *target = keeps ? l->z : l->y;
    mb_gemm_args_t product = forward_of(l, MB_ACT_LINEAR, NULL, target);
    mb_gemm_args_t fused = forward_of(l, act, keeps ? l->z : NULL, l->y);
    mb_act_forward_args_t then = {.count = l->rows * l->out, .act = act, .x = target, .y = l->y};
    const step_t apart[] = {{MB_OP_GEMM, &product, sizeof product},
                            {MB_OP_ACT_FORWARD, &then, sizeof then}};
    compare(exec, what, apart, (step_t){MB_OP_GEMM, &fused, sizeof fused});
}

static void compare_gradients(mb_exec_t *exec, const layer_t *l)
{
    mb_gemm_args_t product = {.wide = true,
                              .m = l->in,
                              .n = l->out,
                              .k = l->rows,
                              .transpose_a = true,
                              .lda = l->in,
                              .ldb = l->out,
                              .ldc = l->out,
                              .a = l->x,
                              .b = l->y,
                              .c = l->dw};
    mb_gemm_args_t fused = product;
    fused.dbias = l->dbias;
    mb_column_sum_args_t then = {.rows = l->rows, .columns = l->out, .a = l->y, .sum = l->dbias};
    const step_t apart[] = {{MB_OP_GEMM, &product, sizeof product},
                            {MB_OP_COLUMN_SUM, &then, sizeof then}};
    compare(exec, "weights and bias", apart, (step_t){MB_OP_GEMM, &fused, sizeof fused});
}

static void compare_layer(mb_exec_t *exec, int64_t rows, int64_t in, int64_t out)
{
    layer_t l = {rows,
                 in,
                 out,
                 numbers(exec, rows * in),
                 numbers(exec, in * out),
                 numbers(exec, out),
                 numbers(exec, rows * out),
                 numbers(exec, rows * out),
                 numbers(exec, in * out),
                 numbers(exec, out)};
    float *const all[] = {l.x, l.w, l.bias, l.z, l.y, l.dw, l.dbias};
    printf("dense, %lld rows, %lld -> %lld\n", (long long)rows, (long long)in, (long long)out);
    compare_forward(exec, &l, "relu", MB_ACT_RELU, false);
    compare_forward(exec, &l, "gelu", MB_ACT_GELU, true);
    compare_gradients(exec, &l);
    for (int i = 0; i < 7; i++)
        mb_device_free(exec->device, all[i]);
}

int main(void)
{
    mb_device_options_t options = {.size = sizeof options, .threads = 1};
    mb_device_t *device = NULL;
    mb_exec_t exec;
    char text[128];
    require(mb_device_open("cpu", &options, &device));
    require(mb_exec_create(device, &exec));
    device->class_->describe(device, text, sizeof text);
    printf("%s\n", text);
    compare_layer(&exec, 128, 784, 512);
    compare_layer(&exec, 2048, 384, 1536);
    compare_layer(&exec, 2048, 1536, 384);
    compare_layer(&exec, 8192, 128, 512);
    mb_exec_destroy(&exec);
    mb_device_close(device);
    return 0;
}
