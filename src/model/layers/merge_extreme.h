/* Maximum and Minimum, of inputs of which some may have masks
 * (keras/src/layers/merging/base_merge.py, _apply_merge_op_and_or_mask): one after the other, an
 * input stands in for what came before where only it has a mask of 1, and the other way around.
 *
 *     p_0 = x_0         M_0 = m_0
 *     p_i = m_i ? (M_{i-1} ? f(p_{i-1}, x_i) : x_i) : p_{i-1}
 *     M_i = M_{i-1} or m_i, and without one from the first input on that has none
 *
 * where a mask that is not there is 1. */
#ifndef MB_MODEL_LAYERS_MERGE_EXTREME_H
#define MB_MODEL_LAYERS_MERGE_EXTREME_H

#include "model/layers/merge_view.h"

void mb_extreme_memory(const mb_call_t *call, int64_t samples, mb_memory_t *out);
mb_status_t mb_extreme_forward(const mb_run_t *run, mb_map_t function);
mb_status_t mb_extreme_backward(const mb_run_t *run, mb_map_t function);

#endif
