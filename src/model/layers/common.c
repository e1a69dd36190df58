/* Small helpers over shapes, calls and runs that most layers use; see layers.h. */
#include "model/layers/layers.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define BLOCK_ALIGNMENT ((size_t)64)

void *mb_bytes_at(void *base, size_t offset)
{
    return base == NULL ? NULL : (char *)base + offset;
}

const void *mb_elements_at(const void *base, mb_dtype_t type, int64_t offset)
{
    return base == NULL ? NULL : (const char *)base + offset * (int64_t)mb_dtype_bytes(type);
}

size_t mb_block_add(size_t *bytes, int64_t count, mb_dtype_t type)
{
    size_t offset = *bytes;
    size_t size = (size_t)count * mb_dtype_bytes(type);
    *bytes += (size + BLOCK_ALIGNMENT - 1) / BLOCK_ALIGNMENT * BLOCK_ALIGNMENT;
    return offset;
}

int64_t mb_shape_columns(const mb_shape_t *shape)
{
    return shape->rank == 0 ? 1 : shape->dim[shape->rank - 1];
}

int64_t mb_shape_rows(const mb_shape_t *shape)
{
    int64_t rows = 1;
    for (int i = 0; i + 1 < shape->rank; i++)
        rows *= shape->dim[i];
    return rows;
}

mb_status_t mb_call_product(const mb_call_t *call, const mb_shape_t *shape, int from, int to,
                            int64_t *out)
{
    int64_t product = 1;
    char text[MB_SHAPE_TEXT];
    *out = MB_OPEN;
    for (int i = from; i < to; i++) {
        if (shape->dim[i] == MB_OPEN)
            return MB_OK;
        if (__builtin_mul_overflow(product, shape->dim[i], &product) || product > INT64_MAX / 2)
            return mb_call_error(call, MB_ERR_SHAPE, "a tensor of shape %s is too large",
                                 mb_shape_text(shape, text, sizeof(text)));
    }
    *out = product;
    return MB_OK;
}

mb_status_t mb_call_error(const mb_call_t *call, mb_status_t status, const char *format, ...)
{
    char text[384];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return mb_error_set(status, "layer '%s' (%s): %s", call->layer->path, call->layer->class_->name,
                        text);
}

int mb_call_arguments(const mb_call_t *call)
{
    return call->n_inputs - call->n_masks;
}

mb_status_t mb_call_expect(const mb_call_t *call, int n_inputs)
{
    if (mb_call_arguments(call) != n_inputs)
        return mb_call_error(call, MB_ERR_SHAPE, "takes %d input%s, found %d", n_inputs,
                             n_inputs == 1 ? "" : "s", mb_call_arguments(call));
    for (int i = 0; i < n_inputs; i++) {
        if (!mb_dtype_is_float(call->input_types[i]))
            return mb_call_error(call, MB_ERR_UNSUPPORTED, "takes numbers, input %d is %s", i,
                                 mb_dtype_name(call->input_types[i]));
    }
    return MB_OK;
}

mb_status_t mb_call_expect_rank(const mb_call_t *call, int rank)
{
    char text[MB_SHAPE_TEXT];
    MB_TRY(mb_call_expect(call, 1));
    if (call->inputs[0].rank != rank)
        return mb_call_error(call, MB_ERR_SHAPE,
                             "takes samples of %d dimensions, found a shape of %s", rank,
                             mb_shape_text(&call->inputs[0], text, sizeof(text)));
    return MB_OK;
}

mb_status_t mb_call_take_width(const mb_call_t *call, int input, int64_t *out)
{
    *out = mb_shape_columns(&call->inputs[input]);
    if (*out == MB_OPEN)
        return mb_call_error(call, MB_ERR_SHAPE, "the last dimension of its input must be known");
    return MB_OK;
}

mb_status_t mb_call_check_width(const mb_call_t *call, int input, int64_t width)
{
    char text[MB_SHAPE_TEXT];
    if (mb_shape_columns(&call->inputs[input]) == width)
        return MB_OK;
    return mb_call_error(call, MB_ERR_SHAPE,
                         "its weights were made for inputs whose last dimension is %" PRId64
                         ", another call gives %s",
                         width, mb_shape_text(&call->inputs[input], text, sizeof(text)));
}

bool mb_call_has_statistics(const mb_call_t *call)
{
    const mb_layer_class_t *class_ = call->layer->class_;
    return class_->update_statistics != NULL &&
           (class_->has_statistics == NULL || class_->has_statistics(call));
}

int mb_call_states(const mb_call_t *call, mb_shape_t shapes[MB_MAX_STATES])
{
    const mb_layer_class_t *class_ = call->layer->class_;
    return class_->states == NULL ? 0 : class_->states(call, shapes);
}

void mb_call_keep_shape(mb_call_t *call)
{
    call->output = call->inputs[0];
    call->output_type = call->input_types[0];
}

mb_status_t mb_call_infer_same(mb_call_t *call)
{
    MB_TRY(mb_call_expect(call, 1));
    mb_call_keep_shape(call);
    return MB_OK;
}

void mb_call_keeps_nothing(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    (void)call;
    (void)samples;
    *out = (mb_memory_t){0};
}

const void *mb_run_input(const mb_run_t *run, int input)
{
    return run->inputs == NULL ? NULL : run->inputs[input];
}

void *mb_run_param(const mb_run_t *run, int param)
{
    return run->params == NULL ? NULL : run->params[param];
}

float *mb_run_value(const mb_run_t *run, int param)
{
    return run->values == NULL ? NULL : run->values[param];
}

const mb_matrix_t *mb_run_stored(const mb_run_t *run, int param)
{
    return run->stored == NULL ? NULL : run->stored[param];
}

void *mb_run_state(const mb_run_t *run, int state)
{
    return run->states == NULL ? NULL : run->states[state];
}

void *mb_run_grad_input(const mb_run_t *run, int input)
{
    return run->grad_inputs == NULL ? NULL : run->grad_inputs[input];
}

float *mb_run_grad_param(const mb_run_t *run, int param)
{
    return run->grad_params == NULL ? NULL : run->grad_params[param];
}

bool mb_run_wants_input(const mb_run_t *run, int input)
{
    return run->exec->planning || mb_run_grad_input(run, input) != NULL;
}

bool mb_run_wants_param(const mb_run_t *run, int param)
{
    return run->exec->planning || mb_run_grad_param(run, param) != NULL;
}

mb_mask_rule_t mb_mask_passes(const mb_call_t *call)
{
    (void)call;
    return (mb_mask_rule_t){.kind = MB_MASK_PASSED};
}

mb_mask_rule_t mb_mask_either(const mb_call_t *call)
{
    (void)call;
    return (mb_mask_rule_t){.kind = MB_MASK_EITHER};
}

mb_status_t mb_run_copy(const mb_run_t *run, int64_t elements, const void *from, void *to)
{
    mb_copy_rows_args_t args = {.type = mb_run_type(run),
                                .rows = run->samples,
                                .columns = elements,
                                .ld_from = elements,
                                .ld_to = elements,
                                .from = from,
                                .to = to};
    return mb_run_copy_rows(run->exec, &args);
}

mb_status_t mb_run_cast(const mb_run_t *run, mb_dtype_t from, const void *x, mb_dtype_t to, void *y)
{
    mb_convert_args_t args = {.type = to,
                              .from = from,
                              .count = run->samples * mb_shape_elements(&run->call->output),
                              .x = x,
                              .y = y};
    if (from == to)
        return mb_run_copy(run, mb_shape_elements(&run->call->output), x, y);
    return mb_run_convert(run->exec, &args);
}

mb_status_t mb_run_pass_gradient(const mb_run_t *run)
{
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    return mb_run_copy(run, mb_shape_elements(&run->call->output), run->grad_output,
                       mb_run_grad_input(run, 0));
}
