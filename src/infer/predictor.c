/* See predictor.h. A step sends at most `MICROS` micro-batches through every group; the next step's
 * follow at once, so the stages never run dry between steps. */
#include "infer/predictor.h"

#include <stdlib.h>

#include "base/number.h"
#include "engine/feed.h"
#include "infer/latency.h"
#include "store/predictions.h"

enum { MICROS = 16, DEFAULT_BATCH = 128 };

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
    int micros;  /* of a group's step */
    void *host;  /* one output of one micro-batch as the device has it; NULL: the host sees that */
    float *wide; /* the same in float32; NULL: all outputs are */
    mb_latency_t *latency;
    double seconds;
} predictor_t;

static mb_status_t feed_hook(void *user, const mb_micro_t *micro, int index)
{
    predictor_t *p = user;
    MB_TRY(mb_comm_watch(p->comm));
    mb_latency_enter(p->latency, p->step * p->micros + index);
    return mb_feed_micro(p->feed, micro, index);
}

static mb_status_t take_values(predictor_t *p, int output, int64_t first, int64_t count,
                               const float *values)
{
    if (p->options->write != NULL)
        return p->options->write(p->options->user, output, first, count, values);
    return mb_predictions_write(p->predictions, output, first, count, values);
}

/* Float32, where the host can read it. */
static mb_status_t fetch(predictor_t *p, const void *values, mb_dtype_t type, int64_t count,
                         const float **out)
{
    mb_exec_t *exec = &p->engine->exec;
    if (p->host != NULL)
        MB_TRY(mb_exec_copy(exec, p->host, values, (size_t)count * mb_dtype_bytes(type),
                            MB_COPY_TO_HOST));
    MB_TRY(mb_exec_sync(exec));
    const void *seen = p->host != NULL ? p->host : values;
    *out = type == MB_F32 ? seen : p->wide;
    for (int64_t i = 0; type == MB_I32 && i < count; i++)
        p->wide[i] = (float)((const int32_t *)seen)[i];
    if (type != MB_F32 && type != MB_I32)
        mb_number_decode(mb_number_of(type), 0, seen, count, p->wide);
    return MB_OK;
}

static mb_status_t take_output(predictor_t *p, const mb_micro_t *micro, int output)
{
    int node = p->model->graph->outputs[output].node;
    const mb_call_t *call = &p->model->graph->nodes[node].call;
    const float *values;
    MB_TRY(fetch(p, mb_stage_tensor(p->engine->stage, micro->index, node), call->output_type,
                 mb_shape_elements(&call->output) * micro->valid, &values));
    return take_values(p, output, p->step * p->sampler.batch + micro->position, micro->valid,
                       values);
}

static mb_status_t output_hook(void *user, const mb_micro_t *micro, int index)
{
    predictor_t *p = user;
    const mb_stage_t *stage = p->engine->stage;
    for (int o = 0; o < stage->n_outputs; o++)
        MB_TRY(take_output(p, micro, stage->outputs[o].output));
    mb_latency_leave(p->latency, p->step * p->micros + index);
    return MB_OK;
}

/* Steps of equal length, so that the last one, too, occupies all groups. */
static void choose_steps(predictor_t *p, int groups)
{
    int64_t samples = p->source->samples;
    int64_t all = (samples + p->micro_batch - 1) / p->micro_batch;
    int64_t each = (all + groups - 1) / groups, steps = (each + MICROS - 1) / MICROS;
    p->micros = steps > 0 ? (int)((each + steps - 1) / steps) : 1;
    p->sampler = (mb_sampler_t){.shuffle = MB_SHUFFLE_NONE,
                                .samples = samples,
                                .batch = p->micro_batch * p->micros * groups};
}

/* Where layers keep states a step is a batch of the model's, whose rows find theirs again. */
static void choose_batches(predictor_t *p, int groups)
{
    int64_t batch = p->model->graph->batch;
    if (p->options->batch == 0 && batch < p->micro_batch)
        p->micro_batch = batch;
    int64_t all = (batch + p->micro_batch - 1) / p->micro_batch;
    p->micros = (int)((all + groups - 1) / groups);
    p->sampler =
        (mb_sampler_t){.shuffle = MB_SHUFFLE_NONE, .samples = p->source->samples, .batch = batch};
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
    if (p->model->graph->keeps_states)
        choose_batches(p, ranks / stages);
    else
        choose_steps(p, ranks / stages);
    mb_engine_options_t options = {.machine = p->machine,
                                   .graph = p->model->graph,
                                   .stages = stages,
                                   .replicas = ranks / stages,
                                   .micro_batch = p->micro_batch,
                                   .micros_per_replica = p->micros,
                                   .schedule = {.kind = MB_SCHEDULE_1F1B},
                                   .integer = !p->options->float_activations,
                                   .hooks = {.user = p, .feed = feed_hook, .output = output_hook}};
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

static bool has_narrow_output(const mb_graph_t *graph)
{
    bool narrow = false;
    for (int o = 0; o < graph->n_outputs; o++)
        narrow = narrow || graph->nodes[graph->outputs[o].node].call.output_type != MB_F32;
    return narrow;
}

static mb_status_t take_buffers(predictor_t *p)
{
    mb_device_t *device = p->machine->device;
    size_t bytes = (size_t)(longest_output(p->model->graph) * p->micro_batch) * sizeof(float);
    bool apart = !device->class_->host_visible(device), narrow = has_narrow_output(p->model->graph);
    void *host = NULL;
    if (apart)
        MB_TRY(mb_device_host_alloc(device, bytes, &host));
    p->host = host;
    p->wide = narrow ? malloc(bytes) : NULL;
    if (narrow && p->wide == NULL)
        return mb_error_memory("predictions of a micro-batch", bytes);
    return MB_OK;
}

static mb_status_t load(predictor_t *p)
{
    mb_feed_span_t span = {.sampler = p->sampler, .end_step = mb_sampler_steps(&p->sampler)};
    MB_TRY(mb_model_load_values(p->model, p->engine));
    MB_TRY(take_buffers(p));
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
    for (p->step = 0; p->step < steps && !mb_engine_idle(p->engine); p->step++) {
        mb_step_info_t info = {.step = p->step, .batch = mb_sampler_batch(&p->sampler, p->step)};
        MB_TRY(mb_executor_run(p->engine->executor, &info));
        done += info.batch;
        if (p->options->progress != NULL && mb_comm_rank(p->comm) == 0)
            p->options->progress(p->options->user, done, p->source->samples);
    }
    if (mb_engine_idle(p->engine))
        return MB_OK;
    MB_TRY(mb_executor_drain(p->engine->executor));
    return mb_exec_sync(&p->engine->exec);
}

/* The time is that of all ranks: from one barrier to the next. */
static mb_status_t flow_timed(predictor_t *p)
{
    MB_TRY(mb_comm_barrier(p->comm));
    double start = mb_time_seconds();
    MB_TRY(flow(p));
    MB_TRY(mb_comm_barrier(p->comm));
    p->seconds = mb_time_seconds() - start;
    return MB_OK;
}

static mb_status_t fill_report(predictor_t *p, mb_predict_report_t *report)
{
    *report = (mb_predict_report_t){.samples = p->source->samples,
                                    .tokens = mb_graph_tokens(p->model->graph),
                                    .seconds = p->seconds,
                                    .batch = p->micro_batch,
                                    .stages = p->engine->grid.stages,
                                    .groups = p->engine->grid.groups};
    return mb_latency_finish(p->latency, &report->batch_seconds, &report->batch_seconds_99);
}

static mb_status_t predict(predictor_t *p, mb_predict_report_t *report)
{
    mb_model_request_t request = {.path = p->options->model,
                                  .data = {.path = p->options->data,
                                           .label = p->options->label,
                                           .label_given = p->options->label != NULL},
                                  .dtype = p->options->dtype,
                                  .weights = &p->options->weights,
                                  .log = p->options->log,
                                  .purpose = MB_MODEL_PREDICTS};
    MB_TRY(mb_model_open_with_data(p->comm, &request, &p->model, &p->source));
    MB_TRY(mb_comm_agree(p->comm, mb_model_check_batches(p->model, p->source)));
    MB_TRY(mb_machine_open(p->comm, &p->options->machine, &p->machine));
    MB_TRY(make_engine(p));
    MB_TRY(mb_comm_agree(p->comm, load(p)));
    MB_TRY(mb_engine_prepare(p->engine));
    MB_TRY(create_output(p));
    MB_TRY(mb_latency_create(p->engine, mb_sampler_steps(&p->sampler) * p->micros, &p->latency));
    mb_status_t status = flow_timed(p);
    if (status != MB_OK) {
        mb_comm_fail(p->comm, status);
        if (p->predictions != NULL)
            mb_predictions_discard(p->predictions);
        return status;
    }
    /* Everyone's samples are in when the commit is agreed on. */
    mb_comm_doing(p->comm, "finishing the predictions");
    if (p->predictions != NULL)
        MB_TRY(mb_predictions_commit(p->predictions, status));
    return fill_report(p, report);
}

mb_status_t mb_predict(const mb_predict_options_t *options, mb_predict_report_t *report)
{
    predictor_t p = {.options = options, .comm = options->comm, .source = options->source};
    mb_error_message_t kept;
    mb_status_t status = predict(&p, report);
    mb_error_keep(&kept);
    if (status != MB_OK)
        mb_machine_give_up(p.machine);
    mb_engine_quiet(p.engine);
    mb_feed_destroy(p.feed);
    mb_engine_destroy(p.engine);
    if (p.machine != NULL)
        mb_device_host_free(p.machine->device, p.host);
    mb_machine_close(p.machine);
    if (p.source != NULL && p.source != options->source)
        mb_source_close(p.source);
    mb_model_close(p.model);
    free(p.wide);
    mb_latency_destroy(p.latency);
    mb_error_restore(&kept);
    return status;
}
