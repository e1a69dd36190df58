/* Names and order of optimizer_weights as Keras 3 saves them. */
#ifndef MB_STORE_KERAS_OPTIMIZER_H
#define MB_STORE_KERAS_OPTIMIZER_H

#include "base/arena.h"
#include "store/checkpoint.h"

typedef struct {
    int count;
    const char **names; /* names[0] is the iteration, names[1] the learning rate unless it is a
                           schedule; the last one is the layout's keras_scalar if it has one */
    int *tensors;       /* -1 for those three */
} mb_keras_optimizer_t;

/* Moments must be called "<slot>/<weight path>". Tables are in ARENA. */
mb_status_t mb_keras_optimizer_name(const mb_checkpoint_layout_t *layout, mb_arena_t *arena,
                                    mb_keras_optimizer_t *out);

#endif
