/* See model_weights.h. */
#include "engine/model_weights.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "engine/model.h"
#include "engine/model_variables.h"
#include "store/digest.h"

/* Names of weights that a message lists; the others are counted. */
enum { MOST_LISTED = 8 };

typedef struct {
    mb_model_t *model;
    const mb_weights_request_t *request;
    const mb_model_file_t *file;
    bool *taken;          /* [n_params] */
    bool *used;           /* variables of FILE */
    bool *stopped;        /* by the first variable of a group: one of it did not fit */
    const bool **used_of; /* [n_layers] weights of FILE's layers */
    int n_taken;
    int64_t elements;
} loader_t;

static mb_status_t no_memory(void)
{
    return mb_error_memory("weights of another file", 0);
}

mb_status_t mb_weights_read_way(const char *text, bool *by_name)
{
    *by_name = text != NULL && strcmp(text, "name") == 0;
    if (text == NULL || *by_name || strcmp(text, "order") == 0)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "weights-by=%s: there are name and order", text);
}

/* The tensor keeps the name that the model's own file has for the weight. */
static mb_status_t take(loader_t *l, mb_param_t *param, const mb_stored_tensor_t *tensor)
{
    mb_stored_tensor_t *copy = MB_ARENA_NEW(l->model->graph->arena, mb_stored_tensor_t);
    if (copy == NULL)
        return no_memory();
    *copy = *tensor;
    copy->name = l->model->stored[param->index]->name;
    MB_TRY(mb_model_take_stored(l->model, param, l->file, copy));
    l->taken[param->index] = true;
    l->n_taken++;
    l->elements += param->elements;
    return MB_OK;
}

static mb_status_t refuse_shape(const loader_t *l, const mb_param_t *param, const char *name,
                                const mb_stored_tensor_t *tensor)
{
    char found[MB_SHAPE_TEXT], wanted[MB_SHAPE_TEXT];
    return mb_error_set(
        MB_ERR_SHAPE,
        "%s: '%s' has shape %s, and weight '%s' of %s has %s; --skip-mismatch leaves "
        "it out",
        l->file->path, name, mb_shape_text(&tensor->shape, found, sizeof found), param->path,
        l->model->file->path, mb_shape_text(&param->shape, wanted, sizeof wanted));
}

static mb_status_t refuse_count(const loader_t *l, const char *name, int found, const char *layer,
                                int wanted)
{
    return mb_error_set(
        MB_ERR_SHAPE,
        "%s: '%s' has %d weights, and layer '%s' of %s has %d; --skip-mismatch leaves "
        "it out",
        l->file->path, name, found, layer, l->model->file->path, wanted);
}

/* Weights of layers that are paired, in order. */
static mb_status_t take_layer(loader_t *l, int file_layer, int index)
{
    const mb_graph_t *graph = l->model->graph;
    const mb_stored_layer_t *layer = &l->file->layers[file_layer];
    int count = graph->file_layer_n_params[index];
    bool *used = MB_ARENA_ARRAY(graph->arena, bool, layer->n_weights + 1);
    if (used == NULL)
        return no_memory();
    l->used_of[file_layer] = used;
    if (layer->n_weights != count)
        return l->request->skip_mismatch ? MB_OK
                                         : refuse_count(l, layer->name, layer->n_weights,
                                                        graph->file_layers[index], count);
    for (int k = 0; k < count; k++) {
        mb_param_t *param = &graph->params[graph->file_layer_params[index][k]];
        const mb_stored_tensor_t *tensor = &layer->weights[k];
        used[k] = mb_shape_equal(&param->shape, &tensor->shape);
        if (!used[k] && !l->request->skip_mismatch)
            return refuse_shape(l, param, tensor->name, tensor);
        if (used[k])
            MB_TRY(take(l, param, tensor));
    }
    return MB_OK;
}

static int next_with_weights(const mb_model_file_t *file, int from)
{
    while (from < file->n_layers && file->layers[from].n_weights == 0)
        from++;
    return from;
}

static int count_layers(const loader_t *l, bool of_file)
{
    const mb_graph_t *graph = l->model->graph;
    int count = 0, all = of_file ? l->file->n_layers : graph->n_file_layers;
    for (int i = 0; i < all; i++)
        count += (of_file ? l->file->layers[i].n_weights : graph->file_layer_n_params[i]) > 0;
    return count;
}

static mb_status_t take_by_order(loader_t *l)
{
    const mb_graph_t *graph = l->model->graph;
    int found = count_layers(l, true), wanted = count_layers(l, false), at = 0;
    if (found != wanted)
        return mb_error_set(
            MB_ERR_SHAPE,
            "%s: has %d layers with weights, and %s has %d: by order they cannot be "
            "paired; --weights-by name takes those whose names agree",
            l->file->path, found, l->model->file->path, wanted);
    for (int i = 0; i < graph->n_file_layers; i++) {
        if (graph->file_layer_n_params[i] == 0)
            continue;
        at = next_with_weights(l->file, at);
        MB_TRY(take_layer(l, at++, i));
    }
    return MB_OK;
}

static mb_status_t take_by_name(loader_t *l)
{
    const mb_graph_t *graph = l->model->graph;
    for (int k = 0; k < l->file->n_layers; k++) {
        for (int i = 0; i < graph->n_file_layers; i++) {
            if (strcmp(graph->file_layers[i], l->file->layers[k].name) == 0 &&
                (graph->file_layer_n_params[i] > 0 || l->file->layers[k].n_weights > 0))
                MB_TRY(take_layer(l, k, i));
        }
    }
    return MB_OK;
}

/* "tower/dense_1", "attention/query": what the names in a file of paths lead to. */
static const char *name_of_owner(const loader_t *l, const mb_param_t *param)
{
    const mb_layer_t *layer = l->model->graph->layers[param->layer];
    const char *slash = strrchr(param->name, '/');
    mb_arena_t *arena = l->model->graph->arena;
    if (slash == NULL)
        return layer->path;
    return mb_arena_format(arena, "%s/%.*s", layer->path, (int)(slash - param->name), param->name);
}

static int number_of(const mb_param_t *param)
{
    return atoi(strrchr(param->variable, '/') + 1);
}

static const mb_stored_variable_t *find_by_name(const loader_t *l, const mb_param_t *param)
{
    const char *name = name_of_owner(l, param);
    for (int i = 0; i < l->file->n_variables && name != NULL; i++) {
        const mb_stored_variable_t *variable = &l->file->variables[i];
        if (variable->owner != NULL && variable->number == number_of(param) &&
            mb_variables_is_weight(variable) && strcmp(variable->owner, name) == 0)
            return variable;
    }
    return NULL;
}

static bool same_group(const mb_stored_variable_t *a, const mb_stored_variable_t *b)
{
    return a->group_length == b->group_length &&
           strncmp(a->path, b->path, (size_t)a->group_length) == 0;
}

/* The variables of a group stand together; *FIRST is its first. */
static int siblings(const loader_t *l, const mb_stored_variable_t *variable, int *first)
{
    const mb_stored_variable_t *all = l->file->variables;
    int from = (int)(variable - all), to = from + 1;
    while (from > 0 && same_group(&all[from - 1], variable))
        from--;
    while (to < l->file->n_variables && same_group(&all[to], variable))
        to++;
    *first = from;
    return to - from;
}

/* Parameters whose variables lie in the same group. */
static int expected_siblings(const loader_t *l, const mb_param_t *param)
{
    const mb_graph_t *graph = l->model->graph;
    const mb_layer_t *layer = graph->layers[param->layer];
    size_t length = (size_t)(strrchr(param->variable, '/') - param->variable) + 1;
    int count = 0;
    for (int i = 0; i < layer->n_params; i++)
        count += strncmp(graph->params[layer->params[i]].variable, param->variable, length) == 0 &&
                 strchr(graph->params[layer->params[i]].variable + length, '/') == NULL;
    return count;
}

/* By order every weight must be there; by name those without a namesake stay. */
static mb_status_t take_variable(loader_t *l, mb_param_t *param)
{
    int first = 0;
    const mb_stored_variable_t *variable =
        l->request->by_name ? find_by_name(l, param)
                            : mb_variables_of_param(l->file, l->model->graph->arena, param);
    if (variable == NULL && (l->request->by_name || l->request->skip_mismatch))
        return MB_OK;
    if (variable == NULL)
        return mb_error_set(MB_ERR_SHAPE,
                            "%s: has no '%s' for weight '%s' of %s; --skip-mismatch leaves it as "
                            "it is, and --weights-by name pairs layers by their names",
                            l->file->path, param->variable, param->path, l->model->file->path);
    int found = siblings(l, variable, &first), wanted = expected_siblings(l, param);
    bool fits = mb_shape_equal(&variable->tensor.shape, &param->shape);
    if (!l->request->skip_mismatch && found != wanted)
        return refuse_count(l, variable->path, found, l->model->graph->layers[param->layer]->path,
                            wanted);
    if (!l->request->skip_mismatch && !fits)
        return refuse_shape(l, param, variable->path, &variable->tensor);
    l->stopped[first] = l->stopped[first] || found != wanted || !fits;
    if (l->stopped[first])
        return MB_OK;
    l->used[variable - l->file->variables] = true;
    return take(l, param, &variable->tensor);
}

static bool names_owners(const mb_model_file_t *file)
{
    for (int i = 0; i < file->n_variables; i++) {
        if (file->variables[i].owner != NULL)
            return true;
    }
    return false;
}

/* A layer's variables in the order of their numbers, as Keras assigns them. */
static mb_status_t take_variables(loader_t *l)
{
    mb_graph_t *graph = l->model->graph;
    if (l->request->by_name && !names_owners(l->file))
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: says no layer's name, as files before Keras 3.8 do; load it by "
                            "order",
                            l->file->path);
    for (int weights = 1; weights >= 0; weights--) {
        for (int p = 0; p < graph->n_params; p++) {
            if (graph->params[p].weight == (weights == 1))
                MB_TRY(take_variable(l, &graph->params[p]));
        }
    }
    return MB_OK;
}

static void list(mb_str_t *text, int *listed, const char *name, const mb_shape_t *shape)
{
    char found[MB_SHAPE_TEXT];
    if ((*listed)++ < MOST_LISTED)
        mb_str_addf(text, "%s '%s' %s", *listed > 1 ? "," : "", name,
                    mb_shape_text(shape, found, sizeof found));
}

static void end_list(mb_str_t *text, int listed)
{
    if (listed > MOST_LISTED)
        mb_str_addf(text, " and %d more", listed - MOST_LISTED);
}

static int list_kept(const loader_t *l, mb_str_t *text)
{
    const mb_graph_t *graph = l->model->graph;
    int listed = 0;
    for (int p = 0; p < graph->n_params; p++) {
        if (!l->taken[p])
            list(text, &listed, graph->params[p].path, &graph->params[p].shape);
    }
    end_list(text, listed);
    return listed;
}

static int list_left(const loader_t *l, mb_str_t *text)
{
    int listed = 0;
    for (int i = 0; i < l->file->n_variables; i++) {
        const mb_stored_variable_t *variable = &l->file->variables[i];
        if (!l->used[i] && mb_variables_is_weight(variable))
            list(text, &listed, variable->path, &variable->tensor.shape);
    }
    for (int i = 0; i < l->file->n_layers && l->file->n_variables == 0; i++) {
        for (int k = 0; k < l->file->layers[i].n_weights; k++) {
            if (l->used_of[i] == NULL || !l->used_of[i][k])
                list(text, &listed, l->file->layers[i].weights[k].name,
                     &l->file->layers[i].weights[k].shape);
        }
    }
    end_list(text, listed);
    return listed;
}

static void report(const loader_t *l, const mb_log_t *log)
{
    mb_str_t kept = {0}, left = {0};
    int n_kept = list_kept(l, &kept), n_left = list_left(l, &left);
    mb_log(log, MB_LOG_INFO, "%s: %d of %d weights taken, %" PRId64 " numbers", l->file->path,
           l->n_taken, l->model->graph->n_params, l->elements);
    if (n_kept > 0 && !kept.failed)
        mb_log(log, MB_LOG_INFO, "%s: %d stayed as %s has them:%s", l->file->path, n_kept,
               l->model->file->path, kept.text);
    if (n_left > 0 && !left.failed)
        mb_log(log, MB_LOG_INFO, "%s: %d are left over:%s", l->file->path, n_left, left.text);
    mb_str_free(&kept);
    mb_str_free(&left);
}

static mb_status_t load(loader_t *l, const mb_log_t *log)
{
    mb_arena_t *arena = l->model->graph->arena;
    l->taken = MB_ARENA_ARRAY(arena, bool, l->model->graph->n_params + 1);
    l->used = MB_ARENA_ARRAY(arena, bool, l->file->n_variables + 1);
    l->stopped = MB_ARENA_ARRAY(arena, bool, l->file->n_variables + 1);
    l->used_of = MB_ARENA_ARRAY(arena, const bool *, l->file->n_layers + 1);
    if (l->taken == NULL || l->used == NULL || l->stopped == NULL || l->used_of == NULL)
        return no_memory();
    if (l->file->n_variables > 0)
        MB_TRY(take_variables(l));
    else
        MB_TRY(l->request->by_name ? take_by_name(l) : take_by_order(l));
    if (l->n_taken == 0)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: no weight of it fits %s", l->file->path,
                            l->model->file->path);
    if (log != NULL)
        report(l, log);
    return MB_OK;
}

mb_status_t mb_model_take_weights(mb_model_t *model, const mb_weights_request_t *request,
                                  const mb_log_t *log)
{
    if (request == NULL || request->path == NULL)
        return MB_OK;
    mb_model_file_close(model->other);
    model->other = NULL;
    MB_TRY(mb_model_file_open(request->path, false, false, &model->other));
    loader_t loader = {.model = model, .request = request, .file = model->other};
    return load(&loader, log);
}

mb_status_t mb_model_weights_digest(const mb_model_t *model, uint64_t *digest)
{
    const mb_graph_t *graph = model->graph;
    *digest = 0;
    for (int i = 0; i < graph->n_file_layers; i++) {
        *digest = mb_digest_add_count(*digest, graph->file_layer_n_params[i]);
        for (int k = 0; k < graph->file_layer_n_params[i]; k++) {
            int p = graph->file_layer_params[i][k];
            MB_TRY(mb_digest_add_stored(model->sources[p], model->stored[p], digest));
        }
    }
    return MB_OK;
}
