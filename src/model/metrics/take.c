/* training_config's metrics to those of each output, and what logs call them. Source:
 * keras/src/trainers/compile_utils.py, CompileMetrics. */
#include <stdio.h>
#include <string.h>

#include "model/losses/compile.h"
#include "model/metrics/accuracy.h"

static mb_status_t take_metric(const mb_graph_t *graph, const json_t *value, bool weighted,
                               const char *where, mb_loss_t *loss)
{
    mb_metrics_t *metrics = &loss->metrics;
    mb_metric_t *list = MB_ARENA_ARRAY(graph->arena, mb_metric_t, metrics->n + 1);
    if (list == NULL)
        return mb_error_memory("metrics", sizeof *list * (size_t)(metrics->n + 1));
    for (int i = 0; i < metrics->n; i++)
        list[i] = metrics->list[i];
    mb_metric_t *metric = &list[metrics->n];
    metric->weighted = weighted;
    MB_TRY(mb_metric_parse(value, mb_metric_meant(value, loss), where, loss, graph->arena, metric));
    metric->masked = loss->masked && mb_metric_heeds_mask(metric);
    mb_accuracy_take(metric, loss);
    metrics->list = list;
    metrics->n++;
    metrics->states += metric->states;
    metrics->constants += metric->n_constants;
    return MB_OK;
}

/* Lists may be nested, and hold nulls: Keras 2 writes [["accuracy"]]. The parser bounds the depth.
 */
static mb_status_t take_nested(const mb_graph_t *graph, const json_t *value, bool weighted,
                               const char *where, mb_loss_t *loss)
{
    if (value == NULL || json_is_null(value))
        return MB_OK;
    if (!json_is_array(value))
        return take_metric(graph, value, weighted, where, loss);
    for (size_t i = 0; i < json_array_size(value); i++)
        MB_TRY(take_nested(graph, json_array_get(value, i), weighted, where, loss));
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

mb_status_t mb_metrics_take(const mb_graph_t *graph, int output, const json_t *value, bool weighted,
                            const char *where, mb_loss_t *loss)
{
    char place[192];
    const json_t *own = value;
    bool list = json_is_array(value) && json_array_size(value) == (size_t)graph->n_outputs;
    snprintf(place, sizeof(place), "%s: %s of output '%s'", where,
             weighted ? "weighted_metrics" : "metrics", graph->outputs[output].name);
    if (json_is_object(value) && !mb_loss_is_single(value)) {
        MB_TRY(check_names(graph, value, place));
        own = json_object_get(value, graph->outputs[output].name);
    } else if (list && graph->n_outputs > 1) {
        own = json_array_get(value, (size_t)output);
    }
    return take_nested(graph, own, weighted, place, loss);
}

/* Names given so far, before their numbers. */
typedef struct {
    mb_arena_t *arena;
    const char **bases;
    int n;
} given_t;

static int count_base(const given_t *given, const char *base)
{
    int count = 0;
    for (int i = 0; i < given->n; i++)
        count += strcmp(given->bases[i], base) == 0;
    return count;
}

static char *base_of(const given_t *given, const char *output, const char *prefix, const char *name)
{
    return mb_arena_format(given->arena, "%s%s%s%s", output == NULL ? "" : output,
                           output == NULL ? "" : "_", prefix, name);
}

/* A name that stands already gets a number; a weighted metric's says first that it is weighted. */
static mb_status_t give_name(given_t *given, const char *output, mb_metric_t *metric)
{
    char *base = base_of(given, output, "", metric->name);
    if (base != NULL && metric->weighted && count_base(given, base) > 0)
        base = base_of(given, output, "weighted_", metric->name);
    if (base == NULL)
        return mb_error_memory("a metric's name", strlen(metric->name));
    int count = count_base(given, base);
    metric->key = count == 0 ? base : mb_arena_format(given->arena, "%s_%d", base, count);
    given->bases[given->n++] = base;
    return metric->key == NULL ? mb_error_memory("a metric's name", strlen(base)) : MB_OK;
}

static mb_status_t name_output(given_t *given, const char *output, bool weighted, mb_loss_t *loss)
{
    for (int i = 0; i < loss->metrics.n; i++) {
        if (loss->metrics.list[i].weighted == weighted)
            MB_TRY(give_name(given, output, &loss->metrics.list[i]));
    }
    return MB_OK;
}

mb_status_t mb_metrics_name(const mb_graph_t *graph, mb_loss_t *losses)
{
    int n = 0, outputs = graph->n_outputs;
    for (int o = 0; o < outputs; o++)
        n += losses[o].metrics.n;
    given_t given = {.arena = graph->arena, .bases = MB_ARENA_ARRAY(graph->arena, const char *, n)};
    if (given.bases == NULL)
        return mb_error_memory("the names of metrics", sizeof *given.bases * (size_t)n);
    for (int i = 0; i < 2 * outputs; i++) {
        int o = i % outputs;
        const char *output = outputs > 1 ? graph->outputs[o].name : NULL;
        MB_TRY(name_output(&given, output, i >= outputs, &losses[o]));
    }
    return MB_OK;
}
