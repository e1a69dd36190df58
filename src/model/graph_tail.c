/* See graph_tail.h. */
#include "model/graph_tail.h"

static const mb_layer_class_t *class_of(const mb_graph_t *graph, int node)
{
    return graph->layers[graph->nodes[node].layer]->class_;
}

static bool is_output(const mb_graph_t *graph, int node)
{
    for (int o = 0; o < graph->n_outputs; o++) {
        if (graph->outputs[o].node == node)
            return true;
    }
    return false;
}

/* Whether the node behind NODE, and nothing else, takes its output. */
static bool goes_on(const mb_graph_t *graph, int node, int end)
{
    const mb_node_t *n = &graph->nodes[node], *next = n + 1;
    const mb_regularizer_t *activity = &graph->layers[n->layer]->activity;
    return node + 1 < end && n->n_uses == 1 && n->uses[0].node == node + 1 && !next->is_input &&
           !is_output(graph, node) && activity->l1 == 0 && activity->l2 == 0 &&
           n->call.output_type == next->call.output_type &&
           mb_shape_equal(&n->call.output, &next->call.output);
}

/* What SUM adds to NODE's output; -1 where it is no such sum. */
static int other_of(const mb_graph_t *graph, int node, int sum)
{
    const mb_node_t *n = &graph->nodes[sum];
    if (!class_of(graph, sum)->is_sum || n->call.n_inputs != 2)
        return -1;
    int which = n->inputs[0] == node ? 1 : 0;
    bool fits = mb_shape_equal(&n->call.inputs[which], &n->call.output) &&
                n->call.input_types[which] == n->call.output_type;
    return fits ? n->inputs[which] : -1;
}

static bool is_relu(const mb_graph_t *graph, int node)
{
    const mb_call_t *call = &graph->nodes[node].call;
    const mb_layer_class_t *class_ = class_of(graph, node);
    return class_->relus != NULL && call->n_inputs == 1 && (class_->relus(call) & MB_RELU_ALL);
}

mb_graph_tail_t mb_graph_tail(const mb_graph_t *graph, int node, int end)
{
    const mb_node_t *n = &graph->nodes[node];
    mb_graph_tail_t tail = {0, -1, false};
    if (n->is_input || class_of(graph, node)->tail == NULL)
        return tail;
    mb_tail_kind_t takes = class_of(graph, node)->tail(&n->call);
    if (takes == MB_TAIL_SUM_AND_RELU && goes_on(graph, node, end))
        tail.other = other_of(graph, node, node + 1);
    tail.nodes = tail.other >= 0 ? 1 : 0;
    int last = node + tail.nodes;
    tail.relu = takes != MB_TAIL_NONE && goes_on(graph, last, end) && is_relu(graph, last + 1);
    tail.nodes += tail.relu;
    return tail;
}
