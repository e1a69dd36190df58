/* See softmax_mask.h. The masked input and what is kept stand in front of what the layer saves,
 * which backward overwrites from its own beginning: it reads the output alone. */
#include "model/layers/softmax_mask.h"

mb_status_t mb_softmax_mask_check(const mb_call_t *call)
{
    char x[MB_SHAPE_TEXT], m[MB_SHAPE_TEXT];
    const mb_shape_t *mask = &call->inputs[call->masks[0]], *input = &call->inputs[0];
    bool fits = mask->rank == input->rank;
    for (int d = 0; fits && d < mask->rank; d++)
        fits = mask->dim[d] == 1 || mask->dim[d] == input->dim[d];
    if (fits)
        return MB_OK;
    return mb_call_error(
        call, MB_ERR_SHAPE,
        "its mask, %s a sample, does not fit its input, %s; Keras refuses it too%s",
        mb_shape_text(mask, m, sizeof(m)), mb_shape_text(input, x, sizeof(x)),
        call->given > 0 ? "" : " (it comes with the input: use Activation)");
}

static size_t array_bytes(const mb_call_t *call, int64_t samples)
{
    size_t bytes = 0;
    mb_block_add(&bytes, samples * mb_shape_elements(&call->output), call->output_type);
    return bytes;
}

void mb_softmax_mask_memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    out->saved_bytes = (out->saved_bytes + 63) / 64 * 64 + 2 * array_bytes(call, samples);
}

static mb_view_t mask_view(const mb_run_t *run)
{
    mb_view_t whole = mb_view_output(run), view = mb_view_input(run, run->call->masks[0]);
    mb_view_broadcast(&view, &whole);
    return view;
}

static mb_status_t map(const mb_run_t *run, mb_map_t function, mb_map_input_t a, mb_map_input_t b,
                       mb_map_input_t c, void *y)
{
    mb_map_call_t call = {
        .function = function, .inputs = {a, b, c}, .view = mb_view_output(run), .y = y};
    return mb_run_strided(run, &call);
}

static mb_map_input_t whole(const mb_run_t *run, const void *values)
{
    return mb_map_tensor(values, mb_view_output(run));
}

mb_status_t mb_softmax_mask_enter(const mb_run_t *run, mb_masked_softmax_t *out)
{
    size_t bytes = array_bytes(run->call, run->samples);
    float hidden = mb_run_type(run) == MB_F16 ? -3e4f : -1e9f;
    mb_map_input_t mask = mb_map_tensor(mb_run_input(run, run->call->masks[0]), mask_view(run));
    out->x = run->saved;
    out->keep = mb_bytes_at(run->saved, bytes);
    MB_TRY(map(run, MB_MAP_GREATER, mask, mb_map_constant(0.5f), mb_map_constant(0), out->keep));
    MB_TRY(map(run, MB_MAP_WHERE, whole(run, out->keep), whole(run, mb_run_input(run, 0)),
               mb_map_constant(hidden), out->x));
    out->run = *run;
    out->inputs[0] = out->x;
    out->run.inputs = run->inputs == NULL ? NULL : out->inputs;
    out->run.saved = mb_bytes_at(run->saved, 2 * bytes);
    return MB_OK;
}

mb_status_t mb_softmax_mask_leave(const mb_run_t *run, const mb_masked_softmax_t *masked)
{
    return map(run, MB_MAP_WHEN, whole(run, run->output), whole(run, masked->keep),
               mb_map_constant(0), run->output);
}
