/* The loss scale that moves with what gradients bear, as Keras' LossScaleOptimizer moves it: the
 * loss is multiplied by it, and the gradients are divided by it again. A step whose gradients are
 * not all finite is left out and halves the scale; enough steps in a row that are double it.
 * Source: keras/src/optimizers/loss_scale_optimizer.py. */
#ifndef MB_TRAIN_LOSS_SCALE_H
#define MB_TRAIN_LOSS_SCALE_H

#include "model/optimizer.h"
#include "store/model_file.h"

typedef struct {
    bool on, fixed;
    int64_t growth_steps;
    float scale;     /* 1 when off */
    int64_t steps;   /* in a row with finite gradients; Keras' step_counter */
    int64_t skipped; /* since the run began */
} mb_loss_scale_t;

void mb_loss_scale_begin(mb_loss_scale_t *scale, const mb_optimizer_t *optimizer);
/* What a step's gradients mean for the next one. MB_ERR_NUMERIC: the scale has been halved away. */
mb_status_t mb_loss_scale_count(mb_loss_scale_t *scale, bool finite);

/* From a checkpoint's counters, or from what Keras keeps among its optimizer's weights. */
mb_status_t mb_loss_scale_read(mb_loss_scale_t *scale, const mb_model_file_t *file);
void mb_loss_scale_write(const mb_loss_scale_t *scale, mb_run_state_t *state);

#endif
