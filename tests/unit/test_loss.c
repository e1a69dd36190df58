/* Losses and accuracies against Keras' numbers and finite differences, and the many forms in which
 * training_config says which output has which. */
#include "model/loss.h"
#include "unit/optim_refs.h"

#include <check.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_OUTPUTS 3

/* Just enough of a graph: outputs with names and shapes. */
typedef struct {
    mb_graph_t graph;
    mb_node_t nodes[MAX_OUTPUTS];
    mb_output_t outputs[MAX_OUTPUTS];
} model_t;

static void model_open(model_t *model)
{
    *model = (model_t){.graph = {.arena = mb_arena_create()}};
    model->graph.nodes = model->nodes;
    model->graph.outputs = model->outputs;
}

static void model_add(model_t *model, const char *name, int rank, const int64_t *sample)
{
    int i = model->graph.n_outputs++;
    model->graph.n_nodes = i + 1;
    model->outputs[i] = (mb_output_t){.name = name, .node = i};
    model->nodes[i].call.output_type = MB_F32;
    model->nodes[i].call.output.rank = rank;
    for (int k = 0; k < rank; k++)
        model->nodes[i].call.output.dim[k] = sample[k];
}

static void model_close(model_t *model)
{
    mb_arena_destroy(model->graph.arena);
}

/* A case of losses.h5 on the device. */
typedef struct {
    bench_t bench;
    model_t model;
    mb_loss_t *loss;
    int64_t samples, valid;
    size_t elements;
    float *x, *gradient;
    void *labels;
    size_t label_bytes;
    double value, accuracy; /* Keras' */
} case_t;

static void read_labels(case_t *c, hid_t file, const char *path)
{
    size_t count;
    if (c->loss->sparse)
        c->labels = refs_ints(file, path, &count);
    else
        c->labels = refs_floats(file, path, &count);
    c->label_bytes = count * 4;
}

static void case_open(case_t *c, hid_t file, const char *name)
{
    char path[3][128];
    int64_t shape[8];
    *c = (case_t){0};
    snprintf(path[0], sizeof(path[0]), "%s/x", name);
    snprintf(path[1], sizeof(path[1]), "%s/labels", name);
    snprintf(path[2], sizeof(path[2]), "%s/gradient", name);
    bench_open(&c->bench);
    model_open(&c->model);
    int rank = refs_shape(file, path[0], shape);
    c->samples = shape[0];
    c->valid = shape[0];
    model_add(&c->model, "out", rank - 1, shape + 1);
    c->x = refs_floats(file, path[0], &c->elements);
    c->gradient = refs_floats(file, path[2], &c->elements);
    c->value = refs_number(file, name, "loss");
    c->accuracy = refs_number(file, name, "accuracy");
    json_t *config =
        json_pack("{s:o, s:[s]}", "loss", refs_json(file, name, "config"), "metrics", "accuracy");
    ck_assert_msg(mb_losses_create(&c->model.graph, config, NULL, "file.h5", &c->loss) == MB_OK,
                  "%s: %s", name, mb_error_get());
    json_decref(config);
    read_labels(c, file, path[1]);
}

static void case_close(case_t *c)
{
    free(c->x);
    free(c->gradient);
    free(c->labels);
    model_close(&c->model);
    bench_close(&c->bench);
}

typedef struct {
    double sum, correct;
} result_t;

/* Runs the loss on X; DX may be NULL. */
static result_t evaluate(case_t *c, const float *x, double divisor, float *dx)
{
    result_t result = {0};
    bench_t *b = &c->bench;
    void *dev_x = bench_put(b, x, c->elements * sizeof(float));
    void *labels = bench_put(b, c->labels, c->label_bytes);
    void *dev_dx = dx == NULL ? NULL : bench_put(b, dx, c->elements * sizeof(float));
    double *sum = bench_put(b, NULL, sizeof(double));
    double *correct = bench_put(b, NULL, sizeof(double));
    BENCH_RUN(b, mb_loss_run(c->loss, &b->exec, MB_F32, c->samples, c->valid, divisor, dev_x,
                             labels, NULL, dev_dx, sum, correct));
    bench_get(b, &result.sum, sum, sizeof(double));
    bench_get(b, &result.correct, correct, sizeof(double));
    if (dx != NULL)
        bench_get(b, dx, dev_dx, c->elements * sizeof(float));
    void *const all[] = {dev_x, labels, dev_dx, sum, correct};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        mb_device_free(b->device, all[i]);
    return result;
}

static double divisor_of(const case_t *c)
{
    return c->loss->sum ? 1.0 : (double)(c->valid * c->loss->rows);
}

static double largest_of(const float *values, size_t count)
{
    double largest = 0.0;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)values[i]));
    return largest;
}

/* Keras sums in float32: a row's loss is a difference of numbers no larger than max |x| (logits),
 * or a logarithm of a number rounded twice; then a sum over rows. So eps * (8 + rows) on the larger
 * of the loss and max |x| times the rows that a sum adds up. */
static void check_numbers(hid_t file, const char *name)
{
    case_t c;
    case_open(&c, file, name);
    float *dx = calloc(c.elements, sizeof(float));
    double divisor = divisor_of(&c);
    double rows = (double)(c.samples * c.loss->rows);
    result_t result = evaluate(&c, c.x, divisor, dx);
    double scale = fmax(largest_of(c.x, c.elements), 1.0) * rows / divisor + fabs(c.value);
    ck_assert_msg(fabs(result.sum / divisor - c.value) <= (8 + rows) * EPS * scale,
                  "%s: loss %.9g, Keras %.9g", name, result.sum / divisor, c.value);
    ck_assert_msg(fabs(result.correct / rows - c.accuracy) <= 4 * EPS,
                  "%s: accuracy %.9g, Keras %.9g", name, result.correct / rows, c.accuracy);
    /* each element is a few operations on numbers that are right to a few eps */
    double bound = 16 * EPS * largest_of(c.gradient, c.elements);
    for (size_t i = 0; i < c.elements; i++)
        ck_assert_msg(fabs((double)dx[i] - (double)c.gradient[i]) <= bound,
                      "%s: gradient %zu is %.9g, Keras %.9g", name, i, (double)dx[i],
                      (double)c.gradient[i]);
    free(dx);
    case_close(&c);
}

START_TEST(every_loss_gives_keras_value_gradient_and_accuracy)
{
    hid_t file = refs_open("losses.h5");
    refs_each(file, false, check_numbers);
    H5Fclose(file);
}
END_TEST

/* Central differences of step h: h^2 of the third derivative (below 1 for logits) and eps |loss| /
 * h. A row's sum over columns that are clipped or at a kink has no derivative there: those cases
 * are compared with Keras only. */
static void check_differences(hid_t file, const char *name)
{
    const float h = 0.015625f;
    case_t c;
    if (strstr(name, "clipped") != NULL || strstr(name, "probability") != NULL ||
        strstr(name, "function") != NULL || strstr(name, "absolute") != NULL)
        return;
    case_open(&c, file, name);
    float *dx = calloc(c.elements, sizeof(float));
    result_t at = evaluate(&c, c.x, 1.0, dx);
    double bound = (double)(h * h) + 8 * EPS * (at.sum + largest_of(c.x, c.elements)) / (double)h;
    for (size_t i = 0; i < c.elements; i++) {
        float kept = c.x[i];
        c.x[i] = kept + h;
        double up = evaluate(&c, c.x, 1.0, NULL).sum;
        c.x[i] = kept - h;
        double down = evaluate(&c, c.x, 1.0, NULL).sum;
        c.x[i] = kept;
        double slope = (up - down) / (2.0 * (double)h);
        ck_assert_msg(fabs(slope - (double)dx[i]) <= bound, "%s: element %zu: %g, difference %g",
                      name, i, (double)dx[i], slope);
    }
    free(dx);
    case_close(&c);
}

START_TEST(gradients_are_the_slopes_of_the_loss)
{
    hid_t file = refs_open("losses.h5");
    refs_each(file, false, check_differences);
    H5Fclose(file);
}
END_TEST

/* How far the loss is from Keras' with one setting changed, in units of eps of it. */
static double distance(hid_t file, const char *name, void (*change)(mb_loss_t *loss))
{
    case_t c;
    case_open(&c, file, name);
    change(c.loss);
    double found = evaluate(&c, c.x, 1.0, NULL).sum / divisor_of(&c);
    double off = fabs(found - c.value) / (EPS * fabs(c.value));
    case_close(&c);
    return off;
}

static void unsmoothed(mb_loss_t *loss)
{
    loss->label_smoothing = 0.0f;
}
static void unignored(mb_loss_t *loss)
{
    loss->has_ignore = false;
}
static void averaged(mb_loss_t *loss)
{
    loss->sum = false;
}
static void as_probability(mb_loss_t *loss)
{
    loss->kind =
        loss->kind == MB_LOSS_SPARSE_SOFTMAX ? MB_LOSS_SPARSE_PROBABILITY : MB_LOSS_SPARSE_SOFTMAX;
}

START_TEST(each_setting_left_out_is_seen)
{
    hid_t file = refs_open("losses.h5");
    ck_assert_double_gt(distance(file, "categorical_logits_smoothed", unsmoothed), 1e3);
    ck_assert_double_gt(distance(file, "categorical_probability_smoothed", unsmoothed), 1e3);
    ck_assert_double_gt(distance(file, "binary_logits_smoothed", unsmoothed), 1e3);
    ck_assert_double_gt(distance(file, "binary_probability_smoothed", unsmoothed), 1e3);
    ck_assert_double_gt(distance(file, "sparse_logits_ignore", unignored), 1e3);
    ck_assert_double_gt(distance(file, "sparse_logits_sum", averaged), 1e3);
    ck_assert_double_gt(distance(file, "squared_sum", averaged), 1e3);
    ck_assert_double_gt(distance(file, "sparse_probability", as_probability), 1e3);
    H5Fclose(file);
}
END_TEST

START_TEST(samples_past_valid_count_nowhere_and_get_no_gradient)
{
    hid_t file = refs_open("losses.h5");
    case_t c;
    case_open(&c, file, "sparse_logits_sequence");
    float *dx = calloc(c.elements, sizeof(float));
    double whole = evaluate(&c, c.x, 1.0, NULL).sum;
    c.valid = 1;
    double first = evaluate(&c, c.x, 1.0, dx).sum;
    ck_assert_double_lt(first, whole);
    size_t sample = c.elements / (size_t)c.samples;
    for (size_t i = 0; i < c.elements; i++)
        ck_assert(i < sample || dx[i] == 0.0f);
    ck_assert_double_gt(largest_of(dx, sample), 0.0);
    c.loss->weight = 0.25f;
    float *weighted = calloc(c.elements, sizeof(float));
    ck_assert_double_eq(evaluate(&c, c.x, 1.0, weighted).sum, first);
    for (size_t i = 0; i < sample; i++)
        ck_assert_float_eq_tol(weighted[i], 0.25f * dx[i], 1e-7f);
    free(weighted);
    free(dx);
    case_close(&c);
    H5Fclose(file);
}
END_TEST

/* Two outputs, "value" (1,) and "kind" (3,), and what TEXT makes of them; METRIC: what kind's
 * accuracy is called. */
static mb_status_t read_two(const char *text, mb_loss_t losses[2], char metric[64])
{
    static const int64_t one[] = {1};
    static const int64_t three[] = {3};
    model_t model;
    mb_loss_t *found = NULL;
    model_open(&model);
    model_add(&model, "value", 1, one);
    model_add(&model, "kind", 1, three);
    json_t *config = json_of(text);
    mb_status_t status = mb_losses_create(&model.graph, config, NULL, "file.h5", &found);
    if (status == MB_OK) {
        losses[0] = found[0];
        losses[1] = found[1];
        snprintf(metric, 64, "%s", found[1].accuracy ? found[1].accuracy_name : "");
    }
    json_decref(config);
    model_close(&model);
    return status;
}

static void check_two(const char *text, mb_loss_kind_t first, mb_loss_kind_t second, float weight0,
                      float weight1)
{
    mb_loss_t losses[2] = {0};
    char metric[64];
    ck_assert_msg(read_two(text, losses, metric) == MB_OK, "%s: %s", text, mb_error_get());
    ck_assert_int_eq(losses[0].kind, first);
    ck_assert_int_eq(losses[1].kind, second);
    ck_assert_float_eq(losses[0].weight, weight0);
    ck_assert_float_eq(losses[1].weight, weight1);
}

START_TEST(losses_and_weights_are_paired_with_outputs_by_name_and_by_order)
{
    check_two("{'loss': 'mse'}", MB_LOSS_SQUARED, MB_LOSS_SQUARED, 1, 1);
    check_two("{'loss': ['mse', 'sparse_categorical_crossentropy'], 'loss_weights': [0.5, 2]}",
              MB_LOSS_SQUARED, MB_LOSS_SPARSE_PROBABILITY, 0.5f, 2);
    check_two("{'loss': {'kind': {'class_name': 'SparseCategoricalCrossentropy', 'config': "
              "{'from_logits': true, 'reduction': 'auto', 'name': 'x', 'fn': "
              "'sparse_categorical_crossentropy'}}, 'value': 'mean_absolute_error'}, "
              "'loss_weights': {'value': 0.25, 'kind': 3.0}}",
              MB_LOSS_ABSOLUTE, MB_LOSS_SPARSE_SOFTMAX, 0.25f, 3);
    check_two("{'loss': {'kind': 'MAE', 'value': 'MeanSquaredError'}, 'loss_weights': [1, 2]}",
              MB_LOSS_SQUARED, MB_LOSS_ABSOLUTE, 1, 2);
    check_two("{'loss': 'bce', 'loss_weights': 0.5}", MB_LOSS_BINARY_PROBABILITY,
              MB_LOSS_BINARY_PROBABILITY, 0.5f, 0.5f);
}
END_TEST

static void check_refused(const char *text, mb_status_t status, const char *words)
{
    mb_loss_t losses[2];
    char metric[64];
    ck_assert_msg(read_two(text, losses, metric) == status, "%s: %s", text, mb_error_get());
    ck_assert_msg(strstr(mb_error_get(), words) != NULL, "%s: '%s' does not say '%s'", text,
                  mb_error_get(), words);
}

START_TEST(what_cannot_be_obeyed_is_refused_by_name)
{
    check_refused("{'loss': 'hubris'}", MB_ERR_UNSUPPORTED, "loss 'hubris'");
    check_refused("{'loss': 'ctc'}", MB_ERR_UNSUPPORTED, "label each step");
    check_refused("{'loss': {'class_name': 'Circle', 'config': {'remove_diagonal': 1}}}",
                  MB_ERR_FORMAT, "'remove_diagonal'");
    check_refused("{'loss': {'class_name': 'Huber', 'config': {'delta': 'x'}}}", MB_ERR_FORMAT,
                  "'delta' must be a number");
    check_refused("{'loss': {'class_name': 'CategoricalFocalCrossentropy', 'config': {'alpha': "
                  "[0.1, 0.9, 1]}}}",
                  MB_ERR_UNSUPPORTED, "'alpha' is a list");
    check_refused("{'loss': {'class_name': 'CategoricalGeneralizedCrossEntropy', 'config': {'q': "
                  "1}}}",
                  MB_ERR_ARGUMENT, "'q' is 1");
    check_refused("{'loss': {'class_name': 'Dice', 'config': {'axis': [0, 1]}}}",
                  MB_ERR_UNSUPPORTED, "mixes samples");
    check_refused("{'loss': {'class_name': 'Dice', 'config': {'axis': 'all'}}}", MB_ERR_FORMAT,
                  "'axis' must be");
    check_refused("{'loss': {'class_name': 'CosineSimilarity', 'config': {'axis': 2}}}",
                  MB_ERR_UNSUPPORTED, "only the last ones");
    check_refused("{'loss': 'crossentropy'}", MB_ERR_UNSUPPORTED, "'crossentropy' leaves");
    check_refused("{'loss': null}", MB_ERR_ARGUMENT, "--loss");
    check_refused("{'loss': ['mse', null]}", MB_ERR_UNSUPPORTED, "output 'kind' has no loss");
    check_refused("{'loss': ['mse']}", MB_ERR_FORMAT, "1 entries");
    check_refused("{'loss': {'value': 'mse', 'other': 'mse'}}", MB_ERR_FORMAT, "output 'kind'");
    check_refused("{'loss': 'mse', 'loss_weights': ['a', 1]}", MB_ERR_FORMAT, "must be a number");
    check_refused("{'loss': ['mse', 'mse'], 'loss_weights': {'value': 1, 'kind': 2}}",
                  MB_ERR_UNSUPPORTED, "write both the same way");
    check_refused("{'loss': {'class_name': 'MeanSquaredError', 'config': {'reduction': 'none'}}}",
                  MB_ERR_UNSUPPORTED, "reduction 'none'");
    check_refused("{'loss': {'class_name': 'MeanSquaredError', 'config': {'reduction': null}}}",
                  MB_ERR_UNSUPPORTED, "reduction 'none'");
    check_refused("{'loss': {'class_name': 'CategoricalCrossentropy', 'config': {'axis': -2}}}",
                  MB_ERR_UNSUPPORTED, "'axis' is [-2]");
    check_refused("{'loss': {'class_name': 'MeanSquaredError', 'config': {'delta': 1}}}",
                  MB_ERR_UNSUPPORTED, "'delta' is not known");
    check_refused("{'loss': {'class_name': 'MeanSquaredError', 'config': {'dtype': 'float16'}}}",
                  MB_ERR_UNSUPPORTED, "'dtype'");
    check_refused("{'loss': 'mse', 'sample_weight_mode': 'temporal'}", MB_ERR_UNSUPPORTED,
                  "sample_weight_mode");
    check_refused("{'loss': 'mse', 'callbacks': []}", MB_ERR_UNSUPPORTED, "'callbacks'");
    check_refused("{'loss': 'mse', 'metrics': {'kind': ['mea']}}", MB_ERR_UNSUPPORTED,
                  "metric 'mea'");
    check_refused("{'loss': 'mse', 'metrics': {'kind': ['sparse_categorical_accuracy']}}",
                  MB_ERR_UNSUPPORTED, "labels of different form");
    check_refused("{'loss': 'mse', 'metrics': {'sort': ['acc']}}", MB_ERR_FORMAT,
                  "no output 'sort'");
    check_refused(
        "{'loss': 'mse', 'metrics': [{'class_name': 'Accuracy', 'config': {'k': 1}}, []]}",
        MB_ERR_UNSUPPORTED, "metric 'Accuracy'");
    check_refused("[]", MB_ERR_FORMAT, "training_config");
}
END_TEST

/* One loss of every class, by its class and by each of its names. */
static void check_names(mb_loss_kind_t kind, const char *names)
{
    char copy[256], text[512];
    snprintf(copy, sizeof(copy), "%s", names);
    for (char *name = strtok(copy, " "); name != NULL; name = strtok(NULL, " ")) {
        snprintf(text, sizeof(text), "{'loss': '%s'}", name);
        check_two(text, kind, kind, 1, 1);
        snprintf(text, sizeof(text),
                 "{'loss': {'class_name': '%s', 'config': {'name': 'n', "
                 "'reduction': 'auto', 'fn': '%s'}}}",
                 name, name);
        check_two(text, kind, kind, 1, 1);
    }
}

START_TEST(losses_have_the_names_of_keras)
{
    check_names(MB_LOSS_PERCENTAGE,
                "MeanAbsolutePercentageError mean_absolute_percentage_error mape MAPE");
    check_names(MB_LOSS_SQUARED_LOG,
                "MeanSquaredLogarithmicError mean_squared_logarithmic_error msle MSLE");
    check_names(MB_LOSS_HUBER, "Huber huber huber_loss");
    check_names(MB_LOSS_LOG_COSH, "LogCosh log_cosh logcosh");
    check_names(MB_LOSS_COSINE, "CosineSimilarity cosine_similarity");
    check_names(MB_LOSS_POISSON, "Poisson poisson");
    check_names(MB_LOSS_DIVERGENCE,
                "KLDivergence kl_divergence kullback_leibler_divergence kld KLD");
    check_names(MB_LOSS_HINGE, "Hinge hinge");
    check_names(MB_LOSS_SQUARED_HINGE, "SquaredHinge squared_hinge");
    check_names(MB_LOSS_CATEGORICAL_HINGE, "CategoricalHinge categorical_hinge");
    check_names(MB_LOSS_BINARY_FOCAL_PROBABILITY,
                "BinaryFocalCrossentropy binary_focal_crossentropy");
    check_names(MB_LOSS_FOCAL_PROBABILITY,
                "CategoricalFocalCrossentropy categorical_focal_crossentropy");
    check_names(MB_LOSS_GENERALIZED,
                "CategoricalGeneralizedCrossEntropy categorical_generalized_cross_entropy");
    check_names(MB_LOSS_OVERLAP, "Dice dice Tversky tversky");
}
END_TEST

static mb_loss_t read_one(const char *text)
{
    mb_loss_t losses[2] = {0};
    char metric[64];
    ck_assert_msg(read_two(text, losses, metric) == MB_OK, "%s: %s", text, mb_error_get());
    return losses[1];
}

START_TEST(every_key_is_read)
{
    mb_loss_t loss = read_one("{'loss': {'class_name': 'Huber', 'config': {'delta': 0.5}}}");
    ck_assert_float_eq(loss.p0, 0.5f);
    loss = read_one("{'loss': {'class_name': 'BinaryFocalCrossentropy', 'config': {'gamma': 3, "
                    "'alpha': 0.75, 'from_logits': true, 'label_smoothing': 0.25, 'axis': 1, "
                    "'apply_class_balancing': true}}}");
    ck_assert_int_eq(loss.kind, MB_LOSS_BINARY_FOCAL_LOGITS);
    ck_assert(loss.p0 == 3.0f && loss.p1 == 0.75f && loss.p2 == 0.25f);
    ck_assert_float_eq(loss.label_smoothing, 0.25f);
    loss = read_one("{'loss': {'class_name': 'BinaryFocalCrossentropy', 'config': {'alpha': 1}}}");
    ck_assert(loss.p0 == 2.0f && loss.p1 == 1.0f && loss.p2 == 1.0f);
    loss = read_one("{'loss': {'class_name': 'CategoricalFocalCrossentropy', 'config': {'gamma': "
                    "0.5, 'alpha': 2, 'from_logits': true, 'label_smoothing': 0.5}}}");
    ck_assert(loss.kind == MB_LOSS_FOCAL_LOGITS && loss.p0 == 0.5f && loss.p1 == 2.0f);
    loss = read_one("{'loss': {'class_name': 'Tversky', 'config': {'alpha': 0.25, 'beta': 0.75, "
                    "'axis': {'class_name': '__tuple__', 'items': [-1]}}}}");
    ck_assert(loss.p0 == 0.25f && loss.p1 == 0.75f && loss.p2 == 1e-7f && !loss.whole);
    loss = read_one("{'loss': {'class_name': 'Dice', 'config': {'axis': null}}}");
    ck_assert(loss.whole && loss.sum && loss.p0 == 0.5f && loss.p1 == 0.5f && loss.p2 == 0.5e-7f);
    loss = read_one("{'loss': {'class_name': 'Circle', 'config': {'gamma': 16, 'margin': 0.25, "
                    "'remove_diagonal': false}}}");
    ck_assert(loss.compares && loss.sparse && loss.p0 == 16.0f && loss.p1 == 0.25f);
    ck_assert(loss.p2 == 0.0f && !loss.sum && !loss.accuracy && loss.label_shape.rank == 0);
    loss = read_one("{'loss': 'circle'}");
    ck_assert(loss.p0 == 80.0f && loss.p1 == 0.4f && loss.p2 == 1.0f);
    loss = read_one("{'loss': {'class_name': 'CategoricalGeneralizedCrossEntropy', 'config': {'q': "
                    "0.25}}}");
    ck_assert(loss.sparse && loss.p0 == 0.25f);
    loss = read_one("{'loss': {'class_name': 'SparseCategoricalCrossentropy', 'config': "
                    "{'ignore_class': -1}}}");
    ck_assert(loss.has_ignore && loss.ignore_label == -1 && loss.weighted && !loss.sum);
    loss = read_one("{'loss': {'class_name': 'MeanSquaredError', 'config': {'reduction': "
                    "'mean_with_sample_weight'}}}");
    ck_assert(loss.by_weight && !loss.sum && !loss.weighted);
}
END_TEST

/* Axes of an output of 2 x 3 x 5: how many rows of 5 one value spans. */
static void check_axes(const char *axis, int64_t merged)
{
    static const int64_t shape[] = {2, 3, 5};
    char text[256];
    model_t model;
    mb_loss_t *loss = NULL;
    model_open(&model);
    model_add(&model, "mask", 3, shape);
    snprintf(text, sizeof(text), "{'loss': {'class_name': 'Dice', 'config': {'axis': %s}}}", axis);
    json_t *config = json_of(text);
    mb_status_t status = mb_losses_create(&model.graph, config, NULL, "file.h5", &loss);
    ck_assert_msg((status == MB_OK) == (merged > 0), "%s: %s", text, mb_error_get());
    if (merged > 0)
        ck_assert(loss->merged == merged && loss->rows == 6 && loss->columns == 5);
    json_decref(config);
    model_close(&model);
}

START_TEST(a_value_may_span_the_last_axes)
{
    check_axes("-1", 1);
    check_axes("3", 1);
    check_axes("[-1, -2]", 3);
    check_axes("[2, 3]", 3);
    check_axes("[1, 2, 3]", 6);
    check_axes("[1, 2]", 0);
    check_axes("[1, 3]", 0);
    check_axes("[3, 3]", 0);
    check_axes("4", 0);
    check_axes("[0, 1, 2, 3]", 0);
}
END_TEST

/* An embedding is a row. */
START_TEST(what_compares_samples_takes_no_sequences)
{
    static const int64_t shape[] = {5, 3};
    model_t model;
    mb_loss_t *loss = NULL;
    model_open(&model);
    model_add(&model, "steps", 2, shape);
    json_t *config = json_of("{'loss': 'circle'}");
    ck_assert_int_eq(mb_losses_create(&model.graph, config, NULL, "file.h5", &loss),
                     MB_ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "it is to be one embedding"));
    json_decref(config);
    model_close(&model);
}
END_TEST

START_TEST(a_loss_of_the_whole_batch_asks_for_micro_batches_that_hold_it)
{
    mb_loss_t loss = {.whole = true, .name = "dice"};
    ck_assert_int_eq(mb_loss_check_micro(&loss, "mask", 32, 32), MB_OK);
    ck_assert_int_eq(mb_loss_check_micro(&loss, "mask", 32, 8), MB_ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "--micro-batch 32 --replicas 1"));
    loss.whole = false;
    ck_assert_int_eq(mb_loss_check_micro(&loss, "mask", 32, 8), MB_OK);
    loss.compares = true;
    ck_assert_int_eq(mb_loss_check_micro(&loss, "mask", 32, 32), MB_OK);
    ck_assert_int_eq(mb_loss_check_micro(&loss, "mask", 32, 8), MB_ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "--micro-batch 32 --replicas 1"));
}
END_TEST

START_TEST(keys_without_effect_are_passed_over)
{
    check_two("{'loss': 'mse', 'metrics': null, 'weighted_metrics': null, 'run_eagerly': false, "
              "'steps_per_execution': 1, 'jit_compile': true, 'auto_scale_loss': true, "
              "'sample_weight_mode': [null, null], 'optimizer_config': {'anything': 1}}",
              MB_LOSS_SQUARED, MB_LOSS_SQUARED, 1, 1);
}
END_TEST

/* The accuracy of output "kind": what it is called, or NULL where none is counted. */
static void check_metric(const char *loss, const char *metrics, const char *name, bool binary)
{
    char text[1024];
    mb_loss_t losses[2] = {0};
    char metric[64];
    snprintf(text, sizeof(text), "{'loss': '%s', 'metrics': %s}", loss, metrics);
    mb_status_t status = read_two(text, losses, metric);
    ck_assert_msg(status == MB_OK, "%s: %s", text, mb_error_get());
    ck_assert(losses[1].accuracy == (name != NULL));
    ck_assert(losses[1].binary == binary);
    if (name != NULL && strchr(metrics, '[') == NULL)
        ck_assert_str_eq(metric, name);
}

START_TEST(metrics_of_both_dialects_are_read)
{
    const char *sparse = "sparse_categorical_crossentropy";
    check_metric(sparse, "null", "accuracy", false);
    check_metric("mse", "null", NULL, false);
    check_metric(sparse, "{'kind': 'acc'}", "acc", false);
    check_metric(sparse, "[[], ['accuracy']]", "accuracy", false);
    check_metric(sparse, "[null, [['SparseCategoricalAccuracy']]]", "accuracy", false);
    check_metric(sparse,
                 "{'kind': {'class_name': 'MeanMetricWrapper', 'config': {'name': 'accuracy', "
                 "'dtype': 'float32', 'fn': 'sparse_categorical_accuracy'}}}",
                 "accuracy", false);
    check_metric(sparse,
                 "{'kind': {'class_name': 'SparseCategoricalAccuracy', 'config': {'name': 'sca', "
                 "'dtype': {'class_name': 'DTypePolicy', 'config': {'name': 'float32'}}}}}",
                 "sca", false);
    check_metric(sparse, "{'kind': ['sparse_categorical_crossentropy', 'accuracy']}", "accuracy",
                 false);
    check_metric("mse", "{'kind': ['mse']}", NULL, false);
    check_metric("mse", "{'kind': 'accuracy'}", "accuracy", false);
    check_metric("bce", "{'kind': 'accuracy'}", "accuracy", false);
    check_metric("bce", "null", "accuracy", true);
    check_metric("bce",
                 "{'kind': {'class_name': 'BinaryAccuracy', 'config': {'threshold': 0.25, 'name': "
                 "'b'}}}",
                 "b", true);
}
END_TEST

/* The keys of all metrics, in the order of both outputs, in one line. */
static void check_keys(const char *metrics, const char *want)
{
    static const int64_t three[] = {3};
    char text[1024], found[1024] = "";
    model_t model;
    mb_loss_t *losses = NULL;
    model_open(&model);
    model_add(&model, "value", 1, three);
    model_add(&model, "kind", 1, three);
    snprintf(text, sizeof(text), "{'loss': 'mse', %s}", metrics);
    json_t *config = json_of(text);
    mb_status_t status = mb_losses_create(&model.graph, config, NULL, "file.h5", &losses);
    ck_assert_msg(status == MB_OK, "%s: %s", text, mb_error_get());
    for (int o = 0; o < 2; o++) {
        for (int i = 0; i < losses[o].metrics.n; i++) {
            size_t length = strlen(found);
            snprintf(found + length, sizeof(found) - length, " %s", losses[o].metrics.list[i].key);
        }
    }
    ck_assert_str_eq(found, want);
    json_decref(config);
    model_close(&model);
}

START_TEST(metrics_bear_the_names_of_their_outputs_and_numbers)
{
    check_keys("'metrics': {'kind': ['mae', 'mse']}", " kind_mae kind_mse");
    check_keys("'metrics': [['mae', 'mae'], 'mae']", " value_mae value_mae_1 kind_mae");
    check_keys("'metrics': ['mae', null], 'weighted_metrics': [['mae', 'mse', 'mae'], ['mae']]",
               " value_mae value_weighted_mae value_mse value_weighted_mae_1 kind_mae");
    check_keys("'metrics': ['mae', 'accuracy', 'mse']",
               " value_mae value_accuracy value_mse kind_mae kind_accuracy kind_mse");
}
END_TEST

/* The first accuracy is counted with the loss; another one by itself, and one that weights may
 * weigh. */
START_TEST(one_accuracy_is_counted_with_the_loss)
{
    static const int64_t three[] = {3};
    static const bool counted[] = {true, false, false, true, false};
    model_t model;
    mb_loss_t *losses = NULL;
    model_open(&model);
    model_add(&model, "kind", 1, three);
    json_t *config = json_of("{'loss': 'bce', 'metrics': ['binary_accuracy', 'mse', "
                             "'categorical_accuracy', 'binary_accuracy'], "
                             "'weighted_metrics': ['binary_accuracy']}");
    ck_assert_int_eq(mb_losses_create(&model.graph, config, NULL, "file.h5", &losses), MB_OK);
    ck_assert(losses->accuracy && losses->binary);
    ck_assert_int_eq(losses->metrics.n, 5);
    for (int i = 0; i < 5; i++)
        ck_assert_msg(losses->metrics.list[i].counted == counted[i], "metric %d", i);
    json_decref(config);
    model_close(&model);
}
END_TEST

START_TEST(a_named_loss_serves_an_uncompiled_model)
{
    static const int64_t shape[] = {4, 7};
    model_t model;
    mb_loss_t *losses = NULL;
    model_open(&model);
    model_add(&model, "out", 2, shape);
    ck_assert_int_eq(mb_losses_create(&model.graph, NULL, NULL, "f.h5", &losses), MB_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "--loss"));
    ck_assert_int_eq(mb_losses_create(&model.graph, NULL,
                                      "sparse_categorical_crossentropy:from_logits=true", "f.h5",
                                      &losses),
                     MB_OK);
    ck_assert_int_eq(losses->kind, MB_LOSS_SPARSE_SOFTMAX);
    ck_assert_int_eq(losses->rows, 4);
    ck_assert_int_eq(losses->columns, 7);
    ck_assert_int_eq(mb_losses_create(&model.graph, NULL, "mse:fast=1", "f.h5", &losses),
                     MB_ERR_UNSUPPORTED);
    model_close(&model);
}
END_TEST

START_TEST(labels_may_have_one_axis_of_length_one_more_or_less)
{
    mb_loss_t sparse = {.label_shape = {.rank = 0}};
    mb_loss_t value = {.label_shape = {.rank = 1, .dim = {1}}};
    mb_loss_t sequence = {.label_shape = {.rank = 1, .dim = {8}}};
    mb_shape_t none = {.rank = 0};
    mb_shape_t one = {.rank = 1, .dim = {1}};
    mb_shape_t eight = {.rank = 1, .dim = {8}};
    mb_shape_t column = {.rank = 2, .dim = {8, 1}};
    ck_assert(mb_loss_accepts_labels(&sparse, &none) && mb_loss_accepts_labels(&sparse, &one));
    ck_assert(mb_loss_accepts_labels(&value, &none) && mb_loss_accepts_labels(&value, &one));
    ck_assert(mb_loss_accepts_labels(&sequence, &eight));
    ck_assert(mb_loss_accepts_labels(&sequence, &column));
    ck_assert(!mb_loss_accepts_labels(&sparse, &eight));
    ck_assert(!mb_loss_accepts_labels(&sequence, &one));
    ck_assert(!mb_loss_accepts_labels(&value, &column));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("loss");
    TCase *t = tcase_create("loss");
    tcase_add_test(t, every_loss_gives_keras_value_gradient_and_accuracy);
    tcase_add_test(t, gradients_are_the_slopes_of_the_loss);
    tcase_add_test(t, each_setting_left_out_is_seen);
    tcase_add_test(t, samples_past_valid_count_nowhere_and_get_no_gradient);
    tcase_add_test(t, losses_and_weights_are_paired_with_outputs_by_name_and_by_order);
    tcase_add_test(t, what_cannot_be_obeyed_is_refused_by_name);
    tcase_add_test(t, losses_have_the_names_of_keras);
    tcase_add_test(t, every_key_is_read);
    tcase_add_test(t, a_value_may_span_the_last_axes);
    tcase_add_test(t, what_compares_samples_takes_no_sequences);
    tcase_add_test(t, a_loss_of_the_whole_batch_asks_for_micro_batches_that_hold_it);
    tcase_add_test(t, keys_without_effect_are_passed_over);
    tcase_add_test(t, metrics_of_both_dialects_are_read);
    tcase_add_test(t, metrics_bear_the_names_of_their_outputs_and_numbers);
    tcase_add_test(t, one_accuracy_is_counted_with_the_loss);
    tcase_add_test(t, a_named_loss_serves_an_uncompiled_model);
    tcase_add_test(t, labels_may_have_one_axis_of_length_one_more_or_less);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *r = srunner_create(suite());
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
