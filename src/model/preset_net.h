/* What the presets over images are made with: functional models, whose layers are named by what
 * they are and a number. */
#ifndef MB_MODEL_PRESET_NET_H
#define MB_MODEL_PRESET_NET_H

#include "model/preset_layers.h"
#include "model/preset_settings.h"

typedef struct {
    mb_preset_builder_t builder;
    int made; /* layers: each name ends with its number */
} mb_preset_net_t;

typedef struct {
    char text[32];
} mb_preset_name_t;

/* "conv2d_7" */
mb_preset_name_t mb_preset_next(mb_preset_net_t *net, const char *base);

/* A layer of CONFIG (its reference is taken) on one tensor, or merging two; NULL: none. */
mb_preset_tensor_t mb_preset_add_layer(mb_preset_net_t *net, const char *class_name, json_t *config,
                                       const mb_preset_tensor_t *a, const mb_preset_tensor_t *b,
                                       mb_shape_t output);
mb_preset_tensor_t mb_preset_add_image(mb_preset_net_t *net, const mb_shape_t *input);
mb_preset_tensor_t mb_preset_convolve(mb_preset_net_t *net, const mb_preset_tensor_t *x,
                                      mb_preset_window_t window);
mb_preset_tensor_t mb_preset_normalize(mb_preset_net_t *net, const mb_preset_tensor_t *x);
mb_preset_tensor_t mb_preset_convolve_normalized(mb_preset_net_t *net, const mb_preset_tensor_t *x,
                                                 mb_preset_window_t window);
/* Means of the channels, and logits. */
mb_preset_tensor_t mb_preset_classify(mb_preset_net_t *net, const mb_preset_tensor_t *x,
                                      int64_t classes);

/* The key `input`: height, width and channels; the key `filters`: at least one. */
mb_status_t mb_preset_image(const mb_preset_settings_t *settings, mb_shape_t *input);
mb_status_t mb_preset_filters(const mb_preset_settings_t *settings, int *count, int64_t *filters);

/* The model from its input to OUTPUT; ends the net. */
mb_status_t mb_preset_finish(mb_preset_net_t *net, const mb_preset_tensor_t *output, json_t **out);

#endif
