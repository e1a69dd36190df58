/* What stands around an optimizer's rule: gradients added up over steps, a step along a direction
 * that another rule left, the average of the weights. Source: keras/src/backend/jax/optimizer.py.
 */
#include "device/cpu/simd.h"
#include "device/cpu/update.h"

#include <stddef.h>

MB_MULTIVERSION
static void plain(const mb_cpu_step_t *t)
{
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++) {
        t->w[i] = mb_cpu_decayed(t, i);
        t->g[i] = mb_cpu_clipped(t, i);
    }
}

MB_MULTIVERSION
static void step(const mb_cpu_step_t *t)
{
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++)
        t->w[i] = t->w[i] - mb_cpu_clipped(t, i);
}

MB_MULTIVERSION
static void accumulate(const mb_cpu_step_t *t)
{
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++)
        t->s0[i] = t->s0[i] + mb_cpu_clipped(t, i);
}

MB_MULTIVERSION
static void release(const mb_cpu_step_t *t)
{
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++) {
        t->g[i] = (mb_cpu_clipped(t, i) + t->s0[i]) / t->alpha;
        t->s0[i] = 0.0f;
    }
}

MB_MULTIVERSION
static void average(const mb_cpu_step_t *t)
{
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++) {
        float mean = t->rho * t->s0[i] + t->one_minus_rho * t->w[i];
        t->s0[i] = mean;
        t->w[i] = t->overwrites ? mean : t->w[i];
    }
}

mb_cpu_rule_t mb_cpu_around_rule(const mb_update_args_t *args)
{
    switch (args->rule) {
    case MB_RULE_PLAIN:
        return plain;
    case MB_RULE_STEP:
        return step;
    case MB_RULE_ACCUMULATE:
        return accumulate;
    case MB_RULE_RELEASE:
        return release;
    case MB_RULE_AVERAGE:
        return average;
    default:
        return NULL;
    }
}
