/* See costs.h. */
#include "pipeline/costs.h"

#include "pipeline/plan.h"

static bool passes_gradient(const mb_graph_t *graph, const mb_node_t *node)
{
    for (int k = 0; k < node->call.n_inputs; k++) {
        if (graph->nodes[node->inputs[k]].needs_gradient)
            return true;
    }
    return false;
}

/* Of a sample. */
static mb_node_cost_t operations(const mb_graph_t *graph, const mb_node_t *node)
{
    const mb_layer_class_t *class_ = graph->layers[node->layer]->class_;
    mb_cost_t cost = {0};
    if (node->is_input || class_->cost == NULL)
        return (mb_node_cost_t){0};
    class_->cost(&node->call, &cost);
    return (mb_node_cost_t){.forward = cost.forward_flops,
                            .backward_input =
                                passes_gradient(graph, node) ? cost.backward_input_flops : 0,
                            .backward_weights = node->trains ? cost.backward_weights_flops : 0};
}

void mb_costs_count(const mb_graph_t *graph, int64_t micro_batch, mb_node_cost_t *out)
{
    double samples = (double)micro_batch;
    for (int i = 0; i < graph->n_nodes; i++) {
        mb_node_cost_t cost = operations(graph, &graph->nodes[i]);
        out[i] = (mb_node_cost_t){samples * cost.forward, samples * cost.backward_input,
                                  samples * cost.backward_weights};
    }
}

/* Of a call's tensors forward, for a micro-batch. */
static double bytes_moved(const mb_graph_t *graph, const mb_node_t *node, double samples)
{
    const mb_call_t *call = &node->call;
    double bytes = (double)mb_shape_elements(&call->output) * samples *
                   (double)mb_dtype_bytes(call->output_type);
    for (int k = 0; k < call->n_inputs; k++)
        bytes += (double)mb_shape_elements(&call->inputs[k]) * samples *
                 (double)mb_dtype_bytes(graph->nodes[node->inputs[k]].call.output_type);
    return bytes;
}

static double weight_bytes(const mb_graph_t *graph, const mb_node_t *node)
{
    double bytes = 0;
    const mb_layer_t *layer = node->call.layer;
    for (int k = 0; k < layer->n_params; k++)
        bytes += (double)graph->params[layer->params[k]].elements * (double)sizeof(float);
    return bytes;
}

/* Weights are packed in front of a product, or come before it for its first rows: with 32 rows in
 * place of 64 two dense layers of 512 took a step 12 to 15 % longer. */
static double roofline(const mb_hardware_t *hw, double operations_, double bytes, double weights)
{
    double gain = bytes <= hw->cache ? MB_CACHE_GAIN : 1;
    double compute = operations_ / hw->flops, move = bytes / (gain * hw->memory_bandwidth);
    return hw->overhead + (compute > move ? compute : move) + weights / hw->memory_bandwidth;
}

void mb_costs_predict(const mb_graph_t *graph, const mb_hardware_t *hardware, int64_t micro_batch,
                      mb_node_cost_t *out)
{
    mb_costs_count(graph, micro_batch, out);
    for (int i = 0; i < graph->n_nodes; i++) {
        const mb_node_t *node = &graph->nodes[i];
        if (node->is_input)
            continue;
        double bytes = bytes_moved(graph, node, (double)micro_batch);
        double weights = weight_bytes(graph, node);
        bool back = passes_gradient(graph, node);
        out[i].forward = roofline(hardware, out[i].forward, bytes, weights);
        out[i].backward_input =
            back ? roofline(hardware, out[i].backward_input, bytes, weights) : 0;
        out[i].backward_weights =
            node->trains ? roofline(hardware, out[i].backward_weights, bytes, weights) : 0;
    }
}

void mb_costs_of_crossing(const mb_graph_t *graph, const mb_hardware_link_t *link,
                          int64_t micro_batch, double *out)
{
    for (int i = 0; i < graph->n_nodes; i++) {
        const mb_node_t *node = &graph->nodes[i];
        double bytes = (double)(mb_shape_elements(&node->call.output) * micro_batch) *
                       (double)mb_dtype_bytes(node->call.output_type);
        out[i] = mb_hardware_link_seconds(link, bytes) * (node->needs_gradient ? 2 : 1);
    }
}

/* What crosses is kept, so that a layer that saves nothing else is not run again. */
static bool runs_again(const mb_plan_t *plan, int node)
{
    const mb_node_t *n = &plan->graph->nodes[node];
    mb_memory_t memory = {.saved_bytes = 0};
    if (!plan->again[node] || n->is_input || !mb_plan_crosses(plan, node))
        return plan->again[node];
    n->call.layer->class_->memory(&n->call, plan->micro_batch, &memory);
    return memory.saved_bytes > 0;
}

void mb_costs_of_chunks(const mb_plan_t *plan, const mb_node_cost_t *nodes, mb_chunk_cost_t *out)
{
    for (int c = 0; c < plan->chunks; c++)
        out[c] = (mb_chunk_cost_t){0};
    for (int i = 0; i < plan->graph->n_nodes; i++) {
        mb_chunk_cost_t *chunk = &out[plan->chunk_of_node[i]];
        chunk->forward += nodes[i].forward;
        chunk->kept += plan->again != NULL && !runs_again(plan, i) ? nodes[i].forward : 0;
        chunk->backward_input += nodes[i].backward_input;
        chunk->backward_weights += nodes[i].backward_weights;
    }
}

void mb_costs_of_messages(const mb_plan_t *plan, double *bytes)
{
    for (int c = 0; c < plan->chunks; c++)
        bytes[c] = 0;
    for (int e = 0; e < plan->n_forward_edges; e++) {
        const mb_forward_edge_t *edge = &plan->forward_edges[e];
        mb_dtype_t type = plan->graph->nodes[edge->tensor].call.output_type;
        if (!mb_forward_edge_stays(edge))
            bytes[edge->from_chunk] +=
                (double)(edge->elements * plan->micro_batch) * (double)mb_dtype_bytes(type);
    }
}
