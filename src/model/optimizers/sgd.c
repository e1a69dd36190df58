/* SGD with momentum, Nesterov's form included. Source: keras/src/optimizers/sgd.py. */
#include "model/optimizers/class.h"

static mb_status_t parse(mb_config_t *config, mb_optimizer_t *optimizer)
{
    optimizer->rule = MB_RULE_SGD;
    MB_TRY(mb_optimizer_take(config, "momentum", 0.0, 1.0, 0.0, &optimizer->momentum));
    MB_TRY(mb_config_bool_or(config, "nesterov", false, &optimizer->nesterov));
    if (optimizer->momentum > 0.0)
        mb_optimizer_add_slot(optimizer, "momentum", 0);
    return MB_OK;
}

static void arguments(const mb_optimizer_t *optimizer, int64_t updates, mb_update_args_t *args)
{
    (void)updates;
    args->momentum = (float)optimizer->momentum;
    args->nesterov = optimizer->nesterov;
}

const mb_optimizer_class_t mb_optimizer_sgd = {
    .size = sizeof(mb_optimizer_class_t),
    .name = "SGD",
    .spec_name = "sgd",
    .own_name = "sgd",
    .learning_rate = 0.01,
    .own_config = "{\"momentum\": 0.0, \"nesterov\": false}",
    .parse = parse,
    .arguments = arguments,
};
