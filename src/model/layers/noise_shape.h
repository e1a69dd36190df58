/* The shape of a mask of random numbers (Keras' noise_shape): where it has 1, what is drawn once
 * holds along that whole axis of a sample, or for all samples of a step. */
#ifndef MB_MODEL_LAYERS_NOISE_SHAPE_H
#define MB_MODEL_LAYERS_NOISE_SHAPE_H

#include "model/layers/view.h"

typedef struct {
    bool given;       /* false: each element has a number of its own */
    bool for_samples; /* one mask for all samples */
    mb_shape_t shape; /* of a sample; MB_OPEN: as the input's */
} mb_noise_shape_t;

/* Takes "noise_shape". */
mb_status_t mb_noise_shape_take(mb_config_t *config, mb_noise_shape_t *out);
/* Whether it broadcasts to the call's input. */
mb_status_t mb_noise_shape_check(const mb_noise_shape_t *noise, const mb_call_t *call);
/* The mask's elements for one sample, or for all, and for SAMPLES. */
mb_shape_t mb_noise_shape_of(const mb_noise_shape_t *noise, const mb_call_t *call);
size_t mb_noise_mask_bytes(const mb_noise_shape_t *noise, const mb_call_t *call, int64_t samples);
/* Draws a mask into MASK: not zero with probability 1 - RATE. */
mb_status_t mb_noise_mask_draw(const mb_noise_shape_t *noise, const mb_run_t *run, double rate,
                               void *mask);
/* The mask repeated to the output's shape. */
mb_map_input_t mb_noise_mask(const mb_noise_shape_t *noise, const mb_run_t *run, const void *mask);

#endif
