/* Metrics read from their serialized forms: what the examples in Keras' own documentation say of
 * them, what logs call them, and what is refused. */
#include <stdio.h>
#include <string.h>

#include "model/metrics/class.h"
#include "support/op_check.h"

enum { MOST_VALUES = 8 };

/* An output of ROWS x COLUMNS a sample, whose loss takes classes where sparse. */
static mb_loss_t some_loss(int64_t rows, int64_t columns, bool sparse)
{
    mb_loss_t loss = {.name = "some_loss", .rows = rows, .columns = columns, .sparse = sparse};
    loss.label_shape.rank = (rows > 1 ? 2 : 1) - (sparse ? 1 : 0);
    loss.label_shape.dim[0] = rows > 1 ? rows : columns;
    loss.label_shape.dim[1] = columns;
    return loss;
}

static json_t *json_of(const char *text)
{
    char buffer[1024];
    json_t *value = NULL;
    snprintf(buffer, sizeof buffer, "%s", text);
    for (char *c = buffer; *c != '\0'; c++)
        *c = *c == '\'' ? '"' : *c;
    value = json_loads(buffer, JSON_DECODE_ANY, NULL);
    ck_assert_msg(value != NULL, "%s", text);
    return value;
}

static mb_status_t parse(const char *text, const mb_loss_t *loss, mb_arena_t *arena,
                         mb_metric_t *metric)
{
    json_t *value = json_of(text);
    *metric = (mb_metric_t){0};
    mb_status_t status = mb_metric_parse(value, NULL, "file.h5", loss, arena, metric);
    metric->key = metric->name;
    json_decref(value);
    return status;
}

typedef struct {
    int64_t samples, columns;
    bool sparse;
    const float *x;
    const void *labels;
    const float *weights;
    bool unweighted; /* not of weighted_metrics */
} given_t;

static void *kept(op_t *op, const void *from, size_t bytes)
{
    void *memory = op_memory(op, bytes);
    memcpy(memory, from, bytes);
    return memory;
}

static void evaluate(const mb_metric_t *metric, const given_t *given, double values[MOST_VALUES])
{
    op_t op;
    op_open(&op, 1, 1);
    size_t rows = (size_t)given->samples, all = rows * (size_t)given->columns;
    mb_metrics_t metrics = {.n = 1, .list = (mb_metric_t *)(uintptr_t)metric};
    metrics.constants = metric->n_constants;
    float *constants = op_floats(&op, metric->n_constants + 1);
    double *states = op_doubles(&op, metric->states);
    mb_metrics_constants(&metrics, constants);
    mb_metric_batch_t batch = {
        .samples = given->samples,
        .valid = given->samples,
        .x = kept(&op, given->x, all * sizeof(float)),
        .labels = kept(&op, given->labels, (given->sparse ? rows : all) * sizeof(float)),
        .weights = given->weights,
        .constants = constants};
    op.exec.planning = true;
    ck_assert_int_eq(mb_metrics_run(&metrics, &op.exec, &batch, states), MB_OK);
    ck_assert_int_eq(mb_exec_allocate(&op.exec), MB_OK);
    ck_assert_msg(mb_metrics_run(&metrics, &op.exec, &batch, states) == MB_OK, "%s",
                  mb_error_get());
    mb_metric_finish(metric, states, values);
    op_close(&op);
}

/* The documentation has seven digits, of float32. */
static void check(const char *text, given_t given, int n, const double *want)
{
    double values[MOST_VALUES];
    mb_metric_t metric;
    mb_arena_t *arena = mb_arena_create();
    mb_loss_t loss = some_loss(1, given.columns, given.sparse);
    ck_assert_msg(parse(text, &loss, arena, &metric) == MB_OK, "%s", mb_error_get());
    metric.weighted = !given.unweighted;
    ck_assert_int_eq(metric.n_values, n);
    evaluate(&metric, &given, values);
    for (int i = 0; i < n; i++)
        ck_assert_msg(fabs(values[i] - want[i]) < 5e-7 * fmax(1.0, fabs(want[i])),
                      "%s: %.9g, not %.9g", text, values[i], want[i]);
    mb_arena_destroy(arena);
}

static void check_one(const char *text, given_t given, double want)
{
    check(text, given, 1, &want);
}

#define GIVEN(SAMPLES, COLUMNS, X, LABELS)                                                         \
    (given_t)                                                                                      \
    {                                                                                              \
        .samples = SAMPLES, .columns = COLUMNS, .x = X, .labels = LABELS                           \
    }

START_TEST(the_examples_of_the_documentation_hold)
{
    static const float right[] = {0, 1, 0, 0}, found[] = {1, 1, 0, 0};
    static const float shares[] = {0.6f, 0.4f, 0.4f, 0.6f};
    check_one("'mse'", GIVEN(2, 2, found, right), 0.25);
    check_one("'MeanAbsoluteError'", GIVEN(2, 2, found, right), 0.25);
    check_one("'root_mean_squared_error'", GIVEN(2, 2, found, right), 0.5);
    check_one("'mape'", GIVEN(2, 2, found, right), 250000000.0);
    check_one("'msle'", GIVEN(2, 2, found, right), 0.12011322);
    check_one("'logcosh'", GIVEN(2, 2, found, right), 0.10844523);
    check_one("'hinge'", GIVEN(2, 2, shares, right), 1.3);
    check_one("'squared_hinge'", GIVEN(2, 2, shares, right), 1.86);
    check_one("'categorical_hinge'", GIVEN(2, 2, shares, right), 1.4);
    check_one("'kl_divergence'", GIVEN(2, 2, shares, right), 0.45814306);
    check_one("'bce'", GIVEN(2, 2, shares, right), 0.81492424);
    static const float t2[] = {0, 1, 1, 1}, x2[] = {1, 0, 1, 1};
    check_one("'CosineSimilarity'", GIVEN(2, 2, x2, t2), 0.5);
    static const float t3[] = {1, 4, 3}, x3[] = {2, 4, 4};
    check_one("'R2Score'", GIVEN(3, 1, x3, t3), 0.57142857);
}
END_TEST

START_TEST(counts_are_those_of_the_documentation)
{
    static const float right[] = {0, 1, 1, 1}, found[] = {1, 0, 1, 1};
    static const float none[] = {0, 0, 0, 0}, scores[] = {0, 0.5f, 0.3f, 0.9f};
    static const float last[] = {0, 0, 1, 1};
    check_one("'Precision'", GIVEN(4, 1, found, right), 2.0 / 3);
    check_one("'recall'", GIVEN(4, 1, found, right), 2.0 / 3);
    check_one("'TruePositives'", GIVEN(4, 1, found, right), 2);
    check_one("'FalseNegatives'", GIVEN(4, 1, found, right), 1);
    check_one("'FalsePositives'", GIVEN(4, 1, found, none), 3);
    check_one("'auc'", GIVEN(4, 1, scores, last), 0.75);
    static const float at[] = {0, 0.3f, 0.8f, 0.3f, 0.8f}, of[] = {0, 0, 0, 1, 1};
    check_one("{'class_name': 'PrecisionAtRecall', 'config': {'recall': 0.5}}", GIVEN(5, 1, at, of),
              0.5);
    check_one("{'class_name': 'SensitivityAtSpecificity', 'config': {'specificity': 0.5}}",
              GIVEN(5, 1, at, of), 0.5);
    static const float row[] = {1, 1, 1, 0}, top[] = {0.2f, 0.5f, 0.3f, 0.9f};
    static const double want[] = {3, 2, 1};
    check("{'class_name': 'TruePositives', 'config': {'thresholds': [0.1, 0.25, 0.4]}}",
          GIVEN(1, 4, top, row), 3, want);
    check_one("{'class_name': 'Precision', 'config': {'top_k': 2}}", GIVEN(1, 4, top, row), 0.5);
}
END_TEST

/* Thresholds stand as they are given, whatever their order. */
START_TEST(values_are_in_the_order_of_their_thresholds)
{
    static const float x[] = {0.2f, 0.5f, 0.3f, 0.9f}, t[] = {1, 1, 1, 1};
    static const double want[] = {1, 4, 2, 1};
    check("{'class_name': 'TruePositives', 'config': {'thresholds': [0.6, 0.1, 0.4, 0.6]}}",
          GIVEN(1, 4, x, t), 4, want);
}
END_TEST

START_TEST(scores_by_class_are_those_of_the_documentation)
{
    static const float t[] = {1, 1, 1, 1, 0, 0, 1, 1, 0};
    static const float x[] = {0.2f, 0.6f, 0.7f, 0.2f, 0.6f, 0.6f, 0.6f, 0.8f, 0.0f};
    static const double beta[] = {0.3846154, 0.90909094, 0.8333334};
    static const double one[] = {0.5, 0.8, 0.6666667};
    check("{'class_name': 'FBetaScore', 'config': {'beta': 2.0, 'threshold': 0.5}}",
          GIVEN(3, 3, x, t), 3, beta);
    check("{'class_name': 'F1Score', 'config': {'threshold': 0.5, 'average': null}}",
          GIVEN(3, 3, x, t), 3, one);
    static const float right[] = {0, 0, 1, 1}, found[] = {0, 1, 0, 1};
    check_one("{'class_name': 'MeanIoU', 'config': {'num_classes': 2}}", GIVEN(4, 1, found, right),
              1.0 / 3);
    static const float soft[] = {0.1f, 0.2f, 0.4f, 0.7f}, bits[] = {0, 1, 0, 1};
    check_one("{'class_name': 'BinaryIoU', 'config': {'threshold': 0.3}}", GIVEN(4, 1, soft, bits),
              1.0 / 3);
}
END_TEST

/* Keras' examples with sample_weight. */
START_TEST(weights_weigh_rows)
{
    static const float right[] = {0, 1, 0, 0}, found[] = {1, 1, 0, 0}, first[] = {1, 0};
    static const float scores[] = {0, 0.5f, 0.3f, 0.9f}, last[] = {0, 0, 1, 1};
    static const float ends[] = {1, 0, 0, 1};
    given_t pair = GIVEN(2, 2, found, right), four = GIVEN(4, 1, scores, last);
    pair.weights = first;
    check_one("'mse'", pair, 0.5);
    check_one("'root_mean_squared_error'", pair, 0.70710677);
    pair.unweighted = true;
    check_one("'mse'", pair, 0.25);
    four.weights = ends;
    check_one("'AUC'", four, 1.0);
    static const float classes[] = {0, 0, 1, 1}, guesses[] = {0, 1, 0, 1};
    static const float parts[] = {0.3f, 0.3f, 0.3f, 0.1f};
    given_t iou = GIVEN(4, 1, guesses, classes);
    iou.weights = parts;
    check_one("{'class_name': 'MeanIoU', 'config': {'num_classes': 2, 'dtype': 'float32'}}", iou,
              0.23809525);
}
END_TEST

START_TEST(an_ignored_class_counts_only_where_there_are_no_weights)
{
    static const float x[] = {0.05f, 0.95f, 0, 0.1f, 0.8f, 0.1f}, weights[] = {1, 1};
    static const int32_t labels[] = {1, 2};
    given_t given = GIVEN(2, 3, x, labels);
    given.sparse = true;
    check_one("'sparse_categorical_crossentropy'", given, 1.1769392);
    const char *ignoring =
        "{'class_name': 'SparseCategoricalCrossentropy', 'config': {'ignore_class': 2}}";
    check_one(ignoring, given, 0.051293294 / 2);
    given.weights = weights;
    check_one(ignoring, given, 0.051293294);
}
END_TEST

/* TEXT for an output of COLUMNS. */
static void check_refused(const char *text, int64_t rows, int64_t columns, bool sparse,
                          const char *words)
{
    mb_metric_t metric;
    mb_arena_t *arena = mb_arena_create();
    mb_loss_t loss = some_loss(rows, columns, sparse);
    ck_assert_msg(parse(text, &loss, arena, &metric) != MB_OK, "%s is taken", text);
    ck_assert_msg(strstr(mb_error_get(), words) != NULL, "%s: '%s' does not say '%s'", text,
                  mb_error_get(), words);
    mb_arena_destroy(arena);
}

START_TEST(what_cannot_be_obeyed_is_refused_by_name)
{
    check_refused("'mean_squarred_error'", 1, 3, false, "the nearest one is 'MeanSquaredError'");
    check_refused("'Mean'", 1, 3, false, "metric 'Mean' takes values by themselves");
    check_refused("'Sum'", 1, 3, false, "fails on labels and predictions in Keras' own fit too");
    check_refused("{'class_name': 'AUC', 'config': {'curve': 'GINI'}}", 1, 3, false, "'curve'");
    check_refused("{'class_name': 'AUC', 'config': {'num_thresholds': 1}}", 1, 3, false,
                  "num_thresholds");
    check_refused("{'class_name': 'AUC', 'config': {'multi_label': true, 'num_labels': 4}}", 1, 3,
                  false, "'num_labels' is 4");
    check_refused("{'class_name': 'AUC', 'config': {'label_weights': [1, 2]}}", 1, 3, false,
                  "'label_weights' has 2");
    check_refused("{'class_name': 'AUC', 'config': {'multi_label': true}}", 4, 3, false,
                  "an output of one axis");
    check_refused("{'class_name': 'AUC', 'config': {}}", 1, 3, true, "a label for each column");
    check_refused("{'class_name': 'Recall', 'config': {'thresholds': [0.5, 1.5]}}", 1, 3, false,
                  "'thresholds' has 1.5");
    check_refused("{'class_name': 'Recall', 'config': {'top_k': 4}}", 1, 3, false, "'top_k'");
    check_refused("{'class_name': 'Recall', 'config': {'class_id': 3}}", 1, 3, false, "'class_id'");
    check_refused("{'class_name': 'PrecisionAtRecall', 'config': {}}", 1, 3, false, "'recall'");
    check_refused("{'class_name': 'PrecisionAtRecall', 'config': {'recall': 2}}", 1, 3, false,
                  "'recall' is 2");
    check_refused("{'class_name': 'F1Score', 'config': {'beta': 2.0}}", 1, 3, false, "'beta'");
    check_refused("{'class_name': 'F1Score', 'config': {'average': 'mean'}}", 1, 3, false,
                  "'average'");
    check_refused("{'class_name': 'F1Score', 'config': {'threshold': 0}}", 1, 3, false,
                  "'threshold' is 0");
    check_refused("{'class_name': 'MeanIoU', 'config': {}}", 1, 1, false, "'num_classes'");
    check_refused("{'class_name': 'IoU', 'config': {'num_classes': 3}}", 1, 1, false,
                  "target_class_ids");
    check_refused("{'class_name': 'IoU', 'config': {'num_classes': 3, 'target_class_ids': [3]}}", 1,
                  1, false, "'target_class_ids' has 3");
    check_refused("{'class_name': 'MeanIoU', 'config': {'num_classes': 3}}", 1, 3, true,
                  "sparse_y_pred");
    check_refused("{'class_name': 'MeanSquaredError', 'config': {'dtype': 'float64'}}", 1, 3, false,
                  "'dtype'");
    check_refused("{'class_name': 'MeanSquaredError', 'config': {'power': 2}}", 1, 3, false,
                  "'power' is not known");
    check_refused("{'class_name': 'CosineSimilarity', 'config': {'axis': 0}}", 1, 3, false,
                  "'axis' is 0");
    check_refused("{'class_name': 'function', 'config': 'cosine_similarity'}", 1, 3, false,
                  "the metric's negative");
    check_refused("{'class_name': 'MeanMetricWrapper', 'config': {'fn': 'huge'}}", 1, 3, false,
                  "metric 'huge' is not known");
    check_refused("'categorical_accuracy'", 1, 1, false, "one column has no classes");
    check_refused("'sparse_top_k_categorical_accuracy'", 1, 3, false, "labels of different form");
}
END_TEST

static void check_name(const char *text, const char *name)
{
    mb_metric_t metric;
    mb_arena_t *arena = mb_arena_create();
    mb_loss_t loss = some_loss(1, 3, false);
    ck_assert_msg(parse(text, &loss, arena, &metric) == MB_OK, "%s", mb_error_get());
    ck_assert_str_eq(metric.name, name);
    mb_arena_destroy(arena);
}

START_TEST(names_are_those_that_keras_gives)
{
    check_name("'MAE'", "MAE");
    check_name("'AUC'", "AUC");
    check_name("{'class_name': 'AUC', 'config': {'name': 'area'}}", "area");
    check_name("{'class_name': 'AUC', 'config': {'name': null}}", "auc");
    check_name("{'class_name': 'LogCoshError'}", "logcosh");
    check_name("{'class_name': 'function', 'config': 'mean_squared_error'}", "mean_squared_error");
    check_name("{'class_name': 'MeanMetricWrapper', 'config': {'name': 'mine', 'dtype': 'float32', "
               "'fn': 'mean_absolute_error'}}",
               "mine");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("metric");
    TCase *t = tcase_create("metric");
    tcase_add_test(t, the_examples_of_the_documentation_hold);
    tcase_add_test(t, counts_are_those_of_the_documentation);
    tcase_add_test(t, values_are_in_the_order_of_their_thresholds);
    tcase_add_test(t, scores_by_class_are_those_of_the_documentation);
    tcase_add_test(t, weights_weigh_rows);
    tcase_add_test(t, an_ignored_class_counts_only_where_there_are_no_weights);
    tcase_add_test(t, what_cannot_be_obeyed_is_refused_by_name);
    tcase_add_test(t, names_are_those_that_keras_gives);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
