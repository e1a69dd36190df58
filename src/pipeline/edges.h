/* What crosses between stages, and each stage's share of it. Inside src/pipeline only. */
#ifndef MB_PIPELINE_EDGES_H
#define MB_PIPELINE_EDGES_H

#include "pipeline/plan.h"

typedef struct {
    int n;
    int *edges; /* ascending */
} mb_edge_list_t;

typedef struct {
    mb_edge_list_t forward_in, forward_out;   /* indices of plan->forward_edges */
    mb_edge_list_t backward_in, backward_out; /* of plan->backward_edges */
} mb_stage_edges_t;

/* Fills the plan's edges and ties from its stage_of_node. */
mb_status_t mb_edges_find(mb_plan_t *plan);
/* [stages], in the arena. */
mb_status_t mb_edges_by_stage(const mb_plan_t *plan, mb_arena_t *arena, mb_stage_edges_t **out);

#endif
