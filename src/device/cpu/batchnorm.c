/* Batch normalization over the last axis (Ioffe, Szegedy: "Batch normalization", 2015), forward:
 * two passes over the rows. The second begins with what the first read last, which the cache still
 * has.
 */
#include <math.h>
#include <string.h>
#include "device/cpu/batchnorm_sums.h"
#include "device/cpu/simd.h"

enum { WIDE = 16 };

typedef struct {
    double mean, variance;
} moments_t;

/* Of ROWS numbers of which SUM and SQUARE are known. */
static moments_t moments_of(double sum, double square, double rows)
{
    double mean = sum / rows, variance = square / rows - mean * mean;
    return (moments_t){mean, variance > 0.0 ? variance : 0.0};
}

/* What is added to the count makes the mean another than that of the squares' shift. */
static moments_t moments_under_mask(double sum, double square, double count)
{
    double divisor = count + MB_BATCHNORM_EPSILON, mean = sum / divisor;
    double variance = (square - mean * (2.0 * sum - count * mean)) / divisor;
    return (moments_t){mean, variance > 0.0 ? variance : 0.0};
}

static moments_t moments_at(const double *sums, int64_t channels, int64_t c, bool masked,
                            double rows)
{
    double sum = sums[c], square = sums[channels + c];
    return masked ? moments_under_mask(sum, square, sums[2 * channels + c])
                  : moments_of(sum, square, rows);
}

static void statistics(const mb_batchnorm_forward_args_t *a, const double *totals, int64_t n)
{
    double rows = a->valid > 0 ? (double)a->valid : 1.0;
    for (int64_t c = 0; c < a->channels; c++) {
        moments_t moments = moments_at(totals, a->channels, c, n == 3, rows);
        a->mean[c] = (float)moments.mean;
        a->rstd[c] = (float)(1.0 / sqrt(moments.variance + (double)a->epsilon));
        if (n == 3)
            a->counts[c] = (float)totals[2 * a->channels + c];
        for (int64_t i = 0; i < n && a->sums != NULL; i++)
            a->sums[i * a->channels + c] += totals[i * a->channels + c];
    }
}

typedef struct {
    const mb_batchnorm_forward_args_t *args;
    const float *mean, *scale;
    int64_t block, tiles;
} normalise_t;

/* Of channels FIRST and on, at most WIDE, all rows of a tile. */
static inline __attribute__((always_inline)) void normalise_some(const normalise_t *n,
                                                                 mb_span_t rows, int64_t first,
                                                                 int64_t count, bool shifts,
                                                                 bool adds, bool cuts)
{
    const mb_batchnorm_forward_args_t *a = n->args;
    float mean[WIDE], scale[WIDE], beta[WIDE] = {0};
    memcpy(mean, n->mean + first, sizeof(float) * (size_t)count);
    memcpy(scale, n->scale + first, sizeof(float) * (size_t)count);
    if (shifts)
        memcpy(beta, a->beta + first, sizeof(float) * (size_t)count);
    for (int64_t i = rows.begin; i < rows.end; i++) {
        const float *x = mb_in(a->x) + i * a->channels + first;
        const float *other = adds ? mb_in(a->residual) + i * a->channels + first : x;
        float *y = mb_out(a->y) + i * a->channels + first;
#pragma omp simd
        for (int64_t c = 0; c < count; c++) {
            float value = (x[c] - mean[c]) * scale[c];
            value = shifts ? value + beta[c] : value;
            value = adds ? value + other[c] : value;
            y[c] = !cuts || value > 0.0f || value != value ? value : 0.0f;
        }
    }
}

static inline __attribute__((always_inline)) void
normalise_rows(const normalise_t *n, mb_span_t rows, bool shifts, bool adds, bool cuts)
{
    int64_t c = 0, channels = n->args->channels;
    for (; c + WIDE <= channels; c += WIDE)
        normalise_some(n, rows, c, WIDE, shifts, adds, cuts);
    if (c < channels)
        normalise_some(n, rows, c, channels - c, shifts, adds, cuts);
}

MB_MULTIVERSION
static void normalise_shifted(const normalise_t *n, mb_span_t rows)
{
    bool adds = n->args->residual != NULL, cuts = n->args->act != MB_ACT_LINEAR;
    if (adds && cuts)
        normalise_rows(n, rows, true, true, true);
    else if (adds)
        normalise_rows(n, rows, true, true, false);
    else if (cuts)
        normalise_rows(n, rows, true, false, true);
    else
        normalise_rows(n, rows, true, false, false);
}

MB_MULTIVERSION
static void normalise_plain(const normalise_t *n, mb_span_t rows)
{
    bool adds = n->args->residual != NULL, cuts = n->args->act != MB_ACT_LINEAR;
    if (!adds && !cuts)
        normalise_rows(n, rows, false, false, false);
    else
        normalise_rows(n, rows, false, adds, cuts);
}

static void normalise_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const normalise_t *n = context;
    mb_span_t rows = mb_span(n->tiles - 1 - tile, n->block, n->args->rows);
    if (n->args->beta != NULL)
        normalise_shifted(n, rows);
    else
        normalise_plain(n, rows);
}

static void inference_statistics(const mb_batchnorm_forward_args_t *a, float *rstd)
{
    for (int64_t c = 0; c < a->channels; c++) {
        rstd[c] = (float)(1.0 / sqrt((double)a->moving_variance[c] + (double)a->epsilon));
        if (a->mean != NULL)
            a->mean[c] = a->moving_mean[c];
        if (a->rstd != NULL)
            a->rstd[c] = rstd[c];
    }
}

static const float *scale_of(const mb_batchnorm_forward_args_t *a, const mb_batchnorm_sums_t *sums)
{
    float *scale = sums->coefficients;
    if (a->training)
        memcpy(scale, a->rstd, sizeof(float) * (size_t)a->channels);
    else
        inference_statistics(a, scale);
    for (int64_t c = 0; c < a->channels && a->gamma != NULL; c++)
        scale[c] *= a->gamma[c];
    return scale;
}

mb_status_t mb_cpu_batchnorm_forward(mb_exec_t *exec, const mb_batchnorm_forward_args_t *args)
{
    mb_batchnorm_sums_t sums = {.rows = args->rows,
                                .valid = args->training ? args->valid : 0,
                                .channels = args->channels,
                                .n = args->training && args->masks > 0 ? 3 : 2,
                                .x = args->x,
                                .mask = args->mask,
                                .masks = args->masks};
    MB_CPU_CHECK(MB_OP_BATCHNORM_FORWARD, args->act == MB_ACT_LINEAR || args->act == MB_ACT_RELU,
                 "an activation that is not relu");
    MB_TRY(mb_batchnorm_sums_plan(exec, MB_OP_BATCHNORM_FORWARD, &sums));
    if (exec->planning)
        return MB_OK;
    if (args->training) {
        mb_batchnorm_sums_take(exec, &sums);
        statistics(args, sums.totals, sums.n);
    }
    normalise_t n = {.args = args,
                     .mean = args->training ? args->mean : args->moving_mean,
                     .scale = scale_of(args, &sums),
                     .block = mb_rows_block(args->channels, MB_CPU_BLOCK)};
    n.tiles = mb_ceil_div(args->rows, n.block);
    mb_cpu_tiles(exec, n.tiles, normalise_tile, &n);
    return MB_OK;
}

mb_status_t mb_cpu_batchnorm_update(mb_exec_t *exec, const mb_batchnorm_update_args_t *args)
{
    MB_CPU_CHECK(MB_OP_BATCHNORM_UPDATE, args->channels >= 0, "negative number of channels");
    if (exec->planning || !(args->count > 0.0))
        return MB_OK;
    float keep = (float)args->momentum, take = (float)(1.0 - args->momentum);
    for (int64_t c = 0; c < args->channels; c++) {
        moments_t m = moments_at(args->sums, args->channels, c, args->masked, args->count);
        args->moving_mean[c] = args->moving_mean[c] * keep + (float)m.mean * take;
        args->moving_variance[c] = args->moving_variance[c] * keep + (float)m.variance * take;
    }
    return MB_OK;
}
