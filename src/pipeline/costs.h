/* What the calls of a graph take, of one micro-batch: counted, predicted for a device, or measured
 * by whoever fills the same table (engine/profile). */
#ifndef MB_PIPELINE_COSTS_H
#define MB_PIPELINE_COSTS_H

#include "model/graph.h"
#include "pipeline/hardware.h"
#include "pipeline/schedule.h"

typedef struct {
    double forward, backward_input, backward_weights;
} mb_node_cost_t;

struct mb_plan;

/* [n_nodes] Operations, as the layers count them; what has no gradient to give or no weight to
 * train costs none. */
void mb_costs_count(const mb_graph_t *graph, int64_t micro_batch, mb_node_cost_t *out);
/* [n_nodes] Seconds on a device: the longer of its operations and of what it moves (what comes in
 * and goes out, each once: the roofline of Williams, Waterman and Patterson 2009), behind the
 * weights and the overhead of a call. */
void mb_costs_predict(const mb_graph_t *graph, const mb_hardware_t *hardware, int64_t micro_batch,
                      mb_node_cost_t *out);
/* [n_nodes] What it takes each of two devices that a node's output goes from one to the other over
 * LINK, and its gradient back: the sending or receiving of both. */
void mb_costs_of_crossing(const mb_graph_t *graph, const mb_hardware_link_t *link,
                          int64_t micro_batch, double *out);
/* [chunks] Sums over a chunk's nodes; messages take nothing. */
void mb_costs_of_chunks(const struct mb_plan *plan, const mb_node_cost_t *nodes,
                        mb_chunk_cost_t *out);
/* [chunks] Bytes of the messages that go out of a chunk forward, of one micro-batch. */
void mb_costs_of_messages(const struct mb_plan *plan, double *bytes);

static inline double mb_node_seconds(const mb_node_cost_t *cost)
{
    return cost->forward + cost->backward_input + cost->backward_weights;
}

#endif
