/* See snapshot.h. */
#include "train/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "base/host_memory.h"
#include "device/dry.h"
#include "train/kept_states.h"

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

/* The bytes of a moment that is copied; 0: there is none. */
static size_t slot_bytes(const mb_optimizer_t *optimizer, const mb_param_t *param, int slot,
                         bool moments_in_8_bits)
{
    mb_shape_t shape;
    bool encoded = moments_in_8_bits && optimizer->slot_index[slot] < MB_SLOT_AVERAGE;
    if (!param->trainable || encoded || !mb_optimizer_slot(optimizer, param, slot, &shape))
        return 0;
    return (size_t)mb_shape_elements(&shape) * sizeof(float);
}

/* BASE NULL: what there is room for is only counted. */
static float *take(char *base, size_t bytes, size_t *at)
{
    float *place = base == NULL || bytes == 0 ? NULL : (float *)(void *)(base + *at);
    *at += round_up(bytes);
    return place;
}

/* Gives every tensor its place from BASE on; how many bytes that takes. */
static size_t lay_out(mb_snapshot_t *snapshot, const mb_engine_t *engine, const mb_update_t *update,
                      bool moments_in_8_bits, char *base)
{
    const mb_graph_t *graph = engine->plan->graph;
    size_t at = 0, kept = mb_kept_bytes(engine);
    for (int p = 0; p < graph->n_params; p++) {
        const mb_param_t *param = &graph->params[p];
        mb_snapshot_place_t *place = &snapshot->places[p];
        if (!mb_snapshot_writes(engine, update, p))
            continue;
        place->weight = take(base, (size_t)param->elements * sizeof(float), &at);
        for (int s = 0; s < update->optimizer->n_slots; s++)
            place->slots[s] =
                take(base, slot_bytes(update->optimizer, param, s, moments_in_8_bits), &at);
    }
    snapshot->states = (char *)take(base, kept, &at);
    return at;
}

/* Constraints change a weight once more; moments of another shape are not the pass's. */
static bool is_left_by_update(const mb_update_t *update, int param)
{
    const mb_param_t *p = &update->engine->stage->graph->params[param];
    mb_shape_t shape;
    for (int s = 0; s < update->optimizer->n_slots; s++) {
        if (mb_optimizer_slot(update->optimizer, p, s, &shape) &&
            mb_shape_elements(&shape) != p->elements)
            return false;
    }
    return update->updates[param] && !update->offloads && mb_optimizer_copies(update->optimizer) &&
           !p->constraint.present;
}

static void find_copies(mb_snapshot_t *snapshot, const mb_update_t *update)
{
    const mb_optimizer_t *optimizer = update->optimizer;
    for (int p = 0; p < snapshot->n_params && snapshot->in_device; p++) {
        const mb_snapshot_place_t *place = &snapshot->places[p];
        float *moments[MB_MAX_SLOTS] = {NULL};
        if (place->weight == NULL || !is_left_by_update(update, p))
            continue;
        for (int s = 0; s < optimizer->n_slots; s++)
            moments[optimizer->slot_index[s]] = place->slots[s];
        snapshot->copies[p] = (mb_tensor_copy_t){
            .w = place->weight, .s0 = moments[0], .s1 = moments[1], .s2 = moments[2]};
    }
}

/* Systems give more memory than there is, and end a process that uses it: as if all ranks of the
 * node were as large as this one. */
static mb_status_t check_room(const mb_snapshot_t *snapshot, int ranks)
{
    int64_t there = mb_host_memory() / ranks;
    int64_t wanted = mb_host_memory_resident() + (int64_t)snapshot->bytes;
    if (mb_device_is_dry(snapshot->device) || wanted <= there)
        return MB_OK;
    return mb_error_memory("a copy of weights and moments", snapshot->bytes);
}

/* Touched now, so that no step waits for the system to find the pages. */
static mb_status_t take_memory(mb_snapshot_t *snapshot, int ranks)
{
    void *memory;
    mb_device_t *device = snapshot->device;
    MB_TRY(check_room(snapshot, ranks));
    snapshot->in_device = device->class_->host_visible(device);
    MB_TRY(snapshot->in_device ? mb_device_alloc(device, snapshot->bytes, &memory)
                               : mb_device_host_alloc(device, snapshot->bytes, &memory));
    snapshot->memory = memory;
    if (!mb_device_is_dry(device))
        memset(memory, 0, snapshot->bytes);
    return MB_OK;
}

static mb_status_t fill(mb_snapshot_t *snapshot, const mb_engine_t *engine,
                        const mb_update_t *update, bool moments_in_8_bits)
{
    size_t n = (size_t)snapshot->n_params + 1;
    snapshot->places = calloc(n, sizeof *snapshot->places);
    snapshot->copies = calloc(n, sizeof *snapshot->copies);
    if (snapshot->places == NULL || snapshot->copies == NULL)
        return mb_error_memory("places of a checkpoint's copy", n * sizeof *snapshot->places);
    snapshot->bytes = lay_out(snapshot, engine, update, moments_in_8_bits, NULL);
    if (snapshot->bytes == 0)
        return MB_OK;
    MB_TRY(take_memory(snapshot, mb_comm_local_size(engine->machine->comm)));
    lay_out(snapshot, engine, update, moments_in_8_bits, snapshot->memory);
    find_copies(snapshot, update);
    return MB_OK;
}

mb_status_t mb_snapshot_create(const mb_engine_t *engine, const mb_update_t *update,
                               bool moments_in_8_bits, mb_snapshot_t **out)
{
    mb_snapshot_t *snapshot = calloc(1, sizeof *snapshot);
    if (snapshot == NULL)
        return mb_error_memory("the copy of a checkpoint", sizeof *snapshot);
    snapshot->device = engine->machine->device;
    snapshot->n_params = engine->plan->graph->n_params;
    mb_status_t status = fill(snapshot, engine, update, moments_in_8_bits);
    if (status != MB_OK) {
        mb_snapshot_destroy(snapshot);
        return status;
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
    free(snapshot->places);
    free(snapshot->copies);
    free(snapshot);
}

int64_t mb_snapshot_device_bytes(const mb_snapshot_t *snapshot)
{
    return snapshot == NULL || !snapshot->in_device ? 0 : (int64_t)snapshot->bytes;
}

float *mb_snapshot_place(const mb_snapshot_t *snapshot, int param, int slot)
{
    const mb_snapshot_place_t *place = &snapshot->places[param];
    return slot < 0 ? place->weight : place->slots[slot];
}

void mb_snapshot_expect(mb_snapshot_t *snapshot)
{
    for (int p = 0; p < snapshot->n_params; p++)
        snapshot->copies[p].not_finite = 0;
}

bool mb_snapshot_has(const mb_snapshot_t *snapshot, int param, int slot)
{
    return snapshot->copies[param].w != NULL && mb_snapshot_place(snapshot, param, slot) != NULL;
}
