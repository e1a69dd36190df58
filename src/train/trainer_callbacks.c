/* The callbacks of a run: metrics of an epoch are gathered and decided on by rank 0, which tells
 * the others, so that all do the same on any layout.
 *
 * Metrics of training ("loss", "accuracy") are means over the epoch's samples and are there at its
 * end; those of validation ("val_loss") wherever it was run. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/finite.h"
#include "train/trainer_private.h"

#define RESTORE_NAME "restore.h5"
#define BEST_NAME "best.h5"

typedef mb_log_entry_t entry_t;

enum { MOST_ENTRIES = 4 + 2 * MB_MAX_INPUTS + 2 * MB_MOST_METRICS };

/* A metric that is not finite is none, but a loss is. */
typedef struct {
    int n;
    entry_t entries[MOST_ENTRIES];
} logs_t;

/* What rank 0 decided; it travels as bytes. */
typedef struct {
    mb_callback_state_t state;
    mb_status_t status;
    bool keep, stop, lower, best;
} verdict_t;

static mb_status_t refuse_schedule(const mb_training_t *trainer)
{
    if (!trainer->callbacks.plateau.on || trainer->optimizer->schedule == NULL)
        return MB_OK;
    return mb_error_set(
        MB_ERR_ARGUMENT,
        "reduce-lr-on-plateau: the learning rate follows a schedule, which cannot be "
        "lowered besides; use --lr X for a constant one");
}

static bool watches_val(const mb_monitor_t *monitor)
{
    return monitor->on && strncmp(monitor->metric, "val_", 4) == 0;
}

static mb_status_t check_val(const mb_training_t *trainer, const char *key,
                             const mb_monitor_t *monitor)
{
    if (!watches_val(monitor) || trainer->val != NULL)
        return MB_OK;
    return mb_error_set(
        MB_ERR_ARGUMENT,
        "%s watches '%s', and there is no validation data: use --val or --val-split", key,
        monitor->metric);
}

/* Files go into the run's directory, which a program may do without. */
static mb_status_t check_place(const mb_training_t *trainer)
{
    const mb_callbacks_t *callbacks = &trainer->callbacks;
    if (trainer->dir != NULL || (!callbacks->best.on && !callbacks->stop.restore_best))
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "%s keeps a file in the run's directory, and there is none: set run",
                        callbacks->best.on ? "save-best" : "early-stop with restore-best");
}

mb_status_t mb_training_take_callbacks(mb_training_t *trainer)
{
    const mb_settings_t *s = trainer->settings;
    const struct {
        mb_watch_t watch;
        mb_setting_id_t id;
        mb_monitor_t *monitor;
    } all[] = {{MB_WATCH_STOP, MB_SET_EARLY_STOP, &trainer->callbacks.stop},
               {MB_WATCH_PLATEAU, MB_SET_PLATEAU, &trainer->callbacks.plateau},
               {MB_WATCH_BEST, MB_SET_SAVE_BEST, &trainer->callbacks.best}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        const char *key = mb_setting_info(all[i].id)->key;
        MB_TRY(mb_monitor_parse(all[i].watch, key, mb_settings_text(s, all[i].id), all[i].monitor));
        MB_TRY(check_val(trainer, key, all[i].monitor));
        trainer->callbacks.any = trainer->callbacks.any || all[i].monitor->on;
    }
    MB_TRY(check_place(trainer));
    MB_TRY(mb_training_take_guard(trainer));
    trainer->val_cadence = mb_settings_cadence(s, MB_SET_VAL_EVERY);
    if (trainer->val_cadence.seconds > 0)
        return mb_error_set(
            MB_ERR_ARGUMENT,
            "val-every: a time would make the run depend on the machine; give steps "
            "(500) or epochs (2epochs)");
    return refuse_schedule(trainer);
}

static mb_status_t use_rate(mb_training_t *trainer, double rate)
{
    char text[40];
    snprintf(text, sizeof text, "%.17g", rate);
    MB_TRY(mb_optimizer_set(trainer->optimizer, "lr", text, trainer->arena));
    return mb_training_make_training_config(trainer);
}

mb_status_t mb_training_resume_callbacks(mb_training_t *trainer)
{
    mb_callback_state_t *state = &trainer->state.callbacks;
    if (!state->present)
        *state = (mb_callback_state_t){.rate = NAN};
    state->present = trainer->callbacks.any;
    if (trainer->callbacks.stop.on && state->stopped)
        trainer->finished = true;
    return trainer->callbacks.plateau.on && !isnan(state->rate) ? use_rate(trainer, state->rate)
                                                                : MB_OK;
}

/* Those that are one number. The accuracy under its common name is there anyway. */
static int take_metrics(const mb_metric_value_t *metrics, int n, const char *prefix, entry_t *out)
{
    int taken = 0;
    for (int i = 0; i < n && taken < MB_MOST_METRICS; i++) {
        size_t length = strlen(prefix) + strlen(metrics[i].name);
        if (metrics[i].listed || length >= MB_MONITOR_NAME ||
            strcmp(metrics[i].name, "accuracy") == 0)
            continue;
        strcpy(out[taken].name, prefix);
        strcat(out[taken].name, metrics[i].name);
        out[taken++].value = metrics[i].values[0];
    }
    return taken;
}

void mb_training_count_metrics(mb_training_t *trainer, const mb_step_report_t *report,
                               int64_t samples)
{
    mb_callback_state_t *state = &trainer->state.callbacks;
    if (!trainer->callbacks.any || mb_comm_rank(trainer->comm) != 0)
        return;
    if (!report->left_out) {
        state->loss_sum += report->loss * (double)samples;
        state->accuracy_sum += report->accuracy * (double)samples;
        state->samples += (double)samples;
    }
    if (report->step_in_epoch == report->steps_per_epoch)
        trainer->callbacks.n_metrics =
            take_metrics(report->metrics, report->n_metrics, "", trainer->callbacks.metrics);
}

mb_status_t mb_training_check_loss(mb_training_t *trainer, const mb_step_report_t *report)
{
    char loss[32];
    const char *what = isnan(report->loss) ? "NaN" : "infinite";
    if (isfinite(report->loss) || report->left_out)
        return MB_OK;
    if (trainer->guard.goes_on) {
        if (!trainer->callbacks.told)
            mb_log(trainer->options.log, MB_LOG_WARNING,
                   "step %lld (epoch %lld): the loss is %s, and the run goes on",
                   (long long)report->step, (long long)report->epoch, what);
        trainer->callbacks.told = true;
        return MB_OK;
    }
    snprintf(loss, sizeof loss, "the loss is %s", what);
    return mb_training_not_finite(trainer, report->step - 1, loss, report->lr);
}

/* A loss that was finite before an update says nothing of the weights behind it. */
mb_status_t mb_training_check_weights(mb_training_t *trainer, const mb_snapshot_t *snapshot)
{
    char what[512];
    mb_status_t status = MB_OK;
    if (trainer->guard.goes_on)
        return MB_OK;
    status = mb_weights_check_finite(trainer->update, snapshot);
    if (status == MB_ERR_NUMERIC) {
        snprintf(what, sizeof what, "after its update %s", mb_error_get());
        mb_training_not_finite(trainer, trainer->state.step - 1, what,
                               (double)mb_update_lr(trainer->update));
    }
    return mb_training_end_failing(trainer, status);
}

/* NAME has its end within an entry's. */
static void add_loss(logs_t *logs, const char *name, double value)
{
    if (logs->n == MOST_ENTRIES)
        return;
    entry_t *entry = &logs->entries[logs->n++];
    strcpy(entry->name, name);
    entry->value = value;
}

static void add(logs_t *logs, const char *name, double value)
{
    if (!isnan(value))
        add_loss(logs, name, value);
}

static void add_output(logs_t *logs, const char *output, const char *what, double value)
{
    char name[MB_MONITOR_NAME + 64];
    snprintf(name, sizeof name, "val_%s_%s", output, what);
    if (strlen(name) < MB_MONITOR_NAME)
        add(logs, name, value);
}

static void add_metrics(logs_t *logs, const entry_t *metrics, int n)
{
    for (int i = 0; i < n; i++)
        add(logs, metrics[i].name, metrics[i].value);
}

/* REPORT: of a validation at this step; NULL: there was none. */
static void gather(mb_training_t *trainer, const mb_eval_report_t *report, logs_t *logs)
{
    mb_callback_state_t *state = &trainer->state.callbacks;
    logs->n = 0;
    if (trainer->state.step_in_epoch == 0 && state->samples > 0) {
        add_loss(logs, "loss", state->loss_sum / state->samples);
        add(logs, "accuracy", state->accuracy_sum / state->samples);
        add_metrics(logs, trainer->callbacks.metrics, trainer->callbacks.n_metrics);
        state->loss_sum = state->accuracy_sum = state->samples = 0;
    }
    if (report == NULL)
        return;
    add_loss(logs, "val_loss", report->loss);
    add(logs, "val_accuracy", report->accuracy);
    for (int o = 0; o < report->n_outputs && report->n_outputs > 1; o++) {
        add_output(logs, report->names[o], "loss", report->losses[o]);
        add_output(logs, report->names[o], "accuracy", report->accuracies[o]);
    }
    entry_t metrics[MB_MOST_METRICS];
    add_metrics(logs, metrics, take_metrics(report->metrics, report->n_metrics, "val_", metrics));
}

static const entry_t *find(const logs_t *logs, const mb_monitor_t *monitor)
{
    for (int i = 0; i < logs->n && monitor->on; i++) {
        if (strcmp(logs->entries[i].name, monitor->metric) == 0)
            return &logs->entries[i];
    }
    return NULL;
}

/* Where all metrics are there, a name that none has is a mistake. */
static mb_status_t check_known(const mb_training_t *trainer, const logs_t *logs,
                               const mb_monitor_t *monitor)
{
    bool whole = trainer->state.step_in_epoch == 0;
    bool val = watches_val(monitor), has_val = false;
    char names[512] = "";
    for (int i = 0; i < logs->n; i++) {
        size_t used = strlen(names);
        has_val = has_val || strncmp(logs->entries[i].name, "val_", 4) == 0;
        snprintf(names + used, sizeof names - used, "%s%s", i == 0 ? "" : ", ",
                 logs->entries[i].name);
    }
    if (!monitor->on || find(logs, monitor) != NULL || (val ? !has_val : !whole))
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "there is no metric '%s' to watch; there are %s",
                        monitor->metric, names);
}

static mb_status_t decide(mb_training_t *trainer, const logs_t *logs, verdict_t *verdict)
{
    const mb_callbacks_t *callbacks = &trainer->callbacks;
    mb_callback_state_t *state = &trainer->state.callbacks;
    const entry_t *stop = find(logs, &callbacks->stop), *best = find(logs, &callbacks->best),
                  *plateau = find(logs, &callbacks->plateau);
    int64_t epoch = trainer->state.epoch - (trainer->state.step_in_epoch == 0);
    double rate = trainer->optimizer->learning_rate;
    MB_TRY(check_known(trainer, logs, &callbacks->stop));
    MB_TRY(check_known(trainer, logs, &callbacks->plateau));
    MB_TRY(check_known(trainer, logs, &callbacks->best));
    if (plateau != NULL)
        verdict->lower = mb_plateau_decide(&callbacks->plateau, plateau->value, &rate, state);
    if (best != NULL)
        verdict->best = mb_best_decide(&callbacks->best, best->value, state);
    if (stop != NULL)
        mb_stop_decide(&callbacks->stop, stop->value, epoch, state, &verdict->keep, &verdict->stop);
    return MB_OK;
}

static void tell(const mb_training_t *trainer, const verdict_t *verdict)
{
    long long epoch = trainer->state.epoch;
    if (mb_comm_rank(trainer->comm) != 0)
        return;
    if (verdict->lower)
        mb_log(trainer->options.log, MB_LOG_INFO,
               "epoch %lld: the learning rate is lowered to %.9g", epoch, verdict->state.rate);
    if (verdict->stop)
        mb_log(trainer->options.log, MB_LOG_INFO,
               "epoch %lld: '%s' has not improved on %.9g for %lld epochs: the run ends", epoch,
               trainer->callbacks.stop.metric, verdict->state.stop_best,
               (long long)verdict->state.stop_wait);
}

static mb_status_t obey(mb_training_t *trainer, const verdict_t *verdict)
{
    if (verdict->lower)
        MB_TRY(mb_comm_agree(trainer->comm, use_rate(trainer, verdict->state.rate)));
    if (verdict->best)
        MB_TRY(mb_training_save_in_run(trainer, BEST_NAME, true));
    if (verdict->keep && trainer->callbacks.stop.restore_best)
        MB_TRY(mb_training_save_in_run(trainer, RESTORE_NAME, false));
    trainer->finished = trainer->finished || verdict->stop;
    tell(trainer, verdict);
    return MB_OK;
}

mb_status_t mb_training_callbacks(mb_training_t *trainer, const mb_eval_report_t *report)
{
    verdict_t verdict;
    logs_t logs;
    if (!trainer->callbacks.any || (trainer->state.step_in_epoch != 0 && report == NULL))
        return MB_OK;
    memset(&verdict, 0, sizeof verdict);
    mb_status_t status = MB_OK;
    if (mb_comm_rank(trainer->comm) == 0) {
        gather(trainer, report, &logs);
        status = decide(trainer, &logs, &verdict);
        verdict.state = trainer->state.callbacks;
    }
    MB_TRY(mb_comm_agree(trainer->comm, status));
    MB_TRY(mb_comm_broadcast(trainer->comm, &verdict, sizeof verdict, 0));
    trainer->state.callbacks = verdict.state;
    return obey(trainer, &verdict);
}

static mb_status_t load_kept(mb_training_t *trainer, const char *path)
{
    MB_TRY(mb_model_file_open(path, true, false, &trainer->restored));
    MB_TRY(mb_model_use_weights(trainer->model, trainer->restored));
    return mb_model_load_values(trainer->model, trainer->engine);
}

mb_status_t mb_training_restore_best(mb_training_t *trainer)
{
    const mb_monitor_t *stop = &trainer->callbacks.stop;
    if (!stop->on || !stop->restore_best || trainer->state.callbacks.stop_seen == 0)
        return MB_OK;
    char *path = mb_run_dir_file(trainer->dir, RESTORE_NAME);
    mb_status_t status = path == NULL ? mb_error_memory("a path", 0) : load_kept(trainer, path);
    free(path);
    return mb_comm_agree(trainer->comm, status);
}
