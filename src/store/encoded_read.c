/* A piece of a matrix is a matrix: whole rows that begin with a block, or, of a single row, columns
 * that begin with a block. */
#include "store/encoded_read.h"

#include <inttypes.h>
#include <stdlib.h>
#include "base/crc32c.h"
#include "store/encoded_layout.h"
#include "store/io.h"
#include "store/tensors.h"

/* About as much as is decoded at a time, and read for a checksum. */
#define PIECE_ELEMENTS ((int64_t)1 << 18)
#define CHECK_BYTES ((int64_t)1 << 20)

static mb_status_t read_part(const mb_model_file_t *file, const mb_stored_tensor_t *tensor,
                             mb_part_t part, int64_t first, int64_t count, void *bytes)
{
    return mb_model_file_read(file, bytes, (size_t)count, tensor->part_offsets[part] + first);
}

mb_status_t mb_stored_tensor_read_part(const mb_model_file_t *file,
                                       const mb_stored_tensor_t *tensor, mb_part_t part,
                                       int64_t first, int64_t count, void *bytes)
{
    if (tensor->encoding == NULL || first < 0 || count < 0 ||
        first > tensor->encoding->bytes[part] || count > tensor->encoding->bytes[part] - first)
        return mb_error_set(MB_ERR_INTERNAL,
                            "reading bytes %" PRId64 " to %" PRId64
                            " of part %d of '%s' in '%s', which it does not have",
                            first, first + count, (int)part, tensor->name, file->path);
    return count == 0 ? MB_OK : read_part(file, tensor, part, first, count, bytes);
}

static mb_status_t add_part(const mb_model_file_t *file, const mb_stored_tensor_t *tensor,
                            mb_part_t part, int64_t bytes, void *buffer, uint32_t *crc)
{
    for (int64_t at = 0; at < bytes; at += CHECK_BYTES) {
        int64_t count = bytes - at < CHECK_BYTES ? bytes - at : CHECK_BYTES;
        MB_TRY(read_part(file, tensor, part, at, count, buffer));
        *crc = mb_crc32c(*crc, buffer, (size_t)count);
    }
    return MB_OK;
}

mb_status_t mb_stored_tensor_check(const mb_model_file_t *file, const mb_stored_tensor_t *tensor)
{
    const mb_encoding_t *e = tensor->encoding != NULL ? tensor->encoding : tensor->packed;
    if (e == NULL || !tensor->has_crc || tensor->part_offsets[MB_PART_VALUES] < 0)
        return MB_OK;
    void *buffer = malloc((size_t)CHECK_BYTES);
    if (buffer == NULL)
        return mb_error_memory("a checksum", (size_t)CHECK_BYTES);
    uint32_t crc = 0;
    mb_status_t status = MB_OK;
    for (mb_part_t part = 0; part < MB_PART_COUNT && status == MB_OK; part++)
        status = add_part(file, tensor, part, e->bytes[part], buffer, &crc);
    free(buffer);
    MB_TRY(status);
    if (crc != e->crc)
        return mb_error_set(
            MB_ERR_FORMAT,
            "'%s': the values of '%s' ('%s') are damaged: their checksum is %08" PRIx32
            ", the file says %08" PRIx32 "; copy the file again",
            file->path, tensor->name, tensor->group, crc, e->crc);
    return MB_OK;
}

/* Elements of a piece: whole blocks, and of a single row whole bytes of codes and of zeros. */
static int64_t piece_elements(const mb_matrix_t *m)
{
    bool row = m->rows == 1;
    int64_t size = row ? 1 : m->columns, length = row ? m->columns : m->rows;
    int64_t block = row ? m->block_columns : m->block_rows;
    int64_t unit = block > 0 && block < length ? block : 1;
    if (row)
        unit *= 2;
    int64_t units = PIECE_ELEMENTS / (unit * size);
    int64_t step = (units < 1 ? 1 : units) * unit;
    return (step < length ? step : length) * size;
}

/* The piece at element FIRST, its pointers aside. */
static mb_matrix_t piece_at(const mb_decoder_t *d, int64_t first)
{
    mb_matrix_t m = d->matrix;
    int64_t rest = m.rows * m.columns - first, count = rest < d->step ? rest : d->step;
    if (m.rows == 1)
        m.columns = count;
    else
        m.rows = count / m.columns;
    return m;
}

static void *allocate(int64_t bytes)
{
    return malloc(bytes > 0 ? (size_t)bytes : 1);
}

static int64_t zero_bytes(const mb_matrix_t *m)
{
    return mb_matrix_scale_rows(m) * ((mb_matrix_scale_columns(m) + 1) / 2);
}

mb_status_t mb_decoder_open(const mb_model_file_t *file, const mb_stored_tensor_t *tensor,
                            mb_decoder_t *d)
{
    *d = (mb_decoder_t){.file = file, .tensor = tensor, .matrix = tensor->encoding->layout};
    if (d->matrix.block_rows == 0) {
        d->matrix.columns *= d->matrix.rows;
        d->matrix.rows = 1;
    }
    d->step = piece_elements(&d->matrix);
    const mb_matrix_t m = piece_at(d, 0);
    const int64_t bytes[MB_PART_COUNT + 1] = {
        mb_matrix_value_bytes(&m), mb_matrix_scale_bytes(&m), m.has_zeros ? zero_bytes(&m) : 0,
        m.has_row_scales ? m.rows * (int64_t)sizeof(float) : 0,
        m.has_zeros ? mb_matrix_scales(&m) : 0};
    for (int i = 0; i <= MB_PART_COUNT; i++) {
        d->buffers[i] = allocate(bytes[i]);
        if (d->buffers[i] == NULL)
            return mb_error_memory(tensor->name, (size_t)bytes[i]);
    }
    return MB_OK;
}

/* Reads the scales, zeros and row scales that belong to the piece at row and column. */
static mb_status_t read_scales(const mb_decoder_t *d, const mb_matrix_t *m, int64_t row,
                               int64_t column)
{
    if (m->block_rows == 0)
        return MB_OK;
    const mb_matrix_t *whole = &d->matrix;
    int64_t scale_row = row / m->block_rows, scale_column = column / m->block_columns;
    int64_t at = scale_row * mb_matrix_scale_columns(whole) + scale_column;
    MB_TRY(read_part(d->file, d->tensor, MB_PART_SCALES, mb_number_bytes(m->scale_number, at),
                     mb_matrix_scale_bytes(m), d->buffers[MB_PART_SCALES]));
    if (m->has_zeros) {
        int64_t first = scale_row * ((mb_matrix_scale_columns(whole) + 1) / 2) + scale_column / 2;
        MB_TRY(read_part(d->file, d->tensor, MB_PART_ZEROS, first, zero_bytes(m),
                         d->buffers[MB_PART_ZEROS]));
        mb_matrix_unpack_zeros(m, d->buffers[MB_PART_ZEROS], d->buffers[MB_PART_COUNT]);
    }
    if (m->has_row_scales)
        MB_TRY(read_part(d->file, d->tensor, MB_PART_ROW_SCALES, row * (int64_t)sizeof(float),
                         m->rows * (int64_t)sizeof(float), d->buffers[MB_PART_ROW_SCALES]));
    return MB_OK;
}

mb_status_t mb_decoder_read(const mb_decoder_t *d, int64_t first, float *values, int64_t *count)
{
    mb_matrix_t m = piece_at(d, first);
    bool single = d->matrix.rows == 1;
    int64_t row = single ? 0 : first / m.columns, column = single ? first : 0;
    int64_t skipped =
        single ? mb_number_bytes(m.number, first) : row * mb_matrix_row_bytes(&d->matrix);
    MB_TRY(read_part(d->file, d->tensor, MB_PART_VALUES, skipped, mb_matrix_value_bytes(&m),
                     d->buffers[MB_PART_VALUES]));
    MB_TRY(read_scales(d, &m, row, column));
    m.values = d->buffers[MB_PART_VALUES];
    m.scales = d->buffers[MB_PART_SCALES];
    m.zeros = d->buffers[MB_PART_COUNT];
    m.row_scales = d->buffers[MB_PART_ROW_SCALES];
    mb_matrix_decode(&m, values);
    *count = m.rows * m.columns;
    return MB_OK;
}

void mb_decoder_close(mb_decoder_t *d)
{
    for (int i = 0; i <= MB_PART_COUNT; i++)
        free(d->buffers[i]);
    *d = (mb_decoder_t){0};
}
