/* Resampling against its formula, and the transposed one against the same matrix. */
#include <string.h>
#include "support/op_check.h"

static double sinc(double x)
{
    return x == 0.0 ? 1.0 : sin(M_PI * x) / (M_PI * x);
}

static double filter(mb_filter_t which, double x)
{
    double radius = which == MB_FILTER_LANCZOS3 ? 3.0 : 5.0;
    switch (which) {
    case MB_FILTER_LINEAR:
        return fmax(0.0, 1.0 - x);
    case MB_FILTER_CUBIC: /* Keys 1981, equation 15 */
        if (x < 1.0)
            return 1.5 * x * x * x - 2.5 * x * x + 1.0;
        return x < 2.0 ? -0.5 * x * x * x + 2.5 * x * x - 4.0 * x + 2.0 : 0.0;
    default:
        return x < radius ? sinc(x) * sinc(x / radius) : 0.0;
    }
}

/* The whole matrix, row by row. */
static double *matrix(const mb_resample_args_t *a)
{
    double ratio = (double)a->in / (double)a->out;
    double scale = a->antialias && ratio > 1.0 ? ratio : 1.0;
    double *m = calloc((size_t)(a->in * a->out), sizeof(double));
    for (int64_t j = 0; j < a->out; j++) {
        double sum = 0.0, at = ((double)j + 0.5) * ratio;
        for (int64_t i = 0; i < a->in; i++) {
            double weight = filter(a->filter, fabs(at - 0.5 - (double)i) / scale);
            if (a->filter == MB_FILTER_NEAREST)
                weight = i == (2 * j + 1) * a->in / (2 * a->out) ? 1.0 : 0.0;
            m[j * a->in + i] = weight;
            sum += weight;
        }
        for (int64_t i = 0; i < a->in; i++)
            m[j * a->in + i] /= sum;
    }
    return m;
}

/* Weights err by the rounding to float, and filters are evaluated in another order: 4 EPSILON of
 * magnitudes up to one. */
static void check(op_t *op, mb_resample_args_t a)
{
    int64_t from = a.transposed ? a.out : a.in, to = a.transposed ? a.in : a.out;
    float *x = op_random(op, a.outer * from * a.inner, -1, 1);
    float *y = op_random(op, a.outer * to * a.inner, -1, 1);
    double *m = matrix(&a), *want = calloc((size_t)(a.outer * to * a.inner), sizeof(double));
    int64_t at = 0;
    for (int64_t o = 0; o < a.outer; o++)
        for (int64_t row = 0; row < to; row++)
            for (int64_t c = 0; c < a.inner; c++, at++)
                for (int64_t i = 0; i < from; i++)
                    want[at] += (a.transposed ? m[i * a.in + row] : m[row * a.in + i]) *
                                (double)x[(o * from + i) * a.inner + c];
    a.x = x;
    a.y = y;
    OP_RUN(op, RESAMPLE, &a);
    double terms =
        12.0 * (double)(a.in > a.out ? a.in : a.out) / (double)(a.in < a.out ? a.in : a.out);
    op_near("y", y, want, a.outer * to * a.inner, 2 * OP_EPSILON,
            a.filter == MB_FILTER_NEAREST && !a.transposed
                ? 0.0
                : op_sum_bound((int64_t)terms) + 4 * OP_EPSILON * terms);
    free(m);
    free(want);
}

START_TEST(resampling_and_its_transpose_match_the_formula)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    mb_resample_args_t a = {.filter = (mb_filter_t)(_i % MB_FILTER_COUNT),
                            .antialias = op_integer(&op, 0, 1) == 0,
                            .outer = op_integer(&op, 1, 4),
                            .in = op_integer(&op, 1, 19),
                            .out = op_integer(&op, 1, 40),
                            .inner = op_integer(&op, 1, 70)};
    check(&op, a);
    a.transposed = true;
    check(&op, a);
    op_close(&op);
}
END_TEST

START_TEST(an_unknown_filter_is_refused)
{
    op_t op;
    op_open(&op, 1, 1);
    mb_resample_args_t a = {.filter = MB_FILTER_COUNT, .outer = 1, .in = 1, .out = 1, .inner = 1};
    ck_assert_int_eq(op_try(&op, MB_OP_RESAMPLE, &a, sizeof a), MB_ERR_INTERNAL);
    op_close(&op);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op_resample");
    TCase *t = tcase_create("resample");
    tcase_add_loop_test(t, resampling_and_its_transpose_match_the_formula, 0, 60);
    tcase_add_test(t, an_unknown_filter_is_refused);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
