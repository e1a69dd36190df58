/* The Adam family: averages of gradients over averages of their squares, or over the largest of
 * them. Sources: keras/src/optimizers/adam.py, adamax.py, nadam.py, lamb.py,
 * schedule_free_adamw.py. */
#include "device/cpu/simd.h"
#include "device/cpu/update.h"

#include <math.h>

typedef struct {
    float g, first, second; /* gradient, its average, that of its square */
} moments_t;

static inline __attribute__((always_inline)) float mean_square(const mb_cpu_step_t *t, float *v,
                                                               float g)
{
    return *v = *v + (g * g - *v) * t->one_minus_beta2;
}

static inline __attribute__((always_inline)) float mean(const mb_cpu_step_t *t, float *m, float g)
{
    return *m = *m + (g - *m) * t->one_minus_beta1;
}

/* Moves both averages. */
static inline __attribute__((always_inline)) moments_t move(const mb_cpu_step_t *t, int64_t i,
                                                            float *m, float *v)
{
    float g = mb_cpu_clipped(t, i);
    return (moments_t){g, mean(t, m + i, g), mean_square(t, v + i, g)};
}

MB_MULTIVERSION
static void adam(const mb_cpu_step_t *t)
{
    float *restrict w = t->w, *restrict m = t->s0, *restrict v = t->s1;
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++) {
        moments_t at = move(t, i, m, v);
        w[i] = mb_cpu_decayed(t, i) - at.first * t->alpha / (sqrtf(at.second) + t->epsilon);
    }
}

MB_MULTIVERSION
static void adam_amsgrad(const mb_cpu_step_t *t)
{
    float *restrict w = t->w, *restrict m = t->s0, *restrict v = t->s1, *restrict top = t->s2;
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++) {
        moments_t at = move(t, i, m, v);
        float largest = top[i] > at.second ? top[i] : at.second;
        top[i] = largest;
        w[i] = mb_cpu_decayed(t, i) - at.first * t->alpha / (sqrtf(largest) + t->epsilon);
    }
}

MB_MULTIVERSION
static void adamax(const mb_cpu_step_t *t)
{
    float *restrict w = t->w, *restrict m = t->s0, *restrict v = t->s1;
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++) {
        float g = mb_cpu_clipped(t, i), size = fabsf(g), first = mean(t, m + i, g);
        float fallen = t->beta2 * v[i];
        float norm = fallen > size ? fallen : size;
        v[i] = norm;
        w[i] = mb_cpu_decayed(t, i) - t->lr * first / (t->correction1 * (norm + t->epsilon));
    }
}

MB_MULTIVERSION
static void nadam(const mb_cpu_step_t *t)
{
    float *restrict w = t->w, *restrict m = t->s0, *restrict v = t->s1;
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++) {
        moments_t at = move(t, i, m, v);
        float ahead = t->ahead * at.first / t->correction1 + t->now * at.g / t->correction0;
        float root = sqrtf(at.second / t->correction2);
        w[i] = mb_cpu_decayed(t, i) - ahead * t->lr / (root + t->epsilon);
    }
}

MB_MULTIVERSION
static void lamb(const mb_cpu_step_t *t)
{
    float *restrict w = t->w, *restrict m = t->s0, *restrict v = t->s1;
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++) {
        moments_t at = move(t, i, m, v);
        w[i] = mb_cpu_decayed(t, i);
        t->g[i] = at.first / t->correction1 / (sqrtf(at.second / t->correction2) + t->epsilon);
    }
}

/* w lies between s0, which takes the steps, and the mean x of all that s0 was, which is not kept.
 */
MB_MULTIVERSION
static void schedule_free(const mb_cpu_step_t *t)
{
    float *restrict w = t->w, *restrict m = t->s0, *restrict v = t->s1;
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++) {
        float g = mb_cpu_clipped(t, i), second = mean_square(t, v + i, g), z = m[i];
        float x = (mb_cpu_decayed(t, i) - t->one_minus_beta1 * z) / t->beta1;
        float gone = z - t->alpha * g / (sqrtf(second / t->correction2) + t->epsilon);
        x = t->ahead * x + t->now * gone;
        m[i] = gone;
        w[i] = t->one_minus_beta1 * gone + t->beta1 * x;
    }
}

mb_cpu_rule_t mb_cpu_adam_rule(const mb_update_args_t *args)
{
    switch (args->rule) {
    case MB_RULE_ADAM:
        return args->amsgrad ? adam_amsgrad : adam;
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
