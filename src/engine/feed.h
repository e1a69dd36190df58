/* Brings samples to the stages that want them: the inputs to the first, the labels to those that
 * hold outputs, and there the weights of their rows. Which samples is a function of (step,
 * micro-batch) alone; a worker reads ahead. */
#ifndef MB_ENGINE_FEED_H
#define MB_ENGINE_FEED_H

#include "data/prefetch.h"
#include "data/sampler.h"
#include "engine/model.h"

typedef struct mb_feed mb_feed_t;

/* Steps [first_step, end_step) of a run over epochs of the sampler's steps; end_step < 0: no end.
 */
typedef struct {
    mb_sampler_t sampler;
    int64_t first_step, end_step;
    int64_t batch; /* samples that a mean is taken over, in their order in the source; 0: the
                      sampler's batches */
    bool alone;    /* of the first step only the micro-batch that begins at this position of the
                      global batch, whichever group it is of */
    int64_t position;
} mb_feed_span_t;

/* Not collective. *out is NULL when this rank's stage wants no data. */
mb_status_t mb_feed_create(mb_engine_t *engine, const mb_model_t *model, mb_source_t *source,
                           const mb_feed_span_t *span, mb_feed_t **out);
/* Seconds that the executor has waited for samples that were not read yet; 0 without a feed. */
double mb_feed_waited(const mb_feed_t *feed);
/* Host memory of the batches that are read ahead; 0 without a feed. */
int64_t mb_feed_bytes(const mb_feed_t *feed);
void mb_feed_destroy(mb_feed_t *feed);

/* The executor's hook (user: the feed): the next micro-batch into its slot. */
mb_status_t mb_feed_micro(void *feed, const mb_micro_t *micro, int index);

#endif
