/* What quantization does to the model's answers: the loss, and the outputs beside those of the
 * float32 model, as the encoded model is executed. */
#ifndef MB_COMPRESS_PROBE_H
#define MB_COMPRESS_PROBE_H

#include "compress/passes.h"

typedef struct mb_probe mb_probe_t;

typedef struct {
    double loss, accuracy; /* as mbrun eval gives them; NaN: none */
    /* Against the reference; compared 0 and NaN where outputs are no distributions. */
    int64_t compared;
    double agreement, mean_kl, max_kl;
    /* The loss's rise, batch by batch: its mean and the standard error of that, both relative to
     * the reference's loss (without regularizers). */
    double rise, rise_error;
    int64_t batches;
} mb_probe_result_t;

/* Collective. Runs the model as it is now: the reference. samples as in mb_pass_t. Its outputs are
 * kept to compare with, as many rows as fit 256 MiB. */
mb_status_t mb_probe_open(mb_passes_t *passes, int64_t samples, mb_probe_t **out);
void mb_probe_close(mb_probe_t *probe);
const mb_probe_result_t *mb_probe_reference(const mb_probe_t *probe);
/* Collective: the model as it is now, measured against the reference; every rank gets the result.
 */
mb_status_t mb_probe_run(mb_probe_t *probe, mb_probe_result_t *result);

#endif
