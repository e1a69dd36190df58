/* One pass of a rule over all tensors of a table, in blocks of elements, and the gradient of a
 * regularizer. */
#include <math.h>
#include "device/cpu/cpu.h"
#include "device/cpu/simd.h"
#include "device/cpu/update.h"
#include "device/table.h"

typedef struct {
    const mb_update_args_t *args;
    mb_cpu_step_t constants;
    mb_cpu_rule_t apply;
} update_t;

enum { BLOCKS = MB_TENSOR_TILE / MB_CPU_BLOCK }; /* of a tile */

static float *offset(float *base, int64_t by)
{
    return base == NULL ? NULL : base + by;
}

static mb_cpu_step_t part_of(const update_t *u, const mb_tensor_t *tensor, mb_span_t span)
{
    mb_cpu_step_t part = u->constants;
    part.w = tensor->w + span.begin;
    part.g = offset(tensor->g, span.begin);
    part.s0 = offset(tensor->s0, span.begin);
    part.s1 = offset(tensor->s1, span.begin);
    part.s2 = offset(tensor->s2, span.begin);
    part.count = span.end - span.begin;
    part.decay = mb_rule_decays(u->args->rule) ? tensor->weight_decay * u->args->lr : 0.0f;
    part.scale = u->args->scale == NULL ? 1.0f : u->args->scale[tensor->place];
    return part;
}

static void update_block(void *context, int64_t block, int thread)
{
    (void)thread;
    const update_t *u = context;
    const mb_tensor_t *tensor = mb_table_find(&u->args->table, block / BLOCKS);
    mb_span_t span = mb_span(block - BLOCKS * tensor->first_tile, MB_CPU_BLOCK, tensor->count);
    mb_cpu_step_t part = part_of(u, tensor, span);
    if (part.count <= 0)
        return;
    u->apply(&part);
    if (u->args->copies != NULL)
        mb_cpu_update_copy(&part, span.begin, &u->args->copies[tensor->place]);
}

static mb_cpu_rule_t choose(const mb_update_args_t *a)
{
    static mb_cpu_rule_t (*const families[])(const mb_update_args_t *) = {
        mb_cpu_momentum_rule, mb_cpu_squares_rule, mb_cpu_adam_rule, mb_cpu_ftrl_rule,
        mb_cpu_around_rule};
    mb_cpu_rule_t found = NULL;
    for (size_t i = 0; found == NULL && i < sizeof families / sizeof families[0]; i++)
        found = families[i](a);
    return found;
}

static void put_rates(const mb_update_args_t *a, mb_cpu_step_t *step)
{
    step->rho = (float)a->rho;
    step->beta1 = (float)a->beta1;
    step->beta2 = (float)a->beta2;
    step->one_minus_rho = (float)(1.0 - a->rho);
    step->one_minus_beta1 = (float)(1.0 - a->beta1);
    step->one_minus_beta2 = (float)(1.0 - a->beta2);
}

static mb_cpu_step_t constants(const mb_update_args_t *a)
{
    mb_cpu_step_t step = {
        .low = a->clip_value > 0.0f ? -a->clip_value : -INFINITY,
        .high = a->clip_value > 0.0f ? a->clip_value : INFINITY,
        .lr = a->lr,
        .momentum = a->momentum,
        .epsilon = a->epsilon,
        .alpha = a->alpha,
        .correction0 = a->correction0,
        .correction1 = a->correction1,
        .correction2 = a->correction2,
        .ahead = a->ahead,
        .now = a->now,
        .power = a->power,
        .l1 = a->l1,
        .l2 = a->l2,
        .shrinkage = 2.0f * a->shrinkage,
        .nesterov = a->nesterov,
        .overwrites = a->overwrites,
    };
    put_rates(a, &step);
    return step;
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
