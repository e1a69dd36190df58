/* Sums over the samples of a batch of what each adds by its labels, its sample weight and those of
 * its inputs that masks follow from: known before the batch is computed, and the
 * same on every rank, whatever part of the batch it holds. A sample is read once; what it adds is
 * kept for later epochs (8 bytes a sample). */
#ifndef MB_ENGINE_BATCH_SUMS_H
#define MB_ENGINE_BATCH_SUMS_H

#include "data/source.h"
#include "engine/mask_values.h"

typedef struct mb_batch_sums mb_batch_sums_t;

typedef struct {
    mb_source_t *source;
    int labels;                   /* field; -1: none is wanted */
    bool as_int;                  /* labels are int32, otherwise float */
    int weights;                  /* field; -1: none */
    const mb_mask_values_t *mask; /* whose inputs are read; NULL: none. Must stay */
    const void *user;
    double (*of_sample)(const void *user, const void *labels, const float *weights,
                        const void *const *inputs);
} mb_batch_sums_options_t;

mb_status_t mb_batch_sums_create(const mb_batch_sums_options_t *options, mb_batch_sums_t **out);
void mb_batch_sums_destroy(mb_batch_sums_t *sums);

/* Adds in the order of INDICES; -1: no sample. May read. */
mb_status_t mb_batch_sums_of(mb_batch_sums_t *sums, const int64_t *indices, int64_t count,
                             double *out);

#endif
