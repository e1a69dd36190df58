/* RMSprop, plain or centered, with or without momentum. Source: keras/src/optimizers/rmsprop.py. */
#include "model/optimizers/class.h"

#include <float.h>

static mb_status_t parse(mb_config_t *config, mb_optimizer_t *optimizer)
{
    optimizer->rule = MB_RULE_RMSPROP;
    MB_TRY(mb_optimizer_take(config, "rho", 0.0, 1.0, 0.9, &optimizer->rho));
    MB_TRY(mb_optimizer_take(config, "momentum", 0.0, 1.0, 0.0, &optimizer->momentum));
    MB_TRY(mb_optimizer_take(config, "epsilon", 0.0, FLT_MAX, 1e-7, &optimizer->epsilon));
    MB_TRY(mb_config_bool_or(config, "centered", false, &optimizer->centered));
    mb_optimizer_add_slot(optimizer, "velocity", 0);
    if (optimizer->momentum > 0.0)
        mb_optimizer_add_slot(optimizer, "momentum", 2);
    if (optimizer->centered)
        mb_optimizer_add_slot(optimizer, "average_gradient", 1);
    return MB_OK;
}

static void arguments(const mb_optimizer_t *optimizer, int64_t updates, mb_update_args_t *args)
{
    (void)updates;
    args->rho = optimizer->rho;
    args->momentum = (float)optimizer->momentum;
    args->epsilon = (float)optimizer->epsilon;
    args->centered = optimizer->centered;
}

const mb_optimizer_class_t mb_optimizer_rmsprop = {
    .size = sizeof(mb_optimizer_class_t),
    .name = "RMSprop",
    .spec_name = "rmsprop",
    .own_name = "rm_sprop",
    .learning_rate = 0.001,
    .own_config = "{\"rho\": 0.9, \"momentum\": 0.0, \"epsilon\": 1e-07, \"centered\": false}",
    .parse = parse,
    .arguments = arguments,
};
