/* The fast tier of checkpoints: each rank writes its own part into a directory of its node, often,
 * and sends a copy to a rank of the next node, while the run's directory gets a whole file rarely.
 * A start takes the newest complete set if it is newer than the run's newest file: its parts are
 * first written there as a checkpoint like any other, by whoever has them, and so any layout goes
 * on from it. */
#ifndef MB_TRAIN_LOCAL_TIER_H
#define MB_TRAIN_LOCAL_TIER_H

#include "comm/vote.h"
#include "store/local_set.h"

typedef struct mb_local_tier mb_local_tier_t;
struct mb_training;

/* In the run's directory: the start whose sets may be taken. */
#define MB_LOCAL_IDENTITY "local-tier"

/* Collective, when the run's directory is open. Does nothing without the setting local-dir. */
mb_status_t mb_training_open_local(struct mb_training *trainer);
/* MB_ERR_ARGUMENT: the setting is there, of a run without a directory. */
mb_status_t mb_training_refuse_local(const struct mb_training *trainer);
/* local_resume.c. Collective, after the newest checkpoint was opened, which a newer local set takes
 * the place of. */
mb_status_t mb_training_take_local(struct mb_training *trainer);
/* Collective, when all is checked and training begins, with local checkpoints or without: those of
 * earlier starts are of the past from now on, so that a run has one history. */
mb_status_t mb_training_begin_local(struct mb_training *trainer);
/* This rank's flags in the vote on what stands between two steps. */
uint32_t mb_training_local_votes(const struct mb_training *trainer);
/* Collective: a set, if one is due and no checkpoint was just written. A directory that cannot be
 * written is a warning, and the end of the tier, not of the run. */
mb_status_t mb_training_local_save(struct mb_training *trainer, uint32_t votes);
/* What the run's directory now holds as well is removed. Not collective. */
void mb_training_local_end(struct mb_training *trainer);
void mb_local_tier_free(mb_local_tier_t *tier);

#endif
