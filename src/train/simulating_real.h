/* mbrun simulate --compute real: the ranks of a run in one process, each computing what it would on
 * its own, in virtual time. */
#ifndef MB_TRAIN_SIMULATING_REAL_H
#define MB_TRAIN_SIMULATING_REAL_H

#include "train/simulating.h"

/* Of the prepared simulation: fills OUT, losses and digest. */
mb_status_t mb_simulate_real(mb_simulating_t *s);

#endif
