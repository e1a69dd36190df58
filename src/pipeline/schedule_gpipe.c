/* GPipe (Huang et al.: "GPipe: Efficient training of giant neural networks using pipeline
 * parallelism", 2019): all forwards, then all backwards. The backwards go in ascending order, not
 * the paper's descending one, because micro-batches accumulate in index order. */
#include "pipeline/schedule_private.h"

void mb_schedule_gpipe(mb_schedule_t *schedule, bool training)
{
    for (int s = 0; s < schedule->stages; s++) {
        for (int m = 0; m < schedule->micros; m++)
            mb_program_add(&schedule->programs[s], MB_ACTION_F, s, m);
        for (int m = 0; m < schedule->micros && training; m++)
            mb_program_add(&schedule->programs[s], MB_ACTION_BW, s, m);
    }
}
