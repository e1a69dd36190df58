/* Who has which samples, of those that ranks hold: runs of the order of all, which is by rank and
 * then by index. A rank that computes has its own; what the others hold is shared out evenly to
 * those that compute, as adopted samples. The same on every rank. */
#ifndef MB_DATA_HELD_RUNS_H
#define MB_DATA_HELD_RUNS_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int64_t first, count; /* in the order of all */
    int rank;             /* that holds them, of all */
    int64_t index;        /* of the first one there */
    int owner;            /* that serves them, among the ranks that compute */
    bool adopted;         /* by it */
    int64_t at;           /* the first one's place in what the owner holds, or in what it adopted */
} mb_held_run_t;

typedef struct {
    int n;
    mb_held_run_t *runs; /* by first; none is empty */
    int64_t samples;
} mb_held_runs_t;

/* COUNTS: samples of each of RANKS ranks. COMPUTES: of each whether it computes; some do. */
mb_status_t mb_held_runs_make(const int64_t *counts, const bool *computes, int ranks,
                              mb_held_runs_t *out);
void mb_held_runs_free(mb_held_runs_t *runs);
/* The run that a sample, from 0 to samples - 1, is in. */
const mb_held_run_t *mb_held_runs_find(const mb_held_runs_t *runs, int64_t sample);
/* Samples that OWNER adopts. */
int64_t mb_held_runs_adopted(const mb_held_runs_t *runs, int owner);

#endif
