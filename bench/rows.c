/* Times one sample through a model larger than the cache: a chain of square matrices, as floats and
 * as they are stored, with nothing but the product of few rows. Prints the fastest of some passes.
 * Usage: rows [THREADS [SAMPLES [SIDE [MATRICES]]]]. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "device/device.h"

#define PASSES 7
#define MOST_MATRICES 64

typedef struct {
    const char *name;
    mb_number_t number;
    int64_t block; /* rows of a block: 0 none, -1 all */
} way_t;

static const way_t ways[] = {
    {"fp32", MB_NUMBER_F32, 0},          {"bf16", MB_NUMBER_BF16, 0},
    {"fp16", MB_NUMBER_F16, 0},          {"e3m4", MB_NUMBER_E3M4, 0},
    {"int8:channel", MB_NUMBER_I8, -1},  {"int8:block=32", MB_NUMBER_I8, 32},
    {"int4:block=32", MB_NUMBER_I4, 32}, {"int4:block=32,offset", MB_NUMBER_U4, 32},
};
enum { WAYS = sizeof ways / sizeof ways[0] };

static void check(mb_status_t status)
{
    if (status == MB_OK)
        return;
    fprintf(stderr, "rows: %s\n", mb_error_get());
    exit(1);
}

static void *memory(mb_exec_t *exec, int64_t bytes, int byte)
{
    void *out = NULL;
    check(mb_device_alloc(exec->device, (size_t)bytes, &out));
    memset(out, byte, (size_t)bytes);
    return out;
}

/* Bytes of 0x3C: numbers near one hundredth, or codes, in every format. */
static mb_matrix_t matrix(mb_exec_t *exec, const way_t *way, int64_t side)
{
    mb_matrix_t b = {.number = way->number, .rows = side, .columns = side, .bias = 6};
    if (way->block != 0) {
        b.block_rows = way->block < 0 ? side : way->block;
        b.block_columns = 1;
        b.scale_number = way->block < 0 ? MB_NUMBER_F32 : MB_NUMBER_BF16;
        b.has_zeros = way->number == MB_NUMBER_U4;
        b.scales = memory(exec, mb_matrix_scale_bytes(&b), 0x3C);
        b.zeros = memory(exec, mb_matrix_scales(&b), 8);
    }
    b.values = memory(exec, mb_matrix_value_bytes(&b), 0x3C);
    return b;
}

static void release(mb_exec_t *exec, const mb_matrix_t *b)
{
    const void *parts[] = {b->values, b->scales, b->zeros};
    for (int i = 0; i < 3; i++)
        mb_device_free(exec->device, (void *)(uintptr_t)parts[i]);
}

static double pass_seconds(mb_exec_t *exec, const mb_stored_gemm_args_t *args, int matrices)
{
    double start = mb_time_seconds();
    for (int i = 0; i < matrices; i++)
        check(mb_run_stored_gemm(exec, &args[i]));
    return mb_time_seconds() - start;
}

/* Every matrix multiplies the same numbers: only reading them takes long. */
static double best_seconds(mb_exec_t *exec, const way_t *way, int64_t m, int64_t side, int matrices)
{
    mb_stored_gemm_args_t args[MOST_MATRICES];
    float *a = memory(exec, 4 * m * side, 0x3C), *c = memory(exec, 4 * m * side, 0);
    for (int i = 0; i < matrices; i++)
        args[i] = (mb_stored_gemm_args_t){
            .m = m, .lda = side, .ldc = side, .a = a, .b = matrix(exec, way, side), .c = c};
    exec->planning = true;
    check(mb_run_stored_gemm(exec, &args[0]));
    check(mb_exec_allocate(exec));
    double best = pass_seconds(exec, args, matrices);
    for (int pass = 1; pass < PASSES; pass++) {
        double seconds = pass_seconds(exec, args, matrices);
        best = seconds < best ? seconds : best;
    }
    for (int i = 0; i < matrices; i++)
        release(exec, &args[i].b);
    mb_device_free(exec->device, a);
    mb_device_free(exec->device, c);
    return best;
}

static int argument(int argc, char **argv, int which, int otherwise)
{
    int value = argc > which ? atoi(argv[which]) : otherwise;
    return value < 1 ? otherwise : value;
}

int main(int argc, char **argv)
{
    int threads = argument(argc, argv, 1, 1), m = argument(argc, argv, 2, 1);
    int side = argument(argc, argv, 3, 8192), matrices = argument(argc, argv, 4, 8);
    matrices = matrices > MOST_MATRICES ? MOST_MATRICES : matrices;
    mb_device_options_t options = {.size = sizeof options, .threads = threads};
    mb_device_t *device;
    mb_exec_t exec;
    check(mb_device_open("cpu", &options, &device));
    check(mb_exec_create(device, &exec));
    printf("%d x (%d x %d), %d sample%s, %d thread%s\n", matrices, side, side, m, m == 1 ? "" : "s",
           threads, threads == 1 ? "" : "s");
    double first = 0.0;
    for (int w = 0; w < WAYS; w++) {
        double seconds = best_seconds(&exec, &ways[w], m, side, matrices);
        first = w == 0 ? seconds : first;
        printf("  %-22s %9.2f ms %6.2f x\n", ways[w].name, seconds * 1e3, first / seconds);
    }
    mb_exec_destroy(&exec);
    mb_device_close(device);
    return 0;
}
