/* A stack of cells in one direction: a chain of layers, of which each is given what the one before
 * gives at all steps. That is in what is saved, and its gradient in the carry. */
#include "model/layers/recurrent.h"

int mb_stack_states(const mb_stack_t *stack, mb_shape_t *shapes)
{
    int n = 0;
    for (int i = 0; i < stack->n; i++) {
        for (int s = 0; s < mb_recurrent_n_states(&stack->cells[i]); s++, n++) {
            if (shapes != NULL)
                shapes[n] = (mb_shape_t){1, {stack->cells[i].units}};
        }
    }
    return n;
}

int mb_stack_params(const mb_stack_t *stack)
{
    int n = 0;
    for (int i = 0; i < stack->n; i++)
        n += mb_recurrent_params(&stack->cells[i]);
    return n;
}

/* The call of cell INDEX, on what the one before gives. */
static mb_call_t call_of(const mb_call_t *call, const mb_stack_t *stack, int index)
{
    mb_call_t inner = *call;
    if (index > 0)
        inner.inputs[0].dim[1] = stack->cells[index - 1].units;
    return inner;
}

mb_status_t mb_stack_declare(const mb_call_t *call, mb_stack_t *stack, const char *name,
                             mb_param_list_t *list)
{
    for (int i = 0; i < stack->n; i++) {
        mb_call_t inner = call_of(call, stack, i);
        MB_TRY(mb_recurrent_declare(&inner, &stack->cells[i], name, list));
    }
    return MB_OK;
}

/* Of each cell, and what all but the last give. */
typedef struct {
    size_t saved[MB_MOST_CELLS], carry[MB_MOST_CELLS];
    size_t y[MB_MOST_CELLS], dy[MB_MOST_CELLS];
    size_t saved_bytes, carry_bytes;
} block_t;

static block_t block_of(const mb_call_t *call, const mb_stack_t *stack, int64_t samples)
{
    block_t block = {.saved_bytes = 0};
    for (int i = 0; i < stack->n; i++) {
        mb_call_t inner = call_of(call, stack, i);
        int64_t elements = samples * call->inputs[0].dim[0] * stack->cells[i].units;
        block.saved[i] = block.saved_bytes;
        block.carry[i] = block.carry_bytes;
        mb_recurrent_memory(&inner, &stack->cells[i], samples, &block.saved_bytes,
                            &block.carry_bytes);
        if (i + 1 == stack->n)
            continue;
        block.y[i] = mb_block_add(&block.saved_bytes, elements, call->output_type);
        block.dy[i] = mb_block_add(&block.carry_bytes, elements, call->output_type);
    }
    return block;
}

void mb_stack_memory(const mb_call_t *call, const mb_stack_t *stack, int64_t samples, size_t *saved,
                     size_t *carry)
{
    block_t block = block_of(call, stack, samples);
    *saved += block.saved_bytes;
    *carry += block.carry_bytes;
}

/* The run of one cell, with what its pointers point to. */
typedef struct {
    mb_call_t call;
    mb_run_t run;
    mb_direction_t direction;
    const void *inputs[MB_MAX_INPUTS];
    void *grad_inputs[MB_MAX_INPUTS];
} inside_t;

static void enter_call(const mb_run_t *run, const mb_stack_pass_t *pass, const block_t *block,
                       int index, inside_t *in)
{
    in->call = call_of(run->call, pass->stack, index);
    in->run = *run;
    in->run.call = &in->call;
    for (int i = 0; i < run->call->n_inputs; i++) {
        in->inputs[i] = mb_run_input(run, i);
        in->grad_inputs[i] = mb_run_grad_input(run, i);
    }
    if (index > 0) {
        in->inputs[0] = mb_bytes_at(pass->saved, block->y[index - 1]);
        in->grad_inputs[0] = mb_bytes_at(pass->carry, block->dy[index - 1]);
    }
    in->run.inputs = in->inputs;
    in->run.grad_inputs = in->grad_inputs;
}

static void enter_states(const mb_stack_pass_t *pass, int index, mb_direction_t *d)
{
    int state = 0;
    d->param = pass->param;
    for (int i = 0; i < index; i++) {
        d->param += mb_recurrent_params(&pass->stack->cells[i]);
        state += mb_recurrent_n_states(&pass->stack->cells[i]);
    }
    d->first = pass->first > 0 ? pass->first + state : 0;
    d->kept = pass->kept + state;
    for (int i = 0; i < mb_recurrent_n_states(d->recurrent); i++) {
        d->after[i] = pass->after[state + i];
        d->dafter[i] = pass->dafter[state + i];
    }
}

/* What a cell gives to the next one lies by position, whichever way they go. */
static void enter_direction(const mb_stack_pass_t *pass, const block_t *block, int index,
                            mb_direction_t *d)
{
    const mb_recurrent_t *cell = &pass->stack->cells[index];
    bool last = index + 1 == pass->stack->n;
    *d = (mb_direction_t){.recurrent = cell,
                          .index = pass->index + 4 * index,
                          .reversed = last ? pass->reversed : cell->backwards,
                          .ldy = last ? pass->ldy : cell->units,
                          .saved = mb_bytes_at(pass->saved, block->saved[index]),
                          .carry = mb_bytes_at(pass->carry, block->carry[index]),
                          .y = last ? pass->y : mb_bytes_at(pass->saved, block->y[index]),
                          .dy = last ? pass->dy : mb_bytes_at(pass->carry, block->dy[index])};
    enter_states(pass, index, d);
}

static void enter(const mb_run_t *run, const mb_stack_pass_t *pass, int index, inside_t *in)
{
    block_t block = block_of(run->call, pass->stack, run->samples);
    enter_call(run, pass, &block, index, in);
    enter_direction(pass, &block, index, &in->direction);
}

mb_status_t mb_stack_forward(const mb_run_t *run, const mb_stack_pass_t *pass)
{
    for (int i = 0; i < pass->stack->n; i++) {
        inside_t in;
        enter(run, pass, i, &in);
        MB_TRY(mb_recurrent_forward(&in.run, &in.direction));
    }
    return MB_OK;
}

mb_status_t mb_stack_backward_input(const mb_run_t *run, const mb_stack_pass_t *pass, bool adds)
{
    for (int i = pass->stack->n; i-- > 0;) {
        inside_t in;
        enter(run, pass, i, &in);
        MB_TRY(mb_recurrent_backward_input(&in.run, &in.direction, adds && i == 0));
    }
    return MB_OK;
}

mb_status_t mb_stack_backward_weights(const mb_run_t *run, const mb_stack_pass_t *pass)
{
    for (int i = 0; i < pass->stack->n; i++) {
        inside_t in;
        enter(run, pass, i, &in);
        MB_TRY(mb_recurrent_backward_weights(&in.run, &in.direction));
    }
    return MB_OK;
}

void mb_stack_cost(const mb_call_t *call, const mb_stack_t *stack, mb_cost_t *out)
{
    *out = (mb_cost_t){0};
    for (int i = 0; i < stack->n; i++) {
        mb_call_t inner = call_of(call, stack, i);
        mb_cost_t one;
        mb_recurrent_cost(&inner, &stack->cells[i], &one);
        out->forward_flops += one.forward_flops;
        out->backward_input_flops += one.backward_input_flops;
        out->backward_weights_flops += one.backward_weights_flops;
    }
}
