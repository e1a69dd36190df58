/* New weights of parameters that groups share out, from the group that updates each to all. */
#ifndef MB_TRAIN_VALUES_SHARE_H
#define MB_TRAIN_VALUES_SHARE_H

#include "train/update.h"

/* Puts on the stream. Collective over the groups of a stage; waits. Gradients are undefined after
 * it. Nothing where every group updates all. */
mb_status_t mb_values_share(mb_update_t *update);

#endif
