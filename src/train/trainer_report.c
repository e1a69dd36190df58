/* What a run tells: events on rank 0 and lines of metrics.jsonl. */
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "train/trainer_private.h"

void mb_training_note(mb_training_t *trainer, const char *format, ...)
{
    char text[MB_NOTE_TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char *copy = mb_arena_strdup(trainer->arena, text);
    if (copy != NULL && trainer->n_notes < MB_MAX_NOTES)
        trainer->notes[trainer->n_notes++] = copy;
}

mb_footprint_t mb_training_bytes(const mb_training_t *trainer)
{
    const mb_footprint_parts_t parts = {.engine = trainer->engine,
                                        .update = trainer->update,
                                        .score = trainer->score,
                                        .evaluator = trainer->evaluator,
                                        .snapshot = mb_training_snapshot(trainer)};
    return mb_footprint_of(&parts);
}

static const char *said(const char *text)
{
    return text[0] == '\0' ? NULL : text;
}

static void fill_start(const mb_training_t *trainer, mb_start_report_t *report)
{
    const mb_settings_t *settings = trainer->settings;
    int64_t parameters = 0;
    for (int p = 0; p < trainer->model->graph->n_params; p++)
        parameters += trainer->model->graph->params[p].elements;
    *report = (mb_start_report_t){
        .model = trainer->options.model,
        .data = trainer->data->path,
        .run = trainer->dir == NULL ? NULL : mb_run_dir_path(trainer->dir),
        .device = trainer->machine->description,
        .choice = said(trainer->machine->choice),
        .transport = said(trainer->machine->transport),
        .ranks = mb_comm_size(trainer->comm),
        .idle = trainer->layout.idle,
        .stages = trainer->layout.stages,
        .groups = trainer->layout.groups,
        .replicas = trainer->layout.replicas,
        .threads = trainer->machine->threads,
        .batch = trainer->layout.batch,
        .micro_batch = trainer->layout.micro_batch,
        .micros = trainer->layout.micros,
        .schedule = mb_settings_text(settings, MB_SET_SCHEDULE),
        .optimizer = trainer->optimizer->class_name,
        .seed = mb_settings_seed(settings, MB_SET_SEED),
        .parameters = parameters,
        .samples = trainer->data->samples,
        .steps_per_epoch = trainer->steps_per_epoch,
        .total_steps = trainer->total_steps,
        .tokens = mb_graph_tokens(trainer->model->graph),
        .resumed_step = trainer->resume == NULL ? 0 : trainer->resume->state.step,
        .resumed_from = trainer->resume == NULL ? NULL : trainer->resume->path,
        .notes = trainer->notes,
        .n_notes = trainer->n_notes};
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Of each stage what the rank takes that takes the most: groups may share moments out unevenly. */
mb_status_t mb_training_report_start(mb_training_t *trainer)
{
    mb_start_report_t report;
    int ranks = mb_comm_size(trainer->comm), stages = trainer->layout.stages;
    mb_footprint_t own = mb_training_bytes(trainer), *all;
    void *gathered = NULL;
    size_t *bytes_of = NULL;
    int64_t *columns = MB_ARENA_ARRAY(trainer->arena, int64_t, 7 * stages);
    mb_status_t status = columns == NULL ? mb_error_memory("a report", 0) : MB_OK;
    MB_TRY(mb_comm_agree(trainer->comm, status));
    MB_TRY(mb_comm_gather(trainer->comm, &own, sizeof own, 0, &gathered, &bytes_of));
    all = gathered;
    for (int r = 0; all != NULL && r < ranks - trainer->layout.idle; r++) {
        int s = r % stages;
        columns[s] = most(columns[s], all[r].parameters);
        columns[stages + s] = most(columns[stages + s], all[r].gradients);
        columns[2 * stages + s] = most(columns[2 * stages + s], all[r].moments);
        columns[3 * stages + s] = most(columns[3 * stages + s], all[r].activations);
        columns[4 * stages + s] = most(columns[4 * stages + s], all[r].host);
        columns[5 * stages + s] = most(columns[5 * stages + s], all[r].host_activations);
        columns[6 * stages + s] = most(columns[6 * stages + s], all[r].copy);
    }
    free(all);
    free(bytes_of);
    if (mb_comm_rank(trainer->comm) != 0 || trainer->options.events.start == NULL)
        return MB_OK;
    fill_start(trainer, &report);
    report.parameter_bytes = columns;
    report.gradient_bytes = columns + stages;
    report.moment_bytes = columns + 2 * stages;
    report.activation_bytes = columns + 3 * stages;
    report.host_moment_bytes = columns + 4 * stages;
    report.host_activation_bytes = columns + 5 * stages;
    report.copy_bytes = columns + 6 * stages;
    trainer->options.events.start(trainer->options.events.user, &report);
    return MB_OK;
}

static void add_number(mb_str_t *line, const char *key, double value)
{
    if (isfinite(value))
        mb_str_addf(line, ", \"%s\": %.9g", key, value);
}

/* Of a step that was left out: where its first number came from that is not finite. */
static void add_left_out(mb_str_t *line, const mb_step_report_t *report)
{
    if (!report->left_out)
        return;
    mb_str_add(line, ", \"left_out\": true");
    json_t *layer = report->culprit_layer == NULL ? NULL : json_string(report->culprit_layer);
    char *text = json_dumps(layer, JSON_ENCODE_ANY);
    if (text != NULL)
        mb_str_addf(line, ", \"layer\": %s, \"micro_batch\": %lld", text,
                    (long long)report->culprit_micro);
    if (text != NULL && report->culprit_sample >= 0)
        mb_str_addf(line, ", \"sample\": %lld", (long long)report->culprit_sample);
    free(text);
    json_decref(layer);
}

/* What lines say of their own; a metric may have any name. */
static bool is_own_key(const char *name, bool tells_accuracy)
{
    static const char *const own[] = {
        "step",     "epoch", "split",       "loss",  "lr", "loss_scale", "samples_per_second",
        "left_out", "layer", "micro_batch", "sample"};
    if (strcmp(name, "accuracy") == 0)
        return tells_accuracy;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (strcmp(own[i], name) == 0)
            return true;
    }
    return false;
}

static void add_value(mb_str_t *line, double value)
{
    if (isfinite(value))
        mb_str_addf(line, "%.9g", value);
    else
        mb_str_add(line, "null");
}

static void add_metrics(mb_str_t *line, double accuracy, const mb_metric_value_t *metrics, int n)
{
    for (int i = 0; i < n; i++) {
        const mb_metric_value_t *metric = &metrics[i];
        if (metric->told)
            continue;
        mb_str_addf(line, ", \"%s%s\": %s",
                    is_own_key(metric->name, isfinite(accuracy)) ? "metric/" : "", metric->name,
                    metric->listed ? "[" : "");
        for (int64_t k = 0; k < metric->n; k++) {
            mb_str_add(line, k > 0 ? ", " : "");
            add_value(line, metric->values[k]);
        }
        mb_str_add(line, metric->listed ? "]" : "");
    }
}

static mb_status_t write_line(mb_training_t *trainer, mb_str_t *line)
{
    mb_status_t status = line->failed ? mb_error_memory("a line of metrics", 0) : MB_OK;
    if (status == MB_OK && trainer->metrics != NULL)
        status =
            mb_training_forgive_line(trainer, mb_metrics_log_line(trainer->metrics, line->text));
    mb_str_free(line);
    return status;
}

/* Samples a second over the last seconds: a new reading every half second. */
static void measure_rate(mb_training_t *trainer, double now)
{
    double since = now - trainer->rate_since;
    if (trainer->rate > 0 && since < 0.5)
        return;
    double samples =
        (double)(trainer->state.step - trainer->rate_step) * (double)trainer->layout.batch;
    trainer->rate = since > 0 ? samples / since : 0;
    trainer->rate_since = now;
    trainer->rate_step = trainer->state.step;
}

mb_status_t mb_training_report_step(mb_training_t *trainer, mb_step_report_t *report)
{
    mb_str_t line = {0};
    double now = mb_time_seconds();
    if (mb_comm_rank(trainer->comm) != 0)
        return MB_OK;
    mb_training_say_left_out(trainer, report);
    if (!report->left_out) {
        report->loss = mb_score_loss(trainer->score, NULL);
        report->accuracy = mb_score_accuracy(trainer->score, NULL);
    }
    report->metrics = mb_score_metrics(trainer->score, &report->n_metrics);
    mb_score_reset(trainer->score);
    if (report->step_in_epoch == report->steps_per_epoch)
        mb_score_reset_metrics(trainer->score);
    measure_rate(trainer, now);
    report->samples_per_second = trainer->rate;
    double done = (double)(trainer->state.step - trainer->begun_step);
    report->seconds_left = done > 0 ? (now - trainer->begun) / done *
                                          (double)(trainer->total_steps - trainer->state.step)
                                    : 0;
    MB_TRY(mb_training_fail_later(trainer, mb_training_check_loss(trainer, report)));
    if (mb_training_kept_failure(trainer) != MB_OK)
        return MB_OK;
    mb_str_addf(&line, "{\"step\": %lld, \"epoch\": %lld, \"split\": \"train\"",
                (long long)report->step, (long long)report->epoch);
    add_number(&line, "loss", report->loss);
    add_number(&line, "accuracy", report->accuracy);
    add_left_out(&line, report);
    add_metrics(&line, report->accuracy, report->metrics, report->n_metrics);
    add_number(&line, "lr", report->lr);
    add_number(&line, "loss_scale", report->loss_scale);
    add_number(&line, "samples_per_second", report->samples_per_second);
    mb_str_add(&line, "}");
    MB_TRY(write_line(trainer, &line));
    if (trainer->options.events.step != NULL)
        trainer->options.events.step(trainer->options.events.user, report);
    return MB_OK;
}

mb_status_t mb_training_report_eval(mb_training_t *trainer, const mb_eval_report_t *report)
{
    mb_str_t line = {0};
    if (mb_comm_rank(trainer->comm) != 0)
        return MB_OK;
    mb_str_addf(&line, "{\"step\": %lld, \"epoch\": %lld, \"split\": \"val\"",
                (long long)report->step, (long long)report->epoch);
    add_number(&line, "loss", report->loss);
    add_number(&line, "accuracy", report->accuracy);
    for (int o = 0; o < report->n_outputs && report->n_outputs > 1; o++) {
        mb_str_addf(&line, ", \"loss/%s\": %.9g", report->names[o], report->losses[o]);
        if (isfinite(report->accuracies[o]))
            mb_str_addf(&line, ", \"accuracy/%s\": %.9g", report->names[o], report->accuracies[o]);
    }
    add_metrics(&line, report->accuracy, report->metrics, report->n_metrics);
    mb_str_add(&line, "}");
    MB_TRY(write_line(trainer, &line));
    if (trainer->options.events.evaluated != NULL)
        trainer->options.events.evaluated(trainer->options.events.user, report);
    return MB_OK;
}
