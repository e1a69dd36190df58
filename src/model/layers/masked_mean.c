/* See masked_mean.h. Views are over [samples, positions, channels]; the number of positions is
 * saved, and the gradient of a sum is the carry. */
#include "model/layers/masked_mean.h"

static mb_view_t inputs_view(const mb_run_t *run)
{
    return mb_view_input(run, 0);
}

static mb_view_t mask_view(const mb_run_t *run)
{
    mb_view_t view = mb_view_input(run, run->call->masks[0]);
    mb_view_insert(&view, 2, mb_shape_columns(&run->call->inputs[0]), 0);
    return view;
}

/* Something [samples, channels], or [samples] if channels do not count. */
static mb_view_t of_samples(const mb_run_t *run, bool channels)
{
    mb_view_t view = inputs_view(run);
    int64_t columns = view.dim[2];
    view.stride[0] = channels ? columns : 1;
    view.stride[1] = 0;
    view.stride[2] = channels ? 1 : 0;
    return view;
}

static mb_map_input_t mask_of(const mb_run_t *run)
{
    return mb_map_tensor(mb_run_input(run, run->call->masks[0]), mask_view(run));
}

/* One axis of one element in place of axis AXIS. */
static mb_view_t without(mb_view_t view, int axis)
{
    mb_view_slice(&view, axis, 0, 1, 1);
    return view;
}

static mb_status_t count_positions(const mb_run_t *run)
{
    mb_view_t counts = without(of_samples(run, false), 2), masks = without(mask_view(run), 2);
    mb_map_call_t sum = {.function = MB_MAP_COPY,
                         .inputs = {mb_map_tensor(mb_run_input(run, run->call->masks[0]), masks)},
                         .view = counts,
                         .y = run->saved,
                         .reduced = 1U << 1};
    MB_TRY(mb_run_strided(run, &sum));
    counts = without(counts, 1);
    mb_map_call_t least = {.function = MB_MAP_MAXIMUM,
                           .inputs = {mb_map_tensor(run->saved, counts), mb_map_constant(1.0f)},
                           .view = counts,
                           .y = run->saved};
    return mb_run_strided(run, &least);
}

/* y = x over the number of positions, [samples, channels]. */
static mb_status_t divide(const mb_run_t *run, const void *x, void *y)
{
    mb_view_t view = without(of_samples(run, true), 1);
    mb_map_input_t counts = mb_map_tensor(run->saved, without(of_samples(run, false), 1));
    mb_map_call_t map = {.function = MB_MAP_DIVIDE,
                         .inputs = {mb_map_tensor(x, view), counts},
                         .view = view,
                         .y = y};
    return mb_run_strided(run, &map);
}

mb_status_t mb_masked_mean_forward(const mb_run_t *run)
{
    mb_map_call_t sum = {
        .function = MB_MAP_WHEN,
        .inputs = {mb_map_tensor(mb_run_input(run, 0), inputs_view(run)), mask_of(run)},
        .view = of_samples(run, true),
        .y = run->output,
        .reduced = 1U << 1};
    MB_TRY(count_positions(run));
    MB_TRY(mb_run_strided(run, &sum));
    return divide(run, run->output, run->output);
}

mb_status_t mb_masked_mean_backward(const mb_run_t *run)
{
    mb_map_call_t spread = {
        .function = MB_MAP_WHEN,
        .inputs = {mb_map_tensor(run->carry, of_samples(run, true)), mask_of(run)},
        .view = inputs_view(run),
        .y = mb_run_grad_input(run, 0)};
    MB_TRY(divide(run, run->grad_output, run->carry));
    return mb_run_strided(run, &spread);
}

void mb_masked_mean_memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    int64_t channels = mb_shape_columns(&call->inputs[0]);
    mb_block_add(&out->saved_bytes, samples, call->output_type);
    mb_block_add(&out->carry_bytes, samples * channels, call->output_type);
    out->keeps_input[call->masks[0]] = true;
}
