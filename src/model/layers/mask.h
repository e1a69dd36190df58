/* The layers that masks come from: implied ones, whose config is an mb_mask_t (graph.h). */
#ifndef MB_MODEL_LAYERS_MASK_H
#define MB_MODEL_LAYERS_MASK_H

#include "model/graph.h"

extern const mb_layer_class_t mb_layer_mask;

/* The axis of joined tensors of RANK dimensions a sample, among these; -1: there is none. */
static inline int mb_mask_axis(const mb_mask_t *mask, int rank)
{
    int64_t axis = mask->rule.axis < 0 ? mask->rule.axis + rank : mask->rule.axis - 1;
    return axis >= 0 && axis < rank ? (int)axis : -1;
}

#endif
