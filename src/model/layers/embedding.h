/* The table that an embedding looks rows up in: what the layers share that have one. Such a layer's
 * config begins with mb_embedding_t, so that the functions of mb_layer_embedding serve it too. */
#ifndef MB_MODEL_LAYERS_EMBEDDING_H
#define MB_MODEL_LAYERS_EMBEDDING_H

#include "model/layers/layers.h"

typedef struct {
    int64_t vocabulary, width;
    bool masks; /* 0 stands for padding */
    mb_param_spec_t table;
} mb_embedding_t;

mb_status_t mb_embedding_take(mb_config_t *config, mb_embedding_t *out);

#endif
