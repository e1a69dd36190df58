/* MultiHeadAttention (Vaswani et al., "Attention is all you need", 2017, section 3.2), with Keras'
 * weights: q = query Wq + bq, k = key Wk + bk, v = value Wv + bv     W [width, heads, size] c =
 * attention(q, k, v) / sqrt(key_dim)                    [positions, heads, value_dim] y = c Wo + bo
 * Wo [heads, value_dim, out] A call gives (query, value) or (query, value, key); without a key the
 * value serves as one. */
#include "model/layers/layers.h"

#include <inttypes.h>
#include <math.h>

enum { QUERY, KEY, VALUE, OUTPUT, N_PROJECTIONS };

typedef struct {
    int64_t heads, key_dim, value_dim;
    int64_t out; /* 0: the query's width */
    double dropout;
    bool use_bias;
    int64_t widths[OUTPUT]; /* of the inputs its parameters were declared for */
    mb_param_spec_t kernel, bias;
} attention_t;

typedef struct {
    bool causal;
} attention_call_t;

static const char *const kernel_names[N_PROJECTIONS] = {"query/kernel", "key/kernel",
                                                        "value/kernel", "attention_output/kernel"};
static const char *const bias_names[N_PROJECTIONS] = {"query/bias", "key/bias", "value/bias",
                                                      "attention_output/bias"};

/* null, a positive integer or a list of one. */
static mb_status_t take_output(mb_config_t *config, int64_t *out)
{
    *out = 0;
    mb_config_ignore(config, "output_shape");
    if (!mb_config_has(config, "output_shape"))
        return MB_OK;
    return mb_config_ints(config, "output_shape", 1, 1, out);
}

/* Axis 1, the positions, is what Keras chooses for [samples, positions, width]. */
static mb_status_t take_axes(mb_config_t *config)
{
    int64_t axis = 1;
    mb_config_ignore(config, "attention_axes");
    if (mb_config_has(config, "attention_axes"))
        MB_TRY(mb_config_ints(config, "attention_axes", 1, -MB_MAX_RANK, &axis));
    if (axis == 1 || axis == -2)
        return MB_OK;
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "%s: key 'attention_axes' is %" PRId64 "; this build obeys only [1]",
                        config->where, axis);
}

static mb_status_t refuse_others(mb_config_t *config)
{
    MB_TRY(take_axes(config));
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

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    attention_t *attention = MB_ARENA_NEW(arena, attention_t);
    if (attention == NULL)
        return mb_error_memory("a layer", sizeof(*attention));
    MB_TRY(mb_config_int(config, "num_heads", 1, MB_LAYER_MAX_WINDOW, &attention->heads));
    MB_TRY(mb_config_int(config, "key_dim", 1, MB_LAYER_MAX_WINDOW, &attention->key_dim));
    MB_TRY(mb_config_int_or(config, "value_dim", 1, MB_LAYER_MAX_WINDOW, attention->key_dim,
                            &attention->value_dim));
    MB_TRY(mb_config_real_or(config, "dropout", 0.0, &attention->dropout));
    if (attention->dropout < 0.0 || attention->dropout >= 1.0)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: key 'dropout' is %g, it must lie in [0, 1)",
                            config->where, attention->dropout);
    MB_TRY(mb_config_bool_or(config, "use_bias", true, &attention->use_bias));
    MB_TRY(take_output(config, &attention->out));
    MB_TRY(mb_layer_take_param(config, "kernel", "glorot_uniform", NULL, true, &attention->kernel));
    MB_TRY(mb_layer_take_param(config, "bias", "zeros", NULL, true, &attention->bias));
    *out = attention;
    return refuse_others(config);
}

static mb_status_t parse_call(mb_config_t *kwargs, mb_arena_t *arena, void **out)
{
    attention_call_t *call = MB_ARENA_NEW(arena, attention_call_t);
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

static attention_t *attention_of(const mb_call_t *call)
{
    return call->layer->config;
}

/* Which input feeds a projection: Keras' order is query, value, key. */
static int input_of(const mb_call_t *call, int projection)
{
    if (projection == QUERY)
        return 0;
    return projection == KEY && call->n_inputs == 3 ? 2 : 1;
}

static int kernel_index(const attention_t *attention, int projection)
{
    return attention->use_bias ? 2 * projection : projection;
}

/* Columns that a projection makes: heads times the size of one. */
static int64_t columns_of(const mb_call_t *call, int projection)
{
    const attention_t *attention = attention_of(call);
    if (projection == OUTPUT)
        return mb_shape_columns(&call->output);
    return attention->heads * (projection == VALUE ? attention->value_dim : attention->key_dim);
}

static mb_status_t infer(mb_call_t *call)
{
    const attention_t *attention = attention_of(call);
    char value[MB_SHAPE_TEXT], key[MB_SHAPE_TEXT];
    if (call->n_inputs != 2 && call->n_inputs != 3)
        return mb_call_error(call, MB_ERR_SHAPE,
                             "takes (query, value) or (query, value, key), found %d inputs",
                             call->n_inputs);
    MB_TRY(mb_call_expect(call, call->n_inputs));
    for (int i = 0; i < call->n_inputs; i++) {
        if (call->inputs[i].rank != 2)
            return mb_call_error(call, MB_ERR_UNSUPPORTED,
                                 "takes samples of positions x width, input %d is %s", i,
                                 mb_shape_text(&call->inputs[i], value, sizeof(value)));
    }
    int64_t values = call->inputs[1].dim[0], keys = call->inputs[call->n_inputs - 1].dim[0];
    if (values != keys && values != MB_OPEN && keys != MB_OPEN)
        return mb_call_error(call, MB_ERR_SHAPE,
                             "value %s and key %s must have the same number of positions",
                             mb_shape_text(&call->inputs[1], value, sizeof(value)),
                             mb_shape_text(&call->inputs[2], key, sizeof(key)));
    mb_call_keep_shape(call);
    if (attention->out > 0)
        call->output.dim[1] = attention->out;
    return MB_OK;
}

static mb_status_t declare_projection(const mb_call_t *call, mb_param_list_t *list, int projection)
{
    attention_t *attention = attention_of(call);
    mb_param_spec_t kernel = attention->kernel, bias = attention->bias;
    kernel.name = kernel_names[projection];
    bias.name = bias_names[projection];
    if (projection == OUTPUT) {
        int64_t out = mb_shape_columns(&call->output);
        kernel.shape = (mb_shape_t){3, {attention->heads, attention->value_dim, out}};
        kernel.fan_in = attention->heads * attention->value_dim;
        kernel.fan_out = out;
        bias.shape = (mb_shape_t){1, {out}};
    } else {
        int64_t width = attention->widths[projection];
        int64_t size = projection == VALUE ? attention->value_dim : attention->key_dim;
        kernel.shape = (mb_shape_t){3, {width, attention->heads, size}};
        kernel.fan_in = width;
        kernel.fan_out = attention->heads * size;
        bias.shape = (mb_shape_t){2, {attention->heads, size}};
    }
    MB_TRY(mb_param_add(list, &kernel));
    if (!attention->use_bias)
        return MB_OK;
    mb_shape_t shape = bias.shape;
    return mb_layer_add_param(list, &bias, &shape);
}

static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list)
{
    attention_t *attention = attention_of(call);
    for (int i = QUERY; i < OUTPUT; i++)
        MB_TRY(mb_call_take_width(call, input_of(call, i), &attention->widths[i]));
    for (int i = QUERY; i < N_PROJECTIONS; i++)
        MB_TRY(declare_projection(call, list, i));
    return MB_OK;
}

static mb_status_t check(const mb_call_t *call)
{
    for (int i = QUERY; i < OUTPUT; i++)
        MB_TRY(mb_call_check_width(call, input_of(call, i), attention_of(call)->widths[i]));
    return MB_OK;
}

/* Rows that a projection works on. */
static int64_t rows_of(const mb_call_t *call, int64_t samples, int projection)
{
    return samples * call->inputs[projection == OUTPUT ? 0 : input_of(call, projection)].dim[0];
}

/* saved: q, k, v, c, log_sum. carry: dq, dk, dv, dc. C and dc take the place of OUTPUT. */
typedef struct {
    size_t at[N_PROJECTIONS];
    size_t log_sum;
    size_t saved_bytes, carry_bytes;
} block_t;

static block_t block_of(const mb_call_t *call, int64_t samples)
{
    const attention_t *attention = attention_of(call);
    int64_t context = samples * call->inputs[0].dim[0] * attention->heads;
    block_t block = {.saved_bytes = 0};
    for (int i = QUERY; i < OUTPUT; i++)
        block.at[i] =
            mb_block_add(&block.carry_bytes, rows_of(call, samples, i) * columns_of(call, i));
    block.at[OUTPUT] = mb_block_add(&block.carry_bytes, context * attention->value_dim);
    block.saved_bytes = block.carry_bytes;
    block.log_sum = mb_block_add(&block.saved_bytes, context);
    return block;
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    block_t block = block_of(call, samples);
    *out = (mb_memory_t){.saved_bytes = block.saved_bytes, .carry_bytes = block.carry_bytes};
    for (int i = 0; i < call->n_inputs; i++)
        out->keeps_input[i] = call->layer->trainable;
}

/* y = x W + b of one projection. */
static mb_status_t project(const mb_run_t *run, int projection, int64_t width, const float *x,
                           float *y)
{
    const attention_t *attention = attention_of(run->call);
    int64_t columns = columns_of(run->call, projection);
    int kernel = kernel_index(attention, projection);
    mb_gemm_args_t args = {.m = rows_of(run->call, run->samples, projection),
                           .n = columns,
                           .k = width,
                           .lda = width,
                           .ldb = columns,
                           .ldc = columns,
                           .a = x,
                           .b = mb_run_param(run, kernel),
                           .bias = attention->use_bias ? mb_run_param(run, kernel + 1) : NULL,
                           .c = y};
    return mb_run_gemm(run->exec, &args);
}

/* dx (+)= dy W^T. */
static mb_status_t project_back(const mb_run_t *run, int projection, int64_t width, bool accumulate,
                                const float *dy, float *dx)
{
    int64_t columns = columns_of(run->call, projection);
    mb_gemm_args_t args = {.m = rows_of(run->call, run->samples, projection),
                           .n = width,
                           .k = columns,
                           .transpose_b = true,
                           .accumulate = accumulate,
                           .lda = columns,
                           .ldb = columns,
                           .ldc = width,
                           .a = dy,
                           .b =
                               mb_run_param(run, kernel_index(attention_of(run->call), projection)),
                           .c = dx};
    return mb_run_gemm(run->exec, &args);
}

/* dW (+)= x^T dy, db (+)= the column sums of dy. */
static mb_status_t project_weights(const mb_run_t *run, int projection, int64_t width,
                                   const float *x, const float *dy)
{
    const attention_t *attention = attention_of(run->call);
    int64_t rows = rows_of(run->call, run->samples, projection);
    int64_t columns = columns_of(run->call, projection);
    int kernel = kernel_index(attention, projection);
    mb_gemm_args_t gemm = {.m = width,
                           .n = columns,
                           .k = rows,
                           .transpose_a = true,
                           .accumulate = run->accumulate,
                           .lda = width,
                           .ldb = columns,
                           .ldc = columns,
                           .a = x,
                           .b = dy,
                           .c = mb_run_grad_param(run, kernel)};
    mb_column_sum_args_t sum = {
        .rows = rows, .columns = columns, .accumulate = run->accumulate, .a = dy};
    if (mb_run_wants_param(run, kernel))
        MB_TRY(mb_run_gemm(run->exec, &gemm));
    if (!attention->use_bias || !mb_run_wants_param(run, kernel + 1))
        return MB_OK;
    sum.sum = mb_run_grad_param(run, kernel + 1);
    return mb_run_column_sum(run->exec, &sum);
}

static float rate_of(const mb_run_t *run)
{
    return run->training ? (float)attention_of(run->call)->dropout : 0.0f;
}

static mb_random_key_t random_of(const mb_run_t *run)
{
    mb_random_key_t random = run->random;
    random.purpose = MB_RANDOM_ATTENTION_DROPOUT;
    return random;
}

static bool causal_of(const mb_call_t *call)
{
    const attention_call_t *config = call->call_config;
    return config != NULL && config->causal;
}

static float scale_of(const mb_call_t *call)
{
    return (float)(1.0 / sqrt((double)attention_of(call)->key_dim));
}

static int64_t context_width(const attention_t *attention)
{
    return attention->heads * attention->value_dim;
}

static mb_status_t forward(const mb_run_t *run)
{
    const mb_call_t *call = run->call;
    const attention_t *attention = attention_of(call);
    block_t block = block_of(call, run->samples);
    for (int i = QUERY; i < OUTPUT; i++)
        MB_TRY(project(run, i, attention->widths[i], mb_run_input(run, input_of(call, i)),
                       mb_bytes_at(run->saved, block.at[i])));
    mb_attention_forward_args_t args = {.samples = run->samples,
                                        .heads = attention->heads,
                                        .tq = call->inputs[0].dim[0],
                                        .tk = call->inputs[1].dim[0],
                                        .d = attention->key_dim,
                                        .dv = attention->value_dim,
                                        .scale = scale_of(call),
                                        .dropout_rate = rate_of(run),
                                        .causal = causal_of(call),
                                        .random = random_of(run),
                                        .q = mb_bytes_at(run->saved, block.at[QUERY]),
                                        .k = mb_bytes_at(run->saved, block.at[KEY]),
                                        .v = mb_bytes_at(run->saved, block.at[VALUE]),
                                        .out = mb_bytes_at(run->saved, block.at[OUTPUT]),
                                        .log_sum = mb_bytes_at(run->saved, block.log_sum)};
    MB_TRY(mb_run_attention_forward(run->exec, &args));
    return project(run, OUTPUT, context_width(attention), args.out, run->output);
}

static mb_status_t backward_attention(const mb_run_t *run, const block_t *block)
{
    const mb_call_t *call = run->call;
    const attention_t *attention = attention_of(call);
    mb_attention_backward_args_t args = {.samples = run->samples,
                                         .heads = attention->heads,
                                         .tq = call->inputs[0].dim[0],
                                         .tk = call->inputs[1].dim[0],
                                         .d = attention->key_dim,
                                         .dv = attention->value_dim,
                                         .scale = scale_of(call),
                                         .dropout_rate = rate_of(run),
                                         .causal = causal_of(call),
                                         .random = random_of(run),
                                         .q = mb_bytes_at(run->saved, block->at[QUERY]),
                                         .k = mb_bytes_at(run->saved, block->at[KEY]),
                                         .v = mb_bytes_at(run->saved, block->at[VALUE]),
                                         .out = mb_bytes_at(run->saved, block->at[OUTPUT]),
                                         .log_sum = mb_bytes_at(run->saved, block->log_sum),
                                         .dout = mb_bytes_at(run->carry, block->at[OUTPUT]),
                                         .dq = mb_bytes_at(run->carry, block->at[QUERY]),
                                         .dk = mb_bytes_at(run->carry, block->at[KEY]),
                                         .dv_ = mb_bytes_at(run->carry, block->at[VALUE])};
    return mb_run_attention_backward(run->exec, &args);
}

/* With two inputs the second is value and key, and gets the sum of both gradients. */
static mb_status_t backward_input(const mb_run_t *run)
{
    const attention_t *attention = attention_of(run->call);
    block_t block = block_of(run->call, run->samples);
    static const int order[OUTPUT] = {QUERY, VALUE, KEY};
    MB_TRY(project_back(run, OUTPUT, context_width(attention), false, run->grad_output,
                        mb_bytes_at(run->carry, block.at[OUTPUT])));
    MB_TRY(backward_attention(run, &block));
    for (int i = 0; i < OUTPUT; i++) {
        int input = input_of(run->call, order[i]);
        bool accumulate = order[i] == KEY && run->call->n_inputs == 2;
        if (mb_run_wants_input(run, input))
            MB_TRY(project_back(run, order[i], attention->widths[order[i]], accumulate,
                                mb_bytes_at(run->carry, block.at[order[i]]),
                                mb_run_grad_input(run, input)));
    }
    return MB_OK;
}

static mb_status_t backward_weights(const mb_run_t *run)
{
    const attention_t *attention = attention_of(run->call);
    block_t block = block_of(run->call, run->samples);
    for (int i = QUERY; i < OUTPUT; i++)
        MB_TRY(project_weights(run, i, attention->widths[i],
                               mb_run_input(run, input_of(run->call, i)),
                               mb_bytes_at(run->carry, block.at[i])));
    return project_weights(run, OUTPUT, context_width(attention),
                           mb_bytes_at(run->saved, block.at[OUTPUT]), run->grad_output);
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    const attention_t *attention = attention_of(call);
    double pairs = (double)call->inputs[0].dim[0] * (double)call->inputs[1].dim[0];
    double heads = (double)attention->heads;
    double scores = pairs * heads * (double)(attention->key_dim + attention->value_dim) * 2.0;
    double projections = 0.0;
    for (int i = QUERY; i < N_PROJECTIONS; i++) {
        int64_t width = i == OUTPUT ? context_width(attention) : attention->widths[i];
        projections +=
            2.0 * (double)rows_of(call, 1, i) * (double)width * (double)columns_of(call, i);
    }
    scores *= causal_of(call) ? 0.5 : 1.0;
    *out = (mb_cost_t){projections + scores + 16.0 * pairs * heads,
                       projections + 2.5 * scores + 16.0 * pairs * heads, projections};
}

const mb_layer_class_t mb_layer_multi_head_attention = {.size = sizeof(mb_layer_class_t),
                                                        .name = "MultiHeadAttention",
                                                        .parse = parse,
                                                        .parse_call = parse_call,
                                                        .infer = infer,
                                                        .declare = declare,
                                                        .check = check,
                                                        .memory = memory,
                                                        .forward = forward,
                                                        .backward_input = backward_input,
                                                        .backward_weights = backward_weights,
                                                        .cost = cost};
