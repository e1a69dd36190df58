/* The inside of an executor, shared by its files. */
#ifndef MB_ENGINE_EXECUTOR_PRIVATE_H
#define MB_ENGINE_EXECUTOR_PRIVATE_H

#include "engine/executor.h"
#include "engine/replay.h"

typedef struct { /* of one chunk: its replicas' way up the tree */
    mb_tree_stack_t stack;
    double *sums[MB_TREE_MAX_ROOTS]; /* the stack's double blocks */
} mb_subtree_t;

struct mb_executor {
    mb_executor_options_t options;
    mb_stage_t *stage;
    const mb_plan_t *plan;
    int first_replica, n_replicas;
    int most_slots;                     /* of the stage's chunks */
    mb_request_t **forward, **backward; /* [edges][most_slots] */
    mb_replays_t *replays;
    mb_subtree_t *subtrees; /* [stage->n_chunks] */
    mb_step_info_t info;
    const mb_again_t *again; /* NULL: it is the step itself */
    const mb_action_t *current;
    bool grouping; /* messages are being handed over together */
    mb_walk_t walk;
};

/* executor.c */
/* Of what the others say when this rank falls silent. */
void mb_executor_say(const mb_executor_t *executor, const char *action, int micro);
void mb_executor_micro(const mb_executor_t *executor, int chunk, int index, mb_micro_t *micro);
mb_status_t mb_executor_start(mb_executor_t *executor, const mb_step_info_t *info);
/* While planning: all kinds of operation of a micro-batch. */
mb_status_t mb_executor_prepare_micro(mb_executor_t *executor);

/* executor_again.c: whether only part of a step's actions is computed, and this is none of it. */
bool mb_executor_leaves_out(const mb_executor_t *executor, const mb_action_t *action);

/* executor_walk.c */
extern const mb_walk_class_t mb_executor_walk_class;

/* executor_messages.c */
mb_status_t mb_executor_await(mb_executor_t *executor, const mb_walk_wait_t *wait);
/* Begins a send or a receive. */
mb_status_t mb_executor_message(mb_executor_t *executor, const mb_action_t *action);
/* Begins and ends groups of messages, as the list says. NULL: at its end. */
mb_status_t mb_executor_turn_group(mb_executor_t *executor, const mb_action_t *next);
void mb_executor_cancel_messages(mb_executor_t *executor);

/* executor_sums.c */
mb_subtree_t *mb_executor_subtree(const mb_executor_t *executor, int chunk);
/* A replica's last micro-batch is through a chunk, or a bucket of it: the stretch of its block
 * joins the tree; with the chunk's end its sums do. */
mb_status_t mb_executor_join(mb_executor_t *executor, int chunk, int bucket, int replica);
/* Begins the sum of a bucket, or all, of the stage's chunk number INDEX over the replicas. */
mb_status_t mb_executor_reduce(mb_executor_t *executor, int index, int bucket);
/* Before a backward writes gradients of a bucket, or all: the places are free. */
mb_status_t mb_executor_make_room(mb_executor_t *executor, int chunk, int bucket);
/* USER: an executor. What has arrived meanwhile is added, and handed on. */
mb_status_t mb_executor_go_on_reducing(void *user);
/* All replicas join, and all chunks are summed. */
mb_status_t mb_executor_reduce_all(mb_executor_t *executor);

#endif
