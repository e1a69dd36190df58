/* Add, Subtract, Multiply, Average, Maximum, Minimum: element by element over inputs taken in their
 * order. Inputs of fewer axes get axes of one element behind the samples, and then all are
 * broadcast, as in Keras (keras/src/layers/merging/base_merge.py). Sums and products of inputs of
 * one shape have operations of their own; everything else is functions of views.
 *
 * With p1 = f(x0, x1), p2 = f(p1, x2) ... the last one is the output. Gradients of a product are
 * products of the other inputs; those of a largest or smallest value go back through the p, which
 * are saved. */
#include "model/layers/merge_masked.h"

typedef enum { SUM, DIFFERENCE, PRODUCT, MEAN, LARGEST, SMALLEST } merge_kind_t;

typedef struct {
    merge_kind_t kind;
    mb_map_t function;
} merge_t;

static const merge_t *merge_of(const mb_call_t *call)
{
    return call->layer->class_->kind;
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    (void)config;
    (void)arena;
    *out = NULL;
    return MB_OK;
}

/* ---- shapes */

/* A dimension that one input leaves open follows another that knows it. */
static bool unite(int64_t *dim, int64_t other)
{
    if (*dim == MB_OPEN || *dim == 1)
        *dim = other == MB_OPEN ? *dim : other;
    return other == MB_OPEN || other == 1 || other == *dim;
}

static mb_status_t take(mb_call_t *call, int input)
{
    char first[MB_SHAPE_TEXT], other[MB_SHAPE_TEXT];
    const mb_shape_t *shape = &call->inputs[input];
    int missing = call->output.rank - shape->rank;
    bool fits = true;
    for (int d = 0; fits && d < shape->rank; d++)
        fits = unite(&call->output.dim[d + missing], shape->dim[d]);
    if (fits)
        return MB_OK;
    return mb_call_error(call, MB_ERR_SHAPE, "inputs of %s and %s do not broadcast to one another",
                         mb_shape_text(&call->inputs[0], first, sizeof(first)),
                         mb_shape_text(shape, other, sizeof(other)));
}

static mb_status_t infer(mb_call_t *call)
{
    bool two = merge_of(call)->kind == DIFFERENCE;
    if (mb_call_arguments(call) < 1 || (two && mb_call_arguments(call) != 2))
        return mb_call_error(call, MB_ERR_SHAPE, "takes %s, found %d",
                             two ? "2 inputs" : "at least 1 input", mb_call_arguments(call));
    MB_TRY(mb_call_expect(call, mb_call_arguments(call)));
    mb_call_keep_shape(call);
    call->output.rank = 0;
    for (int i = 0; i < mb_call_arguments(call); i++)
        call->output.rank =
            call->inputs[i].rank > call->output.rank ? call->inputs[i].rank : call->output.rank;
    for (int d = 0; d < call->output.rank; d++)
        call->output.dim[d] = 1;
    for (int i = 0; i < mb_call_arguments(call); i++)
        MB_TRY(take(call, i));
    if (call->n_masks > 0 && merge_of(call)->kind >= LARGEST)
        return mb_call_error(call, MB_ERR_UNSUPPORTED,
                             "one of its inputs has a mask, by which Keras chooses what is "
                             "compared; this build does not: drop the mask by an operation "
                             "(x * 1.0) in front of it");
    return call->n_masks > 0 ? mb_masked_product_check(call) : MB_OK;
}

static bool is_of_one_shape(const mb_call_t *call)
{
    bool same = true;
    for (int i = 0; i < mb_call_arguments(call); i++)
        same = same && mb_shape_equal(&call->inputs[i], &call->output);
    return same;
}

/* ---- running */

static mb_view_t spread(const mb_run_t *run, int input)
{
    mb_view_t whole = mb_view_output(run), view = mb_view_input(run, input);
    while (view.axes < whole.axes)
        mb_view_insert(&view, 1, 1, 0);
    mb_view_broadcast(&view, &whole);
    return view;
}

static mb_map_input_t input_of(const mb_run_t *run, int input)
{
    return mb_map_tensor(mb_run_input(run, input), spread(run, input));
}

/* Something shaped as the output. */
static mb_map_input_t whole(const mb_run_t *run, const void *values)
{
    return mb_map_tensor(values, mb_view_output(run));
}

static mb_status_t map_to(const mb_run_t *run, mb_map_t function, mb_map_input_t a,
                          mb_map_input_t b, mb_map_input_t c, void *y)
{
    mb_map_call_t map = {
        .function = function, .inputs = {a, b, c}, .view = mb_view_output(run), .y = y};
    return mb_run_strided(run, &map);
}

/* The same into the gradient of an input, summed over what it was repeated along. */
static mb_status_t map_back(const mb_run_t *run, mb_map_t function, int input, mb_map_input_t a,
                            mb_map_input_t b, mb_map_input_t c)
{
    mb_view_t view = spread(run, input);
    mb_map_call_t map = {.function = function,
                         .inputs = {a, b, c},
                         .view = view,
                         .y = mb_run_grad_input(run, input),
                         .reduced = mb_view_repeats(&view)};
    return mb_run_strided(run, &map);
}

static int64_t count_of(const mb_run_t *run)
{
    return run->samples * mb_shape_elements(&run->call->output);
}

/* ---- sums and products of one shape */

static mb_status_t add(const mb_run_t *run, const void *a, const void *b, void *y)
{
    mb_add_args_t args = {.type = mb_run_type(run), .count = count_of(run), .a = a, .b = b, .y = y};
    return mb_run_add(run->exec, &args);
}

static mb_status_t multiply(const mb_run_t *run, const void *a, const void *b, void *y)
{
    mb_multiply_args_t args = {
        .type = mb_run_type(run), .count = count_of(run), .a = a, .b = b, .y = y};
    return mb_run_multiply(run->exec, &args);
}

/* ---- forward */

/* The p that input I > 0 gives: the last one is the output. */
static void *partial(const mb_run_t *run, int i)
{
    size_t bytes = (size_t)count_of(run) * mb_dtype_bytes(mb_run_type(run));
    bool keeps = merge_of(run->call)->kind >= LARGEST;
    if (i == mb_call_arguments(run->call) - 1 || !keeps)
        return run->output;
    return mb_bytes_at(run->saved, bytes * (size_t)(i - 1));
}

static mb_status_t join(const mb_run_t *run, int i, mb_map_input_t before)
{
    const merge_t *merge = merge_of(run->call);
    bool plain = is_of_one_shape(run->call);
    const void *x = mb_run_input(run, i);
    if (plain && (merge->kind == SUM || merge->kind == MEAN))
        return add(run, before.base, x, run->output);
    if (plain && merge->kind == PRODUCT)
        return multiply(run, before.base, x, run->output);
    return map_to(run, merge->function, before, input_of(run, i), mb_map_constant(0),
                  partial(run, i));
}

static bool is_masked_product(const mb_call_t *call)
{
    return call->n_masks > 0 && mb_call_arguments(call) > 1;
}

static mb_status_t forward(const mb_run_t *run)
{
    int n = mb_call_arguments(run->call);
    mb_map_input_t before = input_of(run, 0);
    if (is_masked_product(run->call))
        return mb_masked_product_forward(run);
    if (n == 1)
        return mb_run_copy(run, mb_shape_elements(&run->call->output), mb_run_input(run, 0),
                           run->output);
    for (int i = 1; i < n; i++) {
        MB_TRY(join(run, i, before));
        before = whole(run, partial(run, i));
    }
    if (merge_of(run->call)->kind != MEAN)
        return MB_OK;
    return map_to(run, MB_MAP_DIVIDE, before, mb_map_constant((float)n), mb_map_constant(0),
                  run->output);
}

/* ---- backward */

static mb_status_t backward_sum(const mb_run_t *run, int input)
{
    merge_kind_t kind = merge_of(run->call)->kind;
    mb_map_t function = kind == MEAN                       ? MB_MAP_DIVIDE
                        : kind == DIFFERENCE && input == 1 ? MB_MAP_NEGATIVE
                                                           : MB_MAP_COPY;
    return map_back(run, function, input, whole(run, run->grad_output),
                    mb_map_constant((float)mb_call_arguments(run->call)), mb_map_constant(0));
}

/* dy times all inputs but one; the last factor on the way into the gradient, the others in the
 * carry. */
static mb_status_t backward_factor(const mb_run_t *run, int input)
{
    int n = mb_call_arguments(run->call), last = input == n - 1 ? n - 2 : n - 1;
    mb_map_input_t product = whole(run, run->grad_output);
    for (int i = 0; i < last; i++) {
        if (i == input)
            continue;
        MB_TRY(map_to(run, MB_MAP_MULTIPLY, product, input_of(run, i), mb_map_constant(0),
                      run->carry));
        product = whole(run, run->carry);
    }
    return map_back(run, MB_MAP_MULTIPLY, input, product, input_of(run, last), mb_map_constant(0));
}

/* A's part where A is the one of two that was taken. */
static mb_status_t backward_taken(const mb_run_t *run, int input, mb_map_input_t gradient,
                                  mb_map_input_t own, mb_map_input_t other)
{
    bool largest = merge_of(run->call)->kind == LARGEST;
    return map_back(run, MB_MAP_D_LARGER, input, gradient, largest ? own : other,
                    largest ? other : own);
}

/* From the last input to the first; the carry holds the gradient of the p before. */
static mb_status_t backward_extreme(const mb_run_t *run)
{
    bool largest = merge_of(run->call)->kind == LARGEST;
    mb_map_input_t gradient = whole(run, run->grad_output);
    for (int i = mb_call_arguments(run->call) - 1; i > 0; i--) {
        mb_map_input_t x = input_of(run, i);
        mb_map_input_t before = i == 1 ? input_of(run, 0) : whole(run, partial(run, i - 1));
        if (mb_run_wants_input(run, i))
            MB_TRY(backward_taken(run, i, gradient, x, before));
        if (i == 1 && mb_run_wants_input(run, 0))
            return backward_taken(run, 0, gradient, before, x);
        if (i > 1)
            MB_TRY(map_to(run, MB_MAP_D_LARGER, gradient, largest ? before : x,
                          largest ? x : before, run->carry));
        gradient = whole(run, run->carry);
    }
    return MB_OK;
}

static mb_status_t backward_input(const mb_run_t *run)
{
    merge_kind_t kind = merge_of(run->call)->kind;
    if (mb_call_arguments(run->call) == 1)
        return mb_run_pass_gradient(run);
    if (is_masked_product(run->call))
        return mb_masked_product_backward(run);
    if (kind >= LARGEST)
        return backward_extreme(run);
    for (int i = 0; i < mb_call_arguments(run->call); i++) {
        if (mb_run_wants_input(run, i))
            MB_TRY(kind == PRODUCT ? backward_factor(run, i) : backward_sum(run, i));
    }
    return MB_OK;
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    merge_kind_t kind = merge_of(call)->kind;
    size_t bytes =
        (size_t)(samples * mb_shape_elements(&call->output)) * mb_dtype_bytes(call->output_type);
    if (is_masked_product(call)) {
        mb_masked_product_memory(call, samples, out);
        return;
    }
    bool chained = mb_call_arguments(call) > 2 && (kind == PRODUCT || kind >= LARGEST);
    *out = (mb_memory_t){.carry_bytes = chained ? bytes : 0};
    for (int i = 0; i < mb_call_arguments(call); i++)
        out->keeps_input[i] = mb_call_arguments(call) > 1 && (kind == PRODUCT || kind >= LARGEST);
    if (kind >= LARGEST && mb_call_arguments(call) > 2)
        out->saved_bytes = bytes * (size_t)(mb_call_arguments(call) - 2);
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double traffic =
        2.0 * (double)mb_call_arguments(call) * (double)mb_shape_elements(&call->output);
    double back =
        merge_of(call)->kind == PRODUCT ? traffic * (double)mb_call_arguments(call) : traffic;
    *out = (mb_cost_t){traffic, back, 0.0};
}

#define MERGE_CLASS(symbol, keras, what, by)                                                       \
    const mb_layer_class_t mb_layer_##symbol = {                                                   \
        .size = sizeof(mb_layer_class_t),                                                          \
        .name = keras,                                                                             \
        .kind = &(const merge_t){what, MB_MAP_##by},                                               \
        .parse = parse,                                                                            \
        .infer = infer,                                                                            \
        .memory = memory,                                                                          \
        .forward = forward,                                                                        \
        .backward_input = backward_input,                                                          \
        .cost = cost,                                                                              \
        .is_sum = (what) == SUM,                                                                   \
        .mask = mb_mask_either,                                                                    \
        .takes_masks = (what) == PRODUCT || (what) >= LARGEST ? MB_TAKES_MASKS : MB_TAKES_NO_MASK}

MERGE_CLASS(add, "Add", SUM, ADD);
MERGE_CLASS(subtract, "Subtract", DIFFERENCE, SUBTRACT);
MERGE_CLASS(multiply, "Multiply", PRODUCT, MULTIPLY);
MERGE_CLASS(average, "Average", MEAN, ADD);
MERGE_CLASS(maximum, "Maximum", LARGEST, MAXIMUM);
MERGE_CLASS(minimum, "Minimum", SMALLEST, MINIMUM);
