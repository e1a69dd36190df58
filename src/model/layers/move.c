/* See move.h. */
#include "model/layers/move.h"

static const mb_moves_t *moves_of(const mb_call_t *call)
{
    return call->layer->class_->kind;
}

int64_t mb_move_once(const mb_call_t *call)
{
    (void)call;
    return 1;
}

int64_t mb_move_each_input(const mb_call_t *call)
{
    return call->n_inputs;
}

static mb_status_t fill(const mb_run_t *run)
{
    mb_fill_args_t args = {.type = mb_run_type(run),
                           .count = run->samples * mb_shape_elements(&run->call->output),
                           .value = moves_of(run->call)->fill(run->call),
                           .y = run->output};
    return mb_run_fill(run->exec, &args);
}

mb_status_t mb_move_forward(const mb_run_t *run)
{
    const mb_moves_t *moves = moves_of(run->call);
    mb_move_t move;
    if (moves->fill != NULL)
        MB_TRY(fill(run));
    for (int64_t i = 0; i < moves->count(run->call); i++) {
        moves->move(run->call, run->samples, i, &move);
        MB_TRY(mb_run_move(run, mb_run_input(run, move.input), &move.from, run->output, &move.to,
                           false));
    }
    return MB_OK;
}

static mb_status_t clear(const mb_run_t *run, int input)
{
    int64_t elements = run->samples * mb_shape_elements(&run->call->inputs[input]);
    mb_zero_args_t args = {elements * (int64_t)mb_dtype_bytes(mb_run_type(run)),
                           mb_run_grad_input(run, input)};
    return mb_run_wants_input(run, input) ? mb_run_zero(run->exec, &args) : MB_OK;
}

mb_status_t mb_move_backward(const mb_run_t *run)
{
    const mb_moves_t *moves = moves_of(run->call);
    mb_move_t move;
    for (int i = 0; moves->leaves && i < run->call->n_inputs; i++)
        MB_TRY(clear(run, i));
    for (int64_t i = 0; i < moves->count(run->call); i++) {
        moves->move(run->call, run->samples, i, &move);
        if (mb_run_wants_input(run, move.input))
            MB_TRY(mb_run_move(run, run->grad_output, &move.to, mb_run_grad_input(run, move.input),
                               &move.from, false));
    }
    return MB_OK;
}

void mb_move_cost(const mb_call_t *call, mb_cost_t *out)
{
    double traffic = 2.0 * (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){traffic, traffic, 0.0};
}
