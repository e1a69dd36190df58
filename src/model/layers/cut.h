/* A rectangle of an image, brought to a size by bilinear resampling where it has another: the
 * rectangle is copied, then its rows are resampled, then its columns, each where that changes
 * anything. */
#ifndef MB_MODEL_LAYERS_CUT_H
#define MB_MODEL_LAYERS_CUT_H

#include "model/layers/image.h"

typedef struct {
    bool channels_first;
    int64_t first[2], size[2]; /* rows, columns */
} mb_cut_t;

/* The largest rectangle in the middle with the output's aspect ratio (keras.utils'
 * smart_resize). */
mb_cut_t mb_cut_of_ratio(const mb_call_t *call, bool channels_first);

/* What lies between the steps; forward needs it in the saved block, backward in the carry. */
size_t mb_cut_bytes(const mb_call_t *call, const mb_cut_t *cut, int64_t samples);
mb_status_t mb_cut_forward(const mb_run_t *run, const mb_cut_t *cut, void *scratch);
mb_status_t mb_cut_backward(const mb_run_t *run, const mb_cut_t *cut, void *scratch);

#endif
