/* What a step's sums say: losses, metrics, regularizers, brought to rank 0 and added in a fixed
 * order. */
#ifndef MB_TRAIN_SCORE_H
#define MB_TRAIN_SCORE_H

#include "engine/engine.h"
#include "engine/model.h"

typedef struct mb_score mb_score_t;

/* Not collective. with_regularizers: training's loss contains them. */
mb_status_t mb_score_create(mb_engine_t *engine, const mb_model_t *model, mb_score_t **out);
void mb_score_destroy(mb_score_t *score);
/* Device memory that it has taken. */
int64_t mb_score_bytes(const mb_score_t *score);

/* Regularizer sums of the parameters this stage owns, of their values now; into the score's
 * device memory. Part of a step: before the update. */
mb_status_t mb_score_regularizers(mb_score_t *score);

/* The same of the weights that are kept as they are stored, once: they are the same in every step.
 * Called when a score is made; again where other weights were put into use. */
mb_status_t mb_score_sum_stored(mb_score_t *score);

/* Collective over group 0's stages; others return at once. SUMS: the executor's, of a step with
 * `batch` samples. Adds this step's results to the totals on rank 0. */
mb_status_t mb_score_collect(mb_score_t *score, const double *sums, int64_t batch);
/* The same in two halves, so that steps may follow each other without one stage waiting for
 * another: note keeps a step's results here, flush brings together what was kept. */
mb_status_t mb_score_note(mb_score_t *score, const double *sums, int64_t batch);
mb_status_t mb_score_flush(mb_score_t *score);
/* How many batches the totals are of, where steps were not batches: losses that are summed over a
 * batch are averaged over batches. */
void mb_score_count_steps(mb_score_t *score, int64_t steps);

/* Rank 0: the loss and the accuracy of all steps since the last reset; NaN where there is none. The
 * last step's regularizers count. Per output when the arrays are given ([n_outputs]). */
double mb_score_loss(const mb_score_t *score, double *per_output);
double mb_score_accuracy(const mb_score_t *score, double *per_output);
void mb_score_reset(mb_score_t *score);

/* Rank 0: what the metrics asked for say of all steps since they were last reset, which may reach
 * further back than the losses: over an epoch. *n: how many; they belong to the score, and hold
 * until the next call. */
const mb_metric_value_t *mb_score_metrics(mb_score_t *score, int *n);
void mb_score_reset_metrics(mb_score_t *score);
/* What they have summed up, to be kept over the end of a run: *n doubles, none where there are no
 * metrics. Given back, they go on from there; of another number they are left. */
const double *mb_score_kept_metrics(const mb_score_t *score, int64_t *n);
void mb_score_restore_metrics(mb_score_t *score, const double *kept, int64_t n);

#endif
