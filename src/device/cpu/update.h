/* What the rules of an update share: a run of elements of one tensor with the rule's constants.
 * Every element is computed by itself with correctly rounded operations, so that a part of a
 * parameter gets the bits that the whole would give it. */
#ifndef MB_DEVICE_CPU_UPDATE_H
#define MB_DEVICE_CPU_UPDATE_H

#include "device/ops.h"

typedef struct {
    float *w, *g, *s0, *s1, *s2;
    int64_t count;
    float scale, low, high; /* the gradient is scaled, then clipped */
    float lr, decay, momentum, epsilon, alpha;
    float rho, beta1, beta2, one_minus_rho, one_minus_beta1, one_minus_beta2;
    float correction0, correction1, correction2, ahead, now;
    float power, l1, l2, shrinkage;
    bool nesterov, overwrites;
} mb_cpu_step_t;

typedef void (*mb_cpu_rule_t)(const mb_cpu_step_t *step);

static inline float mb_cpu_clipped(const mb_cpu_step_t *t, int64_t i)
{
    float g = t->g[i] * t->scale;
    g = g < t->low ? t->low : g;
    return g > t->high ? t->high : g;
}

static inline float mb_cpu_decayed(const mb_cpu_step_t *t, int64_t i)
{
    return t->w[i] - t->w[i] * t->decay;
}

/* The block, which begins at element FIRST of its tensor. update_copy.c */
void mb_cpu_update_copy(const mb_cpu_step_t *block, int64_t first, mb_tensor_copy_t *to);

/* The loop of the rule that ARGS name, by family; NULL for a rule of another one. */
mb_cpu_rule_t mb_cpu_momentum_rule(const mb_update_args_t *args); /* update_momentum.c */
mb_cpu_rule_t mb_cpu_squares_rule(const mb_update_args_t *args);  /* update_squares.c */
mb_cpu_rule_t mb_cpu_adam_rule(const mb_update_args_t *args);     /* update_adam.c */
mb_cpu_rule_t mb_cpu_ftrl_rule(const mb_update_args_t *args);     /* update_ftrl.c */
mb_cpu_rule_t mb_cpu_around_rule(const mb_update_args_t *args);   /* update_around.c */

#endif
