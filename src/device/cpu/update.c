/* One step of an optimizer over all tensors of a table, and the gradient of a regularizer. Every
 * element is computed by itself with correctly rounded operations, so that a part of a parameter
 * gets the bits that the whole would give it. The rules are Keras 3's (keras/src/optimizers). */
#include <math.h>
#include "device/cpu/cpu.h"
#include "device/cpu/simd.h"
#include "device/table.h"

typedef struct {
    float *w, *s0, *s1, *s2;
    const float *g;
    int64_t count;
    float scale, low, high; /* the gradient is scaled, then clipped */
    float lr, decay, momentum, epsilon, alpha;
    float rho, one_minus_rho, one_minus_beta1, one_minus_beta2;
    bool nesterov;
} step_t;

static inline float clipped(const step_t *t, int64_t i)
{
    float g = t->g[i] * t->scale;
    g = g < t->low ? t->low : g;
    return g > t->high ? t->high : g;
}

static inline float decayed(const step_t *t, int64_t i)
{
    return t->w[i] - t->w[i] * t->decay;
}

MB_MULTIVERSION
static void sgd(const step_t *t)
{
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++)
        t->w[i] = decayed(t, i) - t->lr * clipped(t, i);
}

MB_MULTIVERSION
static void sgd_momentum(const step_t *t)
{
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++) {
        float step = clipped(t, i) * t->lr;
        float m = t->s0[i] * t->momentum - step;
        t->s0[i] = m;
        t->w[i] = decayed(t, i) + (t->nesterov ? m * t->momentum - step : m);
    }
}

/* s1, s2: NULL where the variant has none */
static inline __attribute__((always_inline)) void rmsprop(const step_t *t, float *restrict average,
                                                          float *restrict moment)
{
    float *restrict w = t->w;
    float *restrict velocity = t->s0;
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++) {
        float g = clipped(t, i);
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
        w[i] = decayed(t, i) - step;
    }
}

MB_MULTIVERSION
static void rmsprop_plain(const step_t *t)
{
    rmsprop(t, NULL, NULL);
}
MB_MULTIVERSION
static void rmsprop_centered(const step_t *t)
{
    rmsprop(t, t->s1, NULL);
}
MB_MULTIVERSION
static void rmsprop_momentum(const step_t *t)
{
    rmsprop(t, NULL, t->s2);
}
MB_MULTIVERSION
static void rmsprop_both(const step_t *t)
{
    rmsprop(t, t->s1, t->s2);
}

static inline __attribute__((always_inline)) void adam(const step_t *t, float *restrict largest)
{
    float *restrict w = t->w;
    float *restrict m = t->s0;
    float *restrict v = t->s1;
#pragma omp simd
    for (int64_t i = 0; i < t->count; i++) {
        float g = clipped(t, i);
        float first = m[i] + (g - m[i]) * t->one_minus_beta1;
        float second = v[i] + (g * g - v[i]) * t->one_minus_beta2;
        m[i] = first;
        v[i] = second;
        if (largest != NULL) {
            second = largest[i] > second ? largest[i] : second;
            largest[i] = second;
        }
        w[i] = decayed(t, i) - first * t->alpha / (sqrtf(second) + t->epsilon);
    }
}

MB_MULTIVERSION
static void adam_plain(const step_t *t)
{
    adam(t, NULL);
}
MB_MULTIVERSION
static void adam_amsgrad(const step_t *t)
{
    adam(t, t->s2);
}

typedef struct {
    const mb_update_args_t *args;
    step_t constants;
    void (*apply)(const step_t *part);
} update_t;

enum { BLOCKS = MB_TENSOR_TILE / MB_CPU_BLOCK }; /* of a tile */

static float *offset(float *base, int64_t by)
{
    return base == NULL ? NULL : base + by;
}

static step_t part_of(const update_t *u, const mb_tensor_t *tensor, mb_span_t span)
{
    step_t part = u->constants;
    part.w = tensor->w + span.begin;
    part.g = tensor->g + span.begin;
    part.s0 = offset(tensor->s0, span.begin);
    part.s1 = offset(tensor->s1, span.begin);
    part.s2 = offset(tensor->s2, span.begin);
    part.count = span.end - span.begin;
    part.decay = tensor->weight_decay * u->args->lr;
    part.scale = u->args->scale == NULL ? 1.0f : u->args->scale[tensor->place];
    return part;
}

static void update_block(void *context, int64_t block, int thread)
{
    (void)thread;
    const update_t *u = context;
    const mb_tensor_t *tensor = mb_table_find(&u->args->table, block / BLOCKS);
    mb_span_t span = mb_span(block - BLOCKS * tensor->first_tile, MB_CPU_BLOCK, tensor->count);
    step_t part = part_of(u, tensor, span);
    if (part.count > 0)
        u->apply(&part);
}

static void (*choose(const mb_update_args_t *a))(const step_t *)
{
    switch (a->rule) {
    case MB_RULE_SGD:
        return a->momentum == 0.0f ? sgd : sgd_momentum;
    case MB_RULE_RMSPROP:
        if (a->centered)
            return a->momentum == 0.0f ? rmsprop_centered : rmsprop_both;
        return a->momentum == 0.0f ? rmsprop_plain : rmsprop_momentum;
    case MB_RULE_ADAM:
        return a->amsgrad ? adam_amsgrad : adam_plain;
    }
    return NULL;
}

static step_t constants(const mb_update_args_t *a)
{
    return (step_t){
        .low = a->clip_value > 0.0f ? -a->clip_value : -INFINITY,
        .high = a->clip_value > 0.0f ? a->clip_value : INFINITY,
        .lr = a->lr,
        .momentum = a->momentum,
        .epsilon = a->epsilon,
        .alpha = a->alpha,
        .rho = (float)a->rho,
        .one_minus_rho = (float)(1.0 - a->rho),
        .one_minus_beta1 = (float)(1.0 - a->beta1),
        .one_minus_beta2 = (float)(1.0 - a->beta2),
        .nesterov = a->nesterov,
    };
}

mb_status_t mb_cpu_update(mb_exec_t *exec, const mb_update_args_t *args)
{
    MB_CPU_CHECK(MB_OP_UPDATE, args->table.n >= 0 && args->table.tiles >= 0, "negative count");
    update_t u = {.args = args, .constants = constants(args), .apply = choose(args)};
    MB_CPU_CHECK(MB_OP_UPDATE, u.apply != NULL, "unknown rule");
    if (!exec->planning)
        mb_cpu_tiles(exec, args->table.tiles * BLOCKS, update_block, &u);
    return MB_OK;
}

MB_MULTIVERSION
static void regularize(const float *restrict w, float *restrict g, int64_t count, float l1,
                       float l2)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        float sign = w[i] > 0.0f ? 1.0f : w[i] < 0.0f ? -1.0f : 0.0f;
        g[i] += l1 * sign + 2.0f * l2 * w[i];
    }
}

static void regularize_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const mb_regularize_args_t *a = context;
    mb_span_t s = mb_span(tile, MB_CPU_BLOCK, a->count);
    regularize(mb_in(a->w) + s.begin, mb_out(a->g) + s.begin, s.end - s.begin, a->l1, a->l2);
}

mb_status_t mb_cpu_regularize(mb_exec_t *exec, const mb_regularize_args_t *args)
{
    MB_CPU_CHECK(MB_OP_REGULARIZE, args->count >= 0, "negative count");
    mb_regularize_args_t a = *args;
    if (!exec->planning)
        mb_cpu_tiles(exec, mb_ceil_div(args->count, MB_CPU_BLOCK), regularize_tile, &a);
    return MB_OK;
}
