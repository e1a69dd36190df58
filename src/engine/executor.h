/* A rank's part of a step: where a plan's actions (pipeline/walk.h) become work and messages.
 *
 * Receives are posted where the list says; a wait stands only in front of the action that needs the
 * data, or that overwrites what is still being sent. What a step is for (training, evaluation,
 * prediction) comes in through hooks. */
#ifndef MB_ENGINE_EXECUTOR_H
#define MB_ENGINE_EXECUTOR_H

#include "engine/activity.h"
#include "engine/recorder.h"
#include "engine/stage_parts.h"
#include "engine/stage_reduce.h"

typedef struct {  /* the step being run */
    int64_t step; /* numbers dropout's masks */
    uint64_t seed;
    int64_t batch; /* samples of the global batch that count */
} mb_step_info_t;

typedef struct {
    void *user;
    /* Puts inputs and labels of a micro-batch (of the group, from 0) into a slot. NULL: none here.
     */
    mb_status_t (*feed)(void *user, const mb_micro_t *micro, int index);
    /* Takes the outputs of a micro-batch after its forward. NULL: not wanted. */
    mb_status_t (*output)(void *user, const mb_micro_t *micro, int index);
    /* After the reduction: gradients in block 0, sums in `sums`. NULL: none (evaluation). */
    mb_status_t (*update)(void *user, const mb_step_info_t *info, float *gradients, double *sums);
    /* The operations that the owner puts on the stream between steps, so that they are planned with
     * the step; the executor calls it while planning only. NULL: none. */
    mb_status_t (*between)(void *user);
} mb_hooks_t;

typedef struct mb_executor mb_executor_t;

typedef struct {
    mb_comm_t *comm;
    const mb_grid_t *grid;
    mb_stage_t *stage;
    mb_transport_t *transport;
    mb_stage_reduce_t *reduction; /* NULL: nothing is summed over replicas (prediction) */
    mb_hooks_t hooks;
    mb_recorder_t *recorder; /* NULL: nothing is recorded */
    mb_account_t *account;   /* where the time goes; NULL: nobody asks */
} mb_executor_options_t;

/* Not collective. */
mb_status_t mb_executor_create(const mb_executor_options_t *options, mb_executor_t **out);
void mb_executor_destroy(mb_executor_t *executor);

/* Walks the step, and what runs between steps, once in planning mode: every operation is checked
 * and prepared, the workspace measured. Nothing is computed or sent. The caller ends planning
 * (mb_exec_allocate). */
mb_status_t mb_executor_prepare(mb_executor_t *executor);

/* One step, all micro-batches of the group. Collective over the grid's working ranks. After it, the
 * sums over all replicas stand in mb_executor_sums (device memory). */
mb_status_t mb_executor_run(mb_executor_t *executor, const mb_step_info_t *info);
double *mb_executor_sums(mb_executor_t *executor);
/* Tensors of the stage stand elsewhere from now on (mb_stage_give). */
void mb_executor_forget_places(mb_executor_t *executor);
/* Waits for this rank's outstanding sends. */
mb_status_t mb_executor_drain(mb_executor_t *executor);

/* Forwards and backwards of a step beside it (executor_again.c): nothing is summed over replicas,
 * updated, counted or recorded. What micro-batches leave in slots, gradients, sums and layers'
 * states is overwritten. */
typedef struct {
    mb_step_info_t info;
    int only;         /* of the group's micro-batches this one alone; -1: all */
    int64_t position; /* ... with the samples that begin here in the global batch: those of
                         whichever group has them in the step */
    const mb_look_t *look;
    void *user; /* of feed, which is as a hook's */
    mb_status_t (*feed)(void *user, const mb_micro_t *micro, int index);
} mb_again_t;
/* Collective over the group's stages. */
mb_status_t mb_executor_run_again(mb_executor_t *executor, const mb_again_t *again);
/* Plans what a LOOK needs that sees calls apart. Allocates; not collective. */
mb_status_t mb_executor_plan_again(mb_executor_t *executor, const mb_look_t *look);

const mb_action_cost_t *mb_executor_costs(const mb_executor_t *executor); /* [MB_ACTION_COUNT] */
int mb_executor_max_requests(const mb_plan_t *plan, int stage);

#endif
