/* What a model is compiled with, from the short texts of options, as Keras' training_config. */
#ifndef MB_MODEL_COMPILE_TEXT_H
#define MB_MODEL_COMPILE_TEXT_H

#include <jansson.h>

#include "model/graph.h"

enum {
    MB_COMPILE_LOSS,
    MB_COMPILE_LOSS_WEIGHTS,
    MB_COMPILE_METRICS,
    MB_COMPILE_WEIGHTED_METRICS,
    MB_COMPILE_OPTIMIZER,
    MB_COMPILE_LR,
    MB_COMPILE_LR_SCHEDULE,
    MB_COMPILE_WEIGHT_DECAY,
    MB_COMPILE_CLIP,
    MB_COMPILE_COUNT
};
extern const char *const mb_compile_keys[MB_COMPILE_COUNT]; /* "loss", "loss-weights", ... */

/* TEXTS: [MB_COMPILE_COUNT], NULL where not said: then as in BASE (NULL: none), and where that does
 * not say it either, Adam, and no metrics.
 *   loss, metrics ...  names as Keras has them, "name:key=value,..." (metrics: with spaces between
 *                      several), or JSON as training_config has it: lists and objects by output
 *   optimizer, lr ...  as mb_optimizer_create and mb_optimizer_set take them
 * Without a loss *out is NULL: the model is not compiled. *out is a new reference. GRAPH, which is
 * bound, says whether it all fits. WHERE starts messages. */
mb_status_t mb_compile_texts(const char *const *texts, const json_t *base, const mb_graph_t *graph,
                             const char *where, json_t **out);

#endif
