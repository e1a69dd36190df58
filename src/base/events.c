/* See events.h. */
#include "base/events.h"

#include <math.h>
#include <stdlib.h>

static bool before(const mb_event_at_t *a, const mb_event_at_t *b)
{
    return a->time < b->time || (a->time <= b->time && a->order < b->order);
}

static mb_status_t make_room(mb_events_t *events)
{
    if (events->n < events->room)
        return MB_OK;
    size_t room = events->room == 0 ? 1024 : 2 * events->room;
    mb_event_at_t *heap = realloc(events->heap, room * sizeof *heap);
    if (heap == NULL)
        return mb_error_memory("what is yet to happen", room * sizeof *heap);
    events->heap = heap;
    events->room = room;
    return MB_OK;
}

mb_status_t mb_events_put(mb_events_t *events, double time, int kind, uint32_t what)
{
    MB_TRY(make_room(events));
    mb_event_at_t event = {time, events->put++, kind, what};
    size_t at = events->n++;
    for (; at > 0 && before(&event, &events->heap[(at - 1) / 2]); at = (at - 1) / 2)
        events->heap[at] = events->heap[(at - 1) / 2];
    events->heap[at] = event;
    return MB_OK;
}

double mb_events_next(const mb_events_t *events)
{
    return events->n == 0 ? INFINITY : events->heap[0].time;
}

bool mb_events_take(mb_events_t *events, mb_event_at_t *out)
{
    if (events->n == 0)
        return false;
    *out = events->heap[0];
    mb_event_at_t last = events->heap[--events->n];
    size_t at = 0;
    for (size_t child = 1; child < events->n; child = 2 * at + 1) {
        if (child + 1 < events->n && before(&events->heap[child + 1], &events->heap[child]))
            child++;
        if (!before(&events->heap[child], &last))
            break;
        events->heap[at] = events->heap[child];
        at = child;
    }
    events->heap[at] = last;
    return true;
}

void mb_events_free(mb_events_t *events)
{
    free(events->heap);
}
