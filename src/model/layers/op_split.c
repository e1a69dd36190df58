/* Split and Unstack: parts of a tensor along an axis, each of them a call of its own that takes out
 * what is its. Unstack's parts lose the axis. */
#include "model/layers/move.h"
#include "model/layers/operators.h"

#include <inttypes.h>

enum { MOST_BOUNDS = 63 };

typedef struct {
    bool stacked; /* Unstack */
    int64_t axis;
    int64_t equal; /* how many parts of one size; 0: by bounds; of Unstack: as many as there are */
    int n;
    int64_t bounds[MOST_BOUNDS]; /* where all parts but the first begin */
} split_t;

static const split_t *split_of(const mb_call_t *call)
{
    return call->layer->config;
}

static mb_status_t take_bounds(mb_config_t *config, const char *key, bool sizes, split_t *out)
{
    const json_t *list = mb_config_take(config, key);
    size_t n = json_array_size(list);
    if (!json_is_array(list))
        return mb_config_int(config, key, 1, MOST_BOUNDS + 1, &out->equal);
    if (n > MOST_BOUNDS)
        return mb_error_set(MB_ERR_UNSUPPORTED, "%s: key '%s' has more than %d entries",
                            config->where, key, MOST_BOUNDS);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, i);
        int64_t value = json_integer_value(item);
        int64_t before = i == 0 ? 0 : out->bounds[i - 1];
        if (!json_is_integer(item) || value < 0 || value > MB_LAYER_MAX_SIZE ||
            (!sizes && value < before))
            return mb_error_set(MB_ERR_UNSUPPORTED,
                                "%s: entry %zu of key '%s' must be an integer, none below the one "
                                "before",
                                config->where, i, key);
        out->bounds[i] = sizes ? before + value : value;
    }
    out->n = (int)n - sizes; /* the last size says nothing */
    return MB_OK;
}

static mb_status_t create(mb_config_t *config, mb_arena_t *arena, void **out, split_t **split)
{
    *out = *split = MB_ARENA_NEW(arena, split_t);
    if (*split == NULL)
        return mb_error_memory("an operation", sizeof **split);
    return mb_config_int_or(config, "axis", -MB_MAX_RANK - 1, MB_MAX_RANK, 0, &(*split)->axis);
}

/* TensorFlow names sizes, or a number of parts. */
static mb_status_t parse_split(mb_config_t *config, mb_arena_t *arena, void **out)
{
    split_t *split;
    bool sizes = mb_config_has(config, "num_or_size_splits");
    MB_TRY(create(config, arena, out, &split));
    return take_bounds(config, sizes ? "num_or_size_splits" : "indices_or_sections", sizes, split);
}

static mb_status_t parse_unstack(mb_config_t *config, mb_arena_t *arena, void **out)
{
    split_t *split;
    MB_TRY(create(config, arena, out, &split));
    split->stacked = true;
    if (mb_config_has(config, "num"))
        return mb_config_int(config, "num", 1, MOST_BOUNDS + 1, &split->equal);
    mb_config_ignore(config, "num");
    return MB_OK;
}

static int outputs(const mb_layer_t *layer)
{
    const split_t *split = layer->config;
    return split->stacked || split->equal > 0 ? (int)split->equal : split->n + 1;
}

typedef struct {
    int axis; /* with the samples' */
    int64_t first, count;
} span_t;

/* Of a call that infer has seen. */
static span_t span_of(const mb_call_t *call)
{
    const split_t *split = split_of(call);
    int axis = (int)(split->axis < 0 ? split->axis + call->inputs[0].rank + 1 : split->axis);
    int64_t n = call->inputs[0].dim[axis - 1], part = call->part;
    int64_t parts = split->stacked ? n : split->equal;
    if (parts > 0)
        return (span_t){axis, part * (n / parts), n / parts};
    int64_t first = part == 0 ? 0 : split->bounds[part - 1];
    int64_t end = part == split->n ? n : split->bounds[part];
    return (span_t){axis, first, end - first};
}

static mb_status_t check(const mb_call_t *call, int64_t n)
{
    const split_t *split = split_of(call);
    if (split->stacked && (call->part >= n || (split->equal > 0 && split->equal != n)))
        return mb_call_error(call, MB_ERR_SHAPE,
                             "there are %" PRId64 " elements along the axis, not %" PRId64, n,
                             split->equal > 0 ? split->equal : call->part + 1);
    if (!split->stacked && split->equal > 0 && n % split->equal != 0)
        return mb_call_error(call, MB_ERR_SHAPE,
                             "%" PRId64 " elements cannot be divided into %" PRId64 " parts", n,
                             split->equal);
    span_t span = span_of(call);
    return span.count > 0 && span.first + span.count <= n
               ? MB_OK
               : mb_call_error(call, MB_ERR_SHAPE,
                               "part %d takes nothing of the %" PRId64 " elements along the axis",
                               call->part, n);
}

static mb_status_t infer(mb_call_t *call)
{
    int axis;
    if (call->n_inputs != 1)
        return mb_call_error(call, MB_ERR_SHAPE, "takes 1 input, found %d", call->n_inputs);
    MB_TRY(mb_call_take_axis(call, split_of(call)->axis, call->inputs[0].rank + 1, &axis));
    mb_call_keep_shape(call);
    if (call->inputs[0].dim[axis - 1] == MB_OPEN)
        return mb_call_error(call, MB_ERR_SHAPE, "the axis must have a known size");
    MB_TRY(check(call, call->inputs[0].dim[axis - 1]));
    call->output.dim[axis - 1] = span_of(call).count;
    if (!split_of(call)->stacked)
        return MB_OK;
    call->output.rank--;
    for (int d = axis - 1; d < call->output.rank; d++)
        call->output.dim[d] = call->output.dim[d + 1];
    return MB_OK;
}

static void move(const mb_call_t *call, int64_t samples, int64_t index, mb_move_t *out)
{
    span_t span = span_of(call);
    (void)index;
    *out = (mb_move_t){.from = mb_view_of(samples, &call->inputs[0]),
                       .to = mb_view_of(samples, &call->output)};
    mb_view_slice(&out->from, span.axis, span.first, 1, span.count);
    if (split_of(call)->stacked)
        mb_view_remove(&out->from, span.axis);
}

#define CLASS(keras, parser)                                                                       \
    {                                                                                              \
        .size = sizeof(mb_layer_class_t), .name = keras,                                           \
        .kind = &(const mb_moves_t){.count = mb_move_once, .move = move, .leaves = true},          \
        .parse = parser, .parse_call = mb_arguments_are_inputs, .infer = infer,                    \
        .memory = mb_call_keeps_nothing, .forward = mb_move_forward,                               \
        .backward_input = mb_move_backward, .cost = mb_move_cost, .outputs = outputs               \
    }

static const mb_layer_class_t classes[] = {CLASS("Split", parse_split),
                                           CLASS("Unstack", parse_unstack)};

const mb_layer_class_t *mb_operators_split(size_t index)
{
    return index < sizeof classes / sizeof classes[0] ? &classes[index] : NULL;
}
