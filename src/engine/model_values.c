/* Values on their way from the file to a stage. Where the host sees the device's memory they are
 * read straight into it; elsewhere they pass through a buffer of a few MiB, row by row. */
#include <stdlib.h>

#include "engine/model.h"

enum { CHUNK = 4 << 20 };

typedef struct {
    const mb_model_file_t *file; /* of the parameter at hand */
    mb_stage_t *stage;
    mb_exec_t *exec;
    bool direct;
    int64_t chunk; /* bytes of the buffer */
    void *buffer;
} loader_t;

/* COUNT bytes of host memory go to the device. */
static mb_status_t send(const loader_t *l, void *to, const void *from, int64_t count)
{
    MB_TRY(mb_exec_copy(l->exec, to, from, (size_t)count, MB_COPY_TO_DEVICE));
    return mb_exec_sync(l->exec);
}

/* Reads a part in pieces of whole UNITs. SUMS: adds up the columns of codes, whose rows are the
 * units. */
static mb_status_t load_part(const loader_t *l, const mb_stored_tensor_t *tensor, mb_part_t part,
                             int64_t bytes, int64_t unit, void *to, int32_t *sums)
{
    int64_t piece = l->chunk < unit ? unit : l->chunk / unit * unit;
    for (int64_t at = 0; at < bytes; at += piece) {
        int64_t count = bytes - at < piece ? bytes - at : piece;
        char *place = (char *)to + at;
        void *host = l->direct ? place : l->buffer;
        MB_TRY(mb_stored_tensor_read_part(l->file, tensor, part, at, count, host));
        if (sums != NULL)
            mb_matrix_sum_columns(host, count / unit, unit, sums);
        if (!l->direct)
            MB_TRY(send(l, place, host, count));
    }
    return MB_OK;
}

static mb_status_t load_values(const loader_t *l, const mb_stored_tensor_t *tensor, int param)
{
    const mb_matrix_t *m = l->stage->stored[param];
    const mb_matrix_memory_t *memory = &l->stage->memory[param];
    int64_t row = mb_matrix_row_bytes(m), all = mb_matrix_value_bytes(m);
    if (!m->has_column_sums)
        return load_part(l, tensor, MB_PART_VALUES, all, row, memory->values, NULL);
    int32_t *sums = calloc((size_t)m->columns, sizeof *sums);
    if (sums == NULL)
        return mb_error_memory("the sums of a matrix's columns", (size_t)m->columns * sizeof *sums);
    mb_status_t status = load_part(l, tensor, MB_PART_VALUES, all, row, memory->values, sums);
    if (status == MB_OK)
        status = send(l, memory->column_sums, sums, m->columns * (int64_t)sizeof *sums);
    free(sums);
    return status;
}

static mb_status_t load_zeros(const loader_t *l, const mb_stored_tensor_t *tensor, int param)
{
    const mb_matrix_t *m = l->stage->stored[param];
    int64_t packed_bytes = tensor->encoding->bytes[MB_PART_ZEROS], bytes = mb_matrix_scales(m);
    if (!m->has_zeros)
        return MB_OK;
    uint8_t *packed = malloc((size_t)packed_bytes + 1), *zeros = malloc((size_t)bytes + 1);
    mb_status_t status = packed == NULL || zeros == NULL
                             ? mb_error_memory("a matrix's zeros", (size_t)(packed_bytes + bytes))
                             : MB_OK;
    if (status == MB_OK)
        status =
            mb_stored_tensor_read_part(l->file, tensor, MB_PART_ZEROS, 0, packed_bytes, packed);
    if (status == MB_OK) {
        mb_matrix_unpack_zeros(m, packed, zeros);
        status = send(l, l->stage->memory[param].zeros, zeros, bytes);
    }
    free(packed);
    free(zeros);
    return status;
}

static mb_status_t load_matrix(const loader_t *l, const mb_stored_tensor_t *tensor, int param)
{
    const mb_matrix_t *m = l->stage->stored[param];
    const mb_matrix_memory_t *memory = &l->stage->memory[param];
    MB_TRY(load_values(l, tensor, param));
    MB_TRY(load_zeros(l, tensor, param));
    MB_TRY(load_part(l, tensor, MB_PART_SCALES, mb_matrix_scale_bytes(m), 1, memory->scales, NULL));
    if (!m->has_row_scales)
        return MB_OK;
    return load_part(l, tensor, MB_PART_ROW_SCALES, m->rows * (int64_t)sizeof(float), 1,
                     memory->row_scales, NULL);
}

/* What only HDF5 reads, or must be decoded, comes whole. */
static mb_status_t load_whole(const loader_t *l, const mb_stored_tensor_t *tensor, float *to)
{
    int64_t bytes = tensor->elements * (int64_t)sizeof(float);
    float *values = malloc((size_t)bytes + 1);
    if (values == NULL)
        return mb_error_memory("a parameter on its way from the file", (size_t)bytes);
    mb_status_t status = mb_stored_tensor_read(l->file, tensor, values);
    if (status == MB_OK)
        status = send(l, to, values, bytes);
    free(values);
    return status;
}

static mb_status_t load_floats(const loader_t *l, const mb_stored_tensor_t *tensor, float *to)
{
    int64_t piece = l->chunk / (int64_t)sizeof(float);
    if (l->direct)
        return mb_stored_tensor_read(l->file, tensor, to);
    if (tensor->offset < 0)
        return load_whole(l, tensor, to);
    for (int64_t at = 0; at < tensor->elements; at += piece) {
        int64_t count = tensor->elements - at < piece ? tensor->elements - at : piece;
        MB_TRY(mb_stored_tensor_read_some(l->file, tensor, at, count, l->buffer));
        MB_TRY(send(l, to + at, l->buffer, count * (int64_t)sizeof(float)));
    }
    return MB_OK;
}

static mb_status_t load_all(loader_t *l, const mb_model_t *model)
{
    for (int i = 0; i < l->stage->n_params; i++) {
        int p = l->stage->params[i];
        const mb_stored_tensor_t *tensor = model->stored[p];
        l->file = model->sources[p];
        if (l->stage->stored[p] != NULL)
            MB_TRY(load_matrix(l, tensor, p));
        else
            MB_TRY(load_floats(l, tensor, l->stage->values[p]));
    }
    return MB_OK;
}

static int64_t longest_row(const mb_stage_t *stage)
{
    int64_t most = 0;
    for (int i = 0; i < stage->n_params; i++) {
        const mb_matrix_t *m = stage->stored[stage->params[i]];
        if (m != NULL && mb_matrix_row_bytes(m) > most)
            most = mb_matrix_row_bytes(m);
    }
    return most;
}

mb_status_t mb_model_load_values(const mb_model_t *model, mb_engine_t *engine)
{
    if (engine->stage == NULL)
        return MB_OK;
    mb_comm_doing(engine->machine->comm, "reading the weights");
    mb_device_t *device = engine->exec.device;
    int64_t row = longest_row(engine->stage);
    loader_t l = {.stage = engine->stage,
                  .exec = &engine->exec,
                  .direct = device->class_->host_visible(device),
                  .chunk = row > CHUNK ? row : CHUNK};
    /* Nothing that was put on the stream may still write where the values go. */
    MB_TRY(mb_exec_sync(&engine->exec));
    if (!l.direct)
        l.buffer = malloc((size_t)l.chunk);
    if (!l.direct && l.buffer == NULL)
        return mb_error_memory("parameters on their way from the file", (size_t)l.chunk);
    mb_status_t status = load_all(&l, model);
    free(l.buffer);
    return status;
}
