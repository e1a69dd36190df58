/* Rules that average gradients and not their squares: SGD, Lion, and the direction of Muon.
 * Sources: keras/src/optimizers/sgd.py, lion.py, muon.py. */
#include "device/cpu/simd.h"
#include "device/cpu/update.h"

#include <stddef.h>

MB_MULTIVERSION
static void sgd(const mb_cpu_step_t *t)
{
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++)
        t->w[i] = mb_cpu_decayed(t, i) - t->lr * mb_cpu_clipped(t, i);
}

MB_MULTIVERSION
static void sgd_momentum(const mb_cpu_step_t *t)
{
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++) {
        float step = mb_cpu_clipped(t, i) * t->lr;
        float m = t->s0[i] * t->momentum - step;
        t->s0[i] = m;
        t->w[i] = mb_cpu_decayed(t, i) + (t->nesterov ? m * t->momentum - step : m);
    }
}

/* The sum is neither above nor below zero where it is NaN: so is the weight then. */
MB_MULTIVERSION
static void lion(const mb_cpu_step_t *t)
{
    float *restrict w = t->w;
    float *restrict m = t->s0;
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++) {
        float g = mb_cpu_clipped(t, i);
        float sum = m[i] * t->beta1 + g * t->one_minus_beta1;
        float sign = sum > 0.0f ? 1.0f : sum < 0.0f ? -1.0f : sum;
        w[i] = mb_cpu_decayed(t, i) - t->lr * sign;
        m[i] = m[i] * t->beta2 + g * t->one_minus_beta2;
    }
}

MB_MULTIVERSION
static void muon(const mb_cpu_step_t *t)
{
    float *restrict w = t->w;
    float *restrict m = t->s0;
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++) {
        float g = mb_cpu_clipped(t, i);
        float first = m[i] + (g - m[i] * t->one_minus_rho);
        m[i] = first;
        w[i] = mb_cpu_decayed(t, i);
        t->g[i] = t->nesterov ? g + t->rho * first : first;
    }
}

mb_cpu_rule_t mb_cpu_momentum_rule(const mb_update_args_t *args)
{
    if (args->rule == MB_RULE_SGD)
        return args->momentum == 0.0f ? sgd : sgd_momentum;
    return args->rule == MB_RULE_LION ? lion : args->rule == MB_RULE_MUON ? muon : NULL;
}
