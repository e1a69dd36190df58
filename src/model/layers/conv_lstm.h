/* ConvLSTM: LSTM whose products with the kernels are convolutions, at every place of an image
 * (Shi and others, 2015). */
#ifndef MB_MODEL_LAYERS_CONV_LSTM_H
#define MB_MODEL_LAYERS_CONV_LSTM_H

#include "model/layers/recurrent.h"
#include "model/layers/window.h"

typedef struct {
    mb_recurrent_t cell; /* units: filters; width: channels of the input */
    mb_window_config_t window;
    bool channels_first;
} mb_conv_lstm_t;

/* One step's image, channels last: the input's, and what the convolution gives of CHANNELS. */
mb_status_t mb_conv_lstm_image(const mb_call_t *call, int64_t channels, mb_call_t *out);
/* The outputs, as the model has them. */
mb_status_t mb_conv_lstm_pack(const mb_call_t *call, mb_packed_t *out);

void mb_conv_lstm_memory(const mb_call_t *call, int64_t samples, mb_memory_t *out);
mb_status_t mb_conv_lstm_forward(const mb_run_t *run);
mb_status_t mb_conv_lstm_backward_input(const mb_run_t *run);
mb_status_t mb_conv_lstm_backward_weights(const mb_run_t *run);
void mb_conv_lstm_cost(const mb_call_t *call, mb_cost_t *out);

#endif
