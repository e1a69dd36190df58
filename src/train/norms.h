/* The squared norms of all parameters' gradients on every stage of a group, without the host. */
#ifndef MB_TRAIN_NORMS_H
#define MB_TRAIN_NORMS_H

#include "train/update.h"

/* Puts on the stream: update->norms, of the gradients as they are now; what measure_own has found
 * of the same gradients is taken (update->measured). Collective over a group's stages, and over the
 * groups of one that share its parameters out. */
mb_status_t mb_norms_measure(mb_update_t *update);
/* The same of what this rank updates alone; zero for all else. Not collective. */
mb_status_t mb_norms_measure_own(mb_update_t *update);

#endif
