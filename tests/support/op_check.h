/* Running operations of a device in tests: plan, allocate, run, and compare with a slow truth. */
#ifndef MB_TESTS_SUPPORT_OP_CHECK_H
#define MB_TESTS_SUPPORT_OP_CHECK_H

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include "device/table.h"

#define OP_MOST_BUFFERS 192

/* A device with its stream, and the memory that a test took from it. */
typedef struct {
    mb_device_t *device;
    mb_exec_t exec;
    uint64_t state; /* of the test's own random numbers */
    int n_buffers;
    void *buffer[OP_MOST_BUFFERS];
    size_t bytes[OP_MOST_BUFFERS];
} op_t;

void op_open(op_t *op, int threads, uint64_t seed);
/* A device that computes in all types, on any processor. */
void op_open_emulating(op_t *op, int threads, uint64_t seed);
void op_close(op_t *op);
/* A hash over all memory taken so far. */
uint64_t op_digest(const op_t *op);

/* Random numbers of the test: in [low, high), and whole ones in [low, high]. */
double op_uniform(op_t *op, double low, double high);
int64_t op_integer(op_t *op, int64_t low, int64_t high);

/* Memory of the device: zeros, or uniform numbers, or whole numbers. */
void *op_memory(op_t *op, size_t bytes);
float *op_floats(op_t *op, int64_t count);
float *op_random(op_t *op, int64_t count, double low, double high);
int32_t *op_labels(op_t *op, int64_t count, int32_t classes);
double *op_doubles(op_t *op, int64_t count);

/* A table of N tensors on the device; numbers their tiles. */
mb_table_t op_table(op_t *op, mb_tensor_t *tensors, int64_t n);

/* Plans the operation, gives the stream its workspace, and runs it. */
mb_status_t op_try(op_t *op, mb_op_t which, const void *args, size_t bytes);
#define OP_RUN(op, NAME, args)                                                                     \
    ck_assert_msg(op_try((op), MB_OP_##NAME, (args), sizeof *(args)) == MB_OK, "%s", mb_error_get())

/* |got - want| <= relative |want| + absolute for each element. */
void op_near(const char *what, const float *got, const double *want, int64_t count, double relative,
             double absolute);

/* A double copy; freed by the caller. */
double *op_widen(const float *values, int64_t count);

/* Gradient of f at x by central differences, in double. */
typedef double (*op_function_t)(const double *x, void *context);
void op_differences(op_function_t f, void *context, double *x, int64_t count, double *gradient);

/* Runs a suite as a test program does. */
int op_main(Suite *suite);

#define OP_EPSILON 0x1p-24 /* rounding of one float operation */

/* Error of a float sum of COUNT products of independent numbers in [-1, 1]: the partial sum after i
 * products is about sqrt(i) / 3 and seldom over four times that, each rounding errs by at most eps
 * of it in a random direction, so the errors add to about 4 eps sqrt(sum i / 9) < eps count. Twice
 * that leaves room for the largest of many elements. */
double op_sum_bound(int64_t count);

#endif
