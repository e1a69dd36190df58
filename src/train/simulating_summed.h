/* mbrun simulate: what groups sum, as a stage of a run would (engine/stage_reduce.h). */
#ifndef MB_TRAIN_SIMULATING_SUMMED_H
#define MB_TRAIN_SIMULATING_SUMMED_H

#include "train/simulating.h"

/* Sets what the simulation sums, and under --zero 1 and 2 how that is shared out. */
mb_status_t mb_simulate_summed(mb_simulating_t *s, int zero);

#endif
