/* Softmax under a mask of its input's axes, each of one element or of as many
 * (keras/src/layers/activations/softmax.py): where the mask is at most 1/2 the input counts as a
 * large negative number, and the output is 0 even if all along the axis are hidden. */
#ifndef MB_MODEL_LAYERS_SOFTMAX_MASK_H
#define MB_MODEL_LAYERS_SOFTMAX_MASK_H

#include "model/layers/view.h"

/* The layer's run on what the mask leaves of the input; its saved block begins behind. */
typedef struct {
    mb_run_t run;
    const void *inputs[MB_MAX_INPUTS];
    void *x, *keep;
} mb_masked_softmax_t;

mb_status_t mb_softmax_mask_check(const mb_call_t *call);
/* Adds to OUT what stands in front of the layer's own. */
void mb_softmax_mask_memory(const mb_call_t *call, int64_t samples, mb_memory_t *out);
mb_status_t mb_softmax_mask_enter(const mb_run_t *run, mb_masked_softmax_t *out);
mb_status_t mb_softmax_mask_leave(const mb_run_t *run, const mb_masked_softmax_t *masked);

#endif
