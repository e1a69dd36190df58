/* The mean of x [positions, channels] over the positions of a sample that count by the mask of
 * input 0: a sum of views, divided by their number. Of no positions it is 0, where Keras divides by
 * zero: samples past the end of the data are such. */
#ifndef MB_MODEL_LAYERS_MASKED_MEAN_H
#define MB_MODEL_LAYERS_MASKED_MEAN_H

#include "model/layers/view.h"

/* Adds to OUT. */
void mb_masked_mean_memory(const mb_call_t *call, int64_t samples, mb_memory_t *out);
mb_status_t mb_masked_mean_forward(const mb_run_t *run);
/* The input's gradient, which is wanted. */
mb_status_t mb_masked_mean_backward(const mb_run_t *run);

#endif
