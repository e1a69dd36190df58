/* The public trainer: what is set before the start, then the inner training run. */
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "api/arrays.h"
#include "api/metrics.h"
#include "api/settings.h"
#include "base/philox.h"
#include "train/trainer.h"

typedef struct {
    int stages, groups, replicas, idle;
    int64_t parameters, samples, micro_batch;
} layout_numbers_t;

typedef struct {
    mb_step_report_t last;
    double val_loss, val_accuracy;
    int n_metrics; /* rank 0's, of the step and of the validation together */
} numbers_t;

typedef struct {
    mb_evaluation_callback_t evaluated;
    mb_save_callback_t saved;
    void *evaluated_user, *saved_user;
} callbacks_t;

struct mb_trainer {
    mb_context_t *context;
    char *path;
    mb_settings_t *settings;
    mb_api_arrays_t arrays;
    mb_source_t *source;     /* of the arrays; NULL before the start, and with data from a file */
    mb_training_t *training; /* NULL before the start */
    mb_step_callback_t callback;
    void *user;
    volatile sig_atomic_t stop;
    callbacks_t others;
    layout_numbers_t layout;
    numbers_t numbers;
    mb_api_metrics_t metrics, val_metrics;
};

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

static mb_status_t before_start(const mb_trainer_t *trainer, const char *function)
{
    MB_TRY(mb_api_need(trainer, function, "trainer"));
    if (trainer->training == NULL)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "%s: the training has started; call it before mb_trainer_start and the "
                        "first step",
                        function);
}

mb_status_t mb_trainer_set(mb_trainer_t *trainer, const char *key, const char *value)
{
    MB_TRY(before_start(trainer, __func__));
    return mb_api_settings_set(trainer->settings, __func__, key, value);
}

mb_status_t mb_trainer_set_array(mb_trainer_t *trainer, const char *name, mb_type_t type, int rank,
                                 const int64_t *shape, const void *data)
{
    MB_TRY(before_start(trainer, __func__));
    return mb_api_arrays_set(&trainer->arrays, __func__, name, type, rank, shape, data);
}

mb_status_t mb_trainer_set_callback(mb_trainer_t *trainer, mb_step_callback_t callback, void *user)
{
    MB_NEED(trainer);
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
    trainer->layout = (layout_numbers_t){.stages = report->stages,
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
    trainer->numbers.n_metrics = trainer->metrics.n + trainer->val_metrics.n;
    if (trainer->callback != NULL)
        trainer->callback(trainer->user, trainer);
}

static void on_evaluated(void *user, const mb_eval_report_t *report)
{
    mb_trainer_t *trainer = user;
    trainer->numbers.val_loss = report->loss;
    trainer->numbers.val_accuracy = report->accuracy;
    mb_api_metrics_take(&trainer->val_metrics, "val_", report->n_metrics, report->metrics);
    trainer->numbers.n_metrics = trainer->metrics.n + trainer->val_metrics.n;
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

static mb_status_t open_arrays(mb_trainer_t *trainer)
{
    if (trainer->arrays.count == 0)
        return MB_OK;
    if (mb_settings_has(trainer->settings, MB_SET_DATA))
        return mb_error_set(MB_ERR_ARGUMENT,
                            "mb_trainer_start: arrays and the setting 'data' together; use one of "
                            "them");
    return mb_api_arrays_open(&trainer->arrays, &trainer->source);
}

static mb_status_t check_ranks(const mb_trainer_t *trainer)
{
    mb_comm_t *comm = trainer->context->comm;
    uint64_t arrays = trainer->source == NULL ? 0 : trainer->source->digest;
    MB_TRY(mb_api_same(comm, mb_hash_name(trainer->path), "model path"));
    MB_TRY(mb_api_same(comm, mb_api_settings_digest(trainer->settings), "settings"));
    return mb_api_same(comm, arrays, "arrays");
}

static mb_status_t start(mb_trainer_t *trainer)
{
    mb_context_t *context = trainer->context;
    mb_training_options_t options = {.comm = context->comm,
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
    MB_TRY(check_ranks(trainer));
    MB_TRY(mb_training_create(&options, &trainer->training));
    return mb_comm_broadcast(context->comm, &trainer->layout, sizeof trainer->layout, 0);
}

static void close_source(mb_trainer_t *trainer)
{
    if (trainer->source != NULL)
        mb_source_close(trainer->source);
    trainer->source = NULL;
}

mb_status_t mb_trainer_start(mb_trainer_t *trainer)
{
    MB_TRY(before_start(trainer, __func__));
    mb_api_settings_use(trainer->settings, trainer->context);
    mb_status_t status = mb_comm_agree(trainer->context->comm, open_arrays(trainer));
    mb_api_kept_t kept = mb_api_enter();
    if (status == MB_OK)
        status = start(trainer);
    mb_api_leave(&kept);
    if (status != MB_OK && trainer->training == NULL)
        close_source(trainer);
    return status;
}

static mb_status_t start_if_needed(mb_trainer_t *trainer)
{
    return trainer->training != NULL ? MB_OK : mb_trainer_start(trainer);
}

/* Rank 0's numbers everywhere, so that a program may branch on them. */
static mb_status_t share_numbers(mb_trainer_t *trainer)
{
    mb_comm_t *comm = trainer->context->comm;
    MB_TRY(mb_comm_broadcast(comm, &trainer->numbers, sizeof trainer->numbers, 0));
    if (trainer->numbers.n_metrics == 0)
        return MB_OK;
    MB_TRY(mb_api_metrics_share(&trainer->metrics, comm));
    return mb_api_metrics_share(&trainer->val_metrics, comm);
}

mb_status_t mb_trainer_step(mb_trainer_t *trainer, double *loss, int *done)
{
    mb_step_report_t report;
    bool finished;
    MB_NEED(trainer);
    MB_TRY(start_if_needed(trainer));
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = mb_training_step(trainer->training, &report, &finished);
    mb_api_leave(&kept);
    MB_TRY(status);
    MB_TRY(share_numbers(trainer));
    if (loss != NULL)
        *loss = trainer->numbers.last.loss;
    if (done != NULL)
        *done = finished;
    return MB_OK;
}

mb_status_t mb_trainer_run(mb_trainer_t *trainer)
{
    MB_NEED(trainer);
    MB_TRY(start_if_needed(trainer));
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = mb_training_run(trainer->training);
    mb_api_leave(&kept);
    trainer->stop = 0;
    if (status == MB_OK || status == MB_ERR_STOPPED)
        MB_TRY(share_numbers(trainer));
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
    const layout_numbers_t *layout = &trainer->layout;
    const mb_api_number_t numbers[] = {{"step", (double)last->step},
                                       {"total_steps", (double)last->total_steps},
                                       {"epoch", (double)last->epoch},
                                       {"step_in_epoch", (double)last->step_in_epoch},
                                       {"steps_per_epoch", (double)last->steps_per_epoch},
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
                                       {"micro_batch", (double)layout->micro_batch}};
    if (trainer->training == NULL)
        return mb_error_set(MB_ERR_ARGUMENT, "mb_trainer_get: the training has not started");
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
    if (trainer->training == NULL)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "mb_trainer_save: the training has not started; there is nothing to "
                            "save");
    return MB_OK;
}

mb_status_t mb_trainer_save(mb_trainer_t *trainer, const char *path, int state)
{
    MB_NEED(trainer);
    mb_comm_t *comm = trainer->context->comm;
    MB_TRY(mb_comm_agree(comm, check_save(trainer, path, state)));
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = mb_training_save(trainer->training, path, state == 1);
    mb_api_leave(&kept);
    return status;
}

mb_status_t mb_trainer_destroy(mb_trainer_t *trainer)
{
    if (trainer == NULL)
        return MB_OK;
    mb_training_destroy(trainer->training);
    close_source(trainer);
    mb_api_arrays_free(&trainer->arrays);
    mb_settings_destroy(trainer->settings);
    trainer->context->users--;
    free(trainer->path);
    free(trainer);
    return MB_OK;
}
