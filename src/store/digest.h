/* The digest of weights that are in memory: what mb_model_file_digest says of the float32 file that
 * they would make. Starts with 0; for each layer in file order its number of weights, then they. */
#ifndef MB_STORE_DIGEST_H
#define MB_STORE_DIGEST_H

#include "base/types.h"
#include "store/model_file.h"

uint64_t mb_digest_add_count(uint64_t hash, int n_weights);
uint64_t mb_digest_add_tensor(uint64_t hash, const char *name, const mb_shape_t *shape,
                              const float *values);
/* The same of a tensor of a file. */
mb_status_t mb_digest_add_stored(const mb_model_file_t *file, const mb_stored_tensor_t *tensor,
                                 uint64_t *hash);

#endif
