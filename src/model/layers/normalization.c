/* Normalization: y = (x - mean) / max(sqrt(variance), 1e-7), or the other way round, with a mean
 * and a variance for each place along some axes. They are weights that are not trained, which adapt
 * sets in Keras, or numbers of the config.
 *
 * saved, carry: the deviation. */
#include "model/layers/view.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    int n_axes;
    int64_t axes[MB_MAX_RANK];
    bool inverse;
    mb_numbers_t mean, variance; /* of the config */
    mb_shape_t declared;         /* what the weights were declared for */
} normalization_t;

enum { MEAN, VARIANCE };

static const double least_deviation = 1e-7; /* keras.config.epsilon() */

/* ---- config */

/* An axis, a list of them, or null: none. */
static mb_status_t take_axes(mb_config_t *config, normalization_t *out)
{
    const json_t *value = mb_config_take(config, "axis");
    out->n_axes = json_is_array(value) ? (int)json_array_size(value) : 1;
    out->axes[0] = -1;
    if (json_is_null(value))
        out->n_axes = 0;
    if (value == NULL || json_is_null(value))
        return MB_OK;
    bool good = out->n_axes <= MB_MAX_RANK;
    for (int i = 0; good && i < out->n_axes; i++) {
        const json_t *item = json_is_array(value) ? json_array_get(value, (size_t)i) : value;
        good = json_is_integer(item);
        out->axes[i] = json_integer_value(item);
    }
    return good ? MB_OK
                : mb_error_set(MB_ERR_FORMAT,
                               "%s: key 'axis' must be an axis, a list of them or null",
                               config->where);
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    normalization_t *n = MB_ARENA_NEW(arena, normalization_t);
    if (n == NULL)
        return mb_error_memory("a layer", sizeof *n);
    *out = n;
    MB_TRY(take_axes(config, n));
    MB_TRY(mb_config_bool_or(config, "invert", false, &n->inverse));
    MB_TRY(mb_layer_take_numbers(config, "mean", arena, &n->mean));
    MB_TRY(mb_layer_take_numbers(config, "variance", arena, &n->variance));
    if (mb_shape_equal(&n->mean.shape, &n->variance.shape) && n->mean.n == n->variance.n)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "%s: keys 'mean' and 'variance' must be given together, in the same shape",
                        config->where);
}

static normalization_t *config_of(const mb_call_t *call)
{
    return call->layer->config;
}

static bool has_weights(const normalization_t *n)
{
    return n->mean.values == NULL;
}

/* ---- shapes */

/* Which of the sample's axes have a mean each. */
static mb_status_t find_axes(const mb_call_t *call, bool kept[MB_MAX_RANK])
{
    const normalization_t *n = config_of(call);
    int rank = call->inputs[0].rank + 1;
    memset(kept, 0, MB_MAX_RANK * sizeof *kept);
    for (int i = 0; i < n->n_axes; i++) {
        int64_t axis = n->axes[i] < 0 ? n->axes[i] + rank : n->axes[i];
        if (axis == 0)
            return mb_call_error(call, MB_ERR_UNSUPPORTED,
                                 "key 'axis' has %" PRId64 ", that of the samples", n->axes[i]);
        if (axis < 0 || axis >= rank)
            return mb_call_error(call, MB_ERR_SHAPE,
                                 "key 'axis' has %" PRId64 ", which is none of the %d axes (with "
                                 "the samples)",
                                 n->axes[i], rank);
        kept[axis - 1] = true;
    }
    return MB_OK;
}

/* Their sizes, in order. */
static mb_status_t kept_shape(const mb_call_t *call, mb_shape_t *out)
{
    bool kept[MB_MAX_RANK];
    MB_TRY(find_axes(call, kept));
    *out = (mb_shape_t){0};
    for (int d = 0; d < call->inputs[0].rank; d++) {
        if (kept[d])
            out->dim[out->rank++] = call->inputs[0].dim[d];
    }
    return MB_OK;
}

/* Whether numbers of the config broadcast to the kept axes. */
static mb_status_t check_numbers(const mb_call_t *call, const mb_shape_t *kept)
{
    const mb_shape_t *given = &config_of(call)->mean.shape;
    char a[MB_SHAPE_TEXT], b[MB_SHAPE_TEXT];
    bool fits = given->rank <= kept->rank;
    for (int i = 1; fits && i <= given->rank; i++) {
        int64_t dim = given->dim[given->rank - i], wanted = kept->dim[kept->rank - i];
        fits = dim == 1 || dim == wanted || wanted == MB_OPEN;
    }
    return fits
               ? MB_OK
               : mb_call_error(call, MB_ERR_SHAPE, "key 'mean' has shape %s, its axes have %s",
                               mb_shape_text(given, a, sizeof a), mb_shape_text(kept, b, sizeof b));
}

static mb_status_t infer(mb_call_t *call)
{
    mb_shape_t kept;
    MB_TRY(mb_call_infer_same(call));
    MB_TRY(kept_shape(call, &kept));
    return check_numbers(call, &kept);
}

static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list)
{
    normalization_t *n = config_of(call);
    mb_param_spec_t mean = {.name = "mean", .initializer.kind = MB_INIT_ZEROS, .operand = true};
    mb_param_spec_t variance = {
        .name = "variance", .initializer.kind = MB_INIT_ONES, .operand = true};
    mb_param_spec_t count = {.name = "count", .initializer.kind = MB_INIT_ZEROS};
    MB_TRY(kept_shape(call, &n->declared));
    if (!has_weights(n))
        return MB_OK;
    mean.shape = variance.shape = n->declared;
    MB_TRY(mb_param_add(list, &mean));
    MB_TRY(mb_param_add(list, &variance));
    return mb_param_add(list, &count);
}

static mb_status_t check(const mb_call_t *call)
{
    mb_shape_t kept;
    MB_TRY(kept_shape(call, &kept));
    return mb_shape_equal(&kept, &config_of(call)->declared)
               ? MB_OK
               : mb_call_error(call, MB_ERR_SHAPE, "another call's input does not fit its weights");
}

/* ---- running */

static int64_t places_of(const mb_call_t *call)
{
    return mb_shape_elements(&config_of(call)->declared);
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    (void)samples;
    *out = (mb_memory_t){0};
    mb_block_add(&out->saved_bytes, places_of(call), call->output_type);
    mb_block_add(&out->carry_bytes, places_of(call), call->output_type);
    for (int i = 0; i < 2 && !has_weights(config_of(call)); i++)
        mb_block_add(&out->constant_bytes, places_of(call), call->output_type);
}

/* Number INDEX of the kept axes, from numbers that broadcast to them. */
static double number_at(const mb_numbers_t *numbers, const mb_shape_t *kept, int64_t index)
{
    int64_t at = 0, step = 1;
    for (int d = kept->rank - 1, g = numbers->shape.rank - 1; g >= 0; d--, g--) {
        int64_t dim = numbers->shape.dim[g];
        at += dim == 1 ? 0 : index % kept->dim[d] * step;
        step *= dim;
        index /= kept->dim[d];
    }
    return numbers->values[at];
}

static void constants(const mb_call_t *call, void *out)
{
    const normalization_t *n = config_of(call);
    size_t bytes = 0;
    for (int i = 0; i < 2; i++) {
        char *to = (char *)out + mb_block_add(&bytes, places_of(call), call->output_type);
        for (int64_t k = 0; k < places_of(call); k++) {
            double value = number_at(i == MEAN ? &n->mean : &n->variance, &n->declared, k);
            mb_numbers_put(call->output_type, &value, 1,
                           to + (size_t)k * mb_dtype_bytes(call->output_type));
        }
    }
}

static const void *statistic(const mb_run_t *run, int which)
{
    size_t bytes = 0;
    if (has_weights(config_of(run->call)))
        return mb_run_param(run, which);
    size_t at = mb_block_add(&bytes, places_of(run->call), mb_run_type(run));
    return mb_bytes_at((void *)(uintptr_t)run->constants, which == MEAN ? at : bytes);
}

/* Along the output's axes. */
static mb_view_t statistic_view(const mb_run_t *run)
{
    mb_view_t view = mb_view_output(run);
    bool kept[MB_MAX_RANK];
    int64_t step = 1;
    if (find_axes(run->call, kept) != MB_OK) /* infer has found them */
        return view;
    for (int d = view.axes - 1; d >= 0; d--) {
        bool has = d > 0 && kept[d - 1];
        view.stride[d] = has ? step : 0;
        step *= has ? view.dim[d] : 1;
    }
    return view;
}

static mb_status_t deviation(const mb_run_t *run, void *to)
{
    mb_view_t view = {.axes = 1, .dim = {places_of(run->call)}, .stride = {1}};
    mb_map_call_t root = {.function = MB_MAP_SQRT,
                          .inputs = {mb_map_tensor(statistic(run, VARIANCE), view)},
                          .view = view,
                          .y = to};
    mb_map_call_t bound = {
        .function = MB_MAP_MAXIMUM,
        .inputs = {mb_map_tensor(to, view), mb_map_constant((float)least_deviation)},
        .view = view,
        .y = to};
    MB_TRY(mb_run_strided(run, &root));
    return mb_run_strided(run, &bound);
}

static mb_status_t apply(const mb_run_t *run, mb_map_t function, const void *x, const void *by,
                         void *y)
{
    mb_map_call_t call = {
        .function = function,
        .inputs = {mb_map_tensor(x, mb_view_output(run)), mb_map_tensor(by, statistic_view(run))},
        .view = mb_view_output(run),
        .y = y};
    return mb_run_strided(run, &call);
}

static mb_status_t forward(const mb_run_t *run)
{
    const void *mean = statistic(run, MEAN), *x = mb_run_input(run, 0);
    MB_TRY(deviation(run, run->saved));
    if (config_of(run->call)->inverse) {
        MB_TRY(apply(run, MB_MAP_MULTIPLY, x, run->saved, run->output));
        return apply(run, MB_MAP_ADD, run->output, mean, run->output);
    }
    MB_TRY(apply(run, MB_MAP_SUBTRACT, x, mean, run->output));
    return apply(run, MB_MAP_DIVIDE, run->output, run->saved, run->output);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    bool inverse = config_of(run->call)->inverse;
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    MB_TRY(deviation(run, run->carry));
    return apply(run, inverse ? MB_MAP_MULTIPLY : MB_MAP_DIVIDE, run->grad_output, run->carry,
                 mb_run_grad_input(run, 0));
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double elements = (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){2.0 * elements, elements, 0.0};
}

const mb_layer_class_t mb_layer_normalization = {.size = sizeof(mb_layer_class_t),
                                                 .name = "Normalization",
                                                 .parse = parse,
                                                 .infer = infer,
                                                 .declare = declare,
                                                 .check = check,
                                                 .memory = memory,
                                                 .constants = constants,
                                                 .forward = forward,
                                                 .backward_input = backward_input,
                                                 .cost = cost,
                                                 .mask = mb_mask_passes};
