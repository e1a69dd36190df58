/* See segments.h. */
#include "pipeline/segments.h"

#include <stdlib.h>

#include "pipeline/partition.h"

/* Of a node, in place of what it costs: bytes that its forward leaves, and that a cut behind it
 * keeps of all micro-batches in flight, with their gradients. */
static void count_bytes(const mb_graph_t *graph, const mb_segments_t *how, mb_node_cost_t *inside,
                        double *crossing)
{
    for (int i = 0; i < graph->n_nodes; i++) {
        const mb_node_t *n = &graph->nodes[i];
        mb_memory_t memory = {.saved_bytes = 0};
        double output = (double)(mb_shape_elements(&n->call.output) * how->samples) *
                        (double)mb_dtype_bytes(n->call.output_type);
        if (!n->is_input)
            graph->layers[n->layer]->class_->memory(&n->call, how->samples, &memory);
        inside[i] = (mb_node_cost_t){.forward = output + (double)memory.saved_bytes};
        crossing[i] = output * how->flight * (n->needs_gradient ? 2 : 1);
    }
}

static int computing(const mb_graph_t *graph, int first, int end)
{
    int nodes = 0;
    for (int i = first; i < end; i++)
        nodes += !graph->nodes[i].is_input;
    return nodes;
}

static int end_of(const mb_graph_t *graph, const int *chunk_of_node, int first)
{
    int end = first;
    while (end < graph->n_nodes && chunk_of_node[end] == chunk_of_node[first])
        end++;
    return end;
}

int mb_segments_most(const mb_graph_t *graph, int segments, const int *chunk_of_node)
{
    for (int first = 0, end = 0; first < graph->n_nodes; first = end) {
        end = end_of(graph, chunk_of_node, first);
        int nodes = computing(graph, first, end);
        segments = nodes < segments ? nodes : segments;
    }
    return segments;
}

/* Chunks before and behind the one that is cut have their numbers, and keep them. */
static mb_status_t cut_all(const mb_graph_t *graph, const mb_segments_t *how,
                           mb_partition_options_t *options, int *chunk_of_node)
{
    for (int first = 0, end = 0; first < graph->n_nodes; first = end) {
        int chunk = chunk_of_node[first];
        end = end_of(graph, chunk_of_node, first);
        options->first_node = first;
        options->end_node = end;
        MB_TRY(mb_partition(graph, options, chunk_of_node));
        for (int i = first; i < end; i++)
            chunk_of_node[i] += chunk * how->segments;
    }
    return MB_OK;
}

mb_status_t mb_segments_cut(const mb_graph_t *graph, const mb_segments_t *how, int *chunk_of_node)
{
    size_t n = (size_t)graph->n_nodes;
    int most = mb_segments_most(graph, how->segments, chunk_of_node);
    if (most < how->segments)
        return mb_error_set(
            MB_ERR_ARGUMENT,
            "recompute=full:%d: a chunk of the model has %d nodes that compute, and "
            "as many segments at most",
            how->segments, most);
    mb_node_cost_t *inside = calloc(n, sizeof *inside);
    double *crossing = calloc(n, sizeof *crossing);
    mb_partition_options_t options = {
        .chunks = how->segments, .costs = inside, .crossing = crossing};
    mb_status_t status = MB_OK;
    if (inside == NULL || crossing == NULL) {
        status = mb_error_memory("a plan", n * sizeof *inside);
    } else {
        count_bytes(graph, how, inside, crossing);
        status = cut_all(graph, how, &options, chunk_of_node);
    }
    free(inside);
    free(crossing);
    return status;
}
