/* See update.h. */
#include "train/update.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "device/dry.h"
#include "engine/stage_rooms.h"
#include "train/norms.h"
#include "train/ties.h"
#include "train/values_share.h"

static mb_status_t begin_slot(mb_update_t *update, int param, int slot, int64_t count)
{
    const mb_optimizer_t *optimizer = update->optimizer;
    mb_exec_t *exec = &update->engine->exec;
    float *own = update->slots[param][slot];
    float value = (float)optimizer->slot_initial[slot];
    if (update->offloads && optimizer->slot_copies[slot])
        return mb_exec_copy(exec, own, update->engine->stage->values[param],
                            (size_t)count * sizeof(float), MB_COPY_TO_HOST);
    bool sets = update->offloads && !mb_device_is_dry(exec->device);
    for (int64_t i = 0; sets && i < count; i++)
        own[i] = value;
    if (update->offloads)
        return MB_OK;
    mb_fill_args_t fill = {.count = count, .value = value, .y = own};
    mb_combine_args_t copy = {
        .count = count, .p = 1.0f, .a = update->engine->stage->values[param], .y = own};
    return optimizer->slot_copies[slot] ? mb_exec_run_alone(exec, MB_OP_COMBINE, &copy, sizeof copy)
                                        : mb_exec_run_alone(exec, MB_OP_FILL, &fill, sizeof fill);
}

static mb_status_t take_slot(mb_update_t *update, int param, int slot)
{
    const mb_optimizer_t *optimizer = update->optimizer;
    mb_exec_t *exec = &update->engine->exec;
    mb_shape_t shape;
    void *memory;
    if (!mb_optimizer_slot(optimizer, &update->engine->plan->graph->params[param], slot, &shape))
        return MB_OK;
    size_t bytes = (size_t)mb_shape_elements(&shape) * sizeof(float);
    MB_TRY(update->offloads ? mb_device_host_alloc(exec->device, bytes, &memory)
                            : mb_device_alloc(exec->device, bytes, &memory));
    update->slots[param][slot] = memory;
    update->moment_bytes += bytes;
    return begin_slot(update, param, slot, mb_shape_elements(&shape));
}

static mb_status_t take_slots(mb_update_t *update, int param)
{
    for (int s = 0; s < update->optimizer->n_slots; s++)
        MB_TRY(take_slot(update, param, s));
    return MB_OK;
}

static int64_t entry_of(const mb_update_t *update, int param)
{
    const mb_stage_t *stage = update->engine->stage;
    return stage->places[update->first_call[param]].entries[update->place_in_layer[param]];
}

/* Like Keras also of what no output needs: its moments are written and read with the rest. */
bool mb_update_holds(const mb_update_t *update, int param)
{
    const mb_stage_t *stage = update->engine->stage;
    if (!stage->owned[param] || !stage->graph->params[param].trainable)
        return false;
    return !update->shared_out[param] ||
           mb_stage_reduce_is_own(update->engine->reduction, entry_of(update, param));
}

static void find_calls(mb_update_t *update)
{
    const mb_stage_t *stage = update->engine->stage;
    for (int p = 0; p < stage->graph->n_params; p++) {
        const mb_param_t *param = &stage->graph->params[p];
        update->first_call[p] = -1;
        update->updates[p] = stage->owned[p] && param->trainable &&
                             mb_stage_trains_layer(stage->graph, param->layer);
        update->shared_out[p] =
            update->updates[p] && mb_stage_reduce_shares_out(update->engine->reduction);
    }
    for (int n = stage->graph->n_nodes - 1; n >= 0; n--) {
        const mb_layer_t *layer = stage->graph->layers[stage->graph->nodes[n].layer];
        for (int k = 0; k < layer->n_params && mb_stage_has_node(stage, n); k++) {
            update->first_call[layer->params[k]] = n;
            update->place_in_layer[layer->params[k]] = k;
        }
    }
    for (int p = 0; p < stage->graph->n_params; p++)
        update->updates[p] = update->updates[p] && mb_update_holds(update, p);
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

float *mb_update_gradient(const mb_update_t *update, int param)
{
    const mb_stage_t *stage = update->engine->stage;
    return stage->gradients[0] + mb_stage_summed_at(stage, entry_of(update, param));
}

static mb_status_t take_tables(mb_update_t *update)
{
    const mb_engine_t *engine = update->engine;
    size_t n = (size_t)engine->plan->graph->n_params;
    update->slots = calloc(n + 1, sizeof *update->slots);
    update->updates = calloc(n + 1, sizeof *update->updates);
    update->shared_out = calloc(n + 1, sizeof *update->shared_out);
    update->first_call = calloc(n + 1, sizeof *update->first_call);
    update->place_in_layer = calloc(n + 1, sizeof *update->place_in_layer);
    update->host_norms = calloc(n + 1, sizeof *update->host_norms);
    update->requests = calloc(2 * (size_t)engine->grid.stages, sizeof(mb_request_t *));
    size_t sums = mb_engine_idle(engine) ? 0 : (size_t)engine->stage->sum_count;
    update->host_sums = calloc(sums + 1, sizeof *update->host_sums);
    if (update->requests == NULL || update->host_sums == NULL || update->host_norms == NULL ||
        update->slots == NULL || update->updates == NULL || update->shared_out == NULL ||
        update->first_call == NULL || update->place_in_layer == NULL)
        return mb_error_memory("the tables of the update", n);
    return MB_OK;
}

static mb_status_t take(mb_update_t *update, size_t bytes, void **out)
{
    update->small_bytes += bytes;
    return mb_device_alloc(update->engine->exec.device, bytes, out);
}

static mb_status_t take_norms(mb_update_t *update)
{
    size_t n = (size_t)update->engine->plan->graph->n_params;
    size_t stages = (size_t)update->engine->grid.stages;
    void *memory;
    MB_TRY(take(update, (n + 1) * sizeof(double), &memory));
    update->norms = memory;
    MB_TRY(take(update, (n + 1) * sizeof(float), &memory));
    update->scale = memory;
    if (stages > 1) {
        MB_TRY(take(update, stages * (n + 1) * sizeof(double), &memory));
        update->others = memory;
    }
    return MB_OK;
}

static mb_trained_t trained_of(const mb_update_t *update, int param)
{
    const mb_stage_t *stage = update->engine->stage;
    mb_trained_t trained = {.param = &stage->graph->params[param],
                            .w = stage->values[param],
                            .g = update->updates[param] ? mb_update_gradient(update, param) : NULL};
    for (int s = 0; s < MB_MAX_SLOTS; s++)
        trained.slots[s] = update->slots[param][s];
    return trained;
}

static mb_status_t make_pieces(mb_update_t *update)
{
    const mb_graph_t *graph = update->engine->plan->graph;
    int n = 0;
    mb_trained_t *trained = calloc((size_t)graph->n_params + 1, sizeof *trained);
    if (trained == NULL)
        return mb_error_memory("the table of trained tensors", sizeof *trained);
    for (int p = 0; p < graph->n_params; p++) {
        if (mb_update_holds(update, p))
            trained[n++] = trained_of(update, p);
    }
    mb_status_t status = mb_pieces_create(update->optimizer, &update->engine->exec, trained, n,
                                          graph->n_params, update->offloads, &update->pieces);
    free(trained);
    return status;
}

static mb_status_t take_memory(mb_update_t *update)
{
    mb_engine_t *engine = update->engine;
    MB_TRY(take_tables(update));
    if (mb_engine_idle(engine))
        return MB_OK;
    find_calls(update);
    MB_TRY(take_norms(update));
    if (engine->plan->n_ties > 0)
        MB_TRY(take(update, incoming_bytes(update), &update->incoming));
    if (engine->stage->state_bytes > 0)
        MB_TRY(take(update, engine->stage->state_bytes, &update->states));
    for (int p = 0; p < engine->plan->graph->n_params; p++) {
        if (mb_update_holds(update, p))
            MB_TRY(take_slots(update, p));
    }
    MB_TRY(make_pieces(update));
    return mb_exec_sync(&engine->exec);
}

int64_t mb_update_bytes(const mb_update_t *update)
{
    size_t moments = update->offloads ? 0 : update->moment_bytes;
    return (int64_t)(moments + update->small_bytes + mb_pieces_bytes(update->pieces));
}

mb_status_t mb_update_read_slot(const mb_update_t *update, int param, int slot, float *values,
                                size_t bytes)
{
    const float *own = update->slots[param][slot];
    if (!update->offloads)
        return mb_exec_copy(&update->engine->exec, values, own, bytes, MB_COPY_TO_HOST);
    MB_TRY(mb_pieces_settle(update->pieces));
    memcpy(values, own, bytes);
    return MB_OK;
}

mb_status_t mb_update_write_slot(mb_update_t *update, int param, int slot, const float *values,
                                 size_t bytes)
{
    float *own = update->slots[param][slot];
    update->copied = false;
    if (!update->offloads)
        return mb_exec_copy(&update->engine->exec, own, values, bytes, MB_COPY_TO_DEVICE);
    MB_TRY(mb_pieces_settle(update->pieces));
    memcpy(own, values, bytes);
    return MB_OK;
}

mb_status_t mb_update_keep_states(mb_update_t *update)
{
    return update->states == NULL ? MB_OK
                                  : mb_stage_keep_states(update->engine->stage, update->states);
}

mb_status_t mb_update_take_states_back(mb_update_t *update)
{
    return update->states == NULL
               ? MB_OK
               : mb_stage_take_states_back(update->engine->stage, update->states);
}

void mb_update_use_loss_scale(mb_update_t *update)
{
    if (!mb_engine_idle(update->engine))
        update->engine->stage->loss_scale = update->loss_scale.scale;
}

mb_status_t mb_update_create(mb_engine_t *engine, const mb_optimizer_t *optimizer,
                             mb_score_t *score, bool offloads, mb_update_t **out)
{
    mb_update_t *update = calloc(1, sizeof *update);
    if (update == NULL)
        return mb_error_memory("the update", sizeof *update);
    update->engine = engine;
    update->optimizer = optimizer;
    update->score = score;
    update->offloads = offloads;
    mb_loss_scale_begin(&update->loss_scale, optimizer);
    mb_status_t status = take_memory(update);
    if (status != MB_OK) {
        mb_update_destroy(update);
        return status;
    }
    mb_update_use_loss_scale(update);
    *out = update;
    return MB_OK;
}

static void free_slots(mb_update_t *update, mb_device_t *device)
{
    for (int p = 0; update->slots != NULL && p < update->engine->plan->graph->n_params; p++) {
        for (int s = 0; s < MB_MAX_SLOTS; s++) {
            if (update->offloads)
                mb_device_host_free(device, update->slots[p][s]);
            else
                mb_device_free(device, update->slots[p][s]);
        }
    }
}

void mb_update_destroy(mb_update_t *update)
{
    if (update == NULL)
        return;
    mb_device_t *device = update->engine->machine->device;
    if (mb_pieces_destroy(update->pieces))
        free_slots(update, device);
    mb_device_free(device, update->norms);
    mb_device_free(device, update->others);
    mb_device_free(device, update->scale);
    mb_device_free(device, update->incoming);
    mb_device_free(device, update->states);
    free(update->slots);
    free(update->updates);
    free(update->shared_out);
    free(update->first_call);
    free(update->place_in_layer);
    free(update->host_norms);
    free(update->host_sums);
    free(update->requests);
    free(update);
}

static mb_status_t regularize(mb_update_t *update)
{
    const mb_stage_t *stage = update->engine->stage;
    for (int p = 0; p < stage->graph->n_params; p++) {
        const mb_param_t *param = &stage->graph->params[p];
        if (!update->updates[p] || (param->regularizer.l1 == 0 && param->regularizer.l2 == 0))
            continue;
        mb_regularize_args_t args = {.count = param->elements,
                                     .l1 = param->regularizer.l1,
                                     .l2 = param->regularizer.l2,
                                     .w = stage->values[p],
                                     .g = mb_update_gradient(update, p)};
        MB_TRY(mb_run_regularize(stage->exec, &args));
        update->measured = false;
    }
    return MB_OK;
}

float mb_update_lr(const mb_update_t *update)
{
    return mb_optimizer_lr(update->optimizer, update->iterations);
}

typedef struct { /* of a pass over the trained tensors */
    bool steps, averages;
    int64_t updates;
    float lr;
    const float *scale;
    mb_tensor_copy_t *copies;
} pass_t;

static mb_status_t step_piece(void *user, mb_stepper_t *stepper)
{
    const pass_t *pass = user;
    mb_stepper_copy_to(stepper, pass->copies);
    if (pass->steps)
        MB_TRY(mb_stepper_step(stepper, pass->updates, pass->lr, pass->scale));
    return pass->averages ? mb_stepper_average(stepper, pass->updates) : MB_OK;
}

static mb_status_t step_all(mb_update_t *update, bool steps)
{
    const mb_optimizer_t *optimizer = update->optimizer;
    mb_exec_t *exec = &update->engine->exec;
    pass_t pass = {.steps = steps,
                   .averages = optimizer->averages,
                   .updates = mb_optimizer_updates(optimizer, update->iterations),
                   .lr = mb_update_lr(update),
                   .copies = exec->planning ? NULL : update->copies};
    if (steps && mb_optimizer_needs_norms(optimizer)) {
        MB_TRY(mb_norms_measure(update));
        MB_TRY(mb_optimizer_clip(optimizer, exec, update->engine->plan->graph->n_params,
                                 update->norms, update->scale));
        pass.scale = update->scale;
    }
    update->copied = pass.steps && pass.copies != NULL;
    return pass.steps || pass.averages ? mb_pieces_pass(update->pieces, step_piece, &pass) : MB_OK;
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

static mb_status_t constrain_all(const mb_update_t *update)
{
    const mb_stage_t *stage = update->engine->stage;
    for (int p = 0; p < stage->graph->n_params; p++) {
        if (update->updates[p])
            MB_TRY(constrain(stage, p));
    }
    return MB_OK;
}

/* The squares of finite floats are finite doubles, and so are their sums. */
static mb_status_t check_finite(mb_update_t *update, bool *finite)
{
    mb_exec_t *exec = &update->engine->exec;
    int n = update->engine->plan->graph->n_params;
    MB_TRY(mb_norms_measure(update));
    if (exec->planning)
        return MB_OK;
    MB_TRY(mb_exec_copy(exec, update->host_norms, update->norms, (size_t)n * sizeof(double),
                        MB_COPY_TO_HOST));
    MB_TRY(mb_exec_sync(exec));
    for (int p = 0; p < n; p++)
        *finite = *finite && isfinite(update->host_norms[p]);
    return MB_OK;
}

/* All ranks see the same norms and decide alike. */
static mb_status_t unscale(mb_update_t *update, float *gradients, bool *finite)
{
    const mb_loss_scale_t *scale = &update->loss_scale;
    mb_divide_args_t args = {
        .count = update->engine->stage->summed_count, .divisor = scale->scale, .x = gradients};
    if (!scale->on)
        return MB_OK;
    if (!scale->fixed)
        MB_TRY(check_finite(update, finite));
    update->measured = false;
    return *finite ? mb_run_divide(&update->engine->exec, &args) : MB_OK;
}

static mb_status_t accumulate_piece(void *user, mb_stepper_t *stepper)
{
    const bool *applies = user;
    return mb_stepper_accumulate(stepper, *applies);
}

/* Gradients of steps that only accumulate go into their sums. Planning plans both. */
static mb_status_t accumulate(mb_update_t *update, bool applies)
{
    if (update->optimizer->accumulated_steps == 1)
        return MB_OK;
    update->measured = false;
    bool other = !applies;
    if (update->engine->exec.planning)
        MB_TRY(mb_pieces_pass(update->pieces, accumulate_piece, &other));
    return mb_pieces_pass(update->pieces, accumulate_piece, &applies);
}

/* Constraints follow every step, as in Keras: w of norm n <= max becomes w n / (n + epsilon). */
static mb_status_t optimize(mb_update_t *update)
{
    const mb_optimizer_t *optimizer = update->optimizer;
    bool applies = mb_optimizer_applies(optimizer, update->iterations);
    MB_TRY(regularize(update));
    MB_TRY(accumulate(update, applies));
    MB_TRY(step_all(update, applies || update->engine->exec.planning));
    MB_TRY(constrain_all(update));
    MB_TRY(mb_values_share(update));
    if (!update->engine->exec.planning)
        update->iterations++;
    return MB_OK;
}

static mb_status_t move_loss_scale(mb_update_t *update, bool finite)
{
    if (update->engine->exec.planning)
        return MB_OK;
    MB_TRY(mb_loss_scale_count(&update->loss_scale, finite));
    mb_update_use_loss_scale(update);
    return MB_OK;
}

/* Planned whether somebody asks or not, so that what a run takes does not depend on it. */
static mb_status_t ask(const mb_step_info_t *info, mb_update_t *update, const double *sums,
                       bool *applies)
{
    const mb_loss_scale_t *scale = &update->loss_scale;
    if (update->engine->exec.planning)
        return mb_norms_measure_own(update);
    if (update->guard.user == NULL)
        return MB_OK;
    return update->guard.ask(update->guard.user, info, sums, !scale->on || scale->fixed, applies);
}

mb_status_t mb_update_step(void *user, const mb_step_info_t *info, float *gradients, double *sums)
{
    mb_update_t *update = user;
    bool finite = true, applies = true;
    update->copied = false;
    update->measured = false;
    MB_TRY(mb_score_regularizers(update->score));
    MB_TRY(mb_ties_gather(update, gradients));
    MB_TRY(ask(info, update, sums, &applies));
    if (!applies)
        return MB_OK;
    MB_TRY(unscale(update, gradients, &finite));
    if (finite)
        MB_TRY(optimize(update));
    MB_TRY(mb_ties_statistics(update, info, sums));
    MB_TRY(mb_ties_scatter(update));
    return move_loss_scale(update, finite);
}
