/* Layers whose calls stand on several stages: the stage of the first call owns the parameters, the
 * others send it their gradients and statistics and get the new values back. Calls are added in
 * node order, so the sum does not depend on where they ran. */
#ifndef MB_TRAIN_TIES_H
#define MB_TRAIN_TIES_H

#include "train/update.h"

/* Into the owners' first entries. */
mb_status_t mb_ties_gather(mb_update_t *update, float *gradients);
/* New moving statistics of every layer that has them, in node order. */
mb_status_t mb_ties_statistics(mb_update_t *update, const mb_step_info_t *info, double *sums);
/* New values back to the other stages. */
mb_status_t mb_ties_scatter(mb_update_t *update);

#endif
