/* Reductions over axes of a sample: sums, means, largest and smallest values, variances, and the
 * logarithm of a sum of exponentials. Gradients of a largest value are shared equally by equal
 * ones, as JAX's are. */
#include "model/layers/operators.h"
#include "model/layers/view.h"

typedef struct {
    bool all;
    int n;
    int64_t axes[MB_MAX_RANK];
    bool keepdims;
} reduce_t;

static const reduce_t *reduce_of(const mb_call_t *call)
{
    return call->layer->config;
}

static mb_status_t take_axes(mb_config_t *config, reduce_t *reduce)
{
    const json_t *value = mb_config_take(config, "axis");
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    reduce->all = value == NULL || json_is_null(value);
    if (n == 0 || n > MB_MAX_RANK)
        return mb_error_set(MB_ERR_UNSUPPORTED, "%s: key 'axis' names %zu axes; 1 to %d are taken",
                            config->where, n, MB_MAX_RANK);
    reduce->n = reduce->all ? 0 : (int)n;
    for (int i = 0; i < reduce->n; i++) {
        const json_t *axis = json_is_array(value) ? json_array_get(value, (size_t)i) : value;
        if (!json_is_integer(axis))
            return mb_error_set(MB_ERR_FORMAT, "%s: key 'axis' must be one integer or a list",
                                config->where);
        reduce->axes[i] = json_integer_value(axis);
    }
    return MB_OK;
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    reduce_t *reduce = MB_ARENA_NEW(arena, reduce_t);
    if (reduce == NULL)
        return mb_error_memory("an operation", sizeof *reduce);
    *out = reduce;
    MB_TRY(take_axes(config, reduce));
    MB_TRY(mb_config_only(config, "initial", "null"));
    return mb_config_bool_or(config, "keepdims", false, &reduce->keepdims);
}

/* Bit d: axis d of the view (0: the samples) is reduced. Only of calls that infer has seen. */
static uint32_t axes_of(const mb_call_t *call)
{
    const reduce_t *reduce = reduce_of(call);
    int rank = call->inputs[0].rank + 1;
    uint32_t axes = 0;
    for (int i = 0; i < reduce->n; i++)
        axes |= UINT32_C(1) << (reduce->axes[i] < 0 ? reduce->axes[i] + rank : reduce->axes[i]);
    return axes;
}

static mb_status_t infer(mb_call_t *call)
{
    const reduce_t *reduce = reduce_of(call);
    MB_TRY(mb_call_expect(call, 1));
    if (reduce->all)
        return mb_call_error(call, MB_ERR_UNSUPPORTED,
                             "reduces over all axes, the samples' too, which are worked on one by "
                             "one; name the others in 'axis'");
    for (int i = 0; i < reduce->n; i++) {
        int axis;
        MB_TRY(mb_call_take_axis(call, reduce->axes[i], call->inputs[0].rank + 1, &axis));
    }
    uint32_t axes = axes_of(call);
    call->output = (mb_shape_t){0};
    call->output_type = call->input_types[0];
    for (int d = 0; d < call->inputs[0].rank; d++) {
        bool reduced = axes >> (d + 1) & 1;
        if (!reduced || reduce->keepdims)
            call->output.dim[call->output.rank++] = reduced ? 1 : call->inputs[0].dim[d];
    }
    return MB_OK;
}

/* ---- views of the input's axes */

/* What is left of the input, repeated along what was reduced. */
static mb_view_t reduced_view(const mb_run_t *run)
{
    mb_view_t whole = mb_view_input(run, 0), view = whole;
    uint32_t axes = axes_of(run->call);
    int64_t step = 1;
    for (int d = view.axes - 1; d >= 0; d--) {
        view.stride[d] = axes >> d & 1 ? 0 : step;
        step *= axes >> d & 1 ? 1 : view.dim[d];
    }
    return view;
}

static int64_t reduced_count(const mb_call_t *call)
{
    return mb_shape_elements(&call->inputs[0]) / mb_shape_elements(&call->output);
}

static mb_map_input_t input_of(const mb_run_t *run)
{
    return mb_map_tensor(mb_run_input(run, 0), mb_view_input(run, 0));
}

/* y = scale * reduction of f(a, b), into what is shaped as the output. */
static mb_status_t reduce_to(const mb_run_t *run, mb_map_t function, mb_reduction_t reduction,
                             double scale, mb_map_input_t a, mb_map_input_t b, void *y)
{
    mb_map_call_t map = {.function = function,
                         .reduction = reduction,
                         .scale = scale,
                         .inputs = {a, b},
                         .view = reduced_view(run),
                         .y = y,
                         .reduced = axes_of(run->call)};
    return mb_run_strided(run, &map);
}

/* y = f(inputs), into what is shaped as the input. */
static mb_status_t spread_to(const mb_run_t *run, mb_map_t function, mb_map_input_t a,
                             mb_map_input_t b, mb_map_input_t c, void *y)
{
    mb_map_call_t map = {
        .function = function, .inputs = {a, b, c}, .view = mb_view_input(run, 0), .y = y};
    return mb_run_strided(run, &map);
}

static mb_map_input_t nothing(void)
{
    return mb_map_constant(0.0f);
}

/* Something shaped as the output, repeated over the input. */
static mb_map_input_t spread(const mb_run_t *run, const void *values)
{
    return mb_map_tensor(values, reduced_view(run));
}

static mb_map_input_t plain(const mb_run_t *run, const void *values)
{
    return mb_map_tensor(values, mb_view_output(run));
}

/* y = f(a, b) over what is shaped as the output. */
static mb_status_t each(const mb_run_t *run, mb_map_t function, mb_map_input_t a, mb_map_input_t b,
                        void *y)
{
    mb_map_call_t map = {
        .function = function, .inputs = {a, b}, .view = mb_view_output(run), .y = y};
    return mb_run_strided(run, &map);
}

/* ---- sums and means */

static mb_status_t forward_sum(const mb_run_t *run)
{
    return reduce_to(run, MB_MAP_COPY, MB_REDUCE_SUM, 1.0, input_of(run), nothing(), run->output);
}

static mb_status_t forward_mean(const mb_run_t *run)
{
    return reduce_to(run, MB_MAP_COPY, MB_REDUCE_SUM, 1.0 / (double)reduced_count(run->call),
                     input_of(run), nothing(), run->output);
}

static mb_status_t spread_scaled(const mb_run_t *run, double scale)
{
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    return spread_to(run, MB_MAP_MULTIPLY, spread(run, run->grad_output),
                     mb_map_constant((float)scale), nothing(), mb_run_grad_input(run, 0));
}

static mb_status_t backward_sum(const mb_run_t *run)
{
    return spread_scaled(run, 1.0);
}

static mb_status_t backward_mean(const mb_run_t *run)
{
    return spread_scaled(run, 1.0 / (double)reduced_count(run->call));
}

/* ---- largest and smallest */

static mb_status_t forward_max(const mb_run_t *run)
{
    return reduce_to(run, MB_MAP_COPY, MB_REDUCE_MAX, 1.0, input_of(run), nothing(), run->output);
}

static mb_status_t forward_min(const mb_run_t *run)
{
    return reduce_to(run, MB_MAP_COPY, MB_REDUCE_MIN, 1.0, input_of(run), nothing(), run->output);
}

static size_t output_bytes(const mb_call_t *call, int64_t samples)
{
    return (size_t)(samples * mb_shape_elements(&call->output)) * mb_dtype_bytes(call->output_type);
}

static size_t input_bytes(const mb_call_t *call, int64_t samples)
{
    return (size_t)(samples * mb_shape_elements(&call->inputs[0])) *
           mb_dtype_bytes(call->output_type);
}

static void memory_extreme(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    *out = (mb_memory_t){.keeps_input = {true}, .keeps_output = true};
    out->carry_bytes = output_bytes(call, samples);
}

/* The carry holds how many are equal, then each one's share. */
static mb_status_t backward_extreme(const mb_run_t *run)
{
    mb_map_input_t extreme = spread(run, run->output);
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    MB_TRY(reduce_to(run, MB_MAP_EQUAL, MB_REDUCE_SUM, 1.0, input_of(run), extreme, run->carry));
    MB_TRY(
        each(run, MB_MAP_DIVIDE, plain(run, run->grad_output), plain(run, run->carry), run->carry));
    return spread_to(run, MB_MAP_WHEN_EQUAL, spread(run, run->carry), input_of(run), extreme,
                     mb_run_grad_input(run, 0));
}

/* ---- variance and deviation; the mean is saved */

static void memory_var(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    *out = (mb_memory_t){.keeps_input = {true}, .keeps_output = true};
    out->saved_bytes = out->carry_bytes = output_bytes(call, samples);
}

static mb_status_t forward_var(const mb_run_t *run)
{
    double share = 1.0 / (double)reduced_count(run->call);
    MB_TRY(reduce_to(run, MB_MAP_COPY, MB_REDUCE_SUM, share, input_of(run), nothing(), run->saved));
    return reduce_to(run, MB_MAP_SQUARED_DIFFERENCE, MB_REDUCE_SUM, share, input_of(run),
                     spread(run, run->saved), run->output);
}

/* dx = 2 / n (x - mean) dy */
static mb_status_t backward_var_of(const mb_run_t *run, const void *gradient)
{
    void *dx = mb_run_grad_input(run, 0);
    mb_map_input_t own = mb_map_tensor(dx, mb_view_input(run, 0));
    float scale = (float)(2.0 / (double)reduced_count(run->call));
    MB_TRY(spread_to(run, MB_MAP_SUBTRACT, input_of(run), spread(run, run->saved), nothing(), dx));
    MB_TRY(spread_to(run, MB_MAP_MULTIPLY, own, spread(run, gradient), nothing(), dx));
    return spread_to(run, MB_MAP_MULTIPLY, own, mb_map_constant(scale), nothing(), dx);
}

static mb_status_t backward_var(const mb_run_t *run)
{
    return mb_run_wants_input(run, 0) ? backward_var_of(run, run->grad_output) : MB_OK;
}

static mb_status_t forward_std(const mb_run_t *run)
{
    mb_map_input_t own = plain(run, run->output);
    MB_TRY(forward_var(run));
    return each(run, MB_MAP_SQRT, own, nothing(), run->output);
}

static mb_status_t backward_std(const mb_run_t *run)
{
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    MB_TRY(each(run, MB_MAP_D_SQRT, plain(run, run->grad_output), plain(run, run->output),
                run->carry));
    return backward_var_of(run, run->carry);
}

/* ---- log(sum(exp(x))); saved: the largest value of each sum, and x less it, or its exponential */

static void memory_logsumexp(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    *out = (mb_memory_t){.keeps_input = {true}, .keeps_output = true};
    mb_block_add(&out->saved_bytes, samples * mb_shape_elements(&call->output), call->output_type);
    out->saved_bytes += input_bytes(call, samples);
}

static void *shifted(const mb_run_t *run)
{
    size_t offset = 0;
    mb_block_add(&offset, run->samples * mb_shape_elements(&run->call->output), mb_run_type(run));
    return mb_bytes_at(run->saved, offset);
}

static mb_status_t forward_logsumexp(const mb_run_t *run)
{
    void *rest = shifted(run);
    mb_map_input_t own = mb_map_tensor(rest, mb_view_input(run, 0)), y = plain(run, run->output);
    MB_TRY(reduce_to(run, MB_MAP_COPY, MB_REDUCE_MAX, 1.0, input_of(run), nothing(), run->saved));
    MB_TRY(
        spread_to(run, MB_MAP_SUBTRACT, input_of(run), spread(run, run->saved), nothing(), rest));
    MB_TRY(reduce_to(run, MB_MAP_EXP, MB_REDUCE_SUM, 1.0, own, nothing(), run->output));
    MB_TRY(each(run, MB_MAP_LOG, y, nothing(), run->output));
    return each(run, MB_MAP_ADD, y, plain(run, run->saved), run->output);
}

/* dx = dy exp(x - y) */
static mb_status_t backward_logsumexp(const mb_run_t *run)
{
    void *dx = mb_run_grad_input(run, 0);
    mb_map_input_t own = mb_map_tensor(dx, mb_view_input(run, 0));
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    MB_TRY(spread_to(run, MB_MAP_SUBTRACT, input_of(run), spread(run, run->output), nothing(), dx));
    MB_TRY(spread_to(run, MB_MAP_EXP, own, nothing(), nothing(), dx));
    return spread_to(run, MB_MAP_MULTIPLY, own, spread(run, run->grad_output), nothing(), dx);
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double flops = 4.0 * (double)mb_shape_elements(&call->inputs[0]);
    *out = (mb_cost_t){flops, flops, 0.0};
}

static mb_status_t forward_any(const mb_run_t *run)
{
    return reduce_to(run, MB_MAP_NOT_EQUAL, MB_REDUCE_MAX, 1.0, input_of(run), nothing(),
                     run->output);
}

static mb_status_t forward_all(const mb_run_t *run)
{
    return reduce_to(run, MB_MAP_NOT_EQUAL, MB_REDUCE_MIN, 1.0, input_of(run), nothing(),
                     run->output);
}

static mb_status_t backward_none(const mb_run_t *run)
{
    (void)run;
    return MB_OK;
}

static bool not_differentiable(const mb_call_t *call, int input)
{
    (void)call;
    (void)input;
    return false;
}

#define CLASS(keras, remember, run_forward, run_backward, ...)                                     \
    {                                                                                              \
        .size = sizeof(mb_layer_class_t), .name = keras, .parse = parse,                           \
        .parse_call = mb_arguments_are_inputs, .infer = infer, .memory = remember,                 \
        .forward = run_forward, .backward_input = run_backward, .cost = cost,                      \
        .roles = mb_operator_roles, __VA_ARGS__                                                    \
    }
#define LOGICAL(keras, run_forward)                                                                \
    CLASS(keras, mb_call_keeps_nothing, run_forward, backward_none,                                \
          .differentiable = not_differentiable)

static const mb_layer_class_t classes[] = {
    LOGICAL("Any", forward_any),
    LOGICAL("All", forward_all),
    CLASS("Sum", mb_call_keeps_nothing, forward_sum, backward_sum, .differentiable = NULL),
    CLASS("Mean", mb_call_keeps_nothing, forward_mean, backward_mean, .differentiable = NULL),
    CLASS("Max", memory_extreme, forward_max, backward_extreme, .differentiable = NULL),
    CLASS("Amax", memory_extreme, forward_max, backward_extreme, .differentiable = NULL),
    CLASS("Min", memory_extreme, forward_min, backward_extreme, .differentiable = NULL),
    CLASS("Amin", memory_extreme, forward_min, backward_extreme, .differentiable = NULL),
    CLASS("Var", memory_var, forward_var, backward_var, .differentiable = NULL),
    CLASS("Std", memory_var, forward_std, backward_std, .differentiable = NULL),
    CLASS("Logsumexp", memory_logsumexp, forward_logsumexp, backward_logsumexp,
          .differentiable = NULL),
};

const mb_layer_class_t *mb_operators_reduce(size_t index)
{
    return index < sizeof classes / sizeof classes[0] ? &classes[index] : NULL;
}
