/* The public trainer: what is set before the start, then the inner training run. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/trainer_private.h"

mb_status_t mb_trainer_create(mb_context_t *context, const char *path, mb_trainer_t **out)
{
    MB_NEED(context);
    MB_NEED(path);
    MB_TRY(mb_api_need(out, __func__, "trainer"));
    mb_trainer_t *trainer = calloc(1, sizeof *trainer);
    if (trainer == NULL)
        return mb_error_memory("a trainer", sizeof *trainer);
    trainer->context = context;
    trainer->path = strdup(path);
    trainer->numbers.last = (mb_step_report_t){.loss = NAN, .accuracy = NAN, .lr = NAN};
    trainer->numbers.val_loss = trainer->numbers.val_accuracy = NAN;
    mb_status_t status = trainer->path == NULL ? mb_error_memory("a path", strlen(path)) : MB_OK;
    if (status == MB_OK)
        status = mb_api_settings_create(&trainer->settings);
    if (status != MB_OK) {
        free(trainer->path);
        free(trainer);
        return status;
    }
    context->users++;
    *out = trainer;
    return MB_OK;
}

mb_status_t mb_api_trainer_before_start(const mb_trainer_t *trainer, const char *function)
{
    MB_TRY(mb_api_need(trainer, function, "trainer"));
    if (!mb_api_trainer_has_started(trainer))
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "%s: the training has started; call it before mb_trainer_start and the "
                        "first step",
                        function);
}

/* Of the time between two calls of mb_trainer_run_for. */
static mb_status_t set_share(mb_trainer_t *trainer, const char *value)
{
    char *end;
    MB_TRY(mb_api_need(value, "mb_trainer_set", "value"));
    mb_api_kept_t kept = mb_api_enter();
    double share = strtod(value, &end);
    mb_api_leave(&kept);
    bool percent = *end == '%';
    if (end == value || end[percent] != '\0' || !(share > 0) || isinf(share))
        return mb_error_set(MB_ERR_ARGUMENT,
                            "setting 'share': '%s' is not a part of the time, as 0.2 or 20%%",
                            value);
    trainer->pace.share = percent ? share / 100 : share;
    return MB_OK;
}

mb_status_t mb_trainer_set(mb_trainer_t *trainer, const char *key, const char *value)
{
    MB_TRY(mb_api_trainer_before_start(trainer, __func__));
    if (key != NULL && strcmp(key, "ranks") == 0)
        return mb_api_trainer_set_ranks(trainer, value);
    if (key != NULL && strcmp(key, "share") == 0)
        return set_share(trainer, value);
    return mb_api_settings_set(trainer->settings, __func__, key, value);
}

mb_status_t mb_trainer_set_array(mb_trainer_t *trainer, const char *name, mb_type_t type, int rank,
                                 const int64_t *shape, const void *data)
{
    MB_TRY(mb_api_trainer_before_start(trainer, __func__));
    return mb_api_arrays_set(&trainer->arrays, __func__, name, type, rank, shape, data);
}

mb_status_t mb_trainer_set_callback(mb_trainer_t *trainer, mb_step_callback_t callback, void *user)
{
    MB_NEED(trainer);
    MB_TRY(mb_api_need_idle(trainer->context, __func__));
    trainer->callback = callback;
    trainer->user = user;
    return MB_OK;
}

mb_status_t mb_trainer_set_evaluation_callback(mb_trainer_t *trainer,
                                               mb_evaluation_callback_t callback, void *user)
{
    MB_NEED(trainer);
    trainer->others.evaluated = callback;
    trainer->others.evaluated_user = user;
    return MB_OK;
}

mb_status_t mb_trainer_set_save_callback(mb_trainer_t *trainer, mb_save_callback_t callback,
                                         void *user)
{
    MB_NEED(trainer);
    trainer->others.saved = callback;
    trainer->others.saved_user = user;
    return MB_OK;
}

static void on_start(void *user, const mb_start_report_t *report)
{
    mb_trainer_t *trainer = user;
    trainer->layout = (mb_layout_numbers_t){.stages = report->stages,
                                            .groups = report->groups,
                                            .replicas = report->replicas,
                                            .idle = report->idle,
                                            .parameters = report->parameters,
                                            .samples = report->samples,
                                            .micro_batch = report->micro_batch};
    for (int i = 0; i < report->n_notes; i++)
        mb_log(&trainer->context->log, MB_LOG_INFO, "%s", report->notes[i]);
}

static void on_step(void *user, const mb_step_report_t *report)
{
    mb_trainer_t *trainer = user;
    trainer->numbers.last = *report;
    mb_api_metrics_take(&trainer->metrics, "", report->n_metrics, report->metrics);
    trainer->numbers.n_metrics = trainer->metrics.n;
    if (trainer->callback != NULL)
        trainer->callback(trainer->user, trainer);
}

static void on_evaluated(void *user, const mb_eval_report_t *report)
{
    mb_trainer_t *trainer = user;
    trainer->numbers.val_loss = report->loss;
    trainer->numbers.val_accuracy = report->accuracy;
    mb_api_metrics_take(&trainer->val_metrics, "val_", report->n_metrics, report->metrics);
    trainer->numbers.n_val_metrics = trainer->val_metrics.n;
    if (trainer->others.evaluated != NULL)
        trainer->others.evaluated(trainer->others.evaluated_user, trainer);
}

static void on_saved(void *user, const char *path)
{
    mb_trainer_t *trainer = user;
    if (trainer->others.saved != NULL)
        trainer->others.saved(trainer->others.saved_user, trainer, path);
}

static bool on_stop(void *user)
{
    return ((mb_trainer_t *)user)->stop != 0;
}

static mb_status_t start_training(mb_trainer_t *trainer)
{
    mb_context_t *context = trainer->context;
    mb_training_options_t options = {.comm = mb_api_trainer_comm(trainer),
                                     .model = trainer->path,
                                     .settings = trainer->settings,
                                     .source = trainer->source,
                                     .no_directory =
                                         !mb_settings_has(trainer->settings, MB_SET_RUN),
                                     .log = &context->log,
                                     .events = {.user = trainer,
                                                .start = on_start,
                                                .step = on_step,
                                                .evaluated = on_evaluated,
                                                .saved = on_saved,
                                                .stop = on_stop}};
    return trainer->absent ? MB_OK : mb_training_create(&options, &trainer->training);
}

static mb_status_t start(mb_trainer_t *trainer)
{
    bool in;
    mb_comm_t *all = trainer->context->comm;
    MB_TRY(mb_api_trainer_come_together(trainer));
    mb_status_t status = start_training(trainer);
    if (trainer->apart != NULL || trainer->absent)
        status = mb_comm_agree(all, status);
    MB_TRY(status);
    int first = mb_api_trainer_first(trainer, &in);
    return mb_comm_broadcast(all, &trainer->layout, sizeof trainer->layout, first);
}

mb_status_t mb_trainer_start(mb_trainer_t *trainer)
{
    MB_TRY(mb_api_trainer_before_start(trainer, __func__));
    MB_TRY(mb_api_need_idle(trainer->context, __func__));
    mb_api_settings_use(trainer->settings, trainer->context);
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = start(trainer);
    mb_api_leave(&kept);
    if (status != MB_OK && trainer->training == NULL)
        mb_api_trainer_go_apart(trainer);
    return status;
}

mb_status_t mb_api_trainer_start_if_needed(mb_trainer_t *trainer)
{
    if (trainer->bereft)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "the trainer has no samples since mb_trainer_renew failed; renew it, "
                            "or destroy it");
    return mb_api_trainer_has_started(trainer) ? MB_OK : mb_trainer_start(trainer);
}

mb_status_t mb_api_trainer_share(mb_trainer_t *trainer)
{
    mb_comm_t *comm = mb_api_trainer_comm(trainer);
    MB_TRY(mb_comm_broadcast(comm, &trainer->numbers, sizeof trainer->numbers, 0));
    trainer->metrics.n = trainer->numbers.n_metrics;
    trainer->val_metrics.n = trainer->numbers.n_val_metrics;
    return mb_api_metrics_share_both(&trainer->metrics, &trainer->val_metrics, comm);
}

mb_status_t mb_api_trainer_step(mb_trainer_t *trainer)
{
    mb_step_report_t report;
    bool finished;
    return mb_training_step(trainer->training, &report, &finished);
}

mb_status_t mb_trainer_step(mb_trainer_t *trainer, double *loss, int *done)
{
    MB_NEED(trainer);
    MB_TRY(mb_api_need_idle(trainer->context, __func__));
    MB_TRY(mb_api_trainer_start_if_needed(trainer));
    if (trainer->absent) {
        if (loss != NULL)
            *loss = NAN;
        if (done != NULL)
            *done = 1;
        return MB_OK;
    }
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = mb_api_trainer_step(trainer);
    mb_api_leave(&kept);
    MB_TRY(status);
    MB_TRY(mb_api_trainer_share(trainer));
    if (loss != NULL)
        *loss = trainer->numbers.last.loss;
    if (done != NULL)
        *done = mb_training_finished(trainer->training);
    return MB_OK;
}

mb_status_t mb_trainer_run(mb_trainer_t *trainer)
{
    MB_NEED(trainer);
    MB_TRY(mb_api_need_idle(trainer->context, __func__));
    MB_TRY(mb_api_trainer_start_if_needed(trainer));
    if (trainer->absent)
        return MB_OK;
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = mb_training_run(trainer->training);
    mb_api_leave(&kept);
    trainer->stop = 0;
    if (status == MB_OK || status == MB_ERR_STOPPED)
        MB_TRY(mb_api_trainer_share(trainer));
    return status;
}

mb_status_t mb_trainer_stop(mb_trainer_t *trainer)
{
    if (trainer == NULL)
        return MB_ERR_ARGUMENT; /* no message: a signal handler may be calling */
    trainer->stop = 1;
    return MB_OK;
}

mb_status_t mb_trainer_get(const mb_trainer_t *trainer, const char *name, double *value)
{
    MB_NEED(trainer);
    MB_NEED(name);
    MB_NEED(value);
    const mb_step_report_t *last = &trainer->numbers.last;
    const mb_layout_numbers_t *layout = &trainer->layout;
    const mb_held_counts_t counts = mb_source_held_counts(trainer->source);
    const double known = trainer->absent ? (double)NAN : 0; /* of what a step tells */
    const mb_api_number_t numbers[] = {{"step", (double)last->step + known},
                                       {"total_steps", (double)last->total_steps + known},
                                       {"epoch", (double)last->epoch + known},
                                       {"step_in_epoch", (double)last->step_in_epoch + known},
                                       {"steps_per_epoch", (double)last->steps_per_epoch + known},
                                       {"loss", last->loss},
                                       {"accuracy", last->accuracy},
                                       {"lr", last->lr},
                                       {"samples_per_second", last->samples_per_second},
                                       {"seconds_left", last->seconds_left},
                                       {"val_loss", trainer->numbers.val_loss},
                                       {"val_accuracy", trainer->numbers.val_accuracy},
                                       {"parameters", (double)layout->parameters},
                                       {"samples", (double)layout->samples},
                                       {"stages", layout->stages},
                                       {"groups", layout->groups},
                                       {"replicas", layout->replicas},
                                       {"idle", layout->idle},
                                       {"micro_batch", (double)layout->micro_batch},
                                       {"bytes_copied", (double)counts.copied},
                                       {"bytes_sent", (double)counts.sent},
                                       {"bytes_received", (double)counts.received}};
    if (!mb_api_trainer_has_started(trainer))
        return mb_error_set(MB_ERR_ARGUMENT, "mb_trainer_get: the training has not started");
    if (trainer->submitted != NULL && !mb_submitted_is_self(trainer->submitted))
        return mb_api_need_idle(trainer->context, __func__);
    if (mb_api_metrics_get(&trainer->metrics, name, value) ||
        mb_api_metrics_get(&trainer->val_metrics, name, value))
        return MB_OK;
    return mb_api_number(numbers, (int)(sizeof numbers / sizeof numbers[0]), name, value);
}

static mb_status_t check_save(const mb_trainer_t *trainer, const char *path, int state)
{
    MB_TRY(mb_api_need(path, "mb_trainer_save", "path"));
    if (state != 0 && state != 1)
        return mb_error_set(MB_ERR_ARGUMENT, "mb_trainer_save: state is %d; 0 or 1 is wanted",
                            state);
    if (!mb_api_trainer_has_started(trainer))
        return mb_error_set(MB_ERR_ARGUMENT,
                            "mb_trainer_save: the training has not started; there is nothing to "
                            "save");
    return MB_OK;
}

mb_status_t mb_trainer_save(mb_trainer_t *trainer, const char *path, int state)
{
    MB_NEED(trainer);
    MB_TRY(mb_api_need_idle(trainer->context, __func__));
    if (trainer->absent)
        return check_save(trainer, path, state);
    MB_TRY(mb_comm_agree(mb_api_trainer_comm(trainer), check_save(trainer, path, state)));
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = mb_training_save(trainer->training, path, state == 1);
    mb_api_leave(&kept);
    return status;
}

mb_status_t mb_trainer_destroy(mb_trainer_t *trainer)
{
    if (trainer == NULL)
        return MB_OK;
    trainer->stop = trainer->submitted != NULL;
    mb_trainer_wait(trainer);
    mb_training_destroy(trainer->training);
    mb_api_trainer_go_apart(trainer);
    free(trainer->pace.said);
    mb_api_arrays_free(&trainer->arrays);
    mb_api_samples_free(&trainer->samples);
    if (trainer->reservoir != NULL)
        mb_api_reservoir_use(trainer->reservoir, -1);
    mb_settings_destroy(trainer->settings);
    trainer->context->users--;
    free(trainer->ranks);
    free(trainer->path);
    free(trainer);
    return MB_OK;
}
