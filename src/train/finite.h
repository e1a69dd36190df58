/* Whether weights are numbers that can be gone on from. */
#ifndef MB_TRAIN_FINITE_H
#define MB_TRAIN_FINITE_H

#include "engine/engine.h"

/* MB_ERR_NUMERIC names the first weight of this rank's stage that holds a NaN or an infinity. Not
 * collective; between steps. */
mb_status_t mb_weights_check_finite(mb_engine_t *engine);

#endif
