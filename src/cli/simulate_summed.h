/* mbrun simulate: what groups sum, as a stage of a run would (engine/stage_reduce.h). */
#ifndef MB_CLI_SIMULATE_SUMMED_H
#define MB_CLI_SIMULATE_SUMMED_H

#include "cli/simulate.h"

/* Sets what the simulation sums, and under --zero 1 and 2 how that is shared out. */
mb_status_t mb_simulate_summed(mb_simulating_t *s, int zero);

#endif
