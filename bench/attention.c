/* Times attention on the CPU beside its bound: the operations of the pairs that are seen, at the
 * rate of a large product on as many threads. Usage: attention [THREADS [SAMPLES HEADS TQ TK D
 * CAUSAL MASKED RATE]]. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "base/log.h"
#include "device/device.h"

#define SECONDS 0.3 /* for each measurement */
#define PRODUCT 768 /* rows and columns of the product that sets the rate */

typedef struct {
    int64_t samples, heads, tq, tk, d;
    bool causal, masked; /* each sample's last keys, another number in each */
    float rate;          /* of dropout */
} shape_t;

static const shape_t shapes[] = {
    {4, 6, 256, 256, 64, true, false, 0.0f},    /* a small GPT */
    {1, 12, 1024, 1024, 64, true, false, 0.0f}, /* GPT-2's block */
    {1, 4, 2048, 2048, 128, true, false, 0.0f}, /* long */
    {4, 12, 197, 197, 64, false, false, 0.0f},  /* ViT */
    {32, 4, 64, 64, 32, false, false, 0.0f},    /* windows of an image */
    {64, 8, 16, 16, 16, false, false, 0.0f},    /* short series */
    {4, 8, 64, 512, 64, false, false, 0.0f},    /* a decoder's cross attention */
    {4, 6, 256, 256, 64, false, true, 0.0f},    /* padded samples */
    {4, 6, 256, 256, 64, true, false, 0.1f},    /* dropout */
};

/* With one thread the time that the process had the processor, so that a busy machine does not
 * count. */
static double now(int threads)
{
    struct timespec time;
    if (threads > 1)
        return mb_time_seconds();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static float *numbers(mb_device_t *device, int64_t count)
{
    void *memory = NULL;
    if (mb_device_alloc(device, sizeof(float) * (size_t)count, &memory) != MB_OK)
        exit(1);
    float *values = memory;
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)(i % 17) * 0.05f - 0.4f;
    return values;
}

/* Best seconds of an operation, which is run as often as fits. */
static double seconds_of(mb_exec_t *exec, int threads, mb_op_t op, const void *args, size_t bytes)
{
    exec->planning = true;
    mb_status_t status = exec->device->class_->run(exec, op, args, bytes);
    if (status == MB_OK)
        status = mb_exec_allocate(exec);
    double best = 1e9, end = now(threads) + SECONDS;
    while (status == MB_OK && now(threads) < end) {
        double start = now(threads);
        status = exec->device->class_->run(exec, op, args, bytes);
        double taken = now(threads) - start;
        best = taken < best ? taken : best;
    }
    if (status != MB_OK) {
        fprintf(stderr, "%s: %s\n", mb_op_name(op), mb_error_get());
        exit(1);
    }
    return best;
}

/* Operations a second of a product. */
static double product_rate(mb_exec_t *exec, int threads)
{
    int64_t n = PRODUCT;
    float *x = numbers(exec->device, 3 * n * n);
    mb_gemm_args_t a = {.m = n,
                        .n = n,
                        .k = n,
                        .lda = n,
                        .ldb = n,
                        .ldc = n,
                        .a = x,
                        .b = x + n * n,
                        .c = x + 2 * n * n};
    double seconds = seconds_of(exec, threads, MB_OP_GEMM, &a, sizeof a);
    mb_device_free(exec->device, x);
    return 2.0 * (double)(n * n * n) / seconds;
}

/* Masked pairs count: which they are no kernel knows beforehand. */
static double pairs_of(const shape_t *s)
{
    double pairs = 0.0;
    for (int64_t i = 0; i < s->tq; i++)
        pairs += (double)(s->causal && i + 1 < s->tk ? i + 1 : s->tk);
    return pairs * (double)(s->samples * s->heads);
}

static void report(const char *what, double seconds, double flops, double rate)
{
    printf("  %-9s %9.1f us %7.1f GF/s, bound %9.1f us: %5.1f %%\n", what, seconds * 1e6,
           flops / seconds * 1e-9, flops / rate * 1e6, 100.0 * flops / rate / seconds);
}

static float *mask_of(mb_device_t *device, const shape_t *s)
{
    float *mask = numbers(device, s->samples * s->tq * s->tk);
    for (int64_t i = 0; i < s->samples * s->tq * s->tk; i++)
        mask[i] = i % s->tk < s->tk - 7 * (i / (s->tq * s->tk)) ? 1.0f : 0.0f;
    return mask;
}

/* Arguments on memory that begins at q, of queries and outputs, and at k, of keys and values. */
static mb_attention_forward_args_t forward_of(const shape_t *s, float *q, float *k, float *log_sum,
                                              float *mask)
{
    int64_t n_q = s->samples * s->heads * s->tq * s->d, n_k = s->samples * s->heads * s->tk * s->d;
    return (mb_attention_forward_args_t){.samples = s->samples,
                                         .heads = s->heads,
                                         .tq = s->tq,
                                         .tk = s->tk,
                                         .d = s->d,
                                         .dv = s->d,
                                         .scale = 0.125f,
                                         .causal = s->causal,
                                         .dropout_rate = s->rate,
                                         .random = {1, MB_RANDOM_ATTENTION_DROPOUT, 2, 3, 4},
                                         .mask = mask,
                                         .masks = s->masked ? 1 : 0,
                                         .q = q,
                                         .k = k,
                                         .v = k + n_k,
                                         .out = q + n_q,
                                         .log_sum = log_sum};
}

static mb_attention_backward_args_t backward_of(const mb_attention_forward_args_t *f, float *q,
                                                float *k)
{
    int64_t n_q = f->samples * f->heads * f->tq * f->d, n_k = f->samples * f->heads * f->tk * f->d;
    return (mb_attention_backward_args_t){.samples = f->samples,
                                          .heads = f->heads,
                                          .tq = f->tq,
                                          .tk = f->tk,
                                          .d = f->d,
                                          .dv = f->d,
                                          .scale = f->scale,
                                          .causal = f->causal,
                                          .dropout_rate = f->dropout_rate,
                                          .random = f->random,
                                          .mask = f->mask,
                                          .masks = f->masks,
                                          .q = f->q,
                                          .k = f->k,
                                          .v = f->v,
                                          .out = f->out,
                                          .log_sum = f->log_sum,
                                          .dout = q + 2 * n_q,
                                          .dq = q + 3 * n_q,
                                          .dk = k + 2 * n_k,
                                          .dv_ = k + 3 * n_k};
}

static void bench_shape(mb_exec_t *exec, int threads, const shape_t *s, double rate)
{
    int64_t n_q = s->samples * s->heads * s->tq * s->d, n_k = s->samples * s->heads * s->tk * s->d;
    float *q = numbers(exec->device, 4 * n_q), *k = numbers(exec->device, 4 * n_k);
    float *log_sum = numbers(exec->device, n_q / s->d);
    float *mask = s->masked ? mask_of(exec->device, s) : NULL;
    mb_attention_forward_args_t f = forward_of(s, q, k, log_sum, mask);
    mb_attention_backward_args_t b = backward_of(&f, q, k);
    double flops = 4.0 * pairs_of(s) * (double)s->d;
    printf("%lld samples, %lld heads of %lld, %lld queries, %lld keys%s%s%s\n",
           (long long)s->samples, (long long)s->heads, (long long)s->d, (long long)s->tq,
           (long long)s->tk, s->causal ? ", causal" : "", s->masked ? ", masked" : "",
           s->rate > 0.0f ? ", dropout" : "");
    double seconds = seconds_of(exec, threads, MB_OP_ATTENTION_FORWARD, &f, sizeof f);
    report("forward", seconds, flops, rate);
    seconds = seconds_of(exec, threads, MB_OP_ATTENTION_BACKWARD, &b, sizeof b);
    report("backward", seconds, 2.5 * flops, rate);
    mb_device_free(exec->device, mask);
    mb_device_free(exec->device, log_sum);
    mb_device_free(exec->device, k);
    mb_device_free(exec->device, q);
}

int main(int argc, char **argv)
{
    mb_device_options_t options = {.size = sizeof options};
    options.threads = argc > 1 ? atoi(argv[1]) : omp_get_max_threads();
    mb_device_t *device = NULL;
    mb_exec_t exec;
    char text[128];
    if (mb_device_open("cpu", &options, &device) != MB_OK ||
        mb_exec_create(device, &exec) != MB_OK) {
        fprintf(stderr, "%s\n", mb_error_get());
        return 1;
    }
    device->class_->describe(device, text, sizeof text);
    double rate = product_rate(&exec, options.threads);
    printf("%s; products of %d: %.1f GF/s\n", text, PRODUCT, rate * 1e-9);
    if (argc == 10) {
        shape_t given = {atoll(argv[2]),     atoll(argv[3]),      atoll(argv[4]),
                         atoll(argv[5]),     atoll(argv[6]),      atoi(argv[7]) != 0,
                         atoi(argv[8]) != 0, (float)atof(argv[9])};
        bench_shape(&exec, options.threads, &given, rate);
    }
    for (size_t i = 0; argc < 10 && i < sizeof shapes / sizeof *shapes; i++)
        bench_shape(&exec, options.threads, &shapes[i], rate);
    mb_exec_destroy(&exec);
    mb_device_close(device);
    return 0;
}
