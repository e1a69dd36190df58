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

mb_status_t mb_recurrent_infer(const mb_call_t *call, const mb_recurrent_t *recurrent,
                               mb_shape_t *out)
{
    char text[MB_SHAPE_TEXT];
    MB_TRY(mb_call_expect(call, 1));
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

static mb_status_t infer(mb_call_t *call)
{
    MB_TRY(mb_recurrent_infer(call, recurrent_of(call), &call->output));
    call->output_type = call->input_types[0];
    return MB_OK;
}

static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list)
{
    return mb_recurrent_declare(call, recurrent_of(call), NULL, list);
}

static mb_status_t check(const mb_call_t *call)
{
    return mb_call_check_width(call, 0, recurrent_of(call)->width);
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    *out = (mb_memory_t){0};
    mb_recurrent_memory(call, recurrent_of(call), samples, &out->saved_bytes, &out->carry_bytes);
    out->keeps_input[0] = call->layer->trainable;
    if (call->masks[0] > 0)
        out->keeps_input[call->masks[0]] = true;
}

static mb_direction_t direction_of(const mb_run_t *run)
{
    const mb_recurrent_t *recurrent = recurrent_of(run->call);
    return (mb_direction_t){.recurrent = recurrent,
                            .ldy = recurrent->units,
                            .saved = run->saved,
                            .carry = run->carry,
                            .y = run->output,
                            .dy = run->grad_output};
}

static mb_status_t forward(const mb_run_t *run)
{
    mb_direction_t direction = direction_of(run);
    return mb_recurrent_forward(run, &direction);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    mb_direction_t direction = direction_of(run);
    return mb_recurrent_backward_input(run, &direction, false);
}

static mb_status_t backward_weights(const mb_run_t *run)
{
    mb_direction_t direction = direction_of(run);
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
                                            .takes_masks = MB_TAKES_MASKS}

#define parse_simple_rnn parse_simple
RECURRENT(simple_rnn, "SimpleRNN");
RECURRENT(lstm, "LSTM");
RECURRENT(gru, "GRU");
RECURRENT(rnn, "RNN");
