/* The public predictor: arrays or files through a model. Predictions in memory are computed where
 * the layout has them, gathered on rank 0, and handed to all. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/arrays.h"
#include "api/metrics.h"
#include "api/outputs.h"
#include "api/settings.h"
#include "base/philox.h"
#include "infer/predictor.h"
#include "train/layout.h"
#include "train/trainer.h"

struct mb_predictor {
    mb_context_t *context;
    char *path;
    mb_settings_t *settings;
    mb_api_arrays_t arrays;
    mb_api_outputs_t outputs;
    bool computed;
    double samples, seconds, loss, accuracy;
    mb_api_metrics_t metrics; /* of an evaluation */
};

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
    static const char *const keys[] = {"batch",      "micro-batch",  "replicas", "stages",
                                       "threads",    "bind",         "device",   "share-device",
                                       "transport",  "deadline",     "loss",     "weights",
                                       "weights-by", "skip-mismatch"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (strcmp(keys[i], key) == 0)
            return MB_OK;
    }
    return mb_error_set(
        MB_ERR_ARGUMENT,
        "mb_predictor_set: a predictor has no setting '%s'; there are batch, "
        "micro-batch, replicas, stages, threads, bind, device, share-device, transport, "
        "deadline, loss, weights, weights-by, skip-mismatch",
        key);
}

mb_status_t mb_predictor_set(mb_predictor_t *predictor, const char *key, const char *value)
{
    MB_NEED(predictor);
    MB_NEED(key);
    MB_TRY(check_key(key));
    return mb_api_settings_set(predictor->settings, __func__, key, value);
}

mb_status_t mb_predictor_set_array(mb_predictor_t *predictor, const char *name, mb_type_t type,
                                   int rank, const int64_t *shape, const void *data)
{
    MB_NEED(predictor);
    return mb_api_arrays_set(&predictor->arrays, __func__, name, type, rank, shape, data);
}

mb_status_t mb_predictor_set_output(mb_predictor_t *predictor, const char *name, int64_t count,
                                    float *values)
{
    MB_NEED(predictor);
    return mb_api_outputs_set(&predictor->outputs, name, count, values);
}

static mb_status_t check_ranks(const mb_predictor_t *predictor, const mb_source_t *source)
{
    mb_comm_t *comm = predictor->context->comm;
    bool integer;
    mb_weights_request_t weights;
    MB_TRY(mb_layout_activations(predictor->settings, &integer));
    MB_TRY(mb_settings_weights(predictor->settings, &weights));
    MB_TRY(mb_api_same(comm, mb_hash_name(predictor->path), "model path"));
    MB_TRY(mb_api_same(comm, mb_api_settings_digest(predictor->settings), "settings"));
    return mb_api_same(comm, source == NULL ? 0 : source->digest, "arrays");
}

static mb_predict_options_t make_options(mb_predictor_t *predictor)
{
    const mb_settings_t *settings = predictor->settings;
    bool batch = settings->origin[MB_SET_BATCH] == MB_FROM_USER;
    mb_weights_request_t weights;
    mb_settings_weights(settings, &weights);
    return (mb_predict_options_t){
        .comm = predictor->context->comm,
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
    MB_TRY(mb_comm_broadcast(predictor->context->comm, numbers, sizeof numbers, 0));
    predictor->samples = numbers[0];
    predictor->seconds = numbers[1];
    predictor->loss = numbers[2];
    predictor->accuracy = numbers[3];
    predictor->computed = true;
    return MB_OK;
}

static mb_status_t predict(mb_predictor_t *predictor, const mb_predict_options_t *options)
{
    mb_predict_report_t report;
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = mb_predict(options, &report);
    mb_api_leave(&kept);
    MB_TRY(status);
    predictor->loss = predictor->accuracy = NAN;
    predictor->metrics.n = 0;
    return take_report(predictor, (double)report.samples, report.seconds);
}

static mb_status_t open_source(mb_predictor_t *predictor, const char *function, bool outputs,
                               mb_source_t **source)
{
    if (predictor->arrays.count == 0)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: no arrays; give them by mb_predictor_set_array",
                            function);
    if (outputs && predictor->outputs.count == 0)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: no memory for an output; give it by mb_predictor_set_output",
                            function);
    return mb_api_arrays_open(&predictor->arrays, source);
}

static mb_status_t run(mb_predictor_t *predictor, mb_source_t *source)
{
    mb_predict_options_t options = make_options(predictor);
    options.source = source;
    options.user = &predictor->outputs;
    options.ready = mb_api_outputs_ready;
    options.write = mb_api_outputs_write;
    predictor->outputs.samples = source->samples;
    MB_TRY(check_ranks(predictor, source));
    MB_TRY(predict(predictor, &options));
    return mb_api_outputs_share(&predictor->outputs, predictor->context->comm);
}

mb_status_t mb_predictor_run(mb_predictor_t *predictor)
{
    mb_source_t *source = NULL;
    MB_NEED(predictor);
    mb_api_settings_use(predictor->settings, predictor->context);
    mb_status_t status =
        mb_comm_agree(predictor->context->comm, open_source(predictor, __func__, true, &source));
    if (status == MB_OK)
        status = run(predictor, source);
    mb_api_outputs_forget(&predictor->outputs);
    if (source != NULL)
        mb_source_close(source);
    return status;
}

static mb_status_t need_both(const char *data, const char *output)
{
    MB_TRY(mb_api_need(data, "mb_predictor_run_file", "data"));
    return mb_api_need(output, "mb_predictor_run_file", "output");
}

mb_status_t mb_predictor_run_file(mb_predictor_t *predictor, const char *data, const char *output)
{
    MB_NEED(predictor);
    mb_api_settings_use(predictor->settings, predictor->context);
    MB_TRY(mb_comm_agree(predictor->context->comm, need_both(data, output)));
    mb_predict_options_t options = make_options(predictor);
    options.data = data;
    options.output = output;
    MB_TRY(check_ranks(predictor, NULL));
    return predict(predictor, &options);
}

static mb_status_t evaluate(mb_predictor_t *predictor, const mb_settings_t *settings,
                            mb_source_t *source)
{
    mb_eval_report_t report;
    mb_comm_t *comm = predictor->context->comm;
    mb_arena_t *arena = mb_arena_create();
    mb_status_t status = arena == NULL ? mb_error_memory("an evaluation", 0) : MB_OK;
    MB_TRY_GOTO(mb_comm_agree(comm, status), status, out);
    MB_TRY_GOTO(check_ranks(predictor, source), status, out);
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

mb_status_t mb_predictor_evaluate(mb_predictor_t *predictor)
{
    mb_source_t *source = NULL;
    MB_NEED(predictor);
    mb_api_settings_use(predictor->settings, predictor->context);
    mb_status_t status =
        mb_comm_agree(predictor->context->comm, open_source(predictor, __func__, false, &source));
    if (status == MB_OK)
        status = evaluate(predictor, predictor->settings, source);
    if (source != NULL)
        mb_source_close(source);
    return status;
}

static mb_status_t with_data(const mb_predictor_t *predictor, const char *data, mb_settings_t **out)
{
    MB_TRY(mb_api_need(data, "mb_predictor_evaluate_file", "data"));
    MB_TRY(mb_settings_copy(predictor->settings, out));
    return mb_settings_set(*out, "data", data, MB_FROM_USER);
}

mb_status_t mb_predictor_evaluate_file(mb_predictor_t *predictor, const char *data)
{
    mb_settings_t *settings = NULL;
    MB_NEED(predictor);
    mb_api_settings_use(predictor->settings, predictor->context);
    mb_status_t status =
        mb_comm_agree(predictor->context->comm, with_data(predictor, data, &settings));
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
                                       {"accuracy", predictor->accuracy}};
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
    mb_api_arrays_free(&predictor->arrays);
    mb_api_outputs_free(&predictor->outputs);
    mb_settings_destroy(predictor->settings);
    predictor->context->users--;
    free(predictor->path);
    free(predictor);
    return MB_OK;
}
