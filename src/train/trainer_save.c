/* What a run writes: step checkpoints, final.h5, plan.json. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/host_memory.h"
#include "base/str.h"
#include "store/io.h"
#include "train/export.h"
#include "train/trainer_private.h"

/* What is added to the name of a file that stands for another for a while. */
#define MB_BESIDE ".part.h5"

typedef enum {
    SAVE_STEP = 0, /* exact, with moments and counters */
    SAVE_FINAL,    /* the same, or, in a smaller format, with counters alone */
    SAVE_EXPORT,   /* weights alone */
    SAVE_KEPT      /* the same, always exact */
} save_kind_t;

static mb_state_t state_of(const mb_training_t *trainer, save_kind_t kind)
{
    mb_method_t method;
    const mb_format_t *format =
        kind == SAVE_STEP || kind == SAVE_KEPT ? NULL : mb_training_final_format(trainer, &method);
    return (mb_state_t){.engine = trainer->engine,
                        .model = trainer->model,
                        .optimizer = trainer->optimizer,
                        .update = trainer->update,
                        .training_config = trainer->training_config,
                        .settings = trainer->record,
                        .n_settings = trainer->n_record,
                        .state = trainer->state,
                        .with_state = kind != SAVE_EXPORT && kind != SAVE_KEPT,
                        .without_moments = format != NULL,
                        .format = format,
                        .method = format == NULL ? MB_METHOD_NEAREST : method,
                        .moments_in_8_bits = trainer->moments_in_8_bits,
                        .averaged = kind != SAVE_STEP && trainer->finished,
                        .stencil = kind == SAVE_STEP ? mb_training_stencil(trainer) : NULL,
                        .keras_optimizer =
                            mb_settings_on(trainer->settings, MB_SET_KERAS_OPTIMIZER)};
}

int64_t mb_training_save_bytes(const mb_training_t *trainer)
{
    mb_state_t state = state_of(trainer, SAVE_STEP);
    return mb_state_bytes(&state);
}

/* With the counters as they are now. */
static mb_state_t complete_state(mb_training_t *trainer, save_kind_t kind)
{
    mb_state_t state = state_of(trainer, kind);
    state.io = &trainer->io;
    trainer->state.iterations = trainer->update->iterations;
    state.state.iterations = trainer->update->iterations;
    state.state.averaged = state.averaged && trainer->optimizer->averages;
    mb_loss_scale_write(&trainer->update->loss_scale, &state.state);
    state.state.n_metrics = 0;
    if (trainer->state.step_in_epoch > 0)
        state.state.metrics = mb_score_kept_metrics(trainer->score, &state.state.n_metrics);
    return state;
}

/* As checkpoints of this cadence find it, within an epoch or between two. */
void mb_training_foresee_save(mb_training_t *trainer)
{
    const mb_cadence_t *cadence = &trainer->cadence;
    bool within = cadence->steps > 0 || cadence->seconds > 0;
    if (trainer->dir == NULL || mb_comm_rank(trainer->comm) != 0 ||
        (!within && cadence->epochs == 0))
        return;
    mb_state_t state = complete_state(trainer, SAVE_STEP);
    if (within)
        state.state.metrics = mb_score_kept_metrics(trainer->score, &state.state.n_metrics);
    mb_state_foresee(&state);
}

mb_status_t mb_training_visit_state(mb_training_t *trainer, mb_state_visit_t visit, void *user)
{
    mb_state_t state = complete_state(trainer, SAVE_STEP);
    return mb_state_visit(&state, visit, user);
}

static mb_state_t take_state(mb_training_t *trainer, save_kind_t kind, mb_run_dir_t *lease)
{
    static const char *const actions[] = {[SAVE_STEP] = "writing a checkpoint",
                                          [SAVE_FINAL] = "writing final.h5",
                                          [SAVE_EXPORT] = "writing a model file",
                                          [SAVE_KEPT] = "keeping the best weights"};
    mb_state_t state = complete_state(trainer, kind);
    state.lease = lease;
    mb_comm_doing(trainer->comm, actions[kind]);
    return state;
}

static mb_status_t save(mb_training_t *trainer, const char *path, save_kind_t kind,
                        mb_run_dir_t *lease)
{
    MB_TRY(mb_training_settle_save(trainer));
    mb_state_t state = take_state(trainer, kind, lease);
    mb_status_t status = mb_state_write(&state, path);
    mb_training_tell_hints(trainer);
    return status;
}

/* Rank 0 writes the other form from an HDF5 file beside, which all have written. */
static mb_status_t save_other_form(mb_training_t *trainer, const char *path, save_kind_t kind)
{
    mb_comm_t *comm = trainer->comm;
    size_t room = strlen(path) + sizeof MB_BESIDE;
    char *beside = malloc(room);
    mb_status_t status = beside == NULL ? mb_error_memory("a path", room) : MB_OK;
    if (status == MB_OK)
        snprintf(beside, room, "%s" MB_BESIDE, path);
    status = mb_comm_agree(comm, status);
    if (status == MB_OK)
        status = save(trainer, beside, kind, NULL);
    if (status == MB_OK && mb_comm_rank(comm) == 0) {
        status = mb_export(beside, path, NULL, NULL);
        unlink(beside);
    }
    free(beside);
    return mb_comm_agree(comm, status);
}

mb_status_t mb_training_save(mb_training_t *trainer, const char *path, bool with_state)
{
    save_kind_t kind = with_state ? SAVE_STEP : SAVE_EXPORT;
    return mb_form_of(path) == MB_FORM_HDF5 ? save(trainer, path, kind, NULL)
                                            : save_other_form(trainer, path, kind);
}

mb_status_t mb_training_digest(mb_training_t *trainer, uint64_t *digest)
{
    mb_state_t state = state_of(trainer, SAVE_EXPORT);
    mb_comm_doing(trainer->comm, "digesting the weights");
    state.format = NULL;
    return mb_state_digest(&state, digest);
}

/* Before a commit: the lease is still ours, and what was said of the steps up to here is the
 * system's. */
static mb_status_t guard(mb_training_t *trainer)
{
    if (mb_comm_rank(trainer->comm) != 0)
        return MB_OK;
    MB_TRY(mb_run_dir_renew(trainer->dir));
    return trainer->metrics == NULL ? MB_OK : mb_metrics_log_flush(trainer->metrics);
}

/* NAME in the run's directory, where the run may write. */
static mb_status_t take_path(mb_training_t *trainer, const char *name, char **path)
{
    mb_status_t status = guard(trainer);
    *path = mb_run_dir_file(trainer->dir, name);
    if (status == MB_OK && *path == NULL)
        status = mb_error_memory("a path", 0);
    status = mb_comm_agree(trainer->comm, status);
    if (status != MB_OK)
        free(*path);
    return status;
}

static mb_status_t save_as(mb_training_t *trainer, const char *name, save_kind_t kind)
{
    char *path;
    MB_TRY(take_path(trainer, name, &path));
    mb_status_t status = trainer->metrics == NULL ? MB_OK : mb_metrics_log_sync(trainer->metrics);
    status = mb_comm_agree(trainer->comm, status);
    if (status == MB_OK)
        status = save(trainer, path, kind, trainer->dir);
    if (status == MB_OK && mb_comm_rank(trainer->comm) == 0 &&
        trainer->options.events.saved != NULL)
        trainer->options.events.saved(trainer->options.events.user, path);
    free(path);
    return status;
}

static mb_status_t prune(mb_training_t *trainer)
{
    mb_status_t status = MB_OK;
    if (mb_comm_rank(trainer->comm) == 0)
        status =
            mb_run_dir_prune(trainer->dir, (int)mb_settings_int(trainer->settings, MB_SET_KEEP),
                             trainer->state.best_step > 0 ? trainer->state.best_step : -1);
    return mb_comm_agree(trainer->comm, status);
}

/* The steps wait until it is on disk. */
static mb_status_t checkpoint_now(mb_training_t *trainer, const char *name, bool last)
{
    double begun = mb_time_seconds();
    MB_TRY(save_as(trainer, name, SAVE_STEP));
    MB_TRY(prune(trainer));
    double took = mb_time_seconds() - begun;
    const mb_save_times_t one = {.count = 1,
                                 .bytes = mb_training_save_bytes(trainer),
                                 .stopped = last ? 0 : took,
                                 .total = took};
    mb_training_count_save(trainer, &one);
    return MB_OK;
}

static mb_status_t checkpoint_beside(mb_training_t *trainer, const char *name, double interval)
{
    char *path;
    double begun = mb_time_seconds();
    MB_TRY(mb_training_wait_for_previous(trainer));
    MB_TRY(take_path(trainer, name, &path));
    mb_state_t state = take_state(trainer, SAVE_STEP, trainer->dir);
    MB_TRY(mb_training_begin_save(trainer, &state, interval, path));
    const mb_save_times_t one = {.stopped = mb_time_seconds() - begun};
    mb_training_count_save(trainer, &one);
    return MB_OK;
}

mb_status_t mb_training_checkpoint(mb_training_t *trainer, bool last)
{
    char name[64];
    if (trainer->dir == NULL || trainer->saved_step == trainer->state.step)
        return MB_OK;
    int before = mb_account_begin(trainer->account, MB_ACTIVITY_CHECKPOINT);
    const mb_snapshot_t *snapshot = last ? NULL : mb_training_snapshot(trainer);
    MB_TRY(mb_training_check_weights(trainer, snapshot));
    mb_run_dir_step_name(trainer->state.step, name, sizeof name);
    double interval = mb_time_seconds() - trainer->last_save;
    trainer->last_save += interval;
    mb_status_t status = snapshot != NULL ? checkpoint_beside(trainer, name, interval)
                                          : checkpoint_now(trainer, name, last);
    if (status == MB_OK)
        trainer->saved_step = trainer->state.step;
    if (!last)
        status = mb_training_forgive(trainer, status, trainer->state.step);
    mb_account_enter(trainer->account, before);
    return status;
}

mb_status_t mb_training_save_in_run(mb_training_t *trainer, const char *name, bool whole)
{
    return save_as(trainer, name, whole ? SAVE_STEP : SAVE_KEPT);
}

mb_status_t mb_training_write_final(mb_training_t *trainer)
{
    return trainer->dir == NULL ? MB_OK : save_as(trainer, "final.h5", SAVE_FINAL);
}

mb_status_t mb_training_check_output(const mb_training_t *trainer)
{
    mb_method_t method;
    if (trainer->options.output == NULL || mb_training_final_format(trainer, &method) == NULL)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "%s: what Keras reads holds exact weights, and checkpoint-dtype rounds "
                        "those of final.h5; leave one of the two out",
                        trainer->options.output);
}

mb_status_t mb_training_write_output(mb_training_t *trainer)
{
    mb_status_t status = MB_OK;
    const char *output = trainer->options.output;
    if (output == NULL || trainer->dir == NULL)
        return MB_OK;
    mb_comm_doing(trainer->comm, "writing the model in another form");
    if (mb_comm_rank(trainer->comm) == 0) {
        char *final = mb_run_dir_file(trainer->dir, "final.h5");
        status =
            final == NULL ? mb_error_memory("a path", 0) : mb_export(final, output, NULL, NULL);
        if (status == MB_OK && trainer->options.events.saved != NULL)
            trainer->options.events.saved(trainer->options.events.user, output);
        free(final);
    }
    return mb_comm_agree(trainer->comm, status);
}

/* One rank's part of plan.json. */
typedef struct {
    int stage, group;
    int64_t planned_bytes, reduce_bytes;
    int64_t steps;
    double data_wait;
    int64_t before, taken, ahead, peak; /* bytes: of the process before the stage's, those, of
                                           samples that are read ahead, and the process' most */
    mb_action_cost_t costs[MB_ACTION_COUNT];
} rank_costs_t;

static void add_rank(mb_str_t *text, int rank, const rank_costs_t *costs)
{
    int64_t sent = costs->costs[MB_ACTION_SEND_ACT].bytes + costs->costs[MB_ACTION_SEND_GRAD].bytes;
    mb_str_addf(text,
                "%s\n  {\"rank\": %d, \"stage\": %d, \"group\": %d, \"steps\": %lld,\n"
                "   \"bytes_sent\": %lld, \"bytes_sent_planned\": %lld,\n"
                "   \"reduce_bytes_sent\": %lld, \"reduce_bytes_planned\": %lld,\n"
                "   \"data_wait_seconds\": %.6f,\n"
                "   \"memory\": {\"before\": %lld, \"planned\": %lld, "
                "\"read_ahead\": %lld, \"peak\": %lld},\n"
                "   \"actions\": {",
                rank == 0 ? "" : ",", rank, costs->stage, costs->group, (long long)costs->steps,
                (long long)sent, (long long)(costs->planned_bytes * costs->steps),
                (long long)costs->costs[MB_ACTION_REDUCE].bytes,
                (long long)(costs->reduce_bytes * costs->steps), costs->data_wait,
                (long long)costs->before, (long long)costs->taken, (long long)costs->ahead,
                (long long)costs->peak);
    const char *comma = "";
    for (int kind = 0; kind < MB_ACTION_COUNT; kind++) {
        const mb_action_cost_t *cost = &costs->costs[kind];
        if (cost->count == 0)
            continue;
        mb_str_addf(text,
                    "%s\n    \"%s\": {\"count\": %lld, \"seconds\": %.6f, \"wait_seconds\": %.6f, "
                    "\"bytes\": %lld}",
                    comma, mb_action_name((mb_action_kind_t)kind), (long long)cost->count,
                    cost->seconds, cost->wait_seconds, (long long)cost->bytes);
        comma = ",";
    }
    mb_str_add(text, "}}");
}

static void add_saves(mb_str_t *text, mb_save_times_t times)
{
    mb_str_addf(text,
                " \"checkpoints\": {\"count\": %lld, \"failed\": %lld, \"bytes\": %lld, "
                "\"stopped_seconds\": %.6f, \"copy_seconds\": %.6f, \"seconds\": %.6f},\n",
                (long long)times.count, (long long)times.failed, (long long)times.bytes,
                times.stopped, times.copy, times.total);
}

static mb_status_t write_text(mb_training_t *trainer, const mb_str_t *text)
{
    char *path = mb_run_dir_file(trainer->dir, "plan.json");
    mb_status_t status = path == NULL || text->failed ? mb_error_memory("plan.json", text->length)
                                                      : mb_io_replace_text(path, text->text);
    free(path);
    return status;
}

static mb_status_t write_plan(mb_training_t *trainer, const rank_costs_t *all)
{
    const mb_layout_t *layout = &trainer->layout;
    const mb_plan_t *plan = trainer->engine->plan;
    mb_str_t text = {0};
    mb_str_addf(&text,
                "{\"ranks\": %d, \"stages\": %d, \"groups\": %d, \"replicas\": %d,\n"
                " \"batch\": %lld, \"micro_batch\": %lld, \"micro_batches\": %d, "
                "\"schedule\": \"%s\",\n \"first_nodes\": [",
                mb_comm_size(trainer->comm), layout->stages, layout->groups, layout->replicas,
                (long long)layout->batch, (long long)layout->micro_batch, layout->micros,
                mb_settings_text(trainer->settings, MB_SET_SCHEDULE));
    for (int s = 0; s < plan->chunks; s++) {
        const mb_node_t *node = &plan->graph->nodes[plan->first_node[s]];
        mb_str_addf(&text, "%s\"%s\"", s == 0 ? "" : ", ", plan->graph->layers[node->layer]->path);
    }
    mb_str_add(&text, "],\n");
    add_saves(&text, mb_training_save_times(trainer));
    mb_str_add(&text, " \"measured\": [");
    for (int r = 0; r < mb_comm_size(trainer->comm); r++)
        add_rank(&text, r, &all[r]);
    mb_str_add(&text, "]}\n");
    mb_status_t status = write_text(trainer, &text);
    mb_str_free(&text);
    return status;
}

mb_status_t mb_training_write_plan(mb_training_t *trainer)
{
    const mb_engine_t *engine = trainer->engine;
    const mb_footprint_t bytes = mb_training_bytes(trainer);
    rank_costs_t own = {.stage = engine->grid.stage,
                        .group = engine->grid.group,
                        .data_wait = mb_feed_waited(trainer->feed),
                        .before = trainer->resident_before,
                        .taken = mb_footprint_bytes(&bytes),
                        .ahead = mb_feed_bytes(trainer->feed),
                        .peak = mb_host_memory_peak()};
    if (trainer->dir == NULL)
        return MB_OK;
    rank_costs_t *all = calloc((size_t)mb_comm_size(trainer->comm), sizeof *all);
    mb_status_t status = all == NULL ? mb_error_memory("plan.json", sizeof *all) : MB_OK;
    if (engine->executor != NULL) {
        const mb_action_cost_t *costs = mb_executor_costs(engine->executor);
        for (int kind = 0; kind < MB_ACTION_COUNT; kind++)
            own.costs[kind] = costs[kind];
        own.steps = costs[MB_ACTION_STEP].count;
        own.planned_bytes = mb_plan_bytes_sent(engine->plan, engine->grid.stage);
        own.reduce_bytes = mb_stage_reduce_bytes(engine->reduction);
    }
    mb_comm_doing(trainer->comm, "writing plan.json");
    MB_TRY_GOTO(mb_comm_agree(trainer->comm, status), status, out);
    MB_TRY_GOTO(mb_comm_allgather(trainer->comm, &own, sizeof own, all), status, out);
    if (mb_comm_rank(trainer->comm) == 0)
        status = write_plan(trainer, all);
    status = mb_comm_agree(trainer->comm, status);

out:
    free(all);
    return status;
}
