/* Data files made by the tests themselves: HDF5 through its C calls, IDX by hand, in a folder of
 * their own that goes away with the test. */
#ifndef MB_TESTS_DATA_FILES_H
#define MB_TESTS_DATA_FILES_H

#include "base/error.h"
#include "base/types.h"
#include "data/source.h"

#include <hdf5.h>

/* "FOLDER/NAME"; the folder is made on the first call. The text lives as long as the process. */
const char *test_path(const char *name);
void test_remove_folder(void);

typedef struct {
    const char *name;
    hid_t type;   /* in the file */
    hid_t memory; /* of DATA */
    int rank;
    hsize_t dims[4];
    const void *data;
    hsize_t chunk; /* samples a chunk; 0: contiguous */
    int deflate;
    double scale, offset; /* written as attributes unless both are zero */
} test_dataset_t;

/* A file of these datasets; USERBLOCK bytes in front of it. */
void test_hdf5_write(const char *path, const test_dataset_t *datasets, int n, hsize_t userblock);
/* float16 as h5py writes it, little-endian. */
hid_t test_half_type(void);

/* An IDX file of TYPE (0x08 ...) and big-endian BYTES of data; gzip if the name ends in ".gz". */
void test_idx_write(const char *path, unsigned char type, int rank, const uint32_t *dims,
                    const void *data, size_t bytes);
void test_file_write(const char *path, const void *data, size_t bytes);
size_t test_file_read(const char *path, void *to, size_t capacity);

/* Wants of a model with one input of a shape and N_OUTPUTS (0 or 1) outputs. */
mb_source_wants_t test_wants(const char *input, const mb_shape_t *shape, int n_outputs);

/* Fails unless the last message contains PART. */
void test_message_has(const char *part);

#endif
