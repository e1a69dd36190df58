/* Scratch folders and small files for the tests of the store. */
#ifndef TESTS_SUPPORT_STORE_FILES_H
#define TESTS_SUPPORT_STORE_FILES_H

#include <hdf5.h>
#include "store/checkpoint.h"

/* A folder of this test's own, and a path in it (one of eight static buffers, in turn). */
void scratch_create(void);
void scratch_remove(void);
const char *scratch(const char *name);
/* A fixture's path, likewise. */
const char *fixture(const char *name);

int64_t file_size(const char *path);
bool file_exists(const char *path);
/* The whole file, malloc'ed. */
unsigned char *file_read(const char *path, size_t *bytes);
void file_write(const char *path, const void *data, size_t bytes);
bool files_equal(const char *a, const char *b);
/* Names in the scratch folder that contain PART. */
int scratch_count(const char *part);

#define SAMPLE_LAYERS 3
#define SAMPLE_TENSORS 8

/* A checkpoint of three layers (the last without weights), four weights and four moments, whose
 * values follow from SEED. */
typedef struct {
    mb_layer_spec_t layers[SAMPLE_LAYERS];
    mb_tensor_spec_t tensors[SAMPLE_TENSORS];
    float *values[SAMPLE_TENSORS];
    mb_piece_t pieces[SAMPLE_TENSORS];
    mb_setting_t settings[2];
    mb_checkpoint_layout_t layout;
} sample_t;

/* ROWS scales the size: the largest tensor has ROWS x 7 elements. */
void sample_create(sample_t *sample, int64_t rows, unsigned seed);
void sample_free(sample_t *sample);
mb_status_t sample_write(const sample_t *sample, const char *path);
/* Whether the file holds exactly the sample's values, read through the store. */
bool sample_is_in(const sample_t *sample, const char *path);

/* Whether the last message contains PART; prints it if not. */
bool message_has(const char *part);

/* The flavours of strings in files. */
typedef enum {
    TEXT_VARIABLE_UTF8,
    TEXT_VARIABLE_ASCII,
    TEXT_FIXED_NULL_TERMINATED,
    TEXT_FIXED_NULL_PADDED,
    TEXT_FIXED_SPACE_PADDED,
    TEXT_FLAVOURS
} text_flavour_t;

/* COUNT < 0: one text. */
void put_text(hid_t object, const char *name, text_flavour_t flavour, int count,
              const char *const *texts);
void put_empty_names(hid_t object, const char *name);
hid_t put_group(hid_t parent, const char *name);
/* Values 1, 2, 3 ... of float32 in memory, stored as FILE_TYPE with the property list (or default).
 */
void put_dataset(hid_t parent, const char *name, hid_t file_type, hid_t list, int rank,
                 const hsize_t *dims);
/* A Keras model of one layer "dense" with "dense/kernel:0" (2 x 3) and "dense/bias:0" (3), all
 * texts in a flavour; open for additions. */
hid_t put_keras_model(const char *path, text_flavour_t flavour);

#endif
