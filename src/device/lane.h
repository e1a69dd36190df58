/* A stream beside the one that computes, for copies and messages; each waits for the other by
 * events, and the host for neither.
 *
 *     exec     F0 ----+          F1 ----+-- ...
 *                     | follow          ^ lead
 *     lane            +-- copy ---------+                                                        */
#ifndef MB_DEVICE_LANE_H
#define MB_DEVICE_LANE_H

#include "device/device.h"

typedef struct {
    mb_exec_t *exec;
    mb_stream_t *stream;
    bool owned; /* the stream is its own */
    mb_event_t *behind, *ahead;
} mb_lane_t;

mb_status_t mb_lane_create(mb_exec_t *exec, mb_lane_t *lane);
/* The same over a stream that is there already, and outlives it. */
mb_status_t mb_lane_share(mb_exec_t *exec, mb_stream_t *stream, mb_lane_t *lane);
/* Waits for what is on it, by the exec's own wait. False: it may never end, and what it uses must
 * be left to it. */
bool mb_lane_drain(mb_lane_t *lane);
void mb_lane_destroy(mb_lane_t *lane);
/* What the lane gets from now on comes behind what the exec's stream has so far. */
mb_status_t mb_lane_follow(mb_lane_t *lane);
/* What the exec's stream gets from now on comes behind what the lane has so far. */
mb_status_t mb_lane_lead(mb_lane_t *lane);
mb_status_t mb_lane_copy(mb_lane_t *lane, void *to, const void *from, size_t bytes,
                         mb_copy_kind_t kind);
mb_status_t mb_lane_record(mb_lane_t *lane, mb_event_t *event);
mb_status_t mb_lane_wait(mb_lane_t *lane, mb_event_t *event);

#endif
