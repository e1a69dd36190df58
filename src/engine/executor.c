/* The executor: see executor.h. Its beginning and end, and a step from one to the other; what it
 * does for an action is in executor_walk.c. */
#include "engine/executor_private.h"

#include <stdlib.h>

mb_status_t mb_executor_create(const mb_executor_options_t *options, mb_executor_t **out)
{
    const mb_plan_t *plan = options->stage->plan;
    mb_executor_t *executor = calloc(1, sizeof *executor);
    if (executor == NULL)
        return mb_error_memory("an executor", sizeof *executor);
    executor->options = *options;
    executor->stage = options->stage;
    executor->plan = plan;
    /* A device whose actions are recorded goes on by itself. On a virtual rank no time passes
     * between calls. */
    if (options->stage->exec->device->class_->record_begin == NULL &&
        !mb_comm_is_virtual(options->comm)) {
        options->stage->between = mb_executor_go_on_reducing;
        options->stage->between_user = executor;
    }
    executor->walk = (mb_walk_t){.class_ = &mb_executor_walk_class,
                                 .user = executor,
                                 .plan = plan,
                                 .stage = options->stage->stage};
    mb_grid_replicas(options->grid, options->grid->group, &executor->first_replica,
                     &executor->n_replicas);
    for (int i = 0; i < executor->stage->n_chunks; i++) {
        int slots = executor->stage->chunks[i].n_slots;
        executor->most_slots = slots > executor->most_slots ? slots : executor->most_slots;
    }
    size_t slots = (size_t)executor->most_slots;
    executor->subtrees = calloc((size_t)executor->stage->n_chunks, sizeof *executor->subtrees);
    executor->forward =
        calloc((size_t)plan->n_forward_edges * slots + 1, sizeof *executor->forward);
    executor->backward =
        calloc((size_t)plan->n_backward_edges * slots + 1, sizeof *executor->backward);
    if (executor->forward == NULL || executor->backward == NULL || executor->subtrees == NULL) {
        mb_executor_destroy(executor);
        return mb_error_memory("the requests of an executor", slots);
    }
    mb_status_t status = mb_replays_create(executor->stage, &executor->replays);
    if (status != MB_OK) {
        mb_executor_destroy(executor);
        return status;
    }
    *out = executor;
    return MB_OK;
}

void mb_executor_destroy(mb_executor_t *executor)
{
    if (executor == NULL)
        return;
    mb_executor_cancel_messages(executor);
    mb_comm_leave_layer(executor->options.comm);
    executor->stage->between = NULL;
    mb_replays_destroy(executor->replays);
    free(executor->forward);
    free(executor->backward);
    free(executor->subtrees);
    free(executor);
}

double *mb_executor_sums(mb_executor_t *executor)
{
    return executor->subtrees[0].sums[0];
}

void mb_executor_forget_places(mb_executor_t *executor)
{
    mb_replays_restart(executor->replays);
}

const mb_action_cost_t *mb_executor_costs(const mb_executor_t *executor)
{
    return executor->walk.costs;
}

void mb_executor_say(const mb_executor_t *executor, const char *action, int micro)
{
    const mb_stage_t *stage = executor->stage;
    stage->exec->layer = NULL;
    mb_comm_at_t at = {.action = action,
                       .counts = stage->training         ? "step"
                                 : stage->losses != NULL ? "evaluation step"
                                                         : "prediction step",
                       .step = executor->info.step + 1,
                       .stage = stage->stage,
                       .micro = micro,
                       .layer = &stage->exec->layer};
    mb_comm_at(executor->options.comm, &at);
}

void mb_executor_micro(const mb_executor_t *executor, int chunk, int index, mb_micro_t *micro)
{
    int per_replica = executor->plan->micros_per_replica;
    int64_t samples = executor->plan->micro_batch;
    int replica = index / per_replica;
    bool alone = executor->again != NULL && executor->again->only >= 0;
    int64_t position =
        ((int64_t)(executor->first_replica + replica) * per_replica + index % per_replica) *
        samples;
    position = alone ? executor->again->position : position;
    int64_t valid = executor->info.batch - position;
    *micro = (mb_micro_t){
        .chunk = chunk,
        .slot = mb_plan_slot(executor->plan, chunk, index),
        .block = mb_executor_subtree(executor, chunk)->stack.depth,
        .index = index,
        .replica = replica,
        .accumulate = !alone && mb_plan_turn(executor->plan, chunk, index) % per_replica != 0,
        .valid = valid < 0         ? 0
                 : valid > samples ? samples
                                   : valid,
        .seed = executor->info.seed,
        .step = (uint32_t)executor->info.step,
        .position = (uint32_t)position,
        .batch = executor->info.batch};
}

mb_status_t mb_executor_start(mb_executor_t *executor, const mb_step_info_t *info)
{
    mb_stage_t *stage = executor->stage;
    executor->info = *info;
    for (int i = 0; i < stage->n_chunks; i++)
        mb_tree_stack_start(&executor->subtrees[i].stack, executor->options.grid->replicas,
                            executor->first_replica, executor->n_replicas);
    for (int r = 0; r < stage->n_sum_blocks && stage->sum_count > 0; r++) {
        mb_zero_args_t args = {.bytes = stage->sum_count * (int64_t)sizeof(double),
                               .y = stage->sums[r]};
        MB_TRY(mb_run_zero(stage->exec, &args));
    }
    return mb_stage_round(stage);
}

/* Evaluation has no backward: replicas join the tree, and are summed, after the last forward. */
static mb_status_t finish_evaluation(mb_executor_t *executor)
{
    if (executor->stage->training || executor->options.reduction == NULL)
        return MB_OK;
    return mb_executor_reduce_all(executor);
}

mb_status_t mb_executor_run(mb_executor_t *executor, const mb_step_info_t *info)
{
    bool ended = false;
    int before = mb_account_begin(executor->options.account, MB_ACTIVITY_START);
    MB_TRY(mb_executor_start(executor, info));
    mb_account_enter(executor->options.account, before);
    mb_walk_start(&executor->walk);
    MB_TRY(mb_walk_go(&executor->walk, &ended));
    MB_TRY(mb_executor_turn_group(executor, NULL));
    MB_TRY(finish_evaluation(executor));
    executor->current = NULL;
    mb_executor_say(executor, NULL, -1);
    return MB_OK;
}

/* All kinds of operation of a micro-batch; the second backward adds to what the first one left. */
static mb_status_t prepare_chunk(mb_executor_t *executor, int chunk)
{
    mb_micro_t micro;
    mb_stage_t *stage = executor->stage;
    mb_executor_micro(executor, chunk, 0, &micro);
    micro.valid = executor->plan->micro_batch;
    MB_TRY(mb_stage_forward(stage, &micro));
    if (!stage->training)
        return MB_OK;
    if (mb_plan_computes_again(executor->plan, chunk))
        MB_TRY(mb_stage_recompute(stage, &micro));
    MB_TRY(mb_stage_backward(stage, &micro));
    micro.accumulate = true;
    return mb_stage_backward(stage, &micro);
}

mb_status_t mb_executor_prepare_micro(mb_executor_t *executor)
{
    for (int i = 0; i < executor->stage->n_chunks; i++)
        MB_TRY(prepare_chunk(executor, executor->stage->chunks[i].chunk));
    return MB_OK;
}

static mb_status_t prepare_reduction(mb_executor_t *executor)
{
    if (executor->options.reduction == NULL)
        return MB_OK;
    MB_TRY(mb_executor_reduce_all(executor));
    executor->walk.costs[MB_ACTION_REDUCE].bytes = 0;
    return MB_OK;
}

mb_status_t mb_executor_prepare(mb_executor_t *executor)
{
    mb_stage_t *stage = executor->stage;
    const mb_hooks_t *hooks = &executor->options.hooks;
    mb_step_info_t info = {.batch = executor->plan->micro_batch};
    stage->exec->draws = false;
    MB_TRY(mb_executor_start(executor, &info));
    MB_TRY(mb_executor_prepare_micro(executor));
    mb_replays_forget(executor->replays, stage->exec->draws);
    MB_TRY(prepare_reduction(executor));
    if (stage->training && hooks->update != NULL)
        MB_TRY(
            hooks->update(hooks->user, &info, stage->gradients[0], executor->subtrees[0].sums[0]));
    return hooks->between == NULL ? MB_OK : hooks->between(hooks->user);
}
