/* See kept.h. */
#include "pipeline/kept.h"

static bool has_activity_loss(const mb_graph_t *graph, const mb_node_t *node)
{
    const mb_regularizer_t *activity = &graph->layers[node->layer]->activity;
    return activity->l1 != 0 || activity->l2 != 0;
}

/* Descending, so that the lowest reader comes last. */
void mb_kept_readers(const mb_graph_t *graph, int64_t samples, int *readers)
{
    for (int i = 0; i < graph->n_nodes; i++)
        readers[i] = -1;
    for (int i = graph->n_nodes - 1; i >= 0; i--) {
        const mb_node_t *node = &graph->nodes[i];
        mb_memory_t memory = {.keeps_output = false};
        if (node->is_input || !node->needs_gradient) /* it has no backward */
            continue;
        graph->layers[node->layer]->class_->memory(&node->call, samples, &memory);
        for (int k = 0; k < node->call.n_inputs; k++) {
            if (memory.keeps_input[k])
                readers[node->inputs[k]] = i;
        }
        if (memory.keeps_output || has_activity_loss(graph, node))
            readers[i] = i;
    }
}

bool mb_kept_is_scored(const mb_graph_t *graph, int node)
{
    for (int o = 0; o < graph->n_outputs; o++) {
        if (graph->outputs[o].node == node)
            return true;
    }
    return false;
}

bool mb_kept_starts(const mb_graph_t *graph, const bool *again, int node, int end)
{
    const mb_node_t *n = &graph->nodes[node];
    for (int u = 0; again != NULL && u < n->n_uses; u++) {
        if (n->uses[u].node < end && again[n->uses[u].node])
            return true;
    }
    return false;
}

/* Chunks that are computed again take turns in their stage's one place. */
static bool is_alone(const mb_plan_t *plan, int chunk)
{
    bool only =
        plan->first_chunk[plan->stage_of_chunk[chunk]] == chunk && plan->next_chunk[chunk] < 0;
    return plan->slots[chunk] == 1 && (only || !mb_plan_computes_again(plan, chunk));
}

static mb_kept_rule_t rule_of(const mb_plan_t *plan, const int *readers, const bool *crosses,
                              int node)
{
    int chunk = plan->chunk_of_node[node];
    return (mb_kept_rule_t){
        .fixed = plan->graph->nodes[node].is_input || crosses[node] ||
                 mb_kept_is_scored(plan->graph, node),
        .training = plan->training,
        .alone = is_alone(plan, chunk),
        .again = mb_plan_is_again(plan, node),
        .starts = mb_kept_starts(plan->graph, plan->again, node, plan->first_node[chunk + 1]),
        .read = readers[node] >= 0};
}

mb_status_t mb_kept_find(const mb_plan_t *plan, mb_arena_t *arena, mb_kept_t *out)
{
    int n = plan->graph->n_nodes;
    bool *crosses = MB_ARENA_ARRAY(arena, bool, n);
    *out = (mb_kept_t){.plan = plan,
                       .readers = MB_ARENA_ARRAY(arena, int, n),
                       .output = MB_ARENA_ARRAY(arena, bool, n),
                       .fixed = MB_ARENA_ARRAY(arena, bool, n),
                       .saved = MB_ARENA_ARRAY(arena, bool, n)};
    if (crosses == NULL || out->readers == NULL || out->output == NULL || out->fixed == NULL ||
        out->saved == NULL)
        return mb_error_memory("a plan", (size_t)n * sizeof(int));
    mb_kept_readers(plan->graph, plan->micro_batch, out->readers);
    for (int e = 0; e < plan->n_forward_edges; e++)
        crosses[plan->forward_edges[e].tensor] = true;
    for (int i = 0; i < n; i++) {
        mb_kept_rule_t rule = rule_of(plan, out->readers, crosses, i);
        out->output[i] = mb_kept_output(&rule);
        out->saved[i] = mb_kept_saved(&rule);
        out->fixed[i] = rule.fixed;
    }
    return MB_OK;
}
