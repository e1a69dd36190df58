/* What MultiHeadAttention computes, [positions, heads, size] being rows of heads times size:
 *     q = query Wq + bq    k = key Wk + bk    v = value Wv + bv
 *     c = softmax(q k^T / sqrt(key_dim)) v for each head
 *     y = c Wo + bo
 * Saved are q, k, v, c, the softmax's logarithmic sums and the mask; the carry holds the gradients.
 * Where heads share keys and values, these are repeated first, and what is repeated stands beside
 * them. */
#include "model/layers/attention.h"

#include <math.h>

static const mb_attention_t *attention_of(const mb_call_t *call)
{
    return call->layer->config;
}

/* The projection of SAMPLES samples as a product. */
static mb_linear_t linear_of(const mb_call_t *call, int64_t samples, int projection)
{
    const mb_attention_t *attention = attention_of(call);
    if (projection == MB_CONTEXT)
        return (mb_linear_t){samples * call->inputs[0].dim[0],
                             attention->heads * attention->value_dim,
                             mb_shape_columns(&call->output)};
    int64_t size = projection == MB_VALUE ? attention->value_dim : attention->key_dim;
    return (mb_linear_t){samples * call->inputs[mb_attention_input(call, projection)].dim[0],
                         attention->widths[projection],
                         mb_attention_heads(attention, projection) * size};
}

/* saved: q, k, v, c, repeated k and v, log_sum, mask. carry: dq, dk, dv, dc, of the repeated. */
typedef struct {
    size_t at[MB_N_PROJECTIONS];
    size_t all[MB_N_PROJECTIONS]; /* with a key and a value for each head of the queries */
    size_t log_sum, mask;
    size_t saved_bytes, carry_bytes;
} block_t;

static bool is_grouped(const mb_call_t *call)
{
    return attention_of(call)->shared < attention_of(call)->heads;
}

static block_t block_of(const mb_call_t *call, int64_t samples)
{
    block_t block = {.saved_bytes = 0};
    mb_linear_t context = linear_of(call, samples, MB_CONTEXT);
    for (int i = MB_QUERY; i < MB_CONTEXT; i++) {
        mb_linear_t linear = linear_of(call, samples, i);
        block.at[i] = mb_block_add(&block.carry_bytes, linear.rows * linear.out, call->output_type);
    }
    block.at[MB_CONTEXT] =
        mb_block_add(&block.carry_bytes, context.rows * context.in, call->output_type);
    for (int i = MB_QUERY; i < MB_CONTEXT; i++) {
        mb_linear_t linear = linear_of(call, samples, i);
        int64_t repeats = attention_of(call)->heads / mb_attention_heads(attention_of(call), i);
        block.all[i] = repeats == 1
                           ? block.at[i]
                           : mb_block_add(&block.carry_bytes, linear.rows * linear.out * repeats,
                                          call->output_type);
    }
    block.saved_bytes = block.carry_bytes;
    block.log_sum =
        mb_block_add(&block.saved_bytes, context.rows * attention_of(call)->heads, MB_F32);
    mb_attention_mask_t mask = mb_attention_mask_of(call);
    int64_t masks = mb_attention_mask_count(call, &mask);
    block.mask = mb_block_add(&block.saved_bytes, samples * masks * mask.queries * mask.keys,
                              call->output_type);
    return block;
}

void mb_attention_memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    block_t block = block_of(call, samples);
    *out = (mb_memory_t){.saved_bytes = block.saved_bytes, .carry_bytes = block.carry_bytes};
    for (int i = 0; i < mb_call_arguments(call); i++)
        out->keeps_input[i] = call->layer->trainable;
}

static int kernel_index(const mb_run_t *run, int projection)
{
    return attention_of(run->call)->use_bias ? 2 * projection : projection;
}

static int bias_index(const mb_run_t *run, int projection)
{
    return attention_of(run->call)->use_bias ? 2 * projection + 1 : MB_NO_PARAM;
}

static mb_status_t project(const mb_run_t *run, int projection, const void *x, void *y)
{
    mb_linear_t linear = linear_of(run->call, run->samples, projection);
    return mb_linear_forward(run, &linear, kernel_index(run, projection),
                             bias_index(run, projection), x, y);
}

static mb_status_t project_back(const mb_run_t *run, int projection, bool accumulate,
                                const void *dy, void *dx)
{
    mb_linear_t linear = linear_of(run->call, run->samples, projection);
    return mb_linear_backward_input(run, &linear, kernel_index(run, projection), accumulate, dy,
                                    dx);
}

static mb_status_t project_weights(const mb_run_t *run, int projection, const void *x,
                                   const void *dy)
{
    mb_linear_t linear = linear_of(run->call, run->samples, projection);
    return mb_linear_backward_weights(run, &linear, kernel_index(run, projection),
                                      bias_index(run, projection), x, dy);
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
    const mb_attention_call_t *config = call->call_config;
    return config != NULL && config->causal;
}

static float scale_of(const mb_call_t *call)
{
    return (float)(1.0 / sqrt((double)attention_of(call)->key_dim));
}

/* One key or value for each head of the queries: views over [samples, positions, heads of keys, how
 * often each, size]. */
typedef struct {
    mb_view_t shared, all;
} repeat_t;

static repeat_t repeat_of(const mb_run_t *run, int projection)
{
    const mb_attention_t *a = attention_of(run->call);
    int64_t positions = run->call->inputs[1].dim[0], group = a->heads / a->shared;
    int64_t size = projection == MB_VALUE ? a->value_dim : a->key_dim;
    mb_shape_t shared = {3, {positions, a->shared, size}};
    mb_shape_t all = {4, {positions, a->shared, group, size}};
    repeat_t views = {mb_view_of(run->samples, &shared), mb_view_of(run->samples, &all)};
    mb_view_insert(&views.shared, 3, group, 0);
    return views;
}

static mb_status_t repeat(const mb_run_t *run, const block_t *block)
{
    for (int i = MB_KEY; i <= MB_VALUE && is_grouped(run->call); i++) {
        repeat_t views = repeat_of(run, i);
        MB_TRY(mb_run_move(run, mb_bytes_at(run->saved, block->at[i]), &views.shared,
                           mb_bytes_at(run->saved, block->all[i]), &views.all, false));
    }
    return MB_OK;
}

static mb_status_t sum_repeated(const mb_run_t *run, const block_t *block)
{
    for (int i = MB_KEY; i <= MB_VALUE && is_grouped(run->call); i++) {
        repeat_t views = repeat_of(run, i);
        MB_TRY(mb_run_move(run, mb_bytes_at(run->carry, block->all[i]), &views.all,
                           mb_bytes_at(run->carry, block->at[i]), &views.shared, false));
    }
    return MB_OK;
}

/* Keras hides scores by one function without dropout and by another with it, or over images. */
static mb_blind_t blind_of(const mb_call_t *call)
{
    const mb_attention_t *a = attention_of(call);
    return a->dropout > 0.0 || a->has_images ? MB_BLIND_NOTHING : MB_BLIND_CONSTANT;
}

mb_status_t mb_attention_forward(const mb_run_t *run)
{
    const mb_call_t *call = run->call;
    const mb_attention_t *attention = attention_of(call);
    block_t block = block_of(call, run->samples);
    mb_attention_mask_t mask = mb_attention_mask_of(call);
    for (int i = MB_QUERY; i < MB_CONTEXT; i++)
        MB_TRY(project(run, i, mb_run_input(run, mb_attention_input(call, i)),
                       mb_bytes_at(run->saved, block.at[i])));
    MB_TRY(repeat(run, &block));
    MB_TRY(mb_attention_mask_fill(run, &mask, mb_bytes_at(run->saved, block.mask)));
    mb_attention_forward_args_t args = {.type = mb_run_type(run),
                                        .samples = run->samples,
                                        .heads = attention->heads,
                                        .tq = call->inputs[0].dim[0],
                                        .tk = call->inputs[1].dim[0],
                                        .d = attention->key_dim,
                                        .dv = attention->value_dim,
                                        .scale = scale_of(call),
                                        .dropout_rate = rate_of(run),
                                        .causal = causal_of(call),
                                        .random = random_of(run),
                                        .q = mb_bytes_at(run->saved, block.at[MB_QUERY]),
                                        .k = mb_bytes_at(run->saved, block.all[MB_KEY]),
                                        .v = mb_bytes_at(run->saved, block.all[MB_VALUE]),
                                        .out = mb_bytes_at(run->saved, block.at[MB_CONTEXT]),
                                        .log_sum = mb_bytes_at(run->saved, block.log_sum),
                                        .mask = mb_bytes_at(run->saved, block.mask),
                                        .masks = mb_attention_mask_count(call, &mask),
                                        .blind = blind_of(call)};
    MB_TRY(mb_run_attention_forward(run->exec, &args));
    return project(run, MB_CONTEXT, args.out, run->output);
}

static mb_status_t backward_attention(const mb_run_t *run, const block_t *block)
{
    const mb_call_t *call = run->call;
    mb_attention_mask_t mask = mb_attention_mask_of(call);
    const mb_attention_t *attention = attention_of(call);
    mb_attention_backward_args_t args = {.type = mb_run_type(run),
                                         .samples = run->samples,
                                         .heads = attention->heads,
                                         .tq = call->inputs[0].dim[0],
                                         .tk = call->inputs[1].dim[0],
                                         .d = attention->key_dim,
                                         .dv = attention->value_dim,
                                         .scale = scale_of(call),
                                         .dropout_rate = rate_of(run),
                                         .causal = causal_of(call),
                                         .random = random_of(run),
                                         .q = mb_bytes_at(run->saved, block->at[MB_QUERY]),
                                         .k = mb_bytes_at(run->saved, block->all[MB_KEY]),
                                         .v = mb_bytes_at(run->saved, block->all[MB_VALUE]),
                                         .out = mb_bytes_at(run->saved, block->at[MB_CONTEXT]),
                                         .log_sum = mb_bytes_at(run->saved, block->log_sum),
                                         .dout = mb_bytes_at(run->carry, block->at[MB_CONTEXT]),
                                         .dq = mb_bytes_at(run->carry, block->at[MB_QUERY]),
                                         .dk = mb_bytes_at(run->carry, block->all[MB_KEY]),
                                         .dv_ = mb_bytes_at(run->carry, block->all[MB_VALUE]),
                                         .mask = mb_bytes_at(run->saved, block->mask),
                                         .masks = mb_attention_mask_count(call, &mask),
                                         .blind = blind_of(call)};
    MB_TRY(mb_run_attention_backward(run->exec, &args));
    return sum_repeated(run, block);
}

/* With two inputs the second is value and key, and gets the sum of both gradients. */
mb_status_t mb_attention_backward_input(const mb_run_t *run)
{
    block_t block = block_of(run->call, run->samples);
    static const int order[MB_CONTEXT] = {MB_QUERY, MB_VALUE, MB_KEY};
    MB_TRY(project_back(run, MB_CONTEXT, false, run->grad_output,
                        mb_bytes_at(run->carry, block.at[MB_CONTEXT])));
    MB_TRY(backward_attention(run, &block));
    for (int i = 0; i < MB_CONTEXT; i++) {
        int input = mb_attention_input(run->call, order[i]);
        bool accumulate = order[i] == MB_KEY && mb_call_arguments(run->call) == 2;
        if (mb_run_wants_input(run, input))
            MB_TRY(project_back(run, order[i], accumulate,
                                mb_bytes_at(run->carry, block.at[order[i]]),
                                mb_run_grad_input(run, input)));
    }
    return MB_OK;
}

mb_status_t mb_attention_backward_weights(const mb_run_t *run)
{
    block_t block = block_of(run->call, run->samples);
    for (int i = MB_QUERY; i < MB_CONTEXT; i++)
        MB_TRY(project_weights(run, i, mb_run_input(run, mb_attention_input(run->call, i)),
                               mb_bytes_at(run->carry, block.at[i])));
    return project_weights(run, MB_CONTEXT, mb_bytes_at(run->saved, block.at[MB_CONTEXT]),
                           run->grad_output);
}

void mb_attention_cost(const mb_call_t *call, mb_cost_t *out)
{
    const mb_attention_t *attention = attention_of(call);
    double pairs =
        (double)call->inputs[0].dim[0] * (double)call->inputs[1].dim[0] * (double)attention->heads;
    double scores = pairs * 2.0 * (double)(attention->key_dim + attention->value_dim);
    double projections = 0.0;
    for (int i = MB_QUERY; i < MB_N_PROJECTIONS; i++) {
        mb_linear_t linear = linear_of(call, 1, i);
        projections += 2.0 * (double)linear.rows * (double)linear.in * (double)linear.out;
    }
    scores *= causal_of(call) ? 0.5 : 1.0;
    *out = (mb_cost_t){projections + scores + 16.0 * pairs,
                       projections + 2.5 * scores + 16.0 * pairs, projections};
}
