/* The mask of a model's output on the host: which of a loss's values count must be known before a
 * step, since its mean is over those of the whole batch. So only masks that follow from the data
 * can be had, by Embedding and Masking right behind inputs and what merges those. */
#ifndef MB_ENGINE_MASK_VALUES_H
#define MB_ENGINE_MASK_VALUES_H

#include "model/graph.h"

typedef struct {
    int input; /* in graph->inputs */
    int field; /* of the source: set by who knows it */
    bool as_int;
    int64_t elements; /* of a sample */
} mb_mask_input_t;

typedef struct {
    const mb_graph_t *graph;
    const mb_mask_t *mask;
    int n; /* inputs that it follows from */
    mb_mask_input_t inputs[MB_MAX_INPUTS];
    float **values; /* [graph->n_masks] of a sample: those that it is made of, and its own */
} mb_mask_values_t;

/* Of OUTPUT, in the graph's outputs, which has one. MB_ERR_UNSUPPORTED where it depends on what the
 * model computes. */
mb_status_t mb_mask_values_create(const mb_graph_t *graph, int output, mb_mask_values_t **out);
void mb_mask_values_destroy(mb_mask_values_t *values);

/* Of one sample, whose inputs are INPUTS[n]; until the next call. */
const float *mb_mask_values_of(const mb_mask_values_t *values, const void *const *inputs);

#endif
