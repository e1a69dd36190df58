/* What a batch system tells its jobs. */
#ifndef MB_CLI_BATCH_H
#define MB_CLI_BATCH_H

#include "base/error.h"
#include "train/time_limit.h"

#define MB_BATCH_END "SLURM_JOB_END_TIME" /* seconds since 1970; of Slurm since 23.02 */

/* When the job that this process is part of ends by force; .at is 0 where nobody says so. */
mb_time_end_t mb_batch_end(void);
/* Inside a Slurm job that was not told its end: asks Slurm, and tells the processes that are
 * started from now on. */
void mb_batch_find_end(void);

/* MB_ERR_ARGUMENT outside of a Slurm job. */
mb_status_t mb_batch_check(void);
/* How often the job was put back into the queue. */
long mb_batch_restarts(void);
/* False: somebody has cancelled the job, or put it back already. */
bool mb_batch_goes_on(void);
/* Puts it back. When that is done Slurm ends this process soon. */
mb_status_t mb_batch_requeue(void);

#endif
