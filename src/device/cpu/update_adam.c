/* The Adam family: averages of gradients over averages of their squares, or over the largest of
 * them. Sources: keras/src/optimizers/adam.py, adamax.py, nadam.py, lamb.py,
 * schedule_free_adamw.py. */
#include "device/cpu/simd.h"
#include "device/cpu/update.h"

#include <math.h>
#include <stddef.h>

static inline __attribute__((always_inline)) void adam(const mb_cpu_step_t *t,
                                                       float *restrict largest)
{
    float *restrict w = t->w;
    float *restrict m = t->s0;
    float *restrict v = t->s1;
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++) {
        float g = mb_cpu_clipped(t, i);
        float first = m[i] + (g - m[i]) * t->one_minus_beta1;
        float second = v[i] + (g * g - v[i]) * t->one_minus_beta2;
        m[i] = first;
        v[i] = second;
        if (largest != NULL) {
            second = largest[i] > second ? largest[i] : second;
            largest[i] = second;
        }
        w[i] = mb_cpu_decayed(t, i) - first * t->alpha / (sqrtf(second) + t->epsilon);
    }
}

MB_MULTIVERSION
static void adam_plain(const mb_cpu_step_t *t)
{
    adam(t, NULL);
}
MB_MULTIVERSION
static void adam_amsgrad(const mb_cpu_step_t *t)
{
    adam(t, t->s2);
}

MB_MULTIVERSION
static void adamax(const mb_cpu_step_t *t)
{
    float *restrict w = t->w;
    float *restrict m = t->s0;
    float *restrict u = t->s1;
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++) {
        float g = mb_cpu_clipped(t, i), size = fabsf(g);
        float first = m[i] + (g - m[i]) * t->one_minus_beta1;
        float fallen = t->beta2 * u[i];
        float norm = fallen > size ? fallen : size;
        m[i] = first;
        u[i] = norm;
        w[i] = mb_cpu_decayed(t, i) - t->lr * first / (t->correction1 * (norm + t->epsilon));
    }
}

MB_MULTIVERSION
static void nadam(const mb_cpu_step_t *t)
{
    float *restrict w = t->w;
    float *restrict m = t->s0;
    float *restrict v = t->s1;
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++) {
        float g = mb_cpu_clipped(t, i);
        float first = m[i] + (g - m[i]) * t->one_minus_beta1;
        float second = v[i] + (g * g - v[i]) * t->one_minus_beta2;
        float mean = t->ahead * first / t->correction1 + t->now * g / t->correction0;
        m[i] = first;
        v[i] = second;
        w[i] = mb_cpu_decayed(t, i) - mean * t->lr / (sqrtf(second / t->correction2) + t->epsilon);
    }
}

MB_MULTIVERSION
static void lamb(const mb_cpu_step_t *t)
{
    float *restrict w = t->w;
    float *restrict m = t->s0;
    float *restrict v = t->s1;
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++) {
        float g = mb_cpu_clipped(t, i);
        float first = m[i] + (g - m[i]) * t->one_minus_beta1;
        float second = v[i] + (g * g - v[i]) * t->one_minus_beta2;
        m[i] = first;
        v[i] = second;
        w[i] = mb_cpu_decayed(t, i);
        t->g[i] = first / t->correction1 / (sqrtf(second / t->correction2) + t->epsilon);
    }
}

/* w lies between s0, which takes the steps, and the mean x of all that s0 was, which is not kept.
 */
MB_MULTIVERSION
static void schedule_free(const mb_cpu_step_t *t)
{
    float *restrict w = t->w;
    float *restrict z = t->s0;
    float *restrict v = t->s1;
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++) {
        float g = mb_cpu_clipped(t, i);
        float second = v[i] + (g * g - v[i]) * t->one_minus_beta2;
        float mean = (mb_cpu_decayed(t, i) - t->one_minus_beta1 * z[i]) / t->beta1;
        float gone = z[i] - t->alpha * g / (sqrtf(second / t->correction2) + t->epsilon);
        mean = t->ahead * mean + t->now * gone;
        v[i] = second;
        z[i] = gone;
        w[i] = t->one_minus_beta1 * gone + t->beta1 * mean;
    }
}

mb_cpu_rule_t mb_cpu_adam_rule(const mb_update_args_t *args)
{
    switch (args->rule) {
    case MB_RULE_ADAM:
        return args->amsgrad ? adam_amsgrad : adam_plain;
    case MB_RULE_ADAMAX:
        return adamax;
    case MB_RULE_NADAM:
        return nadam;
    case MB_RULE_LAMB:
        return lamb;
    case MB_RULE_SCHEDULE_FREE:
        return schedule_free;
    default:
        return NULL;
    }
}
