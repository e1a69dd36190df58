/* UpSampling1D to 3D and Resizing: the image is resampled along each dimension (ops.h, resample).
 * Both are linear, so backward is the transposed matrix. */
#include <string.h>

#include "model/layers/channels.h"
#include "model/layers/passes.h"

typedef struct {
    mb_channels_t channels; /* first */
    int spatial;
    bool scales;                  /* by size, or to size */
    int64_t size[MB_MAX_SPATIAL]; /* the last SPATIAL of them */
    mb_filter_t filter;
    bool antialias;
} resize_t;

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

static mb_status_t take_filter(mb_config_t *config, const char *otherwise, mb_filter_t *out)
{
    static const char *const names[MB_FILTER_COUNT] = {"nearest", "bilinear", "bicubic", "lanczos3",
                                                       "lanczos5"};
    const char *text;
    MB_TRY(mb_config_string_or(config, "interpolation", otherwise, &text));
    for (*out = MB_FILTER_NEAREST; *out < MB_FILTER_COUNT; (*out)++)
        if (strcmp(text, names[*out]) == 0)
            return MB_OK;
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "%s: key 'interpolation' is \"%s\"; this build obeys \"nearest\", "
                        "\"bilinear\", \"bicubic\", \"lanczos3\" and \"lanczos5\"",
                        config->where, text);
}

static mb_status_t create(mb_config_t *config, mb_arena_t *arena, int spatial, resize_t **out)
{
    *out = MB_ARENA_NEW(arena, resize_t);
    if (*out == NULL)
        return mb_error_memory("a layer", sizeof(**out));
    (*out)->spatial = spatial;
    return mb_channels_take(config, &layer, &(*out)->channels);
}

static mb_status_t parse_up(mb_config_t *config, mb_arena_t *arena, int spatial, void **out)
{
    static const int64_t twos[MB_MAX_SPATIAL] = {2, 2, 2};
    resize_t *resize;
    MB_TRY(create(config, arena, spatial, &resize));
    resize->scales = true;
    *out = resize;
    if (spatial == 2)
        MB_TRY(take_filter(config, "nearest", &resize->filter));
    return mb_window_take_sizes(config, "size", spatial, MB_LAYER_MAX_WINDOW, twos, resize->size);
}

static mb_status_t parse_1d(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse_up(config, arena, 1, out);
}

static mb_status_t parse_2d(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse_up(config, arena, 2, out);
}

static mb_status_t parse_3d(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse_up(config, arena, 3, out);
}

static mb_status_t parse_resizing(mb_config_t *config, mb_arena_t *arena, void **out)
{
    resize_t *resize;
    MB_TRY(create(config, arena, 2, &resize));
    MB_TRY(mb_config_int(config, "height", 1, MB_LAYER_MAX_SIZE, &resize->size[1]));
    MB_TRY(mb_config_int(config, "width", 1, MB_LAYER_MAX_SIZE, &resize->size[2]));
    MB_TRY(take_filter(config, "bilinear", &resize->filter));
    MB_TRY(mb_config_bool_or(config, "antialias", false, &resize->antialias));
    MB_TRY(mb_config_only(config, "crop_to_aspect_ratio", "false"));
    MB_TRY(mb_config_only(config, "pad_to_aspect_ratio", "false"));
    mb_config_ignore(config, "fill_mode"); /* of the padding */
    mb_config_ignore(config, "fill_value");
    *out = resize;
    return MB_OK;
}

static const resize_t *resize_of(const mb_call_t *call)
{
    return call->layer->config;
}

static mb_status_t infer(mb_call_t *call)
{
    const resize_t *resize = resize_of(call);
    MB_TRY(mb_call_expect_rank(call, resize->spatial + 1));
    mb_call_keep_shape(call);
    for (int i = 0; i < resize->spatial; i++) {
        int64_t size = resize->size[i + MB_MAX_SPATIAL - resize->spatial],
                *n = &call->output.dim[i];
        if (!resize->scales)
            *n = size;
        else if (*n != MB_OPEN)
            *n *= size;
    }
    return MB_OK;
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    *out = (mb_memory_t){0};
    mb_passes_memory(call, samples, out);
}

static mb_status_t resample(const mb_run_t *run, const mb_pass_t *pass, bool transposed,
                            const void *x, void *y)
{
    const resize_t *resize = resize_of(run->call);
    mb_resample_args_t args = {.type = mb_run_type(run),
                               .filter = resize->filter,
                               .antialias = resize->antialias,
                               .transposed = transposed,
                               .outer = pass->outer,
                               .in = pass->in,
                               .out = pass->out,
                               .inner = pass->inner,
                               .x = x,
                               .y = y};
    return mb_run_resample(run->exec, &args);
}

static mb_status_t resample_forward(const mb_run_t *run, const mb_pass_t *pass, const void *x,
                                    void *y)
{
    return resample(run, pass, false, x, y);
}

static mb_status_t resample_backward(const mb_run_t *run, const mb_pass_t *pass, const void *x,
                                     const void *y, const void *dy, void *dx)
{
    (void)x;
    (void)y;
    return resample(run, pass, true, dy, dx);
}

static const mb_pass_work_t work = {resample_forward, resample_backward};

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
    static const double taps[MB_FILTER_COUNT] = {1.0, 2.0, 4.0, 6.0, 10.0};
    double flops = 2.0 * taps[resize_of(call)->filter] *
                   (double)(mb_shape_elements(&call->inputs[0]) + mb_shape_elements(&call->output));
    *out = (mb_cost_t){flops, flops, 0.0};
}

MB_CHANNELS_CLASS(up_sampling1d, "UpSampling1D", parse_1d);
MB_CHANNELS_CLASS(up_sampling2d, "UpSampling2D", parse_2d);
MB_CHANNELS_CLASS(up_sampling3d, "UpSampling3D", parse_3d);
MB_CHANNELS_CLASS(resizing, "Resizing", parse_resizing);
