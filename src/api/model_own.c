/* See model_own.h. */
#include "api/model_own.h"

#include <stdlib.h>
#include <string.h>

/* An open size where only weights are wanted, which do not depend on it. */
enum { STAND_IN = 64 };

mb_status_t mb_api_own_create(mb_model_own_t **out)
{
    mb_model_own_t *own = calloc(1, sizeof *own);
    if (own == NULL)
        return mb_error_memory("a model", sizeof *own);
    *out = own;
    return MB_OK;
}

void mb_api_own_forget(mb_model_own_t *own)
{
    mb_graph_destroy(own->graph);
    mb_graph_destroy(own->sized);
    own->graph = own->sized = NULL;
}

void mb_api_own_destroy(mb_model_own_t *own)
{
    if (own == NULL)
        return;
    mb_api_own_forget(own);
    mb_model_close(own->bound);
    mb_draft_destroy(own->draft);
    for (int i = 0; i < MB_COMPILE_COUNT; i++)
        free(own->texts[i]);
    for (int i = 0; i < own->n_values; i++) {
        free(own->values[i].path);
        free(own->values[i].values);
    }
    free(own->values);
    mb_str_free(&own->summary);
    free(own);
}

const char *mb_api_model_name(const mb_model_t *model)
{
    return model->file != NULL ? model->file->path : mb_draft_name(model->own->draft);
}

int mb_api_open_input(const mb_graph_t *graph)
{
    for (int i = 0; i < graph->n_inputs; i++) {
        const mb_shape_t *shape = &graph->nodes[graph->inputs[i]].call.output;
        if (shape->rank < 0 || mb_shape_is_open(shape))
            return i;
    }
    return -1;
}

static mb_status_t make_graph(const mb_model_own_t *own, mb_graph_t **out)
{
    json_t *config = NULL;
    MB_TRY(mb_draft_config(own->draft, &config));
    char *text = json_dumps(config, JSON_REAL_PRECISION(17));
    json_decref(config);
    if (text == NULL)
        return mb_error_memory("a model's config", 0);
    mb_status_t status = mb_graph_create(text, mb_draft_name(own->draft), out);
    free(text);
    return status;
}

static mb_status_t make_bound(const mb_model_own_t *own, mb_graph_t **out)
{
    mb_graph_t *graph = NULL;
    MB_TRY(make_graph(own, &graph));
    mb_status_t status = mb_api_open_input(graph) >= 0 ? MB_OK : mb_graph_bind(graph, NULL);
    if (status == MB_OK)
        *out = graph;
    else
        mb_graph_destroy(graph);
    return status;
}

mb_status_t mb_api_model_graph(const mb_model_t *model, const mb_graph_t **out)
{
    mb_model_own_t *own = model->own;
    if (own->draft == NULL) {
        *out = model->graph;
        return MB_OK;
    }
    if (own->graph == NULL) {
        mb_api_kept_t kept = mb_api_enter();
        mb_status_t status = make_bound(own, &own->graph);
        mb_api_leave(&kept);
        MB_TRY(status);
    }
    *out = own->graph;
    return MB_OK;
}

/* ---- weights */

static mb_status_t bind_stand_ins(mb_graph_t *graph)
{
    mb_shape_t shapes[MB_MAX_INPUTS];
    for (int i = 0; i < graph->n_inputs && i < MB_MAX_INPUTS; i++) {
        shapes[i] = graph->nodes[graph->inputs[i]].call.output;
        for (int d = 0; d < shapes[i].rank; d++)
            shapes[i].dim[d] = shapes[i].dim[d] == MB_OPEN ? STAND_IN : shapes[i].dim[d];
    }
    return mb_graph_bind(graph, shapes);
}

static mb_status_t size_draft(mb_model_own_t *own)
{
    mb_graph_t *graph = NULL;
    MB_TRY(make_graph(own, &graph));
    mb_status_t status = bind_stand_ins(graph);
    if (status == MB_OK)
        own->sized = graph;
    else
        mb_graph_destroy(graph);
    return status;
}

static mb_status_t bind_file(const mb_model_t *model)
{
    mb_model_t *bound = NULL;
    MB_TRY(mb_model_open_file(model->file, &bound));
    mb_status_t status = mb_model_bind_without_data(bound);
    if (status == MB_OK)
        model->own->bound = bound;
    else
        mb_model_close(bound);
    return status;
}

static mb_status_t find_weights(const mb_model_t *model, const mb_graph_t *graph,
                                mb_api_weights_t *out)
{
    mb_model_own_t *own = model->own;
    bool open = mb_api_open_input(graph) >= 0;
    *out = (mb_api_weights_t){.graph = graph, .own = own};
    if (own->draft != NULL) {
        if (open && own->sized == NULL)
            MB_TRY(size_draft(own));
        out->graph = open ? own->sized : graph;
        return MB_OK;
    }
    if (open && own->bound == NULL)
        MB_TRY(bind_file(model));
    out->file = open ? own->bound : model;
    out->graph = out->file->graph;
    return MB_OK;
}

mb_status_t mb_api_model_weights(const mb_model_t *model, mb_api_weights_t *out)
{
    const mb_graph_t *graph;
    MB_TRY(mb_api_model_graph(model, &graph));
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = find_weights(model, graph, out);
    mb_api_leave(&kept);
    return status;
}

/* Values that were set for a weight that a later layer has changed the shape of are refused. */
mb_status_t mb_api_weight_values(void *user, const mb_param_t *param, float *values)
{
    const mb_api_weights_t *weights = user;
    const mb_model_own_t *own = weights->own;
    for (int i = 0; i < own->n_values; i++) {
        if (strcmp(own->values[i].path, param->path) != 0)
            continue;
        if (own->values[i].count != param->elements)
            return mb_error_set(MB_ERR_SHAPE,
                                "weight '%s' has %lld numbers, and %lld were set before the model "
                                "was changed; set it again",
                                param->path, (long long)param->elements,
                                (long long)own->values[i].count);
        memcpy(values, own->values[i].values, (size_t)param->elements * sizeof *values);
        return MB_OK;
    }
    if (weights->file == NULL)
        return mb_param_initialize(param, own->seed, values);
    return mb_stored_tensor_read(weights->file->sources[param->index],
                                 weights->file->stored[param->index], values);
}
