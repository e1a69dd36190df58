/* A model file read and turned into the layout that writes it again. */
#ifndef TESTS_SUPPORT_REWRITE_MODEL_H
#define TESTS_SUPPORT_REWRITE_MODEL_H

#include "store/checkpoint.h"

typedef struct {
    mb_model_file_t *file;
    mb_checkpoint_layout_t layout;
    mb_layer_spec_t *layers;
    mb_tensor_spec_t *tensors;
    int *indices;
    float **values; /* of each tensor */
    char **names;   /* of the moments made from optimizer_weights */
    int n_tensors;
} rewrite_t;

/* Reads PATH. Moments come from /mbrun/optimizer; or, when there are none, from optimizer_weights
 * whose names end in _momentum or _velocity, for the weights in order. */
mb_status_t rewrite_read(const char *path, rewrite_t *rewrite);
/* Writes as RANK 0's share of one process. */
mb_status_t rewrite_write(const rewrite_t *rewrite, const char *path);
void rewrite_free(rewrite_t *rewrite);

#endif
