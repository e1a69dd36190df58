/* Attention by products (Luong and others, 2015): softmax(scale q k^T) v, by the device's own
 * operation for one head, whose queries are scaled beforehand. The gradient of the scale is the sum
 * of those scaled queries' gradients times the queries.
 *
 * saved: scaled queries, log_sum, mask, the output before queries are hidden. carry: dq, dk, dv,
 * the output's gradient, products. */
#include "model/layers/score_attention.h"

typedef struct {
    size_t q, log_sum, mask, out, saved_bytes;
    size_t dq, dk, dv, dout, products, carry_bytes;
    int64_t queries, keys, values, outputs; /* elements */
} block_t;

static block_t block_of(const mb_call_t *call, int64_t samples)
{
    mb_score_sizes_t s = mb_score_sizes(call);
    mb_attention_mask_t mask = mb_score_mask(call);
    mb_dtype_t type = call->output_type;
    block_t b = {.queries = samples * s.queries * s.width,
                 .keys = samples * s.keys * s.width,
                 .values = samples * s.keys * s.values,
                 .outputs = samples * s.queries * s.values};
    int64_t masks = mb_attention_mask_count(call, &mask);
    b.q = mb_block_add(&b.saved_bytes, b.queries, type);
    b.log_sum = mb_block_add(&b.saved_bytes, samples * s.queries, MB_F32);
    b.mask = mb_block_add(&b.saved_bytes, samples * masks * s.queries * s.keys, type);
    b.out = mb_block_add(&b.saved_bytes, b.outputs, type);
    b.dq = mb_block_add(&b.carry_bytes, b.queries, type);
    b.dk = mb_block_add(&b.carry_bytes, b.keys, type);
    b.dv = mb_block_add(&b.carry_bytes, b.values, type);
    b.dout = mb_block_add(&b.carry_bytes, b.outputs, type);
    b.products = mb_block_add(&b.carry_bytes, b.queries, type);
    return b;
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    block_t b = block_of(call, samples);
    out->saved_bytes = b.saved_bytes;
    out->carry_bytes = b.carry_bytes;
}

static const void *queries_of(const mb_run_t *run, const block_t *b)
{
    bool scaled = mb_score_attention_of(run->call)->scaled;
    return scaled ? mb_bytes_at(run->saved, b->q) : mb_run_input(run, 0);
}

static mb_status_t forward(const mb_run_t *run)
{
    const mb_call_t *call = run->call;
    mb_score_sizes_t s = mb_score_sizes(call);
    mb_attention_mask_t mask = mb_score_mask(call);
    block_t b = block_of(call, run->samples);
    mb_attention_forward_args_t args = {.type = mb_run_type(run),
                                        .samples = run->samples,
                                        .heads = 1,
                                        .tq = s.queries,
                                        .tk = s.keys,
                                        .d = s.width,
                                        .dv = s.values,
                                        .scale = 1.0f,
                                        .dropout_rate = mb_score_rate(run),
                                        .causal = mb_score_is_causal(call),
                                        .random = mb_score_random(run),
                                        .q = queries_of(run, &b),
                                        .k = mb_run_input(run, s.key),
                                        .v = mb_run_input(run, 1),
                                        .out = mb_bytes_at(run->saved, b.out),
                                        .log_sum = mb_bytes_at(run->saved, b.log_sum),
                                        .mask = mb_bytes_at(run->saved, b.mask),
                                        .masks = mb_attention_mask_count(call, &mask),
                                        .blind = MB_BLIND_LEVEL};
    if (mb_score_attention_of(call)->scaled)
        MB_TRY(
            mb_score_scale(run, 0, b.queries, mb_run_input(run, 0), mb_bytes_at(run->saved, b.q)));
    MB_TRY(mb_attention_mask_fill(run, &mask, mb_bytes_at(run->saved, b.mask)));
    MB_TRY(mb_run_attention_forward(run->exec, &args));
    if (call->masks[0] > 0)
        return mb_score_keep_queries(run, args.out, run->output);
    return mb_run_copy(run, s.queries * s.values, args.out, run->output);
}

static mb_status_t backward_attention(const mb_run_t *run, const block_t *b, const void *dout)
{
    const mb_call_t *call = run->call;
    mb_score_sizes_t s = mb_score_sizes(call);
    mb_attention_mask_t mask = mb_score_mask(call);
    mb_attention_backward_args_t args = {.type = mb_run_type(run),
                                         .samples = run->samples,
                                         .heads = 1,
                                         .tq = s.queries,
                                         .tk = s.keys,
                                         .d = s.width,
                                         .dv = s.values,
                                         .scale = 1.0f,
                                         .dropout_rate = mb_score_rate(run),
                                         .causal = mb_score_is_causal(call),
                                         .random = mb_score_random(run),
                                         .q = queries_of(run, b),
                                         .k = mb_run_input(run, s.key),
                                         .v = mb_run_input(run, 1),
                                         .out = mb_bytes_at(run->saved, b->out),
                                         .log_sum = mb_bytes_at(run->saved, b->log_sum),
                                         .dout = dout,
                                         .dq = mb_bytes_at(run->carry, b->dq),
                                         .dk = mb_bytes_at(run->carry, b->dk),
                                         .dv_ = mb_bytes_at(run->carry, b->dv),
                                         .mask = mb_bytes_at(run->saved, b->mask),
                                         .masks = mb_attention_mask_count(call, &mask),
                                         .blind = MB_BLIND_LEVEL};
    return mb_run_attention_backward(run->exec, &args);
}

static mb_status_t give_queries(const mb_run_t *run, const block_t *b)
{
    const void *dq = mb_bytes_at(run->carry, b->dq);
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    if (mb_score_attention_of(run->call)->scaled)
        return mb_score_scale(run, 0, b->queries, dq, mb_run_grad_input(run, 0));
    return mb_run_copy(run, mb_shape_elements(&run->call->inputs[0]), dq,
                       mb_run_grad_input(run, 0));
}

/* What serves as key and as value has both gradients. */
static mb_status_t give_values(const mb_run_t *run, const block_t *b)
{
    const void *dk = mb_bytes_at(run->carry, b->dk), *dv = mb_bytes_at(run->carry, b->dv);
    bool both = mb_call_arguments(run->call) == 2;
    mb_add_args_t sum = {.type = mb_run_type(run),
                         .count = b->values,
                         .a = dv,
                         .b = dk,
                         .y = mb_run_grad_input(run, 1)};
    if (mb_run_wants_input(run, 1) && both)
        return mb_run_add(run->exec, &sum);
    if (mb_run_wants_input(run, 1))
        MB_TRY(mb_run_copy(run, mb_shape_elements(&run->call->inputs[1]), dv,
                           mb_run_grad_input(run, 1)));
    if (both || !mb_run_wants_input(run, 2))
        return MB_OK;
    return mb_run_copy(run, mb_shape_elements(&run->call->inputs[2]), dk,
                       mb_run_grad_input(run, 2));
}

static mb_status_t backward_input(const mb_run_t *run)
{
    block_t b = block_of(run->call, run->samples);
    const void *dout = run->grad_output;
    if (run->call->masks[0] > 0) {
        dout = mb_bytes_at(run->carry, b.dout);
        MB_TRY(mb_score_keep_queries(run, run->grad_output, mb_bytes_at(run->carry, b.dout)));
    }
    MB_TRY(backward_attention(run, &b, dout));
    MB_TRY(give_queries(run, &b));
    return give_values(run, &b);
}

static mb_status_t backward_weights(const mb_run_t *run)
{
    block_t b = block_of(run->call, run->samples);
    mb_multiply_args_t args = {.type = mb_run_type(run),
                               .count = b.queries,
                               .a = mb_bytes_at(run->carry, b.dq),
                               .b = mb_run_input(run, 0),
                               .y = mb_bytes_at(run->carry, b.products)};
    if (!mb_score_attention_of(run->call)->scaled || !mb_run_wants_param(run, 0))
        return MB_OK;
    MB_TRY(mb_run_multiply(run->exec, &args));
    return mb_score_scale_gradient(run, 0, b.queries, args.y);
}

const mb_score_way_t mb_score_by_products = {memory, forward, backward_input, backward_weights};
