/* Adamax (Kingma, Ba: arXiv 1412.6980, algorithm 2). Source: keras/src/optimizers/adamax.py. */
#include "model/optimizers/class.h"

#include <float.h>

static mb_status_t parse(mb_config_t *config, mb_optimizer_t *optimizer)
{
    optimizer->rule = MB_RULE_ADAMAX;
    MB_TRY(mb_optimizer_take(config, "beta_1", 0.0, 1.0, 0.9, &optimizer->beta1));
    MB_TRY(mb_optimizer_take(config, "beta_2", 0.0, 1.0, 0.999, &optimizer->beta2));
    MB_TRY(mb_optimizer_take(config, "epsilon", 0.0, FLT_MAX, 1e-7, &optimizer->epsilon));
    mb_optimizer_add_slot(optimizer, "momentum", 0);
    mb_optimizer_add_slot(optimizer, "norm", 1);
    return MB_OK;
}

static void arguments(const mb_optimizer_t *optimizer, int64_t updates, mb_update_args_t *args)
{
    args->beta1 = optimizer->beta1;
    args->beta2 = optimizer->beta2;
    args->epsilon = (float)optimizer->epsilon;
    args->correction1 = mb_optimizer_correction(optimizer->beta1, updates);
}

const mb_optimizer_class_t mb_optimizer_adamax = {
    .size = sizeof(mb_optimizer_class_t),
    .name = "Adamax",
    .spec_name = "adamax",
    .own_name = "adamax",
    .learning_rate = 0.001,
    .own_config = "{\"beta_1\": 0.9, \"beta_2\": 0.999, \"epsilon\": 1e-07}",
    .parse = parse,
    .arguments = arguments,
};
