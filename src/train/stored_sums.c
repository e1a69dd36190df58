/* See stored_sums.h. The codes come to the host, where some rows at a time are decoded. */
#include "train/stored_sums.h"

#include <math.h>
#include <stdlib.h>

#include "quant/encode.h"

enum { BLOCK = 65536, PARTS = 4 };

/* What the host can read of a matrix. */
typedef struct {
    mb_matrix_t matrix;
    void *own[PARTS];
} copy_t;

static mb_status_t fetch(const mb_stage_t *stage, int64_t bytes, const void **part, void **own)
{
    mb_device_t *device = stage->exec->device;
    if (*part == NULL || device->class_->host_visible(device))
        return MB_OK;
    *own = malloc((size_t)bytes);
    if (*own == NULL)
        return mb_error_memory("a copy of a stored matrix", (size_t)bytes);
    MB_TRY(mb_exec_copy(stage->exec, *own, *part, (size_t)bytes, MB_COPY_TO_HOST));
    *part = *own;
    return MB_OK;
}

static mb_status_t fetch_matrix(const mb_stage_t *stage, copy_t *copy)
{
    mb_matrix_t *m = &copy->matrix;
    const void *zeros = m->zeros, *row_scales = m->row_scales;
    MB_TRY(fetch(stage, mb_matrix_value_bytes(m), &m->values, &copy->own[0]));
    MB_TRY(fetch(stage, mb_matrix_scale_bytes(m), &m->scales, &copy->own[1]));
    MB_TRY(fetch(stage, mb_matrix_scales(m), &zeros, &copy->own[2]));
    MB_TRY(fetch(stage, m->rows * (int64_t)sizeof(float), &row_scales, &copy->own[3]));
    m->zeros = zeros;
    m->row_scales = row_scales;
    return mb_exec_sync(stage->exec);
}

static void add_rows(const mb_matrix_t *m, float *values, int64_t rows, double sums[2])
{
    for (int64_t first = 0; first < m->rows; first += rows) {
        int64_t count = m->rows - first < rows ? m->rows - first : rows;
        mb_matrix_decode_rows(m, first, count, values);
        for (int64_t i = 0; i < count * m->columns; i++) {
            sums[0] += fabs((double)values[i]);
            sums[1] += (double)values[i] * (double)values[i];
        }
    }
}

mb_status_t mb_stored_sums(const mb_stage_t *stage, int param, double sums[2])
{
    copy_t copy = {.matrix = *stage->stored[param]};
    int64_t columns = copy.matrix.columns, rows = columns < BLOCK ? BLOCK / columns : 1;
    float *values = malloc((size_t)(rows * columns) * sizeof(float));
    mb_status_t status = values == NULL ? mb_error_memory("some rows of a matrix",
                                                          (size_t)(rows * columns) * sizeof(float))
                                        : fetch_matrix(stage, &copy);
    sums[0] = sums[1] = 0;
    if (status == MB_OK)
        add_rows(&copy.matrix, values, rows, sums);
    free(values);
    for (int i = 0; i < PARTS; i++)
        free(copy.own[i]);
    return status;
}
