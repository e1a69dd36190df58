/* Attention over some axes of the positions, each of the others by itself (keras/src/layers/
 * attention/multi_head_attention.py, attention_axes): a call on [positions, width] of so many more
 * samples.
 *
 *     [samples, others, attended, width]  is  [samples x others, positions, width]
 *
 * where the attended axes stand behind the others; else of copies where they do. */
#ifndef MB_MODEL_LAYERS_ATTENTION_AXES_H
#define MB_MODEL_LAYERS_ATTENTION_AXES_H

#include "model/layers/attention.h"

enum { MB_ATTENTION_ARGUMENTS = 3 };

typedef struct {
    mb_call_t call;
    int64_t others; /* positions along the axes that are not attended */
    bool moves;
} mb_attended_t;

/* Also of shapes that are open. MB_ERR_SHAPE and MB_ERR_UNSUPPORTED where axes, masks or inputs do
 * not fit. */
mb_status_t mb_attention_fold(const mb_call_t *call, mb_attended_t *out);

void mb_attention_axes_memory(const mb_call_t *call, int64_t samples, mb_memory_t *out);
mb_status_t mb_attention_axes_forward(const mb_run_t *run);
mb_status_t mb_attention_axes_backward_input(const mb_run_t *run);
mb_status_t mb_attention_axes_backward_weights(const mb_run_t *run);
void mb_attention_axes_cost(const mb_call_t *call, mb_cost_t *out);

#endif
