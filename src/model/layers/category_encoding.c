/* CategoryEncoding: whole numbers below num_tokens as rows of marks or counts. */
#include "model/layers/encoding.h"

typedef struct {
    int64_t tokens;
    mb_output_mode_t encoding;
} category_t;

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    category_t *c = MB_ARENA_NEW(arena, category_t);
    if (c == NULL)
        return mb_error_memory("a layer", sizeof *c);
    *out = c;
    MB_TRY(mb_config_int(config, "num_tokens", 1, MB_LAYER_MAX_SIZE, &c->tokens));
    MB_TRY(mb_encoding_take(config, "multi_hot", &c->encoding));
    if (c->encoding != MB_ENCODING_INT && c->encoding != MB_ENCODING_TF_IDF)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "%s: key 'output_mode' must be one_hot, multi_hot or count", config->where);
}

static const category_t *config_of(const mb_call_t *call)
{
    return call->layer->config;
}

static void roles(const mb_call_t *call, mb_roles_t *out)
{
    out->takes_ids = true;
    out->vocabulary = config_of(call)->tokens;
}

static mb_status_t infer(mb_call_t *call)
{
    if (call->n_inputs == 1 && call->input_types[0] != MB_I32)
        return mb_call_error(call, MB_ERR_UNSUPPORTED, "takes whole numbers, its input is %s",
                             mb_dtype_name(call->input_types[0]));
    return mb_encoding_infer(call, config_of(call)->encoding, config_of(call)->tokens);
}

static mb_status_t forward(const mb_run_t *run)
{
    return mb_encoding_run(run, config_of(run->call)->encoding, mb_run_input(run, 0), NULL);
}

const mb_layer_class_t mb_layer_category_encoding = {.size = sizeof(mb_layer_class_t),
                                                     .name = "CategoryEncoding",
                                                     .parse = parse,
                                                     .infer = infer,
                                                     .memory = mb_call_keeps_nothing,
                                                     .forward = forward,
                                                     .backward_input = mb_no_backward,
                                                     .cost = mb_traffic_cost,
                                                     .differentiable = mb_not_differentiable,
                                                     .roles = roles};
