/* SimpleRNN, LSTM, GRU, and RNN over one of their cells or several; what they compute is in
 * device/ops.h. A stack of cells is a chain of layers: what one gives at all steps is in the saved
 * block, and its gradient in the carry. */
#include "model/layers/recurrent.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

static mb_status_t parse(const char *class_name, mb_config_t *config, mb_arena_t *arena, void **out)
{
    mb_stack_t *stack = MB_ARENA_NEW(arena, mb_stack_t);
    if (stack == NULL)
        return mb_error_memory("a layer", sizeof(*stack));
    *out = stack;
    return mb_stack_parse(config, class_name, arena, stack);
}

static mb_status_t parse_simple(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse("SimpleRNN", config, arena, out);
}

static mb_status_t parse_lstm(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse("LSTM", config, arena, out);
}

static mb_status_t parse_gru(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse("GRU", config, arena, out);
}

static mb_status_t parse_rnn(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse("RNN", config, arena, out);
}

mb_mask_rule_t mb_recurrent_mask(const mb_recurrent_t *recurrent)
{
    return (mb_mask_rule_t){.kind = recurrent->sequences ? MB_MASK_PASSED : MB_MASK_DROPPED};
}

mb_status_t mb_recurrent_check_mask(const mb_call_t *call)
{
    char text[MB_SHAPE_TEXT];
    const mb_shape_t *mask = &call->inputs[call->masks[0]], steps = {1, {call->inputs[0].dim[0]}};
    if (call->masks[0] == 0 || mb_shape_equal(mask, &steps))
        return MB_OK;
    return mb_call_error(call, MB_ERR_SHAPE,
                         "its mask has %s a sample; it takes one value for each step",
                         mb_shape_text(mask, text, sizeof(text)));
}

int mb_recurrent_n_states(const mb_recurrent_t *recurrent)
{
    return recurrent->cell == MB_CELL_LSTM ? 2 : 1;
}

bool mb_recurrent_keeps(const mb_call_t *call, const mb_recurrent_t *recurrent)
{
    return recurrent->keeps && mb_call_arguments(call) == 1;
}

mb_status_t mb_recurrent_check_states(const mb_call_t *call, int n_states, const mb_shape_t *shapes)
{
    char found[MB_SHAPE_TEXT], wanted[MB_SHAPE_TEXT];
    int n = mb_call_arguments(call);
    if (n != 1 && n != 1 + n_states)
        return mb_call_error(call, MB_ERR_SHAPE,
                             "takes a sequence, or one and %d initial state%s; found %d tensors",
                             n_states, n_states == 1 ? "" : "s", n);
    for (int i = 1; i < n; i++) {
        if (!mb_shape_equal(&call->inputs[i], &shapes[i - 1]))
            return mb_call_error(call, MB_ERR_SHAPE, "initial state %d must be %s a sample, not %s",
                                 i - 1, mb_shape_text(&shapes[i - 1], wanted, sizeof(wanted)),
                                 mb_shape_text(&call->inputs[i], found, sizeof(found)));
    }
    return mb_call_expect(call, n);
}

mb_status_t mb_recurrent_infer(const mb_call_t *call, const mb_recurrent_t *recurrent,
                               mb_shape_t *out)
{
    char text[MB_SHAPE_TEXT];
    if (call->inputs[0].rank != 2)
        return mb_call_error(call, MB_ERR_SHAPE, "takes samples of steps x width, found %s",
                             mb_shape_text(&call->inputs[0], text, sizeof(text)));
    MB_TRY(mb_recurrent_check_mask(call));
    *out = recurrent->sequences ? (mb_shape_t){2, {call->inputs[0].dim[0], recurrent->units}}
                                : (mb_shape_t){1, {recurrent->units}};
    return MB_OK;
}

static mb_status_t declare_one(mb_param_list_t *list, mb_param_spec_t spec, const char *path,
                               const char *name, const mb_shape_t *shape)
{
    char whole[192];
    if ((size_t)snprintf(whole, sizeof(whole), "%s/%s", path, name) >= sizeof(whole))
        return mb_error_set(MB_ERR_UNSUPPORTED, "the weight '%s' has a name of over %zu characters",
                            name, sizeof(whole) - 1);
    spec.name = whole;
    return mb_layer_add_param(list, &spec, shape);
}

/* GRU has a bias for what comes from the inputs and one for what comes from the states. */
static mb_shape_t bias_shape(const mb_recurrent_t *recurrent)
{
    int64_t columns = mb_rnn_gates(recurrent->cell) * recurrent->units;
    return recurrent->cell == MB_CELL_GRU ? (mb_shape_t){2, {2, columns}}
                                          : (mb_shape_t){1, {columns}};
}

mb_status_t mb_recurrent_declare(const mb_call_t *call, mb_recurrent_t *recurrent, const char *name,
                                 mb_param_list_t *list)
{
    char path[160];
    int64_t columns = mb_rnn_gates(recurrent->cell) * recurrent->units;
    mb_shape_t bias = bias_shape(recurrent);
    snprintf(path, sizeof(path), "%s%s%s", name == NULL ? "" : name, name == NULL ? "" : "/",
             recurrent->prefix);
    MB_TRY(mb_call_take_width(call, 0, &recurrent->width));
    MB_TRY(declare_one(list, recurrent->kernel, path, "kernel",
                       &(mb_shape_t){2, {recurrent->width, columns}}));
    MB_TRY(declare_one(list, recurrent->recurrent, path, "recurrent_kernel",
                       &(mb_shape_t){2, {recurrent->units, columns}}));
    return recurrent->use_bias ? declare_one(list, recurrent->bias, path, "bias", &bias) : MB_OK;
}

int mb_recurrent_params(const mb_recurrent_t *recurrent)
{
    return recurrent->use_bias ? 3 : 2;
}

static mb_stack_t *stack_of(const mb_call_t *call)
{
    return call->layer->config;
}

static const mb_recurrent_t *last_of(const mb_stack_t *stack)
{
    return &stack->cells[stack->n - 1];
}

/* Of all cells; their shapes, where SHAPES is given. */
static int n_states(const mb_stack_t *stack, mb_shape_t *shapes)
{
    int n = 0;
    for (int i = 0; i < stack->n; i++) {
        for (int s = 0; s < mb_recurrent_n_states(&stack->cells[i]); s++, n++) {
            if (shapes != NULL)
                shapes[n] = (mb_shape_t){1, {stack->cells[i].units}};
        }
    }
    return n;
}

static int kept(const mb_call_t *call, mb_shape_t shapes[MB_MAX_STATES])
{
    const mb_stack_t *stack = stack_of(call);
    return mb_recurrent_keeps(call, last_of(stack)) ? n_states(stack, shapes) : 0;
}

static int outputs(const mb_layer_t *layer)
{
    const mb_stack_t *stack = layer->config;
    return last_of(stack)->states ? 1 + n_states(stack, NULL) : 1;
}

static mb_status_t pack(const mb_call_t *call, mb_packed_t *out)
{
    const mb_stack_t *stack = stack_of(call);
    mb_shape_t y, states[2 * MB_MOST_CELLS];
    *out = (mb_packed_t){0};
    MB_TRY(mb_recurrent_infer(call, last_of(stack), &y));
    mb_packed_add(out, &y);
    n_states(stack, states);
    for (int i = 1; i < outputs(call->layer); i++)
        mb_packed_add(out, &states[i - 1]);
    return MB_OK;
}

static void part(const mb_call_t *call, int index, mb_shape_t *shape, int64_t *first)
{
    mb_packed_t packed;
    pack(call, &packed); /* infer has seen it go well */
    *shape = packed.shapes[index];
    *first = mb_packed_first(&packed, index);
}

/* "cell" of RNN, and below it "cells/lstm_cell". */
static const char *attribute(const mb_layer_t *layer, const char *part_name, size_t length)
{
    const mb_stack_t *stack = layer->config;
    if (stack->name == NULL)
        return "cell";
    if (strlen(stack->name) == length && strncmp(stack->name, part_name, length) == 0)
        return "cell";
    for (int i = 0; i < stack->n; i++) {
        const char *name = stack->cells[i].prefix;
        if (strlen(name) == length && strncmp(name, part_name, length) == 0)
            return stack->places[i];
    }
    return NULL;
}

static mb_status_t infer(mb_call_t *call)
{
    mb_shape_t states[2 * MB_MOST_CELLS];
    mb_packed_t packed;
    int n = n_states(stack_of(call), states);
    MB_TRY(mb_recurrent_check_states(call, n, states));
    MB_TRY(pack(call, &packed));
    call->output_type = call->input_types[0];
    return mb_packed_infer(&packed, call);
}

/* The call of cell INDEX, on what the one before gives. */
static mb_call_t call_of(const mb_call_t *call, int index)
{
    mb_call_t inner = *call;
    if (index > 0)
        inner.inputs[0].dim[1] = stack_of(call)->cells[index - 1].units;
    return inner;
}

static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list)
{
    mb_stack_t *stack = stack_of(call);
    for (int i = 0; i < stack->n; i++) {
        mb_call_t inner = call_of(call, i);
        MB_TRY(mb_recurrent_declare(&inner, &stack->cells[i], stack->name, list));
    }
    return MB_OK;
}

static mb_status_t check(const mb_call_t *call)
{
    return mb_call_check_width(call, 0, stack_of(call)->cells[0].width);
}

/* What each cell saves and carries, what all but the last give, and outputs of their own. */
typedef struct {
    mb_packed_t packed;
    size_t saved[MB_MOST_CELLS], carry[MB_MOST_CELLS];
    size_t y[MB_MOST_CELLS], dy[MB_MOST_CELLS];
    size_t saved_bytes, carry_bytes;
} block_t;

static block_t block_of(const mb_call_t *call, int64_t samples)
{
    const mb_stack_t *stack = stack_of(call);
    block_t block = {0};
    pack(call, &block.packed);
    for (int i = 0; i < stack->n; i++) {
        mb_call_t inner = call_of(call, i);
        int64_t elements = samples * call->inputs[0].dim[0] * stack->cells[i].units;
        block.saved[i] = block.saved_bytes;
        block.carry[i] = block.carry_bytes;
        mb_recurrent_memory(&inner, &stack->cells[i], samples, &block.saved_bytes,
                            &block.carry_bytes);
        if (i + 1 == stack->n)
            continue;
        block.y[i] = mb_block_add(&block.saved_bytes, elements, call->output_type);
        block.dy[i] = mb_block_add(&block.carry_bytes, elements, call->output_type);
    }
    mb_packed_memory(&block.packed, call->output_type, samples, &block.saved_bytes,
                     &block.carry_bytes);
    return block;
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    block_t block = block_of(call, samples);
    *out = (mb_memory_t){.saved_bytes = block.saved_bytes, .carry_bytes = block.carry_bytes};
    out->keeps_input[0] = call->layer->trainable;
    for (int i = 1; i < call->n_inputs; i++)
        out->keeps_input[i] = true;
}

/* The run of one cell, with what its pointers point to. */
typedef struct {
    mb_call_t call;
    mb_run_t run;
    mb_direction_t direction;
    const void *inputs[MB_MAX_INPUTS];
    void *grad_inputs[MB_MAX_INPUTS];
} inside_t;

static void enter_call(const mb_run_t *run, const block_t *block, int index, inside_t *in)
{
    in->call = call_of(run->call, index);
    in->run = *run;
    in->run.call = &in->call;
    for (int i = 0; i < run->call->n_inputs; i++) {
        in->inputs[i] = mb_run_input(run, i);
        in->grad_inputs[i] = mb_run_grad_input(run, i);
    }
    if (index > 0) {
        in->inputs[0] = mb_bytes_at(run->saved, block->y[index - 1]);
        in->grad_inputs[0] = mb_bytes_at(run->carry, block->dy[index - 1]);
    }
    in->run.inputs = in->inputs;
    in->run.grad_inputs = in->grad_inputs;
}

/* What a cell gives to the next one lies by position, whichever way they go. */
static void enter_direction(const mb_run_t *run, const block_t *block, int index, inside_t *in)
{
    const mb_stack_t *stack = stack_of(run->call);
    const mb_packed_t *packed = &block->packed;
    bool last = index + 1 == stack->n;
    const mb_recurrent_t *cell = &stack->cells[index];
    int state = 1;
    mb_direction_t *d = &in->direction;
    *d = (mb_direction_t){.recurrent = cell,
                          .index = 4 * index,
                          .reversed = !last && cell->backwards,
                          .ldy = cell->units,
                          .saved = mb_bytes_at(run->saved, block->saved[index]),
                          .carry = mb_bytes_at(run->carry, block->carry[index]),
                          .y = last ? mb_packed_output(run, packed, 0)
                                    : mb_bytes_at(run->saved, block->y[index]),
                          .dy = last ? mb_packed_gradient(run, packed, 0)
                                     : mb_bytes_at(run->carry, block->dy[index])};
    for (int i = 0; i < index; i++) {
        d->param += mb_recurrent_params(&stack->cells[i]);
        state += mb_recurrent_n_states(&stack->cells[i]);
    }
    d->first = mb_call_arguments(run->call) > 1 ? state : 0;
    d->kept = state - 1;
    for (int i = 0; i < mb_recurrent_n_states(cell) && packed->n > 1; i++) {
        d->after[i] = mb_packed_output(run, packed, state + i);
        d->dafter[i] = mb_packed_gradient(run, packed, state + i);
    }
}

static void enter(const mb_run_t *run, const block_t *block, int index, inside_t *in)
{
    enter_call(run, block, index, in);
    enter_direction(run, block, index, in);
}

static mb_status_t forward(const mb_run_t *run)
{
    block_t block = block_of(run->call, run->samples);
    for (int i = 0; i < stack_of(run->call)->n; i++) {
        inside_t in;
        enter(run, &block, i, &in);
        MB_TRY(mb_recurrent_forward(&in.run, &in.direction));
    }
    return mb_packed_join(run, &block.packed);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    block_t block = block_of(run->call, run->samples);
    MB_TRY(mb_packed_part(run, &block.packed));
    for (int i = stack_of(run->call)->n; i-- > 0;) {
        inside_t in;
        enter(run, &block, i, &in);
        MB_TRY(mb_recurrent_backward_input(&in.run, &in.direction, false));
    }
    return MB_OK;
}

static mb_status_t backward_weights(const mb_run_t *run)
{
    block_t block = block_of(run->call, run->samples);
    for (int i = 0; i < stack_of(run->call)->n; i++) {
        inside_t in;
        enter(run, &block, i, &in);
        MB_TRY(mb_recurrent_backward_weights(&in.run, &in.direction));
    }
    return MB_OK;
}

static mb_mask_rule_t mask(const mb_call_t *call)
{
    return mb_recurrent_mask(last_of(stack_of(call)));
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    *out = (mb_cost_t){0};
    for (int i = 0; i < stack_of(call)->n; i++) {
        mb_call_t inner = call_of(call, i);
        mb_cost_t one;
        mb_recurrent_cost(&inner, &stack_of(call)->cells[i], &one);
        out->forward_flops += one.forward_flops;
        out->backward_input_flops += one.backward_input_flops;
        out->backward_weights_flops += one.backward_weights_flops;
    }
}

#define RECURRENT(id, keras)                                                                       \
    const mb_layer_class_t mb_layer_##id = {.size = sizeof(mb_layer_class_t),                      \
                                            .name = keras,                                         \
                                            .parse = parse_##id,                                   \
                                            .infer = infer,                                        \
                                            .declare = declare,                                    \
                                            .check = check,                                        \
                                            .memory = memory,                                      \
                                            .forward = forward,                                    \
                                            .backward_input = backward_input,                      \
                                            .backward_weights = backward_weights,                  \
                                            .cost = cost,                                          \
                                            .mask = mask,                                          \
                                            .takes_masks = MB_TAKES_MASKS,                         \
                                            .outputs = outputs,                                    \
                                            .attribute = attribute,                                \
                                            .part = part,                                          \
                                            .takes_states = true,                                  \
                                            .states = kept}

#define parse_simple_rnn parse_simple
RECURRENT(simple_rnn, "SimpleRNN");
RECURRENT(lstm, "LSTM");
RECURRENT(gru, "GRU");
RECURRENT(rnn, "RNN");
