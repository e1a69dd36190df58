/* Lion (Chen et al., arXiv 2302.06675, program 1). Source: keras/src/optimizers/lion.py, which
 * takes 1 - beta in float32. */
#include "model/optimizers/class.h"

static mb_status_t parse(mb_config_t *config, mb_optimizer_t *optimizer)
{
    optimizer->rule = MB_RULE_LION;
    MB_TRY(mb_optimizer_take(config, "beta_1", 0.0, 1.0, 0.9, &optimizer->beta1));
    MB_TRY(mb_optimizer_take(config, "beta_2", 0.0, 1.0, 0.99, &optimizer->beta2));
    if (!(optimizer->beta1 > 0.0))
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: key 'beta_1' is 0, it must be above that, as in Keras",
                            config->where);
    mb_optimizer_add_slot(optimizer, "momentum", 0);
    return MB_OK;
}

static void arguments(const mb_optimizer_t *optimizer, int64_t updates, mb_update_args_t *args)
{
    (void)updates;
    args->beta1 = (double)(float)optimizer->beta1;
    args->beta2 = (double)(float)optimizer->beta2;
}

const mb_optimizer_class_t mb_optimizer_lion = {
    .size = sizeof(mb_optimizer_class_t),
    .name = "Lion",
    .spec_name = "lion",
    .own_name = "lion",
    .learning_rate = 0.001,
    .own_config = "{\"beta_1\": 0.9, \"beta_2\": 0.99}",
    .parse = parse,
    .arguments = arguments,
};
