/* Where a call computes in another float type than a tensor it takes, a node of its own stands
 * between: one behind the tensor for each type that is asked for. Inputs of the model are float32
 * as the data is, so a graph that computes in bfloat16 begins with such nodes. Integers pass
 * unchanged, and so does what a call takes as it is given. */
#include "model/graph_insert.h"
#include "model/layers/layers.h"

#include <string.h>

static mb_status_t infer(mb_call_t *call)
{
    call->output = call->inputs[0];
    call->output_type = call->layer->type;
    return MB_OK;
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    (void)call, (void)samples;
    *out = (mb_memory_t){0};
}

static mb_status_t forward(const mb_run_t *run)
{
    const mb_call_t *call = run->call;
    return mb_run_cast(run, call->input_types[0], run->inputs[0], call->output_type, run->output);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    const mb_call_t *call = run->call;
    void *dx = run->grad_inputs == NULL ? NULL : run->grad_inputs[0];
    if (dx == NULL && !run->exec->planning)
        return MB_OK;
    return mb_run_cast(run, call->output_type, run->grad_output, call->input_types[0], dx);
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
    mb_insertion_t in;
    mb_dtype_t *types; /* [n_old] of each tensor */
    int (*casts)[MB_DTYPE_COUNT];
} casting_t;

mb_roles_t mb_call_roles(const mb_call_t *call)
{
    mb_roles_t roles = {.type = call->layer->type};
    if (call->layer->class_->roles != NULL)
        call->layer->class_->roles(call, &roles);
    roles.as_given = roles.as_given || roles.takes_ids;
    return roles;
}

/* Calls on integers alone pass them on, unless these stand for something or become floats. */
static mb_dtype_t type_of(const casting_t *c, const mb_node_t *node)
{
    if (node->is_input)
        return node->call.output_type;
    mb_roles_t roles = mb_call_roles(&node->call);
    bool integer = !roles.takes_ids && !roles.takes_floats;
    for (int i = 0; i < node->call.n_inputs; i++)
        integer = integer && !mb_dtype_is_float(c->types[node->inputs[i]]);
    if (roles.gives_ids)
        return MB_I32;
    return integer ? c->types[node->inputs[0]] : roles.type;
}

/* float32 beside anything narrow; two different narrow types meet there too. */
static void follow_inputs(casting_t *c, const mb_node_t *node)
{
    mb_layer_t *layer = node->is_input ? NULL : c->in.graph->layers[node->layer];
    bool first = true;
    for (int i = 0; layer != NULL && layer->follows && i < node->call.n_inputs; i++) {
        mb_dtype_t type = c->types[node->inputs[i]];
        if (!mb_dtype_is_float(type))
            continue;
        layer->type = first || layer->type == type ? type : MB_F32;
        first = false;
    }
}

static bool needs_cast(const casting_t *c, const mb_node_t *node, int input)
{
    mb_dtype_t type = c->types[node->inputs[input]];
    if (node->is_input)
        return false;
    mb_roles_t roles = mb_call_roles(&node->call);
    if (!mb_dtype_is_float(type))
        return roles.takes_floats;
    return !roles.as_given && type != roles.type;
}

static mb_status_t new_cast(casting_t *c, int tensor, mb_dtype_t type)
{
    mb_graph_t *graph = c->in.graph;
    const mb_layer_t *of = c->in.old[tensor].call.layer;
    mb_layer_t *layer = MB_ARENA_NEW(graph->arena, mb_layer_t);
    MB_ARENA_TRY(layer, "a change of type");
    *layer = (mb_layer_t){.class_ = &cast_class, .type = type, .implied = true};
    layer->path = mb_arena_format(graph->arena, "%s as %s", of->path, mb_dtype_name(type));
    MB_ARENA_TRY(layer->path, "a change of type");
    layer->name = layer->path;
    c->casts[tensor][type] = mb_insertion_add(&c->in, layer, &c->in.places[tensor], 1);
    return MB_OK;
}

/* In the order of the calls that ask. */
static mb_status_t add_casts(casting_t *c, int tensor)
{
    for (int u = 0; u < c->in.old[tensor].n_uses; u++) {
        const mb_node_t *user = &c->in.old[c->in.old[tensor].uses[u].node];
        mb_dtype_t type = mb_call_roles(&user->call).type;
        if (needs_cast(c, user, c->in.old[tensor].uses[u].input) && c->casts[tensor][type] < 0)
            MB_TRY(new_cast(c, tensor, type));
    }
    return MB_OK;
}

static mb_status_t copy_nodes(casting_t *c)
{
    for (int k = 0; k < c->in.n_old; k++) {
        mb_node_t node = c->in.old[k];
        for (int i = 0; i < node.call.n_inputs; i++) {
            int tensor = node.inputs[i];
            node.inputs[i] = needs_cast(c, &c->in.old[k], i)
                                 ? c->casts[tensor][mb_call_roles(&node.call).type]
                                 : c->in.places[tensor];
        }
        mb_insertion_keep(&c->in, k, &node);
        MB_TRY(add_casts(c, k));
    }
    return MB_OK;
}

/* At most one for each use. */
static mb_status_t prepare(casting_t *c, mb_graph_t *graph, int *n_casts)
{
    *n_casts = 0;
    c->in.graph = graph;
    c->types = MB_ARENA_ARRAY(graph->arena, mb_dtype_t, graph->n_nodes);
    MB_ARENA_TRY(c->types, "the types of tensors");
    for (int k = 0; k < graph->n_nodes; k++) {
        follow_inputs(c, &graph->nodes[k]);
        c->types[k] = type_of(c, &graph->nodes[k]);
        for (int i = 0; i < graph->nodes[k].call.n_inputs; i++)
            *n_casts += needs_cast(c, &graph->nodes[k], i);
    }
    return MB_OK;
}

mb_status_t mb_graph_insert_casts(mb_graph_t *graph)
{
    casting_t c = {0};
    int n_casts;
    MB_TRY(prepare(&c, graph, &n_casts));
    if (n_casts == 0)
        return MB_OK;
    MB_TRY(mb_insertion_begin(&c.in, graph, n_casts));
    c.casts = mb_arena_alloc(graph->arena, (size_t)c.in.n_old * sizeof *c.casts);
    MB_ARENA_TRY(c.casts, "changes of type");
    memset(c.casts, -1, (size_t)c.in.n_old * sizeof *c.casts);
    MB_TRY(copy_nodes(&c));
    return mb_insertion_end(&c.in);
}
