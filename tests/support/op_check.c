/* See op_check.h. */
#include "support/op_check.h"
#include <string.h>

static uint64_t next(op_t *op)
{
    op->state ^= op->state << 13;
    op->state ^= op->state >> 7;
    op->state ^= op->state << 17;
    return op->state * UINT64_C(0x2545F4914F6CDD1D);
}

static void open_as(op_t *op, int threads, uint64_t seed, bool emulate)
{
    memset(op, 0, sizeof *op);
    op->state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    mb_device_options_t options = {.size = sizeof options, .threads = threads, .emulate = emulate};
    ck_assert_int_eq(mb_device_open("cpu", &options, &op->device), MB_OK);
    ck_assert_int_eq(mb_exec_create(op->device, &op->exec), MB_OK);
}

void op_open(op_t *op, int threads, uint64_t seed)
{
    open_as(op, threads, seed, false);
}

void op_open_emulating(op_t *op, int threads, uint64_t seed)
{
    open_as(op, threads, seed, true);
}

void op_close(op_t *op)
{
    for (int i = 0; i < op->n_buffers; i++)
        mb_device_free(op->device, op->buffer[i]);
    mb_exec_destroy(&op->exec);
    mb_device_close(op->device);
}

uint64_t op_digest(const op_t *op)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (int i = 0; i < op->n_buffers; i++) {
        const unsigned char *bytes = op->buffer[i];
        for (size_t j = 0; j < op->bytes[i]; j++)
            hash = (hash ^ bytes[j]) * UINT64_C(0x100000001B3);
    }
    return hash;
}

double op_uniform(op_t *op, double low, double high)
{
    return low + (high - low) * (double)(next(op) >> 11) * 0x1p-53;
}

int64_t op_integer(op_t *op, int64_t low, int64_t high)
{
    return low + (int64_t)(next(op) >> 1) % (high - low + 1);
}

void *op_memory(op_t *op, size_t bytes)
{
    void *memory = NULL;
    ck_assert_int_lt(op->n_buffers, OP_MOST_BUFFERS);
    ck_assert_int_eq(mb_device_alloc(op->device, bytes, &memory), MB_OK);
    memset(memory, 0, bytes);
    op->buffer[op->n_buffers] = memory;
    op->bytes[op->n_buffers++] = bytes;
    return memory;
}

float *op_floats(op_t *op, int64_t count)
{
    return op_memory(op, sizeof(float) * (size_t)count);
}

double *op_doubles(op_t *op, int64_t count)
{
    return op_memory(op, sizeof(double) * (size_t)count);
}

float *op_random(op_t *op, int64_t count, double low, double high)
{
    float *values = op_floats(op, count);
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)op_uniform(op, low, high);
    return values;
}

int32_t *op_labels(op_t *op, int64_t count, int32_t classes)
{
    int32_t *labels = op_memory(op, sizeof(int32_t) * (size_t)count);
    for (int64_t i = 0; i < count; i++)
        labels[i] = (int32_t)op_integer(op, 0, classes - 1);
    return labels;
}

mb_table_t op_table(op_t *op, mb_tensor_t *tensors, int64_t n)
{
    mb_table_t table = {.n = n, .tiles = mb_table_number(tensors, n)};
    mb_tensor_t *memory = op_memory(op, (size_t)n * sizeof *tensors);
    memcpy(memory, tensors, (size_t)n * sizeof *tensors);
    op->bytes[op->n_buffers - 1] = 0; /* addresses: no part of the digest */
    table.tensors = memory;
    return table;
}

mb_status_t op_try(op_t *op, mb_op_t which, const void *args, size_t bytes)
{
    op->exec.planning = true;
    MB_TRY(op->device->class_->run(&op->exec, which, args, bytes));
    MB_TRY(mb_exec_allocate(&op->exec));
    MB_TRY(op->device->class_->run(&op->exec, which, args, bytes));
    return mb_exec_sync(&op->exec);
}

void op_near(const char *what, const float *got, const double *want, int64_t count, double relative,
             double absolute)
{
    for (int64_t i = 0; i < count; i++) {
        double error = fabs((double)got[i] - want[i]);
        ck_assert_msg(error <= relative * fabs(want[i]) + absolute,
                      "%s: element %lld of %lld is %.9g, not %.9g (error %.3g)", what, (long long)i,
                      (long long)count, (double)got[i], want[i], error);
    }
}

double *op_widen(const float *values, int64_t count)
{
    double *wide = malloc(sizeof(double) * (size_t)(count > 0 ? count : 1));
    ck_assert_ptr_nonnull(wide);
    for (int64_t i = 0; i < count; i++)
        wide[i] = (double)values[i];
    return wide;
}

/* With h = 1e-5 the truncation error is about h^2 and the rounding error eps / h, both near 1e-10
 * of the function's size. */
void op_differences(op_function_t f, void *context, double *x, int64_t count, double *gradient)
{
    const double h = 1e-5;
    for (int64_t i = 0; i < count; i++) {
        double at = x[i];
        x[i] = at + h;
        double above = f(x, context);
        x[i] = at - h;
        double below = f(x, context);
        x[i] = at;
        gradient[i] = (above - below) / (2.0 * h);
    }
}

double op_sum_bound(int64_t count)
{
    return 2.0 * OP_EPSILON * (double)(count + 4);
}

int op_main(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
