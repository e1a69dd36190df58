/* The resnet preset (He et al. 2016, section 4.2): blocks of two convolutions, and a 1x1
 * convolution in the shortcut where shapes change. */
#include "model/preset_models.h"
#include "model/preset_net.h"

typedef mb_preset_tensor_t tensor_t;

static tensor_t rectified(mb_preset_net_t *net, const tensor_t *x)
{
    mb_preset_name_t name = mb_preset_next(net, "activation");
    return mb_preset_add_layer(net, "Activation", mb_preset_activation(name.text, "relu"), x, NULL,
                               x->shape);
}

static tensor_t stem(mb_preset_net_t *net, const tensor_t *x, int64_t filters, int64_t stride)
{
    tensor_t y = mb_preset_convolve_normalized(
        net, x, (mb_preset_window_t){filters, 3, stride, "linear", false, false});
    return rectified(net, &y);
}

/* The layers of both ways in turn, as Keras sorts them (by their distance from the output, then in
 * the order of the sum's inputs): it loads weights in that order. */
static tensor_t append_residual(mb_preset_net_t *net, const tensor_t *x, int64_t filters,
                                int64_t stride)
{
    bool same = stride == 1 && x->shape.dim[2] == filters;
    mb_preset_window_t second = {filters, 3, 1, "linear", false, false};
    mb_preset_window_t projection = {filters, 1, stride, "linear", false, false};
    tensor_t y = stem(net, x, filters, stride);
    tensor_t shortcut = same ? *x : mb_preset_convolve(net, x, projection);
    y = mb_preset_convolve(net, &y, second);
    shortcut = same ? *x : mb_preset_normalize(net, &shortcut);
    y = mb_preset_normalize(net, &y);
    mb_preset_name_t name = mb_preset_next(net, "add");
    tensor_t sum =
        mb_preset_add_layer(net, "Add", mb_preset_add(name.text), &shortcut, &y, y.shape);
    return rectified(net, &sum);
}

mb_status_t mb_preset_resnet(const mb_preset_settings_t *settings, json_t **out)
{
    mb_shape_t input = {0};
    int stages;
    int64_t filters[MB_PRESET_MAX_LIST], repeat, classes;
    MB_TRY(mb_preset_image(settings, &input));
    MB_TRY(mb_preset_filters(settings, &stages, filters));
    MB_TRY(mb_preset_int(settings, "repeat", 1, &repeat));
    MB_TRY(mb_preset_int(settings, "classes", 2, &classes));
    if (repeat > 100)
        return mb_preset_refuse(settings, "repeat", "at most 100 are written");
    mb_preset_net_t net = {.builder = {.layers = json_array()}};
    tensor_t x = mb_preset_add_image(&net, &input);
    x = stem(&net, &x, filters[0], 1);
    for (int i = 0; i < stages; i++)
        for (int64_t block = 0; block < repeat; block++)
            x = append_residual(&net, &x, filters[i], i > 0 && block == 0 ? 2 : 1);
    x = mb_preset_classify(&net, &x, classes);
    return mb_preset_finish(&net, &x, out);
}
