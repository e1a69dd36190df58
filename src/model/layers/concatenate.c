/* Concatenate: inputs side by side along one axis. Seen as rows of everything from that axis on, it
 * is a copy of each input's columns to its place in the output's. */
#include "model/layers/layers.h"

#include <inttypes.h>

typedef struct {
    int64_t axis; /* as Keras counts: the samples are axis 0, negative ones from the end */
} concatenate_t;

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    concatenate_t *concatenate = MB_ARENA_NEW(arena, concatenate_t);
    if (concatenate == NULL)
        return mb_error_memory("a layer", sizeof(*concatenate));
    *out = concatenate;
    return mb_config_int_or(config, "axis", -MB_MAX_RANK, MB_MAX_RANK, -1, &concatenate->axis);
}

/* The axis among a sample's dimensions; outside of them for the samples themselves. */
static int axis_of(const mb_call_t *call)
{
    const concatenate_t *concatenate = call->layer->config;
    int axis = (int)concatenate->axis;
    return axis < 0 ? call->inputs[0].rank + axis : axis - 1;
}

static mb_status_t unite(mb_call_t *call, int input, int axis)
{
    char first[MB_SHAPE_TEXT], other[MB_SHAPE_TEXT];
    const mb_shape_t *shape = &call->inputs[input];
    bool fits =
        shape->rank == call->output.rank && call->input_types[input] == call->input_types[0];
    for (int i = 0; fits && i < shape->rank; i++) {
        int64_t *dim = &call->output.dim[i];
        if (i == axis)
            *dim = *dim == MB_OPEN || shape->dim[i] == MB_OPEN ? MB_OPEN : *dim + shape->dim[i];
        else if (*dim == MB_OPEN)
            *dim = shape->dim[i];
        else
            fits = shape->dim[i] == MB_OPEN || shape->dim[i] == *dim;
    }
    if (fits)
        return MB_OK;
    return mb_call_error(call, MB_ERR_SHAPE, "%s and %s cannot be joined along axis %d",
                         mb_shape_text(&call->inputs[0], first, sizeof(first)),
                         mb_shape_text(shape, other, sizeof(other)), axis + 1);
}

static mb_mask_rule_t mask(const mb_call_t *call)
{
    return (mb_mask_rule_t){.kind = MB_MASK_JOINED,
                            .axis = ((const concatenate_t *)call->layer->config)->axis};
}

static mb_status_t infer(mb_call_t *call)
{
    int axis = axis_of(call);
    if (call->n_inputs < 1)
        return mb_call_error(call, MB_ERR_SHAPE, "takes at least 1 input");
    mb_call_keep_shape(call);
    if (axis < 0 || axis >= call->output.rank)
        return mb_call_error(call, MB_ERR_UNSUPPORTED,
                             "axis %" PRId64 " is not an axis within a sample of %d dimensions",
                             ((const concatenate_t *)call->layer->config)->axis, call->output.rank);
    for (int i = 1; i < call->n_inputs; i++)
        MB_TRY(unite(call, i, axis));
    return MB_OK;
}

/* Elements from the axis on. */
static int64_t columns_of(const mb_shape_t *shape, int axis)
{
    int64_t columns = 1;
    for (int i = axis; i < shape->rank; i++)
        columns *= shape->dim[i];
    return columns;
}

static mb_status_t forward(const mb_run_t *run)
{
    const mb_call_t *call = run->call;
    int axis = axis_of(call);
    int64_t whole = columns_of(&call->output, axis);
    size_t offset = 0;
    for (int i = 0; i < call->n_inputs; i++) {
        int64_t columns = columns_of(&call->inputs[i], axis);
        mb_copy_rows_args_t args = {.type = mb_run_type(run),
                                    .rows = run->samples * mb_shape_elements(&call->output) / whole,
                                    .columns = columns,
                                    .ld_from = columns,
                                    .ld_to = whole,
                                    .from = run->inputs == NULL ? NULL : run->inputs[i],
                                    .to = mb_bytes_at(run->output, offset)};
        MB_TRY(mb_run_copy_rows(run->exec, &args));
        offset += (size_t)columns * mb_dtype_bytes(call->output_type);
    }
    return MB_OK;
}

static mb_status_t backward_input(const mb_run_t *run)
{
    const mb_call_t *call = run->call;
    int axis = axis_of(call);
    int64_t whole = columns_of(&call->output, axis), offset = 0;
    for (int i = 0; i < call->n_inputs; i++) {
        int64_t columns = columns_of(&call->inputs[i], axis);
        mb_copy_rows_args_t args = {.type = mb_run_type(run),
                                    .rows = run->samples * mb_shape_elements(&call->output) / whole,
                                    .columns = columns,
                                    .ld_from = whole,
                                    .ld_to = columns,
                                    .from =
                                        mb_elements_at(run->grad_output, mb_run_type(run), offset),
                                    .to = mb_run_grad_input(run, i)};
        if (mb_run_wants_input(run, i))
            MB_TRY(mb_run_copy_rows(run->exec, &args));
        offset += columns;
    }
    return MB_OK;
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double traffic = 2.0 * (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){traffic, traffic, 0.0};
}

const mb_layer_class_t mb_layer_concatenate = {.size = sizeof(mb_layer_class_t),
                                               .name = "Concatenate",
                                               .parse = parse,
                                               .infer = infer,
                                               .memory = mb_call_keeps_nothing,
                                               .forward = forward,
                                               .backward_input = backward_input,
                                               .cost = cost,
                                               .mask = mask};
