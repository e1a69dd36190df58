/* Multiply of inputs of which some have masks (keras/src/layers/merging/multiply.py): an input is 1
 * where its mask is 0, and the output is 0 where all masks are.
 *
 *     x'_i = m_i ? x_i : 1      y = any ? product of x'_i : 0, where all have masks */
#ifndef MB_MODEL_LAYERS_MERGE_MASKED_H
#define MB_MODEL_LAYERS_MERGE_MASKED_H

#include "model/layers/merge_view.h"

void mb_masked_product_memory(const mb_call_t *call, int64_t samples, mb_memory_t *out);
mb_status_t mb_masked_product_forward(const mb_run_t *run);
mb_status_t mb_masked_product_backward(const mb_run_t *run);

#endif
