/* The plan of a run: which node lies on which stage, what crosses between stages, and what every
 * rank does in a step, as data.
 *
 *     graph --partition--> stage of each node --edges--> what crosses
 *     schedule --generate--> compute actions --lower--> programs with sends and receives
 *     programs --validate--> free of deadlock under rendezvous, or a message that names the cycle
 *
 * Only the generators know schedules' names. */
#ifndef MB_PIPELINE_PLAN_H
#define MB_PIPELINE_PLAN_H

#include "comm/grid.h"
#include "model/graph.h"

typedef enum { MB_SCHEDULE_GPIPE = 0, MB_SCHEDULE_1F1B } mb_schedule_kind_t;
mb_status_t mb_schedule_parse(const char *name, mb_schedule_kind_t *out);
const char *mb_schedule_name(mb_schedule_kind_t kind);

typedef enum {
    MB_ACTION_F = 0,     /* forward of micro-batch `micro` */
    MB_ACTION_B,         /* gradient of the inputs */
    MB_ACTION_W,         /* gradient of the weights */
    MB_ACTION_BW,        /* both */
    MB_ACTION_R,         /* recompute the forward */
    MB_ACTION_SEND_ACT,  /* edge: forward edge */
    MB_ACTION_RECV_ACT,  /* posts the receive; the wait is in front of the action that needs it */
    MB_ACTION_SEND_GRAD, /* edge: backward edge */
    MB_ACTION_RECV_GRAD,
    MB_ACTION_REDUCE, /* gradients of a chunk over the replicas */
    MB_ACTION_STEP,   /* tied sums, clipping, optimizer, statistics */
    MB_ACTION_COUNT
} mb_action_kind_t;

typedef struct {
    mb_action_kind_t kind;
    int chunk; /* model chunk of this rank; 0 while a stage has one */
    int micro; /* micro-batch of the group's step: replica * M + m, from 0; -1: does not apply */
    int edge;  /* -1: does not apply */
    int peer;  /* stage; -1: does not apply */
    int tag;
    bool joins; /* a message of an ordered plan: handed over together with the one before it */
} mb_action_t;

typedef struct {
    int n;
    mb_action_t *actions;
    int slots;            /* micro-batches in flight at most: activation slots of this stage */
    bool splits_backward; /* B and W stand apart */
} mb_program_t;

/* An activation goes from its producer's stage to each stage that consumes it, once. */
typedef struct {
    int tensor;
    int from_stage, to_stage;
    int64_t elements; /* of one sample */
    bool floating;    /* int32 otherwise */
} mb_forward_edge_t;

/* Its gradient comes back once for each use (a consumer's input), so that the producer can add
 * the gradients in one order wherever the consumers run. from_stage is the consumer's. In order of
 * tensor, consumer, input. There are none when not training, none to a tensor without
 * needs_gradient, and none from an input that its layer is not differentiable in. */
typedef struct {
    int tensor;
    int node, input; /* the use */
    int from_stage, to_stage;
    int64_t elements;
} mb_backward_edge_t;

/* A call of a shared layer that stands on another stage than the layer's first call. */
typedef struct {
    int layer, node;
    int owner_stage, stage;
} mb_tie_t;

typedef struct mb_plan {
    mb_arena_t *arena;
    const mb_graph_t *graph;
    int stages;
    int *stage_of_node;
    int *first_node; /* [stages + 1]: a stage's nodes are consecutive; an InputLayer goes with the
                        next node that computes */
    int n_forward_edges, n_backward_edges, n_ties;
    mb_forward_edge_t *forward_edges;
    mb_backward_edge_t *backward_edges;
    mb_tie_t *ties;
    int64_t micro_batch;    /* b */
    int micros_per_replica; /* M */
    int micros;             /* of this group: its replicas x M */
    mb_schedule_kind_t schedule;
    bool training;          /* false: forward only */
    bool ordered;           /* for a transport that matches by order (order.h) */
    mb_program_t *programs; /* [stages] */
} mb_plan_t;

typedef struct {
    int stages;
    int64_t micro_batch;
    int micros_per_replica;
    int replicas_of_group;
    mb_schedule_kind_t schedule;
    bool training;
    bool ordered;
    const int *cuts; /* [stages - 1] first node of stages 1.., or NULL: balanced by cost */
} mb_plan_options_t;

/* Not collective: every rank computes the same. MB_ERR_ARGUMENT when there are more stages than
 * nodes that compute (the message says how many stages fit). */
mb_status_t mb_plan_create(const mb_graph_t *graph, const mb_plan_options_t *options,
                           mb_plan_t **out);
void mb_plan_destroy(mb_plan_t *plan);

/* Nodes that compute: the most stages there can be. */
int mb_plan_max_stages(const mb_graph_t *graph);
/* Exact partition that makes the costliest stage least costly; stage_of_node is filled. */
mb_status_t mb_partition(const mb_graph_t *graph, int stages, const int *cuts, int *stage_of_node);
/* The costliest stage's share times the number of stages: 1 is perfect. */
double mb_partition_imbalance(const mb_graph_t *graph, const int *stage_of_node, int stages);

/* Schedule generators: the compute actions of one stage, in order (micro filled). Returned in the
 * arena. */
mb_status_t mb_schedule_generate(mb_schedule_kind_t kind, bool training, int stages, int stage,
                                 int micros, mb_arena_t *arena, mb_program_t *out);
/* Adds sends and receives. Programs come in with compute actions only. */
mb_status_t mb_lower(mb_plan_t *plan);
/* Runs all programs against each other under rendezvous semantics: a send is complete when its
 * receive is posted; a slot is reused only when its sends are complete. MB_ERR_INTERNAL with the
 * cycle, an unmatched message, or a slot overwritten while in use. */
mb_status_t mb_validate(const mb_plan_t *plan);
/* The same for an ordered plan, where messages match by order and hold up those behind them: each
 * stage hands its groups to one queue, a group is under way when those before it and the compute
 * actions in front of it are done, and is over as a whole. */
mb_status_t mb_validate_order(const mb_plan_t *plan);
/* One line per stage, for golden tests and people. malloc'ed. */
char *mb_plan_text(const mb_plan_t *plan);

/* Bytes that stage STAGE of a group sends in a step (without reductions): the plan's formula. */
int64_t mb_plan_bytes_sent(const mb_plan_t *plan, int stage);
/* Slot of a micro-batch on a stage: micro % slots. */
int mb_plan_slot(const mb_plan_t *plan, int stage, int micro);

#endif
