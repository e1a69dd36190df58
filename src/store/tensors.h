/* Datasets of a model file as tensors: where they lie, and their values as float32. */
#ifndef MB_STORE_TENSORS_H
#define MB_STORE_TENSORS_H

#include "store/h5.h"
#include "store/h5_part.h"
#include "store/model_file.h"

/* Behind mb_model_file_t: the open file and the memory of all its texts and tables. */
typedef struct {
    mb_arena_t *arena;
    hid_t file;
    int fd;            /* what is open */
    int64_t bytes;     /* of the HDF5 file */
    mb_h5_part_t part; /* of an archive: where that lies; else of no use */
    hid_t held;        /* what mb_h5_part_use gave */
    int unpacked;      /* of an archive whose weights are deflated; else -1 */
} mb_model_source_t;

/* Fills TENSOR from the dataset DATASET_PATH or, when there is none, from the group QUANTIZED_PATH
 * of one in a format with scales (both in the arena already); NAME as weight_names has it. */
mb_status_t mb_stored_tensor_locate(const mb_h5_reader_t *reader, const char *name,
                                    const char *dataset_path, const char *quantized_path,
                                    mb_stored_tensor_t *tensor);
/* Shape and place of a dataset of TYPE, which the file must be able to hold; *offset is -1 when it
 * is not contiguous or empty. */
mb_status_t mb_tensors_place(const mb_h5_reader_t *reader, hid_t dataset, hid_t type,
                             const char *path, mb_shape_t *shape, int64_t *offset);

#endif
