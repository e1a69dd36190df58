/* See footprint.h. */
#include "train/footprint.h"

#include "device/dry.h"

mb_footprint_t mb_footprint_of(const mb_footprint_parts_t *parts)
{
    const mb_stage_t *stage = parts->engine->stage;
    const mb_update_t *update = parts->update;
    if (stage == NULL)
        return (mb_footprint_t){0};
    int64_t all = mb_engine_bytes(parts->engine) + mb_update_bytes(update) +
                  mb_score_bytes(parts->score) + mb_evaluator_bytes(parts->evaluator) +
                  mb_snapshot_device_bytes(parts->snapshot);
    int64_t moments = (int64_t)update->moment_bytes;
    int64_t rooms = (int64_t)mb_pieces_room_bytes(update->pieces);
    mb_footprint_t out = {.parameters = (int64_t)stage->parameter_bytes,
                          .gradients = stage->held_count * (int64_t)sizeof(float) * stage->n_blocks,
                          .moments = update->offloads ? rooms : moments,
                          .copy = mb_snapshot_device_bytes(parts->snapshot),
                          .host = update->offloads ? moments : 0,
                          .host_activations = (int64_t)mb_stage_host_bytes(stage)};
    out.gradients += mb_stage_reduce_memory(parts->engine->reduction);
    out.activations = all - out.parameters - out.gradients - out.moments - out.copy;
    return out;
}

/* ---- a rank that is not there */

typedef struct {
    const mb_footprint_request_t *request;
    const mb_grid_t *grid;
    mb_machine_t machine; /* the request's, with a device that counts */
    mb_engine_t *engine, *evaluation;
    mb_score_t *score, *evaluation_score;
    mb_update_t *update;
    mb_snapshot_t *snapshot;
} absent_t;

static mb_status_t update_hook(void *user, const mb_step_info_t *info, float *gradients,
                               double *sums)
{
    absent_t *absent = user;
    return mb_update_step(absent->update, info, gradients, sums);
}

static mb_status_t between_hook(void *user)
{
    absent_t *absent = user;
    return mb_score_regularizers(absent->evaluation_score);
}

static mb_status_t make_training(absent_t *absent)
{
    const mb_footprint_request_t *request = absent->request;
    mb_engine_options_t options = request->engine;
    options.machine = &absent->machine;
    options.absent = absent->grid;
    options.hooks = (mb_hooks_t){.user = absent, .update = update_hook};
    MB_TRY(mb_engine_create(&options, &absent->engine));
    MB_TRY(mb_score_create(absent->engine, request->model, &absent->score));
    MB_TRY(mb_update_create(absent->engine, request->optimizer, absent->score,
                            request->offloads_moments, &absent->update));
    if (request->copies_state)
        MB_TRY(mb_snapshot_create(absent->engine, absent->update, request->moments_in_8_bits,
                                  &absent->snapshot));
    return mb_engine_prepare(absent->engine);
}

static mb_status_t make_evaluation(absent_t *absent)
{
    const mb_footprint_request_t *request = absent->request;
    if (request->evaluates == NULL)
        return MB_OK;
    mb_engine_options_t options =
        mb_evaluator_options(&absent->machine, request->model, request->evaluates, absent->engine);
    options.absent = absent->grid;
    options.hooks = (mb_hooks_t){.user = absent, .between = between_hook};
    MB_TRY(mb_engine_create(&options, &absent->evaluation));
    MB_TRY(mb_score_create(absent->evaluation, request->model, &absent->evaluation_score));
    return mb_engine_prepare(absent->evaluation);
}

static void destroy(absent_t *absent)
{
    mb_error_message_t kept;
    mb_error_keep(&kept);
    mb_score_destroy(absent->evaluation_score);
    mb_engine_destroy(absent->evaluation);
    mb_snapshot_destroy(absent->snapshot);
    mb_update_destroy(absent->update);
    mb_score_destroy(absent->score);
    mb_engine_destroy(absent->engine);
    mb_device_close(absent->machine.device);
    mb_error_restore(&kept);
}

/* All that the device gave; by parts as a run tells them. */
static mb_footprint_t take_count(const absent_t *absent)
{
    const mb_footprint_parts_t parts = {.engine = absent->engine,
                                        .update = absent->update,
                                        .score = absent->score,
                                        .snapshot = absent->snapshot};
    mb_footprint_t out = mb_footprint_of(&parts);
    out.activations += mb_device_dry_bytes(absent->machine.device) - mb_footprint_bytes(&out);
    return out;
}

mb_status_t mb_footprint_count(const mb_footprint_request_t *request, const mb_grid_t *grid,
                               mb_footprint_t *out)
{
    absent_t absent = {.request = request, .grid = grid, .machine = *request->engine.machine};
    *out = (mb_footprint_t){0};
    if (mb_grid_idle(grid))
        return MB_OK;
    MB_TRY(mb_device_dry_open(request->engine.machine->device, &absent.machine.device));
    mb_status_t status = make_training(&absent);
    if (status == MB_OK)
        status = make_evaluation(&absent);
    if (status == MB_OK)
        *out = take_count(&absent);
    destroy(&absent);
    return status;
}
