/* Opens the models of a file into one list of nodes. Each call of a nested model opens it anew; its
 * InputLayers vanish into the tensors it is called with. */
#include "model/graph_private.h"
#include "model/layers/operators.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    mb_graph_t *graph;
    int room_entries;
} opening_t;

static mb_status_t open_model(opening_t *opening, const mb_module_t *model, const int *inputs,
                              int *outputs);

static void place_layer(mb_graph_t *graph, mb_layer_t *layer)
{
    if (layer->index >= 0)
        return;
    layer->index = graph->n_layers;
    graph->layers[graph->n_layers++] = layer;
}

/* Appends a node that takes output PART out of the tensor of node WHOLE. */
static mb_status_t add_part(mb_graph_t *graph, int whole, int part, int *out)
{
    mb_layer_t *layer = NULL;
    MB_TRY(mb_part_layer(graph->arena, graph->nodes[whole].call.layer, part, &layer));
    place_layer(graph, layer);
    *out = graph->n_nodes;
    graph->nodes[graph->n_nodes++] =
        (mb_node_t){.layer = layer->index,
                    .inputs = {whole},
                    .call = {.layer = layer, .n_inputs = 1, .part = part}};
    return MB_OK;
}

/* Appends a node and returns its index. */
static int add_node(mb_graph_t *graph, mb_module_t *module, const mb_module_call_t *call,
                    const int *inputs)
{
    mb_layer_t *layer = module->layer;
    place_layer(graph, layer);
    mb_node_t *node = &graph->nodes[graph->n_nodes];
    *node = (mb_node_t){.layer = layer->index,
                        .is_input = module->kind == MB_MODULE_INPUT,
                        .call_index = module->n_opened++};
    node->call.layer = layer;
    node->call.call_config = call->config;
    node->call.n_inputs = call->n_inputs;
    node->call.n_masks = call->n_masks;
    node->call.given = call->given;
    memcpy(node->call.masks, call->masks, sizeof(call->masks));
    if (node->is_input)
        node->call.output = module->shape;
    for (int i = 0; i < call->n_inputs; i++)
        node->inputs[i] = inputs[i];
    return graph->n_nodes++;
}

static mb_status_t add_entry(opening_t *opening, const mb_module_t *input, int tensor)
{
    mb_graph_t *graph = opening->graph;
    mb_graph_detail_t *detail = graph->detail;
    if (input->shape.rank == MB_RANK_UNKNOWN)
        return MB_OK;
    if (detail->n_entries == opening->room_entries) {
        int room = opening->room_entries * 2 + 16;
        mb_entry_t *entries = MB_ARENA_ARRAY(graph->arena, mb_entry_t, room);
        MB_ARENA_TRY(entries, "a graph's nested inputs");
        if (detail->n_entries > 0)
            memcpy(entries, detail->entries, sizeof(mb_entry_t) * (size_t)detail->n_entries);
        detail->entries = entries;
        opening->room_entries = room;
    }
    detail->entries[detail->n_entries++] =
        (mb_entry_t){.node = graph->n_nodes, .tensor = tensor, .input = input};
    return MB_OK;
}

static mb_status_t open_nested(opening_t *opening, const mb_module_t *model, const int *inputs,
                               int **outputs)
{
    for (int i = 0; i < model->n_inputs; i++) {
        const mb_module_t *input = model->members[model->calls[model->inputs[i]].member];
        MB_TRY(add_entry(opening, input, inputs[i]));
    }
    *outputs = MB_ARENA_ARRAY(opening->graph->arena, int, model->n_outputs);
    MB_ARENA_TRY(*outputs, "a nested model's outputs");
    return open_model(opening, model, inputs, *outputs);
}

/* The rules for masks say the same, which is seen to once they are known (graph_mask.c). */
static mb_status_t add_written_masks(opening_t *opening, const mb_module_t *model,
                                     const mb_module_call_t *call, const int *inputs)
{
    mb_graph_detail_t *detail = opening->graph->detail;
    int room = detail->n_written + call->n_masks;
    if (call->n_masks == 0)
        return MB_OK;
    mb_written_mask_t *written = MB_ARENA_ARRAY(opening->graph->arena, mb_written_mask_t, room);
    MB_ARENA_TRY(written, "the masks of a nested model");
    if (detail->n_written > 0)
        memcpy(written, detail->written, sizeof(*written) * (size_t)detail->n_written);
    detail->written = written;
    for (int i = 0; i < call->n_inputs - call->n_masks; i++) {
        if (call->masks[i] > 0)
            written[detail->n_written++] = (mb_written_mask_t){
                .tensor = inputs[i], .mask = inputs[call->masks[i]], .model = model};
    }
    return MB_OK;
}

/* The outputs in use of several. */
static mb_status_t open_outputs(mb_graph_t *graph, mb_module_t *member,
                                const mb_module_call_t *call, const int *inputs, int *results)
{
    bool packed = member->layer->class_->part != NULL;
    int whole = packed ? add_node(graph, member, call, inputs) : -1;
    for (int i = 0; i < MB_MAX_REFERENCES; i++) {
        if ((call->used >> i & 1) == 0)
            continue;
        if (packed)
            MB_TRY(add_part(graph, whole, i, &results[i]));
        else
            graph->nodes[results[i] = add_node(graph, member, call, inputs)].call.part = i;
    }
    return MB_OK;
}

/* RESULTS[k]: the nodes that write the outputs of call k. */
static mb_status_t open_call(opening_t *opening, const mb_module_t *model, int k, int **results)
{
    mb_graph_t *graph = opening->graph;
    const mb_module_call_t *call = &model->calls[k];
    mb_module_t *member = model->members[call->member];
    int inputs[MB_MAX_INPUTS];
    for (int i = 0; i < call->n_inputs; i++)
        inputs[i] = results[call->inputs[i].call][call->inputs[i].output];
    if (member->kind == MB_MODULE_MODEL) {
        MB_TRY(add_written_masks(opening, member, call, inputs));
        return open_nested(opening, member, inputs, &results[k]);
    }
    if (results[k] != NULL)
        return MB_OK;
    bool several = mb_module_outputs(member) != 1;
    results[k] = MB_ARENA_ARRAY(graph->arena, int, several ? MB_MAX_REFERENCES : 1);
    MB_ARENA_TRY(results[k], "a node");
    if (several)
        return open_outputs(graph, member, call, inputs, results[k]);
    *results[k] = add_node(graph, member, call, inputs);
    return MB_OK;
}

/* What inputs differ in is as good as open. */
static void keep_batch(mb_graph_t *graph, int64_t batch, int input)
{
    if (input > 0 && graph->batch != batch)
        batch = MB_OPEN;
    graph->batch = batch == MB_OPEN ? 0 : batch;
}

static mb_status_t keep_graph_inputs(mb_graph_t *graph, const mb_module_t *model, int **results)
{
    graph->inputs = MB_ARENA_ARRAY(graph->arena, int, model->n_inputs);
    graph->input_names = MB_ARENA_ARRAY(graph->arena, const char *, model->n_inputs);
    MB_ARENA_TRY(graph->inputs, "a graph's inputs");
    MB_ARENA_TRY(graph->input_names, "a graph's inputs");
    graph->n_inputs = model->n_inputs;
    for (int i = 0; i < model->n_inputs; i++) {
        const mb_module_t *input = model->members[model->calls[model->inputs[i]].member];
        graph->inputs[i] = *results[model->inputs[i]];
        graph->input_names[i] = input->name;
        keep_batch(graph, input->batch, i);
    }
    return MB_OK;
}

/* INPUTS: the nodes the model is called with; NULL for the outermost one. */
static mb_status_t open_model(opening_t *opening, const mb_module_t *model, const int *inputs,
                              int *outputs)
{
    mb_graph_t *graph = opening->graph;
    int **results = MB_ARENA_ARRAY(graph->arena, int *, model->n_calls);
    int *given = MB_ARENA_ARRAY(graph->arena, int, model->n_inputs);
    MB_ARENA_TRY(results, "a model's calls");
    MB_ARENA_TRY(given, "a model's inputs");
    for (int i = 0; inputs != NULL && i < model->n_inputs; i++) {
        given[i] = inputs[i];
        results[model->inputs[i]] = &given[i];
    }
    for (int i = 0; i < model->n_calls; i++)
        MB_TRY(open_call(opening, model, model->order[i], results));
    for (int i = 0; i < model->n_outputs; i++)
        outputs[i] = results[model->outputs[i].call][model->outputs[i].output];
    return inputs != NULL ? MB_OK : keep_graph_inputs(graph, model, results);
}

/* A nested model's outputs all have its name; a number keeps them apart, as Keras 2 does. */
static mb_status_t name_outputs(mb_graph_t *graph, const mb_module_t *model, const int *nodes)
{
    mb_names_t names;
    MB_TRY(mb_names_create(graph->arena, (size_t)model->n_outputs, &names));
    graph->outputs = MB_ARENA_ARRAY(graph->arena, mb_output_t, model->n_outputs);
    MB_ARENA_TRY(graph->outputs, "a graph's outputs");
    for (int i = 0; i < model->n_outputs; i++) {
        const mb_module_t *member = model->members[model->calls[model->outputs[i].call].member];
        if (graph->nodes[nodes[i]].is_input)
            return mb_error_set(MB_ERR_UNSUPPORTED,
                                "model '%s': its output '%s' is one of its inputs, unchanged",
                                model->name, member->name);
        const char *name = member->name;
        for (int n = 1; !mb_names_put(&names, name, i); n++) {
            name = mb_arena_format(graph->arena, "%s_%d", member->name, n);
            MB_ARENA_TRY(name, "an output's name");
        }
        graph->outputs[i] = (mb_output_t){.name = name, .node = nodes[i]};
        graph->n_outputs++;
    }
    return MB_OK;
}

mb_status_t mb_graph_link_uses(mb_graph_t *graph)
{
    size_t total = 0;
    for (int k = 0; k < graph->n_nodes; k++)
        graph->nodes[k].n_uses = 0;
    for (int k = 0; k < graph->n_nodes; k++) {
        for (int i = 0; i < graph->nodes[k].call.n_inputs; i++, total++)
            graph->nodes[graph->nodes[k].inputs[i]].n_uses++;
    }
    mb_use_t *uses = MB_ARENA_ARRAY(graph->arena, mb_use_t, total);
    MB_ARENA_TRY(uses, "a graph's uses");
    for (int k = 0; k < graph->n_nodes; k++) {
        graph->nodes[k].uses = uses;
        uses += graph->nodes[k].n_uses;
        graph->nodes[k].n_uses = 0;
    }
    for (int k = 0; k < graph->n_nodes; k++) {
        for (int i = 0; i < graph->nodes[k].call.n_inputs; i++) {
            mb_node_t *from = &graph->nodes[graph->nodes[k].inputs[i]];
            from->uses[from->n_uses++] = (mb_use_t){.node = k, .input = i};
        }
    }
    return MB_OK;
}

/* Integers that only feed arithmetic become floats, as Keras promotes them; numbers that only
 * choose rows of embeddings or stand for categories are integers, whatever the file declares (Keras
 * 2 declares them float32). */
static void choose_input_types(mb_graph_t *graph, const mb_module_t *model)
{
    for (int i = 0; i < graph->n_inputs; i++) {
        mb_node_t *node = &graph->nodes[graph->inputs[i]];
        int ids = 0, compared = 0;
        float value;
        for (int u = 0; u < node->n_uses; u++) {
            const mb_call_t *user = &graph->nodes[node->uses[u].node].call;
            ids += mb_call_roles(user).takes_ids;
            compared += user->layer->follows && mb_operator_compares(user, &value);
        }
        bool declared = model->members[model->calls[model->inputs[i]].member]->integer;
        bool integer = ids > 0 && (declared || ids + compared == node->n_uses);
        node->call.output_type = integer ? MB_I32 : MB_F32;
    }
}

mb_status_t mb_graph_open(mb_graph_t *graph)
{
    const mb_module_t *root = graph->detail->root;
    opening_t opening = {.graph = graph};
    graph->nodes = MB_ARENA_ARRAY(graph->arena, mb_node_t, root->total_nodes);
    graph->layers = MB_ARENA_ARRAY(graph->arena, mb_layer_t *, root->total_nodes);
    int *outputs = MB_ARENA_ARRAY(graph->arena, int, root->n_outputs);
    MB_ARENA_TRY(graph->nodes, "a graph's nodes");
    MB_ARENA_TRY(graph->layers, "a graph's layers");
    MB_ARENA_TRY(outputs, "a graph's outputs");
    MB_TRY(open_model(&opening, root, NULL, outputs));
    MB_TRY(name_outputs(graph, root, outputs));
    MB_TRY(mb_graph_link_uses(graph));
    choose_input_types(graph, root);
    return MB_OK;
}
