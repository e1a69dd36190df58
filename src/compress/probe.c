/* See probe.h. Losses are read off the stage's running sums after each micro-batch, so that two
 * models can be compared batch by batch: the difference varies far less than the losses do. */
#include "compress/probe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compress/divergence.h"

#define REFERENCE_BYTES (INT64_C(256) << 20)

typedef struct { /* of one of the stage's outputs */
    const mb_loss_t *loss;
    int node;
    int64_t elements; /* of a sample */
    int64_t samples;  /* kept, from the first; 0: none */
    float *kept;
} reference_t;

struct mb_probe {
    mb_passes_t *passes;
    mb_pass_t pass;
    bool comparing; /* not the reference's own pass */
    int64_t n_batches;
    double *sums; /* [n_outputs][n_batches] of row losses; 0 where the output is another rank's */
    double *last; /* [n_outputs] running sums after the micro-batch in front */
    double *batch_losses, *reference_losses; /* [n_batches] means over samples */
    reference_t *references;                 /* [stage's outputs] */
    int n_references;
    float *host;
    mb_divergence_t divergence;
    mb_probe_result_t reference;
};

static int64_t batch_samples(const mb_probe_t *probe, int64_t batch)
{
    int64_t all = mb_passes_samples(probe->passes, probe->pass.samples);
    int64_t left = all - batch * probe->passes->batch;
    return left < probe->passes->batch ? left : probe->passes->batch;
}

static mb_status_t take_loss(mb_probe_t *probe, const mb_micro_t *micro, int64_t batch, int place)
{
    const mb_stage_t *stage = probe->passes->engine->stage;
    mb_exec_t *exec = &probe->passes->engine->exec;
    int output = stage->outputs[place].output;
    double sum;
    MB_TRY(mb_exec_copy(exec, &sum, stage->sums[micro->replica] + stage->outputs[place].sums,
                        sizeof sum, MB_COPY_TO_HOST));
    MB_TRY(mb_exec_sync(exec));
    /* The sums begin anew with every step. */
    bool first = micro->position == 0;
    probe->sums[output * probe->n_batches + batch] = first ? sum : sum - probe->last[output];
    probe->last[output] = sum;
    return MB_OK;
}

static mb_status_t take_output(mb_probe_t *probe, const mb_micro_t *micro, int64_t batch, int place)
{
    const mb_stage_t *stage = probe->passes->engine->stage;
    mb_exec_t *exec = &probe->passes->engine->exec;
    reference_t *reference = &probe->references[place];
    int64_t first = batch * probe->passes->batch, left = reference->samples - first;
    int64_t samples = left < micro->valid ? left : micro->valid;
    if (samples <= 0)
        return MB_OK;
    float *kept = reference->kept + first * reference->elements;
    float *to = probe->comparing ? probe->host : kept;
    MB_TRY(mb_exec_copy(exec, to, mb_stage_tensor(stage, micro->index, reference->node),
                        (size_t)(samples * reference->elements) * sizeof(float), MB_COPY_TO_HOST));
    MB_TRY(mb_exec_sync(exec));
    if (probe->comparing)
        mb_divergence_add(reference->loss, kept, to, samples * reference->loss->rows,
                          &probe->divergence);
    return MB_OK;
}

static mb_status_t see_micro(void *user, const mb_micro_t *micro, int64_t batch)
{
    mb_probe_t *probe = user;
    const mb_stage_t *stage = probe->passes->engine->stage;
    for (int place = 0; place < stage->n_outputs && stage->losses != NULL; place++) {
        MB_TRY(take_loss(probe, micro, batch, place));
        MB_TRY(take_output(probe, micro, batch, place));
    }
    return MB_OK;
}

static mb_status_t make_reference(mb_probe_t *probe, int place)
{
    const mb_stage_t *stage = probe->passes->engine->stage;
    const mb_graph_t *graph = probe->passes->model->graph;
    reference_t *reference = &probe->references[place];
    int output = stage->outputs[place].output;
    reference->loss = &stage->losses[output];
    reference->node = graph->outputs[output].node;
    reference->elements = mb_shape_elements(&graph->nodes[reference->node].call.output);
    if (!mb_divergence_is_defined(reference->loss))
        return MB_OK;
    int64_t all = mb_passes_samples(probe->passes, probe->pass.samples);
    int64_t sample = reference->elements * (int64_t)sizeof(float);
    int64_t most = REFERENCE_BYTES / graph->n_outputs / (sample > 0 ? sample : 1);
    int64_t samples = all < most ? all : most;
    reference->kept = malloc((size_t)(samples * sample) + 1);
    if (reference->kept == NULL)
        return mb_error_memory("the float32 model's outputs", (size_t)(samples * sample));
    reference->samples = samples;
    return MB_OK;
}

static mb_status_t make_references(mb_probe_t *probe)
{
    const mb_stage_t *stage = probe->passes->engine->stage;
    int64_t most = 0;
    if (stage == NULL || stage->losses == NULL || stage->n_outputs == 0)
        return MB_OK;
    for (int place = 0; place < stage->n_outputs; place++) {
        MB_TRY(make_reference(probe, place));
        most = probe->references[place].elements > most ? probe->references[place].elements : most;
    }
    probe->host = malloc((size_t)(most * probe->passes->batch) * sizeof(float) + 1);
    return probe->host == NULL ? mb_error_memory("outputs of a batch", (size_t)most) : MB_OK;
}

static mb_status_t make(mb_probe_t *probe)
{
    const mb_stage_t *stage = probe->passes->engine->stage;
    size_t n_outputs = (size_t)probe->passes->model->graph->n_outputs;
    size_t n = (size_t)probe->n_batches;
    probe->sums = calloc(n * n_outputs + 1, sizeof(double));
    probe->last = calloc(n_outputs + 1, sizeof(double));
    probe->batch_losses = calloc(n + 1, sizeof(double));
    probe->reference_losses = calloc(n + 1, sizeof(double));
    probe->n_references = stage == NULL ? 0 : stage->n_outputs;
    probe->references = calloc((size_t)probe->n_references + 1, sizeof *probe->references);
    if (probe->sums == NULL || probe->last == NULL || probe->batch_losses == NULL ||
        probe->reference_losses == NULL || probe->references == NULL)
        return mb_error_memory("the losses of all batches", n * n_outputs * sizeof(double));
    return make_references(probe);
}

/* One rank has each output; the others' zeros change nothing. */
static mb_status_t join_losses(mb_probe_t *probe)
{
    const mb_model_t *model = probe->passes->model;
    size_t count = (size_t)(model->graph->n_outputs * probe->n_batches);
    size_t ranks = (size_t)mb_comm_size(probe->passes->comm);
    double *all = malloc(count * ranks * sizeof(double) + 1);
    mb_status_t status = all == NULL ? mb_error_memory("the losses of all batches", 0) : MB_OK;
    MB_TRY_GOTO(mb_comm_agree(probe->passes->comm, status), status, out);
    MB_TRY_GOTO(mb_comm_allgather(probe->passes->comm, probe->sums, count * sizeof(double), all),
                status, out);
    for (int64_t b = 0; b < probe->n_batches; b++) {
        probe->batch_losses[b] = 0;
        for (int o = 0; o < model->graph->n_outputs; o++) {
            double sum = 0;
            for (size_t r = 0; r < ranks; r++)
                sum += all[r * count + (size_t)(o * probe->n_batches + b)];
            probe->batch_losses[b] += (double)model->losses[o].weight * sum /
                                      (double)(model->losses[o].rows * batch_samples(probe, b));
        }
    }

out:
    free(all);
    return status;
}

static mb_status_t join_divergences(mb_probe_t *probe, mb_probe_result_t *result)
{
    mb_divergence_t total = {0};
    int ranks = mb_comm_size(probe->passes->comm);
    mb_divergence_t *all = calloc((size_t)ranks, sizeof *all);
    mb_status_t status = all == NULL ? mb_error_memory("the outputs' divergences", 0) : MB_OK;
    MB_TRY_GOTO(mb_comm_agree(probe->passes->comm, status), status, out);
    MB_TRY_GOTO(mb_comm_allgather(probe->passes->comm, &probe->divergence, sizeof *all, all),
                status, out);
    for (int r = 0; r < ranks; r++) {
        total.rows += all[r].rows;
        total.agreeing += all[r].agreeing;
        total.kl += all[r].kl;
        total.max_kl = all[r].max_kl > total.max_kl ? all[r].max_kl : total.max_kl;
    }
    result->compared = total.rows;
    if (total.rows > 0) {
        result->agreement = (double)total.agreeing / (double)total.rows;
        result->mean_kl = total.kl / (double)total.rows;
        result->max_kl = total.max_kl;
    }

out:
    free(all);
    return status;
}

/* The weighted mean of the batches' differences and its standard error. */
static void measure_rise(const mb_probe_t *probe, mb_probe_result_t *result)
{
    double samples = 0, reference = 0, rise = 0, spread = 0;
    for (int64_t b = 0; b < probe->n_batches; b++) {
        double n = (double)batch_samples(probe, b);
        samples += n;
        reference += n * probe->reference_losses[b];
        rise += n * (probe->batch_losses[b] - probe->reference_losses[b]);
    }
    rise /= samples;
    reference = fabs(reference / samples);
    for (int64_t b = 0; b < probe->n_batches; b++) {
        double n = (double)batch_samples(probe, b);
        double from_mean = probe->batch_losses[b] - probe->reference_losses[b] - rise;
        spread += n * from_mean * from_mean;
    }
    result->batches = probe->n_batches;
    result->rise = rise / reference;
    result->rise_error = probe->n_batches < 2
                             ? INFINITY
                             : sqrt(spread / samples / (double)(probe->n_batches - 1)) / reference;
}

mb_status_t mb_probe_run(mb_probe_t *probe, mb_probe_result_t *result)
{
    mb_pass_score_t score;
    bool has_losses = probe->passes->model->losses != NULL;
    probe->divergence = (mb_divergence_t){0};
    MB_TRY(mb_passes_run(probe->passes, &probe->pass, &score));
    *result = (mb_probe_result_t){.loss = score.loss,
                                  .accuracy = score.accuracy,
                                  .agreement = NAN,
                                  .mean_kl = NAN,
                                  .max_kl = NAN,
                                  .rise = NAN,
                                  .rise_error = NAN};
    if (!has_losses)
        return MB_OK;
    MB_TRY(join_losses(probe));
    if (!probe->comparing)
        return MB_OK;
    measure_rise(probe, result);
    return join_divergences(probe, result);
}

static mb_status_t run_reference(mb_probe_t *probe)
{
    MB_TRY(mb_comm_agree(probe->passes->comm, make(probe)));
    MB_TRY(mb_probe_run(probe, &probe->reference));
    double *losses = probe->reference_losses;
    probe->reference_losses = probe->batch_losses;
    probe->batch_losses = losses;
    probe->comparing = true;
    return MB_OK;
}

mb_status_t mb_probe_open(mb_passes_t *passes, int64_t samples, mb_probe_t **out)
{
    mb_probe_t *probe = calloc(1, sizeof *probe);
    mb_status_t status = probe == NULL ? mb_error_memory("a probe", sizeof *probe) : MB_OK;
    MB_TRY(mb_comm_agree(passes->comm, status));
    probe->passes = passes;
    probe->pass = (mb_pass_t){.samples = samples, .user = probe, .micro = see_micro};
    probe->n_batches = mb_passes_batches(passes, samples);
    status = run_reference(probe);
    if (status != MB_OK) {
        mb_probe_close(probe);
        return status;
    }
    *out = probe;
    return MB_OK;
}

void mb_probe_close(mb_probe_t *probe)
{
    if (probe == NULL)
        return;
    for (int i = 0; i < probe->n_references && probe->references != NULL; i++)
        free(probe->references[i].kept);
    free(probe->references);
    free(probe->host);
    free(probe->sums);
    free(probe->last);
    free(probe->batch_losses);
    free(probe->reference_losses);
    free(probe);
}

const mb_probe_result_t *mb_probe_reference(const mb_probe_t *probe)
{
    return &probe->reference;
}
