/* An activation behind a layer's own arithmetic. What is kept depends on its derivative: one that
 * reads only y (relu, tanh, sigmoid) runs in place on the output; another needs z, which then is
 * saved; softmax reads only y but cannot run in place, so z is saved for the forward's sake. */
#include "model/layers/layers.h"

static bool in_place(const mb_activation_t *activation)
{
    return !activation->softmax && !activation->needs_input;
}

void mb_activated_memory(const mb_activation_t *activation, const mb_call_t *call, int64_t samples,
                         mb_memory_t *out)
{
    size_t bytes =
        (size_t)(samples * mb_shape_elements(&call->output)) * mb_dtype_bytes(call->output_type);
    *out = (mb_memory_t){0};
    if (mb_activation_is_linear(activation))
        return;
    out->keeps_output = activation->needs_output;
    out->saved_bytes = in_place(activation) ? 0 : bytes;
    out->carry_bytes = bytes;
}

void *mb_activated_target(const mb_activation_t *activation, const mb_run_t *run)
{
    return in_place(activation) ? run->output : run->saved;
}

mb_status_t mb_activated_forward(const mb_activation_t *activation, const mb_run_t *run)
{
    const mb_shape_t *shape = &run->call->output;
    if (mb_activation_is_linear(activation))
        return MB_OK;
    return mb_activation_forward(activation, run->exec, mb_run_type(run),
                                 run->samples * mb_shape_rows(shape), mb_shape_columns(shape),
                                 mb_activated_target(activation, run), run->output);
}

mb_status_t mb_activated_backward(const mb_activation_t *activation, const mb_run_t *run)
{
    const mb_shape_t *shape = &run->call->output;
    if (mb_activation_is_linear(activation) || run->is_cut)
        return MB_OK;
    return mb_activation_backward(
        activation, run->exec, mb_run_type(run), run->samples * mb_shape_rows(shape),
        mb_shape_columns(shape), activation->needs_input ? run->saved : NULL,
        activation->needs_output ? run->output : NULL, run->grad_output, run->carry);
}

const void *mb_activated_gradient(const mb_activation_t *activation, const mb_run_t *run)
{
    bool as_given = mb_activation_is_linear(activation) || run->is_cut;
    return as_given ? run->grad_output : run->carry;
}
