/* A checkpoint that has tensors of many shapes in every format, for the tests of the store. */
#ifndef TESTS_SUPPORT_ENCODED_FILES_H
#define TESTS_SUPPORT_ENCODED_FILES_H

#include "store/checkpoint.h"

#define ENCODED_FORMATS 13
#define ENCODED_SHAPES 6
#define ENCODED_MOMENTS 3
#define ENCODED_TENSORS (ENCODED_FORMATS * ENCODED_SHAPES + 2 + ENCODED_MOMENTS)

/* Weights: every format with every shape (odd sizes, ranks 1 to 4, tables that are looked up by
 * row, an axis shorter than a block), one with row scales, one that stays float32; then moments in
 * 8 bits. */
typedef struct {
    mb_layer_spec_t layer;
    int indices[ENCODED_TENSORS];
    char names[ENCODED_TENSORS][64];
    mb_tensor_spec_t tensors[ENCODED_TENSORS];
    float *decoded[ENCODED_TENSORS]; /* what a reader must see */
    mb_encoded_t encoded[ENCODED_TENSORS];
    mb_piece_t pieces[ENCODED_TENSORS];
    mb_report_line_t lines[2];
    mb_report_t report;
    mb_checkpoint_layout_t layout;
} encoded_sample_t;

void encoded_sample_create(encoded_sample_t *sample);
void encoded_sample_free(encoded_sample_t *sample);
mb_status_t encoded_sample_write(const encoded_sample_t *sample, const char *path);
/* The file's tensor; weights first, then moments. */
const mb_stored_tensor_t *encoded_sample_tensor(const mb_model_file_t *file, int index);

#endif
