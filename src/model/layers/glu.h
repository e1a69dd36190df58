/* The gated linear unit (Dauphin and others, 2017): the first half of an axis, times the sigmoid of
 * the second. AXES: the bit of the axis, the samples being axis 0. */
#ifndef MB_MODEL_LAYERS_GLU_H
#define MB_MODEL_LAYERS_GLU_H

#include "model/layers/view.h"

/* Halves the output's axis. */
mb_status_t mb_glu_infer(mb_call_t *call, uint32_t axes);
mb_status_t mb_glu_forward(const mb_run_t *run, uint32_t axes);
/* Reads the input. */
mb_status_t mb_glu_backward(const mb_run_t *run, uint32_t axes);

#endif
