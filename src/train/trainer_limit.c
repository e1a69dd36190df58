/* The moment before which a run is to have stopped (time_limit.h): by --max-time, or what the
 * caller knows of, whichever comes first. */
#include <stdio.h>

#include "base/str.h"
#include "train/trainer_private.h"

/* Weights and two moments, of float32. */
#define STATE_BYTES 12.0
/* Behind the last checkpoint ranks end together, and so does MPI. */
#define ENDING_SECONDS 0.5

bool mb_training_is_due(const mb_training_t *trainer, const mb_cadence_t *cadence, int64_t step)
{
    int64_t epoch = mb_sampler_epoch(&trainer->sampler, step);
    if (cadence->steps > 0)
        return step % cadence->steps == 0;
    return cadence->epochs > 0 && mb_sampler_step_in_epoch(&trainer->sampler, step) == 0 &&
           epoch % cadence->epochs == 0;
}

static void take_max_time(mb_training_t *trainer, mb_time_end_t *end)
{
    const char *text = mb_settings_text(trainer->settings, MB_SET_MAX_TIME);
    double begun = trainer->options.started > 0 ? trainer->options.started : mb_time_seconds();
    double at = begun + mb_settings_real(trainer->settings, MB_SET_MAX_TIME);
    if (text == NULL || (end->at > 0 && end->at < at))
        return;
    end->at = at;
    end->behind = ENDING_SECONDS;
    end->what = mb_arena_format(trainer->arena, "the end of --max-time %s", text);
}

static double state_bytes(const mb_training_t *trainer)
{
    double elements = 0;
    for (int p = 0; p < trainer->model->graph->n_params; p++)
        elements += (double)trainer->model->graph->params[p].elements;
    return STATE_BYTES * elements;
}

mb_status_t mb_training_take_limit(mb_training_t *trainer)
{
    char left[32];
    mb_time_limit_t *limit = &trainer->limit;
    mb_time_end_t end = trainer->options.end;
    take_max_time(trainer, &end);
    if (end.at <= 0 || trainer->finished)
        return MB_OK;
    if (end.what == NULL)
        return mb_error_memory("a time limit", 0);
    mb_time_limit_begin(limit, &end, state_bytes(trainer));
    if (trainer->val != NULL)
        limit->val_steps = (double)trainer->val->samples / (double)trainer->layout.batch;
    mb_training_note(trainer, "stops with a checkpoint in time before %s, in %s", end.what,
                     mb_str_seconds(end.at - mb_time_seconds(), left, sizeof left));
    return MB_OK;
}

bool mb_training_is_near_limit(mb_training_t *trainer)
{
    const mb_cadence_t *every = &trainer->cadence;
    int64_t step = trainer->state.step;
    double now = mb_time_seconds();
    mb_time_ahead_t ahead = {0};
    if (trainer->limit.end.at <= 0 || mb_comm_rank(trainer->comm) != 0)
        return false;
    for (int64_t next = step + 1; next <= step + 2 && trainer->evaluator != NULL; next++)
        ahead.validations += mb_training_is_due(trainer, &trainer->val_cadence, next);
    bool by_time = every->seconds > 0 && now - trainer->last_save >= every->seconds;
    bool under_way = mb_training_is_saving(trainer);
    ahead.saves = under_way || by_time || mb_training_is_due(trainer, every, step + 1);
    return mb_time_limit_is_near(&trainer->limit, now, &ahead);
}

/* Of a run that its limit has stopped, with what it was reckoned from. */
static const char *why_stopped(const mb_training_t *trainer, char *text, size_t capacity)
{
    const mb_time_limit_t *limit = &trainer->limit;
    char said[160], step[32], save[32];
    if (!limit->stops)
        return "stopped on request";
    mb_time_limit_say(limit, mb_time_seconds(), said, sizeof said);
    snprintf(text, capacity, "%s (a step took up to %s, a checkpoint %s)", said,
             mb_str_seconds(limit->step, step, sizeof step),
             mb_str_seconds(limit->save, save, sizeof save));
    return text;
}

mb_status_t mb_training_say_stopped(const mb_training_t *trainer)
{
    char why[320];
    return mb_error_set(
        MB_ERR_STOPPED, "%s after step %lld of %lld%s", why_stopped(trainer, why, sizeof why),
        (long long)trainer->state.step, (long long)trainer->total_steps,
        trainer->dir == NULL ? "" : ", with a complete checkpoint; the same command goes on");
}
