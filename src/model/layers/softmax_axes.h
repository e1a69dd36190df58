/* Softmax and its logarithm over any axes of a sample. The last axis has an operation of its own;
 * other ones are made of functions of views. */
#ifndef MB_MODEL_LAYERS_SOFTMAX_AXES_H
#define MB_MODEL_LAYERS_SOFTMAX_AXES_H

#include "model/layers/view.h"

/* AXES: their bits, the samples being axis 0. Saved: one number for each sum. */
size_t mb_softmax_saved(const mb_call_t *call, uint32_t axes, int64_t samples);
mb_status_t mb_softmax_forward(const mb_run_t *run, uint32_t axes, bool logarithm);
/* Reads the output. */
mb_status_t mb_softmax_backward(const mb_run_t *run, uint32_t axes, bool logarithm);

#endif
