/* Each call's values are averaged by themselves, and averages are joined by the pairwise update of
 * Chan, Golub and LeVeque ("Updating formulae and a pairwise algorithm for computing sample
 * variances", 1979), which loses nothing where a mean is large beside the deviation. */
#include "data/deviation.h"

#include <stdlib.h>
#include <string.h>

enum { ARRAYS = 6 };

mb_status_t mb_deviation_create(int64_t channels, mb_deviation_t *out)
{
    size_t n = (size_t)channels;
    double *memory = calloc(ARRAYS * n, sizeof(double));
    if (memory == NULL)
        return mb_error_memory("means and variances", ARRAYS * n * sizeof(double));
    *out = (mb_deviation_t){.channels = channels,
                            .mean = memory,
                            .squares = memory + n,
                            .count = memory + 2 * n,
                            .part_mean = memory + 3 * n,
                            .part_squares = memory + 4 * n,
                            .part_count = memory + 5 * n};
    return MB_OK;
}

void mb_deviation_free(mb_deviation_t *deviation)
{
    free(deviation->mean);
    *deviation = (mb_deviation_t){.channels = 0};
}

static void average(mb_deviation_t *d, const float *values, int64_t n)
{
    int64_t c = d->at;
    memset(d->part_mean, 0, 3 * (size_t)d->channels * sizeof(double));
    for (int64_t i = 0; i < n; i++) {
        d->part_mean[c] += (double)values[i];
        d->part_count[c] += 1.0;
        c = c + 1 == d->channels ? 0 : c + 1;
    }
    for (int64_t k = 0; k < d->channels; k++)
        d->part_mean[k] /= d->part_count[k] > 0.0 ? d->part_count[k] : 1.0;
}

static void sum_squares(mb_deviation_t *d, const float *values, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double difference = (double)values[i] - d->part_mean[d->at];
        d->part_squares[d->at] += difference * difference;
        d->at = d->at + 1 == d->channels ? 0 : d->at + 1;
    }
}

static void join(mb_deviation_t *d, int64_t k)
{
    double before = d->count[k], more = d->part_count[k], all = before + more;
    if (!(more > 0.0))
        return;
    double difference = d->part_mean[k] - d->mean[k];
    d->mean[k] += difference * (more / all);
    d->squares[k] += d->part_squares[k] + difference * difference * (before * more / all);
    d->count[k] = all;
}

void mb_deviation_add(mb_deviation_t *deviation, const float *values, int64_t n)
{
    average(deviation, values, n);
    sum_squares(deviation, values, n);
    for (int64_t k = 0; k < deviation->channels; k++)
        join(deviation, k);
}

void mb_deviation_finish(mb_deviation_t *deviation)
{
    for (int64_t k = 0; k < deviation->channels; k++)
        deviation->squares[k] /= deviation->count[k] > 0.0 ? deviation->count[k] : 1.0;
}
