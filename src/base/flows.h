/* Flows of bytes in virtual time. Each takes a way out and a way in; flows that share a way share
 * its bandwidth.
 *
 *     a -- out of 1 --+-- into 2 --     the way out of 1 gives each of its two flows a half, the
 *     b --------------+-- into 3 --     way into 3 each of its two a half as well: b and c go on at
 *     c -- out of 4 ----- into 3 --     half the bandwidth, and so does a
 *
 * A flow goes on at the lesser of what its two ways give it, which is an equal part each. That is
 * max-min fairness but for what a flow leaves of its part where its other way is the narrower one:
 * others there do not take it up (Bertsekas and Gallager, Data Networks, 1992, section 6.5.2, would
 * fill it). In return a flow that begins or ends concerns only those on its own two ways: what it
 * costs does not grow with the network.
 *
 * Times follow from which flow begins when, not from the order of the calls at one time. */
#ifndef MB_BASE_FLOWS_H
#define MB_BASE_FLOWS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

typedef struct {
    double bandwidth; /* bytes a second, to be set; INFINITY: holds up nothing */
    double busy;      /* seconds that its bytes take at that */
    double held_up;   /* seconds that its flows took beyond what they would have alone */
    int64_t bytes, messages;
    int n, first; /* flows on it now */
    bool changed; /* since they were told what it gives them */
} mb_flow_way_t;

typedef struct mb_flow mb_flow_t;

typedef struct { /* begins as zeros but for the arena */
    mb_arena_t *arena;
    double now;
    mb_flow_t *flows; /* from 1 on */
    int n, room, free;
    int *heap; /* of flows, the one whose time comes first in front */
    int n_heap;
    mb_flow_way_t **changed;
    int n_changed;
    uint64_t begun;
} mb_flows_t;

/* WHAT comes out of mb_flows_take LATENCY after the bytes are through; at once where the ways hold
 * up nothing. NOW never goes back. MB_ERR_MEMORY. */
mb_status_t mb_flows_begin(mb_flows_t *flows, double now, mb_flow_way_t *out, mb_flow_way_t *in,
                           int64_t bytes, double latency, uint64_t what);
/* The next that arrives before BEFORE (INFINITY: whenever). All flows that begin at times up to
 * there must have begun. False: none. */
bool mb_flows_take(mb_flows_t *flows, double before, double *time, uint64_t *what);

#endif
