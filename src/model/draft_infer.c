/* What a call gives: a model of this call alone is bound and asked. */
#include "model/draft_private.h"

#include <stdio.h>
#include <stdlib.h>

/* An open size is tried as two: what differs in the output follows from it. No window or stride
 * makes both the same. */
enum { OPEN_ONE = 64, OPEN_OTHER = 128 };

static mb_shape_t closed(const mb_shape_t *shape, int64_t size)
{
    mb_shape_t out = *shape;
    for (int i = 0; i < out.rank; i++)
        out.dim[i] = out.dim[i] == MB_OPEN ? size : out.dim[i];
    return out;
}

/* The inputs of the call as inputs of a model, one for each place; a layer cannot have such names.
 */
static mb_status_t take_places(const mb_draft_t *draft, const mb_draft_call_t *call, int64_t size,
                               mb_draft_tensor_t *places, json_t *model)
{
    json_t *config = json_object_get(model, "config");
    for (int i = 0; i < call->n_inputs; i++) {
        places[i] = draft->tensors[call->inputs[i]];
        places[i].name = places[i].layer = mb_arena_format(draft->arena, "input:%d", i);
        places[i].call = 0;
        places[i].shape = closed(&places[i].shape, size);
        json_t *layer = mb_draft_input_layer(&places[i]);
        json_t *entry = json_pack("[sii]", places[i].name, 0, 0);
        if (json_array_append_new(json_object_get(config, "layers"), layer) != 0 ||
            json_array_append_new(json_object_get(config, "input_layers"), entry) != 0)
            return mb_error_memory("a layer's inputs", 0);
    }
    return MB_OK;
}

static mb_status_t add_call(const json_t *layer, const mb_draft_call_t *call,
                            const mb_draft_tensor_t *places, json_t *model)
{
    mb_draft_call_t here = *call;
    for (int i = 0; i < here.n_inputs; i++)
        here.inputs[i] = i;
    json_t *config = json_object_get(model, "config");
    json_t *alone =
        json_pack("{s:O, s:O, s:O, s:[o]}", "class_name", json_object_get(layer, "class_name"),
                  "config", json_object_get(layer, "config"), "name",
                  json_object_get(layer, "name"), "inbound_nodes", mb_draft_node(places, &here));
    json_t *output = json_pack("[Oii]", json_object_get(layer, "name"), 0, 0);
    if (json_array_append_new(json_object_get(config, "layers"), alone) != 0 ||
        json_array_append_new(json_object_get(config, "output_layers"), output) != 0)
        return mb_error_memory("a layer's call", 0);
    return MB_OK;
}

static mb_status_t ask(const mb_draft_t *draft, const json_t *model, mb_draft_tensor_t *out)
{
    char where[160];
    mb_graph_t *graph = NULL;
    snprintf(where, sizeof where, "model '%s'", draft->name);
    char *text = json_dumps(model, JSON_REAL_PRECISION(17));
    mb_status_t status = text == NULL ? mb_error_memory("a layer's config", 0)
                                      : mb_graph_create(text, where, &graph);
    if (status == MB_OK)
        status = mb_graph_bind(graph, NULL);
    if (status == MB_OK) {
        const mb_call_t *call = &graph->nodes[graph->outputs[0].node].call;
        out->shape = call->output;
        out->dtype = mb_dtype_name(call->output_type);
    }
    mb_graph_destroy(graph);
    free(text);
    return status;
}

static mb_status_t infer_with(const mb_draft_t *draft, const json_t *layer,
                              const mb_draft_call_t *call, int64_t size, mb_draft_tensor_t *out)
{
    mb_draft_tensor_t places[MB_MAX_INPUTS];
    json_t *model =
        json_pack("{s:s, s:{s:s, s:b, s:[], s:[], s:[]}}", "class_name", "Functional", "config",
                  "name", draft->name, "trainable", 1, "layers", "input_layers", "output_layers");
    mb_status_t status = model == NULL ? mb_error_memory("a layer's call", 0) : MB_OK;
    if (status == MB_OK)
        status = take_places(draft, call, size, places, model);
    if (status == MB_OK)
        status = add_call(layer, call, places, model);
    if (status == MB_OK)
        status = ask(draft, model, out);
    json_decref(model);
    return status;
}

static bool any_open(const mb_draft_t *draft, const mb_draft_call_t *call)
{
    bool open = false;
    for (int i = 0; i < call->n_inputs; i++)
        open = open || mb_shape_is_open(&draft->tensors[call->inputs[i]].shape);
    return open;
}

mb_status_t mb_draft_infer(const mb_draft_t *draft, const json_t *layer,
                           const mb_draft_call_t *call, mb_draft_tensor_t *out)
{
    mb_draft_tensor_t other = *out;
    MB_TRY(infer_with(draft, layer, call, OPEN_ONE, out));
    if (!any_open(draft, call))
        return MB_OK;
    MB_TRY(infer_with(draft, layer, call, OPEN_OTHER, &other));
    for (int i = 0; i < out->shape.rank && i < other.shape.rank; i++) {
        if (out->shape.dim[i] != other.shape.dim[i])
            out->shape.dim[i] = MB_OPEN;
    }
    return MB_OK;
}
