/* See gradients.h. */
#include "pipeline/gradients.h"

#include "model/graph_cut.h"

static const mb_node_t *node_of(const mb_span_t *span, int node)
{
    return &span->graph->nodes[node];
}

static const mb_layer_t *layer_of(const mb_span_t *span, int node)
{
    return span->graph->layers[node_of(span, node)->layer];
}

/* Masks stand behind the arguments. */
static int arguments(const mb_node_t *n)
{
    return n->call.n_inputs - n->call.n_masks;
}

static int times_taken(const mb_node_t *n, int tensor)
{
    int times = 0;
    for (int k = 0; k < n->call.n_inputs; k++)
        times += n->inputs[k] == tensor;
    return times;
}

/* The sums, and relus whose slope the gradient comes with (model/graph_cut.h). */
static bool leaves_gradient(const mb_span_t *span, int node)
{
    const mb_layer_class_t *class_ = layer_of(span, node)->class_;
    const mb_call_t *call = &node_of(span, node)->call;
    if (class_->is_sum)
        return arguments(node_of(span, node)) > 1;
    return class_->relus != NULL && (class_->relus(call) & MB_RELU_ALL) &&
           mb_graph_is_cut(span->graph, node, span->first_node, span->end_node);
}

bool mb_sum_hands_on(const mb_span_t *span, int node, int k)
{
    const mb_node_t *n = node_of(span, node), *input = node_of(span, n->inputs[k]);
    return leaves_gradient(span, node) && k < arguments(n) && n->inputs[k] >= span->first_node &&
           !input->is_input && input->needs_gradient && times_taken(n, n->inputs[k]) == 1 &&
           mb_shape_equal(&n->call.inputs[k], &n->call.output) &&
           input->call.output_type == n->call.output_type;
}

/* Read by more than its own backward, or written by more than those of its consumers in the span.
 */
static bool has_own_place(const mb_span_t *span, int tensor)
{
    const mb_node_t *n = node_of(span, tensor);
    const mb_regularizer_t *activity = &layer_of(span, tensor)->activity;
    bool waits = span->splits && n->trains;
    bool goes_out = n->n_uses > 0 && n->uses[n->n_uses - 1].node >= span->end_node;
    return waits || goes_out || mb_kept_is_scored(span->graph, tensor) || activity->l1 != 0 ||
           activity->l2 != 0;
}

/* Whether a consumer of TENSOR in front of SUM adds to its gradient before OTHER has gone back. */
static bool is_written_under(const mb_span_t *span, int tensor, int sum, int other)
{
    const mb_node_t *n = node_of(span, tensor);
    for (int u = 0; u < n->n_uses; u++) {
        if (n->uses[u].node < sum && n->uses[u].node >= other)
            return true;
    }
    return false;
}

/* Whether TENSOR can go where OWNER's gradient stands with all that are there and are yet to go
 * back behind SUM. */
static bool can_join(const mb_span_t *span, const int *owner, int place, int tensor, int sum)
{
    for (int other = span->first_node; other < sum; other++) {
        if (other == tensor || owner[other - span->first_node] != place)
            continue;
        if (is_written_under(span, tensor, sum, other) ||
            is_written_under(span, other, sum, tensor))
            return false;
    }
    return true;
}

void mb_gradient_owners(const mb_span_t *span, int *owner)
{
    for (int i = span->first_node; i < span->end_node; i++)
        owner[i - span->first_node] = i;
    for (int sum = span->end_node - 1; sum >= span->first_node; sum--) {
        const mb_node_t *n = node_of(span, sum);
        int place = owner[sum - span->first_node];
        for (int k = n->is_input || !n->needs_gradient ? -1 : n->call.n_inputs - 1; k >= 0; k--) {
            int tensor = n->inputs[k];
            if (mb_sum_hands_on(span, sum, k) && !has_own_place(span, tensor) &&
                mb_span_last_consumer(span, tensor) == sum &&
                can_join(span, owner, place, tensor, sum))
                owner[tensor - span->first_node] = place;
        }
    }
}
