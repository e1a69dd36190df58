/* Batch normalization backward:
 *     dx = gamma rstd (dy - m (mean(dy) + xhat mean(dy xhat)))
 * where m says what the statistics are of: everything, or what the mask has. Means are the sums
 * over all divided by how many these are. The sums are the gradients of beta and gamma. */
#include <string.h>
#include "device/cpu/batchnorm_sums.h"
#include "device/cpu/simd.h"

enum { WIDE = 16 };

typedef struct {
    const mb_batchnorm_backward_input_args_t *args;
    const float *mean_dy, *mean_product;
    int64_t block, tiles;
} gradient_t;

/* Of a channel, or 1. */
typedef struct {
    float mean[WIDE], rstd[WIDE], gamma[WIDE], mean_dy[WIDE], mean_product[WIDE];
} coefficients_t;

static inline __attribute__((always_inline)) void take_some(const gradient_t *g, int64_t first,
                                                            int64_t count, coefficients_t *out)
{
    const mb_batchnorm_backward_input_args_t *a = g->args;
    size_t bytes = sizeof(float) * (size_t)count;
    memcpy(out->mean, a->mean + first, bytes);
    memcpy(out->rstd, a->rstd + first, bytes);
    memcpy(out->mean_dy, g->mean_dy + first, bytes);
    memcpy(out->mean_product, g->mean_product + first, bytes);
    for (int64_t c = 0; c < count; c++)
        out->gamma[c] = a->gamma == NULL ? 1.0f : a->gamma[first + c];
}

/* Of channels FIRST and on, at most WIDE, all rows of a tile. */
static inline __attribute__((always_inline)) void
gradients_of_some(const gradient_t *g, mb_span_t rows, int64_t first, int64_t count, bool masked)
{
    const mb_batchnorm_backward_input_args_t *a = g->args;
    coefficients_t k;
    int64_t step = a->masks > 1;
    take_some(g, first, count, &k);
    for (int64_t i = rows.begin; i < rows.end; i++) {
        int64_t at = i * a->channels + first;
        const float *x = mb_in(a->x) + at, *dy = mb_in(a->dy) + at;
        const float *mask =
            masked ? mb_in(a->mask) + mb_batchnorm_mask_at(a->masks, i, first * step) : x;
        float *dx = mb_out(a->dx) + at;
#pragma omp simd
        for (int64_t c = 0; c < count; c++) {
            float normal = (x[c] - k.mean[c]) * k.rstd[c];
            float counted = dy[c] - k.mean_dy[c] - normal * k.mean_product[c];
            float taken = !masked || mask[c * step] != 0.0f ? counted : dy[c];
            dx[c] = k.rstd[c] * taken * k.gamma[c];
        }
    }
}

MB_MULTIVERSION
static void gradient_rows(const gradient_t *g, mb_span_t rows)
{
    int64_t c = 0, channels = g->args->channels;
    for (; c + WIDE <= channels; c += WIDE)
        gradients_of_some(g, rows, c, WIDE, false);
    if (c < channels)
        gradients_of_some(g, rows, c, channels - c, false);
}

MB_MULTIVERSION
static void counted_rows(const gradient_t *g, mb_span_t rows)
{
    for (int64_t c = 0; c < g->args->channels; c += WIDE)
        gradients_of_some(g, rows, c, mb_min_i64(WIDE, g->args->channels - c), true);
}

/* Begins with what the sums read last, which the cache still has. */
static void gradient_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const gradient_t *g = context;
    const mb_batchnorm_backward_input_args_t *a = g->args;
    mb_span_t rows = mb_span(g->tiles - 1 - tile, g->block, a->rows);
    int64_t counted = mb_max_i64(rows.begin, mb_min_i64(rows.end, a->valid));
    mb_span_t counting = {rows.begin, counted};
    if (a->training && a->masks > 0)
        counted_rows(g, counting);
    else
        gradient_rows(g, counting);
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
    mb_batchnorm_sums_t sums = {.rows = args->rows,
                                .valid = args->training ? args->valid : 0,
                                .channels = args->channels,
                                .n = 2,
                                .x = args->x,
                                .dy = args->dy,
                                .mean = args->mean,
                                .rstd = args->rstd};
    MB_TRY(mb_batchnorm_sums_plan(exec, MB_OP_BATCHNORM_BACKWARD_INPUT, &sums));
    if (exec->planning)
        return MB_OK;
    mb_batchnorm_sums_take(exec, &sums);
    if (args->sums != NULL)
        memcpy(args->sums, sums.totals, sizeof(double) * 2 * (size_t)args->channels);
    if (args->dx == NULL)
        return MB_OK;
    float *means = sums.coefficients;
    for (int64_t c = 0; c < 2 * args->channels; c++)
        means[c] = (float)(sums.totals[c] / divisor_of(args, c % args->channels));
    gradient_t g = {args, means, means + args->channels,
                    mb_rows_block(args->channels, MB_CPU_BLOCK), 0};
    g.tiles = mb_ceil_div(args->rows, g.block);
    mb_cpu_tiles(exec, g.tiles, gradient_tile, &g);
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
    mb_batchnorm_sums_t sums = {.rows = args->rows,
                                .valid = args->valid,
                                .channels = args->channels,
                                .n = 2,
                                .x = args->x,
                                .dy = args->dy,
                                .mean = args->mean,
                                .rstd = args->rstd};
    const double *totals = args->sums;
    MB_TRY(mb_batchnorm_sums_plan(exec, MB_OP_BATCHNORM_BACKWARD_WEIGHTS, &sums));
    if (exec->planning)
        return MB_OK;
    if (totals == NULL) {
        mb_batchnorm_sums_take(exec, &sums);
        totals = sums.totals;
    }
    put(args->dbeta, totals, args->channels, args->accumulate);
    put(args->dgamma, totals + args->channels, args->channels, args->accumulate);
    return MB_OK;
}
