/* See attention_axes.h. Where it copies, what is saved and carried has the copies behind what the
 * call inside has: of the arguments and of the output; and gradients of the same. */
#include "model/layers/attention_axes.h"

#include "model/layers/axes.h"

#include <inttypes.h>

static const mb_attention_t *attention_of(const mb_call_t *call)
{
    return call->layer->config;
}

/* ---- axes */

/* The attended ones as bits, the samples being axis 0; Keras counts negative ones from the width
 * on. All of the positions' unless the config names some. */
static mb_status_t find_axes(const mb_call_t *call, uint32_t *out)
{
    const mb_attention_t *a = attention_of(call);
    int rank = call->inputs[0].rank;
    int64_t before = 0;
    *out = a->n_axes > 0 ? 0 : (UINT32_C(1) << rank) - 2;
    for (int i = 0; i < a->n_axes; i++) {
        int64_t axis = a->axes[i] < 0 ? a->axes[i] + rank + 1 : a->axes[i];
        if (axis < 1 || axis >= rank || axis <= before)
            return mb_call_error(call, MB_ERR_UNSUPPORTED,
                                 "key 'attention_axes': axis %" PRId64 " %s; this build obeys axes "
                                 "of positions, from the first to the last",
                                 a->axes[i],
                                 axis < 1 || axis >= rank ? "is none of the query's positions"
                                                          : "stands behind a later one");
        *out |= UINT32_C(1) << axis;
        before = axis;
    }
    return MB_OK;
}

static bool has_axis(uint32_t bits, int axis)
{
    return (bits >> axis & 1) != 0;
}

/* Of the axes in BITS, or of the others. */
static int64_t positions_of(const mb_shape_t *shape, uint32_t bits, bool attended)
{
    int64_t n = 1;
    for (int axis = 1; axis < shape->rank; axis++) {
        if (has_axis(bits, axis) != attended)
            continue;
        if (shape->dim[axis - 1] == MB_OPEN)
            return MB_OPEN;
        n *= shape->dim[axis - 1];
    }
    return n;
}

/* ---- folding */

static bool agree(int64_t a, int64_t b)
{
    return a == b || a == MB_OPEN || b == MB_OPEN;
}

/* Along the axes in BITS, of the positions. */
static bool agree_along(const mb_shape_t *a, const mb_shape_t *b, uint32_t bits)
{
    bool good = a->rank == b->rank;
    for (int axis = 1; good && axis < a->rank; axis++)
        good = !has_axis(bits, axis) || agree(a->dim[axis - 1], b->dim[axis - 1]);
    return good;
}

static mb_status_t check_arguments(const mb_call_t *call, uint32_t bits)
{
    char first[MB_SHAPE_TEXT], other[MB_SHAPE_TEXT];
    for (int i = 1; i < mb_call_arguments(call); i++) {
        bool of_query = i == 1;
        if (!agree_along(&call->inputs[i - 1], &call->inputs[i], of_query ? ~bits : UINT32_MAX))
            return mb_call_error(call, MB_ERR_SHAPE, "%s %s and %s %s must have the same %s",
                                 of_query ? "query" : "value",
                                 mb_shape_text(&call->inputs[i - 1], first, sizeof(first)),
                                 of_query ? "value" : "key",
                                 mb_shape_text(&call->inputs[i], other, sizeof(other)),
                                 of_query ? "number of axes, and of positions along those that are "
                                            "not attended"
                                          : "number of positions");
    }
    return MB_OK;
}

static mb_shape_t matrix(int64_t rows, int64_t columns)
{
    return (mb_shape_t){2, {rows, columns}};
}

static mb_status_t refuse_mask(const mb_call_t *call, int mask)
{
    char text[MB_SHAPE_TEXT], input[MB_SHAPE_TEXT];
    return mb_call_error(call, MB_ERR_UNSUPPORTED,
                         "a mask of %s a sample, where its query is %s; this build obeys masks of "
                         "inputs where 'attention_axes' is the last axis of positions, and an "
                         "'attention_mask' of the other axes x queries x keys",
                         mb_shape_text(&call->inputs[mask], text, sizeof(text)),
                         mb_shape_text(&call->inputs[0], input, sizeof(input)));
}

/* Of an input's positions, one value for each. */
static mb_status_t fold_mask(const mb_call_t *call, uint32_t bits, int argument, mb_call_t *out)
{
    int mask = call->masks[argument], rank = call->inputs[0].rank;
    mb_shape_t positions = call->inputs[argument];
    positions.rank--;
    if (mask == 0)
        return MB_OK;
    if (bits != UINT32_C(1) << (rank - 1) || !mb_shape_equal(&call->inputs[mask], &positions))
        return refuse_mask(call, mask);
    out->inputs[mask] = (mb_shape_t){1, {positions.dim[rank - 2]}};
    return MB_OK;
}

/* The scores have the other axes, the heads, and the attended axes of queries and of keys. */
static mb_status_t fold_given(const mb_call_t *call, uint32_t bits, mb_call_t *out)
{
    const mb_shape_t *query = &call->inputs[0], *value = &call->inputs[1];
    const mb_shape_t *given = &call->inputs[call->given];
    mb_shape_t whole = {.rank = 0};
    if (call->given == 0)
        return MB_OK;
    for (int part = 0; part < 3; part++) {
        for (int axis = 1; axis < query->rank; axis++) {
            if (has_axis(bits, axis) == (part > 0) && whole.rank < MB_MAX_RANK)
                whole.dim[whole.rank++] = (part == 2 ? value : query)->dim[axis - 1];
        }
    }
    if (!mb_shape_equal(given, &whole))
        return refuse_mask(call, call->given);
    out->inputs[call->given] =
        matrix(positions_of(query, bits, true), positions_of(value, bits, true));
    return MB_OK;
}

/* Keras makes the causal mask of axis 1. */
static mb_status_t check_causal(const mb_call_t *call, uint32_t bits)
{
    const mb_attention_call_t *config = call->call_config;
    if (config == NULL || !config->causal || bits == 2)
        return MB_OK;
    return mb_call_error(call, MB_ERR_UNSUPPORTED,
                         "argument 'use_causal_mask' is true, and key 'attention_axes' is not [1], "
                         "the axis that Keras makes the mask of; give an 'attention_mask'");
}

static mb_status_t fold_masks(const mb_call_t *call, uint32_t bits, mb_call_t *out)
{
    MB_TRY(check_causal(call, bits));
    for (int i = 0; i < mb_call_arguments(call); i++)
        MB_TRY(fold_mask(call, bits, i, out));
    return fold_given(call, bits, out);
}

mb_status_t mb_attention_fold(const mb_call_t *call, mb_attended_t *out)
{
    uint32_t bits;
    int rank = call->inputs[0].rank;
    *out = (mb_attended_t){.call = *call, .others = 1};
    MB_TRY(find_axes(call, &bits));
    MB_TRY(check_arguments(call, bits));
    if (rank == 2)
        return MB_OK;
    out->others = positions_of(&call->inputs[0], bits, false);
    out->moves = !mb_axes_are_last(bits | UINT32_C(1) << rank, rank);
    for (int i = 0; i < mb_call_arguments(call); i++)
        out->call.inputs[i] =
            matrix(positions_of(&call->inputs[i], bits, true), mb_shape_columns(&call->inputs[i]));
    out->call.output = matrix(out->call.inputs[0].dim[0], mb_shape_columns(&call->output));
    return fold_masks(call, bits, &out->call);
}

static mb_attended_t fold(const mb_call_t *call)
{
    mb_attended_t attended;
    mb_attention_fold(call, &attended); /* infer has seen it go well */
    return attended;
}

/* ---- copies */

typedef struct {
    mb_view_t plain, laid;
    size_t at, gradient; /* the copy in what is saved; of its gradient in the carry */
} copy_t;

typedef struct {
    mb_attended_t attended;
    copy_t inputs[MB_ATTENTION_ARGUMENTS], output;
    mb_memory_t memory;
} plan_t;

static copy_t copy_of(plan_t *p, const mb_call_t *call, int64_t samples, const mb_shape_t *shape)
{
    uint32_t bits = 0;
    copy_t copy = {.plain = mb_view_of(samples, shape)};
    int64_t elements = samples * mb_shape_elements(shape);
    find_axes(call, &bits);
    copy.laid = copy.plain;
    mb_view_lay_last(&copy.laid, bits | UINT32_C(1) << shape->rank);
    copy.at = mb_block_add(&p->memory.saved_bytes, elements, call->output_type);
    copy.gradient = mb_block_add(&p->memory.carry_bytes, elements, call->output_type);
    return copy;
}

static plan_t plan_of(const mb_call_t *call, int64_t samples)
{
    plan_t p = {.attended = fold(call)};
    mb_attention_memory(&p.attended.call, samples * p.attended.others, &p.memory);
    if (!p.attended.moves)
        return p;
    for (int i = 0; i < mb_call_arguments(call); i++) {
        p.memory.keeps_input[i] = false;
        p.inputs[i] = copy_of(&p, call, samples, &call->inputs[i]);
    }
    p.output = copy_of(&p, call, samples, &call->output);
    return p;
}

void mb_attention_axes_memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    *out = plan_of(call, samples).memory;
}

/* ---- runs */

/* The call inside; each sample has random numbers of its own, as of so many more. */
typedef struct {
    plan_t plan;
    mb_run_t run;
    const void *inputs[MB_MAX_INPUTS];
    void *grad_inputs[MB_MAX_INPUTS];
} inside_t;

static void move_pointers(const mb_run_t *run, inside_t *in)
{
    const plan_t *p = &in->plan;
    for (int i = 0; i < mb_call_arguments(run->call); i++) {
        bool wanted = run->grad_inputs != NULL && mb_run_wants_input(run, i);
        in->inputs[i] = mb_bytes_at(run->saved, p->inputs[i].at);
        in->grad_inputs[i] = wanted ? mb_bytes_at(run->carry, p->inputs[i].gradient) : NULL;
    }
    in->run.output = mb_bytes_at(run->saved, p->output.at);
    in->run.grad_output = mb_bytes_at(run->carry, p->output.gradient);
}

static void open_run(const mb_run_t *run, inside_t *in)
{
    in->plan = plan_of(run->call, run->samples);
    in->run = *run;
    in->run.call = &in->plan.attended.call;
    in->run.samples *= in->plan.attended.others;
    in->run.valid *= in->plan.attended.others;
    in->run.random.position *= (uint32_t)in->plan.attended.others;
    for (int i = 0; i < run->call->n_inputs; i++) {
        in->inputs[i] = mb_run_input(run, i);
        in->grad_inputs[i] = run->grad_inputs == NULL ? NULL : run->grad_inputs[i];
    }
    if (in->plan.attended.moves)
        move_pointers(run, in);
    in->run.inputs = in->inputs;
    in->run.grad_inputs = in->grad_inputs;
}

mb_status_t mb_attention_axes_forward(const mb_run_t *run)
{
    inside_t in;
    open_run(run, &in);
    const plan_t *p = &in.plan;
    for (int i = 0; p->attended.moves && i < mb_call_arguments(run->call); i++)
        MB_TRY(mb_run_arrange(run, mb_run_input(run, i), &p->inputs[i].plain,
                              mb_bytes_at(run->saved, p->inputs[i].at), &p->inputs[i].laid));
    MB_TRY(mb_attention_forward(&in.run));
    return p->attended.moves
               ? mb_run_arrange(run, in.run.output, &p->output.laid, run->output, &p->output.plain)
               : MB_OK;
}

mb_status_t mb_attention_axes_backward_input(const mb_run_t *run)
{
    inside_t in;
    open_run(run, &in);
    const plan_t *p = &in.plan;
    if (p->attended.moves)
        MB_TRY(mb_run_arrange(run, run->grad_output, &p->output.plain,
                              mb_bytes_at(run->carry, p->output.gradient), &p->output.laid));
    MB_TRY(mb_attention_backward_input(&in.run));
    for (int i = 0; p->attended.moves && i < mb_call_arguments(run->call); i++) {
        if (mb_run_wants_input(run, i))
            MB_TRY(mb_run_arrange(run, in.grad_inputs[i], &p->inputs[i].laid,
                                  mb_run_grad_input(run, i), &p->inputs[i].plain));
    }
    return MB_OK;
}

mb_status_t mb_attention_axes_backward_weights(const mb_run_t *run)
{
    inside_t in;
    open_run(run, &in);
    return mb_attention_backward_weights(&in.run);
}

void mb_attention_axes_cost(const mb_call_t *call, mb_cost_t *out)
{
    mb_attended_t attended = fold(call);
    mb_attention_cost(&attended.call, out);
    out->forward_flops *= (double)attended.others;
    out->backward_input_flops *= (double)attended.others;
    out->backward_weights_flops *= (double)attended.others;
}
