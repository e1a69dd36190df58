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
        b.all = b.all && call->masks[i] > 0;
        if (call->masks[i] > 0)
            b.at[i] = mb_block_add(&b.saved_bytes, elements, call->output_type);
    }
    b.any = mb_block_add(&b.saved_bytes, samples * mb_shape_rows(&call->output), call->output_type);
    b.product = mb_block_add(&b.carry_bytes, elements, call->output_type);
    b.gradient = mb_block_add(&b.carry_bytes, elements, call->output_type);
    return b;
}

mb_status_t mb_masked_product_check(const mb_call_t *call)
{
    bool fits = true;
    for (int i = 0; i < mb_call_arguments(call); i++) {
        const mb_shape_t *mask = &call->inputs[call->masks[i]];
        mb_shape_t rows = call->output;
        rows.rank--;
        fits = fits && mb_shape_equal(&call->inputs[i], &call->output) &&
               (call->masks[i] == 0 || mb_shape_equal(mask, &rows));
    }
    return fits ? MB_OK
                : mb_call_error(call, MB_ERR_UNSUPPORTED,
                                "some of its inputs have masks; then this build takes inputs of "
                                "one shape, with masks of one axis less");
}

void mb_masked_product_memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    block_t b = block_of(call, samples);
    *out = (mb_memory_t){.saved_bytes = b.saved_bytes, .carry_bytes = b.carry_bytes};
    for (int i = 0; i < call->n_inputs; i++)
        out->keeps_input[i] = true;
}

static mb_map_input_t whole(const mb_run_t *run, const void *values)
{
    return mb_map_tensor(values, mb_view_output(run));
}

/* One value for each row of the output. */
static mb_view_t rows_view(const mb_run_t *run)
{
    mb_view_t view = mb_view_output(run);
    int last = view.axes - 1;
    for (int d = 0; d < last; d++)
        view.stride[d] /= view.dim[last];
    view.stride[last] = 0;
    return view;
}

static mb_map_input_t mask_at(const mb_run_t *run, int input)
{
    return mb_map_tensor(mb_run_input(run, run->call->masks[input]), rows_view(run));
}

static mb_status_t map(const mb_run_t *run, mb_map_t function, mb_map_input_t a, mb_map_input_t b,
                       mb_map_input_t c, void *y)
{
    mb_map_call_t call = {
        .function = function, .inputs = {a, b, c}, .view = mb_view_output(run), .y = y};
    return mb_run_strided(run, &call);
}

static mb_map_input_t factor(const mb_run_t *run, const block_t *b, int input)
{
    bool masked = run->call->masks[input] > 0;
    return whole(run, masked ? mb_bytes_at(run->saved, b->at[input]) : mb_run_input(run, input));
}

static mb_status_t fill_factors(const mb_run_t *run, const block_t *b)
{
    for (int i = 0; i < b->n; i++) {
        if (run->call->masks[i] > 0)
            MB_TRY(map(run, MB_MAP_WHERE, mask_at(run, i), whole(run, mb_run_input(run, i)),
                       mb_map_constant(1.0f), mb_bytes_at(run->saved, b->at[i])));
    }
    return MB_OK;
}

/* any = m_0 or m_1 or ... */
static mb_status_t find_any(const mb_run_t *run, const block_t *b)
{
    mb_view_t rows = rows_view(run);
    void *any = mb_bytes_at(run->saved, b->any);
    mb_view_remove(&rows, rows.axes - 1);
    mb_map_input_t before = mb_map_constant(0.0f);
    for (int i = 0; i < b->n; i++) {
        mb_map_call_t either = {
            .function = MB_MAP_LOGICAL_OR,
            .inputs = {before, mb_map_tensor(mb_run_input(run, run->call->masks[i]), rows)},
            .view = rows,
            .y = any};
        MB_TRY(mb_run_strided(run, &either));
        before = mb_map_tensor(any, rows);
    }
    return MB_OK;
}

static mb_status_t when_any(const mb_run_t *run, const block_t *b, const void *x, void *y)
{
    mb_map_input_t any = mb_map_tensor(mb_bytes_at(run->saved, b->any), rows_view(run));
    return map(run, MB_MAP_WHEN, whole(run, x), any, mb_map_constant(0), y);
}

mb_status_t mb_masked_product_forward(const mb_run_t *run)
{
    block_t b = block_of(run->call, run->samples);
    MB_TRY(fill_factors(run, &b));
    mb_map_input_t before = factor(run, &b, 0);
    for (int i = 1; i < b.n; i++) {
        MB_TRY(
            map(run, MB_MAP_MULTIPLY, before, factor(run, &b, i), mb_map_constant(0), run->output));
        before = whole(run, run->output);
    }
    if (!b.all)
        return MB_OK;
    MB_TRY(find_any(run, &b));
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
        MB_TRY(map(run, MB_MAP_MULTIPLY, gradient, factor(run, b, i), mb_map_constant(0), product));
        gradient = whole(run, product);
    }
    mb_map_input_t mask = run->call->masks[input] > 0 ? mask_at(run, input) : mb_map_constant(1.0f);
    return map(run, MB_MAP_WHEN, gradient, mask, mb_map_constant(0), mb_run_grad_input(run, input));
}

mb_status_t mb_masked_product_backward(const mb_run_t *run)
{
    block_t b = block_of(run->call, run->samples);
    mb_map_input_t gradient = whole(run, run->grad_output);
    if (b.all) {
        void *counted = mb_bytes_at(run->carry, b.gradient);
        MB_TRY(when_any(run, &b, run->grad_output, counted));
        gradient = whole(run, counted);
    }
    for (int i = 0; i < b.n; i++) {
        if (mb_run_wants_input(run, i))
            MB_TRY(factor_gradient(run, &b, i, gradient));
    }
    return MB_OK;
}
