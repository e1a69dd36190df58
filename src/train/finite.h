/* Whether weights are numbers that can be gone on from. */
#ifndef MB_TRAIN_FINITE_H
#define MB_TRAIN_FINITE_H

#include "train/snapshot.h"

/* MB_ERR_NUMERIC names the first weight of this rank's stage that holds a NaN or an infinity. Not
 * collective; between steps. SNAPSHOT: of those alone that this rank writes, and where the last
 * update has put them there, by what it saw of them; NULL: all are looked through. */
mb_status_t mb_weights_check_finite(const mb_update_t *update, const mb_snapshot_t *snapshot);

#endif
