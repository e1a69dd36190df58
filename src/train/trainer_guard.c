/* What a step whose numbers are not finite does to a run (the setting on-nan): it ends it before
 * any weight has changed, or the step is left out on all ranks, with where the first such number
 * came from. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "comm/among.h"
#include "train/judge.h"
#include "train/trainer_private.h"

enum { MOST_IN_A_ROW = 10 };

static const char remedy[] = "Lower the learning rate (it was %.9g), clip the gradients (--clip), "
                             "or look for extreme values "
                             "in the data; the last checkpoint is untouched";

mb_status_t mb_training_not_finite(mb_training_t *trainer, int64_t step, const char *what,
                                   double rate)
{
    char advice[256];
    snprintf(advice, sizeof advice, remedy, rate);
    return mb_error_set(MB_ERR_NUMERIC, "step %lld (epoch %lld): %s. %s", (long long)step + 1,
                        (long long)mb_sampler_epoch(&trainer->sampler, step) + 1, what, advice);
}

/* The same on all working ranks. Where a checkpoint is under way the step is left out, and the
 * failure told at a boundary to come, which idle ranks are at, too. */
static mb_status_t stop(mb_training_t *trainer, int64_t step, const char *what)
{
    if (!mb_training_is_saving(trainer))
        MB_TRY(mb_comm_leave_first(trainer->comm));
    MB_TRY(mb_training_fail_later(
        trainer,
        mb_training_not_finite(trainer, step, what, (double)mb_update_lr(trainer->update))));
    trainer->guard.left_out = true;
    return mb_update_take_states_back(trainer->update);
}

static mb_status_t leave_out(mb_training_t *trainer, const mb_step_info_t *info, const char *what)
{
    mb_guard_t *guard = &trainer->guard;
    char all[1280];
    guard->left_out = true;
    trainer->update->loss_scale.skipped++;
    if (++guard->in_a_row == MOST_IN_A_ROW) {
        snprintf(all, sizeof all, "%s; with it %d steps in a row would be left out", what,
                 MOST_IN_A_ROW);
        return stop(trainer, info->step, all);
    }
    if (mb_comm_rank(trainer->comm) == 0)
        mb_log(trainer->options.log, MB_LOG_WARNING,
               "step %lld (epoch %lld): %s; the step is left out", (long long)info->step + 1,
               (long long)mb_sampler_epoch(&trainer->sampler, info->step) + 1, what);
    return mb_update_take_states_back(trainer->update);
}

static mb_status_t find(mb_training_t *trainer, const mb_step_info_t *info)
{
    const mb_culprit_search_t search = {.engine = trainer->engine,
                                        .model = trainer->model,
                                        .source = trainer->data,
                                        .sampler = trainer->sampler};
    mb_comm_doing(trainer->comm, "finding the first number that is not finite");
    MB_TRY(mb_update_take_states_back(trainer->update));
    return mb_culprit_find(&search, info, &trainer->guard.culprit);
}

static mb_status_t judge(void *user, const mb_step_info_t *info, const double *sums, bool gradients,
                         bool *applies)
{
    mb_training_t *trainer = user;
    mb_guard_t *guard = &trainer->guard;
    char where[1024], what[1152];
    uint32_t found = 0;
    MB_TRY(mb_judge(trainer->update, sums, gradients, &found));
    guard->left_out = false;
    *applies = found == 0;
    if (found == 0) {
        guard->in_a_row = 0;
        return MB_OK;
    }
    MB_TRY(find(trainer, info));
    mb_culprit_text(&guard->culprit, trainer->model->graph, trainer->data->path, where,
                    sizeof where);
    snprintf(what, sizeof what, "%s: %s", mb_judged_name(found), where);
    return guard->skips ? leave_out(trainer, info, what) : stop(trainer, info->step, what);
}

/* Virtual ranks pass time by what a run needs, which this exchange is not, unless it is asked for.
 */
mb_status_t mb_training_take_guard(mb_training_t *trainer)
{
    const char *how = mb_settings_text(trainer->settings, MB_SET_ON_NAN);
    bool asked = trainer->settings->origin[MB_SET_ON_NAN] > MB_FROM_DEFAULT;
    mb_guard_t *guard = &trainer->guard;
    guard->goes_on = strcmp(how, "go-on") == 0;
    guard->skips = strcmp(how, "skip") == 0;
    guard->on = !guard->goes_on && (asked || !mb_comm_is_virtual(trainer->comm));
    if (guard->goes_on || guard->skips || strcmp(how, "stop") == 0)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "--on-nan: '%s' is not stop, skip or go-on", how);
}

void mb_training_post_guard(mb_training_t *trainer)
{
    if (trainer->guard.on)
        trainer->update->guard = (mb_update_guard_t){.user = trainer, .ask = judge};
}

mb_status_t mb_training_guard_step(mb_training_t *trainer)
{
    return trainer->guard.on ? mb_update_keep_states(trainer->update) : MB_OK;
}

void mb_training_say_left_out(const mb_training_t *trainer, mb_step_report_t *report)
{
    const mb_culprit_t *culprit = &trainer->guard.culprit;
    const mb_graph_t *graph = trainer->model->graph;
    report->left_out = trainer->guard.left_out;
    report->steps_left_out = trainer->update->loss_scale.skipped;
    if (!report->left_out || !culprit->found)
        return;
    report->culprit_layer = graph->layers[graph->nodes[culprit->node].layer]->path;
    report->culprit_micro = culprit->micro;
    report->culprit_sample = culprit->sample;
}
