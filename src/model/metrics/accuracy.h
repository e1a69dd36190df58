/* Accuracy, which is counted with the loss. */
#ifndef MB_MODEL_METRICS_ACCURACY_H
#define MB_MODEL_METRICS_ACCURACY_H

#include "model/metrics/class.h"

/* The metric that a name stands for which leaves the kind to the output; NULL: it is no such name.
 */
const char *mb_metric_meant(const json_t *value, const mb_loss_t *loss);

/* Makes the output's first accuracy the one that is counted with its loss; such a metric needs no
 * states. */
void mb_accuracy_take(mb_metric_t *metric, mb_loss_t *loss);

#endif
