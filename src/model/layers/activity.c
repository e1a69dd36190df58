/* ActivityRegularization: the identity, with a regularizer on what passes. */
#include <math.h>

#include "model/layers/layers.h"

static mb_status_t take(mb_config_t *config, const char *key, float *out)
{
    double value;
    MB_TRY(mb_config_scalar_or(config, key, 0.0, &value));
    *out = (float)value;
    if (value >= 0.0 && isfinite(value))
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "%s: key '%s' is %g, it must not be negative",
                        config->where, key, value);
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    mb_regularizer_t *activity = MB_ARENA_NEW(arena, mb_regularizer_t);
    if (activity == NULL)
        return mb_error_memory("a layer", sizeof(*activity));
    *out = activity;
    MB_TRY(take(config, "l1", &activity->l1));
    return take(config, "l2", &activity->l2);
}

static const mb_regularizer_t *activity_of(const mb_layer_t *layer)
{
    return layer->config;
}

static mb_status_t forward(const mb_run_t *run)
{
    return mb_run_copy(run, mb_shape_elements(&run->call->output), mb_run_input(run, 0),
                       run->output);
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double traffic = 2.0 * (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){traffic, traffic, 0.0};
}

const mb_layer_class_t mb_layer_activity_regularization = {.size = sizeof(mb_layer_class_t),
                                                           .name = "ActivityRegularization",
                                                           .parse = parse,
                                                           .activity = activity_of,
                                                           .infer = mb_call_infer_same,
                                                           .memory = mb_call_keeps_nothing,
                                                           .forward = forward,
                                                           .backward_input = mb_run_pass_gradient,
                                                           .cost = cost,
                                                           .mask = mb_mask_passes};
