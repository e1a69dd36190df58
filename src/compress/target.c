/* One tensor: read, encoded, put into use, taken back. */
#include <stdio.h>
#include <stdlib.h>

#include "compress/quantization.h"

enum { WHERE_TEXT = 1024 };

mb_status_t mb_target_read(const mb_quantization_t *q, const mb_target_t *target, float **values)
{
    size_t bytes = (size_t)target->param->elements * sizeof(float);
    *values = malloc(bytes > 0 ? bytes : 1);
    if (*values == NULL)
        return mb_error_memory("a tensor that is quantized", bytes);
    mb_status_t status =
        mb_stored_tensor_read(q->model->sources[target->param->index], target->stored, *values);
    if (status != MB_OK) {
        free(*values);
        *values = NULL;
    }
    return status;
}

int64_t mb_target_bytes(const mb_target_t *target, const mb_format_t *format)
{
    if (mb_format_is_plain(format))
        return target->param->elements * (int64_t)sizeof(float);
    return mb_format_bytes(format, &target->view);
}

/* Float formats round; where the exponents' range or a scale is to be chosen, it can be chosen
 * well. */
static mb_method_t default_method(const mb_format_t *format)
{
    bool chosen = format->grain != MB_GRAIN_NONE || format->number == MB_NUMBER_E3M4;
    return chosen ? MB_METHOD_MSE : MB_METHOD_NEAREST;
}

mb_status_t mb_target_encode(const mb_quantization_t *q, mb_target_t *target,
                             const mb_calibration_t *calibration)
{
    char where[WHERE_TEXT];
    float *values;
    static const mb_calibration_t none = {0};
    mb_method_t method =
        q->options->method_given ? q->options->method : default_method(&target->format);
    mb_target_forget(target);
    if (!target->here || mb_format_is_plain(&target->format))
        return MB_OK;
    MB_TRY(mb_target_read(q, target, &values));
    snprintf(where, sizeof where, "%s: tensor '%s'", q->model->weights->path, target->stored->name);
    mb_status_t status =
        mb_encode(&target->format, method, &target->view, values,
                  calibration == NULL ? &none : calibration, where, &target->encoded);
    free(values);
    target->encoded_here = status == MB_OK;
    return status;
}

void mb_target_forget(mb_target_t *target)
{
    if (target->encoded_here)
        mb_encoded_free(&target->encoded);
    target->encoded = (mb_encoded_t){0};
    target->encoded_here = false;
}

static bool has_stage(const mb_quantization_t *q, const mb_target_t *target)
{
    return q->passes != NULL && !mb_engine_idle(q->passes->engine) &&
           q->passes->engine->stage->values[target->param->index] != NULL;
}

static mb_status_t set_values(const mb_quantization_t *q, const mb_target_t *target,
                              const float *values)
{
    mb_engine_t *engine = q->passes->engine;
    size_t bytes = (size_t)target->param->elements * sizeof(float);
    MB_TRY(mb_exec_copy(&engine->exec, engine->stage->values[target->param->index], values, bytes,
                        MB_COPY_TO_DEVICE));
    return mb_exec_sync(&engine->exec);
}

/* What kernels read as it is stored; other tensors are floats when they are used. */
static bool is_read_stored(const mb_target_t *target)
{
    return target->is_matrix && target->format.kept_bits == 0;
}

mb_status_t mb_target_use(const mb_quantization_t *q, mb_target_t *target)
{
    if (!target->encoded_here || !has_stage(q, target))
        return MB_OK;
    target->in_use = true;
    if (is_read_stored(target))
        return mb_stage_use_matrix(q->passes->engine->stage, target->param->index,
                                   &target->encoded.matrix);
    size_t bytes = (size_t)target->param->elements * sizeof(float);
    float *values = malloc(bytes > 0 ? bytes : 1);
    if (values == NULL)
        return mb_error_memory("a tensor that is quantized", bytes);
    mb_matrix_decode(&target->encoded.matrix, values);
    mb_status_t status = set_values(q, target, values);
    free(values);
    return status;
}

mb_status_t mb_target_restore(const mb_quantization_t *q, mb_target_t *target)
{
    float *values;
    if (!target->in_use)
        return MB_OK;
    target->in_use = false;
    if (is_read_stored(target))
        return mb_stage_use_matrix(q->passes->engine->stage, target->param->index, NULL);
    MB_TRY(mb_target_read(q, target, &values));
    mb_status_t status = set_values(q, target, values);
    free(values);
    return status;
}
