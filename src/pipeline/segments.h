/* Where chunks are cut into the segments that are computed again one by one: so that the largest
 * takes least memory, of what lies inside it and of what it keeps of the micro-batches in flight,
 * exactly, by the partitioner's dynamic programming. No bit depends on it. */
#ifndef MB_PIPELINE_SEGMENTS_H
#define MB_PIPELINE_SEGMENTS_H

#include "model/graph.h"

typedef struct {
    int segments; /* of each */
    int64_t samples;
    int flight; /* micro-batches in flight, about */
} mb_segments_t;

/* SEGMENTS, or as many nodes that compute as the chunk has that has the fewest. */
int mb_segments_most(const mb_graph_t *graph, int segments, const int *chunk_of_node);
/* Turns chunk c of CHUNK_OF_NODE, [n_nodes], into segments c * segments ...; MB_ERR_ARGUMENT: a
 * chunk has fewer nodes that compute. */
mb_status_t mb_segments_cut(const mb_graph_t *graph, const mb_segments_t *how, int *chunk_of_node);

#endif
