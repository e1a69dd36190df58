/* See pieces.h. */
#include "train/pieces.h"

#include <stdlib.h>

#include "device/lane.h"

enum { ALIGN = 64, SHARES = 16, ROOMS = 2 };

typedef struct { /* one moment of a tensor */
    float *host;
    size_t at, bytes; /* in a room */
} span_t;

typedef struct {
    int first, end; /* of the trained tensors */
    int first_span, end_span;
    mb_stepper_t *stepper;
} piece_t;

struct mb_pieces {
    mb_exec_t *exec;
    bool offloads;
    int n, n_spans;
    piece_t *pieces;
    span_t *spans;
    char *rooms[ROOMS];
    size_t room_bytes; /* of each */
    mb_lane_t lane;
    mb_event_t *there[ROOMS]; /* the room's moments are */
};

static size_t round_up(size_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

static size_t slot_bytes(const mb_optimizer_t *optimizer, const mb_param_t *param, int slot)
{
    mb_shape_t shape;
    if (!mb_optimizer_slot(optimizer, param, slot, &shape))
        return 0;
    return (size_t)mb_shape_elements(&shape) * sizeof(float);
}

static size_t tensor_bytes(const mb_optimizer_t *optimizer, const mb_trained_t *trained)
{
    size_t bytes = 0;
    for (int s = 0; s < optimizer->n_slots; s++)
        bytes += round_up(slot_bytes(optimizer, trained->param, s));
    return bytes;
}

static size_t share_of(const mb_optimizer_t *optimizer, const mb_trained_t *trained, int n)
{
    size_t total = 0, largest = 0;
    for (int i = 0; i < n; i++) {
        size_t bytes = tensor_bytes(optimizer, &trained[i]);
        total += bytes;
        largest = bytes > largest ? bytes : largest;
    }
    return total / SHARES > largest ? total / SHARES : largest;
}

/* Begins a new piece where the next tensor would not fit into the room. */
static void cut(mb_pieces_t *pieces, const mb_optimizer_t *optimizer, const mb_trained_t *trained,
                int n)
{
    size_t used = 0, most = pieces->offloads ? share_of(optimizer, trained, n) : SIZE_MAX;
    pieces->n = 1;
    pieces->room_bytes = pieces->offloads ? most : 0;
    for (int i = 0; i < n; i++) {
        size_t bytes = tensor_bytes(optimizer, &trained[i]);
        if (used > 0 && used + bytes > most) {
            pieces->pieces[pieces->n++].first = i;
            used = 0;
        }
        used += bytes;
        pieces->pieces[pieces->n - 1].end = i + 1;
    }
}

/* The tensor's moments get their places in the piece's room. */
static void move_in(mb_pieces_t *pieces, int index, const mb_optimizer_t *optimizer,
                    mb_trained_t *trained, size_t *at)
{
    for (int s = 0; s < optimizer->n_slots; s++) {
        size_t bytes = slot_bytes(optimizer, trained->param, s);
        if (trained->slots[s] == NULL || bytes == 0)
            continue;
        pieces->spans[pieces->n_spans++] = (span_t){trained->slots[s], *at, bytes};
        trained->slots[s] = (float *)(void *)(pieces->rooms[index % ROOMS] + *at);
        *at += round_up(bytes);
    }
}

static mb_status_t make_piece(mb_pieces_t *pieces, int index, const mb_optimizer_t *optimizer,
                              const mb_trained_t *trained, int n_params)
{
    piece_t *piece = &pieces->pieces[index];
    int n = piece->end - piece->first;
    size_t at = 0;
    mb_trained_t *own = calloc((size_t)n + 1, sizeof *own);
    if (own == NULL)
        return mb_error_memory("a piece of the update", (size_t)n * sizeof *own);
    piece->first_span = pieces->n_spans;
    for (int i = 0; i < n; i++) {
        own[i] = trained[piece->first + i];
        if (pieces->offloads)
            move_in(pieces, index, optimizer, &own[i], &at);
    }
    piece->end_span = pieces->n_spans;
    mb_status_t status =
        mb_stepper_create(optimizer, pieces->exec, own, n, n_params, &piece->stepper);
    free(own);
    return status;
}

static mb_status_t take_rooms(mb_pieces_t *pieces)
{
    void *memory;
    mb_device_t *device = pieces->exec->device;
    if (!pieces->offloads)
        return MB_OK;
    MB_TRY(mb_lane_create(pieces->exec, &pieces->lane));
    for (int r = 0; r < ROOMS; r++) {
        MB_TRY(device->class_->event_create(device, &pieces->there[r]));
        if (pieces->room_bytes == 0)
            continue;
        MB_TRY(mb_device_alloc(device, pieces->room_bytes, &memory));
        pieces->rooms[r] = memory;
    }
    return MB_OK;
}

static mb_status_t fill(mb_pieces_t *pieces, const mb_optimizer_t *optimizer,
                        const mb_trained_t *trained, int n, int n_params)
{
    pieces->pieces = calloc((size_t)n + 1, sizeof *pieces->pieces);
    pieces->spans = calloc((size_t)n * MB_MAX_SLOTS + 1, sizeof *pieces->spans);
    if (pieces->pieces == NULL || pieces->spans == NULL)
        return mb_error_memory("the pieces of the update", (size_t)n * sizeof *pieces->pieces);
    cut(pieces, optimizer, trained, n);
    MB_TRY(take_rooms(pieces));
    for (int i = 0; i < pieces->n; i++)
        MB_TRY(make_piece(pieces, i, optimizer, trained, n_params));
    return MB_OK;
}

mb_status_t mb_pieces_create(const mb_optimizer_t *optimizer, mb_exec_t *exec,
                             const mb_trained_t *trained, int n, int n_params, bool offloads,
                             mb_pieces_t **out)
{
    mb_pieces_t *pieces = calloc(1, sizeof *pieces);
    if (pieces == NULL)
        return mb_error_memory("the pieces of the update", sizeof *pieces);
    pieces->exec = exec;
    pieces->offloads = offloads;
    mb_status_t status = fill(pieces, optimizer, trained, n, n_params);
    if (status != MB_OK) {
        mb_pieces_destroy(pieces);
        return status;
    }
    *out = pieces;
    return MB_OK;
}

bool mb_pieces_destroy(mb_pieces_t *pieces)
{
    if (pieces == NULL)
        return true;
    mb_device_t *device = pieces->exec->device;
    bool drained = mb_lane_drain(&pieces->lane);
    mb_lane_destroy(&pieces->lane);
    for (int r = 0; r < ROOMS; r++) {
        if (pieces->there[r] != NULL)
            device->class_->event_destroy(pieces->there[r]);
        if (drained)
            mb_device_free(device, pieces->rooms[r]);
    }
    for (int i = 0; i < pieces->n; i++)
        mb_stepper_destroy(pieces->pieces[i].stepper);
    free(pieces->pieces);
    free(pieces->spans);
    free(pieces);
    return drained;
}

int mb_pieces_count(const mb_pieces_t *pieces)
{
    return pieces->n;
}

const mb_table_t *mb_pieces_table(const mb_pieces_t *pieces, int piece)
{
    return mb_stepper_table(pieces->pieces[piece].stepper);
}

size_t mb_pieces_room_bytes(const mb_pieces_t *pieces)
{
    return ROOMS * pieces->room_bytes;
}

size_t mb_pieces_bytes(const mb_pieces_t *pieces)
{
    size_t bytes = pieces == NULL ? 0 : mb_pieces_room_bytes(pieces);
    for (int i = 0; pieces != NULL && i < pieces->n; i++)
        bytes += mb_stepper_bytes(pieces->pieces[i].stepper);
    return bytes;
}

static mb_status_t copy(mb_pieces_t *pieces, int index, mb_copy_kind_t kind)
{
    const piece_t *piece = &pieces->pieces[index];
    for (int i = piece->first_span; i < piece->end_span; i++) {
        const span_t *span = &pieces->spans[i];
        char *room = pieces->rooms[index % ROOMS] + span->at;
        bool in = kind == MB_COPY_TO_DEVICE;
        MB_TRY(mb_lane_copy(&pieces->lane, in ? room : (char *)span->host,
                            in ? (char *)span->host : room, span->bytes, kind));
    }
    return MB_OK;
}

/* The lane is in order: what the room had before is out. */
static mb_status_t bring(mb_pieces_t *pieces, int index)
{
    MB_TRY(copy(pieces, index, MB_COPY_TO_DEVICE));
    return mb_lane_record(&pieces->lane, pieces->there[index % ROOMS]);
}

static mb_status_t take_back(mb_pieces_t *pieces, int index)
{
    MB_TRY(mb_lane_follow(&pieces->lane));
    return copy(pieces, index, MB_COPY_TO_HOST);
}

static mb_status_t pass_in_turn(mb_pieces_t *pieces, mb_pieces_run_t run, void *user)
{
    const mb_device_class_t *class_ = pieces->exec->device->class_;
    MB_TRY(bring(pieces, 0));
    for (int i = 0; i < pieces->n; i++) {
        if (i + 1 < pieces->n)
            MB_TRY(bring(pieces, i + 1));
        MB_TRY(class_->stream_wait_event(pieces->exec->stream, pieces->there[i % ROOMS]));
        MB_TRY(run(user, pieces->pieces[i].stepper));
        MB_TRY(take_back(pieces, i));
    }
    return MB_OK;
}

mb_status_t mb_pieces_pass(mb_pieces_t *pieces, mb_pieces_run_t run, void *user)
{
    if (pieces->offloads && !pieces->exec->planning)
        return pass_in_turn(pieces, run, user);
    for (int i = 0; i < pieces->n; i++)
        MB_TRY(run(user, pieces->pieces[i].stepper));
    return MB_OK;
}

mb_status_t mb_pieces_settle(mb_pieces_t *pieces)
{
    if (!pieces->offloads)
        return MB_OK;
    MB_TRY(mb_lane_lead(&pieces->lane));
    return mb_exec_sync(pieces->exec);
}
