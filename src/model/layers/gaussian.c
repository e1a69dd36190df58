/* GaussianNoise and GaussianDropout: in training a normal number is added to each element, or
 * multiplies it. The numbers are drawn into the result first and again in backward, so nothing is
 * kept. */
#include <math.h>

#include "model/layers/layers.h"

typedef struct {
    bool multiplies;
    double deviation;
} gaussian_t;

static mb_status_t create(mb_config_t *config, mb_arena_t *arena, gaussian_t **out)
{
    *out = MB_ARENA_NEW(arena, gaussian_t);
    if (*out == NULL)
        return mb_error_memory("a layer", sizeof(**out));
    mb_config_ignore(config, "seed");
    return MB_OK;
}

static mb_status_t parse_noise(mb_config_t *config, mb_arena_t *arena, void **out)
{
    gaussian_t *gaussian;
    MB_TRY(create(config, arena, &gaussian));
    *out = gaussian;
    MB_TRY(mb_config_real(config, "stddev", &gaussian->deviation));
    if (gaussian->deviation >= 0.0 && isfinite(gaussian->deviation))
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "%s: key 'stddev' is %g, it must not be negative",
                        config->where, gaussian->deviation);
}

static mb_status_t parse_dropout(mb_config_t *config, mb_arena_t *arena, void **out)
{
    gaussian_t *gaussian;
    double rate;
    MB_TRY(create(config, arena, &gaussian));
    *out = gaussian;
    MB_TRY(mb_config_real(config, "rate", &rate));
    if (rate < 0.0 || rate >= 1.0)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: key 'rate' is %g, it must lie from 0 to below 1 (the deviation is "
                            "sqrt(rate / (1 - rate)))",
                            config->where, rate);
    gaussian->multiplies = true;
    gaussian->deviation = sqrt(rate / (1.0 - rate));
    return MB_OK;
}

static const gaussian_t *gaussian_of(const mb_run_t *run)
{
    return run->call->layer->config;
}

static bool is_idle(const mb_run_t *run)
{
    return !run->training || !(gaussian_of(run)->deviation > 0.0);
}

static mb_status_t draw(const mb_run_t *run, void *y)
{
    const gaussian_t *gaussian = gaussian_of(run);
    mb_normal_args_t args = {.type = mb_run_type(run),
                             .samples = run->samples,
                             .elements = mb_shape_elements(&run->call->output),
                             .mean = gaussian->multiplies ? 1.0f : 0.0f,
                             .deviation = (float)gaussian->deviation,
                             .random = run->random,
                             .y = y};
    args.random.purpose = MB_RANDOM_NOISE;
    return mb_run_normal(run->exec, &args);
}

static mb_status_t multiply(const mb_run_t *run, const void *x, void *y)
{
    int64_t count = run->samples * mb_shape_elements(&run->call->output);
    mb_multiply_args_t args = {mb_run_type(run), count, x, y, y};
    return mb_run_multiply(run->exec, &args);
}

static mb_status_t add(const mb_run_t *run, const void *x, void *y)
{
    int64_t count = run->samples * mb_shape_elements(&run->call->output);
    mb_add_args_t args = {mb_run_type(run), count, x, y, y};
    return mb_run_add(run->exec, &args);
}

static mb_status_t forward(const mb_run_t *run)
{
    const void *x = mb_run_input(run, 0);
    if (is_idle(run))
        return mb_run_copy(run, mb_shape_elements(&run->call->output), x, run->output);
    MB_TRY(draw(run, run->output));
    return gaussian_of(run)->multiplies ? multiply(run, x, run->output) : add(run, x, run->output);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    if (is_idle(run) || !gaussian_of(run)->multiplies)
        return mb_run_pass_gradient(run);
    MB_TRY(draw(run, mb_run_grad_input(run, 0)));
    return multiply(run, run->grad_output, mb_run_grad_input(run, 0));
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double flops = 40.0 * (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){flops, flops, 0.0};
}

#define GAUSSIAN_CLASS(symbol, keras, parser)                                                      \
    const mb_layer_class_t mb_layer_##symbol = {.size = sizeof(mb_layer_class_t),                  \
                                                .name = keras,                                     \
                                                .parse = parser,                                   \
                                                .infer = mb_call_infer_same,                       \
                                                .memory = mb_call_keeps_nothing,                   \
                                                .forward = forward,                                \
                                                .backward_input = backward_input,                  \
                                                .cost = cost,                                      \
                                                .mask = mb_mask_passes}

GAUSSIAN_CLASS(gaussian_noise, "GaussianNoise", parse_noise);
GAUSSIAN_CLASS(gaussian_dropout, "GaussianDropout", parse_dropout);
