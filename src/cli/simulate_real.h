/* mbrun simulate --compute real: the ranks of a run in one process, each computing what it would on
 * its own, in virtual time. */
#ifndef MB_CLI_SIMULATE_REAL_H
#define MB_CLI_SIMULATE_REAL_H

#include "cli/simulate.h"

/* What only a run that computes is asked for: the last of the command's settings. MB_ERR_ARGUMENT
 * names one that was given though nothing is computed. */
mb_status_t mb_simulate_refuse_real(const mb_args_t *args);
/* Of the prepared simulation: fills OUT, losses and digest. */
mb_status_t mb_simulate_real(mb_simulating_t *s);

#endif
