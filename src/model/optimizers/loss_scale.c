/* Keras' LossScaleOptimizer as training_config holds it: the wrapped optimizer and how the loss is
 * scaled. Source: keras/src/optimizers/loss_scale_optimizer.py, and tf.keras' mixed_precision of
 * the same name, where the scale may be fixed. */
#include "model/optimizers/class.h"

#include <float.h>
#include <string.h>

#define INITIAL_SCALE 32768.0
#define GROWTH_STEPS 2000

bool mb_optimizer_is_wrapper(const char *name)
{
    return strcmp(name, "LossScaleOptimizer") == 0 || strcmp(name, "LossScaleOptimizerV3") == 0;
}

/* What Keras' wrapper inherits without a use; it refuses anything but these defaults itself. */
static mb_status_t take_inherited(mb_config_t *config)
{
    static const char *const nulls[] = {"weight_decay",           "clipnorm",
                                        "global_clipnorm",        "clipvalue",
                                        "loss_scale_factor",      "gradient_accumulation_steps",
                                        "ema_overwrite_frequency"};
    for (size_t i = 0; i < sizeof nulls / sizeof nulls[0]; i++)
        MB_TRY(mb_config_only(config, nulls[i], "null"));
    MB_TRY(mb_config_only(config, "use_ema", "false"));
    mb_config_ignore(config, "ema_momentum");
    mb_config_ignore(config, "name");
    mb_config_ignore(config, "learning_rate"); /* the inner one's counts */
    return MB_OK;
}

mb_status_t mb_optimizer_parse_wrapper(mb_config_t *config, mb_optimizer_t *optimizer,
                                       const json_t **inner)
{
    bool dynamic;
    MB_TRY(mb_config_bool_or(config, "dynamic", true, &dynamic));
    MB_TRY(mb_optimizer_take(config, "initial_scale", (double)FLT_MIN, (double)FLT_MAX,
                             INITIAL_SCALE, &optimizer->initial_scale));
    MB_TRY(mb_config_int_or(config, "dynamic_growth_steps", 1, INT64_MAX, GROWTH_STEPS,
                            &optimizer->growth_steps));
    MB_TRY(take_inherited(config));
    optimizer->scales_loss = true;
    optimizer->fixed_scale = !dynamic;
    *inner = mb_config_take(config, "inner_optimizer");
    if (*inner == NULL)
        return mb_error_set(MB_ERR_FORMAT, "%s: key 'inner_optimizer' is missing", config->where);
    return mb_config_finish(config);
}

json_t *mb_optimizer_own_config(const json_t *object)
{
    json_t *config = json_object_get(object, "config");
    json_t *inner = json_object_get(config, "inner_optimizer");
    return inner == NULL ? config : json_object_get(inner, "config");
}

void mb_optimizer_scale_loss(mb_optimizer_t *optimizer)
{
    if (optimizer->scales_loss)
        return;
    optimizer->scales_loss = true;
    optimizer->initial_scale = INITIAL_SCALE;
    optimizer->growth_steps = GROWTH_STEPS;
}
