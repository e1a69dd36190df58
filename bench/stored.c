/* Times products with stored matrices beside the float product of the same shape, turn about, and
 * prints medians. Usage: stored [THREADS [M K N]]; without a shape, those of common models. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/log.h"
#include "device/device.h"

#define ROUNDS 15
#define LEAST_SECONDS 2e-3 /* of a round of one way */

typedef struct {
    const char *name;
    mb_number_t number;
    int64_t block; /* rows of a block: 0 none, -1 all */
    bool integer;
} way_t;

static const way_t ways[] = {
    {"fp32", MB_NUMBER_F32, 0, false},
    {"int8 executed", MB_NUMBER_I8, -1, true},
    {"bf16", MB_NUMBER_BF16, 0, false},
    {"fp16 decoded", MB_NUMBER_F16, 0, false},
    {"e3m4 decoded", MB_NUMBER_E3M4, 0, false},
    {"int8 decoded", MB_NUMBER_I8, -1, false},
    {"int8/32 decoded", MB_NUMBER_I8, 32, false},
    {"int4/32 decoded", MB_NUMBER_I4, 32, false},
    {"uint4/32 decoded", MB_NUMBER_U4, 32, false},
};
enum { WAYS = sizeof ways / sizeof ways[0] };

static int n_threads; /* set once by main */

/* With one thread the time that the process had the processor, so that a busy machine does not
 * count. */
static double now(void)
{
    struct timespec time;
    if (n_threads > 1)
        return mb_time_seconds();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void *memory(mb_exec_t *exec, size_t bytes, int byte)
{
    void *out = NULL;
    if (mb_device_alloc(exec->device, bytes, &out) != MB_OK)
        exit(1);
    memset(out, byte, bytes);
    return out;
}

static float *numbers(mb_exec_t *exec, int64_t count)
{
    float *values = memory(exec, sizeof(float) * (size_t)count, 0);
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)(i % 17) * 0.05f - 0.4f;
    return values;
}

/* Codes of 0x11: a small finite number in every format. */
static mb_matrix_t matrix(mb_exec_t *exec, const way_t *way, int64_t k, int64_t n)
{
    mb_matrix_t b = {.number = way->number, .rows = k, .columns = n, .bias = 3};
    if (way->block != 0) {
        b.block_rows = way->block < 0 ? k : way->block;
        b.block_columns = 1;
        b.has_column_sums = way->block < 0;
        b.has_zeros = way->number == MB_NUMBER_U4;
        b.scales = numbers(exec, mb_matrix_scales(&b));
        b.zeros = memory(exec, (size_t)mb_matrix_scales(&b), 8);
        b.column_sums = memory(exec, sizeof(int32_t) * (size_t)n, 0);
    }
    b.values = memory(exec, (size_t)mb_matrix_value_bytes(&b), 0x11);
    return b;
}

static void release(mb_exec_t *exec, const void *pointer)
{
    mb_device_free(exec->device, (void *)(uintptr_t)pointer);
}

static void check(mb_status_t status)
{
    if (status != MB_OK) {
        fprintf(stderr, "stored: %s\n", mb_error_get());
        exit(1);
    }
}

static void plan(mb_exec_t *exec, const mb_stored_gemm_args_t *args)
{
    exec->planning = true;
    check(mb_run_stored_gemm(exec, args));
    check(mb_exec_allocate(exec));
}

static double round_seconds(mb_exec_t *exec, const mb_stored_gemm_args_t *args)
{
    int runs = 0;
    double start = now(), taken;
    do {
        check(mb_run_stored_gemm(exec, args));
        runs++;
        taken = now() - start;
    } while (taken < LEAST_SECONDS);
    return taken / runs;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void bench(mb_exec_t *exec, int64_t m, int64_t k, int64_t n)
{
    mb_stored_gemm_args_t args[WAYS];
    double seconds[WAYS][ROUNDS];
    float *a = numbers(exec, m * k), *c = numbers(exec, m * n), *bias = numbers(exec, n);
    for (int w = 0; w < WAYS; w++) {
        args[w] = (mb_stored_gemm_args_t){m, k, n, ways[w].integer, a, bias, {0}, c};
        args[w].b = matrix(exec, &ways[w], k, n);
        plan(exec, &args[w]);
        (void)round_seconds(exec, &args[w]);
    }
    for (int r = 0; r < ROUNDS; r++)
        for (int w = 0; w < WAYS; w++)
            seconds[w][r] = round_seconds(exec, &args[w]);
    printf("%lld x %lld -> %lld\n", (long long)m, (long long)k, (long long)n);
    for (int w = 0; w < WAYS; w++) {
        qsort(seconds[w], ROUNDS, sizeof(double), compare);
        double median = seconds[w][ROUNDS / 2];
        printf("  %-18s %9.1f us %8.1f Gop/s %6.2f x\n", ways[w].name, median * 1e6,
               2e-9 * (double)(m * n * k) / median, seconds[0][ROUNDS / 2] / median);
        release(exec, args[w].b.values);
        release(exec, args[w].b.scales);
        release(exec, args[w].b.zeros);
        release(exec, args[w].b.column_sums);
    }
    release(exec, a);
    release(exec, c);
    release(exec, bias);
}

int main(int argc, char **argv)
{
    static const int64_t shapes[][3] = {{1, 2048, 2048},    {16, 2048, 2048}, {128, 2048, 2048},
                                        {1024, 2048, 2048}, {1024, 768, 768}, {1024, 768, 3072},
                                        {1024, 3072, 768}};
    mb_device_options_t options = {.size = sizeof options};
    options.threads = n_threads = argc > 1 ? atoi(argv[1]) : 1;
    mb_device_t *device = NULL;
    mb_exec_t exec;
    char text[128];
    check(mb_device_open("cpu", &options, &device));
    check(mb_exec_create(device, &exec));
    device->class_->describe(device, text, sizeof text);
    printf("%s\n", text);
    if (argc > 4)
        bench(&exec, atoll(argv[2]), atoll(argv[3]), atoll(argv[4]));
    else
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
            bench(&exec, shapes[i][0], shapes[i][1], shapes[i][2]);
    mb_exec_destroy(&exec);
    mb_device_close(device);
    return 0;
}
