/* Adam (Kingma, Ba: arXiv 1412.6980, the form in front of section 2.1) with AMSGrad (Reddi, Kale,
 * Kumar 2018), and AdamW, which is Adam with a decay. Source: keras/src/optimizers/adam.py. */
#include "model/optimizers/class.h"

#include <float.h>
#include <math.h>

static mb_status_t parse(mb_config_t *config, mb_optimizer_t *optimizer)
{
    optimizer->rule = MB_RULE_ADAM;
    MB_TRY(mb_optimizer_take(config, "beta_1", 0.0, 1.0, 0.9, &optimizer->beta1));
    MB_TRY(mb_optimizer_take(config, "beta_2", 0.0, 1.0, 0.999, &optimizer->beta2));
    MB_TRY(mb_optimizer_take(config, "epsilon", 0.0, FLT_MAX, 1e-7, &optimizer->epsilon));
    MB_TRY(mb_config_bool_or(config, "amsgrad", false, &optimizer->amsgrad));
    mb_optimizer_add_slot(optimizer, "momentum", 0);
    mb_optimizer_add_slot(optimizer, "velocity", 1);
    if (optimizer->amsgrad)
        mb_optimizer_add_slot(optimizer, "velocity_hat", 2);
    return MB_OK;
}

float mb_optimizer_correction(double beta, int64_t updates)
{
    return 1.0f - powf((float)beta, (float)(updates + 1));
}

static float bias_corrected(const mb_optimizer_t *optimizer, int64_t updates, float lr)
{
    return lr * sqrtf(mb_optimizer_correction(optimizer->beta2, updates)) /
           mb_optimizer_correction(optimizer->beta1, updates);
}

static void arguments(const mb_optimizer_t *optimizer, int64_t updates, mb_update_args_t *args)
{
    args->beta1 = optimizer->beta1;
    args->beta2 = optimizer->beta2;
    args->epsilon = (float)optimizer->epsilon;
    args->amsgrad = optimizer->amsgrad;
    args->alpha = bias_corrected(optimizer, updates, args->lr);
}

#define OWN_CONFIG "{\"beta_1\": 0.9, \"beta_2\": 0.999, \"epsilon\": 1e-07, \"amsgrad\": false}"

const mb_optimizer_class_t mb_optimizer_adam = {
    .size = sizeof(mb_optimizer_class_t),
    .name = "Adam",
    .spec_name = "adam",
    .own_name = "adam",
    .learning_rate = 0.001,
    .own_config = OWN_CONFIG,
    .parse = parse,
    .arguments = arguments,
};

const mb_optimizer_class_t mb_optimizer_adamw = {
    .size = sizeof(mb_optimizer_class_t),
    .name = "AdamW",
    .spec_name = "adamw",
    .own_name = "adam_w",
    .learning_rate = 0.001,
    .weight_decay = 0.004,
    .own_config = OWN_CONFIG,
    .parse = parse,
    .arguments = arguments,
};
