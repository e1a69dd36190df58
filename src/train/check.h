/* Looks for silent errors every so many steps: processors and memories that give other bits without
 * a word.
 *
 *     in front of the step   one micro-batch of it is computed by another group
 *     in the step            its own group computes it, and digests what each call writes
 *     before the update      the two are compared stage by stage; and over all groups the sums of
 *                            gradients, the weights and the moments
 *
 * Of a replica's first micro-batch the gradients of weights are the step's own; those of later ones
 * go into a sum there, and both groups compute them in front of the step. With one group its ranks
 * compute the micro-batch twice. No number of the run changes by any of it. */
#ifndef MB_TRAIN_CHECK_H
#define MB_TRAIN_CHECK_H

#include "data/sampler.h"
#include "engine/model.h"
#include "train/update.h"

typedef struct mb_check mb_check_t;

typedef struct {
    mb_engine_t *engine;
    const mb_model_t *model;
    mb_source_t *source;
    mb_update_t *update;
    mb_sampler_t sampler;
    int64_t every;
} mb_check_options_t;

/* Not collective; of a rank that works. */
mb_status_t mb_check_create(const mb_check_options_t *options, mb_check_t **out);
void mb_check_destroy(mb_check_t *check);

/* In front of a step, and when its sums are there. Collective over the working ranks.
 * MB_ERR_DEVICE: bits differ; the message, the same on all ranks, names who has them. NULL: nothing
 * is checked. */
mb_status_t mb_check_begin(mb_check_t *check, const mb_step_info_t *info);
mb_status_t mb_check_end(mb_check_t *check, const mb_step_info_t *info);

#endif
