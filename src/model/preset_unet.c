/* The unet preset (Ronneberger et al. 2015): two convolutions a level, down by pooling and up by
 * transposed convolutions, each level beside the one that comes up. */
#include "model/preset_models.h"
#include "model/preset_net.h"

#include <stdio.h>

typedef mb_preset_tensor_t tensor_t;

static tensor_t convolve_twice(mb_preset_net_t *net, const tensor_t *x, int64_t filters)
{
    mb_preset_window_t window = {filters, 3, 1, "relu", true, false};
    tensor_t once = mb_preset_convolve(net, x, window);
    return mb_preset_convolve(net, &once, window);
}

static tensor_t pool(mb_preset_net_t *net, const tensor_t *x)
{
    mb_shape_t output = {3, {x->shape.dim[0] / 2, x->shape.dim[1] / 2, x->shape.dim[2]}};
    mb_preset_name_t name = mb_preset_next(net, "max_pooling2d");
    return mb_preset_add_layer(net, "MaxPooling2D", mb_preset_max_pooling2d(name.text), x, NULL,
                               output);
}

static tensor_t join(mb_preset_net_t *net, const tensor_t *a, const tensor_t *b)
{
    mb_shape_t output = a->shape;
    mb_preset_name_t name = mb_preset_next(net, "concatenate");
    output.dim[2] += b->shape.dim[2];
    return mb_preset_add_layer(net, "Concatenate", mb_preset_concatenate(name.text), a, b, output);
}

static tensor_t append_unet(mb_preset_net_t *net, tensor_t x, int levels, const int64_t *filters)
{
    tensor_t level[MB_PRESET_MAX_LIST];
    for (int i = 0; i < levels; i++) {
        level[i] = convolve_twice(net, &x, filters[i]);
        x = i + 1 < levels ? pool(net, &level[i]) : level[i];
    }
    for (int i = levels - 2; i >= 0; i--) {
        tensor_t up = mb_preset_convolve(
            net, &x, (mb_preset_window_t){filters[i], 2, 2, "linear", true, true});
        tensor_t both = join(net, &level[i], &up);
        x = convolve_twice(net, &both, filters[i]);
    }
    return x;
}

mb_status_t mb_preset_unet(const mb_preset_settings_t *settings, json_t **out)
{
    mb_shape_t input = {0};
    int levels;
    int64_t filters[MB_PRESET_MAX_LIST], classes;
    MB_TRY(mb_preset_image(settings, &input));
    MB_TRY(mb_preset_filters(settings, &levels, filters));
    MB_TRY(mb_preset_int(settings, "classes", 2, &classes));
    if (levels > 30)
        return mb_preset_refuse(settings, "filters", "at most 30 levels are written");
    int64_t multiple = INT64_C(1) << (levels - 1);
    char wanted[96];
    snprintf(wanted, sizeof(wanted),
             "each entry of filters but one halves the image: multiples of %lld are wanted",
             (long long)multiple);
    if (input.dim[0] % multiple != 0 || input.dim[1] % multiple != 0)
        return mb_preset_refuse(settings, "input", wanted);
    mb_preset_net_t net = {.builder = {.layers = json_array()}};
    tensor_t x = mb_preset_add_image(&net, &input);
    x = append_unet(&net, x, levels, filters);
    x = mb_preset_convolve(&net, &x, (mb_preset_window_t){classes, 1, 1, "linear", true, false});
    return mb_preset_finish(&net, &x, out);
}
