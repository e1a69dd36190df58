/* Every kernel of the CPU that a step's time may lie in, on shapes of common models, in one table:
 * its time, operations and bytes (each array once), and beside them the bound, which is what so
 * many operations take at the rate of a product or so many bytes at that of a sum, whichever is
 * longer. Bytes that fit into the caches are measured by a sum that fits, others by one that does
 * not. Products have oneDNN's own multi-threaded primitive beside them, so that the cost of fixed
 * tiles is seen. Usage: ops [THREADS]. */
#include <dnnl.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "base/log.h"
#include "device/table.h"

#define SECONDS 0.15 /* for each measurement */

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

static int n_threads; /* set once by main */

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
static double seconds_of(mb_exec_t *exec, mb_op_t op, const void *args, size_t bytes)
{
    exec->planning = true;
    mb_status_t status = exec->device->class_->run(exec, op, args, bytes);
    if (status == MB_OK)
        status = mb_exec_allocate(exec);
    double best = 1e9, end = now(n_threads) + SECONDS;
    while (status == MB_OK && now(n_threads) < end) {
        double start = now(n_threads);
        status = exec->device->class_->run(exec, op, args, bytes);
        double taken = now(n_threads) - start;
        best = taken < best ? taken : best;
    }
    if (status != MB_OK) {
        fprintf(stderr, "%s: %s\n", mb_op_name(op), mb_error_get());
        exit(1);
    }
    return best;
}

/* The same product by oneDNN with all threads. */
static double seconds_of_onednn(const mb_gemm_args_t *a, int threads)
{
    omp_set_num_threads(threads);
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_memory_desc_t md[3];
    dnnl_matmul_desc_t operation;
    dnnl_primitive_desc_t descriptor;
    dnnl_primitive_t primitive;
    dnnl_memory_t memory[3];
    const dnnl_dims_t sizes[] = {{a->m, a->k}, {a->k, a->n}, {a->m, a->n}};
    const dnnl_dims_t strides[] = {{a->transpose_a ? 1 : a->lda, a->transpose_a ? a->lda : 1},
                                   {a->transpose_b ? 1 : a->ldb, a->transpose_b ? a->ldb : 1},
                                   {a->ldc, 1}};
    void *data[] = {(void *)(uintptr_t)a->a, (void *)(uintptr_t)a->b, a->c};
    dnnl_engine_create(&engine, dnnl_cpu, 0);
    dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
    for (int i = 0; i < 3; i++) {
        dnnl_memory_desc_init_by_strides(&md[i], 2, sizes[i], dnnl_f32, strides[i]);
        dnnl_memory_create(&memory[i], &md[i], engine, data[i]);
    }
    dnnl_matmul_desc_init(&operation, &md[0], &md[1], NULL, &md[2]);
    dnnl_primitive_desc_create(&descriptor, &operation, NULL, engine, NULL);
    dnnl_primitive_create(&primitive, descriptor);
    const dnnl_exec_arg_t args[] = {
        {DNNL_ARG_SRC, memory[0]}, {DNNL_ARG_WEIGHTS, memory[1]}, {DNNL_ARG_DST, memory[2]}};
    double best = 1e9, end = now(n_threads) + SECONDS;
    while (now(n_threads) < end) {
        double start = now(n_threads);
        dnnl_primitive_execute(primitive, stream, 3, args);
        double taken = now(n_threads) - start;
        best = taken < best ? taken : best;
    }
    for (int i = 0; i < 3; i++)
        dnnl_memory_destroy(memory[i]);
    dnnl_primitive_destroy(primitive);
    dnnl_primitive_desc_destroy(descriptor);
    dnnl_stream_destroy(stream);
    dnnl_engine_destroy(engine);
    return best;
}

#define CACHED 24e6 /* bytes: what is larger is taken not to be in the caches any more */

/* What the machine gives these threads: of products, and of numbers read and written. */
static struct {
    double flops, cached, memory;
} most;

static void print_limits(void)
{
    printf("limits: %.1f GF/s in products; %.1f GB/s in the caches, %.1f GB/s beyond\n",
           most.flops * 1e-9, most.cached * 1e-9, most.memory * 1e-9);
    printf("%-50s %10s %9s %8s %8s %8s %9s %5s\n", "kernel", "us", "MFLOP", "MB", "GF/s", "GB/s",
           "bound us", "%");
}

/* Beside the least time that so many operations and bytes take. */
static void report(const char *what, double seconds, double flops, double bytes)
{
    double move = bytes / (bytes > CACHED ? most.memory : most.cached);
    double least = flops / most.flops > move ? flops / most.flops : move;
    printf("%-50s %10.1f %9.2f %8.2f %8.1f %8.1f %9.1f %5.0f\n", what, seconds * 1e6, flops * 1e-6,
           bytes * 1e-6, flops / seconds * 1e-9, bytes / seconds * 1e-9, least * 1e6,
           100.0 * least / seconds);
}

static void bench_product(mb_exec_t *exec, int threads, const char *what, int64_t m, int64_t n,
                          int64_t k, bool ta, bool tb)
{
    mb_gemm_args_t a = {.m = m, .n = n, .k = k, .transpose_a = ta, .transpose_b = tb};
    a.lda = ta ? m : k;
    a.ldb = tb ? k : n;
    a.ldc = n;
    a.a = numbers(exec->device, m * k);
    a.b = numbers(exec->device, n * k);
    a.c = numbers(exec->device, m * n);
    double flops = 2.0 * (double)m * (double)n * (double)k;
    double ours = seconds_of(exec, MB_OP_GEMM, &a, sizeof a);
    double theirs = seconds_of_onednn(&a, threads);
    char name[64];
    snprintf(name, sizeof name, "%s %lld x %lld x %lld %c%c", what, (long long)m, (long long)n,
             (long long)k, ta ? 't' : '-', tb ? 't' : '-');
    double bytes = 4.0 * (double)(m * k + k * n + m * n);
    report(name, ours, flops, bytes);
    report("  by oneDNN's threads", theirs, flops, bytes);
    mb_device_free(exec->device, (void *)(uintptr_t)a.a);
    mb_device_free(exec->device, (void *)(uintptr_t)a.b);
    mb_device_free(exec->device, a.c);
}

/* Forward, gradient of the input, gradient of the weights of a dense layer. */
static void bench_dense(mb_exec_t *exec, int threads, int64_t rows, int64_t in, int64_t out)
{
    bench_product(exec, threads, "dense forward", rows, out, in, false, false);
    bench_product(exec, threads, "dense backward input", rows, in, out, false, true);
    bench_product(exec, threads, "dense backward weights", in, out, rows, true, false);
}

/* Bytes a second of a sum of arrays of COUNT numbers, in place, so that no line is read only to be
 * overwritten. */
static double rate_of_sum(mb_exec_t *exec, int64_t count)
{
    float *x = numbers(exec->device, 2 * count);
    mb_add_args_t add = {MB_F32, count, x, x + count, x + count};
    double seconds = seconds_of(exec, MB_OP_ADD, &add, sizeof add);
    mb_device_free(exec->device, x);
    return 12.0 * (double)count / seconds;
}

/* A product whose factors stay in the caches, and sums that a second cache holds, and none. */
static void find_limits(mb_exec_t *exec)
{
    const int64_t n = 768;
    float *x = numbers(exec->device, 3 * n * n);
    mb_gemm_args_t product = {.m = n, .n = n, .k = n, .lda = n, .ldb = n, .ldc = n};
    product.a = x;
    product.b = x + n * n;
    product.c = x + 2 * n * n;
    most.flops = 2.0 * (double)(n * n * n) / seconds_of(exec, MB_OP_GEMM, &product, sizeof product);
    mb_device_free(exec->device, x);
    most.cached = rate_of_sum(exec, 1 << 16);
    most.memory = rate_of_sum(exec, 1 << 24);
}

typedef struct {
    mb_window_t w;
    float *x, *y, *k, *bias;
    double flops, in, out, weights; /* of a pass; bytes */
} conv_t;

static conv_t conv_of(mb_exec_t *exec, int64_t samples, int64_t size, int64_t in, int64_t out)
{
    int64_t pixels = samples * size * size;
    conv_t c = {{samples,
                 in,
                 out,
                 1,
                 {size, size},
                 {size, size},
                 {3, 3},
                 {1, 1},
                 {1, 1},
                 {1, 1},
                 {1, 1},
                 {0}},
                .flops = 18.0 * (double)(pixels * in * out),
                .in = 4.0 * (double)(pixels * in),
                .out = 4.0 * (double)(pixels * out),
                .weights = 36.0 * (double)(in * out)};
    c.x = numbers(exec->device, pixels * in);
    c.y = numbers(exec->device, pixels * out);
    c.k = numbers(exec->device, 9 * in * out);
    c.bias = numbers(exec->device, out);
    printf("convolution 3x3, %lld x %lld x %lld x %lld -> %lld\n", (long long)samples,
           (long long)size, (long long)size, (long long)in, (long long)out);
    return c;
}

static void free_conv(mb_exec_t *exec, conv_t *c)
{
    mb_device_free(exec->device, c->x);
    mb_device_free(exec->device, c->y);
    mb_device_free(exec->device, c->k);
    mb_device_free(exec->device, c->bias);
}

static void bench_pool(mb_exec_t *exec, const conv_t *c)
{
    mb_window_t w = c->w;
    w.channels_in = w.channels_out;
    for (int i = 0; i < 2; i++) {
        w.out[i] = w.in[i] / 2;
        w.kernel[i] = w.stride[i] = 2;
        w.pad_before[i] = w.pad_after[i] = 0;
    }
    int64_t count = w.samples * w.out[0] * w.out[1] * w.channels_in;
    float *half = numbers(exec->device, count), *dx = numbers(exec->device, 4 * count);
    mb_pool_forward_args_t pool = {MB_F32, w, false, c->y, half};
    mb_pool_backward_args_t back = {MB_F32, w, false, c->y, half, half, dx, true};
    double quarter = 4.0 * (double)count;
    report("  max pooling", seconds_of(exec, MB_OP_POOL_FORWARD, &pool, sizeof pool), 0,
           c->out + quarter);
    report("  max pooling backward", seconds_of(exec, MB_OP_POOL_BACKWARD, &back, sizeof back), 0,
           2 * c->out + 2 * quarter);
    mb_device_free(exec->device, half);
    mb_device_free(exec->device, dx);
}

static void bench_conv(mb_exec_t *exec, int64_t samples, int64_t size, int64_t in, int64_t out)
{
    conv_t c = conv_of(exec, samples, size, in, out);
    mb_conv_forward_args_t forward = {MB_F32, c.w, c.x, c.k, c.bias, c.y, {0}, NULL};
    mb_conv_backward_input_args_t input = {MB_F32, c.w, c.y, c.k, c.x, NULL, NULL};
    mb_conv_backward_weights_args_t weights = {MB_F32, c.w, false, c.x, c.y, c.k, NULL};
    double bytes = c.in + c.out + c.weights;
    report("  forward", seconds_of(exec, MB_OP_CONV_FORWARD, &forward, sizeof forward), c.flops,
           bytes);
    forward.act.act = MB_ACT_RELU;
    report("  forward with relu", seconds_of(exec, MB_OP_CONV_FORWARD, &forward, sizeof forward),
           c.flops, bytes);
    report("  backward input", seconds_of(exec, MB_OP_CONV_BACKWARD_INPUT, &input, sizeof input),
           c.flops, bytes);
    report("  backward weights",
           seconds_of(exec, MB_OP_CONV_BACKWARD_WEIGHTS, &weights, sizeof weights), c.flops, bytes);
    weights.dbias = c.bias;
    report("  backward weights and bias",
           seconds_of(exec, MB_OP_CONV_BACKWARD_WEIGHTS, &weights, sizeof weights), c.flops, bytes);
    bench_pool(exec, &c);
    free_conv(exec, &c);
}

static void bench_batchnorm(mb_exec_t *exec, int64_t rows, int64_t channels)
{
    int64_t n = rows * channels;
    float *x = numbers(exec->device, 4 * n), *row = numbers(exec->device, 5 * channels);
    double *sums = (double *)(void *)numbers(exec->device, 4 * channels);
    float *mean = row + 2 * channels, *rstd = row + 3 * channels;
    double bytes = 4.0 * (double)n;
    mb_batchnorm_forward_args_t forward = {.rows = rows,
                                           .valid = rows,
                                           .channels = channels,
                                           .training = true,
                                           .epsilon = 1e-3f,
                                           .x = x,
                                           .gamma = row,
                                           .beta = row + channels,
                                           .y = x + n,
                                           .mean = mean,
                                           .rstd = rstd};
    mb_batchnorm_backward_input_args_t input = {MB_F32,    rows,      rows, channels, true,
                                                x,         x + 2 * n, row,  mean,     rstd,
                                                x + 3 * n, 0,         NULL, NULL,     sums};
    printf("batch normalization %lld x %lld\n", (long long)rows, (long long)channels);
    report("  forward", seconds_of(exec, MB_OP_BATCHNORM_FORWARD, &forward, sizeof forward), 0,
           3 * bytes);
    forward.residual = x + 2 * n;
    forward.act = MB_ACT_RELU;
    report("  forward, sum and relu",
           seconds_of(exec, MB_OP_BATCHNORM_FORWARD, &forward, sizeof forward), 0, 4 * bytes);
    report("  backward", seconds_of(exec, MB_OP_BATCHNORM_BACKWARD_INPUT, &input, sizeof input), 0,
           5 * bytes);
    mb_device_free(exec->device, x);
    mb_device_free(exec->device, row);
    mb_device_free(exec->device, sums);
}

static void bench_attention(mb_exec_t *exec, int64_t samples, int64_t heads, int64_t t, int64_t d)
{
    int64_t count = samples * heads * t * d;
    float *x = numbers(exec->device, 8 * count), *log_sum = numbers(exec->device, count / d);
    mb_attention_forward_args_t f = {.samples = samples,
                                     .heads = heads,
                                     .tq = t,
                                     .tk = t,
                                     .d = d,
                                     .dv = d,
                                     .scale = 0.125f,
                                     .causal = true,
                                     .q = x,
                                     .k = x + count,
                                     .v = x + 2 * count,
                                     .out = x + 3 * count,
                                     .log_sum = log_sum};
    mb_attention_backward_args_t b = {.samples = samples,
                                      .heads = heads,
                                      .tq = t,
                                      .tk = t,
                                      .d = d,
                                      .dv = d,
                                      .scale = 0.125f,
                                      .causal = true,
                                      .q = f.q,
                                      .k = f.k,
                                      .v = f.v,
                                      .out = f.out,
                                      .log_sum = log_sum,
                                      .dout = x + 4 * count,
                                      .dq = x + 5 * count,
                                      .dk = x + 6 * count,
                                      .dv_ = x + 7 * count};
    double flops = 2.0 * (double)(count * t); /* half of two products under the mask */
    report("attention forward", seconds_of(exec, MB_OP_ATTENTION_FORWARD, &f, sizeof f), flops, 0);
    report("attention backward", seconds_of(exec, MB_OP_ATTENTION_BACKWARD, &b, sizeof b),
           2.5 * flops, 0);
    mb_device_free(exec->device, x);
    mb_device_free(exec->device, log_sum);
}

static void bench_rows(mb_exec_t *exec, int64_t rows, int64_t columns)
{
    int64_t count = rows * columns;
    float *x = numbers(exec->device, 4 * count), *row = numbers(exec->device, 4 * columns);
    float *statistics = numbers(exec->device, 2 * rows);
    float *y = x + count, *dy = x + 2 * count, *dx = x + 3 * count;
    float *mean = statistics, *rstd = statistics + rows;
    double bytes = 4.0 * (double)count;
    mb_layernorm_forward_args_t norm = {.rows = rows,
                                        .columns = columns,
                                        .epsilon = 1e-3f,
                                        .x = x,
                                        .gamma = row,
                                        .beta = row,
                                        .y = y,
                                        .mean = mean,
                                        .rstd = rstd};
    mb_layernorm_backward_input_args_t input = {MB_F32, rows, columns, false, x,
                                                dy,     row,  mean,    rstd,  dx};
    mb_layernorm_backward_weights_args_t weights = {MB_F32, rows, columns, false, false,        x,
                                                    dy,     mean, rstd,    row,   row + columns};
    mb_act_forward_args_t gelu = {MB_F32, count, MB_ACT_GELU, 0, 0, 0, x, y};
    mb_act_backward_args_t gelu_back = {MB_F32, count, MB_ACT_GELU, 0, 0, 0, x, y, dy, dx};
    mb_act_forward_args_t relu = {MB_F32, count, MB_ACT_RELU, 0, 0, 0, x, y};
    mb_softmax_forward_args_t softmax = {MB_F32, rows, columns, x, y, false};
    mb_column_sum_args_t sum = {MB_F32, rows, columns, false, x, row};
    mb_dropout_args_t dropout = {MB_F32, 1, count, 0.1f, {1, 1, 1, 1, 1}, x, y, 0};
    printf("rows %lld x %lld\n", (long long)rows, (long long)columns);
    report("  layer norm", seconds_of(exec, MB_OP_LAYERNORM_FORWARD, &norm, sizeof norm), 0,
           2 * bytes);
    report("  layer norm input",
           seconds_of(exec, MB_OP_LAYERNORM_BACKWARD_INPUT, &input, sizeof input), 0, 3 * bytes);
    report("  layer norm weights",
           seconds_of(exec, MB_OP_LAYERNORM_BACKWARD_WEIGHTS, &weights, sizeof weights), 0,
           2 * bytes);
    report("  gelu", seconds_of(exec, MB_OP_ACT_FORWARD, &gelu, sizeof gelu), 0, 2 * bytes);
    report("  gelu backward", seconds_of(exec, MB_OP_ACT_BACKWARD, &gelu_back, sizeof gelu_back), 0,
           3 * bytes);
    report("  relu", seconds_of(exec, MB_OP_ACT_FORWARD, &relu, sizeof relu), 0, 2 * bytes);
    report("  softmax", seconds_of(exec, MB_OP_SOFTMAX_FORWARD, &softmax, sizeof softmax), 0,
           2 * bytes);
    report("  dropout", seconds_of(exec, MB_OP_DROPOUT, &dropout, sizeof dropout), 0, 2 * bytes);
    report("  column sum", seconds_of(exec, MB_OP_COLUMN_SUM, &sum, sizeof sum), 0, bytes);
    mb_device_free(exec->device, x);
    mb_device_free(exec->device, row);
    mb_device_free(exec->device, statistics);
}

static void bench_update(mb_exec_t *exec, int64_t count)
{
    float *x = numbers(exec->device, 4 * count);
    mb_tensor_t tensor = {
        .w = x, .g = x + count, .s0 = x + 2 * count, .s1 = x + 3 * count, .count = count};
    mb_update_args_t adam = {.rule = MB_RULE_ADAM,
                             .epsilon = 1e-7f,
                             .beta1 = 0.9,
                             .beta2 = 0.999,
                             .alpha = 1e-5f,
                             .table = {&tensor, 1, mb_table_number(&tensor, 1)}};
    for (int64_t i = 3 * count; i < 4 * count; i++)
        x[i] = 0.5f;
    double norm = 0.0;
    mb_norms_args_t norms = {adam.table, &norm};
    mb_add_args_t add = {MB_F32, count, x, x + count, x + 2 * count};
    mb_zero_args_t zero = {4 * count, x};
    printf("%lld weights\n", (long long)count);
    report("  adam", seconds_of(exec, MB_OP_UPDATE, &adam, sizeof adam), 0, 28.0 * (double)count);
    report("  norm", seconds_of(exec, MB_OP_NORMS, &norms, sizeof norms), 0, 4.0 * (double)count);
    report("  sum", seconds_of(exec, MB_OP_ADD, &add, sizeof add), 0, 12.0 * (double)count);
    report("  zero", seconds_of(exec, MB_OP_ZERO, &zero, sizeof zero), 0, 4.0 * (double)count);
    mb_device_free(exec->device, x);
}

/* What stands at a language model's two ends. */
static void bench_ends(mb_exec_t *exec, int64_t rows, int64_t vocabulary, int64_t width)
{
    int64_t outputs = rows * vocabulary, inputs = rows * width;
    float *x = numbers(exec->device, 2 * outputs), *y = numbers(exec->device, inputs);
    float *table = numbers(exec->device, vocabulary * width);
    int32_t *ids = (int32_t *)(void *)numbers(exec->device, rows);
    double sum = 0.0, bytes = 4.0 * (double)outputs;
    for (int64_t i = 0; i < rows; i++)
        ids[i] = (int32_t)(i * 7 % vocabulary);
    mb_loss_args_t loss = {.kind = MB_LOSS_SPARSE_SOFTMAX,
                           .rows = rows,
                           .valid = rows,
                           .columns = vocabulary,
                           .scale = 1.0f,
                           .x = x,
                           .labels = ids,
                           .dx = x + outputs,
                           .sum = &sum};
    mb_softmax_backward_args_t softmax = {MB_F32, rows, vocabulary, x, x, x + outputs, false};
    mb_embedding_forward_args_t look = {MB_F32, rows, vocabulary, width, ids, table, y};
    mb_embedding_backward_args_t back = {MB_F32, rows, vocabulary, width, false, ids, y, table};
    printf("rows %lld, vocabulary %lld, width %lld\n", (long long)rows, (long long)vocabulary,
           (long long)width);
    report("  cross-entropy with its gradient", seconds_of(exec, MB_OP_LOSS, &loss, sizeof loss), 0,
           2 * bytes);
    report("  softmax backward", seconds_of(exec, MB_OP_SOFTMAX_BACKWARD, &softmax, sizeof softmax),
           0, 3 * bytes);
    report("  embedding", seconds_of(exec, MB_OP_EMBEDDING_FORWARD, &look, sizeof look), 0,
           8.0 * (double)inputs);
    report("  embedding backward", seconds_of(exec, MB_OP_EMBEDDING_BACKWARD, &back, sizeof back),
           0, 8.0 * (double)inputs + 4.0 * (double)(vocabulary * width));
    mb_device_free(exec->device, x);
    mb_device_free(exec->device, y);
    mb_device_free(exec->device, table);
    mb_device_free(exec->device, ids);
}

int main(int argc, char **argv)
{
    mb_device_options_t options = {.size = sizeof options};
    options.threads = argc > 1 ? atoi(argv[1]) : omp_get_max_threads();
    n_threads = options.threads;
    mb_device_t *device = NULL;
    mb_exec_t exec;
    char text[128];
    if (mb_device_open("cpu", &options, &device) != MB_OK ||
        mb_exec_create(device, &exec) != MB_OK) {
        fprintf(stderr, "%s\n", mb_error_get());
        return 1;
    }
    device->class_->describe(device, text, sizeof text);
    printf("%s\n", text);
    find_limits(&exec);
    print_limits();
    bench_dense(&exec, options.threads, 128, 784, 512);
    bench_dense(&exec, options.threads, 128, 512, 512);
    bench_dense(&exec, options.threads, 128, 512, 10);
    bench_dense(&exec, options.threads, 128, 3136, 128);
    bench_dense(&exec, options.threads, 2048, 384, 384);
    bench_dense(&exec, options.threads, 2048, 384, 1536);
    bench_dense(&exec, options.threads, 2048, 1536, 384);
    bench_dense(&exec, options.threads, 2048, 384, 65);
    bench_dense(&exec, options.threads, 1024, 384, 384);
    bench_dense(&exec, options.threads, 1024, 384, 1536);
    bench_dense(&exec, options.threads, 1024, 1536, 384);
    bench_dense(&exec, options.threads, 1024, 384, 256);
    bench_dense(&exec, options.threads, 1024, 512, 1024);
    bench_dense(&exec, options.threads, 512, 1024, 4096);
    bench_conv(&exec, 128, 28, 1, 32);
    bench_conv(&exec, 128, 14, 32, 64);
    bench_conv(&exec, 32, 32, 16, 16);
    bench_conv(&exec, 32, 16, 32, 32);
    bench_conv(&exec, 32, 8, 64, 64);
    bench_batchnorm(&exec, 32 * 32 * 32, 16);
    bench_batchnorm(&exec, 32 * 8 * 8, 64);
    bench_attention(&exec, 8, 6, 256, 64);
    bench_rows(&exec, 2048, 384);
    bench_ends(&exec, 1024, 256, 384);
    bench_update(&exec, 670000);
    bench_update(&exec, 10000000);
    mb_exec_destroy(&exec);
    mb_device_close(device);
    return 0;
}
