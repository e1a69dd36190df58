/* What layouts take of a rank's memory, counted as a run's start counts it, on a device that gives
 * none (train/footprint.h): no MPI, and nothing is computed. */
#ifndef MB_TRAIN_COUNTING_H
#define MB_TRAIN_COUNTING_H

#include "train/planning.h"
#include "pipeline/planner.h"

typedef struct {
    const mb_planning_t *planning;
    int64_t batch;
    double limit;  /* of a rank, bytes */
    int rows;      /* so many at most are wanted */
    double least;  /* that was counted, left out or not */
    char why[256]; /* of those that are not counted: what stood against it; "": their size */
} mb_counting_t;

/* Of the candidates, the fastest first, those that count more than the limit are left out until
 * there are as many as are wanted; of these each one's memory is counted, if it is small enough for
 * that to take no time. *n: how many candidates are left. MB_ERR_MEMORY. */
mb_status_t mb_counting_run(mb_counting_t *counting, mb_candidate_t *all, int *n);

#endif
