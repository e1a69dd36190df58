/* MultiHeadAttention's config, shapes and parameters (Vaswani et al., "Attention is all you need",
 * 2017, section 3.2), named and laid out as Keras does; and GroupedQueryAttention's, where keys and
 * values have fewer heads (Ainslie et al., arXiv 2305.13245). A call gives (query, value) or
 * (query, value, key); without a key the value serves as one. What it computes is in
 * attention_run.c, along which axes in attention_axes.c. */
#include "model/layers/attention_axes.h"

#include <inttypes.h>

static const char *const kernel_names[MB_N_PROJECTIONS] = {
    "query/kernel", "key/kernel", "value/kernel", "attention_output/kernel"};
static const char *const bias_names[MB_N_PROJECTIONS] = {"query/bias", "key/bias", "value/bias",
                                                         "attention_output/bias"};

/* null, a positive integer or a list of one. */
static mb_status_t take_output(mb_config_t *config, int64_t *out)
{
    *out = 0;
    mb_config_take(config, "output_shape");
    if (!mb_config_has(config, "output_shape"))
        return MB_OK;
    return mb_config_ints(config, "output_shape", 1, 1, out);
}

static mb_status_t take_axes(mb_config_t *config, mb_attention_t *out)
{
    const json_t *axes = mb_config_take(config, "attention_axes");
    int n = json_is_array(axes) ? (int)json_array_size(axes) : 1;
    if (!mb_config_has(config, "attention_axes"))
        return MB_OK;
    if (n < 1 || n >= MB_MAX_RANK)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: key 'attention_axes' has %d axes; this build obeys up to %d",
                            config->where, n, MB_MAX_RANK - 1);
    out->n_axes = n;
    return mb_config_ints(config, "attention_axes", n, -MB_MAX_RANK, out->axes);
}

static mb_status_t refuse_others(mb_config_t *config)
{
    MB_TRY(mb_config_only(config, "use_gate", "false"));
    MB_TRY(mb_config_only(config, "sliding_window", "null"));
    mb_config_ignore(config, "flash_attention");
    mb_config_ignore(config, "seed");
    if (mb_config_has(config, "activity_regularizer"))
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: key 'activity_regularizer' applies to the projections inside; "
                            "this build obeys only null",
                            config->where);
    return MB_OK;
}

/* What both classes have. */
static mb_status_t take_common(mb_config_t *config, mb_attention_t *attention)
{
    MB_TRY(mb_config_real_or(config, "dropout", 0.0, &attention->dropout));
    if (attention->dropout < 0.0 || attention->dropout >= 1.0)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: key 'dropout' is %g, it must lie in [0, 1)",
                            config->where, attention->dropout);
    MB_TRY(mb_config_bool_or(config, "use_bias", true, &attention->use_bias));
    MB_TRY(mb_layer_take_param(config, "kernel", "glorot_uniform", NULL, true, &attention->kernel));
    MB_TRY(mb_layer_take_param(config, "bias", "zeros", NULL, true, &attention->bias));
    attention->kernel.operand = attention->bias.operand = true;
    return refuse_others(config);
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    mb_attention_t *attention = MB_ARENA_NEW(arena, mb_attention_t);
    if (attention == NULL)
        return mb_error_memory("a layer", sizeof(*attention));
    MB_TRY(mb_config_int(config, "num_heads", 1, MB_LAYER_MAX_WINDOW, &attention->heads));
    MB_TRY(mb_config_int(config, "key_dim", 1, MB_LAYER_MAX_WINDOW, &attention->key_dim));
    MB_TRY(mb_config_int_or(config, "value_dim", 1, MB_LAYER_MAX_WINDOW, attention->key_dim,
                            &attention->value_dim));
    attention->shared = attention->heads;
    attention->forgets = !config->keras2;
    MB_TRY(take_output(config, &attention->out));
    MB_TRY(take_axes(config, attention));
    *out = attention;
    return take_common(config, attention);
}

static mb_status_t parse_grouped(mb_config_t *config, mb_arena_t *arena, void **out)
{
    mb_attention_t *attention = MB_ARENA_NEW(arena, mb_attention_t);
    if (attention == NULL)
        return mb_error_memory("a layer", sizeof(*attention));
    MB_TRY(mb_config_int(config, "num_query_heads", 1, MB_LAYER_MAX_WINDOW, &attention->heads));
    MB_TRY(
        mb_config_int(config, "num_key_value_heads", 1, MB_LAYER_MAX_WINDOW, &attention->shared));
    MB_TRY(mb_config_int(config, "head_dim", 1, MB_LAYER_MAX_WINDOW, &attention->key_dim));
    attention->value_dim = attention->key_dim;
    *out = attention;
    if (attention->heads % attention->shared != 0)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: key 'num_key_value_heads' is %" PRId64
                            ", which does not divide num_query_heads, %" PRId64,
                            config->where, attention->shared, attention->heads);
    return take_common(config, attention);
}

static mb_status_t parse_call(mb_config_t *kwargs, mb_arena_t *arena, void **out)
{
    mb_attention_call_t *call = MB_ARENA_NEW(arena, mb_attention_call_t);
    if (call == NULL)
        return mb_error_memory("a call", sizeof(*call));
    MB_TRY(mb_config_bool_or(kwargs, "use_causal_mask", false, &call->causal));
    MB_TRY(mb_config_only(kwargs, "return_attention_scores", "false"));
    MB_TRY(mb_config_only(kwargs, "attention_mask", "null"));
    MB_TRY(mb_config_only(kwargs, "query_mask", "null"));
    MB_TRY(mb_config_only(kwargs, "value_mask", "null"));
    MB_TRY(mb_config_only(kwargs, "key_mask", "null"));
    *out = call;
    return MB_OK;
}

static mb_attention_t *attention_of(const mb_call_t *call)
{
    return call->layer->config;
}

int mb_attention_input(const mb_call_t *call, int projection)
{
    if (projection == MB_QUERY)
        return 0;
    return projection == MB_KEY && mb_call_arguments(call) == 3 ? 2 : 1;
}

mb_attention_mask_t mb_attention_mask_of(const mb_call_t *call)
{
    return (mb_attention_mask_t){.heads = attention_of(call)->heads,
                                 .queries = call->inputs[0].dim[0],
                                 .keys = call->inputs[1].dim[0],
                                 .of_queries = call->masks[0],
                                 .of_keys = {call->masks[1], call->masks[2]},
                                 .given = call->given};
}

static mb_status_t check_inputs(const mb_call_t *call)
{
    char text[MB_SHAPE_TEXT];
    int n = mb_call_arguments(call);
    if (n != 2 && n != 3)
        return mb_call_error(call, MB_ERR_SHAPE,
                             "takes (query, value) or (query, value, key), found %d inputs", n);
    MB_TRY(mb_call_expect(call, n));
    if (call->inputs[0].rank >= 2)
        return MB_OK;
    return mb_call_error(call, MB_ERR_SHAPE, "takes samples of positions x width, its query is %s",
                         mb_shape_text(&call->inputs[0], text, sizeof(text)));
}

static mb_status_t infer(mb_call_t *call)
{
    mb_attended_t attended;
    mb_attention_t *attention = attention_of(call);
    MB_TRY(check_inputs(call));
    mb_call_keep_shape(call);
    if (attention->out > 0)
        call->output.dim[call->output.rank - 1] = attention->out;
    MB_TRY(mb_attention_fold(call, &attended));
    attention->has_images = call->inputs[0].rank > 2;
    mb_attention_mask_t mask = mb_attention_mask_of(&attended.call);
    return mb_attention_mask_check(&attended.call, &mask);
}

/* Of many axes of positions GroupedQueryAttention attends one only. */
static mb_status_t infer_grouped(mb_call_t *call)
{
    char text[MB_SHAPE_TEXT];
    if (call->n_inputs > 0 && call->inputs[0].rank != 2)
        return mb_call_error(call, MB_ERR_SHAPE,
                             "takes samples of positions x width, its query is %s",
                             mb_shape_text(&call->inputs[0], text, sizeof(text)));
    return infer(call);
}

static mb_status_t declare_projection(const mb_call_t *call, mb_param_list_t *list, int projection)
{
    mb_attention_t *attention = attention_of(call);
    mb_param_spec_t kernel = attention->kernel, bias = attention->bias;
    kernel.name = kernel_names[projection];
    bias.name = bias_names[projection];
    if (projection == MB_CONTEXT) {
        int64_t out = mb_shape_columns(&call->output);
        kernel.shape = (mb_shape_t){3, {attention->heads, attention->value_dim, out}};
        kernel.fan_in = attention->heads * attention->value_dim;
        kernel.fan_out = out;
        kernel.view = MB_VIEW_LAST;
        bias.shape = (mb_shape_t){1, {out}};
    } else {
        int64_t width = attention->widths[projection];
        int64_t size = projection == MB_VALUE ? attention->value_dim : attention->key_dim;
        int64_t heads = mb_attention_heads(attention, projection);
        kernel.shape = (mb_shape_t){3, {width, heads, size}};
        kernel.fan_in = width;
        kernel.fan_out = heads * size;
        kernel.view = MB_VIEW_FIRST;
        bias.shape = (mb_shape_t){2, {heads, size}};
    }
    MB_TRY(mb_param_add(list, &kernel));
    if (!attention->use_bias)
        return MB_OK;
    mb_shape_t shape = bias.shape;
    return mb_layer_add_param(list, &bias, &shape);
}

static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list)
{
    mb_attention_t *attention = attention_of(call);
    for (int i = MB_QUERY; i < MB_CONTEXT; i++)
        MB_TRY(mb_call_take_width(call, mb_attention_input(call, i), &attention->widths[i]));
    for (int i = MB_QUERY; i < MB_N_PROJECTIONS; i++)
        MB_TRY(declare_projection(call, list, i));
    return MB_OK;
}

static mb_status_t check(const mb_call_t *call)
{
    for (int i = MB_QUERY; i < MB_CONTEXT; i++)
        MB_TRY(
            mb_call_check_width(call, mb_attention_input(call, i), attention_of(call)->widths[i]));
    return MB_OK;
}

/* Keras 3's MultiHeadAttention takes the masks away from the tensors it is given (call in
 * multi_head_attention.py): x + attention(x, x) has none. */
static mb_mask_rule_t mask(const mb_call_t *call)
{
    return (mb_mask_rule_t){.kind = MB_MASK_PASSED, .forgets = attention_of(call)->forgets};
}

#define ATTENTION_CLASS(symbol, keras, parser, shapes)                                             \
    const mb_layer_class_t mb_layer_##symbol = {                                                   \
        .size = sizeof(mb_layer_class_t),                                                          \
        .name = keras,                                                                             \
        .parse = parser,                                                                           \
        .parse_call = parse_call,                                                                  \
        .infer = shapes,                                                                           \
        .declare = declare,                                                                        \
        .check = check,                                                                            \
        .memory = mb_attention_axes_memory,                                                        \
        .forward = mb_attention_axes_forward,                                                      \
        .backward_input = mb_attention_axes_backward_input,                                        \
        .backward_weights = mb_attention_axes_backward_weights,                                    \
        .cost = mb_attention_axes_cost,                                                            \
        .mask = mask,                                                                              \
        .takes_masks = MB_TAKES_MASKS}

ATTENTION_CLASS(multi_head_attention, "MultiHeadAttention", parse, infer);
ATTENTION_CLASS(grouped_query_attention, "GroupedQueryAttention", parse_grouped, infer_grouped);
ATTENTION_CLASS(group_query_attention, "GroupQueryAttention", parse_grouped, infer_grouped);
