/* Follow the regularized leader (McMahan et al., Ad Click Prediction, KDD 2013, algorithm 1, with
 * the shrinkage of Keras). Source: keras/src/optimizers/ftrl.py. The power is nearly always 1/2;
 * others are taken in double, where libraries hardly ever differ once it is rounded to float. */
#include "device/cpu/simd.h"
#include "device/cpu/update.h"

#include <math.h>
#include <stddef.h>

static inline __attribute__((always_inline)) float power_of(const mb_cpu_step_t *t, float x,
                                                            bool root)
{
    return root ? sqrtf(x) : (float)pow((double)x, (double)t->power);
}

static inline __attribute__((always_inline)) void ftrl(const mb_cpu_step_t *t, int64_t i, bool root)
{
    float w = mb_cpu_decayed(t, i), g = mb_cpu_clipped(t, i);
    float squares = t->s0[i] + g * g, after = power_of(t, squares, root);
    float moved = (after - power_of(t, t->s0[i], root)) / t->lr * w;
    float linear = t->s1[i] + (g + t->shrinkage * w - moved);
    float bounded = linear < -t->l1 ? -t->l1 : linear > t->l1 ? t->l1 : linear;
    t->s0[i] = squares;
    t->s1[i] = linear;
    t->w[i] = (bounded - linear) / (after / t->lr + t->l2);
}

MB_MULTIVERSION
static void ftrl_root(const mb_cpu_step_t *t)
{
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++)
        ftrl(t, i, true);
}

static void ftrl_power(const mb_cpu_step_t *t)
{
    for (int64_t i = 0; i < t->count; i++)
        ftrl(t, i, false);
}

mb_cpu_rule_t mb_cpu_ftrl_rule(const mb_update_args_t *args)
{
    if (args->rule != MB_RULE_FTRL)
        return NULL;
    return args->power == 0.5f ? ftrl_root : ftrl_power;
}
