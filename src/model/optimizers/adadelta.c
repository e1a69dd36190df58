/* Adadelta (Zeiler, arXiv 1212.5701, algorithm 1). Source: keras/src/optimizers/adadelta.py. */
#include "model/optimizers/class.h"

#include <float.h>

static mb_status_t parse(mb_config_t *config, mb_optimizer_t *optimizer)
{
    optimizer->rule = MB_RULE_ADADELTA;
    MB_TRY(mb_optimizer_take(config, "rho", 0.0, 1.0, 0.95, &optimizer->rho));
    MB_TRY(mb_optimizer_take(config, "epsilon", 0.0, FLT_MAX, 1e-7, &optimizer->epsilon));
    mb_optimizer_add_slot(optimizer, "accumulated_grad", 0);
    mb_optimizer_add_slot(optimizer, "accumulated_delta_var", 1);
    return MB_OK;
}

static void arguments(const mb_optimizer_t *optimizer, int64_t updates, mb_update_args_t *args)
{
    (void)updates;
    args->rho = optimizer->rho;
    args->epsilon = (float)optimizer->epsilon;
}

const mb_optimizer_class_t mb_optimizer_adadelta = {
    .size = sizeof(mb_optimizer_class_t),
    .name = "Adadelta",
    .spec_name = "adadelta",
    .own_name = "adadelta",
    .learning_rate = 0.001,
    .own_config = "{\"rho\": 0.95, \"epsilon\": 1e-07}",
    .parse = parse,
    .arguments = arguments,
};
