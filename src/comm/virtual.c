/* Virtual ranks and who of them goes on: see virtual.h. */
#include "comm/virtual_private.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STACK_BYTES ((size_t)1 << 20)

static void begin(void *user)
{
    mb_virtual_end_t *end = user;
    mb_virtual_t *world = end->world;
    mb_status_t status = world->body(world->user, &end->comm);
    end->state = MB_END_ENDED;
    if (status == MB_OK || world->told_by < end->comm.rank)
        return;
    world->told_by = end->comm.rank;
    world->status = status;
    mb_error_keep(&world->message);
}

static void name_host(mb_comm_t *comm)
{
    snprintf(comm->host, sizeof comm->host, "rank %d of this process", comm->rank);
}

/* What over MPI is told by a message stands in one place here, for all. */
static mb_status_t make_end(mb_virtual_t *world, int rank)
{
    mb_virtual_end_t *end = calloc(1, sizeof *end);
    if (end == NULL)
        return mb_error_memory("a virtual rank", sizeof *end);
    world->ends[rank] = end;
    end->world = world;
    mb_comm_begin(&end->comm, &mb_wire_virtual);
    end->comm.end = end;
    end->comm.rank = end->comm.local_rank = rank;
    end->comm.size = end->comm.local_size = world->size;
    end->comm.first = &world->first;
    end->comm.stood = true; /* there is nobody to be told where it stands */
    name_host(&end->comm);
    mb_status_t status = mb_fiber_create(begin, end, STACK_BYTES, &end->fiber);
    return status == MB_OK
               ? MB_OK
               : mb_error_prefix(status,
                                 "rank %d of %d in one process (each needs a stack; use fewer, or "
                                 "raise vm.max_map_count, of which each takes 2): ",
                                 rank, world->size);
}

mb_status_t mb_virtual_create(int ranks, const mb_virtual_times_t *times, mb_virtual_t **out)
{
    mb_status_t status = MB_OK;
    mb_virtual_t *world = calloc(1, sizeof *world);
    if (world == NULL)
        return mb_error_memory("virtual ranks", sizeof *world);
    world->size = ranks;
    world->times = *times;
    world->first.rank = world->told_by = INT_MAX;
    world->ends = calloc((size_t)ranks, sizeof(mb_virtual_end_t *));
    if (world->ends == NULL)
        status = mb_error_memory("virtual ranks", (size_t)ranks * sizeof(mb_virtual_end_t *));
    for (int rank = 0; rank < ranks && status == MB_OK; rank++)
        status = make_end(world, rank);
    if (status != MB_OK) {
        mb_virtual_destroy(world);
        return status;
    }
    *out = world;
    return MB_OK;
}

void mb_virtual_destroy(mb_virtual_t *world)
{
    if (world == NULL)
        return;
    for (int rank = 0; world->ends != NULL && rank < world->size; rank++) {
        if (world->ends[rank] != NULL)
            mb_fiber_destroy(world->ends[rank]->fiber);
        free(world->ends[rank]);
    }
    for (int i = 1; i <= world->n_letters; i++) {
        if (world->letters[i].is_copy)
            free(world->letters[i].data);
    }
    free(world->ends);
    mb_events_free(&world->events);
    free(world->letters);
    free(world);
}

/* An event that nobody waits for any more is nothing. */
static void go_on(mb_virtual_end_t *end, const mb_event_at_t *event)
{
    bool idle = end->state == MB_END_WAITS || end->state == MB_END_LOST;
    if (end->state == MB_END_ENDED || (event->kind == MB_EVENT_WAKES) != idle)
        return;
    end->world->now = event->time;
    end->state = MB_END_GOES_ON;
    end->clock = event->time;
    mb_fiber_run(end->fiber);
}

static bool take_arrival(mb_virtual_t *world, uint32_t *number)
{
    const mb_virtual_times_t *times = &world->times;
    return times->arrive != NULL &&
           times->arrive(times->user, mb_events_next(&world->events), &world->now, number);
}

static mb_status_t go_on_all(mb_virtual_t *world)
{
    mb_event_at_t event;
    uint32_t number;
    while (true) {
        if (take_arrival(world, &number))
            MB_TRY(mb_virtual_arrive(world, number));
        else if (mb_events_take(&world->events, &event))
            go_on(world->ends[event.what], &event);
        else
            return MB_OK;
    }
}

static bool all_ended(const mb_virtual_t *world)
{
    for (int rank = 0; rank < world->size; rank++) {
        if (world->ends[rank]->state != MB_END_ENDED)
            return false;
    }
    return true;
}

/* Every wait ends, so that every rank comes to its end and leaves nothing behind. */
static void end_waits(mb_virtual_t *world)
{
    world->stands_still = true;
    if (world->first.rank == INT_MAX) {
        world->first.rank = 0;
        world->first.status = (int)MB_ERR_TIMEOUT;
        snprintf(world->first.text, sizeof world->first.text, "%s", mb_error_get());
    }
    for (int rank = 0; rank < world->size; rank++)
        mb_events_put(&world->events, world->now, MB_EVENT_WAKES, (uint32_t)rank);
    (void)go_on_all(world);
}

mb_status_t mb_virtual_run(mb_virtual_t *world, mb_status_t (*body)(void *user, mb_comm_t *comm),
                           void *user)
{
    mb_error_message_t kept;
    world->body = body;
    world->user = user;
    for (int rank = 0; rank < world->size; rank++)
        MB_TRY(mb_events_put(&world->events, 0, MB_EVENT_GOES_ON, (uint32_t)rank));
    MB_TRY(go_on_all(world));
    if (all_ended(world)) {
        mb_error_restore(&world->message);
        return world->status;
    }
    mb_status_t status = mb_virtual_stuck(world);
    mb_error_keep(&kept);
    end_waits(world);
    mb_error_restore(&kept);
    return status;
}

bool mb_virtual_is_busy(const mb_comm_t *comm)
{
    return comm->end->state == MB_END_GOES_ON;
}

mb_virtual_traffic_t mb_virtual_traffic(const mb_comm_t *comm)
{
    return comm->end->traffic;
}

void mb_virtual_lose(mb_comm_t *comm, const char *why)
{
    mb_virtual_end_t *end = comm->end;
    end->why = why;
    while (!end->world->stands_still && comm->first->rank == INT_MAX) {
        end->state = MB_END_LOST;
        mb_fiber_yield();
    }
}
