/* Sums over a weight that is kept as it is stored, for its regularizer. */
#ifndef MB_TRAIN_STORED_SUMS_H
#define MB_TRAIN_STORED_SUMS_H

#include "engine/stage.h"

/* SUMS: of |w| and of w^2 over the values that PARAM's codes stand for. Not part of a step. */
mb_status_t mb_stored_sums(const mb_stage_t *stage, int param, double sums[2]);

#endif
