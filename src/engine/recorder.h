/* What a rank did in the last steps, for the trace of a run. Room for it is taken before the first
 * step; when it is full, the newest step takes the oldest one's place. */
#ifndef MB_ENGINE_RECORDER_H
#define MB_ENGINE_RECORDER_H

#include "comm/comm.h"
#include "pipeline/trace.h"

typedef struct mb_recorder mb_recorder_t;

/* Of the last four steps, or as many as 12 MiB hold, but of one at least. Not collective. */
mb_status_t mb_recorder_create(const mb_program_t *program, mb_recorder_t **out);
void mb_recorder_destroy(mb_recorder_t *recorder);
void mb_recorder_add(mb_recorder_t *recorder, const mb_trace_record_t *record);
/* Records that it has, and one of them, the oldest first. NULL has none. */
size_t mb_recorder_count(const mb_recorder_t *recorder);
const mb_trace_record_t *mb_recorder_at(const mb_recorder_t *recorder, size_t i);
/* Collective: rank 0 writes all ranks' records to PATH. NULL: this rank has none. Clocks of nodes
 * are set by a barrier: a message between nodes may seem to arrive as much earlier as that takes.
 */
mb_status_t mb_recorder_write(mb_recorder_t *recorder, mb_comm_t *comm, const mb_grid_t *grid,
                              const mb_plan_t *plan, const char *path);

/* Where ranks agree on nothing any more, after a failure. What all clocks are set by: ranks come
 * here at about the same time. NULL: this rank has none. */
void mb_recorder_begin(mb_recorder_t *recorder, double clock);
/* Seconds from mb_recorder_begin to NOW. */
double mb_recorder_elapsed(const mb_recorder_t *recorder, double now);
/* This rank's records in a file PATH, which is there whole or not at all. Not collective. */
mb_status_t mb_recorder_leave(const mb_recorder_t *recorder, const char *path);
/* The trace of what N ranks have left in files, which are removed; ranks without one have no
 * records. Not collective. */
mb_status_t mb_recorder_join(char *const *paths, int n, const mb_grid_t *grid,
                             const mb_plan_t *plan, const char *path);

#endif
