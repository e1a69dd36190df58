/* What ranks did and when, as trace events that Perfetto and Chrome show ("Trace Event Format",
 * Google 2016):
 *
 *     a process a rank     named after its place; its actions on one row, its messages on another
 *     a slice an action    "F1.3": micro-batch 3 through chunk 1; what it waited in front of it is
 *                          a slice "wait"; args: kind, chunk, micro, step
 *     an arrow a transfer  from the action that made the data to the one that takes it
 *     a counter a rank     micro-batches in flight, of all its chunks
 *
 * Times are seconds from any origin that all ranks share. */
#ifndef MB_PIPELINE_TRACE_H
#define MB_PIPELINE_TRACE_H

#include "pipeline/walk.h"

typedef struct { /* an action of a rank */
    double begin, end, waited;
    int32_t step, kind, chunk, micro, edge, bucket;
} mb_trace_record_t;

mb_trace_record_t mb_trace_record(int step, const mb_action_t *action,
                                  const mb_walk_times_t *times);

typedef struct mb_trace mb_trace_t;

/* PLANS: of each group. Not collective. MB_ERR_IO: cannot be written. */
mb_status_t mb_trace_create(const char *path, const mb_grid_t *grid, const mb_plan_t *const *plans,
                            mb_trace_t **out);
/* A rank's records in the order of its time. An error of writing is kept for the end. */
void mb_trace_add(mb_trace_t *trace, int rank, const mb_trace_record_t *record);
/* Ends the file, or removes what could not be written whole. */
mb_status_t mb_trace_finish(mb_trace_t *trace);

#endif
