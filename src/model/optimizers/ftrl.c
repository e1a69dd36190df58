/* Follow the regularized leader (McMahan et al., Ad Click Prediction, KDD 2013). Source:
 * keras/src/optimizers/ftrl.py. */
#include "model/optimizers/class.h"

#include <float.h>

static mb_status_t parse_own(mb_config_t *config, mb_ftrl_t *ftrl)
{
    double power;
    MB_TRY(mb_optimizer_take(config, "learning_rate_power", -FLT_MAX, 0.0, -0.5, &power));
    ftrl->power = -power;
    MB_TRY(mb_optimizer_take(config, "l1_regularization_strength", 0.0, FLT_MAX, 0.0, &ftrl->l1));
    MB_TRY(mb_optimizer_take(config, "l2_regularization_strength", 0.0, FLT_MAX, 0.0, &ftrl->l2));
    MB_TRY(mb_optimizer_take(config, "l2_shrinkage_regularization_strength", 0.0, FLT_MAX, 0.0,
                             &ftrl->shrinkage));
    return mb_optimizer_take(config, "beta", 0.0, FLT_MAX, 0.0, &ftrl->beta);
}

static mb_status_t parse(mb_config_t *config, mb_optimizer_t *optimizer)
{
    optimizer->rule = MB_RULE_FTRL;
    MB_TRY(parse_own(config, &optimizer->ftrl));
    MB_TRY(mb_optimizer_take(config, "initial_accumulator_value", 0.0, FLT_MAX, 0.1,
                             &optimizer->initial_accumulator));
    mb_optimizer_add_filled_slot(optimizer, "accumulator", 0, optimizer->initial_accumulator);
    mb_optimizer_add_slot(optimizer, "linear", 1);
    return MB_OK;
}

static void arguments(const mb_optimizer_t *optimizer, int64_t updates, mb_update_args_t *args)
{
    const mb_ftrl_t *ftrl = &optimizer->ftrl;
    (void)updates;
    args->power = (float)ftrl->power;
    args->l1 = (float)ftrl->l1;
    args->l2 = 2.0f * ((float)ftrl->l2 + (float)ftrl->beta / (2.0f * args->lr));
    args->shrinkage = (float)ftrl->shrinkage;
}

#define OWN_CONFIG                                                                                 \
    "{\"learning_rate_power\": -0.5, \"initial_accumulator_value\": 0.1, "                         \
    "\"l1_regularization_strength\": 0.0, \"l2_regularization_strength\": 0.0, "                   \
    "\"l2_shrinkage_regularization_strength\": 0.0, \"beta\": 0.0}"

const mb_optimizer_class_t mb_optimizer_ftrl = {
    .size = sizeof(mb_optimizer_class_t),
    .name = "Ftrl",
    .spec_name = "ftrl",
    .own_name = "ftrl",
    .learning_rate = 0.001,
    .own_config = OWN_CONFIG,
    .parse = parse,
    .arguments = arguments,
};
