/* Keras takes 0 for -1 in the labels of a hinge loss where a whole batch holds nothing but 0 and 1.
 * With labels that are all 0 and 1, or of which none is 0, that is to take each 0 for -1, as the
 * loss does; this finds the batches where it would be something else. */
#ifndef MB_ENGINE_HINGE_LABELS_H
#define MB_ENGINE_HINGE_LABELS_H

#include "engine/batch_sums.h"
#include "model/loss.h"

typedef struct mb_hinge_labels mb_hinge_labels_t;

/* *out is NULL for other losses. */
mb_status_t mb_hinge_labels_create(const mb_loss_t *loss, mb_source_t *source, int labels,
                                   mb_hinge_labels_t **out);
void mb_hinge_labels_destroy(mb_hinge_labels_t *labels);
/* MB_ERR_DATA where the batch of these samples (-1: none) mixes the two. May read. NULL: MB_OK. */
mb_status_t mb_hinge_labels_check(mb_hinge_labels_t *labels, const int64_t *indices, int64_t count);

#endif
