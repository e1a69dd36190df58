/* See loss_scale.h. */
#include "train/loss_scale.h"

#include <float.h>
#include <string.h>

void mb_loss_scale_begin(mb_loss_scale_t *scale, const mb_optimizer_t *optimizer)
{
    *scale = (mb_loss_scale_t){.on = optimizer->scales_loss,
                               .fixed = optimizer->fixed_scale,
                               .growth_steps = optimizer->growth_steps,
                               .scale = 1.0F};
    if (scale->on)
        scale->scale = (float)optimizer->initial_scale;
    if (!scale->on && optimizer->loss_scale_factor > 0.0) {
        scale->on = scale->fixed = true;
        scale->scale = (float)optimizer->loss_scale_factor;
    }
}

static mb_status_t halve(mb_loss_scale_t *scale)
{
    scale->steps = 0;
    scale->skipped++;
    scale->scale *= 0.5F;
    if (scale->scale >= FLT_MIN)
        return MB_OK;
    return mb_error_set(MB_ERR_NUMERIC,
                        "the gradients are not finite at any loss scale, %lld steps were left out: "
                        "look for extreme values in the data, or compute in another type (--dtype)",
                        (long long)scale->skipped);
}

mb_status_t mb_loss_scale_count(mb_loss_scale_t *scale, bool finite)
{
    if (!scale->on || scale->fixed)
        return MB_OK;
    if (!finite)
        return halve(scale);
    scale->steps++;
    if (scale->steps == scale->growth_steps) {
        scale->steps = 0;
        scale->scale *= 2.0F;
    }
    return MB_OK;
}

static bool ends_with(const char *name, const char *suffix)
{
    size_t length = strlen(name), end = strlen(suffix);
    return length >= end && strcmp(name + length - end, suffix) == 0;
}

/* Keras 3 and 2. */
static mb_status_t read_keras(mb_loss_scale_t *scale, const mb_model_file_t *file)
{
    for (int i = 0; i < file->n_optimizer; i++) {
        const mb_stored_tensor_t *tensor = &file->optimizer[i];
        if (tensor->shape.rank != 0)
            continue;
        if (ends_with(tensor->name, "dynamic_scale") ||
            ends_with(tensor->name, "current_loss_scale:0"))
            MB_TRY(mb_stored_tensor_read(file, tensor, &scale->scale));
        if (ends_with(tensor->name, "step_counter") || ends_with(tensor->name, "good_steps:0"))
            MB_TRY(mb_stored_tensor_read_int(file, tensor, &scale->steps));
    }
    return MB_OK;
}

mb_status_t mb_loss_scale_read(mb_loss_scale_t *scale, const mb_model_file_t *file)
{
    const mb_run_state_t *state = &file->state;
    scale->skipped = state->present ? state->skipped_steps : 0;
    if (!scale->on)
        return MB_OK;
    if (!state->present)
        return read_keras(scale, file);
    if (!(state->loss_scale > 0))
        return MB_OK;
    scale->scale = (float)state->loss_scale;
    scale->steps = state->loss_scale_steps;
    return MB_OK;
}

void mb_loss_scale_write(const mb_loss_scale_t *scale, mb_run_state_t *state)
{
    state->loss_scale = scale->on ? (double)scale->scale : 0;
    state->loss_scale_steps = scale->steps;
    state->skipped_steps = scale->skipped;
}
