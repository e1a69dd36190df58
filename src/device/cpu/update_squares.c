/* Rules that divide a gradient by the root of an average, or a sum, of its squares: RMSprop,
 * Adagrad, Adadelta, and the direction of Adafactor's vectors. Sources: keras/src/optimizers/
 * rmsprop.py, adagrad.py, adadelta.py, adafactor.py. */
#include "device/cpu/simd.h"
#include "device/cpu/update.h"

#include <math.h>
#include <stddef.h>

/* average, moment: NULL where the variant has none */
static inline __attribute__((always_inline)) void
rmsprop(const mb_cpu_step_t *t, float *restrict average, float *restrict moment)
{
    float *restrict w = t->w;
    float *restrict velocity = t->s0;
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++) {
        float g = mb_cpu_clipped(t, i);
        float v = t->rho * velocity[i] + t->one_minus_rho * (g * g);
        float d = v;
        velocity[i] = v;
        if (average != NULL) {
            float mean = t->rho * average[i] + t->one_minus_rho * g;
            average[i] = mean;
            d = v - mean * mean;
        }
        float step = t->lr * g / sqrtf(d + t->epsilon);
        if (moment != NULL) {
            step = t->momentum * moment[i] + step;
            moment[i] = step;
        }
        w[i] = mb_cpu_decayed(t, i) - step;
    }
}

MB_MULTIVERSION
static void rmsprop_plain(const mb_cpu_step_t *t)
{
    rmsprop(t, NULL, NULL);
}
MB_MULTIVERSION
static void rmsprop_centered(const mb_cpu_step_t *t)
{
    rmsprop(t, t->s1, NULL);
}
MB_MULTIVERSION
static void rmsprop_momentum(const mb_cpu_step_t *t)
{
    rmsprop(t, NULL, t->s2);
}
MB_MULTIVERSION
static void rmsprop_both(const mb_cpu_step_t *t)
{
    rmsprop(t, t->s1, t->s2);
}

MB_MULTIVERSION
static void adagrad(const mb_cpu_step_t *t)
{
    float *restrict w = t->w;
    float *restrict sum = t->s0;
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++) {
        float g = mb_cpu_clipped(t, i);
        float squares = sum[i] + g * g;
        sum[i] = squares;
        w[i] = mb_cpu_decayed(t, i) - t->lr * g / sqrtf(squares + t->epsilon);
    }
}

MB_MULTIVERSION
static void adadelta(const mb_cpu_step_t *t)
{
    float *restrict w = t->w;
    float *restrict gradients = t->s0;
    float *restrict steps = t->s1;
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++) {
        float g = mb_cpu_clipped(t, i);
        float a = t->rho * gradients[i] + t->one_minus_rho * (g * g);
        float step = sqrtf(steps[i] + t->epsilon) * g / sqrtf(a + t->epsilon);
        gradients[i] = a;
        steps[i] = t->rho * steps[i] + t->one_minus_rho * (step * step);
        w[i] = mb_cpu_decayed(t, i) - t->lr * step;
    }
}

MB_MULTIVERSION
static void adafactor(const mb_cpu_step_t *t)
{
    float *restrict w = t->w;
    float *restrict velocity = t->s2;
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++) {
        float g = mb_cpu_clipped(t, i);
        float v = t->rho * velocity[i] + t->one_minus_rho * (g * g + t->epsilon);
        velocity[i] = v;
        w[i] = mb_cpu_decayed(t, i);
        t->g[i] = g / sqrtf(v);
    }
}

static mb_cpu_rule_t rmsprop_rule(const mb_update_args_t *a)
{
    if (a->centered)
        return a->momentum == 0.0f ? rmsprop_centered : rmsprop_both;
    return a->momentum == 0.0f ? rmsprop_plain : rmsprop_momentum;
}

mb_cpu_rule_t mb_cpu_squares_rule(const mb_update_args_t *args)
{
    switch (args->rule) {
    case MB_RULE_RMSPROP:
        return rmsprop_rule(args);
    case MB_RULE_ADAGRAD:
        return adagrad;
    case MB_RULE_ADADELTA:
        return adadelta;
    case MB_RULE_ADAFACTOR:
        return adafactor;
    default:
        return NULL;
    }
}
