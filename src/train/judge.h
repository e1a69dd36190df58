/* Whether the numbers of a step are finite, before any weight changes by them: its loss, its
 * statistics, and the gradients summed over replicas. */
#ifndef MB_TRAIN_JUDGE_H
#define MB_TRAIN_JUDGE_H

#include "train/update.h"

enum { /* what is not finite */
       MB_JUDGED_LOSS_NAN = 1,
       MB_JUDGED_LOSS_INFINITE = 2,
       MB_JUDGED_GRADIENTS = 4,
       MB_JUDGED_STATISTICS = 8
};

/* *FOUND: of all working ranks, on each of them; 0: all is finite. SUMS: the step's, in device
 * memory. GRADIENTS: they are looked at, too. Collective over the working ranks. */
mb_status_t mb_judge(mb_update_t *update, const double *sums, bool gradients, uint32_t *found);
/* "the loss is NaN" */
const char *mb_judged_name(uint32_t found);

#endif
