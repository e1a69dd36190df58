/* Add and Multiply: element by element over inputs of one shape, taken in their order. */
#include "model/layers/layers.h"

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    (void)config;
    (void)arena;
    *out = NULL;
    return MB_OK;
}

/* A dimension that one input leaves open follows another that knows it. */
static mb_status_t unite(mb_call_t *call, int input)
{
    char first[MB_SHAPE_TEXT], other[MB_SHAPE_TEXT];
    const mb_shape_t *shape = &call->inputs[input];
    bool fits = shape->rank == call->output.rank;
    for (int i = 0; fits && i < shape->rank; i++) {
        if (call->output.dim[i] == MB_OPEN)
            call->output.dim[i] = shape->dim[i];
        fits = shape->dim[i] == MB_OPEN || shape->dim[i] == call->output.dim[i];
    }
    if (fits)
        return MB_OK;
    return mb_call_error(call, MB_ERR_SHAPE,
                         "its inputs must have one shape, found %s and %s (this build does not "
                         "broadcast)",
                         mb_shape_text(&call->inputs[0], first, sizeof(first)),
                         mb_shape_text(shape, other, sizeof(other)));
}

static mb_status_t infer(mb_call_t *call)
{
    if (call->n_inputs < 1)
        return mb_call_error(call, MB_ERR_SHAPE, "takes at least 1 input");
    MB_TRY(mb_call_expect(call, call->n_inputs));
    mb_call_keep_shape(call);
    for (int i = 1; i < call->n_inputs; i++)
        MB_TRY(unite(call, i));
    return MB_OK;
}

static int64_t count_of(const mb_run_t *run)
{
    return run->samples * mb_shape_elements(&run->call->output);
}

static mb_status_t multiply(const mb_run_t *run, const void *a, const void *b, void *y)
{
    mb_multiply_args_t args = {
        .type = mb_run_type(run), .count = count_of(run), .a = a, .b = b, .y = y};
    return mb_run_multiply(run->exec, &args);
}

static void memory_multiply(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    (void)samples;
    *out = (mb_memory_t){0};
    for (int i = 0; i < call->n_inputs; i++)
        out->keeps_input[i] = call->n_inputs > 1;
}

static mb_status_t forward_add(const mb_run_t *run)
{
    const void *sum = mb_run_input(run, 0);
    if (run->call->n_inputs == 1)
        return mb_run_copy(run, mb_shape_elements(&run->call->output), sum, run->output);
    for (int i = 1; i < run->call->n_inputs; i++) {
        mb_add_args_t args = {.type = mb_run_type(run),
                              .count = count_of(run),
                              .a = sum,
                              .b = mb_run_input(run, i),
                              .y = run->output};
        MB_TRY(mb_run_add(run->exec, &args));
        sum = run->output;
    }
    return MB_OK;
}

static mb_status_t forward_multiply(const mb_run_t *run)
{
    const void *product = mb_run_input(run, 0);
    if (run->call->n_inputs == 1)
        return mb_run_copy(run, mb_shape_elements(&run->call->output), product, run->output);
    for (int i = 1; i < run->call->n_inputs; i++) {
        MB_TRY(multiply(run, product, mb_run_input(run, i), run->output));
        product = run->output;
    }
    return MB_OK;
}

static mb_status_t backward_add(const mb_run_t *run)
{
    for (int i = 0; i < run->call->n_inputs; i++) {
        if (mb_run_wants_input(run, i))
            MB_TRY(mb_run_copy(run, mb_shape_elements(&run->call->output), run->grad_output,
                               mb_run_grad_input(run, i)));
    }
    return MB_OK;
}

/* dy times all inputs but one. */
static mb_status_t backward_factor(const mb_run_t *run, int input)
{
    const void *product = run->grad_output;
    void *gradient = mb_run_grad_input(run, input);
    for (int i = 0; i < run->call->n_inputs; i++) {
        if (i == input)
            continue;
        MB_TRY(multiply(run, product, mb_run_input(run, i), gradient));
        product = gradient;
    }
    return MB_OK;
}

static mb_status_t backward_multiply(const mb_run_t *run)
{
    if (run->call->n_inputs == 1)
        return mb_run_pass_gradient(run);
    for (int i = 0; i < run->call->n_inputs; i++) {
        if (mb_run_wants_input(run, i))
            MB_TRY(backward_factor(run, i));
    }
    return MB_OK;
}

static void cost_add(const mb_call_t *call, mb_cost_t *out)
{
    double traffic = 2.0 * (double)call->n_inputs * (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){traffic, traffic, 0.0};
}

static void cost_multiply(const mb_call_t *call, mb_cost_t *out)
{
    double traffic = 3.0 * (double)call->n_inputs * (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){traffic, traffic * (double)(call->n_inputs - 1), 0.0};
}

const mb_layer_class_t mb_layer_add = {.size = sizeof(mb_layer_class_t),
                                       .name = "Add",
                                       .parse = parse,
                                       .infer = infer,
                                       .memory = mb_call_keeps_nothing,
                                       .forward = forward_add,
                                       .backward_input = backward_add,
                                       .cost = cost_add,
                                       .is_sum = true};

const mb_layer_class_t mb_layer_multiply = {.size = sizeof(mb_layer_class_t),
                                            .name = "Multiply",
                                            .parse = parse,
                                            .infer = infer,
                                            .memory = memory_multiply,
                                            .forward = forward_multiply,
                                            .backward_input = backward_multiply,
                                            .cost = cost_multiply};
