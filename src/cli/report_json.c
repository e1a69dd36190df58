/* See report_json.h. */
#include "cli/report_json.h"

#include <math.h>

#include "cli/say.h"

json_t *mb_json_start(const mb_start_report_t *report)
{
    json_t *notes = json_array();
    for (int i = 0; i < report->n_notes; i++)
        json_array_append_new(notes, json_string(report->notes[i]));
    json_t *object = json_pack(
        "{s:s, s:s, s:s, s:o, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:I, s:I, s:I}", "event", "start",
        "model", report->model, "data", report->data, "run", mb_json_text(report->run), "device",
        report->device, "ranks", report->ranks, "idle", report->idle, "stages", report->stages,
        "groups", report->groups, "replicas", report->replicas, "threads", report->threads, "batch",
        (json_int_t)report->batch, "micro_batch", (json_int_t)report->micro_batch, "micro_batches",
        (json_int_t)report->micros);
    json_t *more =
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "schedule",
                  report->schedule, "optimizer", report->optimizer, "seed",
                  (json_int_t)report->seed, "parameters", (json_int_t)report->parameters, "samples",
                  (json_int_t)report->samples, "tokens", (json_int_t)report->tokens,
                  "steps_per_epoch", (json_int_t)report->steps_per_epoch, "total_steps",
                  (json_int_t)report->total_steps, "resumed_step", (json_int_t)report->resumed_step,
                  "resumed_from", mb_json_text(report->resumed_from), "notes", notes, "transport",
                  mb_json_text(report->transport));
    json_object_update(object, more);
    json_decref(more);
    return object;
}

static json_t *metric_json(const mb_metric_value_t *metric)
{
    if (!metric->listed)
        return mb_json_number(metric->values[0]);
    json_t *list = json_array();
    for (int64_t i = 0; i < metric->n; i++)
        json_array_append_new(list, mb_json_number(metric->values[i]));
    return list;
}

json_t *mb_json_metrics(const mb_metric_value_t *metrics, int n)
{
    json_t *object = json_object();
    for (int i = 0; i < n; i++)
        json_object_set_new(object, metrics[i].name, metric_json(&metrics[i]));
    return object;
}

json_t *mb_json_straggler(const mb_straggler_report_t *report)
{
    return json_pack("{s:s, s:i, s:s, s:i, s:o, s:s, s:I, s:o, s:o}", "event", "straggler", "rank",
                     report->rank, "host", report->host, "stage", report->stage, "factor",
                     mb_json_number(report->factor), "than",
                     report->by_replicas ? "replicas" : "before", "since_step",
                     (json_int_t)report->since_step, "seconds", mb_json_number(report->seconds),
                     "others_wait", mb_json_number(report->waited));
}

json_t *mb_json_step(const mb_step_report_t *report)
{
    json_t *object =
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "event", "step",
                  "step", (json_int_t)report->step, "total_steps", (json_int_t)report->total_steps,
                  "epoch", (json_int_t)report->epoch, "step_in_epoch",
                  (json_int_t)report->step_in_epoch, "steps_per_epoch",
                  (json_int_t)report->steps_per_epoch, "loss", mb_json_number(report->loss),
                  "accuracy", mb_json_number(report->accuracy), "lr", mb_json_number(report->lr),
                  "samples_per_second", mb_json_number(report->samples_per_second), "seconds_left",
                  mb_json_number(report->seconds_left));
    if (report->steps_left_out > 0)
        json_object_set_new(object, "steps_left_out",
                            json_integer((json_int_t)report->steps_left_out));
    if (report->left_out)
        json_object_set_new(object, "left_out", json_true());
    if (isfinite(report->loss_scale))
        json_object_set_new(object, "loss_scale", json_real(report->loss_scale));
    json_object_set_new(object, "metrics", mb_json_metrics(report->metrics, report->n_metrics));
    return object;
}

json_t *mb_json_eval(const mb_eval_report_t *report, const char *event)
{
    json_t *outputs = json_object();
    for (int o = 0; o < report->n_outputs; o++)
        json_object_set_new(outputs, report->names[o],
                            json_pack("{s:o, s:o}", "loss", mb_json_number(report->losses[o]),
                                      "accuracy", mb_json_number(report->accuracies[o])));
    double rate = report->seconds > 0 ? (double)report->samples / report->seconds : 0;
    return json_pack("{s:s, s:I, s:I, s:o, s:o, s:I, s:o, s:o, s:o, s:o}", "event", event, "step",
                     (json_int_t)report->step, "epoch", (json_int_t)report->epoch, "loss",
                     mb_json_number(report->loss), "accuracy", mb_json_number(report->accuracy),
                     "samples", (json_int_t)report->samples, "seconds",
                     mb_json_number(report->seconds), "samples_per_second", mb_json_number(rate),
                     "outputs", outputs, "metrics",
                     mb_json_metrics(report->metrics, report->n_metrics));
}
