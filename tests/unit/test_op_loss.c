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

static bool is_binary(mb_loss_kind_t kind)
{
    return kind == MB_LOSS_BINARY_LOGITS || kind == MB_LOSS_BINARY_PROBABILITY ||
           kind == MB_LOSS_BINARY_FOCAL_LOGITS || kind == MB_LOSS_BINARY_FOCAL_PROBABILITY;
}

static bool is_distribution(mb_loss_kind_t kind)
{
    return kind == MB_LOSS_SOFTMAX || kind == MB_LOSS_PROBABILITY || kind == MB_LOSS_FOCAL_LOGITS ||
           kind == MB_LOSS_FOCAL_PROBABILITY;
}

static double label_of(const mb_loss_args_t *a, int64_t row, int64_t j)
{
    if (mb_loss_is_sparse(a->kind))
        return ((const int32_t *)a->labels)[row] == j ? 1.0 : 0.0;
    double uniform = is_binary(a->kind) ? 0.5 : 1.0 / (double)a->columns;
    double smoothing = (double)a->label_smoothing;
    double label = (double)((const float *)a->labels)[row * a->columns + j];
    return label * (1.0 - smoothing) + smoothing * uniform;
}

static double huber(double d, double delta)
{
    return fabs(d) <= delta ? d * d / 2 : delta * fabs(d) - delta * delta / 2;
}

static double to_one(double x)
{
    return fmin(fmax(x, 1e-7), 1.0);
}

static double margin(double x, double t)
{
    return fmax(1.0 - (t == 0.0 ? -1.0 : t) * x, 0.0);
}

static double binary(double p, double t)
{
    return -(t * log(clip(p)) + (1.0 - t) * log(1.0 - clip(p)));
}

/* Keras' p_t, written out. */
static double binary_focal(const mb_loss_args_t *a, double p, double t)
{
    double right = t * p + (1.0 - t) * (1.0 - p);
    double weight = t * (double)a->p1 + (1.0 - t) * (double)a->p2;
    return weight * pow(1.0 - right, (double)a->p0) * binary(p, t);
}

static double focal(const mb_loss_args_t *a, double q, double t)
{
    return -(double)a->p1 * t * pow(1.0 - clip(q), (double)a->p0) * log(clip(q));
}

/* One element's part of the row's loss; sum is that of x or of exp(x). */
static double element_loss(const mb_loss_args_t *a, double x, double t, double sum)
{
    double n = (double)a->columns, d = x - t;
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
        return binary(x, t) / n;
    case MB_LOSS_SQUARED:
        return d * d / n;
    case MB_LOSS_ABSOLUTE:
        return fabs(d) / n;
    case MB_LOSS_PERCENTAGE:
        return 100.0 * fabs(d / fmax(fabs(t), 1e-7)) / n;
    case MB_LOSS_SQUARED_LOG:
        return pow(log(fmax(x, 1e-7) + 1.0) - log(fmax(t, 1e-7) + 1.0), 2.0) / n;
    case MB_LOSS_HUBER:
        return huber(d, (double)a->p0) / n;
    case MB_LOSS_LOG_COSH:
        return log(cosh(d)) / n;
    case MB_LOSS_POISSON:
        return (x - t * log(x + 1e-7)) / n;
    case MB_LOSS_DIVERGENCE:
        return to_one(t) * log(to_one(t) / to_one(x));
    case MB_LOSS_HINGE:
        return margin(x, t) / n;
    case MB_LOSS_SQUARED_HINGE:
        return margin(x, t) * margin(x, t) / n;
    case MB_LOSS_BINARY_FOCAL_LOGITS:
        return binary_focal(a, 1.0 / (1.0 + exp(-x)), t) / n;
    case MB_LOSS_BINARY_FOCAL_PROBABILITY:
        return binary_focal(a, x, t) / n;
    case MB_LOSS_FOCAL_LOGITS:
        return focal(a, exp(x) / sum, t);
    case MB_LOSS_FOCAL_PROBABILITY:
        return focal(a, x / sum, t);
    case MB_LOSS_GENERALIZED:
        return t * (1.0 - pow(x, (double)a->p0)) / (double)a->p0;
    default:
        return NAN;
    }
}

/* The kinds whose loss is no sum over elements. */
static double whole_row_loss(const mb_loss_args_t *a, const double *x, int64_t row)
{
    double xt = 0, xx = 0, tt = 0, missed = 0, wrong = 0, other = -INFINITY;
    for (int64_t j = 0; j < a->columns; j++) {
        double t = label_of(a, row, j);
        xt += x[j] * t;
        xx += x[j] * x[j];
        tt += t * t;
        missed += (1.0 - x[j]) * t;
        wrong += x[j] * (1.0 - t);
        other = fmax(other, (1.0 - t) * x[j]);
    }
    if (a->kind == MB_LOSS_COSINE)
        return -xt / (fmax(sqrt(xx), 1e-7) * fmax(sqrt(tt), 1e-7));
    if (a->kind == MB_LOSS_CATEGORICAL_HINGE)
        return fmax(other - xt + 1.0, 0.0);
    return 1.0 - xt / (xt + (double)a->p0 * missed + (double)a->p1 * wrong + (double)a->p2);
}

static double row_loss(const double *x, void *context)
{
    const loss_t *l = context;
    const mb_loss_args_t *a = &l->args;
    bool logits = a->kind == MB_LOSS_SPARSE_SOFTMAX || a->kind == MB_LOSS_SOFTMAX ||
                  a->kind == MB_LOSS_FOCAL_LOGITS;
    double sum = 0.0, loss = 0.0;
    if (a->kind == MB_LOSS_COSINE || a->kind == MB_LOSS_CATEGORICAL_HINGE ||
        a->kind == MB_LOSS_OVERLAP)
        return whole_row_loss(a, x, l->row);
    for (int64_t j = 0; j < a->columns; j++)
        sum += logits ? exp(x[j]) : x[j];
    for (int64_t j = 0; j < a->columns; j++)
        loss += element_loss(a, x[j], label_of(a, l->row, j), sum);
    return loss;
}

static bool takes_probabilities(mb_loss_kind_t kind)
{
    switch (kind) {
    case MB_LOSS_SPARSE_PROBABILITY:
    case MB_LOSS_PROBABILITY:
    case MB_LOSS_BINARY_PROBABILITY:
    case MB_LOSS_POISSON:
    case MB_LOSS_DIVERGENCE:
    case MB_LOSS_BINARY_FOCAL_PROBABILITY:
    case MB_LOSS_FOCAL_PROBABILITY:
    case MB_LOSS_OVERLAP:
    case MB_LOSS_GENERALIZED:
        return true;
    default:
        return false;
    }
}

static void random_parameters(op_t *op, mb_loss_args_t *a)
{
    static const float gammas[] = {0.0f, 1.0f, 1.5f, 2.0f};
    bool focal_kind =
        a->kind >= MB_LOSS_BINARY_FOCAL_LOGITS && a->kind <= MB_LOSS_FOCAL_PROBABILITY;
    a->p0 = focal_kind ? gammas[op_integer(op, 0, 3)] : (float)op_uniform(op, 0.2, 0.9);
    a->p1 = (float)op_uniform(op, 0.2, 0.9);
    a->p2 = a->kind == MB_LOSS_OVERLAP ? 1e-7f : 1.0f - a->p1;
    if (is_binary(a->kind) || is_distribution(a->kind))
        a->label_smoothing = 0.1f;
}

/* Numbers from 0.1 to 1; for hinges whole ones, -1 and 1 or 0 and 1. */
static const float *random_labels(op_t *op, const mb_loss_args_t *a)
{
    float *labels = op_random(op, a->rows * a->columns, 0.1, 1);
    bool hinge = a->kind == MB_LOSS_HINGE || a->kind == MB_LOSS_SQUARED_HINGE;
    bool zeros = op_integer(op, 0, 1) == 0;
    for (int64_t i = 0; i < a->rows * a->columns && hinge; i++)
        labels[i] = labels[i] > 0.5f ? 1.0f : zeros ? 0.0f : -1.0f;
    return labels;
}

static mb_loss_args_t random_problem(op_t *op, mb_loss_kind_t kind)
{
    static const int64_t columns[] = {2, 3, 10, 65, 300};
    mb_loss_args_t a = {.kind = kind, .rows = op_integer(op, 3, 40), .scale = 0.37f};
    a.columns = columns[op_integer(op, 0, 4)];
    a.valid = a.rows - op_integer(op, 0, 2);
    double low = takes_probabilities(kind) ? 0.01 : -4, high = takes_probabilities(kind) ? 0.99 : 4;
    random_parameters(op, &a);
    a.x = op_random(op, a.rows * a.columns, low, high);
    a.labels = mb_loss_is_sparse(kind) ? (const void *)op_labels(op, a.rows, (int32_t)a.columns)
                                       : random_labels(op, &a);
    if (op_integer(op, 0, 1) == 0) {
        float *weights = op_random(op, a.rows, -1, 2);
        weights[op_integer(op, 0, a.rows - 1)] = 0.0f;
        a.weights = weights;
    }
    a.dx = op_random(op, a.rows * a.columns, -1, 1);
    a.sum = op_doubles(op, 1);
    return a;
}

static double weight_of(const mb_loss_args_t *a, int64_t row)
{
    return a->weights == NULL ? 1.0 : (double)a->weights[row];
}

/* Every element takes a handful of float roundings; gradients are of size scale times one over the
 * smallest probability used here (0.01), that is under 100 scale, and percentages of labels down to
 * 0.1 as much: relative to what they are. Losses of rows are of size 1, or 100, and may cancel. */
START_TEST(loss_and_gradient_match_keras_formulas)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    loss_t l = {.args = random_problem(&op, (mb_loss_kind_t)(_i % MB_LOSS_COUNT))};
    mb_loss_args_t *a = &l.args;
    double *wide = op_widen(a->x, a->rows * a->columns);
    double *gradient = malloc(sizeof(double) * (size_t)a->columns);
    double want = 0.0, size = 0.0;
    a->sum[0] = 5.0;
    OP_RUN(&op, LOSS, a);
    for (l.row = 0; l.row < a->valid; l.row++) {
        double *x = wide + l.row * a->columns, loss = weight_of(a, l.row) * row_loss(x, &l);
        want += loss;
        size += fabs(loss) + 2.0;
        op_differences(row_loss, &l, x, a->columns, gradient);
        for (int64_t j = 0; j < a->columns; j++)
            gradient[j] *= (double)a->scale * weight_of(a, l.row);
        double n = (double)a->columns;
        op_near("loss gradient", (const float *)a->dx + l.row * a->columns, gradient, a->columns,
                20 * OP_EPSILON, 20 * OP_EPSILON * (1.0 + 0.1 * sqrt(n)) + 1e-8);
    }
    ck_assert_double_eq_tol(a->sum[0] - 5.0, want, 10 * OP_EPSILON * size);
    for (int64_t i = a->valid * a->columns; i < a->rows * a->columns; i++)
        ck_assert_float_eq(((const float *)a->dx)[i], 0.0f);
    free(wide);
    free(gradient);
    op_close(&op);
}
END_TEST

/* A mask: what stands in the row is not looked at. */
START_TEST(rows_of_weight_zero_do_not_count)
{
    op_t op;
    op_open(&op, 1, 7);
    for (int kind = 0; kind < MB_LOSS_COUNT; kind++) {
        mb_loss_args_t a = random_problem(&op, (mb_loss_kind_t)kind);
        float *weights = op_floats(&op, a.rows), *x = op_floats(&op, a.rows * a.columns);
        for (int64_t i = 0; i < a.rows * a.columns; i++)
            x[i] = NAN;
        a.x = x;
        a.weights = weights;
        OP_RUN(&op, LOSS, &a);
        ck_assert_double_eq(a.sum[0], 0.0);
        for (int64_t i = 0; i < a.rows * a.columns; i++)
            ck_assert_float_eq(((const float *)a.dx)[i], 0.0f);
        op_close(&op);
        op_open(&op, 1, (uint64_t)kind + 8);
    }
    op_close(&op);
}
END_TEST

/* The slope of max(x, 0) at 0 is that of Keras' maximum, and equal largest ones share it. */
START_TEST(slopes_where_branches_meet_are_keras)
{
    op_t op;
    op_open(&op, 1, 1);
    float *x = op_floats(&op, 3), *labels = op_floats(&op, 3), *dx = op_floats(&op, 3);
    mb_loss_args_t args = {.kind = MB_LOSS_HINGE,
                           .rows = 1,
                           .valid = 1,
                           .columns = 1,
                           .scale = 1.0f,
                           .x = x,
                           .labels = labels,
                           .dx = dx,
                           .sum = op_doubles(&op, 1)};
    x[0] = labels[0] = 1.0f;
    OP_RUN(&op, LOSS, &args);
    ck_assert_float_eq(dx[0], -0.5f);
    args.kind = MB_LOSS_CATEGORICAL_HINGE;
    args.columns = 3;
    x[0] = 0.5f;
    x[1] = x[2] = 0.25f; /* 0.25 - 0.5 + 1 > 0 */
    OP_RUN(&op, LOSS, &args);
    ck_assert_float_eq(dx[0], -1.0f);
    ck_assert_float_eq(dx[1], 0.5f);
    ck_assert_float_eq(dx[2], 0.5f);
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
        op_close(&op);
        op_open(&op, 1, (uint64_t)kind + 3);
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
    tcase_add_test(t, rows_of_weight_zero_do_not_count);
    tcase_add_test(t, slopes_where_branches_meet_are_keras);
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
