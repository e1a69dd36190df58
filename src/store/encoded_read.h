/* Encoded tensors as float32, some rows at a time: memory stays bounded whatever their size. */
#ifndef MB_STORE_ENCODED_READ_H
#define MB_STORE_ENCODED_READ_H

#include "store/model_file.h"

typedef struct {
    const mb_model_file_t *file;
    const mb_stored_tensor_t *tensor;
    mb_matrix_t matrix; /* of the tensor; one row where values lie side by side without scales */
    int64_t step;       /* elements of every piece but the last */
    void *buffers[MB_PART_COUNT + 1]; /* the parts of a piece, as they are read; zeros unpacked */
} mb_decoder_t;

mb_status_t mb_decoder_open(const mb_model_file_t *file, const mb_stored_tensor_t *tensor,
                            mb_decoder_t *decoder);
/* Decodes elements [first, first + step), fewer at the end; FIRST is a multiple of step. */
mb_status_t mb_decoder_read(const mb_decoder_t *decoder, int64_t first, float *values,
                            int64_t *count);
/* Harmless after a failed open. */
void mb_decoder_close(mb_decoder_t *decoder);

#endif
