/* See evaluate.h. */
#include "train/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/feed.h"
#include "train/score.h"

struct mb_evaluator {
    const mb_model_t *model;
    mb_source_t *source;
    mb_sampler_t sampler;
    int64_t batch; /* that a summed loss is of */
    mb_engine_t *engine;
    mb_score_t *score;
    mb_feed_t *feed;
};

static mb_status_t feed_hook(void *user, const mb_micro_t *micro, int index)
{
    mb_evaluator_t *evaluator = user;
    return mb_feed_micro(evaluator->feed, micro, index);
}

static mb_status_t between_hook(void *user)
{
    mb_evaluator_t *evaluator = user;
    return mb_score_regularizers(evaluator->score);
}

mb_engine_options_t mb_evaluator_options(mb_machine_t *machine, const mb_model_t *model,
                                         const mb_layout_t *layout, const mb_engine_t *values_of)
{
    mb_schedule_choice_t plain = {.kind = MB_SCHEDULE_1F1B};
    return (mb_engine_options_t){.machine = machine,
                                 .graph = model->graph,
                                 .losses = model->losses,
                                 .stages = layout->stages,
                                 .replicas = layout->replicas,
                                 .micro_batch = layout->micro_batch,
                                 .micros_per_replica = layout->micros,
                                 .schedule = values_of != NULL ? values_of->plan->schedule : plain,
                                 .training = false,
                                 .values_of = values_of,
                                 .integer = layout->integer};
}

mb_status_t mb_evaluator_create(mb_machine_t *machine, const mb_model_t *model,
                                const mb_layout_t *layout, const mb_engine_t *values_of,
                                mb_source_t *source, mb_evaluator_t **out)
{
    mb_status_t status;
    mb_evaluator_t *evaluator = calloc(1, sizeof *evaluator);
    if (evaluator == NULL)
        return mb_error_memory("an evaluator", sizeof *evaluator);
    evaluator->model = model;
    evaluator->source = source;
    evaluator->sampler = (mb_sampler_t){.shuffle = MB_SHUFFLE_NONE,
                                        .samples = source->samples,
                                        .batch = layout->step > 0 ? layout->step : layout->batch};
    evaluator->batch = layout->batch;
    mb_engine_options_t options = mb_evaluator_options(machine, model, layout, values_of);
    options.hooks = (mb_hooks_t){.user = evaluator, .feed = feed_hook, .between = between_hook};
    MB_TRY_GOTO(mb_engine_create(&options, &evaluator->engine), status, err_evaluator);
    status = values_of == NULL ? mb_model_load_values(model, evaluator->engine) : MB_OK;
    if (status == MB_OK)
        status = mb_score_create(evaluator->engine, model, &evaluator->score);
    MB_TRY_GOTO(mb_comm_agree(machine->comm, status), status, err_evaluator);
    MB_TRY_GOTO(mb_engine_prepare(evaluator->engine), status, err_evaluator);
    *out = evaluator;
    return MB_OK;

err_evaluator:
    mb_evaluator_destroy(evaluator);
    return status;
}

void mb_evaluator_use(mb_evaluator_t *evaluator, mb_source_t *source)
{
    evaluator->source = source;
    evaluator->sampler.samples = source->samples;
}

static mb_status_t run_steps(mb_evaluator_t *evaluator)
{
    mb_engine_t *engine = evaluator->engine;
    int64_t steps = mb_sampler_steps(&evaluator->sampler);
    if (mb_engine_idle(engine))
        return MB_OK;
    MB_TRY(mb_score_regularizers(evaluator->score));
    MB_TRY(mb_stage_forget_states(engine->stage));
    for (int64_t s = 0; s < steps; s++) {
        mb_step_info_t info = {.step = s, .batch = mb_sampler_batch(&evaluator->sampler, s)};
        MB_TRY(mb_executor_run(engine->executor, &info));
        MB_TRY(mb_score_note(evaluator->score, mb_executor_sums(engine->executor), info.batch));
    }
    MB_TRY(mb_score_flush(evaluator->score));
    MB_TRY(mb_executor_drain(engine->executor));
    return mb_exec_sync(&engine->exec);
}

mb_status_t mb_evaluator_run(mb_evaluator_t *evaluator, mb_eval_report_t *report, double *losses,
                             double *accuracies)
{
    double start = mb_time_seconds();
    mb_feed_span_t span = {.sampler = evaluator->sampler,
                           .first_step = 0,
                           .end_step = mb_sampler_steps(&evaluator->sampler),
                           .batch = evaluator->batch};
    mb_score_reset(evaluator->score);
    mb_score_reset_metrics(evaluator->score);
    MB_TRY(mb_feed_create(evaluator->engine, evaluator->model, evaluator->source, &span,
                          &evaluator->feed));
    MB_TRY(run_steps(evaluator));
    mb_feed_destroy(evaluator->feed);
    evaluator->feed = NULL;
    int64_t samples = evaluator->source->samples, batch = evaluator->batch;
    mb_score_count_steps(evaluator->score, (samples + batch - 1) / batch);
    report->loss = mb_score_loss(evaluator->score, losses);
    report->accuracy = mb_score_accuracy(evaluator->score, accuracies);
    report->losses = losses;
    report->accuracies = accuracies;
    report->metrics = mb_score_metrics(evaluator->score, &report->n_metrics);
    report->samples = samples;
    report->tokens = mb_graph_tokens(evaluator->model->graph);
    report->seconds = mb_time_seconds() - start;
    return MB_OK;
}

int64_t mb_evaluator_bytes(const mb_evaluator_t *evaluator)
{
    return evaluator == NULL
               ? 0
               : mb_engine_bytes(evaluator->engine) + mb_score_bytes(evaluator->score);
}

void mb_evaluator_destroy(mb_evaluator_t *evaluator)
{
    if (evaluator == NULL)
        return;
    mb_error_message_t kept;
    mb_error_keep(&kept);
    mb_engine_quiet(evaluator->engine);
    mb_feed_destroy(evaluator->feed);
    mb_score_destroy(evaluator->score);
    mb_engine_destroy(evaluator->engine);
    free(evaluator);
    mb_error_restore(&kept);
}

/* The report outlives the evaluator and the model, which its metrics belong to. */
static mb_status_t keep_metrics(mb_arena_t *arena, mb_eval_report_t *report)
{
    mb_metric_value_t *kept = MB_ARENA_ARRAY(arena, mb_metric_value_t, report->n_metrics);
    if (kept == NULL)
        return mb_error_memory("an evaluation's report", 0);
    for (int i = 0; i < report->n_metrics; i++) {
        double *values = MB_ARENA_ARRAY(arena, double, report->metrics[i].n);
        kept[i] = report->metrics[i];
        kept[i].name = mb_arena_strdup(arena, kept[i].name);
        if (values == NULL || kept[i].name == NULL)
            return mb_error_memory("an evaluation's report", 0);
        memcpy(values, kept[i].values, (size_t)kept[i].n * sizeof *values);
        kept[i].values = values;
    }
    report->metrics = kept;
    return MB_OK;
}

static mb_status_t evaluate(mb_machine_t *machine, mb_model_t *model, mb_source_t *source,
                            const mb_settings_t *settings, mb_arena_t *arena, mb_eval_report_t *out)
{
    mb_layout_t layout;
    mb_evaluator_t *evaluator = NULL;
    mb_comm_t *comm = machine->comm;
    const mb_layout_ranks_t ranks = {mb_comm_size(comm), mb_comm_local_size(comm),
                                     (double)mb_machine_memory(machine)};
    int outputs = model->graph->n_outputs;
    const char **names = MB_ARENA_ARRAY(arena, const char *, outputs);
    double *losses = MB_ARENA_ARRAY(arena, double, outputs);
    double *accuracies = MB_ARENA_ARRAY(arena, double, outputs);
    mb_status_t status = names == NULL || losses == NULL || accuracies == NULL
                             ? mb_error_memory("an evaluation's report", 0)
                             : MB_OK;
    if (status == MB_OK)
        status = mb_model_compile(model, mb_settings_text(settings, MB_SET_LOSS));
    if (status == MB_OK)
        status = mb_model_weigh(model, source);
    if (status == MB_OK)
        status = mb_model_check_batches(model, source);
    if (status == MB_OK)
        status = mb_layout_choose_pass(model, settings, &ranks, source->samples, &layout);
    if (status == MB_OK)
        status = mb_model_check_micro(
            model, layout.batch < source->samples ? layout.batch : source->samples,
            layout.micro_batch);
    MB_TRY(mb_comm_agree(comm, status));
    for (int o = 0; o < outputs; o++)
        names[o] = mb_arena_strdup(arena, model->graph->outputs[o].name);
    out->n_outputs = outputs;
    out->names = names;
    out->step = model->file->state.step;
    out->epoch = model->file->state.epoch;
    status = mb_evaluator_create(machine, model, &layout, NULL, source, &evaluator);
    MB_TRY(status);
    status = mb_evaluator_run(evaluator, out, losses, accuracies);
    if (status == MB_OK)
        status = keep_metrics(arena, out);
    if (status != MB_OK)
        mb_comm_fail(comm, status);
    mb_evaluator_destroy(evaluator);
    return status;
}

static mb_status_t evaluate_on(mb_comm_t *comm, const char *path, const mb_settings_t *settings,
                               mb_source_t *given, const mb_log_t *log, mb_arena_t *arena,
                               mb_eval_report_t *out)
{
    mb_model_t *model = NULL;
    mb_source_t *source = given;
    mb_machine_t *machine = NULL;
    mb_status_t status;
    mb_weights_request_t weights;
    *out = (mb_eval_report_t){.accuracy = NAN};
    MB_TRY(mb_settings_weights(settings, &weights));
    mb_model_request_t request = {
        .path = path,
        .data = {.path = mb_settings_text(settings, MB_SET_DATA),
                 .label = mb_settings_text(settings, MB_SET_LABEL),
                 .label_given = settings->origin[MB_SET_LABEL] == MB_FROM_USER},
        .dtype = mb_settings_text(settings, MB_SET_DTYPE),
        .weights = &weights,
        .log = log,
        .purpose = MB_MODEL_EVALUATES};
    MB_TRY(mb_model_open_with_data(comm, &request, &model, &source));
    mb_machine_options_t options = mb_layout_machine(settings);
    status = mb_machine_open(comm, &options, &machine);
    if (status == MB_OK)
        status = evaluate(machine, model, source, settings, arena, out);
    if (status != MB_OK)
        mb_machine_give_up(machine);
    mb_machine_close(machine);
    if (given == NULL)
        mb_source_close(source);
    mb_model_close(model);
    return status;
}

mb_status_t mb_evaluate(mb_comm_t *comm, const char *path, const mb_settings_t *settings,
                        const mb_log_t *log, mb_arena_t *arena, mb_eval_report_t *out)
{
    if (!mb_settings_has(settings, MB_SET_DATA))
        return mb_error_set(MB_ERR_ARGUMENT, "%s: no data to evaluate on; use --data FILE", path);
    return evaluate_on(comm, path, settings, NULL, log, arena, out);
}

mb_status_t mb_evaluate_source(mb_comm_t *comm, const char *path, const mb_settings_t *settings,
                               mb_source_t *source, mb_arena_t *arena, mb_eval_report_t *out)
{
    return evaluate_on(comm, path, settings, source, NULL, arena, out);
}
