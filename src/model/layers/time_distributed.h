/* TimeDistributed around a model. */
#ifndef MB_MODEL_LAYERS_TIME_DISTRIBUTED_H
#define MB_MODEL_LAYERS_TIME_DISTRIBUTED_H

#include "model/layer.h"

/* LAYER, as its class has read it, becomes one that works on each step by itself, on one tensor or
 * several with the same steps: what is done to all layers of a model to do it to the model. Its
 * weights keep their names. MB_ERR_UNSUPPORTED: it has several outputs. */
mb_status_t mb_layer_distribute(mb_arena_t *arena, mb_layer_t *layer);

#endif
