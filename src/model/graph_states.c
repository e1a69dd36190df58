/* Layers that keep their states from batch to batch (Keras' stateful). A state belongs to a row of
 * the batch, the same in every batch, so that the model must say how many there are; and to a
 * layer, which is why it may be called but once. */
#include "model/graph_private.h"

static mb_status_t refuse_open(const mb_call_t *call)
{
    return mb_error_set(
        MB_ERR_UNSUPPORTED,
        "layer '%s' (%s): key 'stateful' is true, but the model's inputs leave open "
        "how many samples a batch has; build it with keras.Input(batch_shape=(32, "
        "...))",
        call->layer->path, call->layer->class_->name);
}

static mb_status_t refuse_second(const mb_call_t *call)
{
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "layer '%s' (%s): key 'stateful' is true and the layer is called more than "
                        "once, so that one call would begin with the states of another; hand them "
                        "on by return_state and initial_state",
                        call->layer->path, call->layer->class_->name);
}

mb_status_t mb_graph_check_states(mb_graph_t *graph)
{
    mb_shape_t shapes[MB_MAX_STATES];
    bool *seen = MB_ARENA_ARRAY(graph->arena, bool, graph->n_layers);
    MB_ARENA_TRY(seen, "a graph's states");
    for (int k = 0; k < graph->n_nodes; k++) {
        const mb_call_t *call = &graph->nodes[k].call;
        int layer = graph->nodes[k].layer;
        if (mb_call_states(call, shapes) == 0)
            continue;
        graph->keeps_states = true;
        if (graph->batch == 0)
            return refuse_open(call);
        if (seen[layer])
            return refuse_second(call);
        seen[layer] = true;
    }
    return MB_OK;
}
