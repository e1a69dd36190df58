/* Windows that move over one to three spatial dimensions: the geometry of convolution and pooling.
 */
#ifndef MB_MODEL_LAYERS_WINDOW_H
#define MB_MODEL_LAYERS_WINDOW_H

#include "model/layers/layers.h"

#define MB_MAX_SPATIAL 3

typedef enum { MB_PADDING_VALID, MB_PADDING_SAME, MB_PADDING_CAUSAL } mb_padding_t;

/* Depth, height and width; what a layer has fewer of is missing in front and 1 in the arrays. */
typedef struct {
    int spatial;
    int64_t size[MB_MAX_SPATIAL], stride[MB_MAX_SPATIAL], dilation[MB_MAX_SPATIAL];
    mb_padding_t padding;
} mb_window_config_t;

/* A config's list of SPATIAL sizes of at most MOST, or one that stands for all; absent: OTHERWISE.
 * The last SPATIAL places of OUT get them, the others 1. */
mb_status_t mb_window_take_sizes(mb_config_t *config, const char *key, int spatial, int64_t most,
                                 const int64_t otherwise[MB_MAX_SPATIAL],
                                 int64_t out[MB_MAX_SPATIAL]);
/* Takes SIZE_KEY, strides (absent: the size when stride_is_size, otherwise 1), dilation_rate and
 * padding, which may be causal only where CAUSAL. */
mb_status_t mb_window_take(mb_config_t *config, const char *size_key, int spatial,
                           bool stride_is_size, bool causal, mb_window_config_t *out);
/* Sets the call's output for CHANNELS output channels. */
mb_status_t mb_window_infer(const mb_window_config_t *window, mb_call_t *call, int64_t channels);
/* The device's description of the call for SAMPLES samples. */
mb_window_t mb_window_geometry(const mb_window_config_t *window, const mb_call_t *call,
                               int64_t samples);
/* Puts dimension AXIS (0: depth) into a device's description. */
void mb_window_put_axis(mb_window_t *window, int axis, const mb_window_axis_t *values);
/* Kernel positions. */
double mb_window_positions(const mb_window_config_t *window);

#endif
