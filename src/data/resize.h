/* Images brought to a size. */
#ifndef MB_DATA_RESIZE_H
#define MB_DATA_RESIZE_H

#include "data/image.h"

typedef struct {
    int64_t height, width;
    int channels;
    bool channels_first;
} mb_image_size_t;

/* Bilinear interpolation with half-pixel centers and no smoothing, as Keras'
 * image_dataset_from_directory asks of TensorFlow (tf.image.resize, resize_bilinear_op.cc): the
 * same products and sums in float32. An image that has the size keeps its bytes' values. COLUMNS is
 * memory of the caller's that is used again. */
mb_status_t mb_image_resize(const mb_image_t *from, const mb_image_size_t *size,
                            mb_image_buffer_t *columns, const char *path, float *to);

#endif
