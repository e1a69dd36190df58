/* The public predictor: what it is set up with, and what reads its file anew each time, files and
 * evaluations. Predictions in memory are in predictor_memory.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/predictor_private.h"
#include "base/philox.h"
#include "train/layout.h"
#include "train/trainer.h"

mb_status_t mb_predictor_create(mb_context_t *context, const char *path, mb_predictor_t **out)
{
    MB_NEED(context);
    MB_NEED(path);
    MB_TRY(mb_api_need(out, __func__, "predictor"));
    mb_predictor_t *predictor = calloc(1, sizeof *predictor);
    if (predictor == NULL)
        return mb_error_memory("a predictor", sizeof *predictor);
    predictor->context = context;
    predictor->path = strdup(path);
    mb_status_t status = predictor->path == NULL ? mb_error_memory("a path", strlen(path)) : MB_OK;
    if (status == MB_OK)
        status = mb_api_settings_create(&predictor->settings);
    if (status != MB_OK) {
        free(predictor->path);
        free(predictor);
        return status;
    }
    context->users++;
    *out = predictor;
    return MB_OK;
}

static mb_status_t check_key(const char *key)
{
    static const char *const keys[] = {"batch",      "micro-batch",   "replicas",   "stages",
                                       "threads",    "bind",          "device",     "share-device",
                                       "transport",  "deadline",      "loss",       "weights",
                                       "weights-by", "skip-mismatch", "independent"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (strcmp(keys[i], key) == 0)
            return MB_OK;
    }
    return mb_error_set(
        MB_ERR_ARGUMENT,
        "mb_predictor_set: a predictor has no setting '%s'; there are batch, "
        "micro-batch, replicas, stages, threads, bind, device, share-device, transport, "
        "deadline, loss, weights, weights-by, skip-mismatch, independent",
        key);
}

static mb_status_t set_independent(mb_predictor_t *predictor, const char *value)
{
    MB_TRY(mb_api_need(value, "mb_predictor_set", "value"));
    bool yes = strcmp(value, "yes") == 0;
    if (!yes && strcmp(value, "no") != 0)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "mb_predictor_set: independent is '%s'; yes or no is wanted", value);
    if (predictor->session != NULL && predictor->independent != yes)
        return mb_error_set(MB_ERR_ARGUMENT, "mb_predictor_set: independent is set before "
                                             "mb_predictor_start and the first run");
    predictor->independent = yes;
    return MB_OK;
}

mb_status_t mb_predictor_set(mb_predictor_t *predictor, const char *key, const char *value)
{
    MB_NEED(predictor);
    MB_NEED(key);
    MB_TRY(check_key(key));
    if (strcmp(key, "independent") == 0)
        return set_independent(predictor, value);
    MB_TRY(mb_api_settings_set(predictor->settings, __func__, key, value));
    predictor->stale = true;
    return MB_OK;
}

/* Another pointer, or another number of samples, changes nothing of what was started. */
static mb_status_t set_array(mb_predictor_t *predictor, const char *function, const char *name,
                             mb_type_t type, int rank, const int64_t *shape, const void *data,
                             bool apart)
{
    mb_array_t before = {.name = NULL};
    mb_api_arrays_t *arrays = &predictor->arrays;
    int at = name == NULL ? arrays->count : mb_api_arrays_find(arrays, name);
    if (at < arrays->count)
        before = arrays->arrays[at];
    MB_TRY(mb_api_arrays_set(arrays, function, name, type, rank, shape, data));
    const mb_array_t *now = &arrays->arrays[at];
    bool same = before.name != NULL && before.dtype == now->dtype &&
                mb_shape_equal(&before.shape, &now->shape);
    predictor->stale = predictor->stale || !same;
    arrays->arrays[at].unseen = apart;
    return MB_OK;
}

mb_status_t mb_predictor_set_array(mb_predictor_t *predictor, const char *name, mb_type_t type,
                                   int rank, const int64_t *shape, const void *data)
{
    MB_NEED(predictor);
    return set_array(predictor, __func__, name, type, rank, shape, data, false);
}

mb_status_t mb_predictor_set_device_array(mb_predictor_t *predictor, const char *name, int rank,
                                          const int64_t *shape, const float *data)
{
    MB_NEED(predictor);
    return set_array(predictor, __func__, name, MB_FLOAT32, rank, shape, data, true);
}

mb_status_t mb_predictor_set_output(mb_predictor_t *predictor, const char *name, int64_t count,
                                    float *values)
{
    int at;
    MB_NEED(predictor);
    MB_TRY(mb_api_outputs_set(&predictor->outputs, __func__, name, count, values, &at));
    predictor->output_apart[at] = false;
    return MB_OK;
}

mb_status_t mb_predictor_set_device_output(mb_predictor_t *predictor, const char *name,
                                           int64_t count, float *values)
{
    int at;
    MB_NEED(predictor);
    MB_TRY(mb_api_outputs_set(&predictor->outputs, __func__, name, count, values, &at));
    predictor->output_apart[at] = true;
    return MB_OK;
}

mb_status_t mb_api_predictor_comm(mb_predictor_t *predictor, const char *function, mb_comm_t **comm)
{
    mb_context_t *context = predictor->context;
    if (!predictor->independent)
        MB_TRY(mb_api_need_idle(context, function));
    if (predictor->independent && predictor->alone == NULL)
        MB_TRY(mb_comm_create_alone(context->comm, &predictor->alone));
    *comm = predictor->independent ? predictor->alone : context->comm;
    if (predictor->settings->origin[MB_SET_DEADLINE] == MB_FROM_USER)
        mb_comm_set_deadline(*comm, mb_settings_real(predictor->settings, MB_SET_DEADLINE));
    return MB_OK;
}

static mb_comm_t *comm_of(const mb_predictor_t *predictor)
{
    return predictor->independent ? predictor->alone : predictor->context->comm;
}

mb_status_t mb_api_predictor_same(mb_predictor_t *predictor, const mb_source_t *source)
{
    mb_comm_t *comm = comm_of(predictor);
    bool integer;
    mb_weights_request_t weights;
    MB_TRY(mb_layout_activations(predictor->settings, &integer));
    MB_TRY(mb_settings_weights(predictor->settings, &weights));
    MB_TRY(mb_api_same(comm, mb_hash_name(predictor->path), "model path"));
    MB_TRY(mb_api_same(comm, mb_api_settings_digest(predictor->settings), "settings"));
    return mb_api_same(comm, source == NULL ? 0 : source->digest, "arrays");
}

mb_predict_options_t mb_api_predictor_options(mb_predictor_t *predictor)
{
    const mb_settings_t *settings = predictor->settings;
    bool batch = settings->origin[MB_SET_BATCH] == MB_FROM_USER;
    mb_weights_request_t weights;
    mb_settings_weights(settings, &weights);
    return (mb_predict_options_t){
        .comm = comm_of(predictor),
        .model = predictor->path,
        .label = mb_settings_text(settings, MB_SET_LABEL),
        .weights = weights,
        .batch = batch ? mb_settings_int(settings, MB_SET_BATCH) : 0,
        .stages = (int)mb_settings_int(settings, MB_SET_STAGES),
        .machine = mb_layout_machine(settings),
        .dtype = mb_settings_text(settings, MB_SET_DTYPE),
        .float_activations = strcmp(mb_settings_text(settings, MB_SET_ACTIVATIONS), "float") == 0,
        .deadline = mb_settings_real(settings, MB_SET_DEADLINE),
        .log = &predictor->context->log};
}

/* All ranks know the samples; the time is rank 0's. */
static mb_status_t take_report(mb_predictor_t *predictor, double samples, double seconds)
{
    double numbers[4] = {samples, seconds, predictor->loss, predictor->accuracy};
    MB_TRY(mb_comm_broadcast(comm_of(predictor), numbers, sizeof numbers, 0));
    predictor->samples = numbers[0];
    predictor->seconds = numbers[1];
    predictor->loss = numbers[2];
    predictor->accuracy = numbers[3];
    predictor->copied = NAN;
    predictor->computed = true;
    return MB_OK;
}

static mb_status_t need_both(const char *data, const char *output)
{
    MB_TRY(mb_api_need(data, "mb_predictor_run_file", "data"));
    return mb_api_need(output, "mb_predictor_run_file", "output");
}

static mb_status_t run_file(mb_predictor_t *predictor, const mb_predict_options_t *options)
{
    mb_predict_report_t report;
    MB_TRY(mb_api_predictor_same(predictor, NULL));
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = mb_predict(options, &report);
    mb_api_leave(&kept);
    MB_TRY(status);
    predictor->loss = predictor->accuracy = NAN;
    predictor->metrics.n = 0;
    return take_report(predictor, (double)report.samples, report.seconds);
}

mb_status_t mb_predictor_run_file(mb_predictor_t *predictor, const char *data, const char *output)
{
    mb_comm_t *comm;
    MB_NEED(predictor);
    MB_TRY(mb_api_predictor_comm(predictor, __func__, &comm));
    mb_status_t status = mb_api_predictor_untaught(predictor, __func__);
    MB_TRY(mb_comm_agree(comm, status == MB_OK ? need_both(data, output) : status));
    mb_predict_options_t options = mb_api_predictor_options(predictor);
    options.data = data;
    options.output = output;
    return run_file(predictor, &options);
}

static mb_status_t evaluate(mb_predictor_t *predictor, const mb_settings_t *settings,
                            mb_source_t *source)
{
    mb_eval_report_t report;
    mb_comm_t *comm = comm_of(predictor);
    mb_arena_t *arena = mb_arena_create();
    mb_status_t status = arena == NULL ? mb_error_memory("an evaluation", 0) : MB_OK;
    MB_TRY_GOTO(mb_comm_agree(comm, status), status, out);
    MB_TRY_GOTO(mb_api_predictor_same(predictor, source), status, out);
    mb_api_kept_t kept = mb_api_enter();
    if (source != NULL)
        status = mb_evaluate_source(comm, predictor->path, settings, source, arena, &report);
    else
        status =
            mb_evaluate(comm, predictor->path, settings, &predictor->context->log, arena, &report);
    mb_api_leave(&kept);
    if (status != MB_OK)
        goto out;
    predictor->loss = report.loss;
    predictor->accuracy = report.accuracy;
    mb_api_metrics_take(&predictor->metrics, "", report.n_metrics, report.metrics);
    MB_TRY_GOTO(mb_api_metrics_share(&predictor->metrics, comm), status, out);
    status = take_report(predictor, (double)report.samples, report.seconds);

out:
    if (arena != NULL)
        mb_arena_destroy(arena);
    return status;
}

static mb_status_t open_arrays(mb_predictor_t *predictor, const char *function,
                               mb_source_t **source)
{
    MB_TRY(mb_api_predictor_untaught(predictor, function));
    for (int i = 0; i < predictor->arrays.count; i++) {
        if (predictor->arrays.arrays[i].unseen)
            return mb_error_set(MB_ERR_UNSUPPORTED,
                                "%s: array '%s' is in a device's memory, which mb_predictor_run "
                                "alone reads; give a copy in the host's by mb_predictor_set_array",
                                function, predictor->arrays.arrays[i].name);
    }
    if (predictor->arrays.count == 0)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: no arrays; give them by mb_predictor_set_array",
                            function);
    return mb_api_arrays_open(&predictor->arrays, source);
}

mb_status_t mb_predictor_evaluate(mb_predictor_t *predictor)
{
    mb_comm_t *comm;
    mb_source_t *source = NULL;
    MB_NEED(predictor);
    MB_TRY(mb_api_predictor_comm(predictor, __func__, &comm));
    mb_status_t status = mb_comm_agree(comm, open_arrays(predictor, __func__, &source));
    if (status == MB_OK)
        status = evaluate(predictor, predictor->settings, source);
    if (source != NULL)
        mb_source_close(source);
    return status;
}

static mb_status_t with_data(const mb_predictor_t *predictor, const char *data, mb_settings_t **out)
{
    MB_TRY(mb_api_predictor_untaught(predictor, "mb_predictor_evaluate_file"));
    MB_TRY(mb_api_need(data, "mb_predictor_evaluate_file", "data"));
    MB_TRY(mb_settings_copy(predictor->settings, out));
    return mb_settings_set(*out, "data", data, MB_FROM_USER);
}

mb_status_t mb_predictor_evaluate_file(mb_predictor_t *predictor, const char *data)
{
    mb_comm_t *comm;
    mb_settings_t *settings = NULL;
    MB_NEED(predictor);
    MB_TRY(mb_api_predictor_comm(predictor, __func__, &comm));
    mb_status_t status = mb_comm_agree(comm, with_data(predictor, data, &settings));
    if (status == MB_OK)
        status = evaluate(predictor, settings, NULL);
    mb_settings_destroy(settings);
    return status;
}

mb_status_t mb_predictor_get(const mb_predictor_t *predictor, const char *name, double *value)
{
    MB_NEED(predictor);
    MB_NEED(name);
    MB_NEED(value);
    const mb_api_number_t numbers[] = {{"samples", predictor->samples},
                                       {"seconds", predictor->seconds},
                                       {"loss", predictor->loss},
                                       {"accuracy", predictor->accuracy},
                                       {"copied_bytes", predictor->copied}};
    if (!predictor->computed)
        return mb_error_set(MB_ERR_ARGUMENT, "mb_predictor_get: nothing was computed yet");
    if (mb_api_metrics_get(&predictor->metrics, name, value))
        return MB_OK;
    return mb_api_number(numbers, (int)(sizeof numbers / sizeof numbers[0]), name, value);
}

mb_status_t mb_predictor_destroy(mb_predictor_t *predictor)
{
    if (predictor == NULL)
        return MB_OK;
    mb_api_predictor_stop(predictor, false);
    mb_comm_destroy(predictor->alone);
    mb_api_arrays_free(&predictor->arrays);
    mb_api_outputs_free(&predictor->outputs);
    mb_settings_destroy(predictor->settings);
    predictor->context->users--;
    free(predictor->path);
    free(predictor);
    return MB_OK;
}
