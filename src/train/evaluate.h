/* A pass over data without learning: losses and metrics, summed in the same fixed tree as
 * gradients, so that they do not depend on the layout. */
#ifndef MB_TRAIN_EVALUATE_H
#define MB_TRAIN_EVALUATE_H

#include "train/layout.h"
#include "train/trainer.h"

typedef struct mb_evaluator mb_evaluator_t;

/* Collective. values_of: an engine whose parameters are used (NULL: own, loaded from the model's
 * file). */
mb_status_t mb_evaluator_create(mb_machine_t *machine, const mb_model_t *model,
                                const mb_layout_t *layout, const mb_engine_t *values_of,
                                mb_source_t *source, mb_evaluator_t **out);
/* The same engine's, but for the hooks. */
mb_engine_options_t mb_evaluator_options(mb_machine_t *machine, const mb_model_t *model,
                                         const mb_layout_t *layout, const mb_engine_t *values_of);
/* Device memory that it has taken. NULL: 0. */
int64_t mb_evaluator_bytes(const mb_evaluator_t *evaluator);
/* From now on its samples are those of SOURCE, of the same fields. Not collective. */
void mb_evaluator_use(mb_evaluator_t *evaluator, mb_source_t *source);
/* Collective. Rank 0 gets the numbers; losses and accuracies have room for every output. */
mb_status_t mb_evaluator_run(mb_evaluator_t *evaluator, mb_eval_report_t *report, double *losses,
                             double *accuracies);
void mb_evaluator_destroy(mb_evaluator_t *evaluator);

#endif
