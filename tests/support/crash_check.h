/* Whether a run can go on from a state that a crash left: asked of the program's own functions,
 * which take the lease, clean up, choose the checkpoint and cut the log of metrics.
 *
 * - Each name but those of logs and temporary files leads to whole contents, old or new, of a
 *   rename or a link.
 * - What the run said it saved is there, or was removed by the run since, and so is what was there
 * before.
 * - The checkpoint that is chosen is one of those, and none older.
 * - metrics.jsonl has a line for each step up to it.
 * - Nothing temporary and no lease is left. */
#ifndef TESTS_SUPPORT_CRASH_CHECK_H
#define TESTS_SUPPORT_CRASH_CHECK_H

#include "support/crash_state.h"

typedef struct {
    const crash_record_t *record;
    const char *folder; /* where states are laid */
    const char *run;    /* the run directory in it */
    bool other_run;     /* what was there before is of a run that this one replaces */
} crash_check_t;

/* NULL, or what is wrong with the state after the first END calls. */
const char *crash_check(const crash_check_t *check, const crash_state_t *state, size_t end);
/* What is demanded after the first END calls; states that differ in this are different cases. */
uint64_t crash_check_demand(const crash_check_t *check, size_t end);

#endif
