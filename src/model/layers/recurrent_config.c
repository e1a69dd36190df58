/* The config of a recurrent layer or of a cell, Keras 2's and 3's; see recurrent.h. What a cell
 * computes is in device/ops.h. */
#include "model/layers/recurrent.h"

#include <string.h>

typedef struct {
    const char *layer, *cell, *prefix;
    mb_cell_t kind;
} known_t;

static const known_t known[] = {{"SimpleRNN", "SimpleRNNCell", "simple_rnn_cell", MB_CELL_SIMPLE},
                                {"LSTM", "LSTMCell", "lstm_cell", MB_CELL_LSTM},
                                {"GRU", "GRUCell", "gru_cell", MB_CELL_GRU}};
#define N_KNOWN (sizeof(known) / sizeof(known[0]))

/* Of either GRU. */
static mb_cell_t kind_of(mb_cell_t cell)
{
    return cell == MB_CELL_GRU_BEFORE ? MB_CELL_GRU : cell;
}

static const known_t *find(const char *name, bool cell)
{
    for (size_t i = 0; i < N_KNOWN; i++) {
        if (strcmp(name, cell ? known[i].cell : known[i].layer) == 0)
            return &known[i];
    }
    return NULL;
}

bool mb_recurrent_is_class(const char *class_name)
{
    return find(class_name, false) != NULL || strcmp(class_name, "RNN") == 0;
}

/* Keras limits rates to 0 and 1. One of 1 drops everything in SimpleRNN and is without effect in
 * the other cells. */
static mb_status_t take_rate(mb_config_t *config, const char *key, mb_cell_t cell, double *out)
{
    MB_TRY(mb_config_real_or(config, key, 0.0, out));
    *out = *out < 0.0 ? 0.0 : *out > 1.0 ? 1.0 : *out;
    if (cell != MB_CELL_SIMPLE && *out >= 1.0)
        *out = 0.0;
    return MB_OK;
}

/* LSTM and GRU give each gate inputs of its own where they are made to work gate by gate:
 * implementation 1, and any recurrent dropout. The seed is without effect: numbers follow from the
 * run's seed, the step and the node. */
static mb_status_t take_dropout(mb_config_t *config, mb_recurrent_t *out)
{
    int64_t implementation;
    double recurrent;
    mb_config_ignore(config, "seed");
    MB_TRY(mb_config_int_or(config, "implementation", 0, 2, 2, &implementation));
    MB_TRY(mb_config_real_or(config, "recurrent_dropout", 0.0, &recurrent));
    MB_TRY(take_rate(config, "dropout", out->cell, &out->dropout));
    MB_TRY(take_rate(config, "recurrent_dropout", out->cell, &out->recurrent_dropout));
    out->apart = out->cell != MB_CELL_SIMPLE && (implementation == 1 || recurrent > 0.0);
    return MB_OK;
}

/* An absent key is the default, null is linear. */
static mb_status_t take_function(mb_config_t *config, const char *key, mb_act_t otherwise,
                                 mb_activation_t *out)
{
    MB_TRY(mb_activation_take_key(config, key, out));
    if (json_object_get(config->object, key) == NULL)
        *out = (mb_activation_t){.act = otherwise, .needs_output = true};
    return out->softmax
               ? mb_error_set(MB_ERR_UNSUPPORTED,
                              "%s: key '%s' is softmax; in recurrent layers this build obeys only "
                              "functions of one element",
                              config->where, key)
               : MB_OK;
}

static mb_status_t take_functions(mb_config_t *config, mb_recurrent_t *out)
{
    MB_TRY(take_function(config, "activation", MB_ACT_TANH, &out->activation));
    return out->cell == MB_CELL_SIMPLE
               ? MB_OK
               : take_function(config, "recurrent_activation", MB_ACT_SIGMOID, &out->gate);
}

/* unit_forget_bias: the forget gate's part of the bias begins as ones. */
static mb_status_t take_params(mb_config_t *config, mb_recurrent_t *out)
{
    bool forget = false;
    MB_TRY(mb_layer_take_param(config, "kernel", "glorot_uniform", NULL, true, &out->kernel));
    MB_TRY(mb_layer_take_param(config, "recurrent", "orthogonal", NULL, true, &out->recurrent));
    MB_TRY(mb_layer_take_param(config, "bias", "zeros", NULL, true, &out->bias));
    if (out->cell == MB_CELL_LSTM)
        MB_TRY(mb_config_bool_or(config, "unit_forget_bias", true, &forget));
    out->kernel.operand = out->recurrent.operand = true;
    if (!forget)
        return MB_OK;
    out->bias.initializer.ones_from = out->units;
    out->bias.initializer.ones_to = 2 * out->units;
    return MB_OK;
}

static mb_status_t take_cell(mb_config_t *config, const known_t *which, mb_recurrent_t *out)
{
    bool after = false;
    out->cell = which->kind;
    out->prefix = which->prefix;
    MB_TRY(mb_config_int(config, "units", 1, MB_LAYER_MAX_WINDOW, &out->units));
    MB_TRY(mb_config_bool_or(config, "use_bias", true, &out->use_bias));
    if (out->cell == MB_CELL_GRU)
        MB_TRY(mb_config_bool_or(config, "reset_after", true, &after));
    MB_TRY(take_functions(config, out));
    MB_TRY(take_dropout(config, out));
    MB_TRY(take_params(config, out));
    if (out->cell == MB_CELL_GRU && !after)
        out->cell = MB_CELL_GRU_BEFORE;
    return MB_OK;
}

/* What is done with the cell. Keras 3 forgets zero_output_for_mask where it unrolls. */
static mb_status_t take_loop(mb_config_t *config, mb_recurrent_t *out)
{
    bool unrolls;
    MB_TRY(mb_config_bool_or(config, "return_sequences", false, &out->sequences));
    MB_TRY(mb_config_bool_or(config, "go_backwards", false, &out->backwards));
    MB_TRY(mb_config_bool_or(config, "return_state", false, &out->states));
    MB_TRY(mb_config_bool_or(config, "stateful", false, &out->keeps));
    MB_TRY(mb_config_only(config, "time_major", "false"));
    MB_TRY(mb_config_bool_or(config, "unroll", false, &unrolls));
    MB_TRY(mb_config_bool_or(config, "zero_output_for_mask", false, &out->blank));
    out->unrolls = unrolls && !config->keras2;
    out->blank = out->blank && !out->unrolls;
    return MB_OK;
}

static mb_status_t refuse_cell(const mb_config_t *config, const char *name)
{
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "%s: key 'cell' is of class '%s'; this build obeys SimpleRNNCell, LSTMCell "
                        "and GRUCell",
                        config->where, name);
}

/* The name of a policy, written as a string or as an object, which may have a shared object's
 * number beside it. */
static const char *policy_name(const json_t *dtype)
{
    const json_t *name = json_object_get(json_object_get(dtype, "config"), "name");
    const char *text = json_string_value(json_is_string(dtype) ? dtype : name);
    return text != NULL ? text : "";
}

/* A layer inside a layer computes and trains as that does. */
static mb_status_t take_inner(mb_config_t *inner, const mb_config_t *outer)
{
    const json_t *dtype = mb_config_take(inner, "dtype");
    const json_t *own = json_object_get(outer->object, "dtype");
    bool trainable, outer_trainable = !json_is_false(json_object_get(outer->object, "trainable"));
    MB_TRY(mb_config_bool_or(inner, "trainable", true, &trainable));
    if (!trainable && outer_trainable)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: key 'trainable' is false, but that of the layer around it is true",
                            inner->where);
    if (dtype != NULL && own != NULL && strcmp(policy_name(dtype), policy_name(own)) != 0)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: key 'dtype' differs from that of the layer around it",
                            inner->where);
    return MB_OK;
}

static mb_status_t open_object(const mb_config_t *outer, const char *key, const json_t *value,
                               const char **class_name, mb_config_t *out)
{
    const json_t *config = NULL;
    if (!json_is_object(value))
        return mb_error_set(MB_ERR_UNSUPPORTED, "%s: key '%s' must be one layer's configuration",
                            outer->where, key);
    MB_TRY(mb_config_object(value, outer->where, class_name, &config));
    MB_TRY(mb_config_open(out, config, "%.120s: %s %.32s", outer->where, key, *class_name));
    out->keras2 = outer->keras2;
    return take_inner(out, outer);
}

mb_status_t mb_layer_open_inner(mb_config_t *outer, const char *key, const char **class_name,
                                mb_config_t *out)
{
    return open_object(outer, key, mb_config_take(outer, key), class_name, out);
}

static mb_status_t parse_cell(mb_config_t *outer, mb_config_t *inner, const char *name,
                              mb_recurrent_t *out)
{
    const known_t *which = find(name, true);
    if (which == NULL)
        return refuse_cell(outer, name);
    const char *prefix = which->prefix;
    MB_TRY(mb_config_string_or(inner, "name", prefix, &prefix));
    MB_TRY(take_cell(inner, which, out));
    out->prefix = prefix;
    return mb_config_finish(inner);
}

static mb_status_t parse_with_cell(mb_config_t *config, mb_recurrent_t *out)
{
    const char *name;
    mb_config_t inner;
    MB_TRY(take_loop(config, out));
    MB_TRY(mb_layer_open_inner(config, "cell", &name, &inner));
    return parse_cell(config, &inner, name, out);
}

/* "cells/lstm_cell", and with a number behind where there were cells of its kind before. */
static mb_status_t place_cell(mb_arena_t *arena, int index, mb_stack_t *out)
{
    const char *kind = "";
    int before = 0;
    for (size_t k = 0; k < N_KNOWN; k++) {
        if (known[k].kind == kind_of(out->cells[index].cell))
            kind = known[k].prefix;
    }
    for (int i = 0; i < index; i++)
        before += kind_of(out->cells[i].cell) == kind_of(out->cells[index].cell);
    out->places[index] = before == 0 ? mb_arena_format(arena, "cells/%s", kind)
                                     : mb_arena_format(arena, "cells/%s_%d", kind, before);
    return out->places[index] == NULL ? mb_error_memory("a cell", 0) : MB_OK;
}

static mb_status_t parse_cells(mb_config_t *stack, const mb_recurrent_t *loop, mb_arena_t *arena,
                               mb_stack_t *out)
{
    const json_t *list = mb_config_take(stack, "cells");
    size_t n = json_array_size(list);
    if (n < 1 || n > MB_MOST_CELLS)
        return mb_error_set(MB_ERR_UNSUPPORTED, "%s: key 'cells' must be a list of 1 to %d cells",
                            stack->where, MB_MOST_CELLS);
    for (size_t i = 0; i < n; i++) {
        const char *name;
        mb_config_t inner;
        out->cells[i] = *loop;
        out->cells[i].sequences = i + 1 < n || loop->sequences;
        MB_TRY(open_object(stack, "cells", json_array_get(list, i), &name, &inner));
        MB_TRY(parse_cell(stack, &inner, name, &out->cells[i]));
        MB_TRY(place_cell(arena, (int)i, out));
        out->n++;
    }
    return MB_OK;
}

static mb_status_t parse_stack(mb_config_t *config, mb_arena_t *arena, mb_stack_t *out)
{
    const char *name;
    mb_config_t stack;
    mb_recurrent_t loop = {0};
    MB_TRY(take_loop(config, &loop));
    MB_TRY(mb_layer_open_inner(config, "cell", &name, &stack));
    MB_TRY(mb_config_string_or(&stack, "name", "stacked_rnn_cells", &out->name));
    MB_TRY(mb_config_only(&stack, "reverse_state_order", "false"));
    MB_TRY(parse_cells(&stack, &loop, arena, out));
    return mb_config_finish(&stack);
}

static bool is_stack(const mb_config_t *config, const char *class_name)
{
    const json_t *cell = json_object_get(config->object, "cell");
    const char *name = json_string_value(json_object_get(cell, "class_name"));
    return strcmp(class_name, "RNN") == 0 && name != NULL && strcmp(name, "StackedRNNCells") == 0;
}

static mb_status_t parse_single(mb_config_t *config, const char *class_name, mb_recurrent_t *out)
{
    if (strcmp(class_name, "RNN") == 0)
        return parse_with_cell(config, out);
    MB_TRY(take_loop(config, out));
    return take_cell(config, find(class_name, false), out);
}

mb_status_t mb_stack_parse(mb_config_t *config, const char *class_name, mb_arena_t *arena,
                           mb_stack_t *out)
{
    *out = (mb_stack_t){0};
    if (is_stack(config, class_name))
        return parse_stack(config, arena, out);
    out->n = 1;
    return parse_single(config, class_name, &out->cells[0]);
}

mb_status_t mb_recurrent_parse_convolved(mb_config_t *config, mb_recurrent_t *out)
{
    out->cell = MB_CELL_LSTM;
    MB_TRY(take_loop(config, out));
    MB_TRY(mb_config_int(config, "filters", 1, MB_LAYER_MAX_WINDOW, &out->units));
    MB_TRY(mb_config_bool_or(config, "use_bias", true, &out->use_bias));
    MB_TRY(take_functions(config, out));
    mb_config_ignore(config, "seed");
    MB_TRY(take_rate(config, "dropout", out->cell, &out->dropout));
    MB_TRY(take_rate(config, "recurrent_dropout", out->cell, &out->recurrent_dropout));
    MB_TRY(take_params(config, out));
    out->kernel.name = "kernel";
    out->recurrent.name = "recurrent_kernel";
    out->bias.name = "bias";
    out->bias.operand = true;
    return MB_OK;
}
