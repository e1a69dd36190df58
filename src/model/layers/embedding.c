/* Embedding: a row of the table for each int32 id. No gradient flows to the ids. */
#include "model/layers/embedding.h"

/* input_length (Keras 2) repeats the input's shape. */
mb_status_t mb_embedding_take(mb_config_t *config, mb_embedding_t *out)
{
    MB_TRY(mb_config_int(config, "input_dim", 1, MB_LAYER_MAX_SIZE, &out->vocabulary));
    MB_TRY(mb_config_int(config, "output_dim", 1, MB_LAYER_MAX_SIZE, &out->width));
    MB_TRY(mb_layer_take_param(config, "embeddings", "uniform", "embeddings", true, &out->table));
    out->table.view = MB_VIEW_LOOKUP;
    MB_TRY(mb_config_bool_or(config, "mask_zero", false, &out->masks));
    MB_TRY(mb_config_only(config, "sparse", "false"));
    mb_config_ignore(config, "input_length");
    MB_TRY(mb_config_only(config, "quantization_config", "null"));
    MB_TRY(mb_config_only(config, "lora_rank", "null"));
    return mb_config_only(config, "lora_alpha", "null");
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    mb_embedding_t *embedding = MB_ARENA_NEW(arena, mb_embedding_t);
    if (embedding == NULL)
        return mb_error_memory("a layer", sizeof(*embedding));
    *out = embedding;
    return mb_embedding_take(config, embedding);
}

static const mb_embedding_t *embedding_of(const mb_call_t *call)
{
    return call->layer->config;
}

static mb_mask_rule_t mask(const mb_call_t *call)
{
    bool masks = embedding_of(call)->masks;
    return (mb_mask_rule_t){.kind = masks ? MB_MASK_NOT_ZERO : MB_MASK_DROPPED};
}

static mb_status_t infer(mb_call_t *call)
{
    if (call->n_inputs != 1)
        return mb_call_error(call, MB_ERR_SHAPE, "takes 1 input, found %d", call->n_inputs);
    if (call->input_types[0] != MB_I32)
        return mb_call_error(call, MB_ERR_UNSUPPORTED,
                             "takes int32 ids, its input is %s (set dtype=\"int32\" on the Input)",
                             mb_dtype_name(call->input_types[0]));
    if (call->inputs[0].rank == MB_MAX_RANK)
        return mb_call_error(call, MB_ERR_UNSUPPORTED, "its input has too many dimensions");
    call->output = call->inputs[0];
    call->output.dim[call->output.rank++] = embedding_of(call)->width;
    call->output_type = MB_F32;
    return MB_OK;
}

static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list)
{
    const mb_embedding_t *embedding = embedding_of(call);
    return mb_layer_add_param(list, &embedding->table,
                              &(mb_shape_t){2, {embedding->vocabulary, embedding->width}});
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    (void)samples;
    *out = (mb_memory_t){0};
    out->keeps_input[0] = call->layer->trainable;
}

static const int32_t *ids_of(const mb_run_t *run)
{
    return run->inputs == NULL ? NULL : run->inputs[0];
}

static mb_status_t forward(const mb_run_t *run)
{
    const mb_embedding_t *embedding = embedding_of(run->call);
    mb_embedding_forward_args_t args = {.type = mb_run_type(run),
                                        .count =
                                            run->samples * mb_shape_elements(&run->call->inputs[0]),
                                        .vocabulary = embedding->vocabulary,
                                        .width = embedding->width,
                                        .ids = ids_of(run),
                                        .table = mb_run_value(run, 0),
                                        .y = run->output};
    const mb_matrix_t *stored = mb_run_stored(run, 0);
    if (stored == NULL)
        return mb_run_embedding_forward(run->exec, &args);
    mb_stored_lookup_args_t lookup = {.type = mb_run_type(run),
                                      .count = args.count,
                                      .ids = args.ids,
                                      .table = *stored,
                                      .y = args.y};
    return mb_run_stored_lookup(run->exec, &lookup);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    (void)run;
    return MB_OK;
}

static mb_status_t backward_weights(const mb_run_t *run)
{
    const mb_embedding_t *embedding = embedding_of(run->call);
    if (!mb_run_wants_param(run, 0))
        return MB_OK;
    mb_embedding_backward_args_t args = {.type = mb_run_type(run),
                                         .count = run->samples *
                                                  mb_shape_elements(&run->call->inputs[0]),
                                         .vocabulary = embedding->vocabulary,
                                         .width = embedding->width,
                                         .accumulate = run->accumulate,
                                         .ids = ids_of(run),
                                         .dy = run->grad_output,
                                         .dtable = mb_run_grad_param(run, 0)};
    return mb_run_embedding_backward(run->exec, &args);
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double traffic = 2.0 * (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){traffic, 0.0, 2.0 * traffic};
}

static bool differentiable(const mb_call_t *call, int input)
{
    (void)call;
    (void)input;
    return false;
}

static void roles(const mb_call_t *call, mb_roles_t *out)
{
    out->takes_ids = true;
    out->vocabulary = embedding_of(call)->vocabulary;
}

const mb_layer_class_t mb_layer_embedding = {.size = sizeof(mb_layer_class_t),
                                             .name = "Embedding",
                                             .parse = parse,
                                             .infer = infer,
                                             .declare = declare,
                                             .memory = memory,
                                             .forward = forward,
                                             .backward_input = backward_input,
                                             .backward_weights = backward_weights,
                                             .cost = cost,
                                             .differentiable = differentiable,
                                             .roles = roles,
                                             .mask = mask};
