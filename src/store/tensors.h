/* Datasets of a model file as tensors: where they lie, and their values as float32. */
#ifndef MB_STORE_TENSORS_H
#define MB_STORE_TENSORS_H

#include "store/h5.h"
#include "store/model_file.h"

/* Behind mb_model_file_t: the open file and the memory of all its texts and tables. */
typedef struct {
    mb_arena_t *arena;
    hid_t file;
    int fd;
    int64_t bytes;
} mb_model_source_t;

/* Fills TENSOR from the dataset DATASET_PATH (in the arena already); NAME as weight_names has it.
 */
mb_status_t mb_stored_tensor_locate(const mb_h5_reader_t *reader, const char *name,
                                    const char *dataset_path, mb_stored_tensor_t *tensor);

#endif
