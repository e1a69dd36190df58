/* UnitNormalization: x over the root of the sum of its squares along some axes of a sample, but
 * over no less than 1e-12. */
#include "model/layers/axes.h"
#include "model/layers/view.h"

static const float most = 1e12f; /* that x is multiplied by */

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    mb_axes_t *axes = MB_ARENA_NEW(arena, mb_axes_t);
    if (axes == NULL)
        return mb_error_memory("a layer", sizeof(*axes));
    *out = axes;
    return mb_axes_take(config, axes);
}

static mb_status_t infer(mb_call_t *call)
{
    uint32_t bits;
    MB_TRY(mb_call_infer_same(call));
    return mb_axes_check(call->layer->config, call, &bits);
}

static int64_t sums_of(const mb_call_t *call, int64_t samples)
{
    uint32_t bits = mb_axes_bits(call->layer->config, call);
    for (int d = 0; d < call->output.rank; d++)
        samples *= bits >> (d + 1) & 1 ? 1 : call->output.dim[d];
    return samples;
}

/* Saved: the factor of each sum. Carry: what backward subtracts for each, and whether it does. */
static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    *out = (mb_memory_t){.keeps_output = true};
    mb_block_add(&out->saved_bytes, sums_of(call, samples), MB_F32);
    mb_block_add(&out->carry_bytes, sums_of(call, samples), MB_F32);
    mb_block_add(&out->carry_bytes, sums_of(call, samples), MB_F32);
}

/* The run with its views: of tensors, and of the sums repeated along them. */
typedef struct {
    const mb_run_t *run;
    uint32_t bits;
    mb_view_t whole, sums;
} unit_t;

static unit_t unit_of(const mb_run_t *run)
{
    unit_t u = {.run = run, .bits = mb_axes_bits(run->call->layer->config, run->call)};
    u.whole = u.sums = mb_view_output(run);
    mb_view_reduce(&u.sums, u.bits);
    return u;
}

/* y[sum] = scale * the sum of f(a, b) */
static mb_status_t reduce(const unit_t *u, mb_map_t function, const void *a, const void *b,
                          double scale, float *y)
{
    mb_map_call_t map = {.function = function,
                         .inputs = {mb_map_tensor(a, u->whole), mb_map_tensor(b, u->whole)},
                         .view = u->sums,
                         .y = y,
                         .is_wide = true,
                         .reduced = u->bits,
                         .scale = scale};
    return mb_run_strided(u->run, &map);
}

/* y[sum] = f(a[sum], b) */
static mb_status_t each_sum(const unit_t *u, mb_map_t function, const float *a, mb_map_input_t b,
                            float *y)
{
    mb_map_call_t map = {.function = function,
                         .inputs = {mb_map_weight(a, u->sums), b},
                         .view = u->sums,
                         .y = y,
                         .is_wide = true};
    for (int d = 0; d < map.view.axes; d++) {
        if (u->bits >> d & 1)
            map.view.dim[d] = map.inputs[0].view.dim[d] = map.inputs[1].view.dim[d] = 1;
    }
    return mb_run_strided(u->run, &map);
}

static mb_status_t multiply(const unit_t *u, const void *a, const float *sums, void *y)
{
    mb_map_call_t map = {.function = MB_MAP_MULTIPLY,
                         .inputs = {mb_map_tensor(a, u->whole), mb_map_weight(sums, u->sums)},
                         .view = u->whole,
                         .y = y};
    return mb_run_strided(u->run, &map);
}

static mb_status_t forward(const mb_run_t *run)
{
    unit_t u = unit_of(run);
    const void *x = mb_run_input(run, 0);
    float *factor = run->saved;
    MB_TRY(reduce(&u, MB_MAP_SQUARE, x, NULL, 1.0, factor));
    MB_TRY(each_sum(&u, MB_MAP_RSQRT, factor, mb_map_constant(0), factor));
    MB_TRY(each_sum(&u, MB_MAP_MINIMUM, factor, mb_map_constant(most), factor));
    return multiply(&u, x, factor, run->output);
}

/* dx = factor (dy - y sum(y dy)), without the sum where the factor is the largest. */
static mb_status_t backward_input(const mb_run_t *run)
{
    unit_t u = unit_of(run);
    const void *dy = run->grad_output, *y = run->output;
    void *dx = mb_run_grad_input(run, 0);
    size_t bytes = 0;
    mb_block_add(&bytes, sums_of(run->call, run->samples), MB_F32);
    float *factor = run->saved, *sum = run->carry, *counts = mb_bytes_at(run->carry, bytes);
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    MB_TRY(reduce(&u, MB_MAP_MULTIPLY, dy, y, -1.0, sum));
    MB_TRY(each_sum(&u, MB_MAP_LESS, factor, mb_map_constant(most), counts));
    MB_TRY(each_sum(&u, MB_MAP_WHEN, sum, mb_map_weight(counts, u.sums), sum));
    mb_map_call_t map = {.function = MB_MAP_MULTIPLY_ADD,
                         .inputs = {mb_map_tensor(y, u.whole), mb_map_weight(sum, u.sums),
                                    mb_map_tensor(dy, u.whole)},
                         .view = u.whole,
                         .y = dx};
    MB_TRY(mb_run_strided(run, &map));
    return multiply(&u, dx, factor, dx);
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double elements = (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){6.0 * elements, 10.0 * elements, 0.0};
}

const mb_layer_class_t mb_layer_unit_normalization = {.size = sizeof(mb_layer_class_t),
                                                      .name = "UnitNormalization",
                                                      .parse = parse,
                                                      .infer = infer,
                                                      .memory = memory,
                                                      .forward = forward,
                                                      .backward_input = backward_input,
                                                      .cost = cost,
                                                      .mask = mb_mask_passes};
