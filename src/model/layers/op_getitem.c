/* GetItem: x[:, 1:3, None, -1]. Axes are kept whole or in part, taken away by an index, or new. */
#include "model/layers/move.h"
#include "model/layers/operators.h"

#include <inttypes.h>
#include <string.h>

typedef enum { SLICE, INDEX, NEW_AXIS, ELLIPSIS } item_kind_t;

typedef struct {
    item_kind_t kind;
    bool has_start, has_stop;
    int64_t start, stop, step; /* INDEX: start */
} item_t;

enum { MOST_ITEMS = 2 * (1 + MB_MAX_RANK) };

typedef struct {
    int n;
    item_t items[MOST_ITEMS];
} index_key_t;

/* ---- reading */

static mb_status_t refuse(const mb_config_t *call, const char *why)
{
    return mb_error_set(MB_ERR_UNSUPPORTED, "%s: the index %s", call->where, why);
}

static bool read_bound(const json_t *config, const char *name, bool *has, int64_t *out)
{
    const json_t *value = json_object_get(config, name);
    *has = value != NULL && !json_is_null(value);
    *out = *has ? json_integer_value(value) : 0;
    return !*has || json_is_integer(value);
}

static mb_status_t read_slice(const mb_config_t *call, const json_t *config, item_t *item)
{
    bool has_step;
    item->kind = SLICE;
    bool good = read_bound(config, "start", &item->has_start, &item->start) &&
                read_bound(config, "stop", &item->has_stop, &item->stop) &&
                read_bound(config, "step", &has_step, &item->step);
    if (!good)
        return refuse(call, "has a bound that is no integer");
    item->step = has_step ? item->step : 1;
    return item->step > 0 ? MB_OK : refuse(call, "steps backwards; use keras.ops.flip");
}

static mb_status_t read_item(const mb_config_t *call, const json_t *value, item_t *item)
{
    const char *name = json_string_value(json_object_get(value, "class_name"));
    *item = (item_t){.kind = INDEX};
    if (json_is_null(value))
        item->kind = NEW_AXIS;
    else if (json_is_integer(value))
        item->start = json_integer_value(value);
    else if (name != NULL && strcmp(name, "__ellipsis__") == 0)
        item->kind = ELLIPSIS;
    else if (name != NULL && strcmp(name, "__slice__") == 0)
        return read_slice(call, json_object_get(value, "config"), item);
    else
        return refuse(call, "holds something else than integers, slices, None and ...");
    return MB_OK;
}

static mb_status_t read_key(const mb_config_t *call, const json_t *value, index_key_t *key)
{
    const json_t *tuple = json_object_get(value, "items"); /* of a __tuple__ */
    const json_t *list = json_is_array(value) ? value : tuple;
    size_t n = list != NULL ? json_array_size(list) : 1;
    if (n > MOST_ITEMS)
        return refuse(call, "is too long");
    for (size_t i = 0; i < n; i++)
        MB_TRY(
            read_item(call, list != NULL ? json_array_get(list, i) : value, &key->items[key->n++]));
    return MB_OK;
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    (void)config, (void)arena;
    *out = NULL;
    return MB_OK;
}

static mb_status_t parse_call(mb_config_t *call, mb_arena_t *arena, void **out)
{
    index_key_t *key = MB_ARENA_NEW(arena, index_key_t);
    if (key == NULL)
        return mb_error_memory("a call's arguments", sizeof *key);
    *out = key;
    mb_argument_take(call, 0, "x");
    MB_TRY(read_key(call, mb_argument_take(call, 1, "key"), key));
    return mb_arguments_end(call, 2);
}

/* ---- what it means for a tensor */

static const index_key_t *key_of(const mb_call_t *call)
{
    return call->call_config;
}

/* Axes of the tensor that the items other than the ellipsis use up. */
static int axes_used(const index_key_t *key)
{
    int used = 0;
    for (int i = 0; i < key->n; i++)
        used += key->items[i].kind == SLICE || key->items[i].kind == INDEX;
    return used;
}

/* Python's bounds of a slice over N elements: from the end where negative, held within. */
static int64_t bound(bool has, int64_t value, int64_t otherwise, int64_t n)
{
    if (!has)
        return otherwise;
    value = value < 0 ? value + n : value;
    return value < 0 ? 0 : value > n ? n : value;
}

static mb_status_t apply_slice(const mb_call_t *call, const item_t *item, int axis, mb_view_t *view)
{
    int64_t n = view->dim[axis];
    int64_t first = bound(item->has_start, item->start, 0, n);
    int64_t end = bound(item->has_stop, item->stop, n, n);
    if (end <= first)
        return mb_call_error(call, MB_ERR_SHAPE, "the index takes nothing of %" PRId64 " elements",
                             n);
    mb_view_slice(view, axis, first, item->step, (end - first + item->step - 1) / item->step);
    return MB_OK;
}

static mb_status_t apply_index(const mb_call_t *call, const item_t *item, int axis, mb_view_t *view)
{
    int64_t n = view->dim[axis], at = item->start < 0 ? item->start + n : item->start;
    if (at < 0 || at >= n)
        return mb_call_error(call, MB_ERR_SHAPE,
                             "index %" PRId64 " lies outside of %" PRId64 " elements", item->start,
                             n);
    mb_view_slice(view, axis, at, 1, 1);
    mb_view_remove(view, axis);
    return MB_OK;
}

/* Turns the view of the whole tensor into that of what is taken. */
static mb_status_t apply(const mb_call_t *call, mb_view_t *view)
{
    const index_key_t *key = key_of(call);
    int axis = 0, whole = view->axes - axes_used(key);
    for (int i = 0; i < key->n; i++) {
        const item_t *item = &key->items[i];
        if (item->kind == SLICE)
            MB_TRY(apply_slice(call, item, axis++, view));
        else if (item->kind == INDEX)
            MB_TRY(apply_index(call, item, axis, view));
        else if (item->kind == NEW_AXIS)
            mb_view_insert(view, axis++, 1, 0);
        else
            axis += whole;
    }
    return MB_OK;
}

/* The samples' axis stays whole and first. */
static bool keeps_samples(const index_key_t *key)
{
    const item_t *first = &key->items[0];
    return key->n > 0 && (first->kind == ELLIPSIS ||
                          (first->kind == SLICE && first->step == 1 && !first->has_stop &&
                           (!first->has_start || first->start == 0)));
}

static int count_ellipses(const index_key_t *key)
{
    int n = 0;
    for (int i = 0; i < key->n; i++)
        n += key->items[i].kind == ELLIPSIS;
    return n;
}

static mb_status_t check(const mb_call_t *call)
{
    const index_key_t *key = key_of(call);
    int axes = call->inputs[0].rank + 1, ellipses = count_ellipses(key);
    bool all = key->n > 0 && key->items[0].kind == ELLIPSIS && axes_used(key) >= axes;
    if (call->n_inputs != 1)
        return mb_call_error(call, MB_ERR_SHAPE, "takes 1 input, found %d", call->n_inputs);
    if (axes_used(key) > axes || ellipses > 1)
        return mb_call_error(call, MB_ERR_SHAPE, "the index names more axes than the tensor has");
    if (!keeps_samples(key) || all)
        return mb_call_error(
            call, MB_ERR_UNSUPPORTED,
            "the index must begin with ':', since samples are worked on one by one");
    if (axes - axes_used(key) + key->n > MB_LAYER_VIEW_AXES)
        return mb_call_error(call, MB_ERR_UNSUPPORTED, "the index makes too many axes");
    return MB_OK;
}

static mb_status_t infer(mb_call_t *call)
{
    MB_TRY(check(call));
    mb_view_t view = mb_view_of(1, &call->inputs[0]);
    MB_TRY(apply(call, &view));
    if (view.axes - 1 > MB_MAX_RANK)
        return mb_call_error(call, MB_ERR_UNSUPPORTED, "gives more than %d axes", MB_MAX_RANK);
    call->output_type = call->input_types[0];
    call->output = (mb_shape_t){.rank = view.axes - 1};
    for (int d = 1; d < view.axes; d++)
        call->output.dim[d - 1] = view.dim[d];
    return MB_OK;
}

static void move(const mb_call_t *call, int64_t samples, int64_t index, mb_move_t *out)
{
    (void)index;
    *out = (mb_move_t){.from = mb_view_of(samples, &call->inputs[0]),
                       .to = mb_view_of(samples, &call->output)};
    apply(call, &out->from); /* infer has seen it go well */
}

const mb_layer_class_t mb_operator_getitem = MB_MOVE_CLASS(
    "GetItem", parse, parse_call, infer, .count = mb_move_once, .move = move, .leaves = true);
