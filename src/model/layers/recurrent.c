/* SimpleRNN, LSTM, GRU, and RNN over one of their cells or several; what they compute is in
 * device/ops.h, and how several cells follow one another in stack_run.c. */
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

static int kept(const mb_call_t *call, mb_shape_t shapes[MB_MAX_STATES])
{
    const mb_stack_t *stack = stack_of(call);
    return mb_recurrent_keeps(call, mb_stack_last(stack)) ? mb_stack_states(stack, shapes) : 0;
}

static int outputs(const mb_layer_t *layer)
{
    const mb_stack_t *stack = layer->config;
    return mb_stack_last(stack)->states ? 1 + mb_stack_states(stack, NULL) : 1;
}

static mb_status_t pack(const mb_call_t *call, mb_packed_t *out)
{
    const mb_stack_t *stack = stack_of(call);
    mb_shape_t y, states[2 * MB_MOST_CELLS];
    *out = (mb_packed_t){0};
    MB_TRY(mb_recurrent_infer(call, mb_stack_last(stack), &y));
    mb_packed_add(out, &y);
    mb_stack_states(stack, states);
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

static const char *attribute(const mb_layer_t *layer, const char *part_name, size_t length)
{
    return mb_stack_place(layer->config, part_name, length);
}

/* "cell" of RNN, and below it "cells/lstm_cell". */
const char *mb_stack_place(const mb_stack_t *stack, const char *part_name, size_t length)
{
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
    int n = mb_stack_states(stack_of(call), states);
    MB_TRY(mb_recurrent_check_states(call, n, states));
    MB_TRY(pack(call, &packed));
    call->output_type = call->input_types[0];
    return mb_packed_infer(&packed, call);
}

static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list)
{
    return mb_stack_declare(call, stack_of(call), stack_of(call)->name, list);
}

static mb_status_t check(const mb_call_t *call)
{
    return mb_call_check_width(call, 0, stack_of(call)->cells[0].width);
}

/* What the cells save and carry, and outputs of their own. */
typedef struct {
    mb_packed_t packed;
    size_t saved_bytes, carry_bytes;
} block_t;

static block_t block_of(const mb_call_t *call, int64_t samples)
{
    block_t block = {.saved_bytes = 0};
    pack(call, &block.packed);
    mb_stack_memory(call, stack_of(call), samples, &block.saved_bytes, &block.carry_bytes);
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

static mb_stack_pass_t pass_of(const mb_run_t *run, const mb_packed_t *packed)
{
    const mb_stack_t *stack = stack_of(run->call);
    mb_stack_pass_t pass = {.stack = stack,
                            .ldy = mb_stack_last(stack)->units,
                            .saved = run->saved,
                            .carry = run->carry,
                            .first = mb_call_arguments(run->call) > 1 ? 1 : 0,
                            .y = mb_packed_output(run, packed, 0),
                            .dy = mb_packed_gradient(run, packed, 0)};
    for (int i = 1; i < packed->n; i++) {
        pass.after[i - 1] = mb_packed_output(run, packed, i);
        pass.dafter[i - 1] = mb_packed_gradient(run, packed, i);
    }
    return pass;
}

static mb_status_t forward(const mb_run_t *run)
{
    block_t block = block_of(run->call, run->samples);
    mb_stack_pass_t pass = pass_of(run, &block.packed);
    MB_TRY(mb_stack_forward(run, &pass));
    return mb_packed_join(run, &block.packed);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    block_t block = block_of(run->call, run->samples);
    mb_stack_pass_t pass = pass_of(run, &block.packed);
    MB_TRY(mb_packed_part(run, &block.packed));
    return mb_stack_backward_input(run, &pass, false);
}

static mb_status_t backward_weights(const mb_run_t *run)
{
    block_t block = block_of(run->call, run->samples);
    mb_stack_pass_t pass = pass_of(run, &block.packed);
    return mb_stack_backward_weights(run, &pass);
}

static mb_mask_rule_t mask(const mb_call_t *call)
{
    return mb_recurrent_mask(mb_stack_last(stack_of(call)));
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    mb_stack_cost(call, stack_of(call), out);
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
