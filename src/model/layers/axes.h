/* Axes that a config names: one integer or a list of them, counted as Keras does, the samples being
 * axis 0. */
#ifndef MB_MODEL_LAYERS_AXES_H
#define MB_MODEL_LAYERS_AXES_H

#include "model/layer.h"

typedef struct {
    int n;
    int64_t axis[MB_MAX_RANK];
} mb_axes_t;

/* Takes "axis"; absent: -1. */
mb_status_t mb_axes_take(mb_config_t *config, mb_axes_t *out);
/* Their bits, for the call's input: refuses that of the samples, what is none, and the same axis
 * twice. */
mb_status_t mb_axes_check(const mb_axes_t *axes, const mb_call_t *call, uint32_t *bits);
/* The same where they have been checked. */
uint32_t mb_axes_bits(const mb_axes_t *axes, const mb_call_t *call);
/* Whether BITS are those of the last axes, or the last one alone. */
bool mb_axes_are_last(uint32_t bits, int rank);

#endif
