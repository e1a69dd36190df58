/* See passes.h. */
#include "compress/passes.h"

#include <math.h>
#include <stdlib.h>

/* Micro-batches of a step: enough to keep some stages busy, few enough that small data fills them.
 * The same on any layout, since it decides which samples an even choice takes. */
enum { MICROS = 4 };

static mb_status_t feed_hook(void *user, const mb_micro_t *micro, int index)
{
    mb_passes_t *passes = user;
    return mb_feed_micro(passes->feed, micro, index);
}

static mb_status_t output_hook(void *user, const mb_micro_t *micro, int index)
{
    mb_passes_t *passes = user;
    if (passes->pass->micro == NULL || micro->valid <= 0)
        return MB_OK;
    return passes->pass->micro(passes->pass->user, micro, passes->step * MICROS + index);
}

static mb_status_t between_hook(void *user)
{
    mb_passes_t *passes = user;
    return passes->score == NULL ? MB_OK : mb_score_regularizers(passes->score);
}

static mb_status_t make_engine(mb_passes_t *passes, const mb_passes_options_t *options)
{
    int ranks = mb_comm_size(passes->comm), most = mb_plan_max_stages(passes->model->graph);
    mb_engine_options_t engine = {
        .machine = passes->machine,
        .graph = passes->model->graph,
        .losses = passes->model->losses,
        .stages = ranks < most ? ranks : most,
        .replicas = 1,
        .micro_batch = options->batch,
        .micros_per_replica = MICROS,
        .schedule = {.kind = MB_SCHEDULE_1F1B},
        .integer = true,
        .hooks = {
            .user = passes, .feed = feed_hook, .output = output_hook, .between = between_hook}};
    MB_TRY(mb_engine_create(&engine, &passes->engine));
    mb_status_t status = mb_model_load_values(passes->model, passes->engine);
    if (status == MB_OK && passes->model->losses != NULL)
        status = mb_score_create(passes->engine, passes->model, &passes->score);
    MB_TRY(mb_comm_agree(passes->comm, status));
    return mb_engine_prepare(passes->engine);
}

mb_status_t mb_passes_open(const mb_passes_options_t *options, mb_passes_t **out)
{
    mb_passes_t *passes = calloc(1, sizeof *passes);
    mb_status_t status = passes == NULL ? mb_error_memory("passes over data", 0) : MB_OK;
    MB_TRY_GOTO(mb_comm_agree(options->comm, status), status, err_passes);
    passes->comm = options->comm;
    passes->model = options->model;
    passes->source = options->source;
    passes->batch = options->batch;
    passes->summed_batch = options->summed_batch;
    MB_TRY_GOTO(mb_machine_open(options->comm, &options->machine, &passes->machine), status,
                err_passes);
    MB_TRY_GOTO(make_engine(passes, options), status, err_passes);
    *out = passes;
    return MB_OK;

err_passes:
    mb_passes_close(passes);
    return status;
}

void mb_passes_close(mb_passes_t *passes)
{
    if (passes == NULL)
        return;
    mb_score_destroy(passes->score);
    mb_engine_destroy(passes->engine);
    mb_machine_close(passes->machine);
    free(passes);
}

static mb_feed_span_t span_of(const mb_passes_t *passes, int64_t samples)
{
    int64_t all = passes->source->samples;
    bool some = samples > 0 && samples < all;
    mb_feed_span_t span = {.sampler = {.shuffle = some ? MB_SHUFFLE_FULL : MB_SHUFFLE_NONE,
                                       .samples = all,
                                       .batch = passes->batch * MICROS}};
    span.end_step = mb_sampler_steps(&span.sampler);
    if (some)
        span.end_step = (samples + span.sampler.batch - 1) / span.sampler.batch;
    return span;
}

int64_t mb_passes_samples(const mb_passes_t *passes, int64_t samples)
{
    mb_feed_span_t span = span_of(passes, samples);
    int64_t most = span.end_step * span.sampler.batch;
    return most < span.sampler.samples ? most : span.sampler.samples;
}

int64_t mb_passes_batches(const mb_passes_t *passes, int64_t samples)
{
    return (mb_passes_samples(passes, samples) + passes->batch - 1) / passes->batch;
}

static mb_status_t run_steps(mb_passes_t *passes, const mb_feed_span_t *span)
{
    mb_engine_t *engine = passes->engine;
    if (mb_engine_idle(engine))
        return MB_OK;
    MB_TRY(between_hook(passes));
    for (passes->step = 0; passes->step < span->end_step; passes->step++) {
        mb_step_info_t info = {.step = passes->step,
                               .batch = mb_sampler_batch(&span->sampler, passes->step)};
        MB_TRY(mb_stage_forget_states(engine->stage)); /* batches by themselves, in any order */
        MB_TRY(mb_executor_run(engine->executor, &info));
        if (passes->score != NULL)
            MB_TRY(mb_score_note(passes->score, mb_executor_sums(engine->executor), info.batch));
    }
    if (passes->score != NULL)
        MB_TRY(mb_score_flush(passes->score));
    MB_TRY(mb_executor_drain(engine->executor));
    return mb_exec_sync(&engine->exec);
}

mb_status_t mb_passes_run(mb_passes_t *passes, const mb_pass_t *pass, mb_pass_score_t *score)
{
    mb_feed_span_t span = span_of(passes, pass->samples);
    passes->pass = pass;
    if (passes->score != NULL)
        mb_score_reset(passes->score);
    mb_status_t status =
        mb_feed_create(passes->engine, passes->model, passes->source, &span, &passes->feed);
    if (status == MB_OK && passes->score != NULL)
        status = mb_score_sum_stored(passes->score);
    MB_TRY(mb_comm_agree(passes->comm, status));
    status = run_steps(passes, &span);
    mb_feed_destroy(passes->feed);
    passes->feed = NULL;
    if (status != MB_OK)
        return mb_comm_fail(passes->comm, status);
    int64_t samples = mb_passes_samples(passes, pass->samples), batch = passes->summed_batch;
    *score = (mb_pass_score_t){NAN, NAN};
    if (passes->score != NULL)
        mb_score_count_steps(passes->score, (samples + batch - 1) / batch);
    if (passes->score != NULL)
        *score = (mb_pass_score_t){mb_score_loss(passes->score, NULL),
                                   mb_score_accuracy(passes->score, NULL)};
    return mb_comm_broadcast(passes->comm, score, sizeof *score, 0);
}
