/* A run's beginning and end: see trainer.h. */
#include "train/trainer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/trainer_private.h"

mb_status_t mb_training_create(const mb_training_options_t *options, mb_training_t **out)
{
    mb_status_t status = MB_OK;
    mb_training_t *trainer = calloc(1, sizeof *trainer);
    if (trainer == NULL)
        status = mb_error_memory("a trainer", sizeof *trainer);
    if (status == MB_OK) {
        trainer->options = *options;
        trainer->comm = options->comm;
        trainer->arena = mb_arena_create();
        status = trainer->arena == NULL ? mb_error_memory("a trainer", 0)
                                        : mb_settings_copy(options->settings, &trainer->settings);
    }
    status = mb_comm_agree(options->comm, status);
    if (status == MB_OK)
        status = mb_training_set_up(trainer);
    if (status != MB_OK && trainer != NULL)
        mb_machine_give_up(trainer->machine);
    if (status != MB_OK) {
        mb_training_destroy(trainer);
        return status;
    }
    trainer->begun = trainer->rate_since = trainer->last_save = mb_time_seconds();
    *out = trainer;
    return MB_OK;
}

bool mb_training_finished(const mb_training_t *trainer)
{
    return trainer->finished;
}

bool mb_training_reads_in_any_thread(const mb_training_t *trainer)
{
    return trainer->data->class_->thread_ok;
}

const char *mb_training_directory(const mb_training_t *trainer)
{
    return trainer->dir == NULL ? NULL : mb_run_dir_path(trainer->dir);
}

const mb_engine_t *mb_training_engine(const mb_training_t *trainer)
{
    return trainer->engine;
}

static void close_sources(mb_training_t *trainer)
{
    if (trainer->val != NULL)
        mb_source_close(trainer->val);
    if (trainer->data != NULL)
        mb_source_close(trainer->data);
    if (trainer->owns_whole)
        mb_source_close(trainer->whole);
}

/* A message that is still on its way to a peer would be taken back with its buffer. */
static void send_all(mb_training_t *trainer)
{
    if (trainer->engine != NULL && trainer->engine->executor != NULL &&
        !mb_comm_failed(trainer->comm, NULL, NULL))
        mb_executor_drain(trainer->engine->executor);
}

void mb_training_destroy(mb_training_t *trainer)
{
    mb_error_message_t kept;
    if (trainer == NULL)
        return;
    mb_error_keep(&kept);
    send_all(trainer);
    mb_engine_quiet(trainer->engine);
    mb_training_drop_saves(
        trainer); /* frees pinned memory, for which a GPU waits that is not quiet */
    mb_evaluator_destroy(trainer->evaluator);
    mb_check_destroy(trainer->check);
    mb_feed_destroy(trainer->feed);
    mb_update_destroy(trainer->update);
    mb_score_destroy(trainer->score);
    mb_engine_destroy(trainer->engine);
    mb_training_drop_account(trainer);
    mb_training_drop_pace(trainer);
    mb_machine_close(trainer->machine);
    mb_local_tier_free(trainer->local);
    if (trainer->metrics != NULL)
        mb_metrics_log_close(trainer->metrics);
    if (trainer->dir != NULL)
        mb_run_dir_close(trainer->dir);
    close_sources(trainer);
    if (trainer->optimizer != NULL)
        mb_optimizer_destroy(trainer->optimizer);
    free(trainer->training_config);
    mb_model_close(trainer->model);
    mb_model_file_close(trainer->resume);
    mb_model_file_close(trainer->restored);
    mb_settings_destroy(trainer->settings);
    mb_arena_destroy(trainer->arena);
    free(trainer);
    mb_error_restore(&kept);
}
