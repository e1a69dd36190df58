/* What the layers of convolution share: a config, and what Conv and DepthwiseConv compute. */
#ifndef MB_MODEL_LAYERS_CONV_H
#define MB_MODEL_LAYERS_CONV_H

#include "model/layers/channels.h"
#include "model/layers/window.h"

typedef struct {
    mb_channels_t channels; /* first */
    mb_window_config_t window;
    int64_t filters, groups;
    int64_t multiplier; /* of depthwise ones: outputs of a channel; otherwise 0 */
    int64_t width;      /* channels of the inputs its kernel was declared for */
    bool use_bias;
    mb_activation_t activation;
    mb_param_spec_t kernel, bias;
} mb_conv_t;

enum { MB_CONV_KERNEL, MB_CONV_BIAS };

/* Takes use_bias, activation, the bias' and, under PREFIX, the kernel's initializer and its kin;
 * data_format has been taken. */
mb_status_t mb_conv_take(mb_config_t *config, const char *prefix, const char *name, mb_conv_t *out);
/* Adds a kernel of the window's positions and two more dimensions. */
mb_status_t mb_conv_add_kernel(mb_param_list_t *list, const mb_param_spec_t *spec,
                               const mb_window_config_t *window, int64_t rows, int64_t columns);
mb_status_t mb_conv_add_bias(mb_param_list_t *list, const mb_conv_t *conv, int64_t channels);

mb_status_t mb_conv_check(const mb_call_t *call);
void mb_conv_memory(const mb_call_t *call, int64_t samples, mb_memory_t *out);
mb_status_t mb_conv_forward(const mb_run_t *run);
mb_status_t mb_conv_forward_with_tail(const mb_run_t *run, const mb_tail_t *tail);
mb_status_t mb_conv_backward_input(const mb_run_t *run);
mb_status_t mb_conv_backward_weights(const mb_run_t *run);
void mb_conv_cost(const mb_call_t *call, mb_cost_t *out);

#endif
