/* ConvLSTM1D, ConvLSTM2D and ConvLSTM3D: their config, shapes and parameters. */
#include "model/layers/conv_lstm.h"

#include <string.h>

#include "model/layers/channels.h"
#include "model/layers/conv.h"

static mb_status_t check_window(const mb_config_t *config, const mb_window_config_t *window)
{
    bool strided = false, dilated = false;
    for (int i = 0; i < MB_MAX_SPATIAL; i++) {
        strided = strided || window->stride[i] > 1;
        dilated = dilated || window->dilation[i] > 1;
    }
    return strided && dilated
               ? mb_error_set(MB_ERR_ARGUMENT,
                              "%s: keys 'strides' and 'dilation_rate' are both more than 1",
                              config->where)
               : MB_OK;
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, int spatial, void **out)
{
    mb_conv_lstm_t *c = MB_ARENA_NEW(arena, mb_conv_lstm_t);
    mb_channels_t channels;
    if (c == NULL)
        return mb_error_memory("a layer", sizeof(*c));
    *out = c;
    MB_TRY(mb_channels_take(config, NULL, &channels));
    c->channels_first = channels.first;
    MB_TRY(mb_window_take(config, "kernel_size", spatial, false, false, &c->window));
    MB_TRY(check_window(config, &c->window));
    return mb_recurrent_parse_convolved(config, &c->cell);
}

static mb_status_t parse_1d(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse(config, arena, 1, out);
}

static mb_status_t parse_2d(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse(config, arena, 2, out);
}

static mb_status_t parse_3d(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse(config, arena, 3, out);
}

static mb_conv_lstm_t *config_of(const mb_call_t *call)
{
    return call->layer->config;
}

/* DIMS without their first SKIP, with the channels last. */
static mb_shape_t image_of(const mb_shape_t *shape, int skip, bool channels_first)
{
    mb_shape_t image = {.rank = shape->rank - skip};
    for (int i = 0; i < image.rank; i++) {
        int from = channels_first ? (i + 1) % image.rank : i;
        image.dim[i] = shape->dim[skip + from];
    }
    return image;
}

mb_status_t mb_conv_lstm_image(const mb_call_t *call, int64_t channels, mb_call_t *out)
{
    const mb_conv_lstm_t *c = config_of(call);
    char text[MB_SHAPE_TEXT];
    if (call->inputs[0].rank != c->window.spatial + 2)
        return mb_call_error(call, MB_ERR_SHAPE, "takes samples of steps of images, found %s",
                             mb_shape_text(&call->inputs[0], text, sizeof(text)));
    *out = *call;
    out->n_inputs = 1;
    out->n_masks = 0;
    out->inputs[0] = image_of(&call->inputs[0], 1, c->channels_first);
    return mb_window_infer(&c->window, out, channels);
}

/* Of the states, as the model has them. */
static mb_status_t state_shape(const mb_call_t *call, mb_shape_t *out)
{
    const mb_conv_lstm_t *c = config_of(call);
    mb_call_t image;
    MB_TRY(mb_conv_lstm_image(call, c->cell.units, &image));
    *out = image.output;
    for (int i = 0; c->channels_first && i < out->rank; i++)
        out->dim[(i + 1) % out->rank] = image.output.dim[i];
    return MB_OK;
}

static mb_shape_t with_steps(int64_t steps, const mb_shape_t *state)
{
    mb_shape_t shape = {state->rank + 1, {steps}};
    memcpy(shape.dim + 1, state->dim, sizeof(int64_t) * (size_t)state->rank);
    return shape;
}

/* With the channels last, whatever the model has. */
static int kept(const mb_call_t *call, mb_shape_t shapes[MB_MAX_STATES])
{
    const mb_conv_lstm_t *c = config_of(call);
    mb_call_t image;
    if (!mb_recurrent_keeps(call, &c->cell))
        return 0;
    mb_conv_lstm_image(call, c->cell.units, &image); /* infer has seen it go well */
    shapes[0] = shapes[1] = image.output;
    return 2;
}

static int outputs(const mb_layer_t *layer)
{
    const mb_conv_lstm_t *c = layer->config;
    return c->cell.states ? 3 : 1;
}

mb_status_t mb_conv_lstm_pack(const mb_call_t *call, mb_packed_t *out)
{
    const mb_conv_lstm_t *c = config_of(call);
    mb_shape_t state, sequence;
    MB_TRY(state_shape(call, &state));
    sequence = with_steps(call->inputs[0].dim[0], &state);
    *out = (mb_packed_t){0};
    mb_packed_add(out, c->cell.sequences ? &sequence : &state);
    for (int i = 1; i < outputs(call->layer); i++)
        mb_packed_add(out, &state);
    return MB_OK;
}

static void part(const mb_call_t *call, int index, mb_shape_t *shape, int64_t *first)
{
    mb_packed_t packed;
    mb_conv_lstm_pack(call, &packed); /* infer has seen it go well */
    *shape = packed.shapes[index];
    *first = mb_packed_first(&packed, index);
}

static mb_status_t infer(mb_call_t *call)
{
    mb_packed_t packed;
    mb_shape_t state;
    MB_TRY(state_shape(call, &state));
    MB_TRY(mb_recurrent_check_mask(call));
    MB_TRY(mb_recurrent_check_states(call, 2, (mb_shape_t[]){state, state}));
    MB_TRY(mb_conv_lstm_pack(call, &packed));
    call->output_type = call->input_types[0];
    return mb_packed_infer(&packed, call);
}

static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list)
{
    mb_conv_lstm_t *c = config_of(call);
    const char *around;
    mb_call_t image;
    MB_TRY(mb_conv_lstm_image(call, c->cell.units, &image));
    MB_TRY(mb_call_take_width(&image, 0, &c->cell.width));
    MB_TRY(mb_param_list_enter(list, "conv_lstm_cell/", &around));
    MB_TRY(mb_conv_add_kernel(list, &c->cell.kernel, &c->window, c->cell.width, 4 * c->cell.units));
    MB_TRY(
        mb_conv_add_kernel(list, &c->cell.recurrent, &c->window, c->cell.units, 4 * c->cell.units));
    if (c->cell.use_bias)
        MB_TRY(mb_layer_add_param(list, &c->cell.bias, &(mb_shape_t){1, {4 * c->cell.units}}));
    mb_param_list_leave(list, around);
    return MB_OK;
}

static mb_status_t check(const mb_call_t *call)
{
    mb_call_t image;
    MB_TRY(mb_conv_lstm_image(call, config_of(call)->cell.units, &image));
    return mb_call_check_width(&image, 0, config_of(call)->cell.width);
}

static mb_mask_rule_t mask(const mb_call_t *call)
{
    return mb_recurrent_mask(&config_of(call)->cell);
}

#define CONV_LSTM(id, keras)                                                                       \
    const mb_layer_class_t mb_layer_conv_lstm##id = {                                              \
        .size = sizeof(mb_layer_class_t),                                                          \
        .name = keras,                                                                             \
        .parse = parse_##id,                                                                       \
        .infer = infer,                                                                            \
        .declare = declare,                                                                        \
        .check = check,                                                                            \
        .memory = mb_conv_lstm_memory,                                                             \
        .forward = mb_conv_lstm_forward,                                                           \
        .backward_input = mb_conv_lstm_backward_input,                                             \
        .backward_weights = mb_conv_lstm_backward_weights,                                         \
        .cost = mb_conv_lstm_cost,                                                                 \
        .outputs = outputs,                                                                        \
        .part = part,                                                                              \
        .mask = mask,                                                                              \
        .takes_masks = MB_TAKES_MASKS,                                                             \
        .takes_states = true,                                                                      \
        .states = kept}

CONV_LSTM(1d, "ConvLSTM1D");
CONV_LSTM(2d, "ConvLSTM2D");
CONV_LSTM(3d, "ConvLSTM3D");
