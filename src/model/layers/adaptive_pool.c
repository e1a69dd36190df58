/* AdaptiveMaxPooling1D to 3D and AdaptiveAveragePooling1D to 3D: the image is cut into a given
 * number of regions along each dimension, one after the other as Keras does it. */
#include "model/layers/channels.h"
#include "model/layers/passes.h"

typedef struct {
    mb_channels_t channels; /* first */
    int spatial;
    bool average;
    int64_t size[MB_MAX_SPATIAL]; /* the last SPATIAL of them */
} adaptive_t;

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
    static const int64_t ones[MB_MAX_SPATIAL] = {1, 1, 1};
    adaptive_t *adaptive = MB_ARENA_NEW(arena, adaptive_t);
    int64_t none;
    if (adaptive == NULL)
        return mb_error_memory("a layer", sizeof(*adaptive));
    MB_TRY(mb_channels_take(config, &layer, &adaptive->channels));
    adaptive->spatial = spatial;
    adaptive->average = average;
    *out = adaptive;
    if (!mb_config_has(config, "output_size"))
        return mb_config_ints(config, "output_size", spatial, 1, &none);
    return mb_window_take_sizes(config, "output_size", spatial, MB_LAYER_MAX_SIZE, ones,
                                adaptive->size);
}

static const adaptive_t *adaptive_of(const mb_call_t *call)
{
    return call->layer->config;
}

static mb_status_t infer(mb_call_t *call)
{
    const adaptive_t *adaptive = adaptive_of(call);
    MB_TRY(mb_call_expect_rank(call, adaptive->spatial + 1));
    mb_call_keep_shape(call);
    for (int i = 0; i < adaptive->spatial; i++)
        call->output.dim[i] = adaptive->size[i + MB_MAX_SPATIAL - adaptive->spatial];
    return MB_OK;
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    *out = (mb_memory_t){0};
    out->keeps_input[0] = out->keeps_output = !adaptive_of(call)->average;
    mb_passes_memory(call, samples, out);
}

static mb_status_t pool(const mb_run_t *run, const mb_pass_t *pass, const void *x, void *y)
{
    mb_region_pool_forward_args_t args = {.type = mb_run_type(run),
                                          .outer = pass->outer,
                                          .in = pass->in,
                                          .out = pass->out,
                                          .inner = pass->inner,
                                          .average = adaptive_of(run->call)->average,
                                          .x = x,
                                          .y = y};
    return mb_run_region_pool_forward(run->exec, &args);
}

static mb_status_t pool_back(const mb_run_t *run, const mb_pass_t *pass, const void *x,
                             const void *y, const void *dy, void *dx)
{
    bool average = adaptive_of(run->call)->average;
    mb_region_pool_backward_args_t args = {.type = mb_run_type(run),
                                           .outer = pass->outer,
                                           .in = pass->in,
                                           .out = pass->out,
                                           .inner = pass->inner,
                                           .average = average,
                                           .x = average ? NULL : x,
                                           .y = average ? NULL : y,
                                           .dy = dy,
                                           .dx = dx};
    return mb_run_region_pool_backward(run->exec, &args);
}

static const mb_pass_work_t work = {pool, pool_back};

static mb_status_t forward(const mb_run_t *run)
{
    return mb_passes_forward(run, &work);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    return mb_passes_backward(run, &work);
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double traffic =
        (double)mb_shape_elements(&call->inputs[0]) + (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){4.0 * traffic, 8.0 * traffic, 0.0};
}

#define ADAPTIVE_CLASS(symbol, keras, spatial, average)                                            \
    static mb_status_t parse_##symbol(mb_config_t *config, mb_arena_t *arena, void **out)          \
    {                                                                                              \
        return parse(config, arena, spatial, average, out);                                        \
    }                                                                                              \
    MB_CHANNELS_CLASS(symbol, keras, parse_##symbol)

ADAPTIVE_CLASS(adaptive_max_pooling1d, "AdaptiveMaxPooling1D", 1, false);
ADAPTIVE_CLASS(adaptive_max_pooling2d, "AdaptiveMaxPooling2D", 2, false);
ADAPTIVE_CLASS(adaptive_max_pooling3d, "AdaptiveMaxPooling3D", 3, false);
ADAPTIVE_CLASS(adaptive_average_pooling1d, "AdaptiveAveragePooling1D", 1, true);
ADAPTIVE_CLASS(adaptive_average_pooling2d, "AdaptiveAveragePooling2D", 2, true);
ADAPTIVE_CLASS(adaptive_average_pooling3d, "AdaptiveAveragePooling3D", 3, true);
