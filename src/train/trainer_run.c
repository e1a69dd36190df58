/* The loop: step, report, validate, checkpoint, until the totals are reached or a stop is asked
 * for. Whether to stop or to save is voted on, so that all ranks do it at the same step. */
#include <math.h>

#include "train/trainer_private.h"

static uint32_t own_votes(mb_training_t *trainer)
{
    const mb_events_t *events = &trainer->options.events;
    uint32_t flags = mb_training_local_votes(trainer) | mb_training_save_votes(trainer);
    if ((events->stop != NULL && events->stop(events->user)) || mb_training_is_near_limit(trainer))
        flags |= MB_VOTE_STOP;
    if (mb_comm_rank(trainer->comm) == 0 && trainer->cadence.seconds > 0 &&
        mb_time_seconds() - trainer->last_save >= trainer->cadence.seconds)
        flags |= MB_VOTE_CHECKPOINT;
    return flags;
}

static mb_status_t compute(mb_training_t *trainer, const mb_step_info_t *info)
{
    mb_engine_t *engine = trainer->engine;
    if (mb_engine_idle(engine))
        return MB_OK;
    if (trainer->resets_states && trainer->state.step_in_epoch == 0)
        MB_TRY(mb_stage_forget_states(engine->stage));
    MB_TRY(mb_check_begin(trainer->check, info));
    double begun = mb_time_seconds(), waited = mb_comm_waited(trainer->comm);
    MB_TRY(mb_training_guard_step(trainer));
    MB_TRY(mb_executor_run(engine->executor, info));
    mb_training_count_pace(trainer, mb_time_seconds() - begun,
                           mb_comm_waited(trainer->comm) - waited);
    if (trainer->guard.left_out)
        return MB_OK;
    mb_account_begin(trainer->account, MB_ACTIVITY_SCORE);
    return mb_score_collect(trainer->score, mb_executor_sums(engine->executor), info->batch);
}

static void count_step(mb_training_t *trainer)
{
    mb_run_state_t *state = &trainer->state;
    state->step++;
    state->step_in_epoch = mb_sampler_step_in_epoch(&trainer->sampler, state->step);
    state->epoch = mb_sampler_epoch(&trainer->sampler, state->step);
    trainer->finished = state->step >= trainer->total_steps;
}

static double loss_scale(const mb_training_t *trainer)
{
    const mb_loss_scale_t *scale = &trainer->update->loss_scale;
    return scale->on ? (double)scale->scale : (double)NAN;
}

static mb_status_t one_step(mb_training_t *trainer, mb_step_report_t *report)
{
    int64_t step = trainer->state.step;
    int64_t in_epoch = mb_sampler_step_in_epoch(&trainer->sampler, step);
    mb_step_info_t info = {.step = step,
                           .seed = mb_settings_seed(trainer->settings, MB_SET_SEED),
                           .batch = mb_sampler_batch(&trainer->sampler, in_epoch)};
    *report = (mb_step_report_t){.step = step + 1,
                                 .total_steps = trainer->total_steps,
                                 .epoch = mb_sampler_epoch(&trainer->sampler, step) + 1,
                                 .step_in_epoch = in_epoch + 1,
                                 .steps_per_epoch = trainer->steps_per_epoch,
                                 .loss = NAN,
                                 .accuracy = NAN,
                                 .lr = (double)mb_update_lr(trainer->update),
                                 .loss_scale = loss_scale(trainer)};
    MB_TRY(compute(trainer, &info));
    /* An idle rank has no update to count its steps. */
    if (mb_engine_idle(trainer->engine))
        trainer->update->iterations++;
    count_step(trainer);
    mb_account_begin(trainer->account, MB_ACTIVITY_REPORT);
    MB_TRY(mb_training_report_step(trainer, report));
    mb_training_count_metrics(trainer, report, info.batch);
    mb_account_enter(trainer->account, MB_ACTIVITY_OTHER);
    return MB_OK;
}

mb_status_t mb_training_step(mb_training_t *trainer, mb_step_report_t *report, bool *done)
{
    *done = trainer->finished;
    if (trainer->finished)
        return MB_OK;
    mb_status_t status = one_step(trainer, report);
    *done = trainer->finished;
    return status == MB_OK ? MB_OK : mb_comm_fail(trainer->comm, status);
}

/* The stages' streams are apart: what one reads of the other's must be done. */
static mb_status_t settle_stream(mb_training_t *trainer)
{
    return mb_engine_idle(trainer->engine) ? MB_OK : mb_exec_sync(&trainer->engine->exec);
}

/* A checkpoint of a model whose validation loss is the least so far is kept. */
static mb_status_t keep_best(mb_training_t *trainer, double loss)
{
    double best = loss;
    MB_TRY(mb_comm_broadcast(trainer->comm, &best, sizeof best, 0));
    if (!isfinite(best) ||
        (!isnan(trainer->state.best_metric) && best >= trainer->state.best_metric))
        return MB_OK;
    trainer->state.best_metric = best;
    trainer->state.best_step = trainer->state.step;
    return trainer->cadence.steps + trainer->cadence.epochs > 0 || trainer->cadence.seconds > 0
               ? mb_training_checkpoint(trainer, trainer->finished)
               : MB_OK;
}

static bool validates(const mb_training_t *trainer)
{
    return trainer->evaluator != NULL &&
           mb_training_is_due(trainer, &trainer->val_cadence, trainer->state.step);
}

/* Validation and what callbacks make of it and of the epoch. */
static mb_status_t look_back(mb_training_t *trainer)
{
    double losses[MB_MAX_INPUTS], accuracies[MB_MAX_INPUTS];
    const char *names[MB_MAX_INPUTS];
    mb_eval_report_t report = {.step = trainer->state.step,
                               .epoch = trainer->state.epoch,
                               .n_outputs = trainer->model->graph->n_outputs,
                               .names = names};
    if (!validates(trainer))
        return mb_training_callbacks(trainer, NULL);
    for (int o = 0; o < report.n_outputs; o++)
        names[o] = trainer->model->graph->outputs[o].name;
    mb_account_begin(trainer->account, MB_ACTIVITY_VALIDATION);
    MB_TRY(settle_stream(trainer));
    MB_TRY(mb_evaluator_run(trainer->evaluator, &report, losses, accuracies));
    MB_TRY(mb_training_report_eval(trainer, &report));
    MB_TRY(mb_training_callbacks(trainer, &report));
    return keep_best(trainer, report.loss);
}

/* A lease that cannot be renewed is looked at before the next commit. */
static mb_status_t renew_lease(mb_training_t *trainer)
{
    if (trainer->dir == NULL || mb_comm_rank(trainer->comm) != 0)
        return MB_OK;
    mb_status_t status = mb_run_dir_renew(trainer->dir);
    return status == MB_ERR_IO && mb_training_forgives(trainer) ? MB_OK : status;
}

/* What stands between two steps. */
static mb_status_t boundary(mb_training_t *trainer, bool *stop)
{
    uint32_t votes;
    mb_account_begin(trainer->account, MB_ACTIVITY_VOTE);
    MB_TRY(mb_comm_vote_finish(trainer->comm, &trainer->vote, &votes));
    mb_account_enter(trainer->account, MB_ACTIVITY_OTHER);
    double since = mb_time_seconds();
    mb_time_limit_step(&trainer->limit, since - trainer->step_begun);
    if (votes & MB_VOTE_END)
        return mb_training_end_failing(trainer, MB_OK);
    MB_TRY(mb_training_follow_save(trainer, votes));
    MB_TRY(look_back(trainer));
    if (validates(trainer))
        mb_time_limit_validation(&trainer->limit, mb_time_seconds() - since);
    mb_account_enter(trainer->account, MB_ACTIVITY_OTHER);
    MB_TRY(renew_lease(trainer));
    mb_training_watch_pace(trainer);
    *stop = (votes & MB_VOTE_STOP) != 0;
    bool last = trainer->finished || *stop;
    if (last)
        MB_TRY(mb_training_settle_save(trainer));
    if (mb_training_is_save_due(trainer, votes))
        MB_TRY(mb_training_checkpoint(trainer, last));
    MB_TRY(mb_training_local_save(trainer, votes));
    return last ? MB_OK : mb_comm_vote_start(trainer->comm, &trainer->vote, own_votes(trainer));
}

static mb_status_t finish(mb_training_t *trainer)
{
    if (!mb_engine_idle(trainer->engine)) {
        MB_TRY(mb_executor_drain(trainer->engine->executor));
        MB_TRY(mb_exec_sync(&trainer->engine->exec));
    }
    MB_TRY(mb_training_checkpoint(trainer, true));
    MB_TRY(mb_training_restore_best(trainer));
    MB_TRY(mb_training_write_final(trainer));
    MB_TRY(mb_training_write_trace(trainer));
    MB_TRY(mb_training_tell_account(trainer));
    return mb_training_write_plan(trainer);
}

static mb_status_t run(mb_training_t *trainer)
{
    mb_step_report_t report;
    bool stop = false;
    MB_TRY(mb_comm_vote_start(trainer->comm, &trainer->vote, own_votes(trainer)));
    mb_training_foresee_save(trainer);
    mb_account_start(trainer->account, MB_ACTIVITY_OTHER);
    while (!trainer->finished && !stop) {
        trainer->step_begun = mb_time_seconds();
        MB_TRY(one_step(trainer, &report));
        MB_TRY(boundary(trainer, &stop));
    }
    mb_account_stop(trainer->account);
    if (!trainer->finished) {
        MB_TRY(mb_training_write_trace(trainer));
        MB_TRY(mb_training_tell_account(trainer));
        return mb_training_say_stopped(trainer);
    }
    return finish(trainer);
}

mb_status_t mb_training_run(mb_training_t *trainer)
{
    mb_status_t status = MB_OK;
    if (!trainer->finished)
        status = run(trainer);
    else if (trainer->dir != NULL && trainer->final_step != trainer->state.step)
        status = finish(trainer); /* it ended between its last checkpoint and final.h5 */
    if (status == MB_OK)
        status = mb_training_write_output(trainer);
    if (status == MB_OK || status == MB_ERR_STOPPED)
        mb_training_local_end(trainer);
    if (status == MB_OK && trainer->dir != NULL)
        status = mb_run_dir_release(trainer->dir);
    if (status != MB_OK && status != MB_ERR_STOPPED) {
        mb_comm_fail(trainer->comm, status);
        mb_training_trace_failure(trainer);
    }
    return status;
}
