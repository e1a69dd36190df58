/* A run whose samples change under way, as those of a stream do: the engine, its weights and its
 * moments stay, and what reads samples is made anew. */
#include "train/trainer_private.h"

static mb_status_t settle(mb_training_t *trainer)
{
    if (mb_engine_idle(trainer->engine))
        return MB_OK;
    MB_TRY(mb_executor_drain(trainer->engine->executor));
    return mb_exec_sync(&trainer->engine->exec);
}

static void close_slice(mb_source_t **source)
{
    if (*source != NULL)
        mb_source_close(*source);
    *source = NULL;
}

mb_status_t mb_training_let_go(mb_training_t *trainer)
{
    mb_status_t status = settle(trainer);
    mb_feed_destroy(trainer->feed);
    mb_check_destroy(trainer->check);
    trainer->feed = NULL;
    trainer->check = NULL;
    close_slice(&trainer->data);
    close_slice(&trainer->val);
    trainer->whole = NULL;
    return mb_comm_agree(trainer->comm, status);
}

/* Totals count from here, in epochs of their own numbers: no order of samples comes again. */
static void begin_epoch(mb_training_t *trainer)
{
    mb_run_state_t *state = &trainer->state;
    mb_sampler_t *sampler = &trainer->sampler;
    sampler->samples = trainer->data->samples;
    sampler->first_step = state->step;
    sampler->first_epoch = state->epoch + (state->step_in_epoch > 0);
    state->epoch = sampler->first_epoch;
    state->step_in_epoch = 0;
    mb_training_take_totals(trainer);
    trainer->finished = state->step >= trainer->total_steps;
    mb_score_reset_metrics(trainer->score);
}

static mb_status_t take(mb_training_t *trainer, mb_source_t *source)
{
    bool validates = trainer->evaluator != NULL;
    trainer->options.source = trainer->whole = source;
    MB_TRY(mb_training_split_data(trainer));
    if (validates && trainer->val == NULL)
        return mb_error_set(MB_ERR_DATA,
                            "val-split holds out no sample of the %lld that there "
                            "are now",
                            (long long)source->samples);
    if (validates)
        mb_evaluator_use(trainer->evaluator, trainer->val);
    begin_epoch(trainer);
    MB_TRY(mb_training_make_check(trainer));
    const mb_feed_span_t span = {.sampler = trainer->sampler,
                                 .first_step = trainer->state.step,
                                 .end_step = trainer->total_steps};
    if (trainer->finished)
        return MB_OK;
    return mb_feed_create(trainer->engine, trainer->model, trainer->data, &span, &trainer->feed);
}

mb_status_t mb_training_renew(mb_training_t *trainer, mb_source_t *source)
{
    return mb_comm_agree(trainer->comm, take(trainer, source));
}
