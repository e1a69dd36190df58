/* RandomContrast and RandomBrightness, each with a number u of every image's own:
 *
 *     contrast      y = clip((x - m) u + m), m: the mean of each channel
 *     brightness    y = clip(x + u)
 *
 * saved: the numbers, the means, and what is clipped. carry: the gradient of that, and its means.
 */
#include "model/layers/augment.h"

typedef struct {
    bool contrast, channels_first;
    double draw[2];  /* u */
    double range[2]; /* of values */
} tone_t;

/* Keras 2 clips contrast to these always. */
static mb_status_t take_range(mb_config_t *config, tone_t *out)
{
    static const double bytes[2] = {0.0, 255.0};
    bool given = mb_config_has(config, "value_range");
    for (int i = 0; i < 2; i++)
        out->range[i] = bytes[i];
    if (!given)
        mb_config_ignore(config, "value_range");
    return given ? mb_factor_take(config, "value_range", 0.0, out->range) : MB_OK;
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, bool contrast, tone_t **out)
{
    tone_t *tone = MB_ARENA_NEW(arena, tone_t);
    if (tone == NULL)
        return mb_error_memory("a layer", sizeof *tone);
    *out = tone;
    tone->contrast = contrast;
    mb_augment_ignore(config);
    MB_TRY(mb_image_take_format(config, &tone->channels_first));
    return take_range(config, tone);
}

/* One number stands for both sides in Keras 2, for the upper one in Keras 3. */
static mb_status_t parse_contrast(mb_config_t *config, mb_arena_t *arena, void **out)
{
    const json_t *factor = json_object_get(config->object, "factor");
    double given[2];
    tone_t *tone;
    MB_TRY(parse(config, arena, true, &tone));
    *out = tone;
    MB_TRY(mb_factor_take(config, "factor", config->keras2 ? -1.0 : 0.0, given));
    if (json_is_array(factor) && config->keras2)
        given[0] = json_number_value(json_array_get(factor, 0));
    if (json_is_array(factor) && config->keras2)
        given[1] = json_number_value(json_array_get(factor, 1));
    bool one = !json_is_array(factor);
    tone->draw[0] = 1.0 - (one ? -given[0] : given[0]);
    tone->draw[1] = 1.0 + given[1];
    return MB_OK;
}

static mb_status_t parse_brightness(mb_config_t *config, mb_arena_t *arena, void **out)
{
    double given[2];
    tone_t *tone;
    MB_TRY(parse(config, arena, false, &tone));
    *out = tone;
    MB_TRY(mb_factor_take(config, "factor", -1.0, given));
    for (int i = 0; i < 2; i++)
        tone->draw[i] = given[i] * (tone->range[1] - tone->range[0]);
    return MB_OK;
}

static const tone_t *tone_of(const mb_call_t *call)
{
    return call->layer->config;
}

static mb_status_t infer(mb_call_t *call)
{
    return mb_image_infer(call, tone_of(call)->channels_first, NULL);
}

/* Where the parts of a block stand: numbers, means, an image for each sample. */
typedef struct {
    size_t numbers, means, images, bytes;
} block_t;

static block_t block_of(const mb_call_t *call, int64_t samples)
{
    const tone_t *tone = tone_of(call);
    mb_image_t image = mb_image_of(&call->output, tone->channels_first);
    block_t at = {0};
    at.numbers = mb_block_add(&at.bytes, samples, call->output_type);
    at.means = mb_block_add(&at.bytes, samples * image.planes * image.inner, call->output_type);
    at.images =
        mb_block_add(&at.bytes, samples * mb_shape_elements(&call->output), call->output_type);
    return at;
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    size_t bytes = block_of(call, samples).bytes;
    *out = (mb_memory_t){.keeps_output = true, .saved_bytes = bytes, .carry_bytes = bytes};
}

/* ---- views: samples, planes, rows, columns, inner */

static mb_view_t image_view(const mb_run_t *run)
{
    mb_image_t image = mb_image_of(&run->call->output, tone_of(run->call)->channels_first);
    mb_shape_t shape = {4, {image.planes, image.size[0], image.size[1], image.inner}};
    return mb_view_of(run->samples, &shape);
}

static mb_view_t number_view(const mb_run_t *run)
{
    mb_view_t view = image_view(run);
    for (int d = 0; d < view.axes; d++)
        view.stride[d] = d == 0;
    return view;
}

static mb_view_t mean_view(const mb_run_t *run)
{
    mb_view_t view = image_view(run);
    view.stride[0] = view.dim[1] * view.dim[4];
    view.stride[1] = view.dim[4];
    view.stride[2] = view.stride[3] = 0;
    return view;
}

static mb_status_t apply(const mb_run_t *run, mb_map_t function, const void *x, mb_map_input_t by,
                         void *y)
{
    mb_map_call_t call = {.function = function,
                          .inputs = {mb_map_tensor(x, image_view(run)), by},
                          .view = image_view(run),
                          .y = y};
    return mb_run_strided(run, &call);
}

static mb_status_t mean(const mb_run_t *run, const void *x, void *y)
{
    mb_view_t view = mean_view(run);
    mb_map_call_t call = {.function = MB_MAP_COPY,
                          .inputs = {mb_map_tensor(x, image_view(run))},
                          .view = view,
                          .y = y,
                          .reduced = UINT32_C(1) << 2 | UINT32_C(1) << 3,
                          .scale = 1.0 / (double)(view.dim[2] * view.dim[3])};
    return mb_run_strided(run, &call);
}

/* ---- running */

static mb_status_t draw(const mb_run_t *run, void *numbers)
{
    const tone_t *tone = tone_of(run->call);
    mb_draw_args_t args = {.type = mb_run_type(run),
                           .draw = MB_DRAW_NUMBER,
                           .samples = run->samples,
                           .low = {(float)tone->draw[0]},
                           .high = {(float)tone->draw[1]},
                           .random = mb_augment_key(run),
                           .y = numbers};
    return mb_run_draw(run->exec, &args);
}

static mb_status_t clip(const mb_run_t *run, const void *x)
{
    const tone_t *tone = tone_of(run->call);
    mb_map_call_t call = {.function = MB_MAP_CLIP,
                          .inputs = {mb_map_tensor(x, image_view(run)),
                                     mb_map_constant((float)tone->range[0]),
                                     mb_map_constant((float)tone->range[1])},
                          .view = image_view(run),
                          .y = run->output};
    return mb_run_strided(run, &call);
}

static mb_status_t forward(const mb_run_t *run)
{
    block_t at = block_of(run->call, run->samples);
    const void *x = mb_run_input(run, 0);
    void *numbers = mb_bytes_at(run->saved, at.numbers), *z = mb_bytes_at(run->saved, at.images);
    void *means = mb_bytes_at(run->saved, at.means);
    mb_map_input_t number = mb_map_tensor(numbers, number_view(run));
    if (!run->training)
        return mb_run_copy(run, mb_shape_elements(&run->call->output), x, run->output);
    MB_TRY(draw(run, numbers));
    if (tone_of(run->call)->contrast) {
        MB_TRY(mean(run, x, means));
        MB_TRY(apply(run, MB_MAP_SUBTRACT, x, mb_map_tensor(means, mean_view(run)), z));
        MB_TRY(apply(run, MB_MAP_MULTIPLY, z, number, z));
        MB_TRY(apply(run, MB_MAP_ADD, z, mb_map_tensor(means, mean_view(run)), z));
    } else {
        MB_TRY(apply(run, MB_MAP_ADD, x, number, z));
    }
    return clip(run, z);
}

/* dz = dy where nothing was clipped. */
static mb_status_t unclip(const mb_run_t *run, const void *z, void *dz)
{
    mb_map_call_t call = {.function = MB_MAP_WHEN_EQUAL,
                          .inputs = {mb_map_tensor(run->grad_output, image_view(run)),
                                     mb_map_tensor(z, image_view(run)),
                                     mb_map_tensor(run->output, image_view(run))},
                          .view = image_view(run),
                          .y = dz};
    return mb_run_strided(run, &call);
}

/* dx = u (dz - mean(dz)) + mean(dz). */
static mb_status_t backward_input(const mb_run_t *run)
{
    block_t at = block_of(run->call, run->samples);
    void *dx = mb_run_grad_input(run, 0);
    void *dz = mb_bytes_at(run->carry, at.images), *means = mb_bytes_at(run->carry, at.means);
    mb_map_input_t number = mb_map_tensor(mb_bytes_at(run->saved, at.numbers), number_view(run));
    if (!run->training || !mb_run_wants_input(run, 0))
        return mb_run_pass_gradient(run);
    if (!tone_of(run->call)->contrast)
        return unclip(run, mb_bytes_at(run->saved, at.images), dx);
    MB_TRY(unclip(run, mb_bytes_at(run->saved, at.images), dz));
    MB_TRY(mean(run, dz, means));
    MB_TRY(apply(run, MB_MAP_SUBTRACT, dz, mb_map_tensor(means, mean_view(run)), dx));
    MB_TRY(apply(run, MB_MAP_MULTIPLY, dx, number, dx));
    return apply(run, MB_MAP_ADD, dx, mb_map_tensor(means, mean_view(run)), dx);
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double flops = 6.0 * (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){flops, flops, 0.0};
}

#define TONE(symbol, keras, parser)                                                                \
    const mb_layer_class_t mb_layer_##symbol = {.size = sizeof(mb_layer_class_t),                  \
                                                .name = keras,                                     \
                                                .parse = parser,                                   \
                                                .infer = infer,                                    \
                                                .memory = memory,                                  \
                                                .forward = forward,                                \
                                                .backward_input = backward_input,                  \
                                                .cost = cost}

TONE(random_contrast, "RandomContrast", parse_contrast);
TONE(random_brightness, "RandomBrightness", parse_brightness);
