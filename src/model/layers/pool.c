/* Max and average pooling over one or two spatial dimensions. */
#include "model/layers/window.h"

typedef struct {
    mb_window_config_t window;
    bool average;
} pool_t;

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, int spatial, bool average,
                         void **out)
{
    pool_t *pool = MB_ARENA_NEW(arena, pool_t);
    if (pool == NULL)
        return mb_error_memory("a layer", sizeof(*pool));
    pool->average = average;
    *out = pool;
    return mb_window_take(config, "pool_size", spatial, true, &pool->window);
}

static mb_status_t parse_max_1d(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse(config, arena, 1, false, out);
}

static mb_status_t parse_max_2d(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse(config, arena, 2, false, out);
}

static mb_status_t parse_average_1d(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse(config, arena, 1, true, out);
}

static mb_status_t parse_average_2d(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse(config, arena, 2, true, out);
}

static const pool_t *pool_of(const mb_call_t *call)
{
    return call->layer->config;
}

static mb_status_t infer(mb_call_t *call)
{
    return mb_window_infer(&pool_of(call)->window, call, mb_shape_columns(&call->inputs[0]));
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    (void)samples;
    *out = (mb_memory_t){0};
    out->keeps_input[0] = out->keeps_output = !pool_of(call)->average;
}

static mb_status_t forward(const mb_run_t *run)
{
    const pool_t *pool = pool_of(run->call);
    mb_pool_forward_args_t args = {.type = mb_run_type(run),
                                   .window =
                                       mb_window_geometry(&pool->window, run->call, run->samples),
                                   .average = pool->average,
                                   .x = mb_run_input(run, 0),
                                   .y = run->output};
    return mb_run_pool_forward(run->exec, &args);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    const pool_t *pool = pool_of(run->call);
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    mb_pool_backward_args_t args = {.type = mb_run_type(run),
                                    .window =
                                        mb_window_geometry(&pool->window, run->call, run->samples),
                                    .average = pool->average,
                                    .x = pool->average ? NULL : mb_run_input(run, 0),
                                    .y = pool->average ? NULL : run->output,
                                    .dy = run->grad_output,
                                    .dx = mb_run_grad_input(run, 0)};
    return mb_run_pool_backward(run->exec, &args);
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    const mb_window_config_t *window = &pool_of(call)->window;
    double reads =
        (double)mb_shape_elements(&call->output) * (double)(window->size[0] * window->size[1]);
    double writes = (double)mb_shape_elements(&call->inputs[0]);
    *out = (mb_cost_t){4.0 * reads, 4.0 * (reads + writes), 0.0};
}

#define POOL_CLASS(symbol, keras, parser)                                                          \
    const mb_layer_class_t mb_layer_##symbol = {.size = sizeof(mb_layer_class_t),                  \
                                                .name = keras,                                     \
                                                .parse = parser,                                   \
                                                .infer = infer,                                    \
                                                .memory = memory,                                  \
                                                .forward = forward,                                \
                                                .backward_input = backward_input,                  \
                                                .cost = cost}

POOL_CLASS(max_pooling1d, "MaxPooling1D", parse_max_1d);
POOL_CLASS(max_pooling2d, "MaxPooling2D", parse_max_2d);
POOL_CLASS(average_pooling1d, "AveragePooling1D", parse_average_1d);
POOL_CLASS(average_pooling2d, "AveragePooling2D", parse_average_2d);
