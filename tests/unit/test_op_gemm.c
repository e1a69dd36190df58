/* Products of matrices and sums over rows against plain loops in double. */
#include <string.h>
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

static Suite *suite(void)
{
    Suite *s = suite_create("op_gemm");
    TCase *t = tcase_create("gemm");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, product_matches_plain_loops_for_odd_sizes);
    tcase_add_test(t, product_over_nothing_is_the_bias);
    tcase_add_test(t, product_with_short_leading_dimension_is_refused);
    tcase_add_test(t, column_sum_matches_double_sums);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
