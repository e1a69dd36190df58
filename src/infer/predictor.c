/* See predictor.h. A step sends `MICROS` micro-batches through every replica; the next step's
 * follow at once, so the stages never run dry between steps. */
#include "infer/predictor.h"

#include <math.h>
#include <stdlib.h>

#include "infer/feed.h"
#include "store/predictions.h"

enum { MICROS = 8, DEFAULT_BATCH = 128 };

typedef struct {
    const mb_predict_options_t *options;
    mb_comm_t *comm;
    mb_machine_t *machine;
    mb_model_t *model;
    mb_source_t *source;
    mb_engine_t *engine;
    mb_feed_t *feed;
    mb_predictions_t *predictions;
    mb_sampler_t sampler;
    int64_t step, micro_batch;
    float *host;       /* one output of one micro-batch */
    double *latencies; /* seconds from a micro-batch's start to its end on this rank */
    double started;
} predictor_t;

static mb_status_t feed_hook(void *user, const mb_micro_t *micro, int index)
{
    predictor_t *p = user;
    return mb_feed_micro(p->feed, micro, index);
}

static mb_status_t take_values(predictor_t *p, int output, int64_t first, int64_t count)
{
    if (p->options->write != NULL)
        return p->options->write(p->options->user, output, first, count, p->host);
    return mb_predictions_write(p->predictions, output, first, count, p->host);
}

static mb_status_t output_hook(void *user, const mb_micro_t *micro, int index)
{
    predictor_t *p = user;
    const mb_stage_t *stage = p->engine->stage;
    int64_t first = p->step * p->sampler.batch + micro->position;
    (void)index;
    for (int o = 0; o < stage->n_outputs && micro->valid > 0; o++) {
        int output = stage->outputs[o].output;
        int node = p->model->graph->outputs[output].node;
        int64_t elements = mb_shape_elements(&p->model->graph->nodes[node].call.output);
        MB_TRY(mb_exec_copy(&p->engine->exec, p->host, mb_stage_tensor(stage, micro->slot, node),
                            (size_t)(elements * micro->valid) * sizeof(float), MB_COPY_TO_HOST));
        MB_TRY(mb_exec_sync(&p->engine->exec));
        MB_TRY(take_values(p, output, first, micro->valid));
    }
    return MB_OK;
}

static mb_status_t make_engine(predictor_t *p)
{
    int ranks = mb_comm_size(p->comm), stages = p->options->stages > 0 ? p->options->stages : 1;
    int most = mb_plan_max_stages(p->model->graph);
    if (stages > ranks || stages > most)
        return mb_error_set(
            MB_ERR_ARGUMENT,
            "%d stages do not fit %d ranks and %d nodes that compute; use --stages %d", stages,
            ranks, most, ranks < most ? ranks : most);
    p->micro_batch = p->options->batch > 0 ? p->options->batch : DEFAULT_BATCH;
    mb_engine_options_t options = {.machine = p->machine,
                                   .graph = p->model->graph,
                                   .stages = stages,
                                   .replicas = ranks / stages,
                                   .micro_batch = p->micro_batch,
                                   .micros_per_replica = MICROS,
                                   .schedule = MB_SCHEDULE_1F1B,
                                   .hooks = {.user = p, .feed = feed_hook, .output = output_hook}};
    p->sampler = (mb_sampler_t){.shuffle = MB_SHUFFLE_NONE,
                                .samples = p->source->samples,
                                .batch = p->micro_batch * MICROS * options.replicas};
    return mb_engine_create(&options, &p->engine);
}

static int64_t longest_output(const mb_graph_t *graph)
{
    int64_t most = 1;
    for (int o = 0; o < graph->n_outputs; o++) {
        int64_t n = mb_shape_elements(&graph->nodes[graph->outputs[o].node].call.output);
        most = n > most ? n : most;
    }
    return most;
}

static mb_status_t load(predictor_t *p)
{
    mb_feed_span_t span = {.sampler = p->sampler, .end_step = mb_sampler_steps(&p->sampler)};
    MB_TRY(mb_model_load_values(p->model, p->engine));
    size_t bytes = (size_t)(longest_output(p->model->graph) * p->micro_batch) * sizeof(float);
    p->host = malloc(bytes);
    p->latencies = calloc((size_t)span.end_step + 1, sizeof *p->latencies);
    if (p->host == NULL || p->latencies == NULL)
        return mb_error_memory("predictions of a micro-batch", bytes);
    return mb_feed_create(p->engine, p->model, p->source, &span, &p->feed);
}

static mb_status_t create_output(predictor_t *p)
{
    const mb_graph_t *graph = p->model->graph;
    mb_tensor_spec_t outputs[MB_MAX_INPUTS];
    if (p->options->write != NULL)
        return mb_comm_agree(p->comm, p->options->ready(p->options->user, graph));
    for (int o = 0; o < graph->n_outputs; o++)
        outputs[o] = (mb_tensor_spec_t){.name = graph->outputs[o].name,
                                        .shape = graph->nodes[graph->outputs[o].node].call.output};
    return mb_predictions_create(p->comm, p->options->output, graph->n_outputs, outputs,
                                 p->source->samples, &p->predictions);
}

static mb_status_t flow(predictor_t *p)
{
    int64_t steps = mb_sampler_steps(&p->sampler), done = 0;
    p->started = mb_time_seconds();
    for (p->step = 0; p->step < steps && !mb_engine_idle(p->engine); p->step++) {
        double start = mb_time_seconds();
        mb_step_info_t info = {.step = p->step, .batch = mb_sampler_batch(&p->sampler, p->step)};
        MB_TRY(mb_executor_run(p->engine->executor, &info));
        p->latencies[p->step] = (mb_time_seconds() - start) / MICROS;
        done += info.batch;
        if (p->options->progress != NULL && mb_comm_rank(p->comm) == 0)
            p->options->progress(p->options->user, done, p->source->samples);
    }
    if (mb_engine_idle(p->engine))
        return MB_OK;
    MB_TRY(mb_executor_drain(p->engine->executor));
    return mb_exec_sync(&p->engine->exec);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void fill_report(predictor_t *p, mb_predict_report_t *report)
{
    int64_t steps = mb_sampler_steps(&p->sampler);
    qsort(p->latencies, (size_t)steps, sizeof *p->latencies, ascending);
    *report = (mb_predict_report_t){.samples = p->source->samples,
                                    .seconds = mb_time_seconds() - p->started,
                                    .batch_seconds = p->latencies[steps / 2],
                                    .stages = p->engine->grid.stages,
                                    .groups = p->engine->grid.groups};
}

static mb_status_t predict(predictor_t *p, mb_predict_report_t *report)
{
    MB_TRY(mb_model_open_with_data(p->comm, p->options->model, p->options->data, MB_MODEL_PREDICTS,
                                   &p->model, &p->source));
    MB_TRY(mb_machine_open(p->comm, p->options->device, p->options->threads,
                           p->options->keep_binding, &p->machine));
    MB_TRY(make_engine(p));
    MB_TRY(mb_comm_agree(p->comm, load(p)));
    MB_TRY(mb_engine_prepare(p->engine));
    MB_TRY(create_output(p));
    mb_status_t status = flow(p);
    if (status != MB_OK) {
        mb_comm_fail(p->comm, status);
        if (p->predictions != NULL)
            mb_predictions_discard(p->predictions);
        return status;
    }
    /* Everyone's samples are in when the commit is agreed on. */
    if (p->predictions != NULL)
        MB_TRY(mb_predictions_commit(p->predictions, status));
    fill_report(p, report);
    return MB_OK;
}

mb_status_t mb_predict(const mb_predict_options_t *options, mb_predict_report_t *report)
{
    predictor_t p = {.options = options, .comm = options->comm, .source = options->source};
    mb_status_t status = predict(&p, report);
    mb_feed_destroy(p.feed);
    mb_engine_destroy(p.engine);
    mb_machine_close(p.machine);
    if (p.source != NULL && p.source != options->source)
        mb_source_close(p.source);
    mb_model_close(p.model);
    free(p.host);
    free(p.latencies);
    return status;
}
