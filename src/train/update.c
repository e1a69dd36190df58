/* See update.h. */
#include "train/update.h"

#include <stdlib.h>

#include "train/ties.h"

static mb_status_t take_slots(mb_update_t *update, int param)
{
    mb_exec_t *exec = &update->engine->exec;
    size_t bytes = (size_t)update->engine->plan->graph->params[param].elements * sizeof(float);
    for (int s = 0; s < update->optimizer->n_slots; s++) {
        void *memory;
        MB_TRY(mb_device_alloc(exec->device, bytes, &memory));
        update->slots[param][s] = memory;
        update->moment_bytes += bytes;
        mb_zero_args_t args = {.bytes = (int64_t)bytes, .y = memory};
        MB_TRY(mb_exec_run_alone(exec, MB_OP_ZERO, &args, sizeof args));
    }
    return MB_OK;
}

static void find_calls(mb_update_t *update)
{
    const mb_stage_t *stage = update->engine->stage;
    for (int p = 0; p < stage->graph->n_params; p++) {
        const mb_param_t *param = &stage->graph->params[p];
        update->first_call[p] = -1;
        update->updates[p] = stage->owned[p] && param->trainable &&
                             mb_stage_trains_layer(stage->graph, param->layer);
    }
    for (int n = stage->end_node - 1; n >= stage->first_node; n--) {
        const mb_layer_t *layer = stage->graph->layers[stage->graph->nodes[n].layer];
        for (int k = 0; k < layer->n_params; k++) {
            update->first_call[layer->params[k]] = n;
            update->place_in_layer[layer->params[k]] = k;
        }
    }
}

/* Room for one tied gradient or one node's statistics. */
static size_t incoming_bytes(const mb_update_t *update)
{
    const mb_stage_t *stage = update->engine->stage;
    size_t most = (size_t)stage->sum_count * sizeof(double) + 64;
    for (int p = 0; p < stage->graph->n_params; p++) {
        size_t bytes = (size_t)stage->graph->params[p].elements * sizeof(float);
        if (stage->values[p] != NULL && bytes > most)
            most = bytes;
    }
    for (int n = 0; n < stage->graph->n_nodes; n++) {
        size_t bytes = (size_t)stage->places[n].memory.sums * sizeof(double);
        most = bytes > most ? bytes : most;
    }
    return most;
}

static mb_status_t take_memory(mb_update_t *update)
{
    mb_engine_t *engine = update->engine;
    size_t n = (size_t)engine->plan->graph->n_params;
    void *memory;
    update->slots = calloc(n + 1, sizeof *update->slots);
    update->updates = calloc(n + 1, sizeof *update->updates);
    update->first_call = calloc(n + 1, sizeof *update->first_call);
    update->place_in_layer = calloc(n + 1, sizeof *update->place_in_layer);
    update->norms = calloc(n + 1, sizeof *update->norms);
    update->gathered = calloc((n + 1) * (size_t)engine->grid.stages, sizeof *update->gathered);
    update->requests = calloc(2 * (size_t)engine->grid.stages, sizeof *update->requests);
    if (update->requests == NULL || update->slots == NULL || update->updates == NULL ||
        update->first_call == NULL || update->place_in_layer == NULL || update->norms == NULL ||
        update->gathered == NULL)
        return mb_error_memory("the tables of the update", n);
    if (mb_engine_idle(engine))
        return MB_OK;
    find_calls(update);
    MB_TRY(mb_device_alloc(engine->exec.device, (n + 1) * sizeof(double), &memory));
    update->device_norms = memory;
    if (engine->plan->n_ties > 0)
        MB_TRY(mb_device_alloc(engine->exec.device, incoming_bytes(update), &update->incoming));
    /* Like Keras also for what no output needs: their zeros are written and read with the rest. */
    for (int p = 0; p < engine->plan->graph->n_params; p++) {
        if (engine->stage->owned[p] && engine->plan->graph->params[p].trainable)
            MB_TRY(take_slots(update, p));
    }
    return MB_OK;
}

mb_status_t mb_update_create(mb_engine_t *engine, const mb_optimizer_t *optimizer,
                             mb_score_t *score, mb_update_t **out)
{
    mb_update_t *update = calloc(1, sizeof *update);
    if (update == NULL)
        return mb_error_memory("the update", sizeof *update);
    update->engine = engine;
    update->optimizer = optimizer;
    update->score = score;
    mb_status_t status = take_memory(update);
    if (status != MB_OK) {
        mb_update_destroy(update);
        return status;
    }
    *out = update;
    return MB_OK;
}

void mb_update_destroy(mb_update_t *update)
{
    if (update == NULL)
        return;
    mb_device_t *device = update->engine->machine->device;
    for (int p = 0; update->slots != NULL && p < update->engine->plan->graph->n_params; p++) {
        for (int s = 0; s < MB_MAX_SLOTS; s++)
            mb_device_free(device, update->slots[p][s]);
    }
    mb_device_free(device, update->device_norms);
    mb_device_free(device, update->incoming);
    free(update->slots);
    free(update->updates);
    free(update->first_call);
    free(update->place_in_layer);
    free(update->norms);
    free(update->gathered);
    free(update->requests);
    free(update);
}

static float *gradient_of(const mb_update_t *update, int param, float *gradients)
{
    const mb_stage_t *stage = update->engine->stage;
    return gradients +
           stage->places[update->first_call[param]].entries[update->place_in_layer[param]];
}

static mb_status_t regularize(mb_update_t *update, float *gradients)
{
    const mb_stage_t *stage = update->engine->stage;
    MB_TRY(mb_score_regularizers(update->score));
    for (int p = 0; p < stage->graph->n_params; p++) {
        const mb_param_t *param = &stage->graph->params[p];
        if (!update->updates[p] || (param->regularizer.l1 == 0 && param->regularizer.l2 == 0))
            continue;
        mb_regularize_args_t args = {.count = param->elements,
                                     .l1 = param->regularizer.l1,
                                     .l2 = param->regularizer.l2,
                                     .w = stage->values[p],
                                     .g = gradient_of(update, p, gradients)};
        MB_TRY(mb_run_regularize(stage->exec, &args));
    }
    return MB_OK;
}

/* Every stage gets every parameter's squared norm: each contributes its own, the rest is zero. */
static mb_status_t share_norms(mb_update_t *update)
{
    mb_engine_t *engine = update->engine;
    int stages = engine->grid.stages, n = engine->plan->graph->n_params, requests = 0;
    size_t bytes = (size_t)n * sizeof(double);
    if (stages == 1 || engine->exec.planning)
        return MB_OK;
    mb_comm_request_t *request = update->requests;
    mb_comm_note_t note = {"exchanging gradient norms", engine->grid.stage, -1, -1,
                           MB_TAG_SCALARS + 1};
    for (int s = 0; s < stages; s++) {
        int peer = mb_grid_rank(&engine->grid, s, engine->grid.group);
        if (s == engine->grid.stage)
            continue;
        MB_TRY(mb_comm_irecv(engine->machine->comm, update->gathered + (size_t)s * (size_t)n, bytes,
                             peer, MB_TAG_SCALARS + 1, &request[requests++]));
        MB_TRY(mb_comm_isend(engine->machine->comm, update->norms, bytes, peer, MB_TAG_SCALARS + 1,
                             &request[requests++]));
    }
    MB_TRY(mb_comm_wait_requests(engine->machine->comm, request, requests, &note));
    for (int s = 0; s < stages; s++) {
        for (int p = 0; p < n && s != engine->grid.stage; p++)
            update->norms[p] += update->gathered[(size_t)s * (size_t)n + (size_t)p];
    }
    return MB_OK;
}

static mb_status_t measure_norms(mb_update_t *update, float *gradients)
{
    mb_engine_t *engine = update->engine;
    int n = engine->plan->graph->n_params;
    mb_zero_args_t zero = {.bytes = n * (int64_t)sizeof(double), .y = update->device_norms};
    MB_TRY(mb_run_zero(&engine->exec, &zero));
    for (int p = 0; p < n; p++) {
        if (!update->updates[p])
            continue;
        mb_sum_args_t args = {.count = engine->plan->graph->params[p].elements,
                              .x = gradient_of(update, p, gradients),
                              .out = update->device_norms + p};
        MB_TRY(mb_run_sum(&engine->exec, &args));
    }
    MB_TRY(mb_exec_copy(&engine->exec, update->norms, update->device_norms,
                        (size_t)n * sizeof(double), MB_COPY_TO_HOST));
    MB_TRY(mb_exec_sync(&engine->exec));
    return share_norms(update);
}

/* The constraint's norm runs over consecutive axes: the weight is [outer, axis, inner] to it. */
static mb_status_t constrain(const mb_stage_t *stage, int p)
{
    const mb_param_t *param = &stage->graph->params[p];
    const mb_constraint_t *constraint = &param->constraint;
    if (!constraint->present)
        return MB_OK;
    mb_constrain_args_t args = {.limit = constraint->limit,
                                .outer = 1,
                                .axis = 1,
                                .inner = 1,
                                .low = constraint->low,
                                .high = constraint->high,
                                .rate = constraint->rate,
                                .w = stage->values[p]};
    int64_t first = constraint->n_axes > 0 ? constraint->axes[0] : 0;
    int64_t end = first + constraint->n_axes;
    for (int d = 0; d < param->shape.rank; d++) {
        int64_t *extent = d < first ? &args.outer : d < end ? &args.axis : &args.inner;
        *extent *= param->shape.dim[d];
    }
    return mb_run_constrain(stage->exec, &args);
}

float mb_update_lr(const mb_update_t *update)
{
    return mb_optimizer_lr(update->optimizer, update->iterations);
}

mb_status_t mb_update_step(void *user, const mb_step_info_t *info, float *gradients, double *sums)
{
    mb_update_t *update = user;
    const mb_stage_t *stage = update->engine->stage;
    const mb_optimizer_t *optimizer = update->optimizer;
    int n = stage->graph->n_params;
    float lr = mb_update_lr(update);
    MB_TRY(mb_ties_gather(update, gradients));
    MB_TRY(regularize(update, gradients));
    if (mb_optimizer_needs_norms(optimizer))
        MB_TRY(measure_norms(update, gradients));
    for (int p = 0; p < n; p++) {
        if (!update->updates[p])
            continue;
        float scale = mb_optimizer_needs_norms(optimizer)
                          ? mb_optimizer_grad_scale(optimizer, update->norms, n, p)
                          : 1.0F;
        MB_TRY(mb_optimizer_update(optimizer, stage->exec, &stage->graph->params[p],
                                   update->iterations, lr, scale, stage->values[p],
                                   gradient_of(update, p, gradients), update->slots[p]));
    }
    for (int p = 0; p < n; p++) {
        if (update->updates[p])
            MB_TRY(constrain(stage, p));
    }
    MB_TRY(mb_ties_statistics(update, info, sums));
    MB_TRY(mb_ties_scatter(update));
    if (!update->engine->exec.planning)
        update->iterations++;
    return MB_OK;
}
