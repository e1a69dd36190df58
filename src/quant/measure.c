/* Errors of decoded values: double-precision sums in a fixed number of lanes, so that the result
 * does not depend on how wide the processor's vectors are. */
#include "quant/measure.h"

#include <math.h>

#define LANES 8

typedef struct {
    double error[LANES], original[LANES], max_abs[LANES], max_relative[LANES];
} lanes_t;

static inline void add(lanes_t *lanes, int i, double original, double decoded)
{
    double error = fabs(decoded - original), size = fabs(original);
    lanes->error[i] += error * error;
    lanes->original[i] += size * size;
    lanes->max_abs[i] = error > lanes->max_abs[i] ? error : lanes->max_abs[i];
    double relative = size > 0 ? error / size : 0;
    lanes->max_relative[i] = relative > lanes->max_relative[i] ? relative : lanes->max_relative[i];
}

void mb_error_sums_add(mb_error_sums_t *sums, const float *original, const float *decoded,
                       int64_t count)
{
    lanes_t lanes = {{0}, {0}, {0}, {0}};
    int64_t done = count - count % LANES;
    for (int64_t i = 0; i < done; i += LANES)
        for (int k = 0; k < LANES; k++)
            add(&lanes, k, (double)original[i + k], (double)decoded[i + k]);
    for (int64_t i = done; i < count; i++)
        add(&lanes, (int)(i - done), (double)original[i], (double)decoded[i]);
    for (int k = 0; k < LANES; k++) {
        sums->error_squares += lanes.error[k];
        sums->original_squares += lanes.original[k];
        sums->max_abs = fmax(sums->max_abs, lanes.max_abs[k]);
        sums->max_relative = fmax(sums->max_relative, lanes.max_relative[k]);
    }
    sums->count += count;
}

void mb_error_sums_finish(const mb_error_sums_t *sums, mb_loss_of_accuracy_t *out)
{
    double error = sums->error_squares;
    out->rmse = sums->count > 0 ? sqrt(error / (double)sums->count) : 0;
    out->max_abs = sums->max_abs;
    out->max_relative = sums->max_relative;
    out->sqnr_db = error > 0 ? 10 * log10(sums->original_squares / error) : INFINITY;
}

void mb_measure(const float *original, const float *decoded, int64_t count,
                mb_loss_of_accuracy_t *out)
{
    mb_error_sums_t sums = {0, 0, 0, 0, 0};
    mb_error_sums_add(&sums, original, decoded, count);
    mb_error_sums_finish(&sums, out);
}
