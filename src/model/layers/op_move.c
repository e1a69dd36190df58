/* Operations that move elements: transposing, joining, repeating, flipping, padding, and giving
 * axes of one element. GetItem is in op_getitem.c. */
#include "model/layers/move.h"
#include "model/layers/operators.h"

#include <inttypes.h>
#include <string.h>

typedef struct {
    int n;
    int64_t item[1 + MB_MAX_RANK];
} numbers_t;

typedef struct {
    numbers_t first, second; /* axes, repeats, sizes: what the class says */
    float value;
} setting_t;

static const setting_t *setting_of(const mb_call_t *call)
{
    return call->layer->config;
}

/* Rank with the samples' axis. */
static int rank_of(const mb_call_t *call)
{
    return call->inputs[0].rank + 1;
}

/* ---- reading */

static mb_status_t take_numbers(mb_config_t *config, const char *key, numbers_t *out)
{
    const json_t *value = mb_config_take(config, key);
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    out->n = 0;
    if (value == NULL || json_is_null(value))
        return MB_OK;
    if (n > 1 + MB_MAX_RANK)
        return mb_error_set(MB_ERR_UNSUPPORTED, "%s: key '%s' has more than %d entries",
                            config->where, key, 1 + MB_MAX_RANK);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_is_array(value) ? json_array_get(value, i) : value;
        bool open = json_is_null(item);
        if (!json_is_integer(item) && !open)
            return mb_error_set(MB_ERR_FORMAT, "%s: entry %zu of key '%s' is no integer",
                                config->where, i, key);
        int64_t number = open ? -1 : json_integer_value(item);
        if (number < -MB_LAYER_MAX_SIZE || number > MB_LAYER_MAX_SIZE)
            return mb_error_set(MB_ERR_ARGUMENT, "%s: key '%s' holds %" PRId64, config->where, key,
                                number);
        out->item[out->n++] = number;
    }
    return MB_OK;
}

static mb_status_t create(mb_arena_t *arena, void **out, setting_t **setting)
{
    *setting = MB_ARENA_NEW(arena, setting_t);
    *out = *setting;
    return *setting == NULL ? mb_error_memory("an operation", sizeof **setting) : MB_OK;
}

static mb_status_t expect_numbers(const mb_config_t *config, const char *key,
                                  const numbers_t *found, int least)
{
    if (found->n >= least)
        return MB_OK;
    return mb_error_set(MB_ERR_UNSUPPORTED, "%s: key '%s' must be given", config->where, key);
}

#define PARSE_ONE(name, key, least)                                                                \
    static mb_status_t parse_##name(mb_config_t *config, mb_arena_t *arena, void **out)            \
    {                                                                                              \
        setting_t *setting;                                                                        \
        MB_TRY(create(arena, out, &setting));                                                      \
        MB_TRY(take_numbers(config, key, &setting->first));                                        \
        return expect_numbers(config, key, &setting->first, least);                                \
    }
#define PARSE_TWO(name, key, other)                                                                \
    static mb_status_t parse_##name(mb_config_t *config, mb_arena_t *arena, void **out)            \
    {                                                                                              \
        setting_t *setting;                                                                        \
        MB_TRY(create(arena, out, &setting));                                                      \
        MB_TRY(take_numbers(config, key, &setting->first));                                        \
        MB_TRY(take_numbers(config, other, &setting->second));                                     \
        MB_TRY(expect_numbers(config, key, &setting->first, 1));                                   \
        return expect_numbers(config, other, &setting->second, 1);                                 \
    }
PARSE_ONE(transpose, "axes", 1)
PARSE_TWO(swapaxes, "axis1", "axis2")
PARSE_TWO(moveaxis, "source", "destination")
PARSE_ONE(expand_dims, "axis", 1)
PARSE_ONE(squeeze, "axis", 0)
PARSE_ONE(reshape, "newshape", 1)
PARSE_ONE(join, "axis", 1)
PARSE_ONE(flip, "axis", 1)
PARSE_ONE(broadcast_to, "shape", 1)
PARSE_ONE(tile, "repeats", 1)
PARSE_TWO(repeat, "axis", "repeats")

/* ---- a permutation of axes */

typedef void (*order_fn_t)(const mb_call_t *call, int *order);

static void move_axis(int *order, int from, int to)
{
    int moved = order[from];
    for (int d = from; d < to; d++)
        order[d] = order[d + 1];
    for (int d = from; d > to; d--)
        order[d] = order[d - 1];
    order[to] = moved;
}

static int place_of(int64_t axis, int rank)
{
    return (int)(axis < 0 ? axis + rank : axis);
}

static void order_of_transpose(const mb_call_t *call, int *order)
{
    for (int d = 0; d < rank_of(call); d++)
        order[d] = place_of(setting_of(call)->first.item[d], rank_of(call));
}

static void order_of_swapaxes(const mb_call_t *call, int *order)
{
    int a = place_of(setting_of(call)->first.item[0], rank_of(call));
    int b = place_of(setting_of(call)->second.item[0], rank_of(call));
    for (int d = 0; d < rank_of(call); d++)
        order[d] = d == a ? b : d == b ? a : d;
}

static void order_of_moveaxis(const mb_call_t *call, int *order)
{
    for (int d = 0; d < rank_of(call); d++)
        order[d] = d;
    move_axis(order, place_of(setting_of(call)->first.item[0], rank_of(call)),
              place_of(setting_of(call)->second.item[0], rank_of(call)));
}

static mb_status_t infer_order(mb_call_t *call, order_fn_t order_of)
{
    int order[1 + MB_MAX_RANK];
    bool seen[1 + MB_MAX_RANK] = {false};
    order_of(call, order);
    mb_call_keep_shape(call);
    for (int d = 0; d < rank_of(call); d++) {
        if (order[d] < 0 || order[d] >= rank_of(call) || seen[order[d]] ||
            (d == 0) != (order[d] == 0))
            return mb_call_error(call, MB_ERR_UNSUPPORTED,
                                 "its axes must be a permutation of 0 to %d that leaves 0, the "
                                 "samples, first",
                                 rank_of(call) - 1);
        seen[order[d]] = true;
        if (d > 0)
            call->output.dim[d - 1] = call->inputs[0].dim[order[d] - 1];
    }
    return MB_OK;
}

static mb_status_t expect_input(mb_call_t *call)
{
    if (call->n_inputs == 1)
        return MB_OK;
    return mb_call_error(call, MB_ERR_SHAPE, "takes 1 input, found %d", call->n_inputs);
}

static void move_by_order(const mb_call_t *call, int64_t samples, order_fn_t order_of,
                          mb_move_t *out)
{
    int order[1 + MB_MAX_RANK];
    order_of(call, order);
    *out = (mb_move_t){.from = mb_view_of(samples, &call->inputs[0]),
                       .to = mb_view_of(samples, &call->output)};
    mb_view_permute(&out->from, order);
}

static mb_status_t infer_transpose(mb_call_t *call)
{
    MB_TRY(expect_input(call));
    if (setting_of(call)->first.n != rank_of(call))
        return mb_call_error(call, MB_ERR_SHAPE, "permutes %d axes of a tensor that has %d",
                             setting_of(call)->first.n, rank_of(call));
    return infer_order(call, order_of_transpose);
}

static mb_status_t infer_swapaxes(mb_call_t *call)
{
    int axis;
    MB_TRY(expect_input(call));
    MB_TRY(mb_call_take_axis(call, setting_of(call)->first.item[0], rank_of(call), &axis));
    MB_TRY(mb_call_take_axis(call, setting_of(call)->second.item[0], rank_of(call), &axis));
    return infer_order(call, order_of_swapaxes);
}

static mb_status_t infer_moveaxis(mb_call_t *call)
{
    const setting_t *setting = setting_of(call);
    int axis;
    MB_TRY(expect_input(call));
    if (setting->first.n != 1 || setting->second.n != 1)
        return mb_call_error(call, MB_ERR_UNSUPPORTED, "moves one axis at a time");
    MB_TRY(mb_call_take_axis(call, setting->first.item[0], rank_of(call), &axis));
    MB_TRY(mb_call_take_axis(call, setting->second.item[0], rank_of(call), &axis));
    return infer_order(call, order_of_moveaxis);
}

#define MOVE_BY(name)                                                                              \
    static void move_##name(const mb_call_t *call, int64_t samples, int64_t index, mb_move_t *out) \
    {                                                                                              \
        (void)index;                                                                               \
        move_by_order(call, samples, order_of_##name, out);                                        \
    }
MOVE_BY(transpose)
MOVE_BY(swapaxes)
MOVE_BY(moveaxis)

/* ---- the same elements in another shape */

static void move_flat(const mb_call_t *call, int64_t samples, int64_t index, mb_move_t *out)
{
    mb_shape_t flat = {1, {mb_shape_elements(&call->output)}};
    (void)index;
    *out = (mb_move_t){.from = mb_view_of(samples, &flat), .to = mb_view_of(samples, &flat)};
}

static mb_status_t infer_expand_dims(mb_call_t *call)
{
    const numbers_t *axes = &setting_of(call)->first;
    MB_TRY(expect_input(call));
    mb_call_keep_shape(call);
    for (int i = 0; i < axes->n; i++) {
        int axis;
        MB_TRY(mb_call_take_axis(call, axes->item[i], call->output.rank + 2, &axis));
        if (call->output.rank == MB_MAX_RANK)
            return mb_call_error(call, MB_ERR_UNSUPPORTED, "gives more than %d axes", MB_MAX_RANK);
        for (int d = call->output.rank++; d > axis - 1; d--)
            call->output.dim[d] = call->output.dim[d - 1];
        call->output.dim[axis - 1] = 1;
    }
    return MB_OK;
}

static mb_status_t infer_squeeze(mb_call_t *call)
{
    const numbers_t *axes = &setting_of(call)->first;
    bool gone[1 + MB_MAX_RANK] = {false};
    MB_TRY(expect_input(call));
    for (int i = 0; i < axes->n; i++) {
        int axis;
        MB_TRY(mb_call_take_axis(call, axes->item[i], rank_of(call), &axis));
        gone[axis] = true;
        if (call->inputs[0].dim[axis - 1] != 1)
            return mb_call_error(call, MB_ERR_SHAPE, "axis %d has %" PRId64 " elements, not 1",
                                 axis, call->inputs[0].dim[axis - 1]);
    }
    call->output_type = call->input_types[0];
    call->output = (mb_shape_t){0};
    for (int d = 0; d < call->inputs[0].rank; d++) {
        bool away = axes->n == 0 ? call->inputs[0].dim[d] == 1 : gone[d + 1];
        if (!away)
            call->output.dim[call->output.rank++] = call->inputs[0].dim[d];
    }
    return MB_OK;
}

/* The first entry is the samples': -1, or what one other -1 leaves. */
static mb_status_t infer_reshape(mb_call_t *call)
{
    const numbers_t *shape = &setting_of(call)->first;
    char text[MB_SHAPE_TEXT];
    int64_t elements, known = 1;
    int open = -1;
    MB_TRY(expect_input(call));
    MB_TRY(mb_call_product(call, &call->inputs[0], 0, call->inputs[0].rank, &elements));
    call->output_type = call->input_types[0];
    call->output = (mb_shape_t){.rank = shape->n - 1};
    for (int d = 1; d < shape->n; d++) {
        call->output.dim[d - 1] = shape->item[d];
        open = shape->item[d] < 0 ? d - 1 : open;
        known *= shape->item[d] < 0 ? 1 : shape->item[d];
    }
    if (elements == MB_OPEN)
        return MB_OK;
    if (shape->item[0] < 0 && open < 0 && known == elements)
        return MB_OK;
    if (shape->item[0] < 0 && open >= 0 && known > 0 && elements % known == 0) {
        call->output.dim[open] = elements / known;
        return MB_OK;
    }
    return mb_call_error(call, MB_ERR_UNSUPPORTED,
                         "samples of shape %s cannot be reshaped so that they stay apart: "
                         "'newshape' must begin with -1 and keep what is in a sample",
                         mb_shape_text(&call->inputs[0], text, sizeof(text)));
}

/* ---- joining */

static int join_axis(const mb_call_t *call, int rank)
{
    return place_of(setting_of(call)->first.item[0], rank);
}

static mb_status_t infer_join(mb_call_t *call, int rank, bool stacks)
{
    char a[MB_SHAPE_TEXT], b[MB_SHAPE_TEXT];
    int axis;
    MB_TRY(mb_call_take_axis(call, setting_of(call)->first.item[0], rank, &axis));
    mb_call_keep_shape(call);
    for (int i = 1; i < call->n_inputs; i++) {
        const mb_shape_t *shape = &call->inputs[i];
        bool fits = shape->rank == call->output.rank;
        for (int d = 0; fits && d < shape->rank; d++)
            fits = shape->dim[d] == call->output.dim[d] || (!stacks && d == axis - 1);
        if (!fits || call->input_types[i] != call->input_types[0])
            return mb_call_error(call, MB_ERR_SHAPE, "%s and %s cannot be joined along axis %d",
                                 mb_shape_text(&call->inputs[0], a, sizeof(a)),
                                 mb_shape_text(shape, b, sizeof(b)), axis);
        if (!stacks)
            call->output.dim[axis - 1] += shape->dim[axis - 1];
    }
    return MB_OK;
}

static mb_status_t infer_concatenate(mb_call_t *call)
{
    return infer_join(call, rank_of(call), false);
}

static mb_status_t infer_stack(mb_call_t *call)
{
    MB_TRY(infer_join(call, rank_of(call) + 1, true));
    int axis = join_axis(call, rank_of(call) + 1) - 1;
    if (call->output.rank == MB_MAX_RANK)
        return mb_call_error(call, MB_ERR_UNSUPPORTED, "gives more than %d axes", MB_MAX_RANK);
    for (int d = call->output.rank++; d > axis; d--)
        call->output.dim[d] = call->output.dim[d - 1];
    call->output.dim[axis] = call->n_inputs;
    return MB_OK;
}

static void move_concatenate(const mb_call_t *call, int64_t samples, int64_t index, mb_move_t *out)
{
    int axis = join_axis(call, rank_of(call));
    int64_t before = 0;
    for (int64_t i = 0; i < index; i++)
        before += call->inputs[i].dim[axis - 1];
    *out = (mb_move_t){.input = (int)index,
                       .from = mb_view_of(samples, &call->inputs[index]),
                       .to = mb_view_of(samples, &call->output)};
    mb_view_slice(&out->to, axis, before, 1, call->inputs[index].dim[axis - 1]);
}

static void move_stack(const mb_call_t *call, int64_t samples, int64_t index, mb_move_t *out)
{
    int axis = join_axis(call, rank_of(call) + 1);
    *out = (mb_move_t){.input = (int)index,
                       .from = mb_view_of(samples, &call->inputs[index]),
                       .to = mb_view_of(samples, &call->output)};
    mb_view_slice(&out->to, axis, index, 1, 1);
    mb_view_remove(&out->to, axis);
}

/* ---- flipping: one move for each index of the axis, since views only step forwards */

static mb_status_t infer_flip(mb_call_t *call)
{
    int axis;
    MB_TRY(expect_input(call));
    mb_call_keep_shape(call);
    if (setting_of(call)->first.n != 1)
        return mb_call_error(call, MB_ERR_UNSUPPORTED, "flips one axis at a time");
    return mb_call_take_axis(call, setting_of(call)->first.item[0], rank_of(call), &axis);
}

static int64_t count_flip(const mb_call_t *call)
{
    return call->output.dim[join_axis(call, rank_of(call)) - 1];
}

static void move_flip(const mb_call_t *call, int64_t samples, int64_t index, mb_move_t *out)
{
    int axis = join_axis(call, rank_of(call));
    *out = (mb_move_t){.from = mb_view_of(samples, &call->inputs[0]),
                       .to = mb_view_of(samples, &call->output)};
    mb_view_slice(&out->from, axis, index, 1, 1);
    mb_view_slice(&out->to, axis, count_flip(call) - 1 - index, 1, 1);
}

/* ---- repeating */

static mb_status_t infer_repeat(mb_call_t *call)
{
    const setting_t *setting = setting_of(call);
    int axis;
    MB_TRY(expect_input(call));
    MB_TRY(mb_call_take_axis(call, setting->first.item[0], rank_of(call), &axis));
    if (setting->second.n != 1 || setting->second.item[0] < 1)
        return mb_call_error(call, MB_ERR_UNSUPPORTED,
                             "repeats each element as often as the others, "
                             "at least once");
    mb_call_keep_shape(call);
    call->output.dim[axis - 1] *=
        call->output.dim[axis - 1] == MB_OPEN ? 1 : setting->second.item[0];
    return MB_OK;
}

/* [n] repeated r times each is [n, r] */
static void move_repeat(const mb_call_t *call, int64_t samples, int64_t index, mb_move_t *out)
{
    int axis = join_axis(call, rank_of(call));
    int64_t times = setting_of(call)->second.item[0];
    (void)index;
    *out = (mb_move_t){.from = mb_view_of(samples, &call->inputs[0]),
                       .to = mb_view_of(samples, &call->output)};
    mb_view_insert(&out->from, axis + 1, times, 0);
    mb_view_insert(&out->to, axis + 1, times, out->to.stride[axis]);
    out->to.dim[axis] /= times;
    out->to.stride[axis] *= times;
}

static int64_t times_of(const mb_call_t *call, int axis)
{
    return setting_of(call)->first.item[axis];
}

static mb_status_t infer_tile(mb_call_t *call)
{
    const numbers_t *repeats = &setting_of(call)->first;
    MB_TRY(expect_input(call));
    if (repeats->n != rank_of(call) || repeats->item[0] != 1)
        return mb_call_error(
            call, MB_ERR_UNSUPPORTED,
            "'repeats' must name every axis of the tensor, with 1 for the samples");
    mb_call_keep_shape(call);
    for (int d = 0; d < call->output.rank; d++) {
        if (repeats->item[d + 1] < 1)
            return mb_call_error(call, MB_ERR_UNSUPPORTED, "repeats nothing along axis %d", d + 1);
        call->output.dim[d] *= call->output.dim[d] == MB_OPEN ? 1 : repeats->item[d + 1];
    }
    return MB_OK;
}

/* All of [n] r times over is [r, n]. */
static void move_tile(const mb_call_t *call, int64_t samples, int64_t index, mb_move_t *out)
{
    (void)index;
    *out = (mb_move_t){.from = mb_view_of(samples, &call->inputs[0]),
                       .to = mb_view_of(samples, &call->output)};
    for (int axis = rank_of(call) - 1; axis > 0; axis--) {
        int64_t times = times_of(call, axis), n = out->from.dim[axis];
        out->to.dim[axis] = n;
        mb_view_insert(&out->to, axis, times, out->to.stride[axis] * n);
        mb_view_insert(&out->from, axis, times, 0);
    }
}

static mb_status_t infer_broadcast_to(mb_call_t *call)
{
    const numbers_t *shape = &setting_of(call)->first;
    MB_TRY(expect_input(call));
    bool fits = shape->n == rank_of(call) && shape->item[0] < 0;
    mb_call_keep_shape(call);
    for (int d = 0; fits && d < call->output.rank; d++) {
        int64_t size = shape->item[d + 1];
        fits = size < 0 || size == call->output.dim[d] || call->output.dim[d] == 1;
        call->output.dim[d] = size < 0 ? call->output.dim[d] : size;
    }
    if (fits)
        return MB_OK;
    return mb_call_error(call, MB_ERR_UNSUPPORTED,
                         "'shape' must have the tensor's rank, begin with the samples' -1, and "
                         "differ only where the tensor has 1");
}

static void move_broadcast_to(const mb_call_t *call, int64_t samples, int64_t index, mb_move_t *out)
{
    (void)index;
    *out = (mb_move_t){.from = mb_view_of(samples, &call->inputs[0]),
                       .to = mb_view_of(samples, &call->output)};
    mb_view_broadcast(&out->from, &out->to);
}

/* ---- padding with a constant: sizes in front and behind, axis by axis */

static mb_status_t take_widths(mb_config_t *config, setting_t *setting)
{
    const json_t *widths = mb_config_take(config, "pad_width");
    for (size_t i = 0; i < json_array_size(widths) && i <= MB_MAX_RANK; i++) {
        const json_t *pair = json_array_get(widths, i);
        int64_t front = json_integer_value(json_array_get(pair, 0));
        int64_t back = json_integer_value(json_array_get(pair, 1));
        if (json_array_size(pair) != 2 || front < 0 || back < 0 || front > MB_LAYER_MAX_SIZE ||
            back > MB_LAYER_MAX_SIZE)
            return mb_error_set(MB_ERR_FORMAT, "%s: entry %zu of 'pad_width' is no pair of sizes",
                                config->where, i);
        setting->first.item[setting->first.n++] = front;
        setting->second.item[setting->second.n++] = back;
    }
    return MB_OK;
}

static mb_status_t parse_pad(mb_config_t *config, mb_arena_t *arena, void **out)
{
    setting_t *setting;
    MB_TRY(create(arena, out, &setting));
    MB_TRY(mb_config_only(config, "mode", "\"constant\""));
    return take_widths(config, setting);
}

static mb_status_t parse_pad_call(mb_config_t *call, mb_arena_t *arena, void **out)
{
    float *value = MB_ARENA_NEW(arena, float);
    const json_t *given = mb_argument_take(call, 1, "constant_values");
    if (value == NULL)
        return mb_error_memory("a call's arguments", sizeof *value);
    if (given != NULL && !json_is_number(given) && !json_is_null(given))
        return mb_error_set(MB_ERR_UNSUPPORTED, "%s: 'constant_values' must be one number",
                            call->where);
    *value = given == NULL ? 0.0f : (float)json_number_value(given);
    *out = value;
    return mb_arguments_end(call, 2);
}

static mb_status_t infer_pad(mb_call_t *call)
{
    const setting_t *setting = setting_of(call);
    MB_TRY(mb_call_expect(call, 1));
    mb_call_keep_shape(call);
    if (setting->first.n != rank_of(call) || setting->first.item[0] + setting->second.item[0] != 0)
        return mb_call_error(
            call, MB_ERR_UNSUPPORTED,
            "'pad_width' must name every axis of the tensor, with 0 for the samples");
    for (int d = 0; d < call->output.rank; d++) {
        if (call->output.dim[d] != MB_OPEN)
            call->output.dim[d] += setting->first.item[d + 1] + setting->second.item[d + 1];
    }
    return MB_OK;
}

static void move_pad(const mb_call_t *call, int64_t samples, int64_t index, mb_move_t *out)
{
    (void)index;
    *out = (mb_move_t){.from = mb_view_of(samples, &call->inputs[0]),
                       .to = mb_view_of(samples, &call->output)};
    for (int axis = 1; axis < rank_of(call); axis++)
        mb_view_slice(&out->to, axis, setting_of(call)->first.item[axis], 1,
                      call->inputs[0].dim[axis - 1]);
}

static float fill_pad(const mb_call_t *call)
{
    return *(const float *)call->call_config;
}

#define CLASS(keras, parser, inferrer, counter, mover)                                             \
    MB_MOVE_CLASS(keras, parser, mb_arguments_are_inputs, inferrer, .count = counter, .move = mover)

static const mb_layer_class_t classes[] = {
    CLASS("Transpose", parse_transpose, infer_transpose, mb_move_once, move_transpose),
    CLASS("Swapaxes", parse_swapaxes, infer_swapaxes, mb_move_once, move_swapaxes),
    CLASS("Moveaxis", parse_moveaxis, infer_moveaxis, mb_move_once, move_moveaxis),
    CLASS("ExpandDims", parse_expand_dims, infer_expand_dims, mb_move_once, move_flat),
    CLASS("Squeeze", parse_squeeze, infer_squeeze, mb_move_once, move_flat),
    CLASS("Reshape", parse_reshape, infer_reshape, mb_move_once, move_flat),
    CLASS("Concatenate", parse_join, infer_concatenate, mb_move_each_input, move_concatenate),
    CLASS("Stack", parse_join, infer_stack, mb_move_each_input, move_stack),
    CLASS("Flip", parse_flip, infer_flip, count_flip, move_flip),
    CLASS("Repeat", parse_repeat, infer_repeat, mb_move_once, move_repeat),
    CLASS("Tile", parse_tile, infer_tile, mb_move_once, move_tile),
    CLASS("BroadcastTo", parse_broadcast_to, infer_broadcast_to, mb_move_once, move_broadcast_to),
    MB_MOVE_CLASS("Pad", parse_pad, parse_pad_call, infer_pad, .count = mb_move_once,
                  .move = move_pad, .fill = fill_pad),
};
enum { N_CLASSES = sizeof classes / sizeof classes[0] };

const mb_layer_class_t *mb_operators_move(size_t index)
{
    if (index < N_CLASSES)
        return &classes[index];
    return index == N_CLASSES ? &mb_operator_getitem : NULL;
}
