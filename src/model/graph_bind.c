/* Sizes: the data's shapes enter at the inputs, and each node's shape follows from those before it.
 * Then the parameters exist, and with them where gradients flow. */
#include "model/graph_private.h"

#include <stdio.h>
#include <string.h>

static mb_status_t check_size(const mb_node_t *node)
{
    const mb_shape_t *shape = &node->call.output;
    int64_t elements = 1;
    bool fits = shape->rank >= 0 && shape->rank <= MB_MAX_RANK;
    for (int i = 0; fits && i < shape->rank; i++)
        fits = shape->dim[i] >= 1 && !__builtin_mul_overflow(elements, shape->dim[i], &elements) &&
               elements <= MB_MAX_ELEMENTS;
    if (fits)
        return MB_OK;
    char text[MB_SHAPE_TEXT];
    const mb_layer_t *layer = node->call.layer;
    return mb_error_set(MB_ERR_SHAPE,
                        "layer '%s' (%s) gives %s a sample: every dimension must be at least 1 and "
                        "their product at most 2^48",
                        layer->path, layer->class_->name, mb_shape_text(shape, text, sizeof(text)));
}

/* True when DATA can stand for MODEL: the same up to open dimensions, or but for a last 1. */
static bool shape_fits(const mb_shape_t *model, const mb_shape_t *data)
{
    int common = model->rank < data->rank ? model->rank : data->rank;
    int longest = model->rank < data->rank ? data->rank : model->rank;
    const mb_shape_t *longer = model->rank < data->rank ? data : model;
    if (longest > common + 1 || (longest > common && longer->dim[common] != 1))
        return false;
    for (int i = 0; i < common; i++) {
        if (model->dim[i] != MB_OPEN && model->dim[i] != data->dim[i])
            return false;
    }
    return true;
}

static mb_status_t refuse_data(const char *name, const mb_shape_t *model, const mb_shape_t *data)
{
    char wanted[MB_SHAPE_TEXT], found[MB_SHAPE_TEXT];
    return mb_error_set(
        MB_ERR_SHAPE, "input '%s': the model takes samples of shape %s, the data has %s", name,
        mb_shape_text(model, wanted, sizeof(wanted)), mb_shape_text(data, found, sizeof(found)));
}

static mb_status_t refuse_open(const char *name, const mb_shape_t *model)
{
    char text[MB_SHAPE_TEXT];
    bool unknown = model->rank == MB_RANK_UNKNOWN;
    return mb_error_set(MB_ERR_SHAPE,
                        "input '%s': the model leaves its shape open%s%s; name the data that it "
                        "shall take its size from",
                        name, unknown ? "" : ": ",
                        unknown ? "" : mb_shape_text(model, text, sizeof(text)));
}

static mb_status_t fix_inputs(mb_graph_t *graph, const mb_shape_t *input_shapes)
{
    for (int i = 0; i < graph->n_inputs; i++) {
        mb_node_t *node = &graph->nodes[graph->inputs[i]];
        mb_shape_t *model = &node->call.output;
        const mb_shape_t *data = input_shapes == NULL ? NULL : &input_shapes[i];
        bool unknown = model->rank == MB_RANK_UNKNOWN;
        if (data != NULL && !unknown && !shape_fits(model, data))
            return refuse_data(graph->input_names[i], model, data);
        if (data != NULL && unknown)
            *model = *data;
        for (int d = 0; data != NULL && d < model->rank && d < data->rank; d++)
            model->dim[d] = data->dim[d];
        if (model->rank > 0 && model->dim[model->rank - 1] == MB_OPEN && data != NULL)
            model->dim[model->rank - 1] = 1;
        if (model->rank == MB_RANK_UNKNOWN || mb_shape_is_open(model))
            return refuse_open(graph->input_names[i], model);
        MB_TRY(check_size(node));
    }
    return MB_OK;
}

/* Messages of layer classes may leave out which layer they mean. */
static mb_status_t name_layer(mb_status_t status, const mb_layer_t *layer)
{
    char quoted[192];
    snprintf(quoted, sizeof(quoted), "layer '%.160s'", layer->path);
    if (status == MB_OK || strstr(mb_error_get(), quoted) != NULL)
        return status;
    snprintf(quoted, sizeof(quoted), "layer '%.160s'", layer->name);
    if (strstr(mb_error_get(), quoted) != NULL)
        return status;
    return mb_error_prefix(status, "layer '%s' (%s): ", layer->path, layer->class_->name);
}

static mb_status_t declare(mb_graph_t *graph, mb_layer_t *layer, const mb_call_t *call)
{
    const mb_layer_class_t *class_ = layer->class_;
    if (layer->built)
        return class_->check == NULL ? MB_OK : name_layer(class_->check(call), layer);
    layer->built = true;
    mb_param_list_t list = {
        .arena = graph->arena, .layer = layer, .specs = &graph->detail->specs[layer->index]};
    return class_->declare == NULL ? MB_OK : name_layer(class_->declare(call, &list), layer);
}

/* An InputLayer of a nested model is a promise about the tensor it is called with. */
static mb_status_t check_entry(const mb_graph_t *graph, const mb_entry_t *entry)
{
    const mb_call_t *from = &graph->nodes[entry->tensor].call;
    const mb_shape_t *wanted = &entry->input->shape;
    bool fits = wanted->rank == from->output.rank;
    for (int i = 0; fits && i < wanted->rank; i++)
        fits = wanted->dim[i] == MB_OPEN || wanted->dim[i] == from->output.dim[i];
    if (fits)
        return MB_OK;
    char a[MB_SHAPE_TEXT], b[MB_SHAPE_TEXT];
    return mb_error_set(
        MB_ERR_SHAPE, "model '%s': its input '%s' takes %s, but layer '%s' gives it %s",
        entry->input->parent->path, entry->input->name, mb_shape_text(wanted, a, sizeof(a)),
        from->layer->path, mb_shape_text(&from->output, b, sizeof(b)));
}

static mb_status_t infer_node(mb_graph_t *graph, mb_node_t *node)
{
    mb_call_t *call = &node->call;
    mb_layer_t *layer = graph->layers[node->layer];
    if (node->is_input)
        return MB_OK;
    for (int i = 0; i < call->n_inputs; i++) {
        call->inputs[i] = graph->nodes[node->inputs[i]].call.output;
        call->input_types[i] = graph->nodes[node->inputs[i]].call.output_type;
    }
    if (mb_part_is(layer))
        mb_part_place(call, &graph->nodes[node->inputs[0]].call);
    MB_TRY(name_layer(layer->class_->infer(call), layer));
    if (mb_dtype_is_float(call->output_type))
        call->output_type = mb_call_roles(call).type;
    MB_TRY(check_size(node));
    return declare(graph, layer, call);
}

static mb_status_t infer_all(mb_graph_t *graph)
{
    const mb_graph_detail_t *detail = graph->detail;
    int entry = 0;
    for (int k = 0; k < graph->n_nodes; k++) {
        for (; entry < detail->n_entries && detail->entries[entry].node <= k; entry++)
            MB_TRY(check_entry(graph, &detail->entries[entry]));
        MB_TRY(infer_node(graph, &graph->nodes[k]));
    }
    return MB_OK;
}

static bool passes_gradient(const mb_call_t *call, int input)
{
    const mb_layer_class_t *class_ = call->layer->class_;
    if (!mb_dtype_is_float(call->input_types[input]) || input >= call->n_inputs - call->n_masks)
        return false;
    return class_->differentiable == NULL || class_->differentiable(call, input);
}

/* Forwards: what is downstream of a trainable parameter. Backwards: what an output depends on. */
static mb_status_t mark_gradients(mb_graph_t *graph)
{
    bool *alive = MB_ARENA_ARRAY(graph->arena, bool, graph->n_nodes);
    MB_ARENA_TRY(alive, "a graph's gradients");
    for (int i = 0; i < graph->n_outputs; i++)
        alive[graph->outputs[i].node] = true;
    for (int k = graph->n_nodes - 1; k >= 0; k--) {
        for (int u = 0; u < graph->nodes[k].n_uses; u++)
            alive[k] = alive[k] || alive[graph->nodes[k].uses[u].node];
    }
    for (int k = 0; k < graph->n_nodes; k++) {
        mb_node_t *node = &graph->nodes[k];
        const mb_layer_t *layer = graph->layers[node->layer];
        for (int i = 0; i < layer->n_params; i++)
            node->trains = node->trains || graph->params[layer->params[i]].trainable;
        node->trains = node->trains && alive[k];
        node->needs_gradient = node->trains;
        for (int i = 0; i < node->call.n_inputs; i++)
            node->needs_gradient =
                node->needs_gradient || (alive[k] && graph->nodes[node->inputs[i]].needs_gradient &&
                                         passes_gradient(&node->call, i));
    }
    return MB_OK;
}

static mb_status_t bind(mb_graph_t *graph, const mb_shape_t *input_shapes)
{
    mb_graph_detail_t *detail = graph->detail;
    if (detail->bound)
        return mb_error_set(MB_ERR_INTERNAL, "the graph is bound already");
    detail->bound = true;
    MB_TRY(mb_graph_insert_masks(graph));
    MB_TRY(mb_graph_insert_casts(graph));
    detail->specs = MB_ARENA_ARRAY(graph->arena, mb_layer_specs_t, graph->n_layers);
    MB_ARENA_TRY(detail->specs, "a graph's parameters");
    MB_TRY(fix_inputs(graph, input_shapes));
    MB_TRY(infer_all(graph));
    mb_graph_size_masks(graph);
    MB_TRY(mb_graph_check_ids(graph));
    MB_TRY(mb_graph_check_states(graph));
    MB_TRY(mb_graph_order_params(graph));
    return mark_gradients(graph);
}

mb_status_t mb_graph_bind(mb_graph_t *graph, const mb_shape_t *input_shapes)
{
    mb_status_t status = bind(graph, input_shapes);
    return status == MB_OK ? MB_OK : mb_error_prefix(status, "%s: ", graph->detail->where);
}
