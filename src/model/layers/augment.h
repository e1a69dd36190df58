/* What random augmentation shares. Numbers are functions of the run's seed, the step, the sample's
 * position in the global batch and the node, so that no layout changes them; outside training
 * images pass as they are. The layers' own seeds are without effect. */
#ifndef MB_MODEL_LAYERS_AUGMENT_H
#define MB_MODEL_LAYERS_AUGMENT_H

#include "model/layers/image.h"

/* Takes KEY, a pair of numbers or one, which stands for those from -f to f but not below LEAST. */
mb_status_t mb_factor_take(mb_config_t *config, const char *key, double least, double out[2]);
/* Takes the seed and, of Keras 3, what only boxes beside the images would need. */
void mb_augment_ignore(mb_config_t *config);
/* The run's key for this purpose. */
mb_random_key_t mb_augment_key(const mb_run_t *run);

/* DRAW and then AFFINE of images, over the transforms that stand in the saved block. */
typedef struct {
    bool channels_first, nearest;
    mb_draw_args_t draw; /* but for sizes, key and addresses */
    mb_outside_t outside;
    double value;
} mb_moving_t;

size_t mb_moving_bytes(int64_t samples);
mb_status_t mb_moving_forward(const mb_run_t *run, const mb_moving_t *moving);
mb_status_t mb_moving_backward(const mb_run_t *run, const mb_moving_t *moving);

#endif
