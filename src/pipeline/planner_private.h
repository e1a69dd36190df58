/* Shared by the files of the planner. */
#ifndef MB_PIPELINE_PLANNER_PRIVATE_H
#define MB_PIPELINE_PLANNER_PRIVATE_H

#include "pipeline/planner.h"

/* planner_estimate.c. The stage of a chunk; micro-batches that a stage has in flight at most, in
 * whole stages' worth. */
int mb_planner_stage_of(const mb_candidate_t *c, int chunk);
double mb_planner_in_flight(const mb_candidate_t *c, int stage);
typedef struct { /* bytes of a node, of a micro-batch */
    double output, saved, carried;
    double sent; /* forward, in messages */
    bool fixed;  /* the output stays in flight, computed again or not */
    bool read;   /* a backward reads it */
    bool leaves; /* a later chunk takes it, and sends its share of the gradient */
    bool own;    /* its own backward reads it */
} mb_planner_node_t;
/* READERS: of kept.h. */
mb_planner_node_t mb_planner_node(const mb_graph_t *graph, const int *chunk_of_node,
                                  const mb_candidate_t *c, int node, const int *readers);
bool mb_planner_is_again(const mb_candidate_t *c, const mb_node_t *node);
/* Gradients of weights are computed apart. */
bool mb_planner_splits(const mb_candidate_t *c);
/* What each stage takes; MEMORY: [stages] or NULL. */
mb_status_t mb_planner_estimate_stages(const mb_planner_options_t *options,
                                       const mb_node_cost_t *nodes, const int *chunk_of_node,
                                       mb_candidate_t *candidate, double *memory);

/* Numbers that a rank has of each of its parameters: itself, moments, gradients. Of ZeRO's second
 * stage, which shares gradients out, at most. */
double mb_planner_numbers_held(const mb_planner_options_t *options, const mb_candidate_t *c);

/* *OUT: [chunks - 1] first nodes of all chunks but the first, in the arena. MB_ERR_MEMORY. */
mb_status_t mb_planner_cuts(const mb_graph_t *graph, const int *chunk_of_node, int chunks,
                            mb_arena_t *arena, const int **out);
/* planner_cut.c: a cut of a candidate with one chunk a stage that keeps each stage within LIMIT,
 * the fastest such; fills in the candidate, with c->cuts in the arena. CUT: the fastest without
 * limit. *fits: false, where there is none. */
mb_status_t mb_planner_fit_cut(const mb_planner_options_t *options, const mb_node_cost_t *costs,
                               const int *cut, double limit, mb_arena_t *arena, mb_candidate_t *c,
                               bool *fits);

/* planner_slots.c: micro-batches that each chunk has places for, in SLOTS, zeros before. Only
 * MB_ERR_MEMORY. */
mb_status_t mb_planner_slots(const mb_candidate_t *c, int *slots);
/* planner_memory.c: adds to STAGES, [stages], bytes of activations and their gradients. Only
 * MB_ERR_MEMORY. */
mb_status_t mb_planner_memory(const mb_planner_options_t *options, const int *chunk_of_node,
                              const mb_candidate_t *c, double *stages);

/* planner_recompute.c: the layers that are computed again, so that each stage keeps within LIMIT;
 * fills in the candidate, with c->layers in the arena. *fits: false, where not even all would. */
mb_status_t mb_planner_choose_layers(const mb_planner_options_t *options,
                                     const mb_node_cost_t *nodes, const int *chunk_of_node,
                                     double limit, mb_arena_t *arena, mb_candidate_t *candidate,
                                     bool *fits);

#endif
