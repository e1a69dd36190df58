/* Several outputs of one call in its one tensor: in each sample they stand one behind the other
 * (mb_layer_class_t's part). They are computed apart, in the saved block, and copied there; their
 * gradients are copied apart into the carry block. A single output is the tensor itself. */
#ifndef MB_MODEL_LAYERS_PACKED_H
#define MB_MODEL_LAYERS_PACKED_H

#include "model/layers/layers.h"

#define MB_MOST_PACKED 18

typedef struct {
    int n;
    mb_shape_t shapes[MB_MOST_PACKED]; /* of a sample */
    size_t saved[MB_MOST_PACKED], carry[MB_MOST_PACKED];
} mb_packed_t;

void mb_packed_add(mb_packed_t *packed, const mb_shape_t *shape);
/* Sets the call's output, its type aside. */
mb_status_t mb_packed_infer(const mb_packed_t *packed, mb_call_t *call);
/* Where output INDEX begins in a sample. */
int64_t mb_packed_first(const mb_packed_t *packed, int index);
/* Adds places to the blocks. */
void mb_packed_memory(mb_packed_t *packed, mb_dtype_t type, int64_t samples, size_t *saved,
                      size_t *carry);

void *mb_packed_output(const mb_run_t *run, const mb_packed_t *packed, int index);
const void *mb_packed_gradient(const mb_run_t *run, const mb_packed_t *packed, int index);
mb_status_t mb_packed_join(const mb_run_t *run, const mb_packed_t *packed);
mb_status_t mb_packed_part(const mb_run_t *run, const mb_packed_t *packed);

#endif
