/* Which samples a step sees: a function of (seed, epoch, step), never stored.
 *
 * Shuffling is a full permutation of [0, n): a keyed bijection on the next power of four (a Feistel
 * network with Philox as round function), walked until it lands inside [0, n) (cycle walking: Black
 * and Rogaway, CT-RSA 2002). With blocks, the order of runs of K samples is permuted, then samples
 * inside a run. */
#ifndef MB_DATA_SAMPLER_H
#define MB_DATA_SAMPLER_H

#include "base/error.h"
#include <stdint.h>

typedef enum { MB_SHUFFLE_NONE = 0, MB_SHUFFLE_FULL, MB_SHUFFLE_BLOCK } mb_shuffle_t;

typedef struct {
    mb_shuffle_t shuffle;
    int64_t block; /* MB_SHUFFLE_BLOCK */
    int64_t samples;
    int64_t batch; /* G */
    uint64_t seed;
    /* Of the run, where these samples are the first time used; 0 but where it had others before. */
    int64_t first_step, first_epoch;
} mb_sampler_t;

/* Image of INDEX under the permutation of [0, n) that (seed, epoch) name. */
int64_t mb_permute(uint64_t seed, uint64_t epoch, int64_t n, int64_t index);

/* Steps of one epoch: ceil(samples / batch). */
int64_t mb_sampler_steps(const mb_sampler_t *sampler);
/* The epoch that a step of the run is in, and its place there. */
int64_t mb_sampler_epoch(const mb_sampler_t *sampler, int64_t step);
int64_t mb_sampler_step_in_epoch(const mb_sampler_t *sampler, int64_t step);
/* Samples of step STEP of an epoch (the last may have fewer than batch). */
int64_t mb_sampler_batch(const mb_sampler_t *sampler, int64_t step);
/* Indices of positions [first, first + count) of the step's global batch. Positions past the
 * batch give -1. */
void mb_sampler_indices(const mb_sampler_t *sampler, int64_t epoch, int64_t step, int64_t first,
                        int64_t count, int64_t *indices);

#endif
