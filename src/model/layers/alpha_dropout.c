/* AlphaDropout (Klambauer and others: "Self-Normalizing Neural Networks", 2017): in training what
 * is dropped becomes -scale alpha, and a map a x + b keeps the mean and the variance. */
#include <math.h>

#include "model/layers/noise_shape.h"

typedef struct {
    double rate;
    mb_noise_shape_t noise;
    double dropped, a, b;
} alpha_t;

static void set_map(alpha_t *alpha)
{
    alpha->dropped = -1.6732632423543772848 * 1.0507009873554804934;
    alpha->a =
        1.0 / sqrt((1.0 - alpha->rate) * (1.0 + alpha->rate * alpha->dropped * alpha->dropped));
    alpha->b = -alpha->a * alpha->dropped * alpha->rate;
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    alpha_t *alpha = MB_ARENA_NEW(arena, alpha_t);
    if (alpha == NULL)
        return mb_error_memory("a layer", sizeof(*alpha));
    *out = alpha;
    MB_TRY(mb_config_real(config, "rate", &alpha->rate));
    if (alpha->rate < 0.0 || alpha->rate >= 1.0)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: key 'rate' is %g, it must lie from 0 to below 1 (of 1 nothing is "
                            "left to scale)",
                            config->where, alpha->rate);
    set_map(alpha);
    mb_config_ignore(config, "seed");
    return mb_noise_shape_take(config, &alpha->noise);
}

static const alpha_t *alpha_of(const mb_call_t *call)
{
    return call->layer->config;
}

static mb_status_t infer(mb_call_t *call)
{
    MB_TRY(mb_call_infer_same(call));
    return mb_noise_shape_check(&alpha_of(call)->noise, call);
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    *out = (mb_memory_t){.saved_bytes = mb_noise_mask_bytes(&alpha_of(call)->noise, call, samples)};
}

static bool is_idle(const mb_run_t *run)
{
    return !run->training || !(alpha_of(run->call)->rate > 0.0);
}

static mb_status_t map(const mb_run_t *run, mb_map_t function, const mb_map_input_t inputs[3],
                       double scale, void *y)
{
    mb_map_call_t call = {.function = function,
                          .inputs = {inputs[0], inputs[1], inputs[2]},
                          .view = mb_view_output(run),
                          .y = y,
                          .scale = scale};
    return mb_run_strided(run, &call);
}

static mb_status_t forward(const mb_run_t *run)
{
    const alpha_t *alpha = alpha_of(run->call);
    mb_view_t view = mb_view_output(run);
    mb_map_input_t x = mb_map_tensor(mb_run_input(run, 0), view);
    mb_map_input_t y = mb_map_tensor(run->output, view);
    if (is_idle(run))
        return mb_run_copy(run, mb_shape_elements(&run->call->output), x.base, run->output);
    MB_TRY(mb_noise_mask_draw(&alpha->noise, run, alpha->rate, run->saved));
    mb_map_input_t mask = mb_noise_mask(&alpha->noise, run, run->saved);
    mb_map_input_t chosen[] = {mask, x, mb_map_constant((float)alpha->dropped)};
    mb_map_input_t moved[] = {y, mb_map_constant((float)alpha->b), {0}};
    MB_TRY(map(run, MB_MAP_WHERE, chosen, alpha->a, run->output));
    return map(run, MB_MAP_ADD, moved, 1.0, run->output);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    const alpha_t *alpha = alpha_of(run->call);
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    if (is_idle(run))
        return mb_run_pass_gradient(run);
    mb_map_input_t kept[] = {mb_map_tensor(run->grad_output, mb_view_output(run)),
                             mb_noise_mask(&alpha->noise, run, run->saved),
                             {0}};
    return map(run, MB_MAP_WHEN, kept, alpha->a, mb_run_grad_input(run, 0));
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double flops = 24.0 * (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){flops, 4.0 * (double)mb_shape_elements(&call->output), 0.0};
}

const mb_layer_class_t mb_layer_alpha_dropout = {.size = sizeof(mb_layer_class_t),
                                                 .name = "AlphaDropout",
                                                 .parse = parse,
                                                 .infer = infer,
                                                 .memory = memory,
                                                 .forward = forward,
                                                 .backward_input = backward_input,
                                                 .cost = cost,
                                                 .mask = mb_mask_passes};
