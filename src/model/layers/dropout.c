/* Dropout and SpatialDropout1D to 3D: in training y = x / (1 - rate) where kept, otherwise 0. The
 * layer's own seed is without effect: numbers follow from the run's seed, the step and the node.
 *
 * Where each run of elements of a sample has the same numbers (all the channels of a position, say)
 * they are drawn again in backward, and nothing is kept; other shapes of noise keep their mask. */
#include "model/layers/noise_shape.h"

#include <string.h>

typedef struct {
    double rate;
    int spatial; /* dimensions that a number holds along; 0: as the noise shape says */
    mb_noise_shape_t noise;
} dropout_t;

static mb_status_t create(mb_config_t *config, mb_arena_t *arena, dropout_t **out)
{
    dropout_t *dropout = *out = MB_ARENA_NEW(arena, dropout_t);
    if (dropout == NULL)
        return mb_error_memory("a layer", sizeof(*dropout));
    MB_TRY(mb_config_real(config, "rate", &dropout->rate));
    if (dropout->rate < 0.0 || dropout->rate > 1.0)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: key 'rate' is %g, it must lie from 0 to 1",
                            config->where, dropout->rate);
    mb_config_ignore(config, "seed");
    return MB_OK;
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    dropout_t *dropout;
    MB_TRY(create(config, arena, &dropout));
    *out = dropout;
    return mb_noise_shape_take(config, &dropout->noise);
}

/* 1 for the positions, as many as there are channels for those. */
static mb_status_t parse_spatial(mb_config_t *config, mb_arena_t *arena, int spatial, void **out)
{
    dropout_t *dropout;
    const char *format = "channels_last";
    MB_TRY(create(config, arena, &dropout));
    *out = dropout;
    if (spatial > 1)
        MB_TRY(mb_config_string_or(config, "data_format", format, &format));
    bool first = strcmp(format, "channels_first") == 0;
    if (!first && strcmp(format, "channels_last") != 0)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: key 'data_format' is \"%s\"; this build obeys \"channels_last\" "
                            "and \"channels_first\"",
                            config->where, format);
    dropout->spatial = spatial;
    dropout->noise = (mb_noise_shape_t){.given = true, .shape = {.rank = spatial + 1}};
    for (int d = 0; d <= spatial; d++)
        dropout->noise.shape.dim[d] = 1;
    dropout->noise.shape.dim[first ? 0 : spatial] = MB_OPEN;
    return MB_OK;
}

#define PARSE_SPATIAL(n)                                                                           \
    static mb_status_t parse_spatial##n(mb_config_t *config, mb_arena_t *arena, void **out)        \
    {                                                                                              \
        return parse_spatial(config, arena, n, out);                                               \
    }
PARSE_SPATIAL(1)
PARSE_SPATIAL(2)
PARSE_SPATIAL(3)

static const dropout_t *dropout_of(const mb_call_t *call)
{
    return call->layer->config;
}

static mb_status_t infer(mb_call_t *call)
{
    const dropout_t *dropout = dropout_of(call);
    MB_TRY(mb_call_infer_same(call));
    if (dropout->spatial > 0)
        return mb_call_expect_rank(call, dropout->spatial + 1);
    return mb_noise_shape_check(&dropout->noise, call);
}

/* How often a sample repeats its numbers, where those of one repeat lie side by side; else 0. */
static int64_t repeats_of(const mb_call_t *call)
{
    const mb_noise_shape_t *noise = &dropout_of(call)->noise;
    mb_shape_t shape = mb_noise_shape_of(noise, call);
    int64_t repeats = 1;
    int d = 0;
    for (; d < shape.rank && shape.dim[d] == 1; d++)
        repeats *= call->output.dim[d];
    for (; d < shape.rank && shape.dim[d] == call->output.dim[d]; d++)
        continue;
    return d == shape.rank && !noise->for_samples ? repeats : 0;
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    *out = (mb_memory_t){0};
    if (repeats_of(call) == 0)
        out->saved_bytes = mb_noise_mask_bytes(&dropout_of(call)->noise, call, samples);
}

static mb_status_t apply_repeated(const mb_run_t *run, int64_t repeats, const void *x, void *y)
{
    mb_dropout_args_t args = {.type = mb_run_type(run),
                              .samples = run->samples,
                              .elements = mb_shape_elements(&run->call->output) / repeats,
                              .rate = (float)dropout_of(run->call)->rate,
                              .random = run->random,
                              .x = x,
                              .y = y,
                              .repeats = repeats};
    args.random.purpose = MB_RANDOM_DROPOUT;
    return mb_run_dropout(run->exec, &args);
}

static mb_status_t apply_mask(const mb_run_t *run, const void *x, void *y)
{
    const dropout_t *dropout = dropout_of(run->call);
    mb_view_t view = mb_view_output(run);
    mb_map_call_t map = {
        .function = MB_MAP_WHEN,
        .inputs = {mb_map_tensor(x, view), mb_noise_mask(&dropout->noise, run, run->saved)},
        .view = view,
        .y = y,
        .scale = dropout->rate < 1.0 ? 1.0 / (1.0 - dropout->rate) : 1.0};
    return mb_run_strided(run, &map);
}

static bool is_idle(const mb_run_t *run)
{
    return !run->training || !(dropout_of(run->call)->rate > 0.0);
}

static mb_status_t forward(const mb_run_t *run)
{
    const dropout_t *dropout = dropout_of(run->call);
    int64_t repeats = repeats_of(run->call);
    const void *x = mb_run_input(run, 0);
    if (is_idle(run))
        return mb_run_copy(run, mb_shape_elements(&run->call->output), x, run->output);
    if (repeats > 0)
        return apply_repeated(run, repeats, x, run->output);
    MB_TRY(mb_noise_mask_draw(&dropout->noise, run, dropout->rate, run->saved));
    return apply_mask(run, x, run->output);
}

/* The mask is linear: backward on dy is forward on x. */
static mb_status_t backward_input(const mb_run_t *run)
{
    int64_t repeats = repeats_of(run->call);
    void *dx = mb_run_grad_input(run, 0);
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    if (is_idle(run))
        return mb_run_pass_gradient(run);
    return repeats > 0 ? apply_repeated(run, repeats, run->grad_output, dx)
                       : apply_mask(run, run->grad_output, dx);
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double flops = 20.0 * (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){flops, flops, 0.0};
}

#define DROPOUT_CLASS(symbol, keras, parser)                                                       \
    const mb_layer_class_t mb_layer_##symbol = {.size = sizeof(mb_layer_class_t),                  \
                                                .name = keras,                                     \
                                                .parse = parser,                                   \
                                                .infer = infer,                                    \
                                                .memory = memory,                                  \
                                                .forward = forward,                                \
                                                .backward_input = backward_input,                  \
                                                .cost = cost,                                      \
                                                .mask = mb_mask_passes}

DROPOUT_CLASS(dropout, "Dropout", parse);
DROPOUT_CLASS(spatial_dropout1d, "SpatialDropout1D", parse_spatial1);
DROPOUT_CLASS(spatial_dropout2d, "SpatialDropout2D", parse_spatial2);
DROPOUT_CLASS(spatial_dropout3d, "SpatialDropout3D", parse_spatial3);
