/* The HDF5 side of writing a checkpoint: which objects the file has. Rank 0 only. */
#ifndef MB_STORE_CHECKPOINT_LAYOUT_H
#define MB_STORE_CHECKPOINT_LAYOUT_H

#include "store/checkpoint.h"

/* Bytes of a part of a tensor in the file. Plain float32 is all values. */
int64_t mb_checkpoint_part_bytes(const mb_tensor_spec_t *tensor, mb_part_t part);
/* Bytes of all tensors together, and about what the whole file takes. */
int64_t mb_checkpoint_data_bytes(const mb_checkpoint_layout_t *layout);
int64_t mb_checkpoint_file_bytes(const mb_checkpoint_layout_t *layout);

/* How many numbers mb_checkpoint_create gives: the offset of each part of each tensor (-1 when
 * empty), MB_PART_COUNT a tensor, then that of the seal. */
size_t mb_checkpoint_numbers(const mb_checkpoint_layout_t *layout);
/* Creates and closes the file CREATE_AT (NULL: its layout alone), called PATH in messages. */
mb_status_t mb_checkpoint_create(const char *create_at, const char *path,
                                 const mb_checkpoint_layout_t *layout, int64_t *numbers);

#endif
