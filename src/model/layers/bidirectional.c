/* Bidirectional: two recurrent layers over the same sequence, one from its end; the outputs of the
 * second are turned round, and both are put side by side, summed, averaged or multiplied, or given
 * one after the other. Their states follow, where those are returned.
 *
 * saved: what the first saves, what the second does, then outputs of one alone, then all outputs
 * where there are several. carry: the same of gradients. */
#include "model/layers/recurrent.h"

#include <string.h>

typedef enum { CONCATENATED, SUMMED, AVERAGED, MULTIPLIED, APART } merge_t;

typedef struct {
    merge_t merge;
    const char *names[2], *prefixes[2]; /* prefixes: of their weights' names */
    mb_stack_t stacks[2];
} bidirectional_t;

static mb_status_t take_merge(mb_config_t *config, merge_t *out)
{
    static const char *const names[] = {"concat", "sum", "ave", "mul"};
    const json_t *value = mb_config_take(config, "merge_mode");
    const char *name = value == NULL ? "concat" : json_string_value(value);
    *out = APART;
    if (json_is_null(value))
        return MB_OK;
    for (int i = 0; name != NULL && i < 4; i++) {
        *out = (merge_t)i;
        if (strcmp(name, names[i]) == 0)
            return MB_OK;
    }
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "%s: key 'merge_mode' is %s; this build obeys concat, sum, ave, mul and "
                        "null",
                        config->where, name == NULL ? "no text" : name);
}

/* The cell whose output is the layer's. */
static const mb_recurrent_t *last_of(const bidirectional_t *b, int index)
{
    return mb_stack_last(&b->stacks[index]);
}

/* "forward_lstm" of "lstm", and of "forward_lstm". */
static const char *name_after(mb_arena_t *arena, const char *prefix, const char *name)
{
    size_t length = strlen(prefix);
    return mb_arena_format(arena, "%s%s", prefix,
                           strncmp(name, prefix, length) == 0 ? name + length : name);
}

static mb_status_t take_layer(mb_config_t *config, const char *key, mb_arena_t *arena,
                              mb_stack_t *out, const char **name)
{
    static const char *const without_effect[] = {"name", "batch_input_shape", "batch_shape",
                                                 "input_shape"};
    mb_config_t inner;
    const char *class_name;
    MB_TRY(mb_layer_open_inner(config, key, &class_name, &inner));
    if (!mb_recurrent_is_class(class_name))
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: key '%s' is of class '%s'; this build obeys SimpleRNN, LSTM, GRU "
                            "and RNN",
                            config->where, key, class_name);
    MB_TRY(mb_config_string_or(&inner, "name", class_name, name));
    for (size_t i = 0; i < sizeof(without_effect) / sizeof(without_effect[0]); i++)
        mb_config_ignore(&inner, without_effect[i]);
    MB_TRY(mb_config_only(&inner, "activity_regularizer", "null"));
    MB_TRY(mb_stack_parse(&inner, class_name, arena, out));
    for (int i = 0; i < out->n; i++) /* whatever the layer says */
        out->cells[i].blank = out->cells[i].sequences && !out->cells[i].unrolls;
    return mb_config_finish(&inner);
}

static mb_status_t check_states_of_all(const mb_config_t *config, const bidirectional_t *b)
{
    int n = mb_stack_states(&b->stacks[0], NULL) + mb_stack_states(&b->stacks[1], NULL);
    return n <= MB_MAX_STATES
               ? MB_OK
               : mb_error_set(MB_ERR_UNSUPPORTED,
                              "%s: key 'layer': the cells of both directions have %d states "
                              "together; this build obeys up to %d",
                              config->where, n, MB_MAX_STATES);
}

/* A name says where a cell's weights are kept. */
static bool are_places_clear(const mb_stack_t *one, const mb_stack_t *two)
{
    bool clear = (one->name == NULL) == (two->name == NULL);
    for (int i = 0; clear && one->name != NULL && i < one->n; i++) {
        for (int k = 0; k < two->n; k++)
            clear = clear && (strcmp(one->cells[i].prefix, two->cells[k].prefix) != 0 ||
                              strcmp(one->places[i], two->places[k]) == 0);
    }
    return clear;
}

static mb_status_t check_pair(const mb_config_t *config, const bidirectional_t *b)
{
    const mb_recurrent_t *one = last_of(b, 0), *two = last_of(b, 1);
    bool goes_both_ways = one->backwards != two->backwards;
    bool same_rows = one->sequences == two->sequences;
    bool same_states = one->states == two->states;
    bool same_kept = one->keeps == two->keeps;
    bool same_columns = one->units == two->units || b->merge == CONCATENATED || b->merge == APART;
    bool clear = are_places_clear(&b->stacks[0], &b->stacks[1]);
    if (goes_both_ways && same_rows && same_states && same_kept && same_columns && clear)
        return check_states_of_all(config, b);
    return mb_error_set(
        MB_ERR_ARGUMENT, "%s: layer and backward_layer must %s", config->where,
        !goes_both_ways ? "go in opposite directions (go_backwards)"
        : !same_rows    ? "both return sequences, or neither"
        : !same_states  ? "both return their states, or neither"
        : !same_kept    ? "both be stateful, or neither"
        : !clear        ? "both be stacks of cells, of which those of one name stand in one place, "
                          "or neither"
                        : "have the same number of units where their outputs are not concatenated");
}

/* Without a layer of its own the way back is the same one turned round. */
static mb_status_t take_layers(mb_config_t *config, mb_arena_t *arena, bidirectional_t *b)
{
    const char *name;
    MB_TRY(take_layer(config, "layer", arena, &b->stacks[0], &name));
    b->names[0] = name_after(arena, "forward_", name);
    b->names[1] = name_after(arena, "backward_", name);
    b->stacks[1] = b->stacks[0];
    for (int i = 0; i < b->stacks[1].n; i++)
        b->stacks[1].cells[i].backwards = !b->stacks[0].cells[i].backwards;
    mb_config_take(config, "backward_layer");
    if (mb_config_has(config, "backward_layer"))
        MB_TRY(take_layer(config, "backward_layer", arena, &b->stacks[1], &b->names[1]));
    for (int i = 0; i < 2; i++) {
        const char *stack = b->stacks[i].name;
        b->prefixes[i] =
            stack == NULL ? b->names[i] : mb_arena_format(arena, "%s/%s", b->names[i], stack);
        if (b->names[i] == NULL || b->prefixes[i] == NULL)
            return mb_error_memory("a layer's name", strlen(name));
    }
    return MB_OK;
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    bidirectional_t *b = MB_ARENA_NEW(arena, bidirectional_t);
    if (b == NULL)
        return mb_error_memory("a layer", sizeof(*b));
    MB_TRY(take_merge(config, &b->merge));
    MB_TRY(take_layers(config, arena, b));
    *out = b;
    return check_pair(config, b);
}

static bidirectional_t *both_of(const mb_call_t *call)
{
    return call->layer->config;
}

/* How many outputs stand in front of the states. */
static int n_merged(const bidirectional_t *b)
{
    return b->merge == APART ? 2 : 1;
}

/* Those of the way back behind the others. */
static int kept(const mb_call_t *call, mb_shape_t shapes[MB_MAX_STATES])
{
    const bidirectional_t *b = both_of(call);
    int n = 0;
    for (int i = 0; i < 2 && mb_recurrent_keeps(call, last_of(b, 0)); i++)
        n += mb_stack_states(&b->stacks[i], shapes + n);
    return n;
}

static int outputs(const mb_layer_t *layer)
{
    const bidirectional_t *b = layer->config;
    int n = n_merged(b);
    for (int i = 0; i < 2 && last_of(b, 0)->states; i++)
        n += mb_stack_states(&b->stacks[i], NULL);
    return n;
}

static mb_status_t pack(const mb_call_t *call, mb_packed_t *out)
{
    const bidirectional_t *b = both_of(call);
    *out = (mb_packed_t){0};
    for (int i = 0; i < n_merged(b); i++) {
        mb_shape_t y;
        MB_TRY(mb_recurrent_infer(call, last_of(b, i), &y));
        if (b->merge == CONCATENATED)
            y.dim[y.rank - 1] += last_of(b, 1)->units;
        mb_packed_add(out, &y);
    }
    for (int i = 0; i < 2 && last_of(b, 0)->states; i++) {
        mb_shape_t states[2 * MB_MOST_CELLS];
        int n = mb_stack_states(&b->stacks[i], states);
        for (int s = 0; s < n; s++)
            mb_packed_add(out, &states[s]);
    }
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
    const bidirectional_t *b = layer->config;
    for (int i = 0; i < 2; i++) {
        if (strlen(b->names[i]) == length && strncmp(b->names[i], part_name, length) == 0)
            return i == 0 ? "forward_layer" : "backward_layer";
    }
    const char *place = mb_stack_place(&b->stacks[0], part_name, length);
    return place != NULL ? place : mb_stack_place(&b->stacks[1], part_name, length);
}

/* Keras gives each direction half of the initial states. */
static mb_status_t check_states(const mb_call_t *call)
{
    const bidirectional_t *b = both_of(call);
    mb_shape_t shapes[4 * MB_MOST_CELLS];
    int n = mb_stack_states(&b->stacks[0], shapes), m = mb_stack_states(&b->stacks[1], shapes + n);
    bool same = n == m;
    for (int i = 0; same && i < n; i++)
        same = mb_shape_equal(&shapes[i], &shapes[n + i]);
    if (mb_call_arguments(call) > 1 && !same)
        return mb_call_error(call, MB_ERR_UNSUPPORTED,
                             "initial states of two directions whose states are not alike; this "
                             "build obeys those of two layers of one kind and size");
    return mb_recurrent_check_states(call, n + m, shapes);
}

static mb_status_t infer(mb_call_t *call)
{
    mb_packed_t packed;
    MB_TRY(check_states(call));
    MB_TRY(pack(call, &packed));
    call->output_type = call->input_types[0];
    return mb_packed_infer(&packed, call);
}

static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list)
{
    bidirectional_t *b = both_of(call);
    for (int i = 0; i < 2; i++)
        MB_TRY(mb_stack_declare(call, &b->stacks[i], b->prefixes[i], list));
    return MB_OK;
}

static mb_status_t check(const mb_call_t *call)
{
    return mb_call_check_width(call, 0, both_of(call)->stacks[0].cells[0].width);
}

typedef struct {
    size_t saved[2], carry[2];
    size_t y[2], dy[2]; /* of one direction; 1 only where the outputs are multiplied */
    mb_packed_t packed;
    size_t saved_bytes, carry_bytes;
    int64_t elements; /* of what is merged */
} block_t;

static block_t block_of(const mb_call_t *call, int64_t samples)
{
    const bidirectional_t *b = both_of(call);
    block_t block = {0};
    int n = b->merge == CONCATENATED || b->merge == APART ? 0 : b->merge == MULTIPLIED ? 2 : 1;
    pack(call, &block.packed);
    block.elements = samples * mb_shape_elements(&block.packed.shapes[0]);
    for (int i = 0; i < 2; i++) {
        block.saved[i] = block.saved_bytes;
        block.carry[i] = block.carry_bytes;
        mb_stack_memory(call, &b->stacks[i], samples, &block.saved_bytes, &block.carry_bytes);
    }
    for (int i = 0; i < n; i++) {
        block.y[i] = mb_block_add(&block.saved_bytes, block.elements, call->output_type);
        block.dy[i] = mb_block_add(&block.carry_bytes, block.elements, call->output_type);
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

/* Where an output goes: into columns of the layer's, into memory of its own, or, one of a sum, to
 * the layer's own place. */
static void *output_of(const mb_run_t *run, const block_t *block, int index)
{
    const bidirectional_t *b = both_of(run->call);
    size_t offset = (size_t)last_of(b, 0)->units * mb_dtype_bytes(mb_run_type(run));
    void *y = mb_packed_output(run, &block->packed, 0);
    if (b->merge == APART)
        return mb_packed_output(run, &block->packed, index);
    if (b->merge == CONCATENATED)
        return mb_bytes_at(y, index == 0 ? 0 : offset);
    if (b->merge == MULTIPLIED)
        return mb_bytes_at(run->saved, block->y[index]);
    return index == 0 ? y : mb_bytes_at(run->saved, block->y[0]);
}

static const void *gradient_of(const mb_run_t *run, const block_t *block, int index)
{
    const bidirectional_t *b = both_of(run->call);
    const void *dy = mb_packed_gradient(run, &block->packed, 0);
    if (b->merge == APART)
        return mb_packed_gradient(run, &block->packed, index);
    if (b->merge == CONCATENATED)
        return mb_elements_at(dy, mb_run_type(run), index == 0 ? 0 : last_of(b, 0)->units);
    if (b->merge == SUMMED)
        return dy;
    return mb_bytes_at(run->carry, block->dy[b->merge == MULTIPLIED ? index : 0]);
}

static mb_stack_pass_t pass_of(const mb_run_t *run, const block_t *block, int index)
{
    const bidirectional_t *b = both_of(run->call);
    const mb_packed_t *packed = &block->packed;
    int before = index == 0 ? 0 : mb_stack_states(&b->stacks[0], NULL);
    mb_stack_pass_t pass = {.stack = &b->stacks[index],
                            .index = index,
                            .param = index == 0 ? 0 : mb_stack_params(&b->stacks[0]),
                            .reversed = index == 1,
                            .ldy = mb_shape_columns(&packed->shapes[b->merge == APART ? index : 0]),
                            .saved = mb_bytes_at(run->saved, block->saved[index]),
                            .carry = mb_bytes_at(run->carry, block->carry[index]),
                            .first = mb_call_arguments(run->call) > 1 ? 1 + before : 0,
                            .kept = before,
                            .y = output_of(run, block, index),
                            .dy = gradient_of(run, block, index)};
    int state = n_merged(b) + before, n = mb_stack_states(pass.stack, NULL);
    for (int i = 0; i < n && state < packed->n; i++) {
        pass.after[i] = mb_packed_output(run, packed, state + i);
        pass.dafter[i] = mb_packed_gradient(run, packed, state + i);
    }
    return pass;
}

static mb_status_t multiply(const mb_run_t *run, int64_t count, const void *a, const void *b,
                            void *y)
{
    mb_multiply_args_t args = {.type = mb_run_type(run), .count = count, .a = a, .b = b, .y = y};
    return mb_run_multiply(run->exec, &args);
}

static mb_status_t halve(const mb_run_t *run, int64_t count, void *x)
{
    mb_divide_args_t args = {.type = mb_run_type(run), .count = count, .divisor = 2.0f, .x = x};
    return mb_run_divide(run->exec, &args);
}

static mb_status_t merge(const mb_run_t *run, const block_t *block)
{
    const bidirectional_t *b = both_of(run->call);
    const void *one = output_of(run, block, 0), *two = output_of(run, block, 1);
    void *y = mb_packed_output(run, &block->packed, 0);
    mb_add_args_t sum = {
        .type = mb_run_type(run), .count = block->elements, .a = one, .b = two, .y = y};
    if (b->merge == CONCATENATED || b->merge == APART)
        return MB_OK;
    if (b->merge == MULTIPLIED)
        return multiply(run, block->elements, one, two, y);
    MB_TRY(mb_run_add(run->exec, &sum));
    return b->merge == AVERAGED ? halve(run, block->elements, y) : MB_OK;
}

static mb_status_t forward(const mb_run_t *run)
{
    block_t block = block_of(run->call, run->samples);
    for (int i = 0; i < 2; i++) {
        mb_stack_pass_t pass = pass_of(run, &block, i);
        MB_TRY(mb_stack_forward(run, &pass));
    }
    MB_TRY(merge(run, &block));
    return mb_packed_join(run, &block.packed);
}

/* Writes the gradients of the outputs that are not the whole output's own. */
static mb_status_t unmerge(const mb_run_t *run, const block_t *block)
{
    const bidirectional_t *b = both_of(run->call);
    const void *dy = mb_packed_gradient(run, &block->packed, 0);
    void *half = mb_bytes_at(run->carry, block->dy[0]);
    if (b->merge == AVERAGED) {
        MB_TRY(mb_run_copy(run, mb_shape_elements(&block->packed.shapes[0]), dy, half));
        return halve(run, block->elements, half);
    }
    for (int i = 0; i < 2 && b->merge == MULTIPLIED; i++)
        MB_TRY(multiply(run, block->elements, dy, output_of(run, block, 1 - i),
                        mb_bytes_at(run->carry, block->dy[i])));
    return MB_OK;
}

static mb_status_t backward_input(const mb_run_t *run)
{
    block_t block = block_of(run->call, run->samples);
    MB_TRY(mb_packed_part(run, &block.packed));
    MB_TRY(unmerge(run, &block));
    for (int i = 0; i < 2; i++) {
        mb_stack_pass_t pass = pass_of(run, &block, i);
        MB_TRY(mb_stack_backward_input(run, &pass, i > 0));
    }
    return MB_OK;
}

static mb_status_t backward_weights(const mb_run_t *run)
{
    block_t block = block_of(run->call, run->samples);
    for (int i = 0; i < 2; i++) {
        mb_stack_pass_t pass = pass_of(run, &block, i);
        MB_TRY(mb_stack_backward_weights(run, &pass));
    }
    return MB_OK;
}

static int masked(const mb_layer_t *layer)
{
    return n_merged(layer->config);
}

static mb_mask_rule_t mask(const mb_call_t *call)
{
    return mb_recurrent_mask(last_of(both_of(call), 0));
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    mb_cost_t other;
    mb_stack_cost(call, &both_of(call)->stacks[0], out);
    mb_stack_cost(call, &both_of(call)->stacks[1], &other);
    out->forward_flops += other.forward_flops;
    out->backward_input_flops += other.backward_input_flops;
    out->backward_weights_flops += other.backward_weights_flops;
}

const mb_layer_class_t mb_layer_bidirectional = {.size = sizeof(mb_layer_class_t),
                                                 .name = "Bidirectional",
                                                 .parse = parse,
                                                 .infer = infer,
                                                 .declare = declare,
                                                 .check = check,
                                                 .memory = memory,
                                                 .forward = forward,
                                                 .backward_input = backward_input,
                                                 .backward_weights = backward_weights,
                                                 .cost = cost,
                                                 .mask = mask,
                                                 .takes_masks = MB_TAKES_MASKS,
                                                 .outputs = outputs,
                                                 .part = part,
                                                 .masked = masked,
                                                 .attribute = attribute,
                                                 .takes_states = true,
                                                 .states = kept};
