/* Sums behind a loss of accuracy, for a tensor that is decoded piece by piece. */
#ifndef MB_QUANT_MEASURE_H
#define MB_QUANT_MEASURE_H

#include "quant/encode.h"

typedef struct {
    int64_t count;
    double error_squares, original_squares, max_abs, max_relative;
} mb_error_sums_t;

/* The sums of a tensor depend on how it was cut into pieces in their last bits only. */
void mb_error_sums_add(mb_error_sums_t *sums, const float *original, const float *decoded,
                       int64_t count);
void mb_error_sums_finish(const mb_error_sums_t *sums, mb_loss_of_accuracy_t *out);

#endif
