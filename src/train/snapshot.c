/* See snapshot.h. */
#include "train/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "device/dry.h"

enum { ALIGN = 64 };

static size_t round_up(size_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

bool mb_snapshot_writes(const mb_engine_t *engine, const mb_update_t *update, int param)
{
    if (mb_engine_idle(engine) || !engine->stage->owned[param])
        return false;
    if (update->shared_out[param])
        return mb_update_holds(update, param);
    return param % engine->grid.groups == engine->grid.group;
}

static size_t bytes_of(const mb_update_t *update, const mb_param_t *param, bool moments_in_8_bits)
{
    const mb_optimizer_t *optimizer = update->optimizer;
    size_t bytes = round_up((size_t)param->elements * sizeof(float));
    mb_shape_t shape;
    for (int s = 0; s < optimizer->n_slots; s++) {
        bool encoded = moments_in_8_bits && optimizer->slot_index[s] < MB_SLOT_AVERAGE;
        if (param->trainable && !encoded && mb_optimizer_slot(optimizer, param, s, &shape))
            bytes += round_up((size_t)mb_shape_elements(&shape) * sizeof(float));
    }
    return bytes;
}

/* Touched now, so that no step waits for the system to find the pages. */
static mb_status_t take_memory(mb_snapshot_t *snapshot)
{
    void *memory;
    mb_device_t *device = snapshot->device;
    snapshot->in_device = device->class_->host_visible(device);
    MB_TRY(snapshot->in_device ? mb_device_alloc(device, snapshot->bytes, &memory)
                               : mb_device_host_alloc(device, snapshot->bytes, &memory));
    snapshot->memory = memory;
    if (!mb_device_is_dry(device))
        memset(memory, 0, snapshot->bytes);
    return MB_OK;
}

mb_status_t mb_snapshot_create(const mb_engine_t *engine, const mb_update_t *update,
                               bool moments_in_8_bits, mb_snapshot_t **out)
{
    mb_snapshot_t *snapshot = calloc(1, sizeof *snapshot);
    if (snapshot == NULL)
        return mb_error_memory("the copy of a checkpoint", sizeof *snapshot);
    const mb_graph_t *graph = engine->plan->graph;
    snapshot->device = engine->machine->device;
    for (int p = 0; p < graph->n_params; p++) {
        if (mb_snapshot_writes(engine, update, p))
            snapshot->bytes += bytes_of(update, &graph->params[p], moments_in_8_bits);
    }
    mb_status_t status = snapshot->bytes == 0 ? MB_OK : take_memory(snapshot);
    if (status != MB_OK) {
        free(snapshot);
        return mb_error_prefix(status, "the copy that checkpoints are written from "
                                       "(checkpoint-mode=sync takes none): ");
    }
    *out = snapshot;
    return MB_OK;
}

void mb_snapshot_destroy(mb_snapshot_t *snapshot)
{
    if (snapshot == NULL)
        return;
    if (snapshot->in_device)
        mb_device_free(snapshot->device, snapshot->memory);
    else
        mb_device_host_free(snapshot->device, snapshot->memory);
    free(snapshot);
}

int64_t mb_snapshot_device_bytes(const mb_snapshot_t *snapshot)
{
    return snapshot == NULL || !snapshot->in_device ? 0 : (int64_t)snapshot->bytes;
}

float *mb_snapshot_take(mb_snapshot_t *snapshot, size_t bytes)
{
    size_t whole = round_up(bytes);
    if (whole > snapshot->bytes - snapshot->used)
        return NULL;
    snapshot->used += whole;
    return (float *)(void *)(snapshot->memory + snapshot->used - whole);
}

void mb_snapshot_clear(mb_snapshot_t *snapshot)
{
    snapshot->used = 0;
}
