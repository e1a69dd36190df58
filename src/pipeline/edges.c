/* What crosses between stages: activations once per consuming stage, gradients once per use, and
 * the calls of shared layers that stand apart from their layer's first call. */
#include "pipeline/edges.h"

static const mb_call_t *call_of(const mb_plan_t *plan, int node)
{
    return &plan->graph->nodes[node].call;
}

static bool takes_gradient(const mb_plan_t *plan, int tensor, const mb_use_t *use)
{
    const mb_node_t *consumer = &plan->graph->nodes[use->node];
    /* A use that no output of the model depends on gives none back. */
    if (!plan->training || !plan->graph->nodes[tensor].needs_gradient || !consumer->needs_gradient)
        return false;
    const mb_layer_class_t *class_ = plan->graph->layers[consumer->layer]->class_;
    if (class_->differentiable != NULL)
        return class_->differentiable(&consumer->call, use->input);
    return mb_dtype_is_float(call_of(plan, tensor)->output_type);
}

/* Marks the stages that consume a tensor; returns how many others than its own do. */
static int consuming_stages(const mb_plan_t *plan, int tensor, bool *consumes)
{
    int n = 0, own = plan->stage_of_node[tensor];
    const mb_node_t *node = &plan->graph->nodes[tensor];
    for (int s = 0; s < plan->stages; s++)
        consumes[s] = false;
    for (int u = 0; u < node->n_uses; u++) {
        int stage = plan->stage_of_node[node->uses[u].node];
        n += stage != own && !consumes[stage];
        consumes[stage] = true;
    }
    consumes[own] = false;
    return n;
}

static mb_status_t find_forward(mb_plan_t *plan, bool *consumes)
{
    int n = 0;
    for (int t = 0; t < plan->graph->n_nodes; t++)
        n += consuming_stages(plan, t, consumes);
    plan->forward_edges = MB_ARENA_ARRAY(plan->arena, mb_forward_edge_t, n);
    if (plan->forward_edges == NULL)
        return mb_error_memory("the edges of a plan", (size_t)n * sizeof(mb_forward_edge_t));
    for (int t = 0; t < plan->graph->n_nodes; t++) {
        consuming_stages(plan, t, consumes);
        for (int s = 0; s < plan->stages; s++) {
            if (!consumes[s])
                continue;
            plan->forward_edges[plan->n_forward_edges++] =
                (mb_forward_edge_t){.tensor = t,
                                    .from_stage = plan->stage_of_node[t],
                                    .to_stage = s,
                                    .elements = mb_shape_elements(&call_of(plan, t)->output),
                                    .floating = mb_dtype_is_float(call_of(plan, t)->output_type)};
        }
    }
    return MB_OK;
}

static bool crosses_back(const mb_plan_t *plan, int tensor, const mb_use_t *use)
{
    return plan->stage_of_node[use->node] != plan->stage_of_node[tensor] &&
           takes_gradient(plan, tensor, use);
}

static mb_status_t find_backward(mb_plan_t *plan)
{
    int n = 0;
    const mb_graph_t *graph = plan->graph;
    for (int t = 0; t < graph->n_nodes; t++) {
        for (int u = 0; u < graph->nodes[t].n_uses; u++)
            n += crosses_back(plan, t, &graph->nodes[t].uses[u]);
    }
    plan->backward_edges = MB_ARENA_ARRAY(plan->arena, mb_backward_edge_t, n);
    if (plan->backward_edges == NULL)
        return mb_error_memory("the edges of a plan", (size_t)n * sizeof(mb_backward_edge_t));
    for (int t = 0; t < graph->n_nodes; t++) {
        for (int u = 0; u < graph->nodes[t].n_uses; u++) {
            const mb_use_t *use = &graph->nodes[t].uses[u];
            if (!crosses_back(plan, t, use))
                continue;
            plan->backward_edges[plan->n_backward_edges++] =
                (mb_backward_edge_t){.tensor = t,
                                     .node = use->node,
                                     .input = use->input,
                                     .from_stage = plan->stage_of_node[use->node],
                                     .to_stage = plan->stage_of_node[t],
                                     .elements = mb_shape_elements(&call_of(plan, t)->output)};
        }
    }
    return MB_OK;
}

static mb_status_t find_ties(mb_plan_t *plan)
{
    const mb_graph_t *graph = plan->graph;
    int *owner = MB_ARENA_ARRAY(plan->arena, int, graph->n_layers);
    plan->ties = MB_ARENA_ARRAY(plan->arena, mb_tie_t, graph->n_nodes);
    if (owner == NULL || plan->ties == NULL)
        return mb_error_memory("the ties of a plan", (size_t)graph->n_nodes * sizeof(mb_tie_t));
    for (int i = 0; i < graph->n_layers; i++)
        owner[i] = -1;
    for (int i = 0; i < graph->n_nodes; i++) {
        int layer = graph->nodes[i].layer, stage = plan->stage_of_node[i];
        if (graph->layers[layer]->n_params == 0)
            continue;
        if (owner[layer] < 0)
            owner[layer] = stage;
        if (owner[layer] != stage)
            plan->ties[plan->n_ties++] =
                (mb_tie_t){.layer = layer, .node = i, .owner_stage = owner[layer], .stage = stage};
    }
    return MB_OK;
}

mb_status_t mb_edges_find(mb_plan_t *plan)
{
    bool *consumes = MB_ARENA_ARRAY(plan->arena, bool, plan->stages);
    if (consumes == NULL)
        return mb_error_memory("the edges of a plan", (size_t)plan->stages);
    MB_TRY(find_forward(plan, consumes));
    MB_TRY(find_backward(plan));
    return find_ties(plan);
}

static void count_edge(mb_stage_edges_t *stages, int from, int to, bool forward)
{
    if (forward) {
        stages[from].forward_out.n++;
        stages[to].forward_in.n++;
    } else {
        stages[from].backward_out.n++;
        stages[to].backward_in.n++;
    }
}

static mb_status_t allocate_list(mb_arena_t *arena, mb_edge_list_t *list)
{
    list->edges = MB_ARENA_ARRAY(arena, int, list->n);
    if (list->edges == NULL)
        return mb_error_memory("the edges of a stage", (size_t)list->n * sizeof(int));
    list->n = 0;
    return MB_OK;
}

static void append(mb_edge_list_t *list, int edge)
{
    list->edges[list->n++] = edge;
}

mb_status_t mb_edges_by_stage(const mb_plan_t *plan, mb_arena_t *arena, mb_stage_edges_t **out)
{
    mb_stage_edges_t *stages = MB_ARENA_ARRAY(arena, mb_stage_edges_t, plan->stages);
    if (stages == NULL)
        return mb_error_memory("the edges of the stages", (size_t)plan->stages * sizeof(*stages));
    const mb_forward_edge_t *forward = plan->forward_edges;
    const mb_backward_edge_t *backward = plan->backward_edges;
    for (int e = 0; e < plan->n_forward_edges; e++)
        count_edge(stages, forward[e].from_stage, forward[e].to_stage, true);
    for (int e = 0; e < plan->n_backward_edges; e++)
        count_edge(stages, backward[e].from_stage, backward[e].to_stage, false);
    for (int s = 0; s < plan->stages; s++) {
        MB_TRY(allocate_list(arena, &stages[s].forward_in));
        MB_TRY(allocate_list(arena, &stages[s].forward_out));
        MB_TRY(allocate_list(arena, &stages[s].backward_in));
        MB_TRY(allocate_list(arena, &stages[s].backward_out));
    }
    for (int e = 0; e < plan->n_forward_edges; e++) {
        append(&stages[forward[e].from_stage].forward_out, e);
        append(&stages[forward[e].to_stage].forward_in, e);
    }
    for (int e = 0; e < plan->n_backward_edges; e++) {
        append(&stages[backward[e].from_stage].backward_out, e);
        append(&stages[backward[e].to_stage].backward_in, e);
    }
    *out = stages;
    return MB_OK;
}
