/* Adagrad (Duchi, Hazan, Singer, JMLR 2011). Source: keras/src/optimizers/adagrad.py. */
#include "model/optimizers/class.h"

#include <float.h>

static mb_status_t parse(mb_config_t *config, mb_optimizer_t *optimizer)
{
    optimizer->rule = MB_RULE_ADAGRAD;
    MB_TRY(mb_optimizer_take(config, "initial_accumulator_value", 0.0, FLT_MAX, 0.1,
                             &optimizer->initial_accumulator));
    MB_TRY(mb_optimizer_take(config, "epsilon", 0.0, FLT_MAX, 1e-7, &optimizer->epsilon));
    mb_optimizer_add_filled_slot(optimizer, "accumulator", 0, optimizer->initial_accumulator);
    return MB_OK;
}

static void arguments(const mb_optimizer_t *optimizer, int64_t updates, mb_update_args_t *args)
{
    (void)updates;
    args->epsilon = (float)optimizer->epsilon;
}

const mb_optimizer_class_t mb_optimizer_adagrad = {
    .size = sizeof(mb_optimizer_class_t),
    .name = "Adagrad",
    .spec_name = "adagrad",
    .own_name = "adagrad",
    .learning_rate = 0.001,
    .own_config = "{\"initial_accumulator_value\": 0.1, \"epsilon\": 1e-07}",
    .parse = parse,
    .arguments = arguments,
};
