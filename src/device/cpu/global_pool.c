/* Largest and mean over all positions of a sample, a few samples a tile. */
#include <math.h>
#include <string.h>
#include "device/cpu/cpu.h"
#include "device/cpu/simd.h"

#define TILE_ELEMENTS 32768
#define CHANNELS 64 /* channels whose state stands on the stack */

typedef struct {
    int64_t samples, positions, channels, tile_samples;
    bool average;
    const float *x, *y, *dy;
    float *out;
} pool_t;

MB_MULTIVERSION
static void mean_of(const pool_t *p, const float *x, float *y)
{
    double sum[CHANNELS];
    for (int64_t first = 0; first < p->channels; first += CHANNELS) {
        int64_t n = mb_min_i64(CHANNELS, p->channels - first);
        memset(sum, 0, sizeof sum);
        for (int64_t i = 0; i < p->positions; i++) {
            const float *restrict row = x + i * p->channels + first;
#pragma omp simd
            for (int64_t c = 0; c < n; c++)
                sum[c] += (double)row[c];
        }
        for (int64_t c = 0; c < n; c++)
            y[first + c] = (float)(sum[c] / (double)p->positions);
    }
}

MB_MULTIVERSION
static void largest_of(const pool_t *p, const float *x, float *restrict y)
{
    for (int64_t c = 0; c < p->channels; c++)
        y[c] = -INFINITY;
    for (int64_t i = 0; i < p->positions; i++) {
        const float *restrict row = x + i * p->channels;
#pragma omp simd
        for (int64_t c = 0; c < p->channels; c++)
            y[c] = row[c] > y[c] || row[c] != row[c] ? row[c] : y[c];
    }
}

static void forward_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const pool_t *p = context;
    mb_span_t samples = mb_span(tile, p->tile_samples, p->samples);
    for (int64_t s = samples.begin; s < samples.end; s++) {
        const float *x = p->x + s * p->positions * p->channels;
        if (p->average)
            mean_of(p, x, p->out + s * p->channels);
        else
            largest_of(p, x, p->out + s * p->channels);
    }
}

MB_MULTIVERSION
static void spread_mean(const pool_t *p, const float *restrict dy, float *dx)
{
    float count = (float)p->positions;
    for (int64_t i = 0; i < p->positions; i++) {
        float *restrict row = dx + i * p->channels;
#pragma omp simd
        for (int64_t c = 0; c < p->channels; c++)
            row[c] = dy[c] / count;
    }
}

MB_MULTIVERSION
static void spread_largest(const pool_t *p, const float *x, const float *y, const float *dy,
                           float *dx)
{
    float equal[CHANNELS];
    for (int64_t first = 0; first < p->channels; first += CHANNELS) {
        int64_t n = mb_min_i64(CHANNELS, p->channels - first);
        memset(equal, 0, sizeof equal);
        for (int64_t i = 0; i < p->positions; i++)
            for (int64_t c = 0; c < n; c++)
                equal[c] += x[i * p->channels + first + c] == y[first + c] ? 1.0f : 0.0f;
        for (int64_t i = 0; i < p->positions; i++)
            for (int64_t c = 0; c < n; c++) {
                int64_t at = i * p->channels + first + c;
                dx[at] = x[at] == y[first + c] ? dy[first + c] / equal[c] : 0.0f;
            }
    }
}

static void backward_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const pool_t *p = context;
    mb_span_t samples = mb_span(tile, p->tile_samples, p->samples);
    for (int64_t s = samples.begin; s < samples.end; s++) {
        int64_t at = s * p->positions * p->channels, row = s * p->channels;
        if (p->average)
            spread_mean(p, p->dy + row, p->out + at);
        else
            spread_largest(p, p->x + at, p->y + row, p->dy + row, p->out + at);
    }
}

static mb_status_t run(mb_exec_t *exec, mb_op_t op, pool_t *p, mb_tile_fn_t compute)
{
    MB_CPU_CHECK(op, p->samples >= 0 && p->positions >= 1 && p->channels >= 1, "empty samples");
    if (exec->planning)
        return MB_OK;
    p->tile_samples = mb_rows_block(p->positions * p->channels, TILE_ELEMENTS);
    mb_cpu_tiles(exec, mb_ceil_div(p->samples, p->tile_samples), compute, p);
    return MB_OK;
}

mb_status_t mb_cpu_global_pool_forward(mb_exec_t *exec, const mb_global_pool_forward_args_t *args)
{
    pool_t p = {.samples = args->samples,
                .positions = args->positions,
                .channels = args->channels,
                .average = args->average,
                .x = args->x,
                .out = args->y};
    return run(exec, MB_OP_GLOBAL_POOL_FORWARD, &p, forward_tile);
}

mb_status_t mb_cpu_global_pool_backward(mb_exec_t *exec, const mb_global_pool_backward_args_t *args)
{
    pool_t p = {.samples = args->samples,
                .positions = args->positions,
                .channels = args->channels,
                .average = args->average,
                .x = args->x,
                .y = args->y,
                .dy = args->dy,
                .out = args->dx};
    return run(exec, MB_OP_GLOBAL_POOL_BACKWARD, &p, backward_tile);
}
