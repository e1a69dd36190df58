/* The mobilenet preset (Sandler et al. 2018): blocks that widen, convolve each channel by itself
 * and narrow again, with a shortcut where shapes allow. */
#include "model/preset_models.h"
#include "model/preset_net.h"

typedef mb_preset_tensor_t tensor_t;

static tensor_t activated(mb_preset_net_t *net, const tensor_t *x, int64_t filters, int64_t size,
                          int64_t stride)
{
    tensor_t y = mb_preset_convolve_normalized(
        net, x, (mb_preset_window_t){filters, size, stride, "linear", false, false});
    mb_preset_name_t name = mb_preset_next(net, "re_lu");
    return mb_preset_add_layer(net, "ReLU", mb_preset_relu(name.text, 6.0), &y, NULL, y.shape);
}

static tensor_t append_block(mb_preset_net_t *net, const tensor_t *x, int64_t filters,
                             int64_t expansion, int64_t stride)
{
    tensor_t y = activated(net, x, expansion * x->shape.dim[2], 1, 1);
    y = activated(net, &y, 0, 3, stride);
    y = mb_preset_convolve_normalized(net, &y,
                                      (mb_preset_window_t){filters, 1, 1, "linear", false, false});
    if (stride != 1 || x->shape.dim[2] != filters)
        return y;
    mb_preset_name_t name = mb_preset_next(net, "add");
    return mb_preset_add_layer(net, "Add", mb_preset_add(name.text), x, &y, y.shape);
}

static tensor_t append_head(mb_preset_net_t *net, tensor_t x, int64_t classes)
{
    enum { HEAD = 4 }; /* times the last block's width, as 1280 is 320 */
    x = activated(net, &x, HEAD * x.shape.dim[2], 1, 1);
    return mb_preset_classify(net, &x, classes);
}

mb_status_t mb_preset_mobilenet(const mb_preset_settings_t *settings, json_t **out)
{
    mb_shape_t input = {0};
    int stages;
    int64_t filters[MB_PRESET_MAX_LIST], repeat, expansion, classes;
    MB_TRY(mb_preset_image(settings, &input));
    MB_TRY(mb_preset_filters(settings, &stages, filters));
    MB_TRY(mb_preset_int(settings, "repeat", 1, &repeat));
    MB_TRY(mb_preset_int(settings, "expansion", 1, &expansion));
    MB_TRY(mb_preset_int(settings, "classes", 2, &classes));
    if (repeat > 100)
        return mb_preset_refuse(settings, "repeat", "at most 100 are written");
    mb_preset_net_t net = {.builder = {.layers = json_array()}};
    tensor_t x = mb_preset_add_image(&net, &input);
    x = activated(&net, &x, filters[0], 3, 1);
    for (int i = 0; i < stages; i++)
        for (int64_t block = 0; block < repeat; block++)
            x = append_block(&net, &x, filters[i], expansion, i > 0 && block == 0 ? 2 : 1);
    x = append_head(&net, x, classes);
    return mb_preset_finish(&net, &x, out);
}
