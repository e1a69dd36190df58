/* See session.h. */
#include "infer/session.h"

#include <stdlib.h>

#include "base/number.h"

enum { MICROS = 16, DEFAULT_BATCH = 128 };

static mb_status_t feed_hook(void *user, const mb_micro_t *micro, int index)
{
    mb_session_t *s = user;
    MB_TRY(mb_comm_watch(s->comm));
    return s->run->feed(s->run->user, micro, index, s->step * s->sampler.batch + micro->position);
}

static mb_status_t output_hook(void *user, const mb_micro_t *micro, int index)
{
    mb_session_t *s = user;
    const mb_stage_t *stage = s->engine->stage;
    int64_t first = s->step * s->sampler.batch + micro->position;
    for (int o = 0; o < stage->n_outputs; o++)
        MB_TRY(s->run->take(s->run->user, micro, stage->outputs[o].output, first));
    if (s->run->taken != NULL)
        s->run->taken(s->run->user, index);
    return MB_OK;
}

/* Steps of equal length, so that the last one, too, occupies all groups. */
static void choose_steps(mb_session_t *s, int groups)
{
    int64_t samples = s->source == NULL ? 1 : s->source->samples;
    int64_t all = (samples + s->micro_batch - 1) / s->micro_batch;
    int64_t each = (all + groups - 1) / groups, steps = (each + MICROS - 1) / MICROS;
    s->micros = steps > 0 ? (int)((each + steps - 1) / steps) : 1;
}

/* Where layers keep states a step is a batch of the model's, whose rows find theirs again. */
static void choose_batches(mb_session_t *s, bool chosen, int groups)
{
    int64_t batch = s->model->graph->batch;
    if (!chosen && batch < s->micro_batch)
        s->micro_batch = batch;
    int64_t all = (batch + s->micro_batch - 1) / s->micro_batch;
    s->micros = (int)((all + groups - 1) / groups);
}

mb_sampler_t mb_session_sampler(const mb_session_t *session, int64_t samples)
{
    const mb_graph_t *graph = session->model->graph;
    int64_t step = session->micro_batch * session->micros * session->engine->grid.groups;
    return (mb_sampler_t){.shuffle = MB_SHUFFLE_NONE,
                          .samples = samples,
                          .batch = graph->keeps_states ? graph->batch : step};
}

static mb_status_t make_engine(mb_session_t *s, const mb_predict_options_t *given)
{
    int ranks = mb_comm_size(s->comm), stages = given->stages > 0 ? given->stages : 1;
    int most = mb_plan_max_stages(s->model->graph);
    if (stages > ranks || stages > most)
        return mb_error_set(
            MB_ERR_ARGUMENT,
            "%d stages do not fit %d ranks and %d nodes that compute; use --stages %d", stages,
            ranks, most, ranks < most ? ranks : most);
    s->micro_batch = given->batch > 0 ? given->batch : DEFAULT_BATCH;
    if (s->model->graph->keeps_states)
        choose_batches(s, given->batch > 0, ranks / stages);
    else
        choose_steps(s, ranks / stages);
    mb_engine_options_t options = {.machine = s->machine,
                                   .graph = s->model->graph,
                                   .stages = stages,
                                   .replicas = ranks / stages,
                                   .micro_batch = s->micro_batch,
                                   .micros_per_replica = s->micros,
                                   .schedule = {.kind = MB_SCHEDULE_1F1B},
                                   .integer = !given->float_activations,
                                   .hooks = {.user = s, .feed = feed_hook, .output = output_hook}};
    return mb_engine_create(&options, &s->engine);
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

static mb_status_t take_buffers(mb_session_t *s)
{
    mb_device_t *device = s->machine->device;
    size_t bytes = (size_t)(longest_output(s->model->graph) * s->micro_batch) * sizeof(float);
    bool apart = !device->class_->host_visible(device), narrow = has_narrow_output(s->model->graph);
    void *host = NULL;
    if (apart)
        MB_TRY(mb_device_host_alloc(device, bytes, &host));
    s->host = host;
    s->wide = narrow ? malloc(bytes) : NULL;
    if (narrow && s->wide == NULL)
        return mb_error_memory("predictions of a micro-batch", bytes);
    return MB_OK;
}

static mb_status_t load(mb_session_t *s)
{
    MB_TRY(mb_model_load_values(s->model, s->engine));
    return take_buffers(s);
}

static mb_status_t open_model(mb_session_t *s, const mb_predict_options_t *options)
{
    mb_model_request_t request = {.path = options->model,
                                  .data = {.path = options->data,
                                           .label = options->label,
                                           .label_given = options->label != NULL},
                                  .dtype = options->dtype,
                                  .weights = &options->weights,
                                  .log = options->log,
                                  .purpose = MB_MODEL_PREDICTS};
    s->source = options->source;
    s->owns_source = options->source == NULL;
    return mb_model_open_with_data(s->comm, &request, &s->model, &s->source);
}

static mb_status_t open_session(mb_session_t *s, const mb_predict_options_t *options)
{
    MB_TRY(open_model(s, options));
    MB_TRY(mb_comm_agree(s->comm, mb_model_check_batches(s->model, s->source)));
    MB_TRY(mb_machine_open(s->comm, &options->machine, &s->machine));
    MB_TRY(make_engine(s, options));
    MB_TRY(mb_comm_agree(s->comm, load(s)));
    return mb_engine_prepare(s->engine);
}

mb_status_t mb_session_open(const mb_predict_options_t *options, mb_session_t **out)
{
    mb_session_t *s = calloc(1, sizeof *s);
    mb_status_t status = s == NULL ? mb_error_memory("a predictor", sizeof *s) : MB_OK;
    MB_TRY_GOTO(mb_comm_agree(options->comm, status), status, err_session);
    s->comm = options->comm;
    MB_TRY_GOTO(open_session(s, options), status, err_session);
    *out = s;
    return MB_OK;

err_session:
    mb_session_close(s, true);
    return status;
}

static void close_parts(mb_session_t *s, bool failed)
{
    if (failed)
        mb_machine_give_up(s->machine);
    mb_engine_quiet(s->engine);
    mb_engine_destroy(s->engine);
    if (s->machine != NULL)
        mb_device_host_free(s->machine->device, s->host);
    mb_machine_close(s->machine);
    if (s->owns_source && s->source != NULL)
        mb_source_close(s->source);
    mb_model_close(s->model);
    free(s->wide);
    free(s);
}

void mb_session_close(mb_session_t *session, bool failed)
{
    mb_error_message_t kept;
    if (session == NULL)
        return;
    mb_error_keep(&kept);
    close_parts(session, failed);
    mb_error_restore(&kept);
}

static mb_status_t run_step(mb_session_t *s)
{
    mb_step_info_t info = {.step = s->step, .batch = mb_sampler_batch(&s->sampler, s->step)};
    MB_TRY(mb_executor_run(s->engine->executor, &info));
    if (s->run->progress != NULL && mb_comm_rank(s->comm) == 0)
        s->run->progress(s->run->user, s->step * s->sampler.batch + info.batch);
    return MB_OK;
}

mb_status_t mb_session_flow(mb_session_t *session, const mb_session_run_t *run)
{
    if (mb_engine_idle(session->engine))
        return MB_OK;
    session->run = run;
    session->sampler = mb_session_sampler(session, run->samples);
    int64_t steps = mb_sampler_steps(&session->sampler);
    if (session->engine->stage->state_bytes > 0)
        MB_TRY(mb_stage_forget_states(session->engine->stage));
    for (session->step = 0; session->step < steps; session->step++)
        MB_TRY(run_step(session));
    MB_TRY(mb_executor_drain(session->engine->executor));
    return mb_exec_sync(&session->engine->exec);
}

mb_status_t mb_session_fetch(mb_session_t *session, const mb_micro_t *micro, int output,
                             const float **values)
{
    mb_exec_t *exec = &session->engine->exec;
    int node = session->model->graph->outputs[output].node;
    const mb_call_t *call = &session->model->graph->nodes[node].call;
    mb_dtype_t type = call->output_type;
    int64_t count = mb_shape_elements(&call->output) * micro->valid;
    const void *seen = mb_stage_tensor(session->engine->stage, micro->index, node);
    if (session->host != NULL)
        MB_TRY(mb_exec_copy(exec, session->host, seen, (size_t)count * mb_dtype_bytes(type),
                            MB_COPY_TO_HOST));
    MB_TRY(mb_exec_sync(exec));
    seen = session->host != NULL ? session->host : seen;
    *values = type == MB_F32 ? seen : session->wide;
    for (int64_t i = 0; type == MB_I32 && i < count; i++)
        session->wide[i] = (float)((const int32_t *)seen)[i];
    if (type != MB_F32 && type != MB_I32)
        mb_number_decode(mb_number_of(type), 0, seen, count, session->wide);
    return MB_OK;
}
