/* Forwards and backwards of a step beside it, by the step's own walk: see executor.h. A step that
 * is under way, up to its update, finds its place in the list again. */
#include "engine/executor_private.h"

static bool is_of_a_micro(const mb_action_t *action)
{
    return action->kind != MB_ACTION_REDUCE && action->kind != MB_ACTION_STEP;
}

bool mb_executor_leaves_out(const mb_executor_t *executor, const mb_action_t *action)
{
    if (executor->again == NULL)
        return false;
    int only = executor->again->only;
    return !is_of_a_micro(action) || (only >= 0 && action->micro != only);
}

static mb_status_t walk_again(mb_executor_t *executor, const mb_step_info_t *info)
{
    bool ended;
    MB_TRY(mb_executor_start(executor, info));
    mb_walk_start(&executor->walk);
    MB_TRY(mb_walk_go(&executor->walk, &ended));
    return mb_executor_turn_group(executor, NULL);
}

mb_status_t mb_executor_run_again(mb_executor_t *executor, const mb_again_t *again)
{
    const mb_walk_t walk = executor->walk;
    const mb_action_t *current = executor->current;
    executor->again = again;
    executor->stage->look = again->look;
    mb_status_t status = walk_again(executor, &again->info);
    executor->stage->look = NULL;
    executor->again = NULL;
    executor->current = current;
    executor->walk = walk;
    return status;
}

/* What is recorded has the workspace of before in it. */
mb_status_t mb_executor_plan_again(mb_executor_t *executor, const mb_look_t *look)
{
    mb_stage_t *stage = executor->stage;
    stage->look = look;
    stage->exec->planning = true;
    mb_status_t status = mb_executor_prepare_micro(executor);
    stage->exec->planning = false;
    stage->look = NULL;
    mb_replays_forget(executor->replays, stage->exec->draws);
    return status == MB_OK ? mb_exec_allocate(stage->exec) : status;
}
