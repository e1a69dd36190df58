/* Layers over images of either data format, written once, for channels last.
 *
 *     channels_last    run -> layer
 *     channels_first   run -> transpose -> layer -> transpose back
 *
 * With channels first each call transposes what goes in and what comes out, forward and backward:
 * every element of the input and the output is copied once more in each direction, and both are
 * kept beside the originals from the forward pass to the backward one. A model that can choose is
 * better off with channels last. */
#ifndef MB_MODEL_LAYERS_CHANNELS_H
#define MB_MODEL_LAYERS_CHANNELS_H

#include "model/layers/layers.h"

/* What the config of such a layer begins with. */
typedef struct {
    bool first;
    const mb_layer_class_t *layer; /* for channels last */
} mb_channels_t;

/* Takes data_format. */
mb_status_t mb_channels_take(mb_config_t *config, const mb_layer_class_t *layer,
                             mb_channels_t *out);

mb_status_t mb_channels_infer(mb_call_t *call);
mb_status_t mb_channels_declare(const mb_call_t *call, mb_param_list_t *list);
mb_status_t mb_channels_check(const mb_call_t *call);
void mb_channels_memory(const mb_call_t *call, int64_t samples, mb_memory_t *out);
mb_status_t mb_channels_forward(const mb_run_t *run);
mb_status_t mb_channels_backward_input(const mb_run_t *run);
mb_status_t mb_channels_backward_weights(const mb_run_t *run);
void mb_channels_cost(const mb_call_t *call, mb_cost_t *out);

/* The class that models name, of a layer without and with parameters. */
#define MB_CHANNELS_CLASS(symbol, keras, parser, ...)                                              \
    const mb_layer_class_t mb_layer_##symbol = {.size = sizeof(mb_layer_class_t),                  \
                                                .name = keras,                                     \
                                                .parse = parser,                                   \
                                                .infer = mb_channels_infer,                        \
                                                .memory = mb_channels_memory,                      \
                                                .forward = mb_channels_forward,                    \
                                                .backward_input = mb_channels_backward_input,      \
                                                .cost = mb_channels_cost,                          \
                                                __VA_ARGS__}

#define MB_CHANNELS_WEIGHTED_CLASS(symbol, keras, parser, ...)                                     \
    const mb_layer_class_t mb_layer_##symbol = {.size = sizeof(mb_layer_class_t),                  \
                                                .name = keras,                                     \
                                                .parse = parser,                                   \
                                                .infer = mb_channels_infer,                        \
                                                .declare = mb_channels_declare,                    \
                                                .check = mb_channels_check,                        \
                                                .memory = mb_channels_memory,                      \
                                                .forward = mb_channels_forward,                    \
                                                .backward_input = mb_channels_backward_input,      \
                                                .backward_weights = mb_channels_backward_weights,  \
                                                .cost = mb_channels_cost,                          \
                                                __VA_ARGS__}

#endif
