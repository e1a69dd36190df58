/* See merge_masked.h. saved: the x', then any. carry: a product, then the output's gradient where
 * any holds. */
#include "model/layers/merge_masked.h"

typedef struct {
    int n;
    bool all; /* inputs have masks */
    size_t at[MB_MAX_INPUTS], any, saved_bytes;
    size_t product, gradient, carry_bytes;
} block_t;

static block_t block_of(const mb_call_t *call, int64_t samples)
{
    block_t b = {.n = mb_call_arguments(call), .all = true};
    int64_t elements = samples * mb_shape_elements(&call->output);
    for (int i = 0; i < b.n; i++) {
        b.all = b.all && mb_merge_is_masked(call, i);
        if (mb_merge_is_masked(call, i))
            b.at[i] = mb_block_add(&b.saved_bytes, elements, call->output_type);
    }
    b.any = mb_block_add(&b.saved_bytes, samples * mb_shape_rows(&call->output), call->output_type);
    b.product = mb_block_add(&b.carry_bytes, elements, call->output_type);
    b.gradient = mb_block_add(&b.carry_bytes, elements, call->output_type);
    return b;
}

void mb_masked_product_memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    block_t b = block_of(call, samples);
    *out = (mb_memory_t){.saved_bytes = b.saved_bytes, .carry_bytes = b.carry_bytes};
    for (int i = 0; i < call->n_inputs; i++)
        out->keeps_input[i] = true;
}

static mb_map_input_t factor(const mb_run_t *run, const block_t *b, int input)
{
    return mb_merge_is_masked(run->call, input)
               ? mb_merge_whole(run, mb_bytes_at(run->saved, b->at[input]))
               : mb_merge_input(run, input);
}

static mb_status_t fill_factors(const mb_run_t *run, const block_t *b)
{
    for (int i = 0; i < b->n; i++) {
        if (mb_merge_is_masked(run->call, i))
            MB_TRY(mb_merge_map(run, MB_MAP_WHERE, mb_merge_mask(run, i), mb_merge_input(run, i),
                                mb_map_constant(1.0f), mb_bytes_at(run->saved, b->at[i])));
    }
    return MB_OK;
}

static mb_status_t when_any(const mb_run_t *run, const block_t *b, const void *x, void *y)
{
    mb_map_input_t any = mb_merge_rows(run, mb_bytes_at(run->saved, b->any));
    return mb_merge_map(run, MB_MAP_WHEN, mb_merge_whole(run, x), any, mb_map_constant(0), y);
}

mb_status_t mb_masked_product_forward(const mb_run_t *run)
{
    block_t b = block_of(run->call, run->samples);
    MB_TRY(fill_factors(run, &b));
    mb_map_input_t before = factor(run, &b, 0);
    for (int i = 1; i < b.n; i++) {
        MB_TRY(mb_merge_map(run, MB_MAP_MULTIPLY, before, factor(run, &b, i), mb_map_constant(0),
                            run->output));
        before = mb_merge_whole(run, run->output);
    }
    if (!b.all)
        return MB_OK;
    MB_TRY(mb_merge_any_mask(run, b.n - 1, mb_bytes_at(run->saved, b.any)));
    return when_any(run, &b, run->output, run->output);
}

/* dx_i = m_i ? dy times the other factors : 0 */
static mb_status_t factor_gradient(const mb_run_t *run, const block_t *b, int input,
                                   mb_map_input_t gradient)
{
    void *product = mb_bytes_at(run->carry, b->product);
    for (int i = 0; i < b->n; i++) {
        if (i == input)
            continue;
        MB_TRY(mb_merge_map(run, MB_MAP_MULTIPLY, gradient, factor(run, b, i), mb_map_constant(0),
                            product));
        gradient = mb_merge_whole(run, product);
    }
    mb_map_input_t mask =
        mb_merge_is_masked(run->call, input) ? mb_merge_mask(run, input) : mb_map_constant(1.0f);
    return mb_merge_map_back(run, MB_MAP_WHEN, input, gradient, mask, mb_map_constant(0));
}

mb_status_t mb_masked_product_backward(const mb_run_t *run)
{
    block_t b = block_of(run->call, run->samples);
    mb_map_input_t gradient = mb_merge_whole(run, run->grad_output);
    if (b.all) {
        void *counted = mb_bytes_at(run->carry, b.gradient);
        MB_TRY(when_any(run, &b, run->grad_output, counted));
        gradient = mb_merge_whole(run, counted);
    }
    for (int i = 0; i < b.n; i++) {
        if (mb_run_wants_input(run, i))
            MB_TRY(factor_gradient(run, &b, i, gradient));
    }
    return MB_OK;
}
