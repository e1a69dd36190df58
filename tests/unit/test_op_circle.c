/* Circle loss and its gradient against Keras' formula in double, over all pairs of a batch. */
#include <string.h>
#include "support/op_check.h"

typedef struct {
    mb_circle_args_t args;
} circle_t;

static double positive(double x)
{
    return x > 0 ? x : 0;
}

/* log(sum(exp)) over the valid rows that have, or have not, the label of row I. */
static double log_sum(const mb_circle_args_t *a, const double *x, int64_t i, bool alike)
{
    double sum = 0, gamma = (double)a->gamma, margin = (double)a->margin;
    for (int64_t j = 0; j < a->valid; j++) {
        double product = 0;
        for (int64_t c = 0; c < a->columns; c++)
            product += x[i * a->columns + c] * x[j * a->columns + c];
        double d = positive(1 - product);
        if ((a->labels[i] == a->labels[j]) != alike || (alike && i == j && a->removes_itself))
            continue;
        sum += exp(alike ? -gamma * positive(margin + d) * (margin - d)
                         : gamma * positive(1 + margin - d) * (1 - margin - d));
    }
    return log(sum);
}

static double batch_loss(const double *x, void *context)
{
    const circle_t *circle = context;
    const mb_circle_args_t *a = &circle->args;
    double sum = 0, counted = 0;
    for (int64_t i = 0; i < a->valid; i++) {
        double loss = log1p(exp(log_sum(a, x, i, true) + log_sum(a, x, i, false)));
        counted += loss > 0;
        sum += loss;
    }
    return a->averages && counted > 0 ? sum * (double)a->valid / counted : sum;
}

/* Rows of length about one, so that a product is now and then above one and a distance cut. */
static float *some_rows(op_t *op, int64_t rows, int64_t columns)
{
    float *x = op_random(op, rows * columns, -1, 1);
    for (int64_t i = 0; i < rows; i++) {
        double square = 0, length = op_uniform(op, 0.8, 1.2);
        for (int64_t c = 0; c < columns; c++)
            square += (double)x[i * columns + c] * (double)x[i * columns + c];
        for (int64_t c = 0; c < columns; c++)
            x[i * columns + c] *= (float)(length / sqrt(square));
    }
    return x;
}

static circle_t some_problem(op_t *op)
{
    circle_t circle = {.args = {.rows = op_integer(op, 2, 24),
                                .columns = op_integer(op, 2, 40),
                                .scale = 0.37f,
                                .gamma = (float)op_uniform(op, 1, 16),
                                .margin = (float)op_uniform(op, 0.1, 0.6),
                                .removes_itself = op_integer(op, 0, 1) == 1,
                                .averages = op_integer(op, 0, 1) == 1}};
    mb_circle_args_t *a = &circle.args;
    a->valid = a->rows - op_integer(op, 0, 1);
    a->x = some_rows(op, a->rows, a->columns);
    a->labels = op_labels(op, a->rows, (int32_t)op_integer(op, 1, 6));
    a->dx = op_random(op, a->rows * a->columns, -1, 1);
    a->sum = op_doubles(op, 1);
    return circle;
}

/* A distance of up to 2.5 is rounded to float, which moves what stands in an exponential by its
 * slope, below 2.5 gamma: terms err by 3 gamma OP_EPSILON times that, relative to themselves. A
 * row's gradient has its own terms, whose weights add up to 2, and of each other row's one of 1 at
 * most, times slopes and numbers of up to 1.2. */
static double error_of(const mb_circle_args_t *a)
{
    return 3 * 2.5 * (double)a->gamma * OP_EPSILON;
}

START_TEST(loss_and_gradient_match_keras_formula)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    circle_t circle = some_problem(&op);
    mb_circle_args_t *a = &circle.args;
    int64_t count = a->valid * a->columns;
    double *wide = op_widen(a->x, a->rows * a->columns);
    double *want = malloc(sizeof(double) * (size_t)(count + 1));
    op_differences(batch_loss, &circle, wide, count, want);
    for (int64_t i = 0; i < count; i++)
        want[i] *= (double)a->scale;
    double loss = batch_loss(wide, &circle), factor = a->averages ? (double)a->valid : 1;
    double terms = factor * (2 + 2 * (double)a->valid) * 2.5 * (double)a->gamma * 1.2;
    a->sum[0] = 5;
    OP_RUN(&op, CIRCLE, a);
    op_near("circle gradient", a->dx, want, count, 0,
            (double)a->scale * terms * error_of(a) + 1e-7);
    ck_assert_double_eq_tol(a->sum[0] - 5, loss, factor * (double)a->valid * 2 * error_of(a));
    for (int64_t i = count; i < a->rows * a->columns; i++)
        ck_assert_float_eq(((const float *)a->dx)[i], 0);
    free(wide);
    free(want);
    op_close(&op);
}
END_TEST

/* Two of six rows have a row of their own label and rows of others: the mean is over these two. */
START_TEST(rows_without_rows_of_either_kind_do_not_count)
{
    op_t op;
    op_open(&op, 1, 3);
    circle_t circle = some_problem(&op);
    mb_circle_args_t *a = &circle.args;
    int32_t labels[6] = {7, -3, 2, 7, 9, 11};
    a->rows = a->valid = 6;
    a->columns = 4;
    a->removes_itself = true;
    a->averages = false;
    a->x = some_rows(&op, 6, 4);
    a->labels = labels;
    a->dx = op_floats(&op, 24);
    OP_RUN(&op, CIRCLE, a);
    double sum = a->sum[0], gradient = (double)((const float *)a->dx)[0];
    ck_assert_double_gt(sum, 0);
    a->sum[0] = 0;
    a->averages = true;
    OP_RUN(&op, CIRCLE, a);
    ck_assert_double_eq_tol(a->sum[0], 3 * sum, 1e-12 * sum);
    ck_assert_double_eq_tol((double)((const float *)a->dx)[0], 3 * gradient,
                            4 * OP_EPSILON * fabs(3 * gradient));
    labels[0] = 1;
    OP_RUN(&op, CIRCLE, a);
    ck_assert_double_eq_tol(a->sum[0], 3 * sum, 1e-12 * sum); /* nothing was added */
    for (int i = 0; i < 24; i++)
        ck_assert_float_eq(((const float *)a->dx)[i], 0);
    op_close(&op);
}
END_TEST

START_TEST(the_gradient_may_take_the_place_of_the_rows)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    circle_t circle = some_problem(&op);
    mb_circle_args_t *a = &circle.args;
    int64_t count = a->rows * a->columns;
    float *x = op_floats(&op, count), *dx = a->dx;
    memcpy(x, a->x, sizeof(float) * (size_t)count);
    OP_RUN(&op, CIRCLE, a);
    a->x = a->dx = x;
    OP_RUN(&op, CIRCLE, a);
    ck_assert_mem_eq(x, dx, sizeof(float) * (size_t)count);
    op_close(&op);
}
END_TEST

START_TEST(a_nan_is_not_taken_for_a_row_that_does_not_count)
{
    op_t op;
    op_open(&op, 1, 5);
    circle_t circle = some_problem(&op);
    mb_circle_args_t *a = &circle.args;
    float *x = op_random(&op, a->rows * a->columns, -1, 1);
    x[0] = NAN;
    a->x = x;
    OP_RUN(&op, CIRCLE, a);
    ck_assert(isnan(a->sum[0]) && isnan(((const float *)a->dx)[0]));
    op_close(&op);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op_circle");
    TCase *t = tcase_create("circle");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, loss_and_gradient_match_keras_formula, 0, 40);
    tcase_add_test(t, rows_without_rows_of_either_kind_do_not_count);
    tcase_add_loop_test(t, the_gradient_may_take_the_place_of_the_rows, 0, 4);
    tcase_add_test(t, a_nan_is_not_taken_for_a_row_that_does_not_count);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
