/* Which node lies in which chunk: runs of nodes whose costliest chunk costs least. Not collective:
 * every rank computes the same from the same numbers. */
#ifndef MB_PIPELINE_PARTITION_H
#define MB_PIPELINE_PARTITION_H

#include "pipeline/costs.h"

typedef struct {   /* of one node, in bytes */
    double once;   /* parameters, their gradients and moments */
    double flight; /* what each micro-batch in flight keeps of it */
} mb_node_bytes_t;

typedef struct {
    int chunks;
    int first_node, end_node;     /* the nodes to cut; 0, 0: all */
    const int *cuts;              /* [chunks - 1] first node of chunks 1..; NULL: chosen */
    const mb_node_cost_t *costs;  /* [n_nodes] NULL: counted operations */
    const double *crossing;       /* [n_nodes] what it costs each of two chunks that a node's output
                                     goes from one to the other, and its gradient back; NULL: nothing */
    const double *slowness;       /* [chunks] what costs are multiplied by there; NULL: 1 */
    const mb_node_bytes_t *bytes; /* [n_nodes] NULL: memory does not matter */
    const double *limits;         /* [chunks] bytes that a chunk may take */
    const int *slots;             /* [chunks] micro-batches of a chunk in flight */
} mb_partition_options_t;

/* Fills chunk_of_node, of the nodes to cut. A tensor that crosses several cuts is charged at each
 * of them. MB_ERR_ARGUMENT: more chunks than nodes that compute, or cuts that leave one empty;
 * MB_ERR_MEMORY: no partition keeps within the limits. */
mb_status_t mb_partition(const mb_graph_t *graph, const mb_partition_options_t *options,
                         int *chunk_of_node);
/* Nodes that compute: the most chunks there can be. */
int mb_plan_max_stages(const mb_graph_t *graph);
/* MB_ERR_ARGUMENT unless the graph can be cut into so many parts. */
mb_status_t mb_partition_check(const mb_graph_t *graph, int chunks);
/* The costliest chunk's share of the operations times the number of chunks: 1 is perfect. */
double mb_partition_imbalance(const mb_graph_t *graph, const int *chunk_of_node, int chunks);

#endif
