/* See glu.h. Both halves are views of the input. */
#include "model/layers/glu.h"

#include <inttypes.h>

mb_status_t mb_glu_infer(mb_call_t *call, uint32_t axes)
{
    int axis = __builtin_ctz(axes) - 1;
    int64_t dim = call->inputs[0].dim[axis];
    if (dim == MB_OPEN)
        return MB_OK;
    if (dim % 2 != 0)
        return mb_call_error(call, MB_ERR_SHAPE,
                             "glu halves its axis, whose %" PRId64 " elements are odd", dim);
    call->output.dim[axis] = dim / 2;
    return MB_OK;
}

static mb_view_t half(const mb_run_t *run, uint32_t axes, int which)
{
    mb_view_t view = mb_view_input(run, 0);
    int axis = __builtin_ctz(axes);
    int64_t count = view.dim[axis] / 2;
    mb_view_slice(&view, axis, which * count, 1, count);
    return view;
}

mb_status_t mb_glu_forward(const mb_run_t *run, uint32_t axes)
{
    const void *x = mb_run_input(run, 0);
    mb_map_call_t map = {
        .function = MB_MAP_GATE,
        .inputs = {mb_map_tensor(x, half(run, axes, 0)), mb_map_tensor(x, half(run, axes, 1))},
        .view = mb_view_output(run),
        .y = run->output};
    return mb_run_strided(run, &map);
}

mb_status_t mb_glu_backward(const mb_run_t *run, uint32_t axes)
{
    const void *x = mb_run_input(run, 0);
    mb_map_input_t dy = mb_map_tensor(run->grad_output, mb_view_output(run));
    mb_map_input_t value = mb_map_tensor(x, half(run, axes, 0));
    mb_map_input_t gate = mb_map_tensor(x, half(run, axes, 1));
    mb_map_call_t of_value = {.function = MB_MAP_GATE, .inputs = {dy, gate}, .view = value.view};
    mb_map_call_t of_gate = {
        .function = MB_MAP_D_GATE, .inputs = {dy, value, gate}, .view = gate.view};
    of_value.y = of_gate.y = mb_run_grad_input(run, 0);
    MB_TRY(mb_run_strided(run, &of_value));
    return mb_run_strided(run, &of_gate);
}
