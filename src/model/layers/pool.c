/* Max and average pooling over one to three spatial dimensions. Volumes are pooled plane by plane,
 * and then along the depth:
 *     m[n, d, h', w'] = pool over (h, w) of x     y[n, d', h', w'] = pool over d of m
 * The largest of largest ones is the largest, and the first of them in the order of positions that
 * of a window; what lies inside of the image is a box, so the mean of means is the mean. m is in
 * the saved block, its gradient in the carry. */
#include "model/layers/channels.h"
#include "model/layers/window.h"

typedef struct {
    mb_channels_t channels; /* first */
    mb_window_config_t window;
    bool average;
} pool_t;

static mb_status_t infer(mb_call_t *call);
static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out);
static mb_status_t forward(const mb_run_t *run);
static mb_status_t backward_input(const mb_run_t *run);
static void cost(const mb_call_t *call, mb_cost_t *out);

static const mb_layer_class_t layer = {.infer = infer,
                                       .memory = memory,
                                       .forward = forward,
                                       .backward_input = backward_input,
                                       .cost = cost};

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, int spatial, bool average,
                         void **out)
{
    pool_t *pool = MB_ARENA_NEW(arena, pool_t);
    if (pool == NULL)
        return mb_error_memory("a layer", sizeof(*pool));
    MB_TRY(mb_channels_take(config, &layer, &pool->channels));
    pool->average = average;
    *out = pool;
    return mb_window_take(config, "pool_size", spatial, true, false, &pool->window);
}

static const pool_t *pool_of(const mb_call_t *call)
{
    return call->layer->config;
}

static bool is_volume(const mb_call_t *call)
{
    return pool_of(call)->window.spatial == MB_MAX_SPATIAL;
}

static mb_status_t infer(mb_call_t *call)
{
    return mb_window_infer(&pool_of(call)->window, call, mb_shape_columns(&call->inputs[0]));
}

/* Of images, or of the planes of volumes. */
static mb_window_t plane_window(const mb_call_t *call, int64_t samples)
{
    mb_window_t window = mb_window_geometry(&pool_of(call)->window, call, samples);
    if (is_volume(call))
        window.samples *= window.depth.in;
    window.depth = (mb_window_axis_t){0};
    return window;
}

/* Along the depth: the rows of an image that is a plane wide. */
static mb_window_t depth_window(const mb_call_t *call, int64_t samples)
{
    mb_window_t window = mb_window_geometry(&pool_of(call)->window, call, samples);
    int64_t plane = window.out[0] * window.out[1];
    mb_window_axis_t width = {plane, plane, 1, 1, 1, 0, 0};
    mb_window_axis_t depth = window.depth;
    mb_window_put_axis(&window, 1, &depth);
    mb_window_put_axis(&window, 2, &width);
    window.depth = (mb_window_axis_t){0};
    return window;
}

static size_t planes_bytes(const mb_call_t *call, int64_t samples)
{
    mb_window_t window = plane_window(call, samples);
    return (size_t)(window.samples * window.out[0] * window.out[1] * window.channels_in) *
           mb_dtype_bytes(call->output_type);
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    *out = (mb_memory_t){0};
    out->keeps_input[0] = out->keeps_output = !pool_of(call)->average;
    if (is_volume(call))
        out->saved_bytes = out->carry_bytes = planes_bytes(call, samples);
}

static mb_status_t pool_to(const mb_run_t *run, const mb_window_t *window, const void *x, void *y)
{
    mb_pool_forward_args_t args = {.type = mb_run_type(run),
                                   .window = *window,
                                   .average = pool_of(run->call)->average,
                                   .x = x,
                                   .y = y};
    return mb_run_pool_forward(run->exec, &args);
}

static mb_status_t forward(const mb_run_t *run)
{
    mb_window_t planes = plane_window(run->call, run->samples);
    if (!is_volume(run->call))
        return pool_to(run, &planes, mb_run_input(run, 0), run->output);
    mb_window_t depth = depth_window(run->call, run->samples);
    MB_TRY(pool_to(run, &planes, mb_run_input(run, 0), run->saved));
    return pool_to(run, &depth, run->saved, run->output);
}

static mb_status_t pool_back(const mb_run_t *run, const mb_window_t *window, const void *x,
                             const void *y, const void *dy, void *dx, bool cuts)
{
    bool average = pool_of(run->call)->average;
    mb_pool_backward_args_t args = {.type = mb_run_type(run),
                                    .window = *window,
                                    .average = average,
                                    .x = average ? NULL : x,
                                    .y = average ? NULL : y,
                                    .dy = dy,
                                    .dx = dx,
                                    .cuts = cuts};
    return mb_run_pool_backward(run->exec, &args);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    mb_window_t planes = plane_window(run->call, run->samples);
    const void *x = mb_run_input(run, 0);
    void *dx = mb_run_grad_input(run, 0);
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    if (!is_volume(run->call))
        return pool_back(run, &planes, x, run->output, run->grad_output, dx, run->cuts_input);
    mb_window_t depth = depth_window(run->call, run->samples);
    MB_TRY(pool_back(run, &depth, run->saved, run->output, run->grad_output, run->carry, false));
    return pool_back(run, &planes, x, run->saved, run->carry, dx, false);
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double reads =
        (double)mb_shape_elements(&call->output) * mb_window_positions(&pool_of(call)->window);
    double writes = (double)mb_shape_elements(&call->inputs[0]);
    *out = (mb_cost_t){4.0 * reads, 4.0 * (reads + writes), 0.0};
}

/* The largest of a window is positive where the relu's slope at its place is 1. */
static unsigned relus(const mb_call_t *call)
{
    const pool_t *pool = pool_of(call);
    bool cuts = !pool->average && !pool->channels.first && !is_volume(call);
    return cuts ? MB_RELU_CUTS : 0;
}

#define POOL_CLASS(symbol, keras, spatial, average)                                                \
    static mb_status_t parse_##symbol(mb_config_t *config, mb_arena_t *arena, void **out)          \
    {                                                                                              \
        return parse(config, arena, spatial, average, out);                                        \
    }                                                                                              \
    MB_CHANNELS_CLASS(symbol, keras, parse_##symbol, .relus = relus)

POOL_CLASS(max_pooling1d, "MaxPooling1D", 1, false);
POOL_CLASS(max_pooling2d, "MaxPooling2D", 2, false);
POOL_CLASS(max_pooling3d, "MaxPooling3D", 3, false);
POOL_CLASS(average_pooling1d, "AveragePooling1D", 1, true);
POOL_CLASS(average_pooling2d, "AveragePooling2D", 2, true);
POOL_CLASS(average_pooling3d, "AveragePooling3D", 3, true);
