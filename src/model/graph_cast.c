/* Where a call computes in another float type than a tensor it takes, a node of its own stands
 * between: one behind the tensor for each type that is asked for. Inputs of the model are float32
 * as the data is, so a graph that computes in bfloat16 begins with such nodes. Integers pass
 * unchanged, and so does what a call takes as it is given. */
#include "model/graph_private.h"

#include <string.h>

static mb_status_t infer(mb_call_t *call)
{
    call->output = call->inputs[0];
    call->output_type =
        mb_dtype_is_float(call->input_types[0]) ? call->layer->type : call->input_types[0];
    return MB_OK;
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    (void)call, (void)samples;
    *out = (mb_memory_t){0};
}

static mb_status_t convert(const mb_run_t *run, mb_dtype_t from, const void *x, mb_dtype_t to,
                           void *y)
{
    mb_convert_args_t args = {.type = to,
                              .from = from,
                              .count = run->samples * mb_shape_elements(&run->call->output),
                              .x = x,
                              .y = y};
    return mb_run_convert(run->exec, &args);
}

static mb_status_t forward(const mb_run_t *run)
{
    const mb_call_t *call = run->call;
    return convert(run, call->input_types[0], run->inputs[0], call->output_type, run->output);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    const mb_call_t *call = run->call;
    void *dx = run->grad_inputs == NULL ? NULL : run->grad_inputs[0];
    if (dx == NULL && !run->exec->planning)
        return MB_OK;
    return convert(run, call->output_type, run->grad_output, call->input_types[0], dx);
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double traffic = 2.0 * (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){traffic, traffic, 0.0};
}

static const mb_layer_class_t cast_class = {.size = sizeof(mb_layer_class_t),
                                            .name = "Cast",
                                            .infer = infer,
                                            .memory = memory,
                                            .forward = forward,
                                            .backward_input = backward_input,
                                            .cost = cost};

static bool is_mixed(const mb_graph_t *graph)
{
    bool mixed = false;
    for (int i = 0; i < graph->n_layers; i++)
        mixed = mixed || graph->layers[i]->type != MB_F32;
    return mixed;
}

void mb_graph_compute_in(mb_graph_t *graph, mb_dtype_t type)
{
    bool keep = is_mixed(graph);
    for (int i = 0; i < graph->n_layers; i++) {
        if (!keep || graph->layers[i]->type != MB_F32)
            graph->layers[i]->type = type;
    }
}

typedef struct {
    mb_graph_t *graph;
    const mb_node_t *old;
    int n_old;
    mb_dtype_t *types; /* [n_old] of each tensor */
    int *places;       /* [n_old] new indices */
    int (*casts)[MB_DTYPE_COUNT];
} insertion_t;

mb_roles_t mb_call_roles(const mb_call_t *call)
{
    mb_roles_t roles = {.type = call->layer->type};
    if (call->layer->class_->roles != NULL)
        call->layer->class_->roles(call, &roles);
    roles.as_given = roles.as_given || roles.takes_ids;
    return roles;
}

/* Calls on integers alone pass them on, unless these stand for something. */
static mb_dtype_t type_of(const insertion_t *in, const mb_node_t *node)
{
    if (node->is_input)
        return node->call.output_type;
    mb_roles_t roles = mb_call_roles(&node->call);
    bool integer = !roles.takes_ids;
    for (int i = 0; i < node->call.n_inputs; i++)
        integer = integer && !mb_dtype_is_float(in->types[node->inputs[i]]);
    if (roles.gives_ids)
        return MB_I32;
    return integer ? in->types[node->inputs[0]] : roles.type;
}

/* float32 beside anything narrow; two different narrow types meet there too. */
static void follow_inputs(insertion_t *in, const mb_node_t *node)
{
    mb_layer_t *layer = in->graph->layers[node->layer];
    bool first = true;
    for (int i = 0; layer->follows && i < node->call.n_inputs; i++) {
        mb_dtype_t type = in->types[node->inputs[i]];
        if (!mb_dtype_is_float(type))
            continue;
        layer->type = first || layer->type == type ? type : MB_F32;
        first = false;
    }
}

static bool needs_cast(const insertion_t *in, const mb_node_t *node, int input)
{
    mb_dtype_t type = in->types[node->inputs[input]];
    if (node->is_input || !mb_dtype_is_float(type))
        return false;
    mb_roles_t roles = mb_call_roles(&node->call);
    return !roles.as_given && type != roles.type;
}

static mb_status_t new_cast(insertion_t *in, int tensor, mb_dtype_t type)
{
    mb_graph_t *graph = in->graph;
    const mb_layer_t *of = in->old[tensor].call.layer;
    mb_layer_t *layer = MB_ARENA_NEW(graph->arena, mb_layer_t);
    MB_ARENA_TRY(layer, "a change of type");
    *layer = (mb_layer_t){
        .class_ = &cast_class, .type = type, .implied = true, .index = graph->n_layers};
    layer->path = mb_arena_format(graph->arena, "%s as %s", of->path, mb_dtype_name(type));
    MB_ARENA_TRY(layer->path, "a change of type");
    layer->name = layer->path;
    graph->layers[graph->n_layers++] = layer;
    in->casts[tensor][type] = graph->n_nodes;
    graph->nodes[graph->n_nodes++] = (mb_node_t){.layer = layer->index,
                                                 .inputs = {in->places[tensor]},
                                                 .call = {.layer = layer, .n_inputs = 1}};
    return MB_OK;
}

/* In the order of the calls that ask. */
static mb_status_t add_casts(insertion_t *in, int tensor)
{
    for (int u = 0; u < in->old[tensor].n_uses; u++) {
        const mb_node_t *user = &in->old[in->old[tensor].uses[u].node];
        mb_dtype_t type = mb_call_roles(&user->call).type;
        if (needs_cast(in, user, in->old[tensor].uses[u].input) && in->casts[tensor][type] < 0)
            MB_TRY(new_cast(in, tensor, type));
    }
    return MB_OK;
}

static mb_status_t copy_nodes(insertion_t *in)
{
    for (int k = 0; k < in->n_old; k++) {
        mb_node_t node = in->old[k];
        for (int i = 0; i < node.call.n_inputs; i++) {
            int tensor = node.inputs[i];
            node.inputs[i] = needs_cast(in, &in->old[k], i)
                                 ? in->casts[tensor][mb_call_roles(&node.call).type]
                                 : in->places[tensor];
        }
        in->places[k] = in->graph->n_nodes;
        in->graph->nodes[in->graph->n_nodes++] = node;
        MB_TRY(add_casts(in, k));
    }
    return MB_OK;
}

static void move_references(const insertion_t *in)
{
    mb_graph_t *graph = in->graph;
    mb_graph_detail_t *detail = graph->detail;
    for (int i = 0; i < graph->n_inputs; i++)
        graph->inputs[i] = in->places[graph->inputs[i]];
    for (int i = 0; i < graph->n_outputs; i++)
        graph->outputs[i].node = in->places[graph->outputs[i].node];
    for (int i = 0; i < detail->n_entries; i++) {
        mb_entry_t *entry = &detail->entries[i];
        entry->tensor = in->places[entry->tensor];
        entry->node = entry->node < in->n_old ? in->places[entry->node] : graph->n_nodes;
    }
}

/* At most one for each use. */
static mb_status_t prepare(insertion_t *in, int *n_casts)
{
    mb_graph_t *graph = in->graph;
    *n_casts = 0;
    in->old = graph->nodes;
    in->n_old = graph->n_nodes;
    in->types = MB_ARENA_ARRAY(graph->arena, mb_dtype_t, graph->n_nodes);
    MB_ARENA_TRY(in->types, "the types of tensors");
    for (int k = 0; k < in->n_old; k++) {
        follow_inputs(in, &in->old[k]);
        in->types[k] = type_of(in, &in->old[k]);
        for (int i = 0; i < in->old[k].call.n_inputs; i++)
            *n_casts += needs_cast(in, &in->old[k], i);
    }
    return MB_OK;
}

static mb_status_t make_room(insertion_t *in, int n_casts)
{
    mb_graph_t *graph = in->graph;
    mb_layer_t **layers = MB_ARENA_ARRAY(graph->arena, mb_layer_t *, graph->n_layers + n_casts);
    in->places = MB_ARENA_ARRAY(graph->arena, int, in->n_old);
    in->casts = mb_arena_alloc(graph->arena, (size_t)in->n_old * sizeof *in->casts);
    graph->nodes = MB_ARENA_ARRAY(graph->arena, mb_node_t, in->n_old + n_casts);
    if (layers == NULL || in->places == NULL || in->casts == NULL || graph->nodes == NULL)
        return mb_error_memory("changes of type", 0);
    memcpy(layers, graph->layers, (size_t)graph->n_layers * sizeof(mb_layer_t *));
    memset(in->casts, -1, (size_t)in->n_old * sizeof *in->casts);
    graph->layers = layers;
    graph->n_nodes = 0;
    return MB_OK;
}

mb_status_t mb_graph_insert_casts(mb_graph_t *graph)
{
    insertion_t in = {.graph = graph};
    int n_casts;
    MB_TRY(prepare(&in, &n_casts));
    if (n_casts == 0)
        return MB_OK;
    MB_TRY(make_room(&in, n_casts));
    MB_TRY(copy_nodes(&in));
    move_references(&in);
    return mb_graph_link_uses(graph);
}
