/* See score.h. A vector of doubles of one layout on every rank:
 *
 *     [2 n_outputs] loss and matches | [2 n_nodes] activity sums | [2 n_params] |w| and w^2 sums
 *     | [n_states] of the metrics, output after output
 *
 * Each stage fills its own entries; rank 0 takes every entry from the stage that has it. */
#include "train/score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/stored_sums.h"

enum { PENDING = 32 };

struct mb_score {
    mb_engine_t *engine;
    const mb_model_t *model;
    int n_outputs, n_nodes, n_params;
    int64_t n_states, length;
    double *values;   /* [PENDING][length] host: of steps not yet brought together */
    double *incoming; /* [PENDING][length] host */
    int64_t batches[PENDING];
    int pending;
    double *host_sums;           /* [stage->sum_count] */
    double *device_regularizers; /* [2 n_params] */
    double *stored_regularizers; /* [2 n_params] host: of weights kept as they are stored */
    bool has_regularizers;
    double *loss, *matches; /* [n_outputs] totals on rank 0 */
    double activity;        /* sum over samples of the activity regularizers */
    double regularizers;    /* of the parameters, at the last step */
    double steps, samples;
    /* Since the metrics were reset, on rank 0: states, matches of each output, samples. */
    double *states, *metric_matches, *metric_samples;
    int n_metrics;
    mb_metric_value_t
        *metrics; /* [n_metrics] in Keras' order: all metrics, then all weighted ones */
    double *metric_values;
};

/* Keras regularizes trainable weights only. */
static bool is_regularized(const mb_param_t *param)
{
    if (!param->trainable)
        return false;
    return param->regularizer.l1 != 0 || param->regularizer.l2 != 0;
}

mb_status_t mb_score_sum_stored(mb_score_t *score)
{
    const mb_stage_t *stage = score->engine->stage;
    if (stage == NULL || !score->has_regularizers)
        return MB_OK;
    memset(score->stored_regularizers, 0, 2 * (size_t)score->n_params * sizeof(double));
    for (int i = 0; i < stage->n_params; i++) {
        int p = stage->params[i];
        if (stage->owned[p] && stage->stored[p] != NULL &&
            is_regularized(&score->model->graph->params[p]))
            MB_TRY(mb_stored_sums(stage, p, score->stored_regularizers + 2 * p));
    }
    return MB_OK;
}

static void count_metrics(mb_score_t *score, int64_t *n_values)
{
    *n_values = 0;
    for (int o = 0; o < score->n_outputs; o++) {
        const mb_metrics_t *metrics = &score->model->losses[o].metrics;
        score->n_states += metrics->states;
        score->n_metrics += metrics->n;
        for (int i = 0; i < metrics->n; i++)
            *n_values += metrics->list[i].n_values;
    }
}

static int64_t kept_count(const mb_score_t *score)
{
    return score->n_states + score->n_outputs + 1;
}

static mb_status_t make_metrics(mb_score_t *score)
{
    int64_t n_values;
    count_metrics(score, &n_values);
    score->states = calloc((size_t)kept_count(score), sizeof(double));
    score->metrics = calloc((size_t)score->n_metrics + 1, sizeof *score->metrics);
    score->metric_values = calloc((size_t)n_values + 1, sizeof(double));
    if (score->states == NULL || score->metrics == NULL || score->metric_values == NULL)
        return mb_error_memory("the values of metrics", (size_t)n_values * sizeof(double));
    score->metric_matches = score->states + score->n_states;
    score->metric_samples = score->metric_matches + score->n_outputs;
    return MB_OK;
}

mb_status_t mb_score_create(mb_engine_t *engine, const mb_model_t *model, mb_score_t **out)
{
    const mb_graph_t *graph = model->graph;
    mb_score_t *score = calloc(1, sizeof *score);
    if (score == NULL)
        return mb_error_memory("a score", sizeof *score);
    score->engine = engine;
    score->model = model;
    score->n_outputs = graph->n_outputs;
    score->n_nodes = graph->n_nodes;
    score->n_params = graph->n_params;
    mb_status_t status = make_metrics(score);
    score->length =
        2 * ((int64_t)graph->n_outputs + graph->n_nodes + graph->n_params) + score->n_states;
    size_t sums = engine->stage == NULL ? 1 : (size_t)engine->stage->sum_count + 1;
    score->values = calloc(PENDING * (size_t)score->length, sizeof(double));
    score->incoming = calloc(PENDING * (size_t)score->length, sizeof(double));
    score->stored_regularizers = calloc(2 * (size_t)graph->n_params + 1, sizeof(double));
    score->host_sums = calloc(sums, sizeof(double));
    score->loss = calloc((size_t)graph->n_outputs, sizeof(double));
    score->matches = calloc((size_t)graph->n_outputs, sizeof(double));
    for (int p = 0; p < graph->n_params; p++)
        score->has_regularizers = score->has_regularizers || is_regularized(&graph->params[p]);
    void *memory = NULL;
    if (score->values == NULL || score->incoming == NULL || score->stored_regularizers == NULL ||
        score->host_sums == NULL || score->loss == NULL || score->matches == NULL)
        status = mb_error_memory("a score", (size_t)score->length * sizeof(double));
    else if (status == MB_OK && score->has_regularizers && engine->stage != NULL)
        status = mb_device_alloc(engine->exec.device, 2 * (size_t)graph->n_params * sizeof(double),
                                 &memory);
    score->device_regularizers = memory;
    if (status == MB_OK)
        status = mb_score_sum_stored(score);
    if (status != MB_OK) {
        mb_score_destroy(score);
        return status;
    }
    *out = score;
    return MB_OK;
}

int64_t mb_score_bytes(const mb_score_t *score)
{
    bool takes = score->device_regularizers != NULL;
    return takes ? 2 * score->n_params * (int64_t)sizeof(double) : 0;
}

void mb_score_destroy(mb_score_t *score)
{
    if (score == NULL)
        return;
    if (score->device_regularizers != NULL)
        mb_device_free(score->engine->exec.device, score->device_regularizers);
    free(score->values);
    free(score->incoming);
    free(score->stored_regularizers);
    free(score->host_sums);
    free(score->loss);
    free(score->matches);
    free(score->states);
    free(score->metrics);
    free(score->metric_values);
    free(score);
}

mb_status_t mb_score_regularizers(mb_score_t *score)
{
    const mb_stage_t *stage = score->engine->stage;
    mb_exec_t *exec = &score->engine->exec;
    if (!score->has_regularizers)
        return MB_OK;
    mb_zero_args_t zero = {.bytes = 2 * score->n_params * (int64_t)sizeof(double),
                           .y = score->device_regularizers};
    MB_TRY(mb_run_zero(exec, &zero));
    for (int i = 0; i < stage->n_params; i++) {
        int p = stage->params[i];
        const mb_param_t *param = &score->model->graph->params[p];
        if (!stage->owned[p] || stage->stored[p] != NULL || !is_regularized(param))
            continue;
        for (int square = 0; square < 2; square++) {
            mb_sum_args_t args = {.count = param->elements,
                                  .absolute = square == 0,
                                  .x = stage->values[p],
                                  .out = score->device_regularizers + 2 * p + square};
            MB_TRY(mb_run_sum(exec, &args));
        }
    }
    return MB_OK;
}

/* Where the states of an output's metrics stand in the common vector, or among all states. */
static int64_t states_of(const mb_score_t *score, int output)
{
    int64_t at = 0;
    for (int o = 0; o < output; o++)
        at += score->model->losses[o].metrics.states;
    return at;
}

static double *states_in(const mb_score_t *score, double *values)
{
    return values + score->length - score->n_states;
}

static void fill_output(const mb_score_t *score, const mb_output_place_t *at, double *values)
{
    const double *sums = score->host_sums + at->sums;
    int64_t states = score->model->losses[at->output].metrics.states;
    memcpy(values + 2 * at->output, sums, 2 * sizeof(double));
    memcpy(states_in(score, values) + states_of(score, at->output), sums + 2,
           (size_t)states * sizeof(double));
}

/* This stage's sums into VALUES, a step's common vector. */
static mb_status_t fill_own(mb_score_t *score, const double *sums, double *values)
{
    const mb_stage_t *stage = score->engine->stage;
    mb_exec_t *exec = &score->engine->exec;
    double *nodes = values + 2 * score->n_outputs, *params = nodes + 2 * score->n_nodes;
    memset(values, 0, (size_t)score->length * sizeof(double));
    if (stage->sum_count > 0)
        MB_TRY(mb_exec_copy(exec, score->host_sums, sums, (size_t)stage->sum_count * sizeof(double),
                            MB_COPY_TO_HOST));
    if (score->has_regularizers)
        MB_TRY(mb_exec_copy(exec, params, score->device_regularizers,
                            2 * (size_t)score->n_params * sizeof(double), MB_COPY_TO_HOST));
    MB_TRY(mb_exec_sync(exec));
    for (int o = 0; o < stage->n_outputs; o++)
        fill_output(score, &stage->outputs[o], values);
    for (int n = 0; n < score->n_nodes; n++) {
        if (stage->places[n].activity >= 0)
            memcpy(nodes + 2 * n, score->host_sums + stage->places[n].activity, 2 * sizeof(double));
    }
    for (int p = 0; p < 2 * score->n_params && score->has_regularizers; p++)
        params[p] += score->stored_regularizers[p];
    return MB_OK;
}

static void add_metrics(mb_score_t *score, double *values, int64_t batch)
{
    const double *states = states_in(score, values);
    for (int64_t i = 0; i < score->n_states; i++)
        score->states[i] += states[i];
    for (int o = 0; o < score->n_outputs; o++)
        score->metric_matches[o] += values[2 * o + 1];
    *score->metric_samples += (double)batch;
}

static void add_totals(mb_score_t *score, const double *values, int64_t batch)
{
    const mb_graph_t *graph = score->model->graph;
    const double *nodes = values + 2 * score->n_outputs;
    const double *params = nodes + 2 * score->n_nodes;
    for (int o = 0; o < score->n_outputs; o++) {
        score->loss[o] += values[2 * o];
        score->matches[o] += values[2 * o + 1];
    }
    score->regularizers = 0;
    for (int n = 0; n < score->n_nodes; n++) {
        const mb_regularizer_t *activity = &graph->layers[graph->nodes[n].layer]->activity;
        score->activity +=
            (double)activity->l1 * nodes[2 * n] + (double)activity->l2 * nodes[2 * n + 1];
    }
    for (int p = 0; p < score->n_params; p++) {
        const mb_regularizer_t *regularizer = &graph->params[p].regularizer;
        if (!is_regularized(&graph->params[p]))
            continue;
        score->regularizers +=
            (double)regularizer->l1 * params[2 * p] + (double)regularizer->l2 * params[2 * p + 1];
    }
    score->steps += 1;
    score->samples += (double)batch;
}

static mb_status_t receive_others(mb_score_t *score)
{
    mb_comm_t *comm = score->engine->machine->comm;
    int64_t count = score->pending * score->length;
    for (int stage = 1; stage < score->engine->grid.stages; stage++) {
        int peer = mb_grid_rank(&score->engine->grid, stage, 0);
        mb_comm_request_t request;
        mb_comm_note_t note = {
            "receiving the losses", score->engine->grid.stage, -1, peer, MB_TAG_SCALARS, false};
        MB_TRY(mb_comm_irecv(comm, score->incoming, (size_t)count * sizeof(double), peer,
                             MB_TAG_SCALARS, &request));
        MB_TRY(mb_comm_wait_requests(comm, &request, 1, &note));
        for (int64_t i = 0; i < count; i++)
            score->values[i] += score->incoming[i];
    }
    return MB_OK;
}

static mb_status_t send_own(mb_score_t *score)
{
    mb_comm_t *comm = score->engine->machine->comm;
    mb_comm_request_t request;
    mb_comm_note_t note = {
        "sending the losses", score->engine->grid.stage, -1, 0, MB_TAG_SCALARS, false};
    size_t bytes = (size_t)(score->pending * score->length) * sizeof(double);
    MB_TRY(mb_comm_isend(comm, score->values, bytes, 0, MB_TAG_SCALARS, &request));
    return mb_comm_wait_requests(comm, &request, 1, &note);
}

mb_status_t mb_score_flush(mb_score_t *score)
{
    bool first = score->engine->grid.stage == 0;
    if (score->pending == 0)
        return MB_OK;
    MB_TRY(first ? receive_others(score) : send_own(score));
    for (int i = 0; i < score->pending && first; i++) {
        add_totals(score, score->values + i * score->length, score->batches[i]);
        add_metrics(score, score->values + i * score->length, score->batches[i]);
    }
    score->pending = 0;
    return MB_OK;
}

mb_status_t mb_score_note(mb_score_t *score, const double *sums, int64_t batch)
{
    if (mb_engine_idle(score->engine) || score->engine->grid.group != 0)
        return MB_OK;
    MB_TRY(fill_own(score, sums, score->values + score->pending * score->length));
    score->batches[score->pending++] = batch;
    return score->pending == PENDING ? mb_score_flush(score) : MB_OK;
}

mb_status_t mb_score_collect(mb_score_t *score, const double *sums, int64_t batch)
{
    MB_TRY(mb_score_note(score, sums, batch));
    return mb_score_flush(score);
}

void mb_score_count_steps(mb_score_t *score, int64_t steps)
{
    score->steps = (double)steps;
}

double mb_score_loss(const mb_score_t *score, double *per_output)
{
    double total = 0;
    for (int o = 0; o < score->n_outputs; o++) {
        const mb_loss_t *loss = &score->model->losses[o];
        double divisor = loss->sum ? score->steps : score->samples * (double)mb_loss_values(loss);
        double value = divisor > 0 ? score->loss[o] / divisor : 0;
        total += (double)loss->weight * value;
        if (per_output != NULL)
            per_output[o] = value;
    }
    if (score->samples > 0)
        total += score->activity / score->samples;
    return total + score->regularizers;
}

double mb_score_accuracy(const mb_score_t *score, double *per_output)
{
    double result = NAN;
    for (int o = score->n_outputs - 1; o >= 0; o--) {
        const mb_loss_t *loss = &score->model->losses[o];
        double rows = score->samples * (double)loss->rows;
        double value = loss->accuracy && rows > 0 ? score->matches[o] / rows : NAN;
        if (per_output != NULL)
            per_output[o] = value;
        if (!isnan(value))
            result = value;
    }
    return result;
}

void mb_score_reset(mb_score_t *score)
{
    for (int o = 0; o < score->n_outputs; o++)
        score->loss[o] = score->matches[o] = 0;
    score->activity = score->regularizers = score->steps = score->samples = 0;
    score->pending = 0;
}

void mb_score_reset_metrics(mb_score_t *score)
{
    memset(score->states, 0, (size_t)kept_count(score) * sizeof(double));
}

const double *mb_score_kept_metrics(const mb_score_t *score, int64_t *n)
{
    *n = score->n_metrics == 0 ? 0 : kept_count(score);
    return score->states;
}

void mb_score_restore_metrics(mb_score_t *score, const double *kept, int64_t n)
{
    if (score->n_metrics > 0 && n == kept_count(score))
        memcpy(score->states, kept, (size_t)n * sizeof *kept);
}

static double counted_accuracy(const mb_score_t *score, int output)
{
    double rows = *score->metric_samples * (double)score->model->losses[output].rows;
    return rows > 0 ? score->metric_matches[output] / rows : 0;
}

static bool is_told(const mb_metric_t *metric)
{
    return metric->counted && strcmp(metric->key, "accuracy") == 0;
}

/* One output's metrics, weighted or not; returns where the next values go. */
static double *finish_output(mb_score_t *score, int output, bool weighted, int *n, double *values)
{
    const mb_metrics_t *metrics = &score->model->losses[output].metrics;
    const double *states = score->states + states_of(score, output);
    for (int i = 0; i < metrics->n; states += metrics->list[i++].states) {
        const mb_metric_t *metric = &metrics->list[i];
        if (metric->weighted != weighted)
            continue;
        if (metric->counted)
            values[0] = counted_accuracy(score, output);
        else
            mb_metric_finish(metric, states, values);
        score->metrics[(*n)++] = (mb_metric_value_t){.name = metric->key,
                                                     .n = metric->n_values,
                                                     .listed = metric->listed,
                                                     .told = is_told(metric),
                                                     .values = values};
        values += metric->n_values;
    }
    return values;
}

const mb_metric_value_t *mb_score_metrics(mb_score_t *score, int *n)
{
    double *values = score->metric_values;
    *n = 0;
    for (int weighted = 0; weighted < 2; weighted++) {
        for (int o = 0; o < score->n_outputs; o++)
            values = finish_output(score, o, weighted == 1, n, values);
    }
    return score->metrics;
}
