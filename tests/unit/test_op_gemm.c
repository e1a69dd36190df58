/* Products of matrices and sums over rows against plain loops in double. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include "device/cpu/dnnl/internal.h"
#include "device/cpu/gemm_tiles.h"
#include "support/op_check.h"

typedef struct {
    int64_t m, n, k;
    bool ta, tb, accumulate, bias;
    int64_t pad; /* how much longer a leading dimension is than a row */
} problem_t;

static double element(const float *a, int64_t ld, bool transposed, int64_t i, int64_t j)
{
    return (double)(transposed ? a[j * ld + i] : a[i * ld + j]);
}

static void check_product(op_t *op, const problem_t *p)
{
    int64_t lda = (p->ta ? p->m : p->k) + p->pad, ldb = (p->tb ? p->k : p->n) + p->pad;
    int64_t ldc = p->n + p->pad;
    float *a = op_random(op, (p->ta ? p->k : p->m) * lda, -1, 1);
    float *b = op_random(op, (p->tb ? p->n : p->k) * ldb, -1, 1);
    float *c = op_random(op, p->m * ldc, -1, 1);
    float *bias = p->bias ? op_random(op, p->n, -1, 1) : NULL;
    double *before = op_widen(c, p->m * ldc);
    mb_gemm_args_t args = {.m = p->m,
                           .n = p->n,
                           .k = p->k,
                           .transpose_a = p->ta,
                           .transpose_b = p->tb,
                           .accumulate = p->accumulate,
                           .lda = lda,
                           .ldb = ldb,
                           .ldc = ldc,
                           .a = a,
                           .b = b,
                           .bias = bias,
                           .c = c};
    OP_RUN(op, GEMM, &args);
    for (int64_t i = 0; i < p->m; i++) {
        for (int64_t j = 0; j < ldc; j++) {
            double want = before[i * ldc + j];
            if (j < p->n) {
                want = p->accumulate ? want : p->bias ? (double)bias[j] : 0.0;
                for (int64_t l = 0; l < p->k; l++)
                    want += element(a, lda, p->ta, i, l) * element(b, ldb, p->tb, l, j);
            }
            op_near("product", &c[i * ldc + j], &want, 1, 2 * OP_EPSILON,
                    j < p->n ? op_sum_bound(p->k) : 0.0);
        }
    }
    free(before);
}

START_TEST(product_matches_plain_loops_for_odd_sizes)
{
    static const int64_t sizes[] = {1, 3, 7, 17, 64, 131, 257};
    for (int i = 0; i < 40; i++) {
        op_t op;
        op_open(&op, 2, (uint64_t)i + 1);
        problem_t p = {.m = sizes[op_integer(&op, 0, 6)]};
        p.n = sizes[op_integer(&op, 0, 6)];
        p.k = sizes[op_integer(&op, 0, 6)];
        p.ta = i & 1;
        p.tb = i & 2;
        p.accumulate = i & 4;
        p.bias = !p.accumulate && (i & 8);
        p.pad = i & 16 ? 5 : 0;
        check_product(&op, &p);
        op_close(&op);
    }
}
END_TEST

/* Stored transposed, or rows 4096 bytes apart: what kernels read slowly, in whole panels and not.
 */
START_TEST(product_of_copied_factors_matches_plain_loops)
{
    static const problem_t problems[] = {
        {.m = 130, .n = 150, .k = 70, .tb = true, .bias = true},
        {.m = 300, .n = 97, .k = 301, .tb = true, .accumulate = true},
        {.m = 161, .n = 190, .k = 97, .pad = 1024 - 190},
        {.m = 97, .n = 200, .k = 131, .ta = true, .accumulate = true, .pad = 1024 - 97},
        {.m = 200, .n = 130, .k = 131, .ta = true, .accumulate = true, .pad = 1024 - 130},
        {.m = 257, .n = 257, .k = 100, .ta = true, .pad = 1024 - 257},
        {.m = 150, .n = 140, .k = 1024, .tb = true},
    };
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
        op_t op;
        op_open(&op, 1 + (int)i % 3, i + 1);
        check_product(&op, &problems[i]);
        op_close(&op);
    }
}
END_TEST

/* More than is copied at a time: the inner dimension is cut. */
START_TEST(product_of_long_factors_is_summed_in_parts)
{
    enum { M = 128, N = 1024, K = 8192, SOME = 200 };
    op_t op;
    op_open(&op, 2, 7);
    float *a = op_random(&op, M * K, -1, 1), *b = op_random(&op, N * K, -1, 1);
    float *bias = op_random(&op, N, -1, 1), *c = op_floats(&op, M * N);
    mb_gemm_args_t args = {.m = M, .n = N, .k = K, .transpose_b = true, .lda = K, .ldb = K};
    args.ldc = N;
    args.a = a;
    args.b = b;
    args.bias = bias;
    args.c = c;
    args.act = MB_ACT_RELU;
    OP_RUN(&op, GEMM, &args);
    for (int s = 0; s < SOME; s++) {
        int64_t i = op_integer(&op, 0, M - 1), j = op_integer(&op, 0, N - 1);
        double want = (double)bias[j];
        for (int64_t l = 0; l < K; l++)
            want += (double)a[i * K + l] * (double)b[j * K + l];
        want = want > 0.0 ? want : 0.0;
        op_near("product", &c[i * N + j], &want, 1, 2 * OP_EPSILON, op_sum_bound(K));
    }
    op_close(&op);
}
END_TEST

static uint64_t digest_of(const mb_gemm_args_t *shape, int threads)
{
    op_t op;
    op_open(&op, threads, 3);
    mb_gemm_args_t args = *shape;
    args.lda = args.transpose_a ? args.m : args.k;
    args.ldb = args.transpose_b ? args.k : args.n;
    args.ldc = args.n;
    args.a = op_random(&op, args.m * args.k, -1, 1);
    args.b = op_random(&op, args.n * args.k, -1, 1);
    args.c = op_random(&op, args.m * args.n, -1, 1);
    OP_RUN(&op, GEMM, &args);
    uint64_t digest = op_digest(&op);
    op_close(&op);
    return digest;
}

START_TEST(threads_do_not_change_a_bit_of_a_product)
{
    static const mb_gemm_args_t shapes[] = {
        {.m = 256, .n = 384, .k = 128},
        {.m = 256, .n = 384, .k = 512, .transpose_b = true},
        {.m = 384, .n = 1024, .k = 200, .transpose_a = true, .accumulate = true},
        {.m = 1024, .n = 130, .k = 300, .transpose_a = true, .accumulate = true},
        {.m = 513, .n = 77, .k = 1001},
    };
    static const int threads[] = {2, 3, 7};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        uint64_t alone = digest_of(&shapes[i], 1);
        for (int t = 0; t < 3; t++)
            ck_assert_msg(digest_of(&shapes[i], threads[t]) == alone, "shape %zu, %d threads", i,
                          threads[t]);
    }
}
END_TEST

/* A step of a GPT of width 384 with 1024 positions, forward, to the input and to the weights. */
START_TEST(tiles_occupy_64_threads)
{
    static const int64_t layers[][2] = {{384, 384}, {384, 1536}, {1536, 384}, {384, 256}};
    const int64_t rows = 1024;
    for (int i = 0; i < 4; i++) {
        int64_t in = layers[i][0], out = layers[i][1];
        const int64_t products[][3] = {{rows, out, in}, {rows, in, out}, {in, out, rows}};
        for (int p = 0; p < 3; p++) {
            mb_gemm_tiles_t t =
                mb_gemm_tiles(MB_F32, products[p][0], products[p][1], products[p][2]);
            int64_t tiles = t.tiles_m * t.tiles_n;
            ck_assert_int_eq(t.tiles_m, mb_ceil_div(products[p][0], t.m));
            ck_assert_int_eq(t.tiles_n, mb_ceil_div(products[p][1], t.n));
            ck_assert_msg(10 * tiles >= 9 * 64 * mb_ceil_div(tiles, 64), "%d, %d: %d tiles", i, p,
                          (int)tiles);
        }
    }
}
END_TEST

/* Whatever processor and threads: a prediction of one sample has the bits of these loops. */
START_TEST(small_product_of_one_row_has_the_bits_of_plain_loops)
{
    static const int64_t sizes[][2] = {{1, 1}, {4, 64}, {64, 8}, {65, 12}, {200, 130}, {128, 128}};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        op_t op;
        op_open(&op, 2, 1);
        int64_t n = sizes[s][0], k = sizes[s][1];
        const float *a = op_random(&op, k, -1, 1), *b = op_random(&op, k * n, -1, 1);
        const float *bias = op_random(&op, n, -1, 1);
        mb_gemm_args_t args = {.m = 1,
                               .n = n,
                               .k = k,
                               .lda = k,
                               .ldb = n,
                               .ldc = n,
                               .a = a,
                               .b = b,
                               .bias = bias,
                               .c = op_random(&op, n, -1, 1),
                               .act = MB_ACT_RELU};
        OP_RUN(&op, GEMM, &args);
        for (int64_t j = 0; j < n; j++) {
            volatile float sum = bias[j], product;
            for (int64_t i = 0; i < k; i++) {
                product = a[i] * b[i * n + j];
                sum = sum + product;
            }
            float want = sum > 0 ? sum : 0;
            ck_assert_msg(((const float *)args.c)[j] == want, "%lld x %lld, column %lld",
                          (long long)k, (long long)n, (long long)j);
        }
        op_close(&op);
    }
}
END_TEST

START_TEST(product_over_nothing_is_the_bias)
{
    op_t op;
    op_open(&op, 1, 1);
    float *c = op_random(&op, 6, -1, 1), *bias = op_random(&op, 3, -1, 1);
    mb_gemm_args_t args = {.m = 2, .n = 3, .k = 0, .ldb = 3, .ldc = 3, .bias = bias, .c = c};
    OP_RUN(&op, GEMM, &args);
    for (int i = 0; i < 6; i++)
        ck_assert_float_eq(c[i], bias[i % 3]);
    args.m = 0;
    OP_RUN(&op, GEMM, &args);
    op_close(&op);
}
END_TEST

START_TEST(product_with_short_leading_dimension_is_refused)
{
    op_t op;
    op_open(&op, 1, 1);
    mb_gemm_args_t args = {.m = 2, .n = 3, .k = 4, .lda = 3, .ldb = 3, .ldc = 3};
    ck_assert_int_eq(op_try(&op, MB_OP_GEMM, &args, sizeof args), MB_ERR_INTERNAL);
    op_close(&op);
}
END_TEST

/* A product of odd sizes, rows side by side. */
static mb_gemm_args_t some_product(op_t *op)
{
    static const int64_t sizes[] = {1, 3, 7, 17, 64, 131, 300, 517};
    mb_gemm_args_t a = {.m = sizes[op_integer(op, 0, 7)], .n = sizes[op_integer(op, 0, 7)]};
    a.k = sizes[op_integer(op, 0, 7)];
    a.transpose_a = op_integer(op, 0, 1);
    a.lda = a.transpose_a ? a.m : a.k;
    a.ldb = a.ldc = a.n;
    a.a = op_random(op, a.m * a.k, -1, 1);
    a.b = op_random(op, a.n * a.k, -1, 1);
    return a;
}

START_TEST(activated_product_is_the_product_then_the_activation)
{
    for (int act = MB_ACT_RELU; act < MB_ACT_COUNT; act++) {
        for (int i = 0; i < 8; i++) {
            op_t op;
            op_open(&op, 1 + i % 4, (uint64_t)(8 * act + i));
            mb_gemm_args_t fused = some_product(&op), plain = fused;
            int64_t count = fused.m * fused.n;
            fused.bias = plain.bias = i & 1 ? op_random(&op, fused.n, -1, 1) : NULL;
            fused.act = (mb_act_t)act;
            fused.p0 = 0.5f, fused.p1 = 6.0f, fused.p2 = 0.1f;
            fused.pre = i & 2 ? op_floats(&op, count) : NULL;
            fused.c = op_floats(&op, count);
            plain.c = op_floats(&op, count);
            float *want = op_floats(&op, count);
            mb_act_forward_args_t then = {MB_F32, count, (mb_act_t)act, 0.5f,
                                          6.0f,   0.1f,  plain.c,       want};
            OP_RUN(&op, GEMM, &fused);
            OP_RUN(&op, GEMM, &plain);
            OP_RUN(&op, ACT_FORWARD, &then);
            ck_assert_mem_eq(fused.c, want, (size_t)count * sizeof(float));
            if (fused.pre != NULL)
                ck_assert_mem_eq(fused.pre, plain.c, (size_t)count * sizeof(float));
            op_close(&op);
        }
    }
}
END_TEST

START_TEST(bias_gradient_beside_the_kernel_s_is_the_column_sum)
{
    for (int i = 0; i < 40; i++) {
        op_t op;
        op_open(&op, 1 + i % 4, (uint64_t)i + 1);
        mb_gemm_args_t both = some_product(&op);
        both.wide = true;
        both.accumulate = i & 1;
        both.c = op_random(&op, both.m * both.n, -1, 1);
        both.dbias = op_random(&op, both.n, -1, 1);
        mb_gemm_args_t alone = both;
        alone.dbias = NULL;
        alone.c = op_floats(&op, both.m * both.n);
        float *want = op_floats(&op, both.n);
        memcpy(alone.c, both.c, (size_t)(both.m * both.n) * sizeof(float));
        memcpy(want, both.dbias, (size_t)both.n * sizeof(float));
        mb_column_sum_args_t sum = {MB_F32, both.k, both.n, both.accumulate, both.b, want};
        OP_RUN(&op, GEMM, &both);
        OP_RUN(&op, GEMM, &alone);
        OP_RUN(&op, COLUMN_SUM, &sum);
        ck_assert_mem_eq(both.c, alone.c, (size_t)(both.m * both.n) * sizeof(float));
        ck_assert_mem_eq(both.dbias, want, (size_t)both.n * sizeof(float));
        op_close(&op);
    }
}
END_TEST

START_TEST(nothing_to_sum_is_activated_and_has_no_bias_gradient)
{
    op_t op;
    op_open(&op, 1, 1);
    float *c = op_floats(&op, 6), *pre = op_floats(&op, 6), dbias[] = {1, 2, 3};
    float bias[] = {-1, 0, 2};
    mb_gemm_args_t args = {.m = 2, .n = 3, .ldb = 3, .ldc = 3, .bias = bias, .c = c, .pre = pre};
    args.act = MB_ACT_RELU;
    OP_RUN(&op, GEMM, &args);
    for (int i = 0; i < 6; i++) {
        ck_assert_float_eq(pre[i], bias[i % 3]);
        ck_assert_float_eq(c[i], bias[i % 3] > 0 ? bias[i % 3] : 0);
    }
    mb_gemm_args_t wide = {.wide = true, .m = 2, .n = 3, .ldb = 3, .ldc = 3, .c = c};
    wide.accumulate = true;
    wide.dbias = dbias;
    OP_RUN(&op, GEMM, &wide);
    ck_assert_float_eq(dbias[1], 2);
    wide.accumulate = false;
    OP_RUN(&op, GEMM, &wide);
    ck_assert_float_eq(dbias[1], 0);
    op_close(&op);
}
END_TEST

START_TEST(epilogues_that_do_not_go_together_are_refused)
{
    op_t op;
    float some[6];
    op_open(&op, 1, 1);
    mb_gemm_args_t args = {.m = 2, .n = 3, .k = 4, .lda = 4, .ldb = 3, .ldc = 3};
    mb_gemm_args_t accumulated = args, apart = args, input = args, unknown = args;
    mb_gemm_args_t narrow = args, transposed = args, activated = args, biased = args;
    accumulated.act = apart.act = activated.act = MB_ACT_RELU;
    accumulated.accumulate = true;
    apart.ldc = 4;
    input.pre = some;
    unknown.act = MB_ACT_COUNT;
    transposed.wide = activated.wide = biased.wide = transposed.transpose_b = true;
    transposed.ldb = 4;
    narrow.dbias = transposed.dbias = activated.dbias = biased.dbias = some;
    biased.bias = some;
    const mb_gemm_args_t *refused[] = {&accumulated, &apart,      &input,     &unknown,
                                       &narrow,      &transposed, &activated, &biased};
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(op_try(&op, MB_OP_GEMM, refused[i], sizeof args), MB_ERR_INTERNAL);
    op_close(&op);
}
END_TEST

/* Sums are taken in double and rounded once. */
START_TEST(column_sum_matches_double_sums)
{
    static const int64_t sizes[] = {1, 3, 17, 100, 1009};
    for (int i = 0; i < 25; i++) {
        op_t op;
        op_open(&op, 2, (uint64_t)i + 1);
        int64_t rows = sizes[i % 5] * 7, columns = sizes[i / 5];
        float *a = op_random(&op, rows * columns, -1, 1), *sum = op_random(&op, columns, -1, 1);
        double *want = op_widen(sum, columns);
        mb_column_sum_args_t args = {MB_F32, rows, columns, i % 2 == 1, a, sum};
        for (int64_t j = 0; j < columns; j++) {
            want[j] = args.accumulate ? want[j] : 0.0;
            for (int64_t r = 0; r < rows; r++)
                want[j] += (double)a[r * columns + j];
        }
        OP_RUN(&op, COLUMN_SUM, &args);
        op_near("column sum", sum, want, columns, OP_EPSILON * 1.01, 1e-12);
        free(want);
        op_close(&op);
    }
}
END_TEST

static volatile sig_atomic_t signals_heard;

static void hear(int signal)
{
    (void)signal;
    signals_heard++;
}

/* Sends this process a signal every so many microseconds; 0: no more. */
static void ring(int microseconds)
{
    struct itimerval every = {{0, microseconds}, {0, microseconds}};
    ck_assert_int_eq(setitimer(ITIMER_REAL, &every, NULL), 0);
}

/* A host may handle signals on its own stack, and oneDNN's kernels move the stack pointer into
 * their buffers: the kernel would write the handler's frame over what lies below. */
START_TEST(a_signal_at_any_time_leaves_memory_whole)
{
    enum { M = 16, N = 512, K = 512, TURNS = 4000 };
    struct sigaction action = {.sa_handler = hear, .sa_flags = SA_RESTART}, before;
    op_t op;
    op_open(&op, 1, 5);
    mb_gemm_args_t args = {.m = M, .n = N, .k = K, .lda = K, .ldb = N, .ldc = N};
    args.a = op_random(&op, M * K, -1, 1);
    args.b = op_random(&op, N * K, -1, 1);
    args.c = op_floats(&op, M * N);
    OP_RUN(&op, GEMM, &args);
    uint64_t wanted = op_digest(&op);
    ck_assert_int_eq(sigaction(SIGALRM, &action, &before), 0);
    ring(70);
    for (int turn = 0; turn < TURNS; turn++) {
        OP_RUN(&op, GEMM, &args);
        ck_assert(op_digest(&op) == wanted);
    }
    ring(0);
    sigaction(SIGALRM, &before, NULL);
    ck_assert_int_gt(signals_heard, 100);
    op_close(&op);
}
END_TEST

/* oneDNN reads the variable once, for the first kernel of a process. */
START_TEST(environment_chooses_no_narrower_products)
{
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_fpmath_mode_t mode = dnnl_fpmath_mode_any;
    ck_assert_int_eq(setenv("ONEDNN_DEFAULT_FPMATH_MODE", "ANY", 1), 0);
    ck_assert_int_eq(mb_dnnl_attributes(false, &attributes), dnnl_success);
    ck_assert_int_eq(dnnl_primitive_attr_get_fpmath_mode(attributes, &mode), dnnl_success);
    ck_assert_int_eq(mode, dnnl_fpmath_mode_strict);
    dnnl_primitive_attr_destroy(attributes);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op_gemm");
    TCase *t = tcase_create("gemm");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, product_matches_plain_loops_for_odd_sizes);
    tcase_add_test(t, product_of_copied_factors_matches_plain_loops);
    tcase_add_test(t, product_of_long_factors_is_summed_in_parts);
    tcase_add_test(t, threads_do_not_change_a_bit_of_a_product);
    tcase_add_test(t, tiles_occupy_64_threads);
    tcase_add_test(t, small_product_of_one_row_has_the_bits_of_plain_loops);
    tcase_add_test(t, product_over_nothing_is_the_bias);
    tcase_add_test(t, product_with_short_leading_dimension_is_refused);
    tcase_add_test(t, activated_product_is_the_product_then_the_activation);
    tcase_add_test(t, bias_gradient_beside_the_kernel_s_is_the_column_sum);
    tcase_add_test(t, nothing_to_sum_is_activated_and_has_no_bias_gradient);
    tcase_add_test(t, epilogues_that_do_not_go_together_are_refused);
    tcase_add_test(t, column_sum_matches_double_sums);
    tcase_add_test(t, a_signal_at_any_time_leaves_memory_whole);
    tcase_add_test(t, environment_chooses_no_narrower_products);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
