/* RandomFlip, RandomTranslation, RandomRotation and RandomZoom: images of a batch each seen through
 * a transform of their own (ops.h, DRAW and AFFINE). */
#include <string.h>

#include "model/layers/augment.h"

static mb_status_t create(mb_config_t *config, mb_arena_t *arena, mb_draw_t draw, mb_moving_t **out)
{
    *out = MB_ARENA_NEW(arena, mb_moving_t);
    if (*out == NULL)
        return mb_error_memory("a layer", sizeof **out);
    (*out)->draw.draw = draw;
    mb_augment_ignore(config);
    return mb_image_take_format(config, &(*out)->channels_first);
}

static mb_status_t take_choice(mb_config_t *config, const char *key, const char *const *names,
                               const char *otherwise, int *out)
{
    const char *name;
    MB_TRY(mb_config_string_or(config, key, otherwise, &name));
    for (*out = 0; names[*out] != NULL; (*out)++) {
        if (strcmp(name, names[*out]) == 0)
            return MB_OK;
    }
    return mb_error_set(MB_ERR_ARGUMENT, "%s: key '%s' is '%s', which is not known", config->where,
                        key, name);
}

static mb_status_t take_filling(mb_config_t *config, mb_moving_t *out)
{
    static const char *const modes[] = {"constant", "nearest", "wrap", "reflect", NULL};
    static const char *const interpolations[] = {"bilinear", "nearest", NULL};
    int mode, interpolation;
    MB_TRY(take_choice(config, "fill_mode", modes, "reflect", &mode));
    MB_TRY(take_choice(config, "interpolation", interpolations, "bilinear", &interpolation));
    out->outside = (mb_outside_t)mode;
    out->nearest = interpolation == 1;
    return mb_config_real_or(config, "fill_value", 0.0, &out->value);
}

static mb_status_t take_range(mb_config_t *config, const char *key, mb_moving_t *out, int axis,
                              double by, double from)
{
    double factor[2];
    MB_TRY(mb_factor_take(config, key, -1.0, factor));
    out->draw.low[axis] = (float)(from + by * factor[0]);
    out->draw.high[axis] = (float)(from + by * factor[1]);
    return MB_OK;
}

/* Keras 3 turns rows and columns round together, Keras 2 each by itself. */
static mb_status_t parse_flip(mb_config_t *config, mb_arena_t *arena, void **out)
{
    static const char *const modes[] = {"horizontal_and_vertical", "vertical", "horizontal", NULL};
    mb_moving_t *moving;
    int mode;
    MB_TRY(create(config, arena, MB_DRAW_FLIP, &moving));
    *out = moving;
    MB_TRY(take_choice(config, "mode", modes, modes[0], &mode));
    moving->draw.flips[0] = mode != 2;
    moving->draw.flips[1] = mode != 1;
    moving->draw.tied = !config->keras2;
    moving->nearest = true;
    return MB_OK;
}

static mb_status_t parse_translation(mb_config_t *config, mb_arena_t *arena, void **out)
{
    mb_moving_t *moving;
    MB_TRY(create(config, arena, MB_DRAW_SHIFT, &moving));
    *out = moving;
    MB_TRY(take_range(config, "height_factor", moving, 0, 1.0, 0.0));
    MB_TRY(take_range(config, "width_factor", moving, 1, 1.0, 0.0));
    return take_filling(config, moving);
}

static mb_status_t parse_rotation(mb_config_t *config, mb_arena_t *arena, void **out)
{
    mb_moving_t *moving;
    MB_TRY(create(config, arena, MB_DRAW_TURN, &moving));
    *out = moving;
    MB_TRY(take_range(config, "factor", moving, 0, 1.0, 0.0));
    return take_filling(config, moving);
}

static mb_status_t parse_zoom(mb_config_t *config, mb_arena_t *arena, void **out)
{
    mb_moving_t *moving;
    MB_TRY(create(config, arena, MB_DRAW_ZOOM, &moving));
    *out = moving;
    MB_TRY(take_range(config, "height_factor", moving, 0, 1.0, 1.0));
    moving->draw.tied = !mb_config_has(config, "width_factor");
    mb_config_ignore(config, "width_factor");
    if (!moving->draw.tied)
        MB_TRY(take_range(config, "width_factor", moving, 1, 1.0, 1.0));
    return take_filling(config, moving);
}

static const mb_moving_t *moving_of(const mb_call_t *call)
{
    return call->layer->config;
}

static mb_status_t infer(mb_call_t *call)
{
    return mb_image_infer(call, moving_of(call)->channels_first, NULL);
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    (void)call;
    *out = (mb_memory_t){.saved_bytes = mb_moving_bytes(samples)};
}

static mb_status_t forward(const mb_run_t *run)
{
    if (run->training)
        return mb_moving_forward(run, moving_of(run->call));
    return mb_run_copy(run, mb_shape_elements(&run->call->output), mb_run_input(run, 0),
                       run->output);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    if (!run->training || !mb_run_wants_input(run, 0))
        return mb_run_pass_gradient(run);
    return mb_moving_backward(run, moving_of(run->call));
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double flops = 20.0 * (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){flops, flops, 0.0};
}

#define MOVE(symbol, keras, parser)                                                                \
    const mb_layer_class_t mb_layer_##symbol = {.size = sizeof(mb_layer_class_t),                  \
                                                .name = keras,                                     \
                                                .parse = parser,                                   \
                                                .infer = infer,                                    \
                                                .memory = memory,                                  \
                                                .forward = forward,                                \
                                                .backward_input = backward_input,                  \
                                                .cost = cost}

MOVE(random_flip, "RandomFlip", parse_flip);
MOVE(random_translation, "RandomTranslation", parse_translation);
MOVE(random_rotation, "RandomRotation", parse_rotation);
MOVE(random_zoom, "RandomZoom", parse_zoom);
