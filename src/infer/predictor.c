/* See predictor.h: the samples of a source through a session (session.h), and outputs to a file or
 * to whoever wants them. */
#include "infer/predictor.h"

#include "engine/feed.h"
#include "infer/latency.h"
#include "infer/session.h"
#include "store/predictions.h"

typedef struct {
    const mb_predict_options_t *options;
    mb_session_t *session;
    mb_source_t *source;
    mb_feed_t *feed;
    mb_predictions_t *predictions;
    mb_latency_t *latency;
    double seconds;
} predictor_t;

static int64_t place_of(const predictor_t *p, int index)
{
    return p->session->step * p->session->micros + index;
}

static mb_status_t feed_micro(void *user, const mb_micro_t *micro, int index, int64_t first)
{
    predictor_t *p = user;
    (void)first;
    mb_latency_enter(p->latency, place_of(p, index));
    return mb_feed_micro(p->feed, micro, index);
}

static mb_status_t take_output(void *user, const mb_micro_t *micro, int output, int64_t first)
{
    predictor_t *p = user;
    const float *values;
    MB_TRY(mb_session_fetch(p->session, micro, output, &values));
    if (p->options->write != NULL)
        return p->options->write(p->options->user, output, first, micro->valid, values);
    return mb_predictions_write(p->predictions, output, first, micro->valid, values);
}

static void all_taken(void *user, int index)
{
    predictor_t *p = user;
    mb_latency_leave(p->latency, place_of(p, index));
}

static void tell_progress(void *user, int64_t done)
{
    const predictor_t *p = user;
    if (p->options->progress != NULL)
        p->options->progress(p->options->user, done, p->source->samples);
}

static mb_status_t open_feed(predictor_t *p)
{
    mb_sampler_t sampler = mb_session_sampler(p->session, p->source->samples);
    mb_feed_span_t span = {.sampler = sampler, .end_step = mb_sampler_steps(&sampler)};
    return mb_feed_create(p->session->engine, p->session->model, p->source, &span, &p->feed);
}

static mb_status_t create_output(predictor_t *p)
{
    mb_comm_t *comm = p->session->comm;
    const mb_graph_t *graph = p->session->model->graph;
    mb_tensor_spec_t outputs[MB_MAX_INPUTS];
    if (p->options->write != NULL)
        return mb_comm_agree(comm, p->options->ready(p->options->user, graph));
    for (int o = 0; o < graph->n_outputs; o++)
        outputs[o] = (mb_tensor_spec_t){.name = graph->outputs[o].name,
                                        .shape = graph->nodes[graph->outputs[o].node].call.output};
    return mb_predictions_create(comm, p->options->output, graph->n_outputs, outputs,
                                 p->source->samples, &p->predictions);
}

/* The time is that of all ranks: from one barrier to the next. */
static mb_status_t flow_timed(predictor_t *p)
{
    mb_comm_t *comm = p->session->comm;
    mb_session_run_t run = {.samples = p->source->samples,
                            .user = p,
                            .feed = feed_micro,
                            .take = take_output,
                            .taken = all_taken,
                            .progress = tell_progress};
    MB_TRY(mb_comm_barrier(comm));
    double start = mb_time_seconds();
    MB_TRY(mb_session_flow(p->session, &run));
    MB_TRY(mb_comm_barrier(comm));
    p->seconds = mb_time_seconds() - start;
    return MB_OK;
}

static mb_status_t fill_report(predictor_t *p, mb_predict_report_t *report)
{
    const mb_session_t *session = p->session;
    *report = (mb_predict_report_t){.samples = p->source->samples,
                                    .tokens = mb_graph_tokens(session->model->graph),
                                    .seconds = p->seconds,
                                    .batch = session->micro_batch,
                                    .stages = session->engine->grid.stages,
                                    .groups = session->engine->grid.groups};
    return mb_latency_finish(p->latency, &report->batch_seconds, &report->batch_seconds_99);
}

static mb_status_t predict(predictor_t *p, mb_predict_report_t *report)
{
    mb_comm_t *comm = p->session->comm;
    mb_sampler_t sampler = mb_session_sampler(p->session, p->source->samples);
    MB_TRY(mb_comm_agree(comm, mb_model_check_batches(p->session->model, p->source)));
    MB_TRY(mb_comm_agree(comm, open_feed(p)));
    MB_TRY(create_output(p));
    MB_TRY(mb_latency_create(p->session->engine, mb_sampler_steps(&sampler) * p->session->micros,
                             &p->latency));
    mb_status_t status = flow_timed(p);
    if (status != MB_OK) {
        mb_comm_fail(comm, status);
        if (p->predictions != NULL)
            mb_predictions_discard(p->predictions);
        return status;
    }
    /* Everyone's samples are in when the commit is agreed on. */
    mb_comm_doing(comm, "finishing the predictions");
    if (p->predictions != NULL)
        MB_TRY(mb_predictions_commit(p->predictions, status));
    return fill_report(p, report);
}

mb_status_t mb_predict_in(mb_session_t *session, mb_source_t *source,
                          const mb_predict_options_t *options, mb_predict_report_t *report)
{
    mb_error_message_t kept;
    predictor_t p = {.options = options, .session = session, .source = source};
    mb_status_t status = predict(&p, report);
    mb_error_keep(&kept);
    if (status != MB_OK)
        mb_machine_give_up(session->machine);
    mb_engine_quiet(session->engine);
    mb_feed_destroy(p.feed);
    mb_latency_destroy(p.latency);
    mb_error_restore(&kept);
    return status;
}

mb_status_t mb_predict(const mb_predict_options_t *options, mb_predict_report_t *report)
{
    mb_session_t *session = NULL;
    MB_TRY(mb_session_open(options, &session));
    mb_status_t status = mb_predict_in(session, session->source, options, report);
    mb_session_close(session, status != MB_OK);
    return status;
}
