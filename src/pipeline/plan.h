/* The plan of a run: which node lies in which chunk and on which stage, what crosses between them,
 * and what every rank does in a step, as data.
 *
 *     schedule --generate--> chunks, and compute actions of each stage
 *     graph --partition--> chunk of each node --edges--> what crosses
 *     compute actions --lower--> programs with sends and receives
 *     programs --validate--> free of deadlock under rendezvous, or a message that names the cycle
 *
 * Only the generators know schedules' names. */
#ifndef MB_PIPELINE_PLAN_H
#define MB_PIPELINE_PLAN_H

#include "comm/grid.h"
#include "model/graph.h"
#include "pipeline/partition.h"

/* An activation goes from its producer's chunk to each chunk that consumes it: in one message to
 * each other stage, for the first chunk that takes it there; to further chunks of a stage that has
 * it by standing there. */
typedef struct {
    int tensor;
    int from_chunk, to_chunk;
    int from_stage, to_stage;
    int64_t elements; /* of one sample */
    bool floating;    /* int32 otherwise */
} mb_forward_edge_t;

/* Its gradient comes back once for each use (a consumer's input), so that the producer can add
 * the gradients in one order wherever the consumers run. from_chunk is the consumer's. In order of
 * tensor, consumer, input. There are none when not training, none to a tensor without
 * needs_gradient, and none from an input that its layer is not differentiable in. */
typedef struct {
    int tensor;
    int node, input; /* the use */
    int from_chunk, to_chunk;
    int from_stage, to_stage;
    int64_t elements;
} mb_backward_edge_t;

/* A call of a shared layer that stands on another stage than the layer's first call. */
typedef struct {
    int layer, node;
    int owner_stage, stage;
} mb_tie_t;

/* Gradients of a chunk that are summed over replicas together, as soon as its last backward has
 * come past them: buckets are numbered as it comes by them, from the chunk's end. */
typedef struct {
    int first_node, end_node;
} mb_bucket_t;
/* Where their sums are shared out: so many have room at a time (engine/stage_rooms.h). */
enum { MB_BUCKET_ROOMS = 3 };

struct mb_chunk_edges;

typedef struct mb_plan {
    mb_arena_t *arena;
    const mb_graph_t *graph;
    int stages, chunks;
    int *stage_of_chunk; /* [chunks] */
    int *slots;          /* [chunks] micro-batches of a chunk in flight at most */
    int *first_chunk;    /* [stages] the stage's first one */
    int *next_chunk;     /* [chunks] the next one of the same stage; -1: none */
    int *chunk_of_node, *stage_of_node;
    int *first_node; /* [chunks + 1]: a chunk's nodes are consecutive; an InputLayer goes with the
                        next node that computes */
    int *cuts; /* first nodes of all chunks but the first, before these were cut into segments:
                  as another plan's options */
    int n_forward_edges, n_backward_edges, n_ties;
    mb_forward_edge_t *forward_edges;
    mb_backward_edge_t *backward_edges;
    mb_tie_t *ties;
    const struct mb_chunk_edges *crossing; /* [chunks] the edges of each */
    int *first_bucket;                     /* [chunks + 1] in buckets */
    mb_bucket_t *buckets;                  /* one or more of each chunk */
    int64_t micro_batch;                   /* b */
    int micros_per_replica;                /* M */
    int micros;                            /* of this group: its replicas x M */
    mb_schedule_choice_t schedule;
    bool training;          /* false: forward only */
    bool ordered;           /* for a transport that matches by order (order.h) */
    bool uneven;            /* other groups walk other lists: they have more or fewer replicas */
    mb_program_t *programs; /* [stages] */
    int **turns;            /* see mb_schedule_t; NULL: micro-batches go back in ascending order */
    bool *again;            /* [n_nodes] computed again in front of a backward; NULL: none is */
    bool *chunk_again;      /* [chunks] has such nodes; NULL: none has */
} mb_plan_t;

typedef struct {
    int stages;
    int64_t micro_batch;
    int micros_per_replica;
    int replicas_of_group;
    mb_schedule_choice_t schedule;
    bool training;
    bool ordered, uneven;
    const int *cuts; /* [chunks - 1] first node of chunks 1.., before they are cut into segments, or
                        NULL: balanced by cost */
    const mb_node_cost_t *costs; /* [n_nodes] NULL: counted operations, */
    bool predicts;               /* or what they and the bytes take on the default hardware */
    const double *crossing;      /* [n_nodes] in the same unit; NULL: nothing (partition.h) */
    const double *slowness;      /* [stages] of their devices; NULL: all are alike */
    size_t bucket_bytes;         /* gradients summed together; 0: each chunk's, as a whole */
} mb_plan_options_t;

/* Not collective: every rank computes the same. MB_ERR_ARGUMENT when there are more chunks than
 * nodes that compute (the message says how many fit). */
mb_status_t mb_plan_create(const mb_graph_t *graph, const mb_plan_options_t *options,
                           mb_plan_t **out);
void mb_plan_destroy(mb_plan_t *plan);

/* Fills the plan's buckets (buckets.c). */
mb_status_t mb_buckets_cut(mb_plan_t *plan, size_t bytes);
static inline int mb_plan_buckets(const mb_plan_t *plan, int chunk)
{
    return plan->first_bucket[chunk + 1] - plan->first_bucket[chunk];
}
/* Bucket NUMBER of a chunk, from 1; 0: all its nodes. */
mb_bucket_t mb_plan_bucket(const mb_plan_t *plan, int chunk, int number);
/* Of an action on a micro-batch, whether that is the last one that the chunk goes back over. */
bool mb_action_is_last(const mb_plan_t *plan, const mb_action_t *action);
/* Whether the micro-batch's backward through the chunk ends with the action; and begins. */
bool mb_action_ends(const mb_plan_t *plan, const mb_action_t *action);
static inline bool mb_action_begins(const mb_action_t *action)
{
    return action->bucket <= 1;
}

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
/* Which one of its chunk's gradients of weights a micro-batch's is, from 0: the sums of a replica
 * begin with its first one and end with its last. */
static inline int mb_plan_turn(const mb_plan_t *plan, int chunk, int micro)
{
    return plan->turns == NULL ? micro : plan->turns[chunk][micro];
}
/* Slot of a micro-batch of a chunk: micro % slots. It is the micro-batch's until the last action on
 * it (BW or W, without a backward F) of the chunk and of the later ones of its stage, which read
 * what stands there. */
int mb_plan_slot(const mb_plan_t *plan, int chunk, int micro);

/* Whether the tensor comes into its chunk or goes out of it. */
bool mb_plan_crosses(const mb_plan_t *plan, int tensor);
/* Whether a node is computed again, and what it saves is so kept for one micro-batch only. */
static inline bool mb_plan_is_again(const mb_plan_t *plan, int node)
{
    return plan->again != NULL && plan->again[node];
}
static inline bool mb_plan_computes_again(const mb_plan_t *plan, int chunk)
{
    return plan->chunk_again != NULL && plan->chunk_again[chunk];
}
/* See mb_chunk_lasts. */
static inline bool mb_plan_lasts(const mb_plan_t *plan, int chunk)
{
    return mb_chunk_lasts(plan->slots[chunk], mb_plan_computes_again(plan, chunk));
}
/* Whether what crosses stays on its stage. */
static inline bool mb_forward_edge_stays(const mb_forward_edge_t *edge)
{
    return edge->from_stage == edge->to_stage;
}
static inline bool mb_backward_edge_stays(const mb_backward_edge_t *edge)
{
    return edge->from_stage == edge->to_stage;
}

#endif
