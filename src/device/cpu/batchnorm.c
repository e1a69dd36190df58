/* Batch normalization over the last axis (Ioffe, Szegedy: "Batch normalization", 2015). Sums over
 * rows are taken in double over blocks of rows and added in their order. */
#include <math.h>
#include <string.h>
#include "device/cpu/cpu.h"
#include "device/cpu/simd.h"

#define CHANNELS 64 /* channels whose sums stand on the stack */
#define MOST_BLOCKS 64

/* Sums for each channel over the valid rows: of x and x^2 and, under a mask, of ones; or of dy and
 * dy xhat. */
typedef struct {
    int64_t rows, valid, channels, block, blocks;
    int64_t n; /* sums: 2 or 3 */
    const float *x, *dy, *mean, *rstd;
    const float *mask;
    int64_t masks;   /* as in ops.h */
    double *partial; /* [blocks][n][channels] */
} sums_t;

MB_MULTIVERSION
static void sum_squares(const float *x, int64_t rows, int64_t channels, double *out)
{
    double sum[CHANNELS], square[CHANNELS];
    for (int64_t first = 0; first < channels; first += CHANNELS) {
        int64_t n = mb_min_i64(CHANNELS, channels - first);
        memset(sum, 0, sizeof sum);
        memset(square, 0, sizeof square);
        for (int64_t i = 0; i < rows; i++) {
            const float *restrict row = x + i * channels + first;
#pragma omp simd
            for (int64_t c = 0; c < n; c++) {
                double value = (double)row[c];
                sum[c] += value;
                square[c] += value * value;
            }
        }
        memcpy(out + first, sum, sizeof(double) * (size_t)n);
        memcpy(out + channels + first, square, sizeof(double) * (size_t)n);
    }
}

/* The same of what the mask has. */
MB_MULTIVERSION
static void sum_counted(const sums_t *s, int64_t begin, int64_t rows, double *out)
{
    double sum[CHANNELS], square[CHANNELS], ones[CHANNELS];
    for (int64_t first = 0; first < s->channels; first += CHANNELS) {
        int64_t n = mb_min_i64(CHANNELS, s->channels - first), step = s->masks > 1;
        memset(sum, 0, sizeof sum);
        memset(square, 0, sizeof square);
        memset(ones, 0, sizeof ones);
        for (int64_t i = begin; i < begin + rows; i++) {
            const float *restrict row = s->x + i * s->channels + first;
            const float *restrict mask = s->mask + mb_batchnorm_mask_at(s->masks, i, first * step);
#pragma omp simd
            for (int64_t c = 0; c < n; c++) {
                bool counts = mask[c * step] != 0.0f;
                double value = counts ? (double)row[c] : 0.0;
                sum[c] += value;
                square[c] += value * value;
                ones[c] += counts ? 1.0 : 0.0;
            }
        }
        memcpy(out + first, sum, sizeof(double) * (size_t)n);
        memcpy(out + s->channels + first, square, sizeof(double) * (size_t)n);
        memcpy(out + 2 * s->channels + first, ones, sizeof(double) * (size_t)n);
    }
}

MB_MULTIVERSION
static void sum_gradients(const sums_t *s, int64_t begin, int64_t rows, double *out)
{
    double sum[CHANNELS], product[CHANNELS];
    for (int64_t first = 0; first < s->channels; first += CHANNELS) {
        int64_t n = mb_min_i64(CHANNELS, s->channels - first);
        const float *restrict mean = s->mean + first;
        const float *restrict rstd = s->rstd + first;
        memset(sum, 0, sizeof sum);
        memset(product, 0, sizeof product);
        for (int64_t i = begin; i < begin + rows; i++) {
            const float *restrict x = s->x + i * s->channels + first;
            const float *restrict dy = s->dy + i * s->channels + first;
#pragma omp simd
            for (int64_t c = 0; c < n; c++) {
                float normal = (x[c] - mean[c]) * rstd[c];
                sum[c] += (double)dy[c];
                product[c] += (double)dy[c] * (double)normal;
            }
        }
        memcpy(out + first, sum, sizeof(double) * (size_t)n);
        memcpy(out + s->channels + first, product, sizeof(double) * (size_t)n);
    }
}

static void sums_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const sums_t *s = context;
    mb_span_t rows = mb_span(tile, s->block, s->valid);
    double *out = s->partial + tile * s->n * s->channels;
    if (s->n == 3)
        sum_counted(s, rows.begin, rows.end - rows.begin, out);
    else if (s->dy == NULL)
        sum_squares(s->x + rows.begin * s->channels, rows.end - rows.begin, s->channels, out);
    else
        sum_gradients(s, rows.begin, rows.end - rows.begin, out);
}

/* Workspace: the partial sums, then the totals [n][channels], then two rows of float. */
static mb_status_t plan_sums(mb_exec_t *exec, mb_op_t op, sums_t *s, double **totals,
                             float **coefficients)
{
    MB_CPU_CHECK(op, s->channels >= 1, "rows without channels");
    MB_CPU_CHECK(op, s->valid >= 0 && s->valid <= s->rows, "more valid rows than rows");
    s->block =
        mb_max_i64(mb_rows_block(s->channels, MB_CPU_BLOCK), mb_ceil_div(s->rows, MOST_BLOCKS));
    s->blocks = mb_ceil_div(s->rows, s->block);
    mb_workspace_t workspace;
    size_t doubles = (size_t)((s->blocks + 1) * s->n * s->channels);
    MB_TRY(mb_cpu_workspace(exec, op,
                            sizeof(double) * doubles + sizeof(float) * 2 * (size_t)s->channels, 0,
                            &workspace));
    if (exec->planning)
        return MB_OK;
    s->partial = (double *)(void *)workspace.shared;
    *totals = s->partial + s->blocks * s->n * s->channels;
    *coefficients = (float *)(*totals + s->n * s->channels);
    return MB_OK;
}

static void take_sums(mb_exec_t *exec, sums_t *s, double *totals)
{
    int64_t used = mb_ceil_div(s->valid, s->block);
    mb_cpu_tiles(exec, used, sums_tile, s);
    for (int64_t c = 0; c < s->n * s->channels; c++) {
        double sum = 0.0;
        for (int64_t block = 0; block < used; block++)
            sum += s->partial[block * s->n * s->channels + c];
        totals[c] = sum;
    }
}

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
    int64_t block;
} normalise_t;

MB_MULTIVERSION
static void normalise_rows(const normalise_t *n, int64_t begin, int64_t end)
{
    const mb_batchnorm_forward_args_t *a = n->args;
    for (int64_t i = begin; i < end; i++) {
        const float *x = mb_in(a->x) + i * a->channels;
        float *y = mb_out(a->y) + i * a->channels;
        if (a->beta != NULL) {
#pragma omp simd
            for (int64_t c = 0; c < a->channels; c++)
                y[c] = (x[c] - n->mean[c]) * n->scale[c] + a->beta[c];
        } else {
#pragma omp simd
            for (int64_t c = 0; c < a->channels; c++)
                y[c] = (x[c] - n->mean[c]) * n->scale[c];
        }
    }
}

static void normalise_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const normalise_t *n = context;
    mb_span_t rows = mb_span(tile, n->block, n->args->rows);
    normalise_rows(n, rows.begin, rows.end);
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

mb_status_t mb_cpu_batchnorm_forward(mb_exec_t *exec, const mb_batchnorm_forward_args_t *args)
{
    sums_t sums = {.rows = args->rows,
                   .valid = args->training ? args->valid : 0,
                   .channels = args->channels,
                   .n = args->training && args->masks > 0 ? 3 : 2,
                   .x = args->x,
                   .mask = args->mask,
                   .masks = args->masks};
    double *totals = NULL;
    float *scale = NULL;
    MB_TRY(plan_sums(exec, MB_OP_BATCHNORM_FORWARD, &sums, &totals, &scale));
    if (exec->planning)
        return MB_OK;
    if (args->training) {
        take_sums(exec, &sums, totals);
        statistics(args, totals, sums.n);
        memcpy(scale, args->rstd, sizeof(float) * (size_t)args->channels);
    } else {
        inference_statistics(args, scale);
    }
    if (args->gamma != NULL)
        for (int64_t c = 0; c < args->channels; c++)
            scale[c] *= args->gamma[c];
    normalise_t n = {args, args->training ? args->mean : args->moving_mean, scale,
                     mb_rows_block(args->channels, MB_CPU_BLOCK)};
    mb_cpu_tiles(exec, mb_ceil_div(args->rows, n.block), normalise_tile, &n);
    return MB_OK;
}

/* dx = gamma rstd (dy - m (mean(dy) + xhat mean(dy xhat))), where m says what the statistics are
 * of: everything, or what the mask has. Means are the sums over all divided by how many these are.
 */
typedef struct {
    const mb_batchnorm_backward_input_args_t *args;
    const float *mean_dy, *mean_product;
    int64_t block;
} gradient_t;

MB_MULTIVERSION
static void counted_row(const gradient_t *g, int64_t i)
{
    const mb_batchnorm_backward_input_args_t *a = g->args;
    int64_t channels = a->channels, step = a->masks > 1;
    const float *x = mb_in(a->x) + i * channels, *dy = mb_in(a->dy) + i * channels;
    const float *mask = mb_in(a->mask) + mb_batchnorm_mask_at(a->masks, i, 0);
    float *dx = mb_out(a->dx) + i * channels;
#pragma omp simd
    for (int64_t c = 0; c < channels; c++) {
        float normal = (x[c] - a->mean[c]) * a->rstd[c];
        float counted = dy[c] - g->mean_dy[c] - normal * g->mean_product[c];
        dx[c] = a->rstd[c] * (mask[c * step] != 0.0f ? counted : dy[c]);
    }
}

MB_MULTIVERSION
static void plain_row(const gradient_t *g, int64_t i)
{
    const mb_batchnorm_backward_input_args_t *a = g->args;
    int64_t channels = a->channels;
    const float *x = mb_in(a->x) + i * channels, *dy = mb_in(a->dy) + i * channels;
    float *dx = mb_out(a->dx) + i * channels;
#pragma omp simd
    for (int64_t c = 0; c < channels; c++) {
        float normal = (x[c] - a->mean[c]) * a->rstd[c];
        dx[c] = a->rstd[c] * (dy[c] - g->mean_dy[c] - normal * g->mean_product[c]);
    }
}

MB_MULTIVERSION
static void gradient_rows(const gradient_t *g, int64_t begin, int64_t end)
{
    const mb_batchnorm_backward_input_args_t *a = g->args;
    for (int64_t i = begin; i < end; i++) {
        float *dx = mb_out(a->dx) + i * a->channels;
        if (a->training && a->masks > 0)
            counted_row(g, i);
        else
            plain_row(g, i);
        if (a->gamma == NULL)
            continue;
#pragma omp simd
        for (int64_t c = 0; c < a->channels; c++)
            dx[c] *= a->gamma[c];
    }
}

static void gradient_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const gradient_t *g = context;
    const mb_batchnorm_backward_input_args_t *a = g->args;
    mb_span_t rows = mb_span(tile, g->block, a->rows);
    int64_t counted = mb_max_i64(rows.begin, mb_min_i64(rows.end, a->valid));
    gradient_rows(g, rows.begin, counted);
    memset(mb_out(a->dx) + counted * a->channels, 0,
           sizeof(float) * (size_t)((rows.end - counted) * a->channels));
}

static double divisor_of(const mb_batchnorm_backward_input_args_t *a, int64_t channel)
{
    if (a->training && a->masks > 0)
        return (double)a->counts[channel] + MB_BATCHNORM_EPSILON;
    return a->valid > 0 ? (double)a->valid : 1.0;
}

mb_status_t mb_cpu_batchnorm_backward_input(mb_exec_t *exec,
                                            const mb_batchnorm_backward_input_args_t *args)
{
    sums_t sums = {.rows = args->rows,
                   .valid = args->training ? args->valid : 0,
                   .channels = args->channels,
                   .n = 2,
                   .x = args->x,
                   .dy = args->dy,
                   .mean = args->mean,
                   .rstd = args->rstd};
    double *totals = NULL;
    float *means = NULL;
    MB_TRY(plan_sums(exec, MB_OP_BATCHNORM_BACKWARD_INPUT, &sums, &totals, &means));
    if (exec->planning)
        return MB_OK;
    take_sums(exec, &sums, totals);
    for (int64_t c = 0; c < 2 * args->channels; c++)
        means[c] = (float)(totals[c] / divisor_of(args, c % args->channels));
    gradient_t g = {args, means, means + args->channels,
                    mb_rows_block(args->channels, MB_CPU_BLOCK)};
    mb_cpu_tiles(exec, mb_ceil_div(args->rows, g.block), gradient_tile, &g);
    return MB_OK;
}

static void put(float *out, const double *sum, int64_t count, bool accumulate)
{
    if (out == NULL)
        return;
    for (int64_t c = 0; c < count; c++)
        out[c] = (float)((accumulate ? (double)out[c] : 0.0) + sum[c]);
}

mb_status_t mb_cpu_batchnorm_backward_weights(mb_exec_t *exec,
                                              const mb_batchnorm_backward_weights_args_t *args)
{
    sums_t sums = {.rows = args->rows,
                   .valid = args->valid,
                   .channels = args->channels,
                   .n = 2,
                   .x = args->x,
                   .dy = args->dy,
                   .mean = args->mean,
                   .rstd = args->rstd};
    double *totals = NULL;
    float *unused = NULL;
    MB_TRY(plan_sums(exec, MB_OP_BATCHNORM_BACKWARD_WEIGHTS, &sums, &totals, &unused));
    if (exec->planning)
        return MB_OK;
    take_sums(exec, &sums, totals);
    put(args->dbeta, totals, args->channels, args->accumulate);
    put(args->dgamma, totals + args->channels, args->channels, args->accumulate);
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
