/* Calls that apply an activation and nothing else: layers (activation_layer.c) and operations of
 * keras.ops (op_activation.c). The layer's config is the struct; the functions are the class's. */
#ifndef MB_MODEL_LAYERS_ACTIVATION_LAYER_H
#define MB_MODEL_LAYERS_ACTIVATION_LAYER_H

#include "model/layers/layers.h"

typedef struct {
    mb_activation_t activation;
    mb_axes_t axes; /* softmax's */
    bool gated;     /* no function of an element: glu.h, along the only axis */
} mb_activation_call_t;

mb_status_t mb_activation_call_infer(mb_call_t *call);
void mb_activation_call_memory(const mb_call_t *call, int64_t samples, mb_memory_t *out);
mb_status_t mb_activation_call_forward(const mb_run_t *run);
mb_status_t mb_activation_call_backward(const mb_run_t *run);
void mb_activation_call_cost(const mb_call_t *call, mb_cost_t *out);

#endif
