/* How far two rows of outputs, taken as distributions over classes, are apart. */
#ifndef MB_COMPRESS_DIVERGENCE_H
#define MB_COMPRESS_DIVERGENCE_H

#include "model/loss.h"

typedef struct { /* sums over rows */
    int64_t rows, agreeing;
    double kl, max_kl; /* nats: sum p log(p / q), p of the reference */
} mb_divergence_t;

/* Whether the outputs that LOSS judges are distributions. */
bool mb_divergence_is_defined(const mb_loss_t *loss);
/* Adds ROWS rows of loss->columns numbers. A binary loss's numbers are a row of two classes each.
 */
void mb_divergence_add(const mb_loss_t *loss, const float *reference, const float *values,
                       int64_t rows, mb_divergence_t *sums);

#endif
