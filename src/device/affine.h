/* How images are moved (DRAW, ops.h), and where an image seen through a transform has its parts
 * (AFFINE), for the host and for kernels. Places are computed in double, so that where they fall
 * between elements does not hang on how products are rounded. */
#ifndef MB_DEVICE_AFFINE_H
#define MB_DEVICE_AFFINE_H

#include <math.h>
#include "device/ops.h"

#ifdef __CUDACC__
#define MB_AFFINE_CODE __host__ __device__ static inline
#else
#define MB_AFFINE_CODE static inline
#endif

/* ---- transforms */

MB_AFFINE_CODE float mb_draw_between(const mb_draw_args_t *a, int which, float u)
{
    return a->low[which] + (a->high[which] - a->low[which]) * u;
}

/* Rows and columns by themselves: row = scale[0] y + offset[0], column = scale[1] x + offset[1]. */
MB_AFFINE_CODE void mb_transform_along(const double scale[2], const double offset[2],
                                       float out[MB_TRANSFORM])
{
    out[0] = (float)scale[1];
    out[1] = 0.0f;
    out[2] = (float)offset[1];
    out[3] = 0.0f;
    out[4] = (float)scale[0];
    out[5] = (float)offset[0];
}

MB_AFFINE_CODE void mb_transform_turn(const mb_draw_args_t *a, double turns,
                                      float out[MB_TRANSFORM])
{
    double angle = turns * 2.0 * 3.14159265358979323846, c = cos(angle), s = sin(angle);
    double row = 0.5 * (double)(a->in[0] - 1), column = 0.5 * (double)(a->in[1] - 1);
    out[0] = (float)c;
    out[1] = (float)-s;
    out[2] = (float)(column - column * c + row * s);
    out[3] = (float)s;
    out[4] = (float)c;
    out[5] = (float)(row - column * s - row * c);
}

/* One axis, 0 or 1, of the others. */
MB_AFFINE_CODE void mb_draw_along(const mb_draw_args_t *a, int axis, float u, double *scale,
                                  double *offset)
{
    double size = (double)a->in[axis], drawn = (double)mb_draw_between(a, axis, u);
    bool flips = a->draw == MB_DRAW_FLIP && a->flips[axis] && u <= 0.5f;
    *scale = flips ? -1.0 : a->draw == MB_DRAW_ZOOM ? drawn : 1.0;
    *offset = 0.0;
    if (flips)
        *offset = size - 1.0;
    if (a->draw == MB_DRAW_SHIFT)
        *offset = -drawn * size;
    if (a->draw == MB_DRAW_ZOOM)
        *offset = 0.5 * (size - 1.0) * (1.0 - drawn);
    if (a->draw == MB_DRAW_WINDOW)
        *offset = floor((double)u * (double)(a->in[axis] - a->out[axis] + 1));
}

/* From a sample's numbers u0 and u1. */
MB_AFFINE_CODE void mb_draw_transform(const mb_draw_args_t *a, float u0, float u1,
                                      float out[MB_TRANSFORM])
{
    mb_draw_args_t along = *a;
    double scale[2], offset[2];
    if (a->draw == MB_DRAW_TURN) {
        mb_transform_turn(a, (double)mb_draw_between(a, 0, u0), out);
        return;
    }
    if (a->tied) {
        along.low[1] = a->low[0];
        along.high[1] = a->high[0];
        u1 = u0;
    }
    mb_draw_along(&along, 0, u0, &scale[0], &offset[0]);
    mb_draw_along(&along, 1, u1, &scale[1], &offset[1]);
    mb_transform_along(scale, offset, out);
}

/* ---- places */

/* Up to two elements along an axis, and their weights; -1: outside. */
typedef struct {
    int64_t index[2];
    float weight[2];
} mb_affine_axis_t;

MB_AFFINE_CODE int64_t mb_affine_inside(mb_outside_t outside, int64_t i, int64_t size)
{
    if (i >= 0 && i < size)
        return i;
    if (outside == MB_OUTSIDE_VALUE)
        return -1;
    if (outside == MB_OUTSIDE_NEAREST)
        return i < 0 ? 0 : size - 1;
    int64_t period = outside == MB_OUTSIDE_WRAP ? size : 2 * size;
    i %= period;
    i += i < 0 ? period : 0;
    return i < size ? i : period - 1 - i;
}

/* Further out than any index goes, all places are alike but for the phase of what repeats. */
MB_AFFINE_CODE double mb_affine_bounded(double place)
{
    const double most = 1e15;
    return place > most ? most : place >= -most ? place : -most;
}

MB_AFFINE_CODE mb_affine_axis_t mb_affine_axis(const mb_affine_args_t *a, int axis, double place)
{
    mb_affine_axis_t out = {{-1, -1}, {1.0f, 0.0f}};
    place = mb_affine_bounded(place);
    if (a->nearest) {
        double rounded = place < 0.0 ? -floor(0.5 - place) : floor(place + 0.5);
        out.index[0] = mb_affine_inside(a->outside, (int64_t)rounded, a->in[axis]);
        return out;
    }
    double lower = floor(place);
    out.weight[1] = (float)(place - lower);
    out.weight[0] = 1.0f - out.weight[1];
    out.index[0] = mb_affine_inside(a->outside, (int64_t)lower, a->in[axis]);
    out.index[1] = mb_affine_inside(a->outside, (int64_t)lower + 1, a->in[axis]);
    return out;
}

/* Where the result's row Y and column X come from: rows, then columns. */
MB_AFFINE_CODE void mb_affine_places(const mb_affine_args_t *a, const float *t, int64_t y,
                                     int64_t x, mb_affine_axis_t out[2])
{
    double row = (double)t[3] * (double)x + (double)t[4] * (double)y + (double)t[5];
    double column = (double)t[0] * (double)x + (double)t[1] * (double)y + (double)t[2];
    out[0] = mb_affine_axis(a, 0, row);
    out[1] = mb_affine_axis(a, 1, column);
}

/* What is wrong with the arguments; NULL: nothing. */
static inline const char *mb_affine_fault(const mb_affine_args_t *a)
{
    if (a->outside > MB_OUTSIDE_REFLECT)
        return "an unknown way to fill what is outside";
    if (a->samples < 0 || a->planes < 1 || a->inner < 1 || a->in[0] < 1 || a->in[1] < 1 ||
        a->out[0] < 1 || a->out[1] < 1)
        return "empty images";
    return NULL;
}

static inline const char *mb_draw_fault(const mb_draw_args_t *a)
{
    if (a->draw > MB_DRAW_WINDOW)
        return "an unknown draw";
    bool window = a->draw == MB_DRAW_WINDOW && (a->in[0] < a->out[0] || a->in[1] < a->out[1]);
    return a->samples < 0 || window ? "sizes that do not fit" : NULL;
}

#endif
