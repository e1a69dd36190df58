/* Masks as tensors (mb_mask_rule_t in layer.h): made of ids or of numbers, or of other masks. Where
 * tensors are joined along their last axis, which masks lack, a position counts if it does in one
 * of them; where one of those has no mask, all count. */
#include "model/layers/mask.h"
#include "model/layers/view.h"

static const mb_mask_t *mask_of(const mb_call_t *call)
{
    return call->layer->config;
}

/* ---- shapes */

/* The tensor's shape is known where it is joined itself, for want of a mask. */
static mb_status_t infer_joined(mb_call_t *call)
{
    const mb_mask_t *mask = mask_of(call);
    char text[MB_SHAPE_TEXT];
    int rank = call->inputs[0].rank + (mask->of[0] != NULL), axis = mb_mask_axis(mask, rank);
    call->output = call->inputs[0];
    call->output.rank = rank - 1;
    for (int i = 0; i < call->n_inputs; i++) {
        if (axis < 0 || call->inputs[i].rank + (mask->of[i] != NULL) != rank)
            return mb_call_error(call, MB_ERR_UNSUPPORTED,
                                 "the mask of input %d, %s a sample, has not one axis less than "
                                 "what is joined",
                                 i, mb_shape_text(&call->inputs[i], text, sizeof(text)));
        if (i > 0 && axis < rank - 1)
            call->output.dim[axis] += call->inputs[i].dim[axis];
    }
    return MB_OK;
}

static mb_status_t infer(mb_call_t *call)
{
    const mb_mask_t *mask = mask_of(call);
    call->output_type = call->layer->type;
    if (mask->rule.kind == MB_MASK_JOINED)
        return infer_joined(call);
    if (mask->rule.kind == MB_MASK_EITHER)
        return mb_call_broadcast(call, 0, call->n_inputs - 1, &call->output);
    call->output = call->inputs[0];
    if (mask->rule.kind == MB_MASK_NOT_ZERO)
        return MB_OK;
    call->output.rank--;
    return call->inputs[0].rank > 0
               ? MB_OK
               : mb_call_error(call, MB_ERR_SHAPE, "its input has no axis to be compared along");
}

/* ---- running */

static mb_status_t fill_ones(const mb_run_t *run, int64_t count, void *y)
{
    mb_fill_args_t args = {.type = mb_run_type(run), .count = count, .value = 1.0f, .y = y};
    return mb_run_fill(run->exec, &args);
}

static int64_t count_of(const mb_run_t *run)
{
    return run->samples * mb_shape_elements(&run->call->output);
}

static mb_status_t run_not_zero(const mb_run_t *run)
{
    mb_convert_args_t numbers = {.type = mb_run_type(run),
                                 .from = MB_I32,
                                 .count = count_of(run),
                                 .x = mb_run_input(run, 0),
                                 .y = run->output};
    mb_view_t view = mb_view_output(run);
    mb_map_call_t compare = {.function = MB_MAP_NOT_EQUAL,
                             .inputs = {mb_map_tensor(run->output, view), mb_map_constant(0)},
                             .view = view,
                             .y = run->output};
    MB_TRY(mb_run_convert(run->exec, &numbers));
    return mb_run_strided(run, &compare);
}

static mb_status_t run_differs(const mb_run_t *run)
{
    mb_view_t from = mb_view_input(run, 0), to = mb_view_output(run);
    int last = from.axes - 1;
    mb_view_insert(&to, last, from.dim[last], 0);
    mb_map_call_t compare = {.function = MB_MAP_NOT_EQUAL,
                             .reduction = MB_REDUCE_MAX,
                             .inputs = {mb_map_tensor(mb_run_input(run, 0), from),
                                        mb_map_constant(mask_of(run->call)->rule.value)},
                             .view = to,
                             .y = run->output,
                             .reduced = UINT32_C(1) << last};
    return mb_run_strided(run, &compare);
}

static mb_view_t spread(const mb_run_t *run, int input)
{
    mb_view_t whole = mb_view_output(run), view = mb_view_input(run, input);
    mb_view_broadcast(&view, &whole);
    return view;
}

static mb_status_t run_either(const mb_run_t *run)
{
    mb_view_t whole = mb_view_output(run);
    mb_map_input_t before = mb_map_tensor(mb_run_input(run, 0), spread(run, 0));
    if (run->call->n_inputs == 1)
        return mb_run_copy(run, mb_shape_elements(&run->call->output), before.base, run->output);
    for (int i = 1; i < run->call->n_inputs; i++) {
        mb_map_call_t either = {
            .function = MB_MAP_LOGICAL_OR,
            .inputs = {before, mb_map_tensor(mb_run_input(run, i), spread(run, i))},
            .view = whole,
            .y = run->output};
        MB_TRY(mb_run_strided(run, &either));
        before = mb_map_tensor(run->output, whole);
    }
    return MB_OK;
}

static mb_status_t put(const mb_run_t *run, int input, int axis, int64_t first)
{
    mb_view_t to = mb_view_output(run);
    bool masked = mask_of(run->call)->of[input] != NULL;
    mb_view_slice(&to, axis, first, 1, run->call->inputs[input].dim[axis - 1]);
    mb_map_input_t from = masked
                              ? mb_map_tensor(mb_run_input(run, input), mb_view_input(run, input))
                              : mb_map_constant(1.0f);
    mb_map_call_t copy = {.function = MB_MAP_COPY, .inputs = {from}, .view = to, .y = run->output};
    return mb_run_strided(run, &copy);
}

static mb_status_t run_joined(const mb_run_t *run)
{
    const mb_mask_t *mask = mask_of(run->call);
    int rank = run->call->output.rank + 1, axis = mb_mask_axis(mask, rank);
    bool all = true;
    int64_t first = 0;
    for (int i = 0; i < mask->n; i++)
        all = all && mask->of[i] != NULL;
    if (axis == rank - 1)
        return all ? run_either(run) : fill_ones(run, count_of(run), run->output);
    for (int i = 0; i < run->call->n_inputs; i++) {
        MB_TRY(put(run, i, axis + 1, first));
        first += run->call->inputs[i].dim[axis];
    }
    return MB_OK;
}

static mb_status_t forward(const mb_run_t *run)
{
    switch (mask_of(run->call)->rule.kind) {
    case MB_MASK_NOT_ZERO:
        return run_not_zero(run);
    case MB_MASK_DIFFERS:
        return run_differs(run);
    case MB_MASK_JOINED:
        return run_joined(run);
    default:
        return run_either(run);
    }
}

static mb_status_t backward_input(const mb_run_t *run)
{
    (void)run;
    return MB_OK;
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double traffic = 2.0 * (double)mb_shape_elements(&call->inputs[0]) * (double)call->n_inputs;
    *out = (mb_cost_t){traffic, 0.0, 0.0};
}

static bool differentiable(const mb_call_t *call, int input)
{
    (void)call;
    (void)input;
    return false;
}

static void roles(const mb_call_t *call, mb_roles_t *out)
{
    out->takes_ids = mask_of(call)->rule.kind == MB_MASK_NOT_ZERO;
}

const mb_layer_class_t mb_layer_mask = {.size = sizeof(mb_layer_class_t),
                                        .name = "Mask",
                                        .infer = infer,
                                        .memory = mb_call_keeps_nothing,
                                        .forward = forward,
                                        .backward_input = backward_input,
                                        .cost = cost,
                                        .differentiable = differentiable,
                                        .roles = roles};
