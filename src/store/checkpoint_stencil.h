/* The layout of the checkpoint before, for the next one that has the same objects. */
#ifndef MB_STORE_CHECKPOINT_STENCIL_H
#define MB_STORE_CHECKPOINT_STENCIL_H

#include "store/checkpoint.h"
#include "store/h5_image.h"

/* The file as it was laid out, and its NUMBERS, if it differs from LAYOUT's in the numbers of
 * /mbrun/state alone; the image is the caller's then. NULL: there is none such. */
mb_h5_image_t *mb_stencil_take(const mb_checkpoint_layout_t *layout, int64_t *numbers);
/* Keeps IMAGE of LAYOUT for the next one, or frees it. NULL: nothing was made. */
void mb_stencil_put(const mb_checkpoint_layout_t *layout, const int64_t *numbers,
                    mb_h5_image_t *image);

#endif
