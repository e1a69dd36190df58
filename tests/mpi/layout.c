/* See layout.h. */
#include "mpi/layout.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "infer/predictor.h"
#include "mpi/ranks.h"
#include "store/model_file.h"

typedef struct {
    const layout_run_t *run;
    layout_outcome_t *outcome;
    int64_t done;
} progress_t;

static void on_start(void *user, const mb_start_report_t *report)
{
    progress_t *progress = user;
    progress->outcome->groups = report->groups;
    progress->outcome->first_step = progress->done = report->resumed_step;
}

static void on_step(void *user, const mb_step_report_t *report)
{
    progress_t *progress = user;
    progress->done = report->step;
    progress->outcome->steps++;
    if (report->step <= LAYOUT_MAX_STEPS)
        progress->outcome->losses[report->step - 1] = report->loss;
}

static bool on_stop(void *user)
{
    const progress_t *progress = user;
    return progress->run->stop > 0 && progress->done + 1 >= progress->run->stop;
}

static mb_status_t set_number(mb_settings_t *settings, const char *key, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    return mb_settings_set(settings, key, text, MB_FROM_USER);
}

mb_status_t layout_settings(const layout_run_t *run, mb_settings_t *settings)
{
    MB_TRY(set_number(settings, "batch", run->batch));
    if (!run->free) {
        MB_TRY(set_number(settings, "micro-batch", run->model->micro_batch));
        MB_TRY(set_number(settings, "replicas", LAYOUT_REPLICAS));
        MB_TRY(set_number(settings, "steps", run->model->steps));
    }
    MB_TRY(set_number(settings, "stages", run->stages));
    MB_TRY(mb_settings_set(settings, "seed", "17", MB_FROM_USER));
    MB_TRY(mb_settings_set(settings, "threads", run->threads, MB_FROM_USER));
    MB_TRY(mb_settings_set(settings, "schedule", run->schedule, MB_FROM_USER));
    MB_TRY(mb_settings_set(settings, "recompute", run->recompute == NULL ? "none" : run->recompute,
                           MB_FROM_USER));
    MB_TRY(mb_settings_set(settings, "partition", run->measures ? "measured" : "counted",
                           MB_FROM_USER));
    MB_TRY(set_number(settings, "zero", run->zero));
    if (run->checks) {
        MB_TRY(set_number(settings, "check-every", 2));
        MB_TRY(mb_settings_set(settings, "on-nan", "skip", MB_FROM_USER));
    }
    MB_TRY(mb_settings_set(settings, "offload", run->offloads ? "activations,moments" : "none",
                           MB_FROM_USER));
    /* A layer or two in a bucket, or all that a chunk has. */
    MB_TRY(mb_settings_set(settings, "bucket", strcmp(run->schedule, "gpipe") == 0 ? "0" : "512",
                           MB_FROM_USER));
    MB_TRY(mb_settings_set(settings, "device", run->device, MB_FROM_USER));
    if (run->transport != NULL)
        MB_TRY(mb_settings_set(settings, "transport", run->transport, MB_FROM_USER));
    if (run->dtype != NULL)
        MB_TRY(mb_settings_set(settings, "dtype", run->dtype, MB_FROM_USER));
    if (run->dtype != NULL || run->model->is_narrow)
        MB_TRY(mb_settings_set(settings, "emulate", "yes", MB_FROM_USER));
    if (run->model->clip != NULL)
        MB_TRY(mb_settings_set(settings, "clip", run->model->clip, MB_FROM_USER));
    if (run->model->loss != NULL)
        MB_TRY(mb_settings_set(settings, "loss", run->model->loss, MB_FROM_USER));
    if (run->run != NULL)
        MB_TRY(mb_settings_set(settings, "run", run->run, MB_FROM_USER));
    return MB_OK;
}

static mb_status_t read_digests(const char *path, layout_outcome_t *out)
{
    mb_model_file_t *file;
    mb_digest_t digest;
    MB_TRY(mb_model_file_open(path, true, true, &file));
    mb_status_t status = file->seal == MB_SEAL_HOLDS
                             ? mb_model_file_digest(file, &digest)
                             : mb_error_set(MB_ERR_FORMAT, "%s: the seal does not hold", path);
    mb_model_file_close(file);
    MB_TRY(status);
    out->weights = digest.weights;
    out->full = digest.full;
    return MB_OK;
}

static mb_status_t run_to_end(const layout_run_t *run, mb_training_t *training)
{
    mb_status_t status = mb_training_run(training);
    if (status == MB_ERR_STOPPED && run->stop > 0)
        return MB_OK;
    MB_TRY(status);
    return run->run != NULL ? MB_OK : mb_training_save(training, run->save, true);
}

static mb_status_t train(mb_comm_t *comm, const layout_run_t *run, mb_settings_t *settings,
                         layout_outcome_t *out)
{
    progress_t progress = {.run = run, .outcome = out};
    mb_training_t *training = NULL;
    mb_training_options_t options = {
        .comm = comm,
        .model = run->model->path,
        .settings = settings,
        .source = run->model->source,
        .no_directory = run->run == NULL,
        .events = {.user = &progress, .start = on_start, .step = on_step, .stop = on_stop}};
    MB_TRY(layout_settings(run, settings));
    mb_status_t status = mb_training_create(&options, &training);
    if (status == MB_OK)
        status = run_to_end(run, training);
    mb_training_destroy(training);
    return status;
}

typedef struct {
    const layout_run_t *run;
    void *out; /* of what is asked for; rank 0's */
} asked_t;

static mb_status_t train_rank(void *user, mb_comm_t *comm)
{
    const asked_t *asked = user;
    const layout_run_t *run = asked->run;
    bool first = mb_comm_rank(comm) == 0;
    mb_settings_t *settings = NULL;
    char path[LAYOUT_PATH];
    layout_outcome_t others, *out = first ? asked->out : &others;
    MB_TRY(mb_settings_create(&settings));
    mb_status_t status = train(comm, run, settings, out);
    mb_settings_destroy(settings);
    if (run->run != NULL)
        snprintf(path, sizeof path, "%s/final.h5", run->run);
    else
        snprintf(path, sizeof path, "%s", run->save);
    return status == MB_OK && first && run->stop == 0 ? read_digests(path, out) : status;
}

mb_status_t layout_train(int ranks, const layout_run_t *run, layout_outcome_t *out)
{
    asked_t asked = {run, out};
    *out = (layout_outcome_t){.steps = 0};
    for (int s = 0; s < LAYOUT_MAX_STEPS; s++)
        out->losses[s] = NAN;
    return ranks_run(ranks, train_rank, &asked);
}

static mb_status_t evaluate(mb_comm_t *comm, const layout_run_t *run, mb_settings_t *settings,
                            double numbers[2])
{
    mb_eval_report_t report;
    mb_arena_t *arena = mb_arena_create();
    if (arena == NULL)
        return mb_error_memory("an arena", 0);
    mb_status_t status = layout_settings(run, settings);
    if (status == MB_OK)
        status = mb_evaluate_source(comm, run->model->path, settings, run->model->source, arena,
                                    &report);
    if (status == MB_OK) {
        numbers[0] = report.loss;
        numbers[1] = report.accuracy;
    }
    mb_arena_destroy(arena);
    return status;
}

static mb_status_t evaluate_rank(void *user, mb_comm_t *comm)
{
    const asked_t *asked = user;
    double others[2];
    mb_settings_t *settings = NULL;
    MB_TRY(mb_settings_create(&settings));
    mb_status_t status =
        evaluate(comm, asked->run, settings, mb_comm_rank(comm) == 0 ? asked->out : others);
    mb_settings_destroy(settings);
    return status;
}

mb_status_t layout_evaluate(int ranks, const layout_run_t *run, double numbers[2])
{
    asked_t asked = {run, numbers};
    return ranks_run(ranks, evaluate_rank, &asked);
}

typedef struct {
    const mb_graph_t *graph;
    uint64_t digest;
} predictions_t;

static mb_status_t take_graph(void *user, const mb_graph_t *graph)
{
    predictions_t *predictions = user;
    predictions->graph = graph;
    return MB_OK;
}

/* A sample's part knows its place, and sums do not mind who adds first. */
static mb_status_t take_samples(void *user, int output, int64_t first, int64_t count,
                                const float *values)
{
    predictions_t *predictions = user;
    const mb_graph_t *graph = predictions->graph;
    int64_t elements = mb_shape_elements(&graph->nodes[graph->outputs[output].node].call.output);
    for (int64_t i = 0; i < count; i++) {
        uint64_t place = ((uint64_t)output << 40) + (uint64_t)(first + i);
        uint32_t crc = mb_crc32c(0, &place, sizeof place);
        crc = mb_crc32c(crc, values + i * elements, (size_t)elements * sizeof(float));
        predictions->digest += crc;
    }
    return MB_OK;
}

static mb_status_t add_up(mb_comm_t *comm, uint64_t own, uint64_t *out)
{
    uint64_t all[RANKS_MOST];
    MB_TRY(mb_comm_allgather(comm, &own, sizeof own, all));
    if (mb_comm_rank(comm) != 0)
        return MB_OK;
    *out = 0;
    for (int r = 0; r < mb_comm_size(comm); r++)
        *out += all[r];
    return MB_OK;
}

static mb_status_t predict_rank(void *user, mb_comm_t *comm)
{
    const asked_t *asked = user;
    const layout_run_t *run = asked->run;
    mb_predict_report_t report;
    predictions_t predictions = {.digest = 0};
    mb_predict_options_t predict = {.comm = comm,
                                    .model = run->model->path,
                                    .source = run->model->source,
                                    .ready = take_graph,
                                    .write = take_samples,
                                    .batch = run->model->micro_batch,
                                    .stages = run->stages,
                                    .machine = {.device = run->device,
                                                .threads = (int)strtol(run->threads, NULL, 10),
                                                .emulate = true},
                                    .dtype = run->dtype,
                                    .user = &predictions};
    MB_TRY(mb_predict(&predict, &report));
    return add_up(comm, predictions.digest, asked->out);
}

mb_status_t layout_predict(int ranks, const layout_run_t *run, uint64_t *digest)
{
    asked_t asked = {run, digest};
    return ranks_run(ranks, predict_rank, &asked);
}
