/* See stage_offload.h. The lane is in order, and each room has one event behind its last copy, out
 * or in, that the exec's stream waits for before it uses the room again. */
#include "engine/stage_offload.h"

#include "device/lane.h"

typedef struct {
    char *memory;
    mb_event_t *moved; /* behind its last copy */
    int holds;         /* micro-batch; -1: none */
} room_t;

typedef struct mb_chunk_rooms {
    room_t rooms[MB_KEPT_ROOMS];
    char **host; /* [n_slots] */
    int *has;    /* [n_slots] micro-batch; -1: none */
} rooms_t;

struct mb_stage_offload {
    mb_lane_t lane;
    rooms_t **chunks; /* [n_chunks] NULL: all is on the device */
};

static rooms_t *rooms_of(const mb_stage_t *stage, const mb_stage_chunk_t *chunk)
{
    return stage->offload->chunks[chunk - stage->chunks];
}

static mb_status_t take_rooms(mb_stage_t *stage, mb_stage_chunk_t *chunk, rooms_t *rooms)
{
    void *memory;
    mb_device_t *device = stage->exec->device;
    for (int r = 0; r < MB_KEPT_ROOMS; r++) {
        rooms->rooms[r].holds = -1;
        MB_TRY(device->class_->event_create(device, &rooms->rooms[r].moved));
        MB_TRY(mb_device_alloc(device, chunk->kept_bytes, &memory));
        rooms->rooms[r].memory = chunk->rooms[r] = memory;
        stage->block_bytes += chunk->kept_bytes;
    }
    for (int s = 0; s < chunk->n_slots; s++) {
        rooms->has[s] = -1;
        MB_TRY(mb_device_host_alloc(device, chunk->kept_bytes, &memory));
        rooms->host[s] = memory;
    }
    return MB_OK;
}

static mb_status_t open_chunk(mb_stage_t *stage, mb_stage_chunk_t *chunk)
{
    rooms_t *rooms = MB_ARENA_NEW(stage->arena, rooms_t);
    if (rooms != NULL) {
        rooms->host = MB_ARENA_ARRAY(stage->arena, char *, chunk->n_slots);
        rooms->has = MB_ARENA_ARRAY(stage->arena, int, chunk->n_slots);
    }
    if (rooms == NULL || rooms->host == NULL || rooms->has == NULL)
        return mb_error_memory("the rooms of a stage", sizeof *rooms);
    stage->offload->chunks[chunk - stage->chunks] = rooms;
    return take_rooms(stage, chunk, rooms);
}

mb_status_t mb_stage_offload_create(mb_stage_t *stage)
{
    struct mb_stage_offload *offload = MB_ARENA_NEW(stage->arena, struct mb_stage_offload);
    if (offload != NULL)
        offload->chunks = MB_ARENA_ARRAY(stage->arena, rooms_t *, stage->n_chunks + 1);
    if (offload == NULL || offload->chunks == NULL)
        return mb_error_memory("the rooms of a stage", sizeof *offload);
    stage->offload = offload;
    MB_TRY(mb_lane_create(stage->exec, &offload->lane));
    for (int i = 0; i < stage->n_chunks; i++) {
        if (stage->chunks[i].kept_bytes > 0)
            MB_TRY(open_chunk(stage, &stage->chunks[i]));
    }
    return MB_OK;
}

static void close_chunk(mb_stage_t *stage, const mb_stage_chunk_t *chunk, bool drained)
{
    mb_device_t *device = stage->exec->device;
    rooms_t *rooms = rooms_of(stage, chunk);
    for (int r = 0; rooms != NULL && r < MB_KEPT_ROOMS; r++) {
        if (rooms->rooms[r].moved != NULL)
            device->class_->event_destroy(rooms->rooms[r].moved);
        if (drained)
            mb_device_free(device, rooms->rooms[r].memory);
    }
    for (int s = 0; rooms != NULL && drained && s < chunk->n_slots; s++)
        mb_device_host_free(device, rooms->host[s]);
}

/* What copies may still use after a failure is left to them. */
void mb_stage_offload_destroy(mb_stage_t *stage)
{
    if (stage->offload == NULL)
        return;
    bool drained = mb_lane_drain(&stage->offload->lane);
    mb_lane_destroy(&stage->offload->lane);
    for (int i = 0; i < stage->n_chunks; i++)
        close_chunk(stage, &stage->chunks[i], drained);
}

static room_t *room_of(const mb_stage_chunk_t *chunk, rooms_t *rooms, int micro)
{
    return &rooms->rooms[micro % chunk->n_slots % MB_KEPT_ROOMS];
}

/* Behind all that the exec's stream has so far. */
static mb_status_t move(mb_stage_t *stage, const mb_stage_chunk_t *chunk, int micro,
                        mb_copy_kind_t kind)
{
    mb_lane_t *lane = &stage->offload->lane;
    rooms_t *rooms = rooms_of(stage, chunk);
    room_t *room = room_of(chunk, rooms, micro);
    char *host = rooms->host[micro % chunk->n_slots];
    bool in = kind == MB_COPY_TO_DEVICE;
    MB_TRY(mb_lane_follow(lane));
    MB_TRY(mb_lane_copy(lane, in ? room->memory : host, in ? host : room->memory, chunk->kept_bytes,
                        kind));
    room->holds = micro;
    rooms->has[micro % chunk->n_slots] = micro;
    return mb_lane_record(lane, room->moved);
}

/* Micro-batches go back in ascending order: while this one does, the next one comes in. */
static mb_status_t bring_next(mb_stage_t *stage, const mb_stage_chunk_t *chunk, int micro)
{
    rooms_t *rooms = rooms_of(stage, chunk);
    int next = micro + 1;
    room_t *room = room_of(chunk, rooms, next);
    if (room == room_of(chunk, rooms, micro) || room->holds == next ||
        rooms->has[next % chunk->n_slots] != next)
        return MB_OK;
    return move(stage, chunk, next, MB_COPY_TO_DEVICE);
}

static bool is_away(const mb_stage_t *stage, const mb_micro_t *micro)
{
    return stage->offload != NULL && !stage->exec->planning &&
           rooms_of(stage, stage->chunk_of[micro->chunk]) != NULL;
}

mb_status_t mb_stage_offload_begin(mb_stage_t *stage, const mb_micro_t *micro, bool forward)
{
    const mb_stage_chunk_t *chunk = stage->chunk_of[micro->chunk];
    mb_exec_t *exec = stage->exec;
    if (!is_away(stage, micro))
        return MB_OK;
    room_t *room = room_of(chunk, rooms_of(stage, chunk), micro->index);
    if (!forward && room->holds != micro->index)
        MB_TRY(move(stage, chunk, micro->index, MB_COPY_TO_DEVICE));
    MB_TRY(exec->device->class_->stream_wait_event(exec->stream, room->moved));
    return forward ? MB_OK : bring_next(stage, chunk, micro->index);
}

mb_status_t mb_stage_offload_end(mb_stage_t *stage, const mb_micro_t *micro, bool forward)
{
    const mb_stage_chunk_t *chunk = stage->chunk_of[micro->chunk];
    return forward && is_away(stage, micro) ? move(stage, chunk, micro->index, MB_COPY_TO_HOST)
                                            : MB_OK;
}
