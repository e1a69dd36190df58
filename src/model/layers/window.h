/* Windows that move over one or two spatial dimensions: the geometry of convolution and pooling. */
#ifndef MB_MODEL_LAYERS_WINDOW_H
#define MB_MODEL_LAYERS_WINDOW_H

#include "model/layers/layers.h"

typedef enum { MB_PADDING_VALID, MB_PADDING_SAME, MB_PADDING_CAUSAL } mb_padding_t;

typedef struct {
    int spatial; /* 1 or 2; with 1 the first dimension of the arrays is 1 */
    int64_t size[2], stride[2], dilation[2];
    mb_padding_t padding;
} mb_window_config_t;

/* Takes SIZE_KEY, strides (absent: the size when stride_is_size, otherwise 1), dilation_rate,
 * padding and data_format. Causal padding is for one dimension of a convolution. */
mb_status_t mb_window_take(mb_config_t *config, const char *size_key, int spatial,
                           bool stride_is_size, mb_window_config_t *out);
/* Sets the call's output for CHANNELS output channels. */
mb_status_t mb_window_infer(const mb_window_config_t *window, mb_call_t *call, int64_t channels);
/* The device's description of the call for SAMPLES samples. */
mb_window_t mb_window_geometry(const mb_window_config_t *window, const mb_call_t *call,
                               int64_t samples);

#endif
