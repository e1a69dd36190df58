/* What a weight is called to people, alike in files of Keras 2 and 3 and of mbrun: its layer, then
 * its own name in it.
 *
 *     layer            name in the file                    label
 *     dense            dense/kernel:0                      dense/kernel
 *     dense            sequential/dense/kernel             dense/kernel
 *     attention        query/kernel                        attention/query/kernel
 */
#ifndef MB_STORE_LABELS_H
#define MB_STORE_LABELS_H

#include "base/arena.h"

/* In the arena; NULL: no memory. LAYER "": NAME alone, for moments and the like. */
const char *mb_tensor_label(mb_arena_t *arena, const char *layer, const char *name);

#endif
