/* Max or mean over all spatial positions, one value a channel; of one dimension with a mask the
 * mean is masked_mean.h's. */
#include "model/layers/channels.h"
#include "model/layers/masked_mean.h"

typedef struct {
    mb_channels_t channels; /* first */
    int spatial;
    bool average, keepdims;
} global_pool_t;

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
    global_pool_t *pool = MB_ARENA_NEW(arena, global_pool_t);
    if (pool == NULL)
        return mb_error_memory("a layer", sizeof(*pool));
    pool->spatial = spatial;
    pool->average = average;
    *out = pool;
    MB_TRY(mb_channels_take(config, &layer, &pool->channels));
    return mb_config_bool_or(config, "keepdims", false, &pool->keepdims);
}

static const global_pool_t *pool_of(const mb_call_t *call)
{
    return call->layer->config;
}

static mb_status_t check_mask(const mb_call_t *call)
{
    mb_shape_t positions = {1, {call->inputs[0].dim[0]}};
    bool fits = mb_shape_equal(&call->inputs[call->masks[0]], &positions);
    if (fits && !pool_of(call)->channels.first)
        return MB_OK;
    return mb_call_error(call, fits ? MB_ERR_UNSUPPORTED : MB_ERR_SHAPE,
                         fits ? "its input has a mask; then this build obeys only data_format "
                                "channels_last"
                              : "its mask has not one value for each step");
}

static mb_status_t infer(mb_call_t *call)
{
    const global_pool_t *pool = pool_of(call);
    int64_t channels = mb_shape_columns(&call->inputs[0]);
    MB_TRY(mb_call_expect_rank(call, pool->spatial + 1));
    if (call->masks[0] > 0)
        MB_TRY(check_mask(call));
    call->output_type = MB_F32;
    call->output = (mb_shape_t){1, {channels}};
    if (!pool->keepdims)
        return MB_OK;
    call->output = (mb_shape_t){pool->spatial + 1, {1, 1, 1}};
    call->output.dim[pool->spatial] = channels;
    return MB_OK;
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    *out = (mb_memory_t){0};
    if (call->masks[0] > 0)
        mb_masked_mean_memory(call, samples, out);
    out->keeps_input[0] = out->keeps_output = !pool_of(call)->average;
}

static mb_status_t forward(const mb_run_t *run)
{
    if (run->call->masks[0] > 0)
        return mb_masked_mean_forward(run);
    mb_global_pool_forward_args_t args = {.type = mb_run_type(run),
                                          .samples = run->samples,
                                          .positions = mb_shape_rows(&run->call->inputs[0]),
                                          .channels = mb_shape_columns(&run->call->inputs[0]),
                                          .average = pool_of(run->call)->average,
                                          .x = mb_run_input(run, 0),
                                          .y = run->output};
    return mb_run_global_pool_forward(run->exec, &args);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    bool average = pool_of(run->call)->average;
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    if (run->call->masks[0] > 0)
        return mb_masked_mean_backward(run);
    mb_global_pool_backward_args_t args = {.type = mb_run_type(run),
                                           .samples = run->samples,
                                           .positions = mb_shape_rows(&run->call->inputs[0]),
                                           .channels = mb_shape_columns(&run->call->inputs[0]),
                                           .average = average,
                                           .x = average ? NULL : mb_run_input(run, 0),
                                           .y = average ? NULL : run->output,
                                           .dy = run->grad_output,
                                           .dx = mb_run_grad_input(run, 0)};
    return mb_run_global_pool_backward(run->exec, &args);
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double traffic = 4.0 * (double)mb_shape_elements(&call->inputs[0]);
    *out = (mb_cost_t){traffic, traffic, 0.0};
}

#define GLOBAL_POOL_PARSER(symbol, spatial, average)                                               \
    static mb_status_t parse_##symbol(mb_config_t *config, mb_arena_t *arena, void **out)          \
    {                                                                                              \
        return parse(config, arena, spatial, average, out);                                        \
    }
#define GLOBAL_POOL_CLASS(symbol, keras, spatial, average)                                         \
    GLOBAL_POOL_PARSER(symbol, spatial, average)                                                   \
    MB_CHANNELS_CLASS(symbol, keras, parse_##symbol)

GLOBAL_POOL_CLASS(global_max_pooling1d, "GlobalMaxPooling1D", 1, false);
GLOBAL_POOL_CLASS(global_max_pooling2d, "GlobalMaxPooling2D", 2, false);
GLOBAL_POOL_CLASS(global_max_pooling3d, "GlobalMaxPooling3D", 3, false);
GLOBAL_POOL_CLASS(global_average_pooling2d, "GlobalAveragePooling2D", 2, true);
GLOBAL_POOL_CLASS(global_average_pooling3d, "GlobalAveragePooling3D", 3, true);

GLOBAL_POOL_PARSER(global_average_pooling1d, 1, true)
const mb_layer_class_t mb_layer_global_average_pooling1d = {.size = sizeof(mb_layer_class_t),
                                                            .name = "GlobalAveragePooling1D",
                                                            .parse = parse_global_average_pooling1d,
                                                            .infer = mb_channels_infer,
                                                            .memory = mb_channels_memory,
                                                            .forward = mb_channels_forward,
                                                            .backward_input =
                                                                mb_channels_backward_input,
                                                            .cost = mb_channels_cost,
                                                            .takes_masks = MB_TAKES_MASKS};
