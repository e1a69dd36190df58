/* AdamW without a schedule (Defazio et al., arXiv 2405.15682, algorithm 1). Source:
 * keras/src/optimizers/schedule_free_adamw.py, with the arithmetic of its JAX backend: elsewhere
 * z's new value may stand where the old one is meant.
 *
 * Steps are taken by z (Keras' momentum), which begins as the weight; x is the mean of all z so
 * far; the weight is y = (1 - beta_1) z + beta_1 x, in training, in evaluation and in files. x is
 * made anew from y and z in each step, which divides by beta_1. */
#include "model/optimizers/class.h"

#include <float.h>
#include <math.h>

static mb_status_t parse(mb_config_t *config, mb_optimizer_t *optimizer)
{
    optimizer->rule = MB_RULE_SCHEDULE_FREE;
    MB_TRY(mb_optimizer_take(config, "beta_1", 0.0, 1.0, 0.9, &optimizer->beta1));
    MB_TRY(mb_optimizer_take(config, "beta_2", 0.0, 1.0, 0.999, &optimizer->beta2));
    MB_TRY(mb_optimizer_take(config, "epsilon", 0.0, FLT_MAX, 1e-8, &optimizer->epsilon));
    MB_TRY(mb_optimizer_take(config, "warmup_steps", 0.0, FLT_MAX, 0.0, &optimizer->warmup_steps));
    if (!((float)optimizer->beta1 > 0.0f))
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: key 'beta_1' is %g, it must be above 0: the mean of the weights "
                            "is divided by it",
                            config->where, optimizer->beta1);
    mb_optimizer_add_weight_slot(optimizer, "momentum", 0);
    mb_optimizer_add_slot(optimizer, "velocity", 1);
    return MB_OK;
}

static float warm(const mb_optimizer_t *optimizer, float step)
{
    float steps = (float)optimizer->warmup_steps;
    return steps > 0.0f ? fminf(step / steps, 1.0f) : 1.0f;
}

/* The decay goes by the rate without the warm-up. */
static void arguments(const mb_optimizer_t *optimizer, int64_t updates, mb_update_args_t *args)
{
    float step = (float)(updates + 1);
    args->beta1 = (double)(float)optimizer->beta1;
    args->beta2 = (double)(float)optimizer->beta2;
    args->epsilon = (float)optimizer->epsilon;
    args->alpha = args->lr * warm(optimizer, step);
    args->correction2 = mb_optimizer_correction(optimizer->beta2, updates);
    args->now = 1.0f / step;
    args->ahead = 1.0f - args->now;
}

const mb_optimizer_class_t mb_optimizer_schedule_free = {
    .size = sizeof(mb_optimizer_class_t),
    .name = "ScheduleFreeAdamW",
    .spec_name = "schedulefreeadamw",
    .own_name = "schedule_free_adam_w",
    .learning_rate = 0.0025,
    .own_config = "{\"beta_1\": 0.9, \"beta_2\": 0.999, \"epsilon\": 1e-08, \"warmup_steps\": 0}",
    .parse = parse,
    .arguments = arguments,
};
