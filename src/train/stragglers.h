/* Which ranks take clearly longer for their part of a step than they should: by what they took
 * before, and by what the replicas of their stage take. Stages may be uneven; a machine on which
 * all become slower has no straggler. No I/O, no MPI.
 *
 * Times are looked at in windows. A window's time of a rank is the mean of its steps' work without
 * waits. A rank straggles when in two windows, one behind the other, its time is at least 1.5 times
 * what it was before (over what the median rank's time has grown by), or 1.5 times the median of
 * its stage's replicas, and that is a tenth of the window or more. */
#ifndef MB_TRAIN_STRAGGLERS_H
#define MB_TRAIN_STRAGGLERS_H

#include "comm/comm.h"

#define MB_STRAGGLER_FACTOR 1.5
#define MB_STRAGGLER_PART 0.1            /* of a window, that is lost */
#define MB_STRAGGLER_AGAIN_SECONDS 600.0 /* until one that goes on is told of again */

typedef struct mb_stragglers mb_stragglers_t;

typedef struct {
    int rank, stage;
    double factor;
    bool by_replicas;   /* of theirs; else of its own before */
    int64_t since_step; /* the first slow window's first */
    double seconds;     /* since then */
    double waited;      /* part of their time that the other ranks waited in the last window */
} mb_straggler_t;

/* RANKS that work, of which rank r has stage r % STAGES; their loads count from FIRST_STEP on.
 * MB_ERR_MEMORY. */
mb_status_t mb_stragglers_create(int ranks, int stages, double window_seconds, int64_t first_step,
                                 mb_stragglers_t **out);
void mb_stragglers_destroy(mb_stragglers_t *stragglers);
/* LOADS: [ranks], at NOW seconds. The worst straggler that is to be told of, if there is one. Most
 * calls end no window, and find none. */
bool mb_stragglers_look(mb_stragglers_t *stragglers, const mb_comm_load_t *loads, double now,
                        mb_straggler_t *found);

#endif
