/* What each value of a loss and its gradient are multiplied by: the weight of the sample (of the
 * data or of its class), zero where the label is ignored or the output masked, times a factor of
 * the batch by which the number of values, which the loss is divided by, becomes what Keras divides
 * by (keras/src/losses/loss.py):
 *
 *     reduction                   Keras divides by              factor
 *     sum                         1                             1
 *     sum_over_batch_size, mean   values                        1
 *       with ignored labels       those that are neither        values / those
 *       or a mask
 *     mean_with_sample_weight     sum of the weights given      values / that sum
 *
 * So divisors do not change from step to step, and are known before the first backward. The sums
 * are over the whole global batch. */
#ifndef MB_ENGINE_ROW_WEIGHTS_H
#define MB_ENGINE_ROW_WEIGHTS_H

#include "engine/batch_sums.h"
#include "engine/class_weights.h"

typedef struct mb_row_weights mb_row_weights_t;

/* labels, weights: fields of the source; weights -1: none. MASK: NULL: none. CLASSES, MASK and LOSS
 * must stay. */
mb_status_t mb_row_weights_create(const mb_loss_t *loss, mb_source_t *source, int labels,
                                  int weights, const mb_class_weights_t *classes,
                                  const mb_mask_values_t *mask, mb_row_weights_t **out);
void mb_row_weights_destroy(mb_row_weights_t *weights);

/* Begins a batch of the samples INDICES (-1: none). May read. */
mb_status_t mb_row_weights_begin(mb_row_weights_t *weights, const int64_t *indices, int64_t count);

/* Of one sample of the batch, with its labels and weights as they were read (NULL: none) and its
 * mask's values (NULL: none), into TO: [mb_loss_values]. */
void mb_row_weights_of(const mb_row_weights_t *weights, const void *labels, const float *given,
                       const float *mask, float *to);

#endif
