/* Softmax and its logarithm over any one axis of a sample. The last axis has an operation of its
 * own for softmax; other axes, and the logarithm, are made of functions of views. */
#ifndef MB_MODEL_LAYERS_SOFTMAX_AXES_H
#define MB_MODEL_LAYERS_SOFTMAX_AXES_H

#include "model/layers/view.h"

/* AXIS counts the samples as 0. Saved: one number for each sum. */
size_t mb_softmax_saved(const mb_call_t *call, int axis, int64_t samples);
mb_status_t mb_softmax_forward(const mb_run_t *run, int axis, bool logarithm);
/* Reads the output. */
mb_status_t mb_softmax_backward(const mb_run_t *run, int axis, bool logarithm);

#endif
