/* A new HDF5 file of contiguous datasets, which appears under its name when it is complete. */
#ifndef MB_DATA_OUTPUT_H
#define MB_DATA_OUTPUT_H

#include "base/error.h"
#include "base/types.h"
#include "data/vocabulary.h"
#include "store/staged.h"

typedef struct {
    const char *name;
    mb_dtype_t dtype;
    mb_shape_t shape;
    bool scaled; /* gives it a scale_factor attribute */
    double scale;
    int64_t offset; /* set by mb_output_create: of its bytes in the file */
} mb_output_dataset_t;

typedef struct {
    mb_staged_t staged;
    int64_t bytes;
} mb_output_t;

/* WORDS stand beside the datasets, as hdf5_words.h says; NULL: none. */
mb_status_t mb_output_create(const char *path, mb_output_dataset_t *datasets, int n_datasets,
                             const mb_vocabularies_t *words, mb_output_t *out);
mb_status_t mb_output_write(const mb_output_t *output, int64_t offset, const void *from,
                            size_t bytes);
/* Makes the file durable and gives it its name. */
mb_status_t mb_output_commit(mb_output_t *output);
/* Removes the temporary file unless it was committed; releases the rest. */
void mb_output_close(mb_output_t *output);

#endif
