/* A trace file, read: what each rank did, in its order, and what that took. */
#ifndef MB_CLI_TRACED_H
#define MB_CLI_TRACED_H

#include "base/arena.h"
#include "pipeline/schedule.h"

#include <stddef.h>

typedef struct {
    mb_action_kind_t kind;
    int chunk, micro, edge;
} mb_traced_action_t;

/* Waiting stands behind the kinds of action. */
enum { MB_TRACED_WAIT = MB_ACTION_COUNT, MB_TRACED_KINDS };

typedef struct {
    double seconds[MB_TRACED_KINDS]; /* of a step, on average */
    int n;                           /* actions of its first step */
    mb_traced_action_t *actions;
} mb_traced_rank_t;

typedef struct {
    const char *path;
    int n_ranks, steps;
    double step_seconds; /* from the first action to the end of the last, by steps */
    mb_traced_rank_t *ranks;
} mb_traced_t;

/* Of a file that --trace wrote; in the arena. MB_ERR_IO, MB_ERR_FORMAT name the file and the event.
 */
mb_status_t mb_traced_read(const char *path, mb_arena_t *arena, mb_traced_t *out);
/* "F" ..., "wait". */
const char *mb_traced_kind(int kind);

#endif
