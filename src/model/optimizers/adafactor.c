/* Adafactor (Shazeer, Stern, arXiv 1804.04235). Source: keras/src/optimizers/adafactor.py. Means
 * over rows and columns of the last two axes, and norms, are taken by who owns a tensor, whole.
 *
 * Keras keeps a velocity for matrices too, which it never reads, and means of vectors, which it
 * never writes: they are here so that its files hold what it expects. */
#include "model/optimizers/class.h"

#include <float.h>
#include <math.h>

enum { ROW, COLUMN, VELOCITY }; /* of s0, s1, s2 */

static mb_status_t parse_own(mb_config_t *config, mb_adafactor_t *own)
{
    MB_TRY(mb_optimizer_take(config, "beta_2_decay", -FLT_MAX, 0.0, -0.8, &own->beta2_decay));
    MB_TRY(mb_optimizer_take(config, "epsilon_1", 0.0, FLT_MAX, 1e-30, &own->epsilon1));
    MB_TRY(mb_optimizer_take(config, "epsilon_2", 0.0, FLT_MAX, 1e-3, &own->epsilon2));
    MB_TRY(mb_optimizer_take(config, "clip_threshold", (double)FLT_MIN, FLT_MAX, 1.0,
                             &own->threshold));
    bool relative; /* bounds the rate by what bounds it anyhow */
    return mb_config_bool_or(config, "relative_step", true, &relative);
}

static mb_status_t parse(mb_config_t *config, mb_optimizer_t *optimizer)
{
    optimizer->rule = MB_RULE_ADAFACTOR;
    MB_TRY(parse_own(config, &optimizer->adafactor));
    mb_optimizer_add_slot(optimizer, "row", ROW);
    mb_optimizer_add_slot(optimizer, "column", COLUMN);
    mb_optimizer_add_slot(optimizer, "velocity", VELOCITY);
    return MB_OK;
}

static bool is_matrix(const mb_optimizer_t *optimizer, const mb_param_t *param)
{
    (void)optimizer;
    return param->shape.rank >= 2;
}

static bool slot(const mb_optimizer_t *optimizer, const mb_param_t *param, int index,
                 mb_shape_t *shape)
{
    if (index == VELOCITY)
        return true;
    if (!is_matrix(optimizer, param)) {
        *shape = (mb_shape_t){.rank = 0};
        return true;
    }
    shape->rank--;
    if (index == COLUMN)
        shape->dim[shape->rank - 1] = param->shape.dim[shape->rank];
    shape->dim[shape->rank] = 0;
    return true;
}

static void arguments(const mb_optimizer_t *optimizer, int64_t updates, mb_update_args_t *args)
{
    const mb_adafactor_t *own = &optimizer->adafactor;
    args->rho = (double)(1.0f - powf((float)(updates + 1), (float)own->beta2_decay));
    args->epsilon = (float)own->epsilon1;
}

static mb_status_t direct_matrix(mb_stepper_t *stepper, int i, const mb_update_args_t *args)
{
    const mb_shape_t *shape = &stepper->params[i]->shape;
    const mb_tensor_t *tensor = &stepper->tensors[i];
    mb_factor_args_t factor = {.matrices = 1,
                               .rows = shape->dim[shape->rank - 2],
                               .columns = shape->dim[shape->rank - 1],
                               .rho = (float)args->rho,
                               .epsilon = args->epsilon,
                               .g = tensor->g,
                               .row = tensor->s0,
                               .column = tensor->s1,
                               .velocity = tensor->s2};
    for (int d = 0; d < shape->rank - 2; d++)
        factor.matrices *= shape->dim[d];
    return mb_run_factor(stepper->exec, &factor);
}

static mb_status_t direct_matrices(mb_stepper_t *stepper, const mb_update_args_t *args)
{
    mb_update_args_t plain = *args;
    plain.rule = MB_RULE_PLAIN;
    plain.table = stepper->matrices;
    MB_TRY(mb_run_update(stepper->exec, &plain));
    for (int i = 0; i < stepper->n; i++) {
        if (is_matrix(stepper->optimizer, stepper->params[i]))
            MB_TRY(direct_matrix(stepper, i, args));
    }
    return MB_OK;
}

static mb_status_t step(mb_stepper_t *stepper, mb_update_args_t *args, int64_t updates)
{
    const mb_adafactor_t *own = &stepper->optimizer->adafactor;
    float relative = 1.0f / sqrtf((float)(updates + 1));
    mb_trust_args_t trust = {.trust = MB_TRUST_ADAFACTOR,
                             .lr = fminf(args->lr, relative),
                             .epsilon = (float)own->epsilon2,
                             .threshold = (float)own->threshold};
    MB_TRY(direct_matrices(stepper, args));
    args->table = stepper->others;
    MB_TRY(mb_run_update(stepper->exec, args));
    MB_TRY(mb_stepper_trust(stepper, &stepper->all, &trust));
    return mb_stepper_go(stepper);
}

#define OWN_CONFIG                                                                                 \
    "{\"beta_2_decay\": -0.8, \"epsilon_1\": 1e-30, \"epsilon_2\": 0.001, "                        \
    "\"clip_threshold\": 1.0, \"relative_step\": true}"

const mb_optimizer_class_t mb_optimizer_adafactor = {
    .size = sizeof(mb_optimizer_class_t),
    .name = "Adafactor",
    .spec_name = "adafactor",
    .own_name = "adafactor",
    .learning_rate = 0.001,
    .own_config = OWN_CONFIG,
    .parse = parse,
    .arguments = arguments,
    .slot = slot,
    .step = step,
    .is_matrix = is_matrix,
};
