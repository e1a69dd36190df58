/* Add, Subtract, Multiply, Average, Maximum, Minimum: element by element over inputs taken in their
 * order and broadcast (merge_view.h). Sums and products of inputs of one shape have operations of
 * their own; everything else is functions of views. Gradients of a product are products of the
 * other inputs. */
#include "model/layers/merge_extreme.h"
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
    return mb_merge_check_masks(call);
}

static bool is_of_one_shape(const mb_call_t *call)
{
    bool same = true;
    for (int i = 0; i < mb_call_arguments(call); i++)
        same = same && mb_shape_equal(&call->inputs[i], &call->output);
    return same;
}

/* ---- running */

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

static mb_status_t join(const mb_run_t *run, int i, mb_map_input_t before)
{
    const merge_t *merge = merge_of(run->call);
    bool plain = is_of_one_shape(run->call);
    const void *x = mb_run_input(run, i);
    if (plain && (merge->kind == SUM || merge->kind == MEAN))
        return add(run, before.base, x, run->output);
    if (plain && merge->kind == PRODUCT)
        return multiply(run, before.base, x, run->output);
    return mb_merge_map(run, merge->function, before, mb_merge_input(run, i), mb_map_constant(0),
                        run->output);
}

static bool is_masked_product(const mb_call_t *call)
{
    return merge_of(call)->kind == PRODUCT && call->n_masks > 0 && mb_call_arguments(call) > 1;
}

static mb_status_t forward(const mb_run_t *run)
{
    int n = mb_call_arguments(run->call);
    mb_map_input_t before = mb_merge_input(run, 0);
    if (is_masked_product(run->call))
        return mb_masked_product_forward(run);
    if (n == 1)
        return mb_run_copy(run, mb_shape_elements(&run->call->output), mb_run_input(run, 0),
                           run->output);
    if (merge_of(run->call)->kind >= LARGEST)
        return mb_extreme_forward(run, merge_of(run->call)->function);
    for (int i = 1; i < n; i++) {
        MB_TRY(join(run, i, before));
        before = mb_merge_whole(run, run->output);
    }
    if (merge_of(run->call)->kind != MEAN)
        return MB_OK;
    return mb_merge_map(run, MB_MAP_DIVIDE, before, mb_map_constant((float)n), mb_map_constant(0),
                        run->output);
}

/* ---- backward */

static mb_status_t backward_sum(const mb_run_t *run, int input)
{
    merge_kind_t kind = merge_of(run->call)->kind;
    if (kind == SUM && is_of_one_shape(run->call))
        return mb_run_copy(run, mb_shape_elements(&run->call->output), run->grad_output,
                           mb_run_grad_input(run, input));
    mb_map_t function = kind == MEAN                       ? MB_MAP_DIVIDE
                        : kind == DIFFERENCE && input == 1 ? MB_MAP_NEGATIVE
                                                           : MB_MAP_COPY;
    return mb_merge_map_back(run, function, input, mb_merge_whole(run, run->grad_output),
                             mb_map_constant((float)mb_call_arguments(run->call)),
                             mb_map_constant(0));
}

/* dy times all inputs but one; the last factor on the way into the gradient, the others in the
 * carry. */
static mb_status_t backward_factor(const mb_run_t *run, int input)
{
    int n = mb_call_arguments(run->call), last = input == n - 1 ? n - 2 : n - 1;
    mb_map_input_t product = mb_merge_whole(run, run->grad_output);
    for (int i = 0; i < last; i++) {
        if (i == input)
            continue;
        MB_TRY(mb_merge_map(run, MB_MAP_MULTIPLY, product, mb_merge_input(run, i),
                            mb_map_constant(0), run->carry));
        product = mb_merge_whole(run, run->carry);
    }
    return mb_merge_map_back(run, MB_MAP_MULTIPLY, input, product, mb_merge_input(run, last),
                             mb_map_constant(0));
}

static mb_status_t backward_input(const mb_run_t *run)
{
    merge_kind_t kind = merge_of(run->call)->kind;
    if (mb_call_arguments(run->call) == 1)
        return mb_run_pass_gradient(run);
    if (is_masked_product(run->call))
        return mb_masked_product_backward(run);
    if (kind >= LARGEST)
        return mb_extreme_backward(run, merge_of(run->call)->function);
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
    if (kind >= LARGEST && mb_call_arguments(call) > 1) {
        mb_extreme_memory(call, samples, out);
        return;
    }
    bool chained = mb_call_arguments(call) > 2 && kind == PRODUCT;
    *out = (mb_memory_t){.carry_bytes = chained ? bytes : 0};
    for (int i = 0; i < mb_call_arguments(call); i++)
        out->keeps_input[i] = mb_call_arguments(call) > 1 && kind == PRODUCT;
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
