/* What layers over images that are moved or cut have in common: where rows, columns and channels
 * lie in either data format, and the rectangle that Keras cuts out to keep an aspect ratio. */
#ifndef MB_MODEL_LAYERS_IMAGE_H
#define MB_MODEL_LAYERS_IMAGE_H

#include "model/layers/view.h"

/* Takes data_format. Keras 2's layers over images for which it has no such key are channels_last.
 */
mb_status_t mb_image_take_format(mb_config_t *config, bool *channels_first);

/* [planes, rows, columns, inner] of a sample. */
typedef struct {
    int64_t planes, size[2], inner;
} mb_image_t;
mb_image_t mb_image_of(const mb_shape_t *shape, bool channels_first);
/* infer of a layer that keeps images, or gives them another size (NULL: keeps). */
mb_status_t mb_image_infer(mb_call_t *call, bool channels_first, const int64_t *size);

#endif
