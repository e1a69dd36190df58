/* Metrics as Keras 2 and 3 serialize them: the accuracies, and the output's own loss, whose mean
 * the log holds anyway. Which accuracy "accuracy" means follows from the output and its loss.
 * Source: keras/src/trainers/compile_utils.py, get_metric. */
#include "model/losses/compile.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "model/known.h"

typedef enum { NOT_ACCURACY, ANY, SPARSE, CATEGORICAL, BINARY } accuracy_t;

typedef struct {
    accuracy_t kind;
    double threshold;
    const char *label; /* its name in the log; NULL: the kind's own */
} metric_t;

static const struct {
    const char *name;
    accuracy_t kind;
} accuracies[] = {
    {"accuracy", NOT_ACCURACY}, /* only as a plain name */
    {"SparseCategoricalAccuracy", SPARSE},
    {"CategoricalAccuracy", CATEGORICAL},
    {"BinaryAccuracy", BINARY},
    {"sparse_categorical_accuracy", SPARSE},
    {"categorical_accuracy", CATEGORICAL},
    {"binary_accuracy", BINARY},
};
enum { N_CLASSES = 4, N_ACCURACIES = sizeof(accuracies) / sizeof(accuracies[0]) };

static accuracy_t kind_of(const char *name)
{
    for (size_t i = 0; i < N_ACCURACIES; i++) {
        if (strcmp(accuracies[i].name, name) == 0)
            return accuracies[i].kind;
    }
    return NOT_ACCURACY;
}

static const char *metric_name(size_t index)
{
    return index < N_CLASSES ? accuracies[index].name : NULL;
}

const mb_known_t mb_known_metrics = {"metric", "metrics", metric_name};

static mb_status_t refuse(const char *name, const char *where, const mb_loss_t *loss,
                          const char *why)
{
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "%s: metric '%s' beside loss %s: %s; remove it, or recompile the model",
                        where, name, loss->name, why);
}

/* A metric that is the loss itself needs no second computation. */
static mb_status_t check_same_as_loss(const json_t *value, const char *name, const char *where,
                                      const mb_loss_t *loss)
{
    mb_loss_t other = {0};
    const mb_loss_class_t *class_;
    if (mb_loss_parse(value, where, &other, &class_) == MB_OK && mb_loss_is_same(&other, loss) &&
        !loss->has_ignore && !loss->whole && loss->merged == 1)
        return MB_OK;
    char hint[MB_KNOWN_HINT], why[MB_KNOWN_HINT + 64];
    snprintf(why, sizeof(why), "only accuracies and the loss itself are computed%s",
             mb_known_hint(&mb_known_metrics, name, hint));
    return refuse(name, where, loss, why);
}

/* MeanMetricWrapper holds a function and its arguments. */
static mb_status_t unwrap(const json_t *value, const char *where, const char **name,
                          const json_t **object)
{
    const json_t *ignored;
    MB_TRY(mb_config_object(value, where, name, object));
    const json_t *function = json_object_get(*object, "fn");
    if (function == NULL || strcmp(*name, "MeanMetricWrapper") != 0)
        return MB_OK;
    return mb_config_object(function, where, name, &ignored);
}

static mb_status_t read_accuracy(const json_t *object, const char *where, metric_t *metric)
{
    mb_config_t config;
    if (object == NULL)
        return MB_OK;
    MB_TRY(mb_config_open(&config, object, "%s", where));
    mb_config_ignore(&config, "fn");
    MB_TRY(mb_loss_take_dtype(&config));
    MB_TRY(mb_config_string_or(&config, "name", NULL, &metric->label));
    if (metric->kind == BINARY)
        MB_TRY(mb_config_real_or(&config, "threshold", 0.5, &metric->threshold));
    return mb_config_finish(&config);
}

static accuracy_t resolve(const mb_loss_t *loss)
{
    if (loss->columns == 1)
        return BINARY;
    return loss->sparse ? SPARSE : CATEGORICAL;
}

static mb_status_t set_accuracy(const mb_graph_t *graph, const metric_t *metric, const char *name,
                                const char *where, mb_loss_t *loss)
{
    accuracy_t kind = metric->kind == ANY ? resolve(loss) : metric->kind;
    bool binary = kind == BINARY;
    float threshold = (float)metric->threshold;
    if (loss->sparse != (kind == SPARSE))
        return refuse(name, where, loss, "they take labels of different form");
    if (loss->accuracy &&
        (loss->binary != binary || threshold < loss->threshold || threshold > loss->threshold))
        return refuse(name, where, loss, "an output has one accuracy");
    const char *label = metric->label == NULL ? name : metric->label;
    loss->accuracy_name = mb_arena_strdup(graph->arena, label);
    if (loss->accuracy_name == NULL)
        return mb_error_memory("a metric's name", strlen(label));
    loss->accuracy = true;
    loss->binary = binary;
    loss->threshold = threshold;
    return MB_OK;
}

static mb_status_t take_metric(const mb_graph_t *graph, const json_t *value, const char *where,
                               mb_loss_t *loss)
{
    metric_t metric = {.threshold = 0.5};
    const char *name;
    const json_t *object;
    MB_TRY(unwrap(value, where, &name, &object));
    metric.kind = kind_of(name);
    if (json_is_string(value) &&
        (strcasecmp(name, "accuracy") == 0 || strcasecmp(name, "acc") == 0))
        metric.kind = ANY;
    if (metric.kind == NOT_ACCURACY)
        return check_same_as_loss(value, name, where, loss);
    MB_TRY(read_accuracy(object, where, &metric));
    return set_accuracy(graph, &metric, name, where, loss);
}

/* Lists may be nested, and hold nulls: Keras 2 writes [["accuracy"]]. The parser bounds the depth.
 */
static mb_status_t take_nested(const mb_graph_t *graph, const json_t *value, const char *where,
                               mb_loss_t *loss)
{
    if (value == NULL || json_is_null(value))
        return MB_OK;
    if (!json_is_array(value))
        return take_metric(graph, value, where, loss);
    for (size_t i = 0; i < json_array_size(value); i++)
        MB_TRY(take_nested(graph, json_array_get(value, i), where, loss));
    return MB_OK;
}

static mb_status_t check_names(const mb_graph_t *graph, const json_t *value, const char *where)
{
    /* jansson's iterator wants a pointer to non-const, but changes nothing. */
    json_t *object = (json_t *)(uintptr_t)value;
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        if (mb_output_find(graph, json_object_iter_key(at)) < 0)
            return mb_error_set(MB_ERR_FORMAT, "%s: the model has no output '%s'", where,
                                json_object_iter_key(at));
    }
    return MB_OK;
}

mb_status_t mb_metrics_take(const mb_graph_t *graph, int output, const json_t *value,
                            const char *name, const char *where, mb_loss_t *loss)
{
    char place[192];
    const json_t *own = value;
    bool list = json_is_array(value) && json_array_size(value) == (size_t)graph->n_outputs;
    snprintf(place, sizeof(place), "%s: %s of output '%s'", where, name,
             graph->outputs[output].name);
    if (json_is_object(value) && !mb_loss_is_single(value)) {
        MB_TRY(check_names(graph, value, place));
        own = json_object_get(value, graph->outputs[output].name);
    } else if (list && graph->n_outputs > 1) {
        own = json_array_get(value, (size_t)output);
    }
    return take_nested(graph, own, place, loss);
}

void mb_metrics_default(const mb_loss_class_t *class_, mb_loss_t *loss)
{
    if (loss->accuracy || !class_->classifies)
        return;
    loss->accuracy = true;
    loss->accuracy_name = "accuracy";
    bool logits = loss->kind == MB_LOSS_BINARY_LOGITS || loss->kind == MB_LOSS_BINARY_FOCAL_LOGITS;
    loss->binary = !loss->sparse && class_->binary;
    loss->threshold = logits ? 0.0f : 0.5f;
}
