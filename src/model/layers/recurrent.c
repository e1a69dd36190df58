/* SimpleRNN, LSTM, GRU, and RNN over one of their cells; what they compute is in device/ops.h. */
#include "model/layers/recurrent.h"

#include <stdio.h>

#include "base/str.h"

static mb_status_t parse(const char *class_name, mb_config_t *config, mb_arena_t *arena, void **out)
{
    mb_recurrent_t *recurrent = MB_ARENA_NEW(arena, mb_recurrent_t);
    if (recurrent == NULL)
        return mb_error_memory("a layer", sizeof(*recurrent));
    *out = recurrent;
    return mb_recurrent_parse(config, class_name, recurrent);
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

static mb_status_t check_mask(const mb_call_t *call)
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

mb_status_t mb_recurrent_check_states(const mb_call_t *call, int n_states, const mb_shape_t *shape)
{
    char found[MB_SHAPE_TEXT], wanted[MB_SHAPE_TEXT];
    int n = mb_call_arguments(call);
    if (n != 1 && n != 1 + n_states)
        return mb_call_error(call, MB_ERR_SHAPE,
                             "takes a sequence, or one and %d initial state%s; found %d tensors",
                             n_states, n_states == 1 ? "" : "s", n);
    for (int i = 1; i < n; i++) {
        if (!mb_shape_equal(&call->inputs[i], shape))
            return mb_call_error(call, MB_ERR_SHAPE, "initial state %d must be %s a sample, not %s",
                                 i - 1, mb_shape_text(shape, wanted, sizeof(wanted)),
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
    MB_TRY(check_mask(call));
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

static mb_recurrent_t *recurrent_of(const mb_call_t *call)
{
    return call->layer->config;
}

static int outputs(const mb_layer_t *layer)
{
    const mb_recurrent_t *recurrent = layer->config;
    return recurrent->states ? 1 + mb_recurrent_n_states(recurrent) : 1;
}

static mb_status_t pack(const mb_call_t *call, mb_packed_t *out)
{
    const mb_recurrent_t *recurrent = recurrent_of(call);
    mb_shape_t y;
    *out = (mb_packed_t){0};
    MB_TRY(mb_recurrent_infer(call, recurrent, &y));
    mb_packed_add(out, &y);
    for (int i = 1; i < outputs(call->layer); i++)
        mb_packed_add(out, &(mb_shape_t){1, {recurrent->units}});
    return MB_OK;
}

static void part(const mb_call_t *call, int index, mb_shape_t *shape, int64_t *first)
{
    mb_packed_t packed;
    pack(call, &packed); /* infer has seen it go well */
    *shape = packed.shapes[index];
    *first = mb_packed_first(&packed, index);
}

static mb_status_t infer(mb_call_t *call)
{
    const mb_recurrent_t *recurrent = recurrent_of(call);
    mb_packed_t packed;
    MB_TRY(mb_recurrent_check_states(call, mb_recurrent_n_states(recurrent),
                                     &(mb_shape_t){1, {recurrent->units}}));
    MB_TRY(pack(call, &packed));
    call->output_type = call->input_types[0];
    return mb_packed_infer(&packed, call);
}

static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list)
{
    return mb_recurrent_declare(call, recurrent_of(call), NULL, list);
}

static mb_status_t check(const mb_call_t *call)
{
    return mb_call_check_width(call, 0, recurrent_of(call)->width);
}

/* What the direction saves and carries, then outputs and gradients of their own. */
typedef struct {
    mb_packed_t packed;
    size_t saved_bytes, carry_bytes;
} block_t;

static block_t block_of(const mb_call_t *call, int64_t samples)
{
    block_t block = {0};
    pack(call, &block.packed);
    mb_recurrent_memory(call, recurrent_of(call), samples, &block.saved_bytes, &block.carry_bytes);
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

static mb_direction_t direction_of(const mb_run_t *run, const mb_packed_t *packed)
{
    const mb_recurrent_t *recurrent = recurrent_of(run->call);
    mb_direction_t direction = {.recurrent = recurrent,
                                .ldy = recurrent->units,
                                .saved = run->saved,
                                .carry = run->carry,
                                .first = mb_call_arguments(run->call) > 1 ? 1 : 0,
                                .y = mb_packed_output(run, packed, 0),
                                .dy = mb_packed_gradient(run, packed, 0)};
    for (int i = 1; i < packed->n; i++) {
        direction.after[i - 1] = mb_packed_output(run, packed, i);
        direction.dafter[i - 1] = mb_packed_gradient(run, packed, i);
    }
    return direction;
}

static mb_status_t forward(const mb_run_t *run)
{
    block_t block = block_of(run->call, run->samples);
    mb_direction_t direction = direction_of(run, &block.packed);
    MB_TRY(mb_recurrent_forward(run, &direction));
    return mb_packed_join(run, &block.packed);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    block_t block = block_of(run->call, run->samples);
    mb_direction_t direction = direction_of(run, &block.packed);
    MB_TRY(mb_packed_part(run, &block.packed));
    return mb_recurrent_backward_input(run, &direction, false);
}

static mb_status_t backward_weights(const mb_run_t *run)
{
    block_t block = block_of(run->call, run->samples);
    mb_direction_t direction = direction_of(run, &block.packed);
    return mb_recurrent_backward_weights(run, &direction);
}

static mb_mask_rule_t mask(const mb_call_t *call)
{
    return mb_recurrent_mask(recurrent_of(call));
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    mb_recurrent_cost(call, recurrent_of(call), out);
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
                                            .part = part,                                          \
                                            .takes_states = true}

#define parse_simple_rnn parse_simple
RECURRENT(simple_rnn, "SimpleRNN");
RECURRENT(lstm, "LSTM");
RECURRENT(gru, "GRU");
RECURRENT(rnn, "RNN");
