/* LayerNormalization's rms_scaling, which Keras deprecates: x over the deviation of its row, the
 * mean not taken off. With n the row normalised and s the deviation's inverse that is
 *
 *     gamma x s = gamma n + gamma (mean s)
 *
 * so each function adds what the second term makes to what layer normalization made. */
#ifndef MB_MODEL_LAYERS_RMS_SCALING_H
#define MB_MODEL_LAYERS_RMS_SCALING_H

#include "model/layers/view.h"

typedef struct {
    int64_t rows, columns;
    const void *x;
    const float *gamma, *mean, *rstd;
    float *shift;   /* mean s, of each row: made by forward */
    float *work[3]; /* a number of each row; for backward_input */
} mb_rms_scaling_t;

mb_status_t mb_rms_scaling_forward(const mb_run_t *run, const mb_rms_scaling_t *scaling, void *y);
mb_status_t mb_rms_scaling_backward_input(const mb_run_t *run, const mb_rms_scaling_t *scaling,
                                          const void *dy, void *dx);
mb_status_t mb_rms_scaling_backward_weights(const mb_run_t *run, const mb_rms_scaling_t *scaling,
                                            const void *dy, float *dgamma);

#endif
