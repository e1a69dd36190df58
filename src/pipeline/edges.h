/* What crosses between chunks, and each chunk's share of it. Inside src/pipeline only. */
#ifndef MB_PIPELINE_EDGES_H
#define MB_PIPELINE_EDGES_H

#include "pipeline/plan.h"

typedef struct {
    int n;
    int *edges; /* ascending */
} mb_edge_list_t;

typedef struct mb_chunk_edges {               /* messages, */
    mb_edge_list_t forward_in, forward_out;   /* indices of plan->forward_edges */
    mb_edge_list_t backward_in, backward_out; /* of plan->backward_edges */
    mb_edge_list_t forward_near,
        backward_near; /* and what comes in from chunks of the same stage */
} mb_chunk_edges_t;

/* Messages of a micro-batch. */
static inline size_t mb_edges_messages(const mb_chunk_edges_t *edges)
{
    return (size_t)edges->forward_in.n + (size_t)edges->forward_out.n +
           (size_t)edges->backward_in.n + (size_t)edges->backward_out.n;
}

/* Fills the plan's edges and ties from its chunk_of_node. */
mb_status_t mb_edges_find(mb_plan_t *plan);
/* [chunks], in the arena. */
mb_status_t mb_edges_by_chunk(const mb_plan_t *plan, mb_arena_t *arena, mb_chunk_edges_t **out);

#endif
