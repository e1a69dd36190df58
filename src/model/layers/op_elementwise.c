/* Operations on each element: sums, products, comparisons, functions. Inputs of one rank are
 * broadcast to one another, and arrays to them; a gradient is summed over what its input was
 * repeated along. */
#include "model/layers/operators.h"
#include "model/layers/view.h"

#include <string.h>

/* The gradient for one argument: a function of the output's gradient 'g', the arguments '0' to '2'
 * and the output 'y'. No letters: none flows. */
typedef struct {
    mb_map_t function;
    const char *of;
} derivative_t;

typedef struct {
    mb_map_t function;
    int n_arguments;
    derivative_t derivatives[MB_MAP_INPUTS];
} elementwise_t;

typedef struct {
    mb_operand_argument_t items[MB_MAP_INPUTS];
} arguments_t;

static const elementwise_t *kind_of(const mb_call_t *call)
{
    return call->layer->class_->kind;
}

static const arguments_t *arguments_of(const mb_call_t *call)
{
    return call->call_config;
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    (void)arena;
    *out = NULL;
    return mb_config_only(config, "decimals", "0");
}

static mb_status_t take_arguments(mb_config_t *call, mb_arena_t *arena, int n,
                                  const char *const *names, void **out)
{
    arguments_t *arguments = MB_ARENA_NEW(arena, arguments_t);
    if (arguments == NULL)
        return mb_error_memory("a call's arguments", sizeof *arguments);
    *out = arguments;
    for (int i = 0; i < n; i++)
        MB_TRY(mb_argument_take_operand(call, arena, i, names[i], &arguments->items[i]));
    return mb_arguments_end(call, n);
}

/* convert_to_tensor, of what is a tensor: Keras 3 writes it for the mask of an Attention's output.
 */
static mb_status_t parse_conversion(mb_config_t *config, mb_arena_t *arena, void **out)
{
    MB_TRY(mb_config_only(config, "dtype", "null"));
    MB_TRY(mb_config_only(config, "sparse", "null"));
    MB_TRY(mb_config_only(config, "ragged", "null"));
    return parse(config, arena, out);
}

static mb_status_t parse_unary(mb_config_t *call, mb_arena_t *arena, void **out)
{
    static const char *const names[] = {"x"};
    return take_arguments(call, arena, 1, names, out);
}

static mb_status_t parse_binary(mb_config_t *call, mb_arena_t *arena, void **out)
{
    static const char *const names[] = {"x1", "x2"};
    return take_arguments(call, arena, 2, names, out);
}

static mb_status_t parse_where(mb_config_t *call, mb_arena_t *arena, void **out)
{
    static const char *const names[] = {"condition", "x1", "x2"};
    return take_arguments(call, arena, 3, names, out);
}

static mb_status_t refuse_array(const mb_call_t *call, const mb_shape_t *array)
{
    char text[MB_SHAPE_TEXT], whole[MB_SHAPE_TEXT];
    return mb_call_error(call, MB_ERR_SHAPE, "an array of %s does not fit %s a sample",
                         mb_shape_text(array, text, sizeof text),
                         mb_shape_text(&call->output, whole, sizeof whole));
}

/* The axes of an array are the last ones; one more than a sample has must be 1, the samples'. */
static mb_status_t broadcast_array(mb_call_t *call, const mb_shape_t *array)
{
    int rank = call->output.rank;
    if (array->rank > rank + 1 || (array->rank == rank + 1 && array->dim[0] != 1))
        return refuse_array(call, array);
    for (int d = rank - 1, a = array->rank - 1; d >= 0 && a >= 0; d--, a--) {
        int64_t *dim = &call->output.dim[d];
        if (*dim == 1 || *dim == MB_OPEN)
            *dim = array->dim[a] > 1 ? array->dim[a] : *dim;
        else if (array->dim[a] != 1 && array->dim[a] != *dim)
            return refuse_array(call, array);
    }
    return MB_OK;
}

static const mb_numbers_t *array_of(const mb_call_t *call, int i)
{
    const mb_numbers_t *numbers = &arguments_of(call)->items[i].numbers;
    return i < kind_of(call)->n_arguments && numbers->values != NULL ? numbers : NULL;
}

static mb_status_t infer(mb_call_t *call)
{
    MB_TRY(mb_call_expect(call, call->n_inputs));
    call->output_type = call->input_types[0];
    MB_TRY(mb_call_broadcast(call, 0, call->n_inputs - 1, &call->output));
    for (int i = 0; i < MB_MAP_INPUTS; i++) {
        const mb_numbers_t *array = array_of(call, i);
        if (array != NULL)
            MB_TRY(broadcast_array(call, &array->shape));
    }
    return MB_OK;
}

/* ---- arrays, one behind the other among the call's constants */

/* Where that of argument I stands; of MB_MAP_INPUTS: how many bytes there are. */
static size_t array_at(const mb_call_t *call, int i)
{
    size_t bytes = 0;
    for (int k = 0; k < i; k++) {
        if (array_of(call, k) != NULL)
            mb_block_add(&bytes, array_of(call, k)->n, call->output_type);
    }
    return bytes;
}

static void constants(const mb_call_t *call, void *out)
{
    for (int i = 0; i < MB_MAP_INPUTS; i++) {
        const mb_numbers_t *array = array_of(call, i);
        if (array != NULL)
            mb_numbers_put(call->output_type, array->values, array->n,
                           (char *)out + array_at(call, i));
    }
}

static mb_view_t array_view(const mb_shape_t *array, const mb_view_t *like)
{
    mb_view_t view = *like;
    int64_t step = 1;
    for (int d = like->axes - 1, a = array->rank - 1; d >= 0; d--, a--) {
        bool repeats = a < 0 || array->dim[a] == 1;
        view.stride[d] = repeats ? 0 : step;
        step *= repeats ? 1 : array->dim[a];
    }
    return view;
}

/* ---- Clip's limits stand in its config */

typedef struct {
    float low, high;
} limits_t;

static mb_status_t parse_limits(mb_config_t *config, mb_arena_t *arena, void **out)
{
    limits_t *limits = MB_ARENA_NEW(arena, limits_t);
    double low, high;
    if (limits == NULL)
        return mb_error_memory("an operation", sizeof *limits);
    MB_TRY(mb_config_real(config, "x_min", &low));
    MB_TRY(mb_config_real(config, "x_max", &high));
    *limits = (limits_t){(float)low, (float)high};
    *out = limits;
    return MB_OK;
}

/* The second operand of what gives the same for any first: x and 0, x or 1. */
static mb_status_t parse_constant(mb_config_t *config, mb_arena_t *arena, float value, void **out)
{
    limits_t *limits = MB_ARENA_NEW(arena, limits_t);
    if (limits == NULL)
        return mb_error_memory("an operation", sizeof *limits);
    mb_config_ignore(config, "dtype"); /* 0 and 1 are the same in all */
    *limits = (limits_t){value, value};
    *out = limits;
    return MB_OK;
}

static mb_status_t parse_zeros(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse_constant(config, arena, 0.0f, out);
}

static mb_status_t parse_ones(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse_constant(config, arena, 1.0f, out);
}

/* ---- running */

static mb_map_input_t argument(const mb_run_t *run, int i, const mb_view_t *like)
{
    const mb_operand_argument_t *item = &arguments_of(run->call)->items[i];
    const limits_t *limits = run->call->layer->config;
    if (i >= kind_of(run->call)->n_arguments)
        return mb_map_constant(i == 1 ? limits->low : limits->high);
    const mb_numbers_t *array = array_of(run->call, i);
    if (array != NULL)
        return mb_map_tensor((const char *)run->constants + array_at(run->call, i),
                             array_view(&array->shape, like));
    if (item->input < 0)
        return mb_map_constant(item->constant);
    mb_view_t view = mb_view_input(run, item->input);
    mb_view_broadcast(&view, like);
    return mb_map_tensor(mb_run_input(run, item->input), view);
}

static mb_status_t forward(const mb_run_t *run)
{
    const elementwise_t *kind = kind_of(run->call);
    mb_map_call_t map = {.function = kind->function, .view = mb_view_output(run), .y = run->output};
    for (int i = 0; i < mb_map_inputs(kind->function); i++)
        map.inputs[i] = argument(run, i, &map.view);
    return mb_run_strided(run, &map);
}

static mb_map_input_t factor(const mb_run_t *run, char letter, const mb_view_t *whole)
{
    if (letter == 'g')
        return mb_map_tensor(run->grad_output, *whole);
    if (letter == 'y')
        return mb_map_tensor(run->output, *whole);
    return argument(run, letter - '0', whole);
}

static mb_status_t backward_argument(const mb_run_t *run, int i)
{
    const derivative_t *derivative = &kind_of(run->call)->derivatives[i];
    int input = arguments_of(run->call)->items[i].input;
    mb_view_t whole = mb_view_output(run), own = mb_view_input(run, input);
    mb_view_broadcast(&own, &whole);
    mb_map_call_t map = {.function = derivative->function,
                         .view = own,
                         .y = mb_run_grad_input(run, input),
                         .reduced = mb_view_repeats(&own)};
    for (int k = 0; derivative->of[k] != '\0'; k++)
        map.inputs[k] = factor(run, derivative->of[k], &whole);
    return mb_run_strided(run, &map);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    const elementwise_t *kind = kind_of(run->call);
    for (int i = 0; i < kind->n_arguments; i++) {
        int input = arguments_of(run->call)->items[i].input;
        if (input >= 0 && kind->derivatives[i].of != NULL && mb_run_wants_input(run, input))
            MB_TRY(backward_argument(run, i));
    }
    return MB_OK;
}

static bool differentiable(const mb_call_t *call, int input)
{
    const elementwise_t *kind = kind_of(call);
    for (int i = 0; i < kind->n_arguments; i++) {
        if (arguments_of(call)->items[i].input == input)
            return kind->derivatives[i].of != NULL;
    }
    return false;
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    const elementwise_t *kind = kind_of(call);
    (void)samples;
    *out = (mb_memory_t){.constant_bytes = array_at(call, MB_MAP_INPUTS)};
    for (int i = 0; i < kind->n_arguments; i++) {
        const char *of = kind->derivatives[i].of;
        out->keeps_output = out->keeps_output || (of != NULL && strchr(of, 'y') != NULL);
        for (int k = 0; of != NULL && k < kind->n_arguments; k++) {
            int input = arguments_of(call)->items[k].input;
            if (input >= 0 && strchr(of, '0' + k) != NULL)
                out->keeps_input[input] = true;
        }
    }
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double flops = 8.0 * (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){flops, flops * (double)call->n_inputs, 0.0};
}

#define CLASS(keras, parser, caller, by, arguments, ...)                                           \
    {                                                                                              \
        .size = sizeof(mb_layer_class_t), .name = keras,                                           \
        .kind = &(const elementwise_t){MB_MAP_##by, arguments, {__VA_ARGS__}}, .parse = parser,    \
        .parse_call = caller, .infer = infer, .memory = memory, .forward = forward,                \
        .backward_input = backward_input, .cost = cost, .differentiable = differentiable,          \
        .constants = constants, .roles = mb_operator_roles                                         \
    }
#define UNARY(keras, by, ...) CLASS(keras, parse, parse_unary, by, 1, __VA_ARGS__)
#define BINARY(keras, by, ...) CLASS(keras, parse, parse_binary, by, 2, __VA_ARGS__)
#define BY(function, of)                                                                           \
    {                                                                                              \
        MB_MAP_##function, of                                                                      \
    }
#define NONE                                                                                       \
    {                                                                                              \
        MB_MAP_COPY, NULL                                                                          \
    }

static const mb_layer_class_t classes[] = {
    BINARY("Add", ADD, BY(COPY, "g"), BY(COPY, "g")),
    BINARY("Subtract", SUBTRACT, BY(COPY, "g"), BY(NEGATIVE, "g")),
    BINARY("Multiply", MULTIPLY, BY(MULTIPLY, "g1"), BY(MULTIPLY, "g0")),
    BINARY("TrueDivide", DIVIDE, BY(DIVIDE, "g1"), BY(D_DIVIDE, "g01")),
    BINARY("Divide", DIVIDE, BY(DIVIDE, "g1"), BY(D_DIVIDE, "g01")),
    BINARY("FloorDivide", FLOOR_DIVIDE, NONE, NONE),
    BINARY("Mod", MOD, BY(COPY, "g"), BY(D_MOD, "g01")),
    BINARY("Power", POWER, BY(D_POWER_BASE, "g01"), BY(D_POWER_EXPONENT, "g01")),
    BINARY("Maximum", MAXIMUM, BY(D_LARGER, "g01"), BY(D_LARGER, "g10")),
    BINARY("Minimum", MINIMUM, BY(D_LARGER, "g10"), BY(D_LARGER, "g01")),
    BINARY("Equal", EQUAL, NONE, NONE),
    BINARY("NotEqual", NOT_EQUAL, NONE, NONE),
    BINARY("Less", LESS, NONE, NONE),
    BINARY("LessEqual", LESS_EQUAL, NONE, NONE),
    BINARY("Greater", GREATER, NONE, NONE),
    BINARY("GreaterEqual", GREATER_EQUAL, NONE, NONE),
    BINARY("LogicalAnd", LOGICAL_AND, NONE, NONE),
    BINARY("LogicalOr", LOGICAL_OR, NONE, NONE),
    UNARY("Negative", NEGATIVE, BY(NEGATIVE, "g")),
    UNARY("Absolute", ABSOLUTE, BY(D_ABSOLUTE, "g0")),
    UNARY("Abs", ABSOLUTE, BY(D_ABSOLUTE, "g0")),
    UNARY("Sign", SIGN, NONE),
    UNARY("Square", SQUARE, BY(D_SQUARE, "g0")),
    UNARY("Sqrt", SQRT, BY(D_SQRT, "gy")),
    UNARY("Rsqrt", RSQRT, BY(D_RSQRT, "gy")),
    UNARY("Reciprocal", RECIPROCAL, BY(D_RECIPROCAL, "gy")),
    UNARY("Exp", EXP, BY(MULTIPLY, "gy")),
    UNARY("Expm1", EXPM1, BY(D_EXPM1, "gy")),
    UNARY("Log", LOG, BY(DIVIDE, "g0")),
    UNARY("Log1p", LOG1P, BY(D_LOG1P, "g0")),
    UNARY("Log2", LOG2, BY(D_LOG2, "g0")),
    UNARY("Log10", LOG10, BY(D_LOG10, "g0")),
    UNARY("Sin", SIN, BY(D_SIN, "g0")),
    UNARY("Cos", COS, BY(D_COS, "g0")),
    UNARY("Tan", TAN, BY(D_TAN, "gy")),
    UNARY("Sinh", SINH, BY(D_SINH, "g0")),
    UNARY("Cosh", COSH, BY(D_COSH, "g0")),
    UNARY("Tanh", TANH, BY(D_TANH, "gy")),
    UNARY("Arctan", ARCTAN, BY(D_ARCTAN, "g0")),
    UNARY("Erf", ERF, BY(D_ERF, "g0")),
    UNARY("Floor", FLOOR, NONE),
    UNARY("Ceil", CEIL, NONE),
    UNARY("Round", ROUND, NONE),
    UNARY("LogicalNot", LOGICAL_NOT, NONE),
    UNARY("StopGradient", COPY, NONE),
    UNARY("Isnan", IS_NAN, NONE),
    CLASS("ConvertToTensor", parse_conversion, parse_unary, COPY, 1, BY(COPY, "g")),
    CLASS("Where", parse, parse_where, WHERE, 3, NONE, BY(WHEN, "g0"), BY(UNLESS, "g0")),
    CLASS("ZerosLike", parse_zeros, parse_unary, LOGICAL_AND, 1, NONE),
    CLASS("OnesLike", parse_ones, parse_unary, LOGICAL_OR, 1, NONE),
    CLASS("Clip", parse_limits, parse_unary, CLIP, 1, BY(WHEN_EQUAL, "g0y")),
};

bool mb_operator_compares(const mb_call_t *call, float *value)
{
    const arguments_t *arguments = arguments_of(call);
    if (strcmp(call->layer->class_->name, "NotEqual") != 0)
        return false;
    *value = arguments->items[1].constant;
    return arguments->items[0].input == 0 && arguments->items[1].input < 0 &&
           array_of(call, 1) == NULL;
}

const mb_layer_class_t *mb_operators_elementwise(size_t index)
{
    return index < sizeof classes / sizeof classes[0] ? &classes[index] : NULL;
}
