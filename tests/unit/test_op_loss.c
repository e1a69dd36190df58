/* Losses against Keras' formulas in double, their gradients against finite differences, and
 * accuracy. */
#include <string.h>
#include "support/op_check.h"

typedef struct {
    mb_loss_args_t args;
    int64_t row;
} loss_t;

static double clip(double q)
{
    return fmin(fmax(q, 1e-7), 1.0 - 1e-7);
}

static double label_of(const mb_loss_args_t *a, int64_t row, int64_t j)
{
    if (a->kind == MB_LOSS_SPARSE_SOFTMAX || a->kind == MB_LOSS_SPARSE_PROBABILITY)
        return ((const int32_t *)a->labels)[row] == j ? 1.0 : 0.0;
    double uniform = a->kind == MB_LOSS_BINARY_LOGITS || a->kind == MB_LOSS_BINARY_PROBABILITY
                         ? 0.5
                         : 1.0 / (double)a->columns;
    double smoothing = (double)a->label_smoothing;
    double label = (double)((const float *)a->labels)[row * a->columns + j];
    return label * (1.0 - smoothing) + smoothing * uniform;
}

/* One element's part of the row's loss; sum is that of x or of exp(x). */
static double element_loss(const mb_loss_args_t *a, double x, double t, double sum)
{
    double n = (double)a->columns;
    switch (a->kind) {
    case MB_LOSS_SPARSE_SOFTMAX:
    case MB_LOSS_SOFTMAX:
        return -t * (x - log(sum));
    case MB_LOSS_SPARSE_PROBABILITY:
    case MB_LOSS_PROBABILITY:
        return -t * log(clip(x / sum));
    case MB_LOSS_BINARY_LOGITS:
        return (fmax(x, 0.0) - x * t + log1p(exp(-fabs(x)))) / n;
    case MB_LOSS_BINARY_PROBABILITY:
        return -(t * log(clip(x)) + (1.0 - t) * log(1.0 - clip(x))) / n;
    case MB_LOSS_SQUARED:
        return (t - x) * (t - x) / n;
    case MB_LOSS_ABSOLUTE:
        return fabs(t - x) / n;
    case MB_LOSS_COUNT:
        break;
    }
    return NAN;
}

static double row_loss(const double *x, void *context)
{
    const loss_t *l = context;
    const mb_loss_args_t *a = &l->args;
    bool logits = a->kind == MB_LOSS_SPARSE_SOFTMAX || a->kind == MB_LOSS_SOFTMAX;
    double sum = 0.0, loss = 0.0;
    for (int64_t j = 0; j < a->columns; j++)
        sum += logits ? exp(x[j]) : x[j];
    for (int64_t j = 0; j < a->columns; j++)
        loss += element_loss(a, x[j], label_of(a, l->row, j), sum);
    return loss;
}

static bool takes_probabilities(mb_loss_kind_t kind)
{
    return kind == MB_LOSS_SPARSE_PROBABILITY || kind == MB_LOSS_PROBABILITY ||
           kind == MB_LOSS_BINARY_PROBABILITY;
}

static mb_loss_args_t random_problem(op_t *op, mb_loss_kind_t kind)
{
    static const int64_t columns[] = {2, 3, 10, 65, 300};
    mb_loss_args_t a = {.kind = kind, .rows = op_integer(op, 3, 40), .scale = 0.37f};
    a.columns = columns[op_integer(op, 0, 4)];
    a.valid = a.rows - op_integer(op, 0, 2);
    bool sparse = kind == MB_LOSS_SPARSE_SOFTMAX || kind == MB_LOSS_SPARSE_PROBABILITY;
    double low = takes_probabilities(kind) ? 0.01 : -4, high = takes_probabilities(kind) ? 0.99 : 4;
    a.x = op_random(op, a.rows * a.columns, low, high);
    a.labels = sparse ? (const void *)op_labels(op, a.rows, (int32_t)a.columns)
                      : op_random(op, a.rows * a.columns, 0, 1);
    if (!sparse && kind != MB_LOSS_SQUARED && kind != MB_LOSS_ABSOLUTE)
        a.label_smoothing = 0.1f;
    a.dx = op_random(op, a.rows * a.columns, -1, 1);
    a.sum = op_doubles(op, 1);
    return a;
}

/* Every element takes a handful of float roundings; gradients are of size scale times one over the
 * smallest probability used here (0.01), that is under 100 scale. */
START_TEST(loss_and_gradient_match_keras_formulas)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    loss_t l = {.args = random_problem(&op, (mb_loss_kind_t)(_i % MB_LOSS_COUNT))};
    mb_loss_args_t *a = &l.args;
    double *wide = op_widen(a->x, a->rows * a->columns);
    double *gradient = malloc(sizeof(double) * (size_t)a->columns);
    double want = 0.0;
    a->sum[0] = 5.0;
    OP_RUN(&op, LOSS, a);
    for (l.row = 0; l.row < a->valid; l.row++) {
        double *x = wide + l.row * a->columns;
        want += row_loss(x, &l);
        op_differences(row_loss, &l, x, a->columns, gradient);
        for (int64_t j = 0; j < a->columns; j++)
            gradient[j] *= (double)a->scale;
        double n = (double)a->columns;
        op_near("loss gradient", (const float *)a->dx + l.row * a->columns, gradient, a->columns,
                20 * OP_EPSILON, 20 * OP_EPSILON * (1.0 + 0.1 * sqrt(n)) + 1e-8);
    }
    ck_assert_double_eq_tol(a->sum[0] - 5.0, want, 10 * OP_EPSILON * fabs(want));
    for (int64_t i = a->valid * a->columns; i < a->rows * a->columns; i++)
        ck_assert_float_eq(((const float *)a->dx)[i], 0.0f);
    free(wide);
    free(gradient);
    op_close(&op);
}
END_TEST

START_TEST(ignored_labels_have_no_loss_and_no_gradient)
{
    op_t op;
    op_open(&op, 1, 1);
    const int64_t rows = 4, columns = 3;
    float *x = op_random(&op, rows * columns, -1, 1), *dx = op_random(&op, rows * columns, 1, 2);
    int32_t *labels = op_labels(&op, rows, 3);
    double *sum = op_doubles(&op, 1);
    for (int i = 0; i < rows; i++)
        labels[i] = -1;
    mb_loss_args_t args = {.kind = MB_LOSS_SPARSE_SOFTMAX,
                           .rows = rows,
                           .valid = rows,
                           .columns = columns,
                           .scale = 1.0f,
                           .has_ignore = true,
                           .ignore_label = -1,
                           .x = x,
                           .labels = labels,
                           .dx = dx,
                           .sum = sum};
    OP_RUN(&op, LOSS, &args);
    ck_assert_double_eq(sum[0], 0.0);
    for (int i = 0; i < rows * columns; i++)
        ck_assert_float_eq(dx[i], 0.0f);
    op_close(&op);
}
END_TEST

/* Keras clips the probability, so the loss of a certain mistake is -log(1e-7) with no gradient. */
START_TEST(clipped_probabilities_have_no_gradient)
{
    op_t op;
    op_open(&op, 1, 1);
    float *x = op_floats(&op, 4), *dx = op_random(&op, 4, 1, 2);
    int32_t *labels = op_labels(&op, 2, 1);
    double *sum = op_doubles(&op, 1);
    x[1] = 1.0f; /* label 0 has probability zero */
    x[2] = 1.0f; /* label 0 is certain */
    mb_loss_args_t args = {.kind = MB_LOSS_SPARSE_PROBABILITY,
                           .rows = 2,
                           .valid = 2,
                           .columns = 2,
                           .scale = 1.0f,
                           .x = x,
                           .labels = labels,
                           .dx = dx,
                           .sum = sum};
    OP_RUN(&op, LOSS, &args);
    ck_assert_double_eq_tol(sum[0], -log(1e-7) - log(1.0 - 1e-7), 1e-6);
    for (int i = 0; i < 4; i++)
        ck_assert_float_eq(dx[i], 0.0f);
    op_close(&op);
}
END_TEST

START_TEST(loss_without_gradient_is_the_same)
{
    op_t op;
    op_open(&op, 1, 3);
    for (int kind = 0; kind < MB_LOSS_COUNT; kind++) {
        mb_loss_args_t a = random_problem(&op, (mb_loss_kind_t)kind);
        OP_RUN(&op, LOSS, &a);
        double with = a.sum[0];
        a.dx = NULL;
        a.sum[0] = 0.0;
        OP_RUN(&op, LOSS, &a);
        ck_assert_double_eq(a.sum[0], with);
    }
    op_close(&op);
}
END_TEST

START_TEST(accuracy_counts_the_first_largest)
{
    op_t op;
    op_open(&op, 2, 1);
    const int64_t rows = 5, columns = 3;
    float *x = op_floats(&op, rows * columns), *labels = op_floats(&op, rows * columns);
    int32_t *ids = op_labels(&op, rows, 1);
    double *count = op_doubles(&op, 1);
    for (int i = 0; i < rows; i++) {
        x[i * columns + i % 3] = 1.0f; /* rows 0 and 3 have their largest at 0 */
        labels[i * columns + i % 3] = 0.5f;
    }
    mb_accuracy_args_t args = {MB_F32, rows, rows, columns, true, false, 0.5f, x, ids, count};
    OP_RUN(&op, ACCURACY, &args);
    ck_assert_double_eq(count[0], 2.0);
    args.valid = 3;
    OP_RUN(&op, ACCURACY, &args);
    ck_assert_double_eq(count[0], 3.0);
    args.sparse = false;
    args.labels = labels;
    OP_RUN(&op, ACCURACY, &args);
    ck_assert_double_eq(count[0], 6.0);
    args.binary = true;
    OP_RUN(&op, ACCURACY, &args);
    /* per row two of three columns agree: labels are 0.5, not 1 */
    ck_assert_double_eq_tol(count[0], 8.0, 1e-12);
    memset(x, 0, sizeof(float) * (size_t)(rows * columns));
    args = (mb_accuracy_args_t){MB_F32, rows, rows, columns, true, false, 0.5f, x, ids, count};
    count[0] = 0.0;
    OP_RUN(&op, ACCURACY, &args);
    ck_assert_double_eq(count[0], 5.0);
    op_close(&op);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op_loss");
    TCase *t = tcase_create("loss");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, loss_and_gradient_match_keras_formulas, 0, 4 * MB_LOSS_COUNT);
    tcase_add_test(t, ignored_labels_have_no_loss_and_no_gradient);
    tcase_add_test(t, clipped_probabilities_have_no_gradient);
    tcase_add_test(t, loss_without_gradient_is_the_same);
    tcase_add_test(t, accuracy_counts_the_first_largest);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
