/* Adam with Nesterov's momentum (Dozat, Incorporating Nesterov Momentum into Adam, 2016). Source:
 * keras/src/optimizers/nadam.py, which takes 1 - beta in float32.
 *
 * u_t = beta_1 (1 - 0.96^t / 2) is the momentum of update t. The product of all of them, which
 * Keras keeps among its variables, is a function of their number: it falls below the smallest float
 * within some thousand updates at any beta that is used, so it is computed anew. */
#include "model/optimizers/class.h"

#include <float.h>
#include <math.h>

static mb_status_t parse(mb_config_t *config, mb_optimizer_t *optimizer)
{
    optimizer->rule = MB_RULE_NADAM;
    MB_TRY(mb_optimizer_take(config, "beta_1", 0.0, 1.0, 0.9, &optimizer->beta1));
    MB_TRY(mb_optimizer_take(config, "beta_2", 0.0, 1.0, 0.999, &optimizer->beta2));
    MB_TRY(mb_optimizer_take(config, "epsilon", 0.0, FLT_MAX, 1e-7, &optimizer->epsilon));
    mb_optimizer_add_slot(optimizer, "momentum", 0);
    mb_optimizer_add_slot(optimizer, "velocity", 1);
    return MB_OK;
}

/* 1 - 0.96^t / 2 is 1 to the last bit from the 407th update on. */
static float decay_of(int64_t update)
{
    return 1.0f - 0.5f * powf(0.96f, (float)update);
}

static float product_of(float beta, int64_t updates)
{
    float product = 1.0f;
    if (beta == 1.0f && updates > 1000)
        updates = 1000; /* it moves no more */
    for (int64_t t = 1; t <= updates && product > 0.0f; t++)
        product = product * beta * decay_of(t);
    return product;
}

static void arguments(const mb_optimizer_t *optimizer, int64_t updates, mb_update_args_t *args)
{
    float beta = (float)optimizer->beta1;
    float own = beta * decay_of(updates + 1), next = beta * decay_of(updates + 2);
    float product = product_of(beta, updates + 1);
    args->beta1 = (double)beta;
    args->beta2 = (double)(float)optimizer->beta2;
    args->epsilon = (float)optimizer->epsilon;
    args->now = 1.0f - own;
    args->ahead = next;
    args->correction0 = 1.0f - product;
    args->correction1 = 1.0f - product * next;
    args->correction2 = mb_optimizer_correction(optimizer->beta2, updates);
}

static double product_value(const mb_optimizer_t *optimizer, int64_t updates)
{
    return (double)product_of((float)optimizer->beta1, updates);
}

const mb_optimizer_class_t mb_optimizer_nadam = {
    .size = sizeof(mb_optimizer_class_t),
    .name = "Nadam",
    .spec_name = "nadam",
    .own_name = "nadam",
    .learning_rate = 0.001,
    .own_config = "{\"beta_1\": 0.9, \"beta_2\": 0.999, \"epsilon\": 1e-07}",
    .parse = parse,
    .arguments = arguments,
    .scalar = "u_product",
    .scalar_value = product_value,
};
