/* What merge layers are given, as views of the output's size: inputs of fewer axes get axes of one
 * element behind the samples, and then all are broadcast, as in Keras
 * (keras/src/layers/merging/base_merge.py). A mask has an axis less than its input, and is repeated
 * along the last one. An input that gets axes has no mask any more. */
#ifndef MB_MODEL_LAYERS_MERGE_VIEW_H
#define MB_MODEL_LAYERS_MERGE_VIEW_H

#include "model/layers/view.h"

mb_map_input_t mb_merge_input(const mb_run_t *run, int input);
/* Something shaped as the output. */
mb_map_input_t mb_merge_whole(const mb_run_t *run, const void *values);

bool mb_merge_is_masked(const mb_call_t *call, int input);
/* MB_ERR_UNSUPPORTED where a mask cannot be broadcast to its input. */
mb_status_t mb_merge_check_masks(const mb_call_t *call);
mb_map_input_t mb_merge_mask(const mb_run_t *run, int input);
/* The same of an array with one value for each row of the output. */
mb_map_input_t mb_merge_rows(const mb_run_t *run, const void *values);
/* rows = masks of inputs 0 to LAST, any of them; all have one. */
mb_status_t mb_merge_any_mask(const mb_run_t *run, int last, void *rows);

/* y = f(a, b, c), shaped as the output. */
mb_status_t mb_merge_map(const mb_run_t *run, mb_map_t function, mb_map_input_t a, mb_map_input_t b,
                         mb_map_input_t c, void *y);
/* The same into the gradient of an input, summed over what it was repeated along. */
mb_status_t mb_merge_map_back(const mb_run_t *run, mb_map_t function, int input, mb_map_input_t a,
                              mb_map_input_t b, mb_map_input_t c);

#endif
