/* Mean and variance of a feature over all samples, as Keras' Normalization takes them: of the last
 * axis, over all others. */
#ifndef MB_DATA_DEVIATION_H
#define MB_DATA_DEVIATION_H

#include "base/error.h"
#include <stdint.h>

typedef struct {
    int64_t channels;
    int64_t at; /* the channel of the next value */
    double *mean;
    double *squares; /* sums of squared differences from the mean */
    double *count;
    double *part_mean, *part_squares, *part_count; /* of the values of one call */
} mb_deviation_t;

mb_status_t mb_deviation_create(int64_t channels, mb_deviation_t *out);
void mb_deviation_free(mb_deviation_t *deviation);
/* The next N values, channel after channel. */
void mb_deviation_add(mb_deviation_t *deviation, const float *values, int64_t n);
/* Variance with the number of values as divisor, as Keras computes it, into `squares`. */
void mb_deviation_finish(mb_deviation_t *deviation);

#endif
