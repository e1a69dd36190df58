/* The walk's class (pipeline/walk.h) of a rank that computes: its calls end when what they do is
 * done. */
#include "engine/executor_private.h"

static mb_status_t run_forward(mb_executor_t *executor, const mb_action_t *action)
{
    mb_micro_t micro;
    const mb_hooks_t *hooks = &executor->options.hooks;
    mb_executor_micro(executor, action->chunk, action->micro, &micro);
    MB_TRY(mb_replays_run(executor->replays, mb_stage_forward, &micro));
    return hooks->output == NULL ? MB_OK : hooks->output(hooks->user, &micro, action->micro);
}

/* What was sent of the micro-batch is written anew, with the same bits. */
static mb_status_t run_again(mb_executor_t *executor, const mb_action_t *action)
{
    mb_micro_t micro;
    mb_executor_micro(executor, action->chunk, action->micro, &micro);
    return mb_replays_run(executor->replays, mb_stage_recompute, &micro);
}

static bool ends_replica(const mb_executor_t *executor, const mb_action_t *at)
{
    const mb_plan_t *plan = executor->plan;
    return (mb_plan_turn(plan, at->chunk, at->micro) + 1) % plan->micros_per_replica == 0;
}

static mb_status_t run_backward(mb_executor_t *executor, const mb_action_t *at)
{
    mb_micro_t micro;
    mb_action_kind_t kind = at->kind;
    mb_executor_micro(executor, at->chunk, at->micro, &micro);
    micro.bucket = at->bucket;
    bool sums = executor->again == NULL;
    if (kind != MB_ACTION_B && sums)
        MB_TRY(mb_executor_make_room(executor, at->chunk, at->bucket));
    if (sums)
        MB_TRY(mb_executor_go_on_reducing(executor));
    mb_stage_action_t action = kind == MB_ACTION_BW  ? mb_stage_backward
                               : kind == MB_ACTION_B ? mb_stage_backward_input
                                                     : mb_stage_backward_weights;
    MB_TRY(mb_replays_run(executor->replays, action, &micro));
    if (kind != MB_ACTION_B && sums && ends_replica(executor, at))
        MB_TRY(mb_executor_join(executor, at->chunk, at->bucket, micro.replica));
    return MB_OK;
}

/* Without learning a micro-batch past the data leaves nothing behind, on any stage. */
static bool is_past_data(const mb_executor_t *executor, const mb_action_t *action)
{
    mb_micro_t micro;
    if (executor->stage->training || action->micro < 0)
        return false;
    mb_executor_micro(executor, action->chunk, action->micro, &micro);
    return micro.valid == 0;
}

static double walk_clock(void *user)
{
    return mb_comm_clock(((const mb_executor_t *)user)->options.comm);
}

static double walk_waited(void *user)
{
    return mb_comm_waited(((const mb_executor_t *)user)->options.comm);
}

/* On a virtual rank the time passes that the action, or its bucket, takes. */
static void pass_time(const mb_executor_t *executor, const mb_action_t *action)
{
    mb_comm_work(executor->options.comm, (int)action->kind, action->chunk, action->bucket);
}

static mb_status_t walk_begin(void *user, const mb_action_t *action, bool *skip)
{
    mb_executor_t *executor = user;
    *skip = is_past_data(executor, action) || mb_executor_leaves_out(executor, action);
    if (*skip)
        return MB_OK;
    executor->current = action;
    mb_account_begin(executor->options.account, (int)action->kind);
    mb_executor_say(executor, mb_action_name(action->kind), action->micro);
    return mb_executor_turn_group(executor, action);
}

static mb_status_t walk_feed(void *user, const mb_action_t *action)
{
    mb_micro_t micro;
    mb_executor_t *executor = user;
    const mb_hooks_t *hooks = &executor->options.hooks;
    const mb_again_t *again = executor->again;
    if (again == NULL && hooks->feed == NULL)
        return MB_OK;
    mb_executor_micro(executor, action->chunk, action->micro, &micro);
    mb_executor_say(executor, "reading the data for F", action->micro);
    int before = mb_account_begin(executor->options.account, MB_ACTIVITY_FEED);
    MB_TRY(again == NULL ? hooks->feed(hooks->user, &micro, action->micro)
                         : again->feed(again->user, &micro, action->micro));
    mb_account_enter(executor->options.account, before);
    mb_executor_say(executor, mb_action_name(MB_ACTION_F), action->micro);
    return MB_OK;
}

static mb_status_t walk_await(void *user, const mb_action_t *action, const mb_walk_wait_t *wait,
                              bool *done)
{
    (void)action;
    (void)done;
    return mb_executor_await(user, wait);
}

static mb_status_t walk_compute(void *user, const mb_action_t *action, bool *done)
{
    (void)done;
    MB_TRY(action->kind == MB_ACTION_F   ? run_forward(user, action)
           : action->kind == MB_ACTION_R ? run_again(user, action)
                                         : run_backward(user, action));
    pass_time(user, action);
    return MB_OK;
}

static mb_status_t walk_message(void *user, const mb_action_t *action)
{
    return mb_executor_message(user, action);
}

static mb_status_t walk_reduce(void *user, const mb_action_t *action)
{
    mb_executor_t *executor = user;
    const mb_stage_t *stage = executor->stage;
    return mb_executor_reduce(executor, (int)(stage->chunk_of[action->chunk] - stage->chunks),
                              action->bucket);
}

static mb_status_t walk_await_sums(void *user, bool *done)
{
    mb_executor_t *executor = user;
    (void)done;
    if (executor->options.reduction == NULL)
        return MB_OK;
    int before = mb_account_enter(executor->options.account, MB_ACTION_REDUCE);
    MB_TRY(mb_stage_reduce_finish(executor->options.reduction));
    mb_account_enter(executor->options.account, before);
    return MB_OK;
}

static mb_status_t walk_step(void *user, const mb_action_t *action, bool *done)
{
    mb_executor_t *executor = user;
    const mb_hooks_t *hooks = &executor->options.hooks;
    (void)done;
    if (hooks->update != NULL)
        MB_TRY(hooks->update(hooks->user, &executor->info, executor->stage->gradients[0],
                             executor->subtrees[0].sums[0]));
    pass_time(executor, action);
    return MB_OK;
}

static mb_status_t walk_end(void *user, const mb_action_t *action, const mb_walk_times_t *times)
{
    mb_executor_t *executor = user;
    mb_recorder_t *recorder = executor->options.recorder;
    if (recorder != NULL && executor->again == NULL) {
        mb_trace_record_t record = mb_trace_record((int)executor->info.step, action, times);
        mb_recorder_add(recorder, &record);
    }
    mb_account_enter(executor->options.account, MB_ACTIVITY_OTHER);
    return MB_OK;
}

static mb_status_t walk_behind(void *user, bool *done)
{
    const mb_executor_t *executor = user;
    (void)done;
    return executor->again != NULL ? MB_OK : mb_executor_go_on_reducing(user);
}

const mb_walk_class_t mb_executor_walk_class = {.size = sizeof mb_executor_walk_class,
                                                .clock = walk_clock,
                                                .waited = walk_waited,
                                                .begin = walk_begin,
                                                .feed = walk_feed,
                                                .await = walk_await,
                                                .compute = walk_compute,
                                                .message = walk_message,
                                                .reduce = walk_reduce,
                                                .await_sums = walk_await_sums,
                                                .step = walk_step,
                                                .end = walk_end,
                                                .behind = walk_behind};
