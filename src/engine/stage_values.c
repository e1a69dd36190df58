/* A stage's parameters: float32, or as they are stored, or float32 with shadows that the step
 * computes with. */
#include "engine/stage_private.h"

static mb_view_t view_of(const mb_param_t *param)
{
    mb_view_t view = {.lookup = param->view == MB_VIEW_LOOKUP};
    mb_param_matrix(param, &view.rows, &view.columns);
    return view;
}

static mb_status_t take(mb_stage_t *stage, int64_t bytes, void **out)
{
    *out = NULL;
    if (bytes == 0)
        return MB_OK;
    stage->parameter_bytes += (size_t)bytes;
    return mb_device_alloc(stage->exec->device, (size_t)bytes, out);
}

static mb_status_t take_floats(mb_stage_t *stage, int64_t elements, float **out)
{
    void *memory;
    MB_TRY(take(stage, (elements > 0 ? elements : 1) * (int64_t)sizeof(float), &memory));
    *out = memory;
    return MB_OK;
}

/* Of a layout: what each part takes in memory. */
static int64_t zero_bytes(const mb_matrix_t *layout)
{
    return layout->has_zeros ? mb_matrix_scales(layout) : 0;
}

static int64_t row_scale_bytes(const mb_matrix_t *layout)
{
    return layout->has_row_scales ? layout->rows * (int64_t)sizeof(float) : 0;
}

static int64_t column_sum_bytes(const mb_matrix_t *layout)
{
    return layout->has_column_sums ? layout->columns * (int64_t)sizeof(int32_t) : 0;
}

static mb_status_t take_matrix(mb_stage_t *stage, int param, const mb_matrix_t *layout)
{
    mb_matrix_memory_t *memory = &stage->memory[param];
    void *zeros, *row_scales, *column_sums;
    mb_matrix_t *matrix = MB_ARENA_NEW(stage->arena, mb_matrix_t);
    if (matrix == NULL)
        return mb_error_memory("a stored matrix", sizeof *matrix);
    MB_TRY(take(stage, mb_matrix_value_bytes(layout), &memory->values));
    MB_TRY(take(stage, mb_matrix_scale_bytes(layout), &memory->scales));
    MB_TRY(take(stage, zero_bytes(layout), &zeros));
    memory->zeros = zeros;
    MB_TRY(take(stage, row_scale_bytes(layout), &row_scales));
    memory->row_scales = row_scales;
    MB_TRY(take(stage, column_sum_bytes(layout), &column_sums));
    memory->column_sums = column_sums;
    *matrix = *layout;
    matrix->values = memory->values;
    matrix->scales = memory->scales;
    matrix->zeros = memory->zeros;
    matrix->row_scales = memory->row_scales;
    matrix->column_sums = memory->column_sums;
    stage->stored[param] = matrix;
    return MB_OK;
}

static void free_matrix(mb_stage_t *stage, int param)
{
    mb_device_t *device = stage->exec->device;
    mb_matrix_memory_t *memory = &stage->memory[param];
    mb_device_free(device, memory->values);
    mb_device_free(device, memory->scales);
    mb_device_free(device, memory->zeros);
    mb_device_free(device, memory->row_scales);
    mb_device_free(device, memory->column_sums);
    *memory = (mb_matrix_memory_t){0};
    stage->stored[param] = NULL;
}

/* QAT rounds the matrices that are trained. */
static bool is_rounded(const mb_stage_t *stage, const mb_param_t *param)
{
    return stage->rounds && param->trainable && param->view != MB_VIEW_VECTOR;
}

static mb_dtype_t shadow_type(const mb_stage_t *stage, const mb_param_t *param)
{
    return param->operand ? stage->graph->layers[param->layer]->type : MB_F32;
}

static mb_status_t take_parameter(mb_stage_t *stage, int index)
{
    const mb_param_t *param = &stage->graph->params[index];
    if (param->stored != NULL)
        return take_matrix(stage, index, param->stored);
    MB_TRY(take_floats(stage, param->elements, &stage->values[index]));
    mb_dtype_t type = shadow_type(stage, param);
    if (type == MB_F32 && !is_rounded(stage, param))
        return MB_OK;
    return take(stage, param->elements * (int64_t)mb_dtype_bytes(type), &stage->shadows[index]);
}

static mb_status_t make_tables(mb_stage_t *stage)
{
    int n = stage->graph->n_params + 1;
    stage->values = MB_ARENA_ARRAY(stage->arena, float *, n);
    stage->stored = MB_ARENA_ARRAY(stage->arena, mb_matrix_t *, n);
    stage->shadows = MB_ARENA_ARRAY(stage->arena, void *, n);
    stage->memory = MB_ARENA_ARRAY(stage->arena, mb_matrix_memory_t, n);
    if (stage->values == NULL || stage->stored == NULL || stage->shadows == NULL ||
        stage->memory == NULL)
        return mb_error_memory("the tables of a stage", 0);
    return MB_OK;
}

mb_status_t mb_stage_take_parameters(mb_stage_t *stage, const mb_stage_options_t *options)
{
    const mb_stage_t *other = options->values_of;
    if (other != NULL) {
        stage->shares_values = true;
        stage->values = other->values;
        stage->stored = other->stored;
        stage->shadows = other->shadows;
        stage->rounds = other->rounds;
        stage->round_to = other->round_to;
        stage->parameter_bytes = other->parameter_bytes;
        return MB_OK;
    }
    stage->rounds = options->round_to != NULL;
    if (stage->rounds)
        stage->round_to = *options->round_to;
    MB_TRY(make_tables(stage));
    for (int i = 0; i < stage->n_params; i++)
        MB_TRY(take_parameter(stage, stage->params[i]));
    return MB_OK;
}

void mb_stage_free_parameters(mb_stage_t *stage)
{
    mb_device_t *device = stage->exec->device;
    if (stage->shares_values || stage->memory == NULL)
        return;
    for (int i = 0; i < stage->n_params; i++) {
        int param = stage->params[i];
        mb_device_free(device, stage->values[param]);
        mb_device_free(device, stage->shadows[param]);
        free_matrix(stage, param);
    }
}

static mb_status_t send(mb_stage_t *stage, void *to, const void *from, int64_t bytes)
{
    return mb_exec_copy(stage->exec, to, from, (size_t)bytes, MB_COPY_TO_DEVICE);
}

static mb_status_t fill_matrix(mb_stage_t *stage, int param, const mb_matrix_t *matrix)
{
    const mb_matrix_memory_t *to = &stage->memory[param];
    MB_TRY(send(stage, to->values, matrix->values, mb_matrix_value_bytes(matrix)));
    MB_TRY(send(stage, to->scales, matrix->scales, mb_matrix_scale_bytes(matrix)));
    MB_TRY(send(stage, to->zeros, matrix->zeros, zero_bytes(matrix)));
    MB_TRY(send(stage, to->row_scales, matrix->row_scales, row_scale_bytes(matrix)));
    MB_TRY(send(stage, to->column_sums, matrix->column_sums, column_sum_bytes(matrix)));
    return mb_exec_sync(stage->exec);
}

/* The sum is over what was taken; giving back takes off the same. */
static size_t matrix_bytes(const mb_matrix_t *m)
{
    return (size_t)(mb_matrix_value_bytes(m) + mb_matrix_scale_bytes(m) + zero_bytes(m) +
                    row_scale_bytes(m) + column_sum_bytes(m));
}

mb_status_t mb_stage_use_matrix(mb_stage_t *stage, int param, const mb_matrix_t *matrix)
{
    const mb_param_t *info = &stage->graph->params[param];
    if (stage->values[param] == NULL || stage->shares_values || info->view == MB_VIEW_VECTOR)
        return mb_error_set(MB_ERR_INTERNAL, "weight '%s' cannot be exchanged for a matrix here",
                            info->path);
    MB_TRY(mb_exec_sync(stage->exec));
    if (stage->stored[param] != NULL)
        stage->parameter_bytes -= matrix_bytes(stage->stored[param]);
    free_matrix(stage, param);
    if (matrix == NULL)
        return MB_OK;
    MB_TRY(take_matrix(stage, param, matrix));
    return fill_matrix(stage, param, matrix);
}

static mb_status_t round_values(mb_stage_t *stage, const mb_param_t *param)
{
    mb_view_t view = view_of(param);
    mb_fake_quantize_args_t args = {.type = shadow_type(stage, param),
                                    .format = mb_format_matrix(&stage->round_to, &view),
                                    .x = stage->values[param->index],
                                    .y = stage->shadows[param->index]};
    return mb_run_fake_quantize(stage->exec, &args);
}

static mb_status_t convert_values(mb_stage_t *stage, const mb_param_t *param)
{
    mb_convert_args_t args = {.type = shadow_type(stage, param),
                              .from = MB_F32,
                              .count = param->elements,
                              .x = stage->values[param->index],
                              .y = stage->shadows[param->index]};
    return mb_run_convert(stage->exec, &args);
}

mb_status_t mb_stage_round(mb_stage_t *stage)
{
    for (int i = 0; i < stage->n_params; i++) {
        const mb_param_t *param = &stage->graph->params[stage->params[i]];
        if (stage->shadows[param->index] == NULL)
            continue;
        MB_TRY(is_rounded(stage, param) ? round_values(stage, param)
                                        : convert_values(stage, param));
    }
    return MB_OK;
}
