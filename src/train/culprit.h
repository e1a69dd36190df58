/* Who made the first number of a step that is not finite: its forwards and backwards are computed
 * again, with the same bits, as no weight has changed, and all that calls write is looked at in
 * order. */
#ifndef MB_TRAIN_CULPRIT_H
#define MB_TRAIN_CULPRIT_H

#include "data/sampler.h"
#include "engine/engine.h"
#include "engine/model.h"

typedef struct {
    mb_engine_t *engine;
    const mb_model_t *model;
    mb_source_t *source;
    mb_sampler_t sampler;
} mb_culprit_search_t;

typedef struct {
    bool found;    /* false: computed again, all is finite */
    bool backward; /* forwards come first, then losses, then backwards */
    int64_t micro; /* among those of the global batch, in their order */
    int64_t place; /* in the micro-batch's forward, or backward */
    mb_look_part_t part;
    int node, number;
    bool infinite;  /* not NaN */
    int param;      /* a weight of the call that is not finite itself; -1: none */
    int64_t sample; /* in the data; -1: not one's */
    int rank, stage;
    char host[64];
} mb_culprit_t;

/* Collective over the working ranks, which all get the same answer. Overwrites what the step has
 * left but weights and moments. May allocate. */
mb_status_t mb_culprit_find(const mb_culprit_search_t *search, const mb_step_info_t *info,
                            mb_culprit_t *out);
/* "the first NaN is in the output of layer 'dense' (Dense), micro-batch 3, sample 17 of train.h5,
 * on rank 1 (node7, stage 1)". Returns TEXT. */
char *mb_culprit_text(const mb_culprit_t *culprit, const mb_graph_t *graph, const char *data,
                      char *text, size_t capacity);

#endif
