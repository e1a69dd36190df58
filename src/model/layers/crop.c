/* CenterCrop and RandomCrop: a part of the image of a given size. RandomCrop takes it anywhere, the
 * same place for all samples of a step, from images that are larger. Where images are too small,
 * and RandomCrop's outside training, it is the largest part with the same aspect ratio, resized, as
 * Keras documents (Keras 3.15 leaves images as they are outside training, of another size than its
 * own shape inference says). */
#include <string.h>

#include "model/layers/augment.h"
#include "model/layers/cut.h"

typedef struct {
    bool random, keras2;
    int64_t size[2];
    mb_moving_t moving; /* and the data format */
} crop_t;

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, bool random, void **out)
{
    crop_t *crop = MB_ARENA_NEW(arena, crop_t);
    if (crop == NULL)
        return mb_error_memory("a layer", sizeof *crop);
    *out = crop;
    crop->random = random;
    crop->keras2 = config->keras2;
    crop->moving = (mb_moving_t){.nearest = true, .draw.draw = MB_DRAW_WINDOW};
    mb_augment_ignore(config);
    MB_TRY(mb_image_take_format(config, &crop->moving.channels_first));
    MB_TRY(mb_config_int(config, "height", 1, MB_LAYER_MAX_SIZE, &crop->size[0]));
    return mb_config_int(config, "width", 1, MB_LAYER_MAX_SIZE, &crop->size[1]);
}

static mb_status_t parse_center(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse(config, arena, false, out);
}

static mb_status_t parse_random(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse(config, arena, true, out);
}

static const crop_t *config_of(const mb_call_t *call)
{
    return call->layer->config;
}

static mb_status_t infer(mb_call_t *call)
{
    const crop_t *crop = config_of(call);
    return mb_image_infer(call, crop->moving.channels_first, crop->size);
}

/* Whether the image is larger by LEAST in both directions. */
static bool is_larger(const mb_call_t *call, int64_t least)
{
    const crop_t *crop = config_of(call);
    mb_image_t in = mb_image_of(&call->inputs[0], crop->moving.channels_first);
    return in.size[0] >= crop->size[0] + least && in.size[1] >= crop->size[1] + least;
}

static bool is_random(const mb_run_t *run)
{
    const crop_t *crop = config_of(run->call);
    return crop->random && run->training && is_larger(run->call, crop->keras2 ? 0 : 1);
}

/* Keras 3 cuts from the place of that part, but as much as the output has. */
static mb_cut_t small_cut(const mb_call_t *call)
{
    const crop_t *crop = config_of(call);
    mb_cut_t cut = mb_cut_of_ratio(call, crop->moving.channels_first);
    mb_image_t in = mb_image_of(&call->inputs[0], cut.channels_first);
    for (int i = 0; i < 2; i++) {
        int64_t left = in.size[i] - cut.first[i];
        cut.size[i] = crop->size[i] < left ? crop->size[i] : left;
    }
    return cut;
}

static mb_cut_t middle_cut(const mb_call_t *call)
{
    const crop_t *crop = config_of(call);
    mb_cut_t cut = {.channels_first = crop->moving.channels_first};
    mb_image_t in = mb_image_of(&call->inputs[0], cut.channels_first);
    for (int i = 0; i < 2; i++) {
        cut.size[i] = crop->size[i];
        cut.first[i] = (in.size[i] - crop->size[i]) / 2;
    }
    return cut;
}

static mb_cut_t cut_of(const mb_call_t *call, bool training)
{
    const crop_t *crop = config_of(call);
    if (!crop->random && is_larger(call, 0))
        return middle_cut(call);
    if (crop->random && training && !crop->keras2)
        return small_cut(call);
    return mb_cut_of_ratio(call, crop->moving.channels_first);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    mb_cut_t training = cut_of(call, true), other = cut_of(call, false);
    size_t bytes =
        larger(mb_cut_bytes(call, &training, samples), mb_cut_bytes(call, &other, samples));
    *out =
        (mb_memory_t){.saved_bytes = larger(bytes, mb_moving_bytes(samples)), .carry_bytes = bytes};
}

static mb_status_t forward(const mb_run_t *run)
{
    mb_cut_t cut = cut_of(run->call, run->training);
    if (is_random(run))
        return mb_moving_forward(run, &config_of(run->call)->moving);
    return mb_cut_forward(run, &cut, run->saved);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    mb_cut_t cut = cut_of(run->call, run->training);
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    if (is_random(run))
        return mb_moving_backward(run, &config_of(run->call)->moving);
    return mb_cut_backward(run, &cut, run->carry);
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double flops =
        4.0 * (double)(mb_shape_elements(&call->output) + mb_shape_elements(&call->inputs[0]));
    *out = (mb_cost_t){flops, flops, 0.0};
}

#define CROP(symbol, keras, parser)                                                                \
    const mb_layer_class_t mb_layer_##symbol = {.size = sizeof(mb_layer_class_t),                  \
                                                .name = keras,                                     \
                                                .parse = parser,                                   \
                                                .infer = infer,                                    \
                                                .memory = memory,                                  \
                                                .forward = forward,                                \
                                                .backward_input = backward_input,                  \
                                                .cost = cost}

CROP(center_crop, "CenterCrop", parse_center);
CROP(random_crop, "RandomCrop", parse_random);
