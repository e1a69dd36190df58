/* training_config to one loss per output: which loss, weight and metrics belong to which output,
 * and the shapes its labels must have. Source: keras/src/trainers/compile_utils.py. */
#include "model/losses/compile.h"
#include "model/spec.h"

#include <stdio.h>
#include <string.h>

#define WHERE_TEXT 192

int mb_output_find(const mb_graph_t *graph, const char *name)
{
    for (int i = 0; i < graph->n_outputs; i++) {
        if (strcmp(graph->outputs[i].name, name) == 0)
            return i;
    }
    return -1;
}

/* A list has one entry per output, a dict one for every output's name. */
static mb_status_t check_entries(const mb_graph_t *graph, const json_t *value, const char *key,
                                 const char *where)
{
    size_t count = json_is_array(value) ? json_array_size(value) : json_object_size(value);
    if (count != (size_t)graph->n_outputs)
        return mb_error_set(MB_ERR_FORMAT, "%s: '%s' has %zu entries for a model of %d output%s",
                            where, key, count, graph->n_outputs, graph->n_outputs == 1 ? "" : "s");
    for (int i = 0; json_is_object(value) && i < graph->n_outputs; i++) {
        if (json_object_get(value, graph->outputs[i].name) == NULL)
            return mb_error_set(MB_ERR_FORMAT, "%s: '%s' has no entry for output '%s'", where, key,
                                graph->outputs[i].name);
    }
    return MB_OK;
}

static const json_t *entry_of(const mb_graph_t *graph, const json_t *value, int output)
{
    if (json_is_array(value))
        return json_array_get(value, (size_t)output);
    return json_object_get(value, graph->outputs[output].name);
}

static mb_status_t find_loss(const mb_graph_t *graph, const json_t *value, int output,
                             const char *where, const json_t **out)
{
    *out = value;
    if (!mb_loss_is_single(value)) {
        MB_TRY(check_entries(graph, value, "loss", where));
        *out = entry_of(graph, value, output);
    }
    if (json_is_null(*out))
        return mb_error_set(MB_ERR_UNSUPPORTED, "%s: output '%s' has no loss; give it one", where,
                            graph->outputs[output].name);
    return MB_OK;
}

static bool outputs_sorted(const mb_graph_t *graph)
{
    for (int i = 1; i < graph->n_outputs; i++) {
        if (strcmp(graph->outputs[i - 1].name, graph->outputs[i].name) >= 0)
            return false;
    }
    return true;
}

/* Beside a list of losses Keras 3 takes a dict of weights in the sorted order of its names, Keras 2
 * by name. */
static mb_status_t check_weights(const mb_graph_t *graph, const json_t *losses,
                                 const json_t *weights, const char *where)
{
    if (!json_is_array(weights) && !json_is_object(weights))
        return mb_error_set(MB_ERR_FORMAT,
                            "%s: 'loss_weights' must be a number, or a list or dict of numbers",
                            where);
    MB_TRY(check_entries(graph, weights, "loss_weights", where));
    if (json_is_object(weights) && !mb_loss_is_single(losses) && json_is_array(losses) &&
        !outputs_sorted(graph))
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: 'loss_weights' stand by name and the losses in a list: Keras "
                            "versions pair them differently; write both the same way",
                            where);
    return MB_OK;
}

static mb_status_t take_weight(const mb_graph_t *graph, const json_t *losses, const json_t *weights,
                               int output, const char *where, mb_loss_t *loss)
{
    const json_t *weight = weights;
    loss->weight = 1.0f;
    if (weights == NULL || json_is_null(weights))
        return MB_OK;
    if (!json_is_number(weights)) {
        MB_TRY(check_weights(graph, losses, weights, where));
        weight = entry_of(graph, weights, output);
    }
    if (!json_is_number(weight))
        return mb_error_set(MB_ERR_FORMAT, "%s: the loss weight of output '%s' must be a number",
                            where, graph->outputs[output].name);
    loss->weight = (float)json_number_value(weight);
    return MB_OK;
}

static mb_status_t take_shapes(const mb_graph_t *graph, int output, const char *where,
                               mb_loss_t *loss)
{
    const mb_call_t *call = &graph->nodes[graph->outputs[output].node].call;
    if (!mb_dtype_is_float(call->output_type) || call->output.rank < 1)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s (%s): there is no axis of numbers to take it over", where,
                            loss->name);
    char place[WHERE_TEXT + 64];
    snprintf(place, sizeof(place), "%s (%s)", where, loss->name);
    return mb_loss_take_shapes(call, place, loss);
}

/* Keys beside the losses: nothing here may change what is computed without being said. Earlier
 * Keras versions write null, or a null per output, for sample weights they did not use. */
static mb_status_t take_others(mb_config_t *config)
{
    static const char *const without_effect[] = {
        "optimizer_config", "run_eagerly",     "steps_per_execution",  "jit_compile",
        "auto_scale_loss",  "from_serialized", "pss_evaluation_shards"};
    for (size_t i = 0; i < sizeof(without_effect) / sizeof(without_effect[0]); i++)
        mb_config_ignore(config, without_effect[i]);
    const json_t *mode = mb_config_take(config, "sample_weight_mode");
    size_t used = json_is_string(mode) ? 1 : json_object_size(mode);
    for (size_t i = 0; i < json_array_size(mode); i++)
        used += json_is_null(json_array_get(mode, i)) ? 0 : 1;
    if (used != 0)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: key 'sample_weight_mode' is set; weights of a sample's rows are "
                            "known by their shape, so that it is to be null",
                            config->where);
    return mb_config_finish(config);
}

/* The output's mask multiplies what values and metrics are weighed by. */
static mb_status_t take_mask(const mb_graph_t *graph, int output, const char *where,
                             mb_loss_t *loss)
{
    const mb_mask_t *mask = graph->outputs[output].mask;
    char text[MB_SHAPE_TEXT];
    if (mask == NULL)
        return MB_OK;
    if (loss->whole || loss->compares || mb_shape_elements(&mask->shape) != mb_loss_values(loss))
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s (%s): the output has a mask of %s a sample, and the loss other "
                            "values; this build obeys masks of one value for each of the loss's",
                            where, loss->name, mb_shape_text(&mask->shape, text, sizeof(text)));
    loss->masked = loss->weighted = true;
    return MB_OK;
}

typedef struct {
    const json_t *loss, *weights, *metrics, *weighted_metrics;
} compiled_t;

static mb_status_t take_output(const mb_graph_t *graph, const compiled_t *compiled, int output,
                               const char *where, mb_loss_t *loss)
{
    char place[WHERE_TEXT];
    const mb_loss_class_t *class_;
    const json_t *value;
    MB_TRY(find_loss(graph, compiled->loss, output, where, &value));
    snprintf(place, sizeof(place), "%s: loss of output '%s'", where, graph->outputs[output].name);
    loss->arena = graph->arena;
    MB_TRY(mb_loss_parse(value, place, loss, &class_));
    MB_TRY(take_weight(graph, compiled->loss, compiled->weights, output, where, loss));
    MB_TRY(take_shapes(graph, output, place, loss));
    MB_TRY(take_mask(graph, output, place, loss));
    MB_TRY(mb_metrics_take(graph, output, compiled->metrics, false, where, loss));
    MB_TRY(mb_metrics_take(graph, output, compiled->weighted_metrics, true, where, loss));
    mb_metrics_default(class_, loss);
    return MB_OK;
}

static mb_status_t open_training_config(const json_t *training_config, const char *where,
                                        compiled_t *compiled)
{
    mb_config_t config;
    if (training_config == NULL)
        return MB_OK;
    MB_TRY(mb_config_open(&config, training_config, "%s: training_config", where));
    compiled->loss = mb_config_take(&config, "loss");
    compiled->weights = mb_config_take(&config, "loss_weights");
    compiled->metrics = mb_config_take(&config, "metrics");
    compiled->weighted_metrics = mb_config_take(&config, "weighted_metrics");
    return take_others(&config);
}

mb_status_t mb_losses_create(const mb_graph_t *graph, const json_t *training_config,
                             const char *loss_name, const char *where, mb_loss_t **out)
{
    compiled_t compiled = {0};
    json_t *named = NULL;
    mb_status_t status = MB_OK;
    mb_loss_t *losses = MB_ARENA_ARRAY(graph->arena, mb_loss_t, graph->n_outputs);
    if (losses == NULL)
        return mb_error_memory("losses", sizeof(*losses) * (size_t)graph->n_outputs);
    MB_TRY(open_training_config(training_config, where, &compiled));
    if (loss_name != NULL) {
        MB_TRY(mb_spec_parse(loss_name, "--loss", &named));
        compiled.loss = named;
    }
    if (compiled.loss == NULL || json_is_null(compiled.loss))
        status = mb_error_set(MB_ERR_ARGUMENT,
                              "%s: the model is not compiled with a loss; name one with --loss, as "
                              "in --loss sparse_categorical_crossentropy:from_logits=true",
                              where);
    for (int i = 0; i < graph->n_outputs && status == MB_OK; i++)
        status = take_output(graph, &compiled, i, where, &losses[i]);
    json_decref(named);
    if (status == MB_OK)
        status = mb_metrics_name(graph, losses);
    if (status == MB_OK)
        *out = losses;
    return status;
}
