/* What crosses between chunks: activations once per consuming chunk, gradients once per use, and
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

/* Marks the chunks that consume a tensor; returns how many others than its own do. */
static int consuming_chunks(const mb_plan_t *plan, int tensor, bool *consumes)
{
    int n = 0, own = plan->chunk_of_node[tensor];
    const mb_node_t *node = &plan->graph->nodes[tensor];
    for (int c = 0; c < plan->chunks; c++)
        consumes[c] = false;
    for (int u = 0; u < node->n_uses; u++) {
        int chunk = plan->chunk_of_node[node->uses[u].node];
        n += chunk != own && !consumes[chunk];
        consumes[chunk] = true;
    }
    consumes[own] = false;
    return n;
}

static void add_forward(mb_plan_t *plan, int tensor, int from_chunk, int to_chunk)
{
    const mb_call_t *call = call_of(plan, tensor);
    plan->forward_edges[plan->n_forward_edges++] =
        (mb_forward_edge_t){.tensor = tensor,
                            .from_chunk = from_chunk,
                            .to_chunk = to_chunk,
                            .from_stage = plan->stage_of_chunk[from_chunk],
                            .to_stage = plan->stage_of_chunk[to_chunk],
                            .elements = mb_shape_elements(&call->output),
                            .floating = mb_dtype_is_float(call->output_type)};
}

/* Where a stage has a tensor: in its own chunk, or in the first one that takes it. */
static void add_tensor(mb_plan_t *plan, int tensor, const bool *consumes, int *home)
{
    int own = plan->chunk_of_node[tensor];
    for (int s = 0; s < plan->stages; s++)
        home[s] = -1;
    home[plan->stage_of_chunk[own]] = own;
    for (int c = 0; c < plan->chunks; c++) {
        int stage = plan->stage_of_chunk[c];
        if (!consumes[c])
            continue;
        add_forward(plan, tensor, home[stage] < 0 ? own : home[stage], c);
        home[stage] = home[stage] < 0 ? c : home[stage];
    }
}

static mb_status_t find_forward(mb_plan_t *plan, bool *consumes)
{
    int n = 0, *home = MB_ARENA_ARRAY(plan->arena, int, plan->stages);
    for (int t = 0; t < plan->graph->n_nodes; t++)
        n += consuming_chunks(plan, t, consumes);
    plan->forward_edges = MB_ARENA_ARRAY(plan->arena, mb_forward_edge_t, n);
    if (plan->forward_edges == NULL || home == NULL)
        return mb_error_memory("the edges of a plan", (size_t)n * sizeof(mb_forward_edge_t));
    for (int t = 0; t < plan->graph->n_nodes; t++) {
        if (consuming_chunks(plan, t, consumes) > 0)
            add_tensor(plan, t, consumes, home);
    }
    return MB_OK;
}

static bool crosses_back(const mb_plan_t *plan, int tensor, const mb_use_t *use)
{
    return plan->chunk_of_node[use->node] != plan->chunk_of_node[tensor] &&
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
                                     .from_chunk = plan->chunk_of_node[use->node],
                                     .to_chunk = plan->chunk_of_node[t],
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
    bool *consumes = MB_ARENA_ARRAY(plan->arena, bool, plan->chunks);
    if (consumes == NULL)
        return mb_error_memory("the edges of a plan", (size_t)plan->chunks);
    MB_TRY(find_forward(plan, consumes));
    MB_TRY(find_backward(plan));
    return find_ties(plan);
}

/* The lists that an edge stands in; *out is NULL where it stays on its stage. */
static void lists_of(mb_chunk_edges_t *chunks, int from, int to, bool stays, bool forward,
                     mb_edge_list_t **out, mb_edge_list_t **in)
{
    mb_chunk_edges_t *giver = &chunks[from], *taker = &chunks[to];
    *out = stays ? NULL : forward ? &giver->forward_out : &giver->backward_out;
    if (stays)
        *in = forward ? &taker->forward_near : &taker->backward_near;
    else
        *in = forward ? &taker->forward_in : &taker->backward_in;
}

static void forward_lists(const mb_plan_t *plan, mb_chunk_edges_t *chunks, int e,
                          mb_edge_list_t **out, mb_edge_list_t **in)
{
    const mb_forward_edge_t *edge = &plan->forward_edges[e];
    lists_of(chunks, edge->from_chunk, edge->to_chunk, mb_forward_edge_stays(edge), true, out, in);
}

static void backward_lists(const mb_plan_t *plan, mb_chunk_edges_t *chunks, int e,
                           mb_edge_list_t **out, mb_edge_list_t **in)
{
    const mb_backward_edge_t *edge = &plan->backward_edges[e];
    lists_of(chunks, edge->from_chunk, edge->to_chunk, mb_backward_edge_stays(edge), false, out,
             in);
}

/* Counts the edges, or, where there is room, appends them. */
static void list_edges(const mb_plan_t *plan, mb_chunk_edges_t *chunks, bool append)
{
    for (int i = 0; i < plan->n_forward_edges + plan->n_backward_edges; i++) {
        bool forward = i < plan->n_forward_edges;
        int e = forward ? i : i - plan->n_forward_edges;
        mb_edge_list_t *lists[2];
        if (forward)
            forward_lists(plan, chunks, e, &lists[0], &lists[1]);
        else
            backward_lists(plan, chunks, e, &lists[0], &lists[1]);
        for (int k = 0; k < 2; k++) {
            if (lists[k] != NULL && append)
                lists[k]->edges[lists[k]->n] = e;
            if (lists[k] != NULL)
                lists[k]->n++;
        }
    }
}

static mb_status_t allocate_lists(mb_arena_t *arena, mb_chunk_edges_t *chunk)
{
    mb_edge_list_t *const lists[] = {&chunk->forward_in,   &chunk->forward_out,
                                     &chunk->backward_in,  &chunk->backward_out,
                                     &chunk->forward_near, &chunk->backward_near};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        lists[i]->edges = MB_ARENA_ARRAY(arena, int, lists[i]->n);
        if (lists[i]->edges == NULL)
            return mb_error_memory("the edges of a chunk", (size_t)lists[i]->n * sizeof(int));
        lists[i]->n = 0;
    }
    return MB_OK;
}

mb_status_t mb_edges_by_chunk(const mb_plan_t *plan, mb_arena_t *arena, mb_chunk_edges_t **out)
{
    mb_chunk_edges_t *chunks = MB_ARENA_ARRAY(arena, mb_chunk_edges_t, plan->chunks);
    if (chunks == NULL)
        return mb_error_memory("the edges of the chunks", (size_t)plan->chunks * sizeof(*chunks));
    list_edges(plan, chunks, false);
    for (int c = 0; c < plan->chunks; c++)
        MB_TRY(allocate_lists(arena, &chunks[c]));
    list_edges(plan, chunks, true);
    *out = chunks;
    return MB_OK;
}
