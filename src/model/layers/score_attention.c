/* Config, shapes and parameters of score_attention.h, and what both ways share. */
#include "model/layers/score_attention.h"

#include <string.h>

static mb_status_t take_common(mb_config_t *config, bool scaled, mb_score_attention_t *out)
{
    MB_TRY(mb_config_bool_or(config, "use_scale", scaled, &out->scaled));
    MB_TRY(mb_config_real_or(config, "dropout", 0.0, &out->dropout));
    mb_config_ignore(config, "seed");
    if (out->dropout >= 0.0 && out->dropout < 1.0)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "%s: key 'dropout' is %g, it must lie in [0, 1)",
                        config->where, out->dropout);
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    const char *mode;
    mb_score_attention_t *attention = MB_ARENA_NEW(arena, mb_score_attention_t);
    if (attention == NULL)
        return mb_error_memory("a layer", sizeof(*attention));
    *out = attention;
    MB_TRY(take_common(config, false, attention));
    MB_TRY(mb_config_string_or(config, "score_mode", "dot", &mode));
    attention->concat = strcmp(mode, "concat") == 0;
    if (!attention->concat && strcmp(mode, "dot") != 0)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: key 'score_mode' is \"%s\"; this build obeys \"dot\" and "
                            "\"concat\"",
                            config->where, mode);
    MB_TRY(mb_layer_take_param(config, "scale", "ones", "scale", true, &attention->scale));
    return mb_layer_take_param(config, "concat_score_weight", "ones", "concat_score_weight", true,
                               &attention->score_weight);
}

static mb_status_t parse_additive(mb_config_t *config, mb_arena_t *arena, void **out)
{
    mb_score_attention_t *attention = MB_ARENA_NEW(arena, mb_score_attention_t);
    if (attention == NULL)
        return mb_error_memory("a layer", sizeof(*attention));
    *out = attention;
    attention->additive = true;
    MB_TRY(take_common(config, true, attention));
    return mb_layer_take_param(config, "scale", "glorot_uniform", "scale", true, &attention->scale);
}

static mb_status_t parse_call(mb_config_t *kwargs, mb_arena_t *arena, void **out)
{
    mb_score_call_t *call = MB_ARENA_NEW(arena, mb_score_call_t);
    if (call == NULL)
        return mb_error_memory("a call", sizeof(*call));
    *out = call;
    MB_TRY(mb_config_bool_or(kwargs, "use_causal_mask", false, &call->causal));
    return mb_config_only(kwargs, "return_attention_scores", "false");
}

/* ---- shapes */

mb_score_sizes_t mb_score_sizes(const mb_call_t *call)
{
    return (mb_score_sizes_t){.queries = call->inputs[0].dim[0],
                              .keys = call->inputs[1].dim[0],
                              .width = call->inputs[0].dim[1],
                              .values = call->inputs[1].dim[1],
                              .key = mb_call_arguments(call) == 3 ? 2 : 1};
}

mb_attention_mask_t mb_score_mask(const mb_call_t *call)
{
    mb_score_sizes_t sizes = mb_score_sizes(call);
    return (mb_attention_mask_t){
        .heads = 1, .queries = sizes.queries, .keys = sizes.keys, .of_keys = {call->masks[1]}};
}

static mb_status_t check_ranks(const mb_call_t *call)
{
    char text[MB_SHAPE_TEXT];
    int n = mb_call_arguments(call);
    if (n != 2 && n != 3)
        return mb_call_error(call, MB_ERR_SHAPE,
                             "takes [query, value] or [query, value, key], found %d inputs", n);
    MB_TRY(mb_call_expect(call, n));
    for (int i = 0; i < n; i++) {
        if (call->inputs[i].rank != 2)
            return mb_call_error(call, MB_ERR_UNSUPPORTED,
                                 "takes samples of positions x width, input %d is %s", i,
                                 mb_shape_text(&call->inputs[i], text, sizeof(text)));
    }
    return MB_OK;
}

static mb_status_t infer(mb_call_t *call)
{
    char one[MB_SHAPE_TEXT], two[MB_SHAPE_TEXT];
    MB_TRY(check_ranks(call));
    mb_score_sizes_t sizes = mb_score_sizes(call);
    const mb_shape_t *query = &call->inputs[0], *key = &call->inputs[sizes.key];
    if (query->dim[1] != key->dim[1] || key->dim[0] != sizes.keys)
        return mb_call_error(call, MB_ERR_SHAPE,
                             "query %s and key %s must be of one width, and there must be as many "
                             "keys as values",
                             mb_shape_text(query, one, sizeof(one)),
                             mb_shape_text(key, two, sizeof(two)));
    mb_attention_mask_t mask = mb_score_mask(call), queries = mask;
    queries.of_queries = call->masks[0];
    MB_TRY(mb_attention_mask_check(call, &queries));
    mb_call_keep_shape(call);
    call->output.dim[1] = sizes.values;
    return MB_OK;
}

static mb_status_t declare_number(mb_param_list_t *list, mb_param_spec_t spec)
{
    spec.fan_in = spec.fan_out = 1;
    spec.shape = (mb_shape_t){0};
    return mb_param_add(list, &spec);
}

static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list)
{
    mb_score_attention_t *attention = mb_score_attention_of(call);
    MB_TRY(mb_call_take_width(call, 0, &attention->width));
    attention->scale.operand = attention->score_weight.operand = true;
    mb_shape_t columns = {1, {attention->width}};
    if (attention->scaled && attention->additive)
        MB_TRY(mb_layer_add_param(list, &attention->scale, &columns));
    else if (attention->scaled)
        MB_TRY(declare_number(list, attention->scale));
    return attention->concat ? declare_number(list, attention->score_weight) : MB_OK;
}

static mb_status_t check(const mb_call_t *call)
{
    return mb_call_check_width(call, 0, mb_score_attention_of(call)->width);
}

/* ---- running */

float mb_score_rate(const mb_run_t *run)
{
    return run->training ? (float)mb_score_attention_of(run->call)->dropout : 0.0f;
}

mb_random_key_t mb_score_random(const mb_run_t *run)
{
    mb_random_key_t random = run->random;
    random.purpose = MB_RANDOM_ATTENTION_DROPOUT;
    return random;
}

mb_status_t mb_score_keep_queries(const mb_run_t *run, const void *x, void *y)
{
    int mask = run->call->masks[0];
    mb_view_t whole = mb_view_output(run), view = mb_view_input(run, mask);
    mb_view_insert(&view, 2, whole.dim[2], 0);
    mb_map_call_t when = {
        .function = MB_MAP_WHEN,
        .inputs = {mb_map_tensor(x, whole), mb_map_tensor(mb_run_input(run, mask), view)},
        .view = whole,
        .y = y};
    return mb_run_strided(run, &when);
}

/* COUNT elements one behind the other. */
static mb_view_t line(int64_t count)
{
    return (mb_view_t){.axes = 1, .dim = {count}, .stride = {1}};
}

mb_status_t mb_score_scale(const mb_run_t *run, int param, int64_t count, const void *x, void *y)
{
    mb_view_t number = line(count);
    number.stride[0] = 0;
    mb_map_call_t map = {
        .function = MB_MAP_MULTIPLY,
        .inputs = {mb_map_tensor(x, line(count)), mb_map_tensor(mb_run_param(run, param), number)},
        .view = line(count),
        .y = y};
    return mb_run_strided(run, &map);
}

mb_status_t mb_score_scale_gradient(const mb_run_t *run, int param, int64_t count,
                                    const void *products)
{
    mb_column_sum_args_t args = {.type = mb_run_type(run),
                                 .rows = count,
                                 .columns = 1,
                                 .accumulate = run->accumulate,
                                 .a = products,
                                 .sum = mb_run_grad_param(run, param)};
    return mb_run_column_sum(run->exec, &args);
}

static const mb_score_way_t *way_of(const mb_call_t *call)
{
    const mb_score_attention_t *attention = mb_score_attention_of(call);
    return attention->additive || attention->concat ? &mb_score_by_sums : &mb_score_by_products;
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    *out = (mb_memory_t){0};
    for (int i = 0; i < mb_call_arguments(call); i++)
        out->keeps_input[i] = true;
    if (call->masks[0] > 0)
        out->keeps_input[call->masks[0]] = true;
    way_of(call)->memory(call, samples, out);
}

static mb_status_t forward(const mb_run_t *run)
{
    return way_of(run->call)->forward(run);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    return way_of(run->call)->backward_input(run);
}

static mb_status_t backward_weights(const mb_run_t *run)
{
    return way_of(run->call)->backward_weights(run);
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    mb_score_sizes_t sizes = mb_score_sizes(call);
    bool sums = way_of(call) == &mb_score_by_sums;
    double pairs = (double)sizes.queries * (double)sizes.keys;
    double flops = pairs * ((sums ? 20.0 : 2.0) * (double)sizes.width + 2.0 * (double)sizes.values);
    *out = (mb_cost_t){flops, 2.0 * flops, 0.0};
}

#define SCORE_CLASS(symbol, keras, parser)                                                         \
    const mb_layer_class_t mb_layer_##symbol = {.size = sizeof(mb_layer_class_t),                  \
                                                .name = keras,                                     \
                                                .parse = parser,                                   \
                                                .parse_call = parse_call,                          \
                                                .infer = infer,                                    \
                                                .declare = declare,                                \
                                                .check = check,                                    \
                                                .memory = memory,                                  \
                                                .forward = forward,                                \
                                                .backward_input = backward_input,                  \
                                                .backward_weights = backward_weights,              \
                                                .cost = cost,                                      \
                                                .mask = mb_mask_passes,                            \
                                                .takes_masks = MB_TAKES_MASKS}

SCORE_CLASS(attention, "Attention", parse);
SCORE_CLASS(additive_attention, "AdditiveAttention", parse_additive);
