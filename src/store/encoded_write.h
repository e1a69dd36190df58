/* The objects of an encoded tensor, laid out in a file that is being written. */
#ifndef MB_STORE_ENCODED_WRITE_H
#define MB_STORE_ENCODED_WRITE_H

#include "store/checkpoint.h"
#include "store/h5_write.h"

/* TENSOR, whose encoding is set, goes to the dataset PATH when any HDF5 reader can decode it, else
 * below the group QUANTIZED. OFFSETS: where its parts lie, -1 for what it does not have. */
mb_status_t mb_encoded_make(const mb_h5_writer_t *h5, const mb_tensor_spec_t *tensor,
                            const char *path, const char *quantized,
                            int64_t offsets[MB_PART_COUNT]);
/* Refuses an encoding that is not of the tensor's shape, or that a file cannot hold. */
mb_status_t mb_encoded_check_spec(const char *path, const mb_tensor_spec_t *tensor);

#endif
