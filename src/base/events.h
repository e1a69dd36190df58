/* What is yet to happen in virtual time, earliest first: a binary heap. */
#ifndef MB_BASE_EVENTS_H
#define MB_BASE_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct {
    double time;
    uint64_t order; /* of two at one time the first that was put in comes first */
    int kind;       /* the owner's */
    uint32_t what;
} mb_event_at_t;

typedef struct { /* begins as zeros */
    mb_event_at_t *heap;
    size_t n, room;
    uint64_t put;
} mb_events_t;

/* MB_ERR_MEMORY. */
mb_status_t mb_events_put(mb_events_t *events, double time, int kind, uint32_t what);
/* When the earliest is; INFINITY: there is none. */
double mb_events_next(const mb_events_t *events);
/* The earliest; false: there is none. */
bool mb_events_take(mb_events_t *events, mb_event_at_t *out);
void mb_events_free(mb_events_t *events);

#endif
