/* LAMB (You et al., arXiv 1904.00962, algorithm 2). Source: keras/src/optimizers/lamb.py. A
 * tensor's norms are taken by who owns it, whole. */
#include "model/optimizers/class.h"

#include <float.h>

static mb_status_t parse(mb_config_t *config, mb_optimizer_t *optimizer)
{
    optimizer->rule = MB_RULE_LAMB;
    MB_TRY(mb_optimizer_take(config, "beta_1", 0.0, 1.0, 0.9, &optimizer->beta1));
    MB_TRY(mb_optimizer_take(config, "beta_2", 0.0, 1.0, 0.999, &optimizer->beta2));
    MB_TRY(mb_optimizer_take(config, "epsilon", 0.0, FLT_MAX, 1e-7, &optimizer->epsilon));
    mb_optimizer_add_slot(optimizer, "momentum", 0);
    mb_optimizer_add_slot(optimizer, "velocity", 1);
    return MB_OK;
}

static void arguments(const mb_optimizer_t *optimizer, int64_t updates, mb_update_args_t *args)
{
    args->beta1 = optimizer->beta1;
    args->beta2 = optimizer->beta2;
    args->epsilon = (float)optimizer->epsilon;
    args->correction1 = mb_optimizer_correction(optimizer->beta1, updates);
    args->correction2 = mb_optimizer_correction(optimizer->beta2, updates);
}

static mb_status_t step(mb_stepper_t *stepper, mb_update_args_t *args, int64_t updates)
{
    mb_trust_args_t trust = {.trust = MB_TRUST_LAMB, .lr = args->lr};
    (void)updates;
    MB_TRY(mb_run_update(stepper->exec, args));
    MB_TRY(mb_stepper_trust(stepper, &stepper->all, &trust));
    return mb_stepper_go(stepper);
}

const mb_optimizer_class_t mb_optimizer_lamb = {
    .size = sizeof(mb_optimizer_class_t),
    .name = "Lamb",
    .spec_name = "lamb",
    .own_name = "lamb",
    .learning_rate = 0.001,
    .own_config = "{\"beta_1\": 0.9, \"beta_2\": 0.999, \"epsilon\": 1e-07}",
    .parse = parse,
    .arguments = arguments,
    .step = step,
};
