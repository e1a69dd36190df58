/* Which layouts there are for so many ranks, what a step on each would take, and which of them fit
 * into memory: from the hardware's rates and closed formulas, without a schedule being made, so
 * that ten thousand ranks take no longer than two. Not collective; the same numbers give the same
 * order. */
#ifndef MB_PIPELINE_PLANNER_H
#define MB_PIPELINE_PLANNER_H

#include "pipeline/partition.h"

typedef struct {
    const mb_graph_t *graph;
    const mb_hardware_t *hardware;
    int ranks;
    int64_t batch; /* samples of a step */
    double memory; /* bytes that a rank may take; 0: the hardware's */
    int moments;   /* numbers that the optimizer keeps of a parameter */
    bool copies;   /* a rank keeps a copy of what it writes into checkpoints */
    int zero;      /* ZeRO's stage: groups share these out (1), and the summed gradients (2) */
    double bucket; /* bytes of gradients summed together; 0: a stage's */
    bool offloads; /* what is kept of micro-batches stands in host memory, but for two */
    bool fits_cut; /* candidates say their cuts; where the fastest does not fit, one that does is
                      looked for */
    int stages;    /* given; 0: any */
    int replicas;  /* given; 0: as many as pipelines */
    int64_t micro_batch;                  /* given; 0: any */
    const mb_schedule_choice_t *schedule; /* given; NULL: any */
    const mb_node_cost_t *measured;       /* [n_nodes] of a micro-batch of measured_for samples, and
                                             of others in proportion; NULL: predicted */
    int64_t measured_for;
    const mb_schedule_choice_t *recompute; /* given: its recomputes and layers; NULL: none, the
                                              layers that it takes to fit, or all */
} mb_planner_options_t;

typedef struct {
    int stages, groups, replicas, idle;
    int64_t micro_batch;
    int micros; /* of a pipeline in a step */
    mb_schedule_choice_t schedule;
    const int *cuts; /* [chunks - 1] first nodes of all chunks but the first, as they are planned;
                        NULL: a run cuts as it will */
    bool by_memory;  /* the cut keeps within memory where the fastest does not */
    const bool *layers; /* [n_layers] computed again, where the schedule recomputes; NULL: all */
    double seconds;     /* of a step; the sum of the five below */
    double compute;     /* of the slowest stage */
    double bubble;      /* that it waits while the pipeline fills and empties */
    double messages;
    double reduce; /* over the replicas */
    double update;
    double efficiency; /* the part of all ranks' time that computes */
    double memory;     /* bytes, the most of a rank, by formula */
    double counted;    /* the same as a run takes it; 0: not counted, as by the planner itself */
    double imbalance;  /* the slowest stage beside the mean */
} mb_candidate_t;

/* All that fit, the fastest first (at equal times fewer stages, larger micro-batches, less memory);
 * in the arena. *least is the least memory that any would take, and is not set where planning
 * itself failed. MB_ERR_MEMORY, naming it: none fits; MB_ERR_ARGUMENT: what is given fits no
 * layout. */
mb_status_t mb_planner_rank(const mb_planner_options_t *options, mb_arena_t *arena,
                            mb_candidate_t **out, int *n, double *least);
/* MB_ERR_ARGUMENT: of ZeRO's second stage, where each of GROUPS groups computes so many
 * micro-batches a step, and has whole sums of gradients until the last. */
mb_status_t mb_planner_refuse_zero(int groups, int micros, int64_t batch);
const char *mb_schedule_name(mb_schedule_kind_t kind); /* "1f1b"; without number or path */

/* planner_explain.c: what a step consists of, and what would take a part off it. */
typedef struct {
    const char *name, *remedy;
    double seconds;
} mb_candidate_part_t;
enum { MB_CANDIDATE_PARTS = 6 };
void mb_planner_split(const mb_candidate_t *candidate, mb_candidate_part_t out[MB_CANDIDATE_PARTS]);
/* The fastest with another number of stages than the first, or NULL, and the part that the first
 * has less of, by most. */
const mb_candidate_t *mb_planner_rival(const mb_candidate_t *all, int n, const char **part);

/* planner_estimate.c: what a candidate takes. NODES: [n_nodes] of its micro-batch; CHUNK_OF_NODE:
 * its cut. MB_ERR_MEMORY. */
mb_status_t mb_planner_estimate(const mb_planner_options_t *options, const mb_node_cost_t *nodes,
                                const int *chunk_of_node, mb_candidate_t *candidate);

#endif
