/* Recognising encoded tensors in a file that is being opened. */
#ifndef MB_STORE_ENCODED_OPEN_H
#define MB_STORE_ENCODED_OPEN_H

#include "store/h5.h"
#include "store/model_file.h"

/* DATASET holds the elements of TENSOR (shape known) as NUMBER at OFFSET: fills the encoding, with
 * what attributes say. A file of others has none of them. */
mb_status_t mb_encoded_open_float(const mb_h5_reader_t *reader, hid_t dataset, const char *path,
                                  mb_number_t number, int bias, int64_t offset,
                                  mb_stored_tensor_t *tensor);
/* The same for deflated float32, in one chunk: what it takes to check its bytes. */
mb_status_t mb_encoded_open_packed(const mb_h5_reader_t *reader, hid_t dataset, const char *path,
                                   mb_stored_tensor_t *tensor);
/* The tensor in the group GROUP (in the arena already), which has q. *found: there is such a group.
 */
mb_status_t mb_encoded_open_scaled(const mb_h5_reader_t *reader, const char *name,
                                   const char *group, mb_stored_tensor_t *tensor, bool *found);

#endif
