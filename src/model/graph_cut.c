/* See graph_cut.h. What is rounded after the product could be another number than what is rounded
 * before it: in float32 only. */
#include "model/graph_cut.h"

static const mb_layer_t *layer_of(const mb_graph_t *graph, int node)
{
    return graph->layers[graph->nodes[node].layer];
}

static bool is_output(const mb_graph_t *graph, int node)
{
    for (int o = 0; o < graph->n_outputs; o++) {
        if (graph->outputs[o].node == node)
            return true;
    }
    return false;
}

static bool ends_in_relu(const mb_graph_t *graph, int node)
{
    const mb_node_t *n = &graph->nodes[node];
    if (n->is_input)
        return false;
    const mb_layer_t *layer = layer_of(graph, node);
    return layer->class_->relus != NULL && (layer->class_->relus(&n->call) & MB_RELU_LAST) &&
           layer->activity.l1 == 0 && layer->activity.l2 == 0 && n->call.output_type == MB_F32;
}

bool mb_graph_is_cut(const mb_graph_t *graph, int node, int first, int end)
{
    const mb_node_t *n = &graph->nodes[node];
    if (node < first || n->n_uses != 1 || n->uses[0].node >= end || !ends_in_relu(graph, node))
        return false;
    const mb_node_t *next = &graph->nodes[n->uses[0].node];
    const mb_layer_class_t *class_ = layer_of(graph, n->uses[0].node)->class_;
    return next->call.n_inputs == 1 && next->call.output_type == MB_F32 && class_->relus != NULL &&
           (class_->relus(&next->call) & MB_RELU_CUTS) && !is_output(graph, node);
}
