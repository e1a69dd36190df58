/* Shows what a stage's calls write to whoever looks (look.h). What is computed again in front of a
 * backward was seen before. */
#include "engine/stage_private.h"

static bool is_blind(const mb_stage_t *stage, const mb_micro_t *micro)
{
    return stage->look == NULL || micro->again || stage->exec->planning;
}

static mb_status_t show(const mb_stage_t *stage, const mb_micro_t *micro, const mb_seen_t *seen)
{
    return stage->look->see(stage->look->user, micro, seen);
}

mb_status_t mb_stage_look_output(const mb_stage_t *stage, const mb_micro_t *micro, int node)
{
    if (is_blind(stage, micro))
        return MB_OK;
    const mb_call_t *call = &stage->graph->nodes[node].call;
    mb_seen_t seen = {.part = MB_LOOK_OUTPUT,
                      .node = node,
                      .type = call->output_type,
                      .rows = stage->plan->micro_batch,
                      .elements = mb_shape_elements(&call->output),
                      .values = mb_stage_tensor(stage, micro->index, node)};
    return seen.values == NULL ? MB_OK : show(stage, micro, &seen);
}

mb_status_t mb_stage_look_loss(const mb_stage_t *stage, const mb_micro_t *micro, int place,
                               const void *gradient, const double *sum)
{
    if (is_blind(stage, micro))
        return MB_OK;
    int node = stage->graph->outputs[stage->outputs[place].output].node;
    const mb_call_t *call = &stage->graph->nodes[node].call;
    mb_seen_t seen = {.part = MB_LOOK_LOSS,
                      .node = node,
                      .number = stage->outputs[place].output,
                      .type = call->output_type,
                      .rows = stage->plan->micro_batch,
                      .elements = mb_shape_elements(&call->output),
                      .values = gradient,
                      .sum = sum};
    return show(stage, micro, &seen);
}

mb_status_t mb_stage_look_inputs(const mb_stage_t *stage, const mb_micro_t *micro, int node,
                                 void *const *gradients)
{
    const mb_node_t *n = &stage->graph->nodes[node];
    for (int k = 0; k < n->call.n_inputs && !is_blind(stage, micro); k++) {
        const mb_call_t *source = &stage->graph->nodes[n->inputs[k]].call;
        mb_seen_t seen = {.part = MB_LOOK_GRADIENT,
                          .node = node,
                          .number = k,
                          .type = source->output_type,
                          .rows = stage->plan->micro_batch,
                          .elements = mb_shape_elements(&source->output),
                          .values = gradients[k]};
        if (seen.values != NULL)
            MB_TRY(show(stage, micro, &seen));
    }
    return MB_OK;
}

mb_status_t mb_stage_look_weights(const mb_stage_t *stage, const mb_micro_t *micro, int node,
                                  float *const *gradients)
{
    const mb_layer_t *layer = stage->graph->layers[stage->graph->nodes[node].layer];
    for (int k = 0; k < layer->n_params && !is_blind(stage, micro); k++) {
        mb_seen_t seen = {.part = MB_LOOK_WEIGHTS,
                          .node = node,
                          .number = k,
                          .type = MB_F32,
                          .rows = 1,
                          .elements = stage->graph->params[layer->params[k]].elements,
                          .values = gradients[k]};
        if (seen.values != NULL)
            MB_TRY(show(stage, micro, &seen));
    }
    return MB_OK;
}
