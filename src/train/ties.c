/* See ties.h. All ranks of a group walk the plan's ties in the same order and one message is under
 * way at a time, so a single tag serves. */
#include "train/ties.h"

static const mb_layer_t *layer_of(const mb_update_t *update, const mb_tie_t *tie)
{
    return update->engine->plan->graph->layers[tie->layer];
}

static mb_status_t exchange(mb_update_t *update, bool sends, void *memory, size_t bytes,
                            int peer_stage)
{
    mb_engine_t *engine = update->engine;
    mb_request_t *request = NULL;
    int peer = mb_grid_rank(&engine->grid, peer_stage, engine->grid.group);
    mb_comm_note_t note = {sends ? "sending a shared layer's values"
                                 : "receiving a shared layer's values",
                           engine->grid.stage,
                           -1,
                           peer,
                           MB_TAG_EXCHANGE,
                           false};
    if (engine->exec.planning || bytes == 0)
        return MB_OK;
    if (sends)
        MB_TRY(
            mb_transport_isend(engine->transport, memory, bytes, peer, MB_TAG_EXCHANGE, &request));
    else
        MB_TRY(
            mb_transport_irecv(engine->transport, memory, bytes, peer, MB_TAG_EXCHANGE, &request));
    return mb_transport_wait(engine->transport, engine->machine->comm, &request, &note);
}

static mb_status_t add_to_first(mb_update_t *update, int param, float *gradients, const float *more)
{
    const mb_stage_t *stage = update->engine->stage;
    float *sum =
        gradients + stage->places[update->first_call[param]].entries[update->place_in_layer[param]];
    mb_add_args_t args = {
        .count = stage->graph->params[param].elements, .a = sum, .b = more, .y = sum};
    return mb_run_add(stage->exec, &args);
}

/* A further call of a layer on this very stage. */
static mb_status_t gather_local(mb_update_t *update, int node, float *gradients)
{
    const mb_stage_t *stage = update->engine->stage;
    const mb_layer_t *layer = stage->graph->layers[stage->graph->nodes[node].layer];
    for (int k = 0; k < layer->n_params && mb_stage_has_node(stage, node); k++) {
        int p = layer->params[k];
        int64_t entry = stage->places[node].entries[k];
        if (stage->owned[p] && entry >= 0 && update->first_call[p] != node)
            MB_TRY(add_to_first(update, p, gradients, gradients + entry));
    }
    return MB_OK;
}

static mb_status_t gather_tie(mb_update_t *update, const mb_tie_t *tie, float *gradients)
{
    const mb_stage_t *stage = update->engine->stage;
    const mb_layer_t *layer = layer_of(update, tie);
    for (int k = 0; k < layer->n_params; k++) {
        const mb_param_t *param = &stage->graph->params[layer->params[k]];
        size_t bytes = (size_t)param->elements * sizeof(float);
        if (!param->trainable || !mb_stage_trains_layer(stage->graph, tie->layer))
            continue;
        if (tie->stage == stage->stage) {
            MB_TRY(exchange(update, true, gradients + stage->places[tie->node].entries[k], bytes,
                            tie->owner_stage));
            continue;
        }
        MB_TRY(exchange(update, false, update->incoming, bytes, tie->stage));
        MB_TRY(add_to_first(update, param->index, gradients, update->incoming));
    }
    return MB_OK;
}

static bool concerns(const mb_update_t *update, const mb_tie_t *tie)
{
    int stage = update->engine->grid.stage;
    return tie->owner_stage != tie->stage && (tie->owner_stage == stage || tie->stage == stage);
}

/* The tie of NODE, if it has one that concerns this stage; *NEXT runs through the ties, which are
 * in node order. */
static const mb_tie_t *tie_of(const mb_update_t *update, int node, int *next)
{
    const mb_plan_t *plan = update->engine->plan;
    if (*next == plan->n_ties || plan->ties[*next].node != node)
        return NULL;
    const mb_tie_t *tie = &plan->ties[(*next)++];
    return concerns(update, tie) ? tie : NULL;
}

/* A stage of several chunks has calls before and behind those of other stages. */
mb_status_t mb_ties_gather(mb_update_t *update, float *gradients)
{
    int next = 0;
    for (int n = 0; n < update->engine->plan->graph->n_nodes; n++) {
        MB_TRY(gather_local(update, n, gradients));
        const mb_tie_t *tie = tie_of(update, n, &next);
        if (tie != NULL)
            MB_TRY(gather_tie(update, tie, gradients));
    }
    return MB_OK;
}

static mb_status_t new_statistics(mb_update_t *update, const mb_step_info_t *info, int node,
                                  double *sums)
{
    const mb_stage_t *stage = update->engine->stage;
    const mb_node_t *n = &stage->graph->nodes[node];
    const mb_layer_t *layer = stage->graph->layers[n->layer];
    void *params[MB_MAX_LAYER_PARAMS];
    for (int k = 0; k < layer->n_params; k++)
        params[k] = stage->values[layer->params[k]];
    mb_run_t run = {.exec = stage->exec,
                    .call = &n->call,
                    .samples = stage->plan->micro_batch,
                    .training = true,
                    .params = params,
                    .sums = sums};
    return layer->class_->update_statistics(&run, (double)info->batch);
}

static int64_t statistics_of(const mb_update_t *update, int node)
{
    const mb_graph_t *graph = update->engine->plan->graph;
    const mb_node_t *n = &graph->nodes[node];
    mb_memory_t memory = {.sums = 0};
    const mb_layer_class_t *class_ = graph->layers[n->layer]->class_;
    if (n->is_input || !mb_call_has_statistics(&n->call))
        return 0;
    class_->memory(&n->call, update->engine->plan->micro_batch, &memory);
    return memory.sums;
}

static mb_status_t local_statistics(mb_update_t *update, const mb_step_info_t *info, int node,
                                    double *sums)
{
    const mb_stage_t *stage = update->engine->stage;
    const mb_layer_t *layer = stage->graph->layers[stage->graph->nodes[node].layer];
    bool owned =
        mb_stage_has_node(stage, node) && layer->n_params > 0 && stage->owned[layer->params[0]];
    if (!owned || statistics_of(update, node) == 0)
        return MB_OK;
    return new_statistics(update, info, node, sums + stage->places[node].sums);
}

static mb_status_t tied_statistics(mb_update_t *update, const mb_step_info_t *info,
                                   const mb_tie_t *tie, double *sums)
{
    const mb_stage_t *stage = update->engine->stage;
    size_t bytes = (size_t)statistics_of(update, tie->node) * sizeof(double);
    if (bytes == 0)
        return MB_OK;
    if (tie->stage == stage->stage)
        return exchange(update, true, sums + stage->places[tie->node].sums, bytes,
                        tie->owner_stage);
    MB_TRY(exchange(update, false, update->incoming, bytes, tie->stage));
    return new_statistics(update, info, tie->node, update->incoming);
}

mb_status_t mb_ties_statistics(mb_update_t *update, const mb_step_info_t *info, double *sums)
{
    int next = 0;
    for (int n = 0; n < update->engine->plan->graph->n_nodes; n++) {
        MB_TRY(local_statistics(update, info, n, sums));
        const mb_tie_t *tie = tie_of(update, n, &next);
        if (tie != NULL)
            MB_TRY(tied_statistics(update, info, tie, sums));
    }
    return MB_OK;
}

static bool first_tie_of_stage(const mb_plan_t *plan, int index)
{
    for (int t = 0; t < index; t++) {
        if (plan->ties[t].layer == plan->ties[index].layer &&
            plan->ties[t].stage == plan->ties[index].stage)
            return false;
    }
    return true;
}

mb_status_t mb_ties_scatter(mb_update_t *update)
{
    const mb_stage_t *stage = update->engine->stage;
    const mb_plan_t *plan = update->engine->plan;
    for (int t = 0; t < plan->n_ties; t++) {
        const mb_tie_t *tie = &plan->ties[t];
        const mb_layer_t *layer = layer_of(update, tie);
        if (!concerns(update, tie) || !first_tie_of_stage(plan, t))
            continue;
        bool owner = tie->owner_stage == stage->stage;
        for (int k = 0; k < layer->n_params; k++) {
            int p = layer->params[k];
            MB_TRY(exchange(update, owner, stage->values[p],
                            (size_t)stage->graph->params[p].elements * sizeof(float),
                            owner ? tie->stage : tie->owner_stage));
        }
    }
    return MB_OK;
}
