/* See values_share.h. */
#include "train/values_share.h"

static mb_status_t copy_value(const mb_update_t *update, int node, int k, bool out)
{
    const mb_stage_t *stage = update->engine->stage;
    int param = stage->graph->layers[stage->graph->nodes[node].layer]->params[k];
    float *value = stage->values[param], *place = mb_stage_entry(stage, 0, node, k);
    mb_combine_args_t copy = {.count = stage->graph->params[param].elements,
                              .p = 1.0F,
                              .a = out ? value : place,
                              .y = out ? place : value};
    return mb_run_combine(stage->exec, &copy);
}

/* What this group has updated of a bucket out to the gradients' places, or the rest in. */
static mb_status_t copy_values(const mb_update_t *update, mb_bucket_t nodes, bool out)
{
    const mb_graph_t *graph = update->engine->plan->graph;
    for (int n = nodes.first_node; n < nodes.end_node; n++) {
        const mb_layer_t *layer = graph->layers[graph->nodes[n].layer];
        for (int k = 0; k < layer->n_params; k++) {
            int p = layer->params[k];
            if (update->first_call[p] == n && update->shared_out[p] && update->updates[p] == out)
                MB_TRY(copy_value(update, n, k, out));
        }
    }
    return MB_OK;
}

/* New values go through the gradients' places, bucket by bucket: these are free by now. */
mb_status_t mb_values_share(mb_update_t *update)
{
    mb_stage_reduce_t *reduction = update->engine->reduction;
    if (!mb_stage_reduce_shares_out(reduction))
        return MB_OK;
    for (int i = 0; i < mb_stage_reduce_count(reduction); i++) {
        mb_bucket_t nodes = mb_stage_reduce_nodes(reduction, i);
        MB_TRY(copy_values(update, nodes, true));
        MB_TRY(mb_stage_reduce_gather(reduction, i));
        MB_TRY(copy_values(update, nodes, false));
    }
    return MB_OK;
}
