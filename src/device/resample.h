/* The matrix of a resampling (ops.h), row by row, for the host and for kernels. Row j has weights
 * for `taps` neighbours from its first on, zero where there are fewer:
 *
 *     first = ceil(s_j - r scale), in [0, in)        s_j = (j + 1/2) in / out - 1/2
 *
 * Computed in double and rounded once. */
#ifndef MB_DEVICE_RESAMPLE_H
#define MB_DEVICE_RESAMPLE_H

#include <math.h>
#include "device/ops.h"

#ifdef __CUDACC__
#define MB_RESAMPLE_CODE __host__ __device__ static inline
#else
#define MB_RESAMPLE_CODE static inline
#endif

typedef struct {
    mb_filter_t filter;
    int64_t in, out, taps;
    double ratio, scale; /* in / out; what distances are divided by */
    double reach;        /* the filter's radius, scaled */
} mb_resample_t;

static inline mb_resample_t mb_resample_of(const mb_resample_args_t *args)
{
    static const double radius[MB_FILTER_COUNT] = {0.5, 1.0, 2.0, 3.0, 5.0};
    mb_resample_t r = {args->filter, args->in, args->out, 1, 0.0, 1.0, 0.0};
    r.ratio = (double)args->in / (double)args->out;
    if (args->antialias && r.ratio > 1.0 && args->filter != MB_FILTER_NEAREST)
        r.scale = r.ratio;
    r.reach = radius[args->filter] * r.scale;
    if (args->filter != MB_FILTER_NEAREST)
        r.taps = (int64_t)ceil(2.0 * r.reach) + 1;
    r.taps = r.taps < args->in ? r.taps : args->in;
    return r;
}

MB_RESAMPLE_CODE double mb_resample_center(const mb_resample_t *r, int64_t j)
{
    return ((double)j + 0.5) * r->ratio - 0.5;
}

MB_RESAMPLE_CODE int64_t mb_resample_first(const mb_resample_t *r, int64_t j)
{
    if (r->filter == MB_FILTER_NEAREST)
        return (2 * j + 1) * r->in / (2 * r->out);
    int64_t first = (int64_t)ceil(mb_resample_center(r, j) - r->reach);
    return first < 0 ? 0 : first;
}

/* Rows [*begin, *end), among which are all that have a weight for position I. */
MB_RESAMPLE_CODE void mb_resample_seen(const mb_resample_t *r, int64_t i, int64_t *begin,
                                       int64_t *end)
{
    int64_t low = (int64_t)floor(((double)i + 0.5 - r->reach) / r->ratio - 0.5) - 1;
    int64_t high = (int64_t)ceil(((double)i + 0.5 + r->reach) / r->ratio - 0.5) + 2;
    *begin = low < 0 ? 0 : low;
    *end = high > r->out ? r->out : high;
}

MB_RESAMPLE_CODE double mb_resample_lanczos(double x, double radius)
{
    const double pi = 3.14159265358979323846;
    if (x > radius)
        return 0.0;
    return x > 1e-3 ? radius * sin(pi * x) * sin(pi * x / radius) / (pi * pi * x * x) : 1.0;
}

MB_RESAMPLE_CODE double mb_resample_filter(const mb_resample_t *r, double x)
{
    switch (r->filter) {
    case MB_FILTER_LINEAR:
        return x < 1.0 ? 1.0 - x : 0.0;
    case MB_FILTER_CUBIC:
        if (x >= 2.0)
            return 0.0;
        return x >= 1.0 ? ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0 : (1.5 * x - 2.5) * x * x + 1.0;
    case MB_FILTER_LANCZOS3:
        return mb_resample_lanczos(x, 3.0);
    case MB_FILTER_LANCZOS5:
        return mb_resample_lanczos(x, 5.0);
    default:
        return 1.0;
    }
}

/* The weights of row J. */
MB_RESAMPLE_CODE void mb_resample_weights(const mb_resample_t *r, int64_t j, float *weights)
{
    int64_t first = mb_resample_first(r, j);
    double center = mb_resample_center(r, j), sum = 0.0;
    for (int64_t k = 0; k < r->taps && first + k < r->in; k++)
        sum += mb_resample_filter(r, fabs(center - (double)(first + k)) / r->scale);
    for (int64_t k = 0; k < r->taps; k++) {
        double x = fabs(center - (double)(first + k)) / r->scale;
        weights[k] = first + k < r->in ? (float)(mb_resample_filter(r, x) / sum) : 0.0f;
    }
}

#endif
