/* See time_distributed_steps.h. saved: the copies of inputs and output, then what each step saves;
 * carry: gradients of the same. */
#include "model/layers/time_distributed_steps.h"

/* A tensor and its copy, in which each step begins at a multiple of the alignment. */
typedef struct {
    mb_view_t plain, laid;
    size_t at, gradient, step_bytes;
} copy_t;

typedef struct {
    int64_t steps;
    copy_t inputs[MB_MAX_INPUTS], output;
    mb_memory_t inside;            /* of a step */
    size_t saved, carry;           /* where the first step's begin */
    size_t saved_step, carry_step; /* from step to step */
    size_t saved_bytes, carry_bytes;
} plan_t;

static copy_t copy_of(plan_t *p, const mb_call_t *call, int64_t samples, const mb_shape_t *shape)
{
    int order[MB_LAYER_VIEW_AXES];
    copy_t copy = {.plain = mb_view_of(samples, shape)};
    int64_t elements = samples * mb_shape_elements(shape) / p->steps;
    copy.laid = copy.plain;
    for (int d = 0; d < copy.laid.axes; d++)
        order[d] = d > 1 ? d : 1 - d;
    mb_view_lay(&copy.laid, order);
    mb_block_add(&copy.step_bytes, elements, call->output_type);
    copy.laid.stride[1] = (int64_t)(copy.step_bytes / mb_dtype_bytes(call->output_type));
    copy.at = mb_block_add(&p->saved_bytes, p->steps * copy.laid.stride[1], call->output_type);
    copy.gradient =
        mb_block_add(&p->carry_bytes, p->steps * copy.laid.stride[1], call->output_type);
    return copy;
}

/* Room for all steps; *STEP_BYTES: from one to the next. */
static size_t place(size_t *bytes, int64_t steps, size_t step, size_t *step_bytes)
{
    *step_bytes = 0;
    mb_block_add(step_bytes, (int64_t)((step + sizeof(float) - 1) / sizeof(float)), MB_F32);
    size_t first = *bytes;
    *bytes += (size_t)steps * *step_bytes;
    return first;
}

static plan_t plan_of(const mb_call_t *call, const mb_call_t *inside, int64_t samples)
{
    plan_t p = {.steps = call->inputs[0].dim[0]};
    inside->layer->class_->memory(inside, samples, &p.inside);
    for (int i = 0; i < call->n_inputs; i++)
        p.inputs[i] = copy_of(&p, call, samples, &call->inputs[i]);
    p.output = copy_of(&p, call, samples, &call->output);
    p.saved = place(&p.saved_bytes, p.steps, p.inside.saved_bytes, &p.saved_step);
    p.carry = place(&p.carry_bytes, p.steps, p.inside.carry_bytes, &p.carry_step);
    return p;
}

void mb_steps_memory(const mb_call_t *call, const mb_call_t *inside, int64_t samples,
                     mb_memory_t *out)
{
    plan_t p = plan_of(call, inside, samples);
    *out = (mb_memory_t){.saved_bytes = p.saved_bytes,
                         .carry_bytes = p.carry_bytes,
                         .sums = p.steps * p.inside.sums,
                         .constant_bytes = p.inside.constant_bytes};
}

/* ---- runs */

typedef struct {
    mb_run_t run;
    const void *inputs[MB_MAX_INPUTS];
    void *grad_inputs[MB_MAX_INPUTS];
} step_t;

static void *copied(void *block, size_t at, const copy_t *copy, int64_t step)
{
    return mb_bytes_at(block, at + (size_t)step * copy->step_bytes);
}

static void open_step(const mb_run_t *run, const mb_call_t *inside, const plan_t *p, int64_t step,
                      step_t *out)
{
    out->run = *run;
    out->run.call = inside;
    for (int i = 0; i < run->call->n_inputs; i++) {
        const copy_t *copy = &p->inputs[i];
        bool wanted = mb_run_wants_input(run, i);
        out->inputs[i] = copied(run->saved, copy->at, copy, step);
        out->grad_inputs[i] = wanted ? copied(run->carry, copy->gradient, copy, step) : NULL;
    }
    out->run.inputs = out->inputs;
    out->run.grad_inputs = out->grad_inputs;
    out->run.output = copied(run->saved, p->output.at, &p->output, step);
    out->run.grad_output = copied(run->carry, p->output.gradient, &p->output, step);
    out->run.saved = mb_bytes_at(run->saved, p->saved + (size_t)step * p->saved_step);
    out->run.carry = mb_bytes_at(run->carry, p->carry + (size_t)step * p->carry_step);
    out->run.sums = run->sums == NULL ? NULL : run->sums + step * p->inside.sums;
    out->run.accumulate = run->accumulate || step > 0;
}

mb_status_t mb_steps_forward(const mb_run_t *run, const mb_call_t *inside)
{
    plan_t p = plan_of(run->call, inside, run->samples);
    for (int i = 0; i < run->call->n_inputs; i++)
        MB_TRY(mb_run_arrange(run, mb_run_input(run, i), &p.inputs[i].plain,
                              mb_bytes_at(run->saved, p.inputs[i].at), &p.inputs[i].laid));
    for (int64_t step = 0; step < p.steps; step++) {
        step_t one;
        open_step(run, inside, &p, step, &one);
        MB_TRY(inside->layer->class_->forward(&one.run));
    }
    return mb_run_arrange(run, mb_bytes_at(run->saved, p.output.at), &p.output.laid, run->output,
                          &p.output.plain);
}

mb_status_t mb_steps_backward_input(const mb_run_t *run, const mb_call_t *inside)
{
    plan_t p = plan_of(run->call, inside, run->samples);
    MB_TRY(mb_run_arrange(run, run->grad_output, &p.output.plain,
                          mb_bytes_at(run->carry, p.output.gradient), &p.output.laid));
    for (int64_t step = 0; step < p.steps; step++) {
        step_t one;
        open_step(run, inside, &p, step, &one);
        MB_TRY(inside->layer->class_->backward_input(&one.run));
    }
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    return mb_run_arrange(run, mb_bytes_at(run->carry, p.inputs[0].gradient), &p.inputs[0].laid,
                          mb_run_grad_input(run, 0), &p.inputs[0].plain);
}

mb_status_t mb_steps_backward_weights(const mb_run_t *run, const mb_call_t *inside)
{
    plan_t p = plan_of(run->call, inside, run->samples);
    for (int64_t step = 0; step < p.steps; step++) {
        step_t one;
        open_step(run, inside, &p, step, &one);
        MB_TRY(inside->layer->class_->backward_weights(&one.run));
    }
    return MB_OK;
}

/* Each step's go into the moving ones as a batch's would. */
mb_status_t mb_steps_update_statistics(const mb_run_t *run, const mb_call_t *inside, double count)
{
    plan_t p = plan_of(run->call, inside, run->samples);
    for (int64_t step = 0; step < p.steps; step++) {
        mb_run_t one = *run;
        one.call = inside;
        one.sums = run->sums == NULL ? NULL : run->sums + step * p.inside.sums;
        MB_TRY(inside->layer->class_->update_statistics(&one, count));
    }
    return MB_OK;
}
