/* Pooling over windows of channels-last images, a few samples a tile. A position outside the image
 * counts neither for the largest nor for the mean. */
#include <math.h>
#include <string.h>
#include "device/cpu/cpu.h"
#include "device/cpu/simd.h"

#define TILE_ELEMENTS 32768
#define CHANNELS 64 /* channels whose state stands on the stack */

typedef struct {
    const mb_window_t *window;
    bool average, tiled, four, cuts;
    const float *x, *y, *dy;
    float *out; /* y or dx */
    int64_t tile_samples;
} pool_t;

/* The rows and columns of the image under one window. */
typedef struct {
    int64_t begin[2], end[2]; /* of kernel positions that fall inside */
    int64_t origin[2];
} reach_t;

static void reach_of(const mb_window_t *w, int axis, int64_t out, reach_t *r)
{
    int64_t origin = out * w->stride[axis] - w->pad_before[axis];
    int64_t d = w->dilation[axis];
    int64_t begin = origin >= 0 ? 0 : mb_ceil_div(-origin, d);
    int64_t end = origin >= w->in[axis] ? 0 : mb_ceil_div(w->in[axis] - origin, d);
    r->origin[axis] = origin;
    r->begin[axis] = begin;
    r->end[axis] = mb_max_i64(begin, mb_min_i64(end, w->kernel[axis]));
}

static const float *position(const mb_window_t *w, const reach_t *r, int64_t kh, int64_t kw,
                             const float *image)
{
    int64_t row = r->origin[0] + kh * w->dilation[0], column = r->origin[1] + kw * w->dilation[1];
    return image + (row * w->in[1] + column) * w->channels_in;
}

static int64_t inside(const reach_t *r)
{
    return (r->end[0] - r->begin[0]) * (r->end[1] - r->begin[1]);
}

static inline void largest_of(float *restrict y, const float *restrict x, int64_t channels)
{
#pragma omp simd
    for (int64_t c = 0; c < channels; c++)
        y[c] = x[c] > y[c] || x[c] != x[c] ? x[c] : y[c];
}

static inline void add_to(float *restrict y, const float *restrict x, int64_t channels)
{
#pragma omp simd
    for (int64_t c = 0; c < channels; c++)
        y[c] += x[c];
}

static inline float larger(float before, float x)
{
    return x > before || x != x ? x : before;
}

/* Of a window of two by two positions inside the image, as nearly all models have them: BELOW
 * elements from the upper ones are the lower ones. All four are at hand at a time. */
MB_MULTIVERSION
static void largest_of_four(const float *x, int64_t below, int64_t channels, float *restrict y)
{
#pragma omp simd
    for (int64_t c = 0; c < channels; c++) {
        float upper = larger(x[c], x[c + channels]);
        y[c] = larger(larger(upper, x[c + below]), x[c + below + channels]);
    }
}

MB_MULTIVERSION
static void forward_window(const pool_t *p, const reach_t *r, const float *image, float *y)
{
    const mb_window_t *w = p->window;
    int64_t channels = w->channels_in;
    for (int64_t c = 0; c < channels; c++)
        y[c] = p->average ? 0.0f : -INFINITY;
    for (int64_t kh = r->begin[0]; kh < r->end[0]; kh++) {
        for (int64_t kw = r->begin[1]; kw < r->end[1]; kw++) {
            const float *x = position(w, r, kh, kw, image);
            if (p->average)
                add_to(y, x, channels);
            else
                largest_of(y, x, channels);
        }
    }
    if (!p->average)
        return;
    float count = (float)mb_max_i64(1, inside(r));
    for (int64_t c = 0; c < channels; c++)
        y[c] /= count;
}

static void forward_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const pool_t *p = context;
    const mb_window_t *w = p->window;
    mb_span_t samples = mb_span(tile, p->tile_samples, w->samples);
    for (int64_t s = samples.begin; s < samples.end; s++) {
        const float *image = p->x + s * w->in[0] * w->in[1] * w->channels_in;
        float *y = p->out + s * w->out[0] * w->out[1] * w->channels_in;
        reach_t r;
        for (int64_t oh = 0; oh < w->out[0]; oh++) {
            reach_of(w, 0, oh, &r);
            for (int64_t ow = 0; ow < w->out[1]; ow++, y += w->channels_in) {
                reach_of(w, 1, ow, &r);
                if (p->four && !p->average)
                    largest_of_four(position(w, &r, 0, 0, image), w->in[1] * w->channels_in,
                                    w->channels_in, y);
                else
                    forward_window(p, &r, image, y);
            }
        }
    }
}

/* Where windows tile the image, each position belongs to one of them and is written once; elsewhere
 * the windows' shares add up in an image of zeros. */
static bool windows_tile(const mb_window_t *w)
{
    for (int i = 0; i < 2; i++)
        if (w->kernel[i] != w->stride[i] || w->dilation[i] != 1 || w->pad_before[i] != 0 ||
            w->in[i] != w->out[i] * w->stride[i])
            return false;
    return true;
}

/* Takes what is left of dy to a position whose x is the largest. */
static inline __attribute__((always_inline)) void
take_largest(const float *restrict x, const float *restrict top, float *restrict left,
             float *restrict dx, int64_t channels, bool add)
{
#pragma omp simd
    for (int64_t c = 0; c < channels; c++) {
        float taken = x[c] == top[c] ? left[c] : 0.0f;
        dx[c] = add ? dx[c] + taken : taken;
        left[c] = x[c] == top[c] ? 0.0f : left[c];
    }
}

/* Of such windows that tile the image: LEFT is what is left of dy for the position. */
#define TAKE(at)                                                                                   \
    do {                                                                                           \
        bool largest = x[(at)] == top;                                                             \
        dx[(at)] = largest ? left : 0.0f;                                                          \
        left = largest ? 0.0f : left;                                                              \
    } while (0)

MB_MULTIVERSION
static void scatter_four(const float *restrict x, int64_t below, int64_t channels,
                         const float *restrict y, const float *restrict dy, bool cuts,
                         float *restrict dx)
{
#pragma omp simd
    for (int64_t c = 0; c < channels; c++) {
        float top = y[c], left = dy[c] * (!cuts || top > 0.0f ? 1.0f : 0.0f);
        TAKE(c);
        TAKE(c + channels);
        TAKE(c + below);
        TAKE(c + below + channels);
    }
}

/* Gives dy to the first position of the window whose x is the largest. */
MB_MULTIVERSION
static void scatter_largest(const pool_t *p, const reach_t *r, const float *image, const float *y,
                            const float *dy, float *dimage)
{
    const mb_window_t *w = p->window;
    float left[CHANNELS];
    for (int64_t first = 0; first < w->channels_in; first += CHANNELS) {
        int64_t channels = mb_min_i64(CHANNELS, w->channels_in - first);
        for (int64_t c = 0; c < channels; c++)
            left[c] = dy[first + c] * (!p->cuts || y[first + c] > 0.0f ? 1.0f : 0.0f);
        for (int64_t kh = r->begin[0]; kh < r->end[0]; kh++) {
            for (int64_t kw = r->begin[1]; kw < r->end[1]; kw++) {
                const float *x = position(w, r, kh, kw, image) + first;
                if (p->tiled)
                    take_largest(x, y + first, left, dimage + (x - image), channels, false);
                else
                    take_largest(x, y + first, left, dimage + (x - image), channels, true);
            }
        }
    }
}

MB_MULTIVERSION
static void scatter_mean(const pool_t *p, const reach_t *r, const float *image, const float *dy,
                         float *dimage)
{
    const mb_window_t *w = p->window;
    float count = (float)mb_max_i64(1, inside(r));
    for (int64_t kh = r->begin[0]; kh < r->end[0]; kh++) {
        for (int64_t kw = r->begin[1]; kw < r->end[1]; kw++) {
            float *restrict dx = dimage + (position(w, r, kh, kw, image) - image);
#pragma omp simd
            for (int64_t c = 0; c < w->channels_in; c++)
                dx[c] += dy[c] / count;
        }
    }
}

static void backward_sample(const pool_t *p, int64_t sample)
{
    const mb_window_t *w = p->window;
    int64_t in = w->in[0] * w->in[1] * w->channels_in;
    int64_t out = w->out[0] * w->out[1] * w->channels_in;
    float *dimage = p->out + sample * in;
    const float *image = p->average ? dimage : p->x + sample * in;
    const float *y = p->average ? NULL : p->y + sample * out;
    const float *dy = p->dy + sample * out;
    reach_t r;
    if (!p->tiled || p->average)
        memset(dimage, 0, sizeof(float) * (size_t)in);
    for (int64_t oh = 0; oh < w->out[0]; oh++) {
        reach_of(w, 0, oh, &r);
        for (int64_t ow = 0; ow < w->out[1]; ow++) {
            int64_t at = (oh * w->out[1] + ow) * w->channels_in;
            reach_of(w, 1, ow, &r);
            int64_t first = position(w, &r, 0, 0, image) - image;
            if (p->average)
                scatter_mean(p, &r, image, dy + at, dimage);
            else if (p->four)
                scatter_four(image + first, w->in[1] * w->channels_in, w->channels_in, y + at,
                             dy + at, p->cuts, dimage + first);
            else
                scatter_largest(p, &r, image, y + at, dy + at, dimage);
        }
    }
}

static void backward_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const pool_t *p = context;
    mb_span_t samples = mb_span(tile, p->tile_samples, p->window->samples);
    for (int64_t s = samples.begin; s < samples.end; s++)
        backward_sample(p, s);
}

static mb_status_t run(mb_exec_t *exec, mb_op_t op, pool_t *p, mb_tile_fn_t compute)
{
    const mb_window_t *w = p->window;
    MB_CPU_CHECK(op, w->samples >= 0 && w->channels_in >= 1 && w->channels_in == w->channels_out,
                 "channels in and out differ");
    MB_CPU_CHECK(op, !mb_window_is_volume(w), "a window over volumes");
    for (int i = 0; i < 2; i++)
        MB_CPU_CHECK(op, w->kernel[i] >= 1 && w->stride[i] >= 1 && w->dilation[i] >= 1,
                     "a kernel, stride or dilation below one");
    if (exec->planning)
        return MB_OK;
    p->tiled = windows_tile(w);
    p->four = p->tiled && w->kernel[0] == 2 && w->kernel[1] == 2;
    p->tile_samples = mb_rows_block(w->in[0] * w->in[1] * w->channels_in, TILE_ELEMENTS);
    mb_cpu_tiles(exec, mb_ceil_div(w->samples, p->tile_samples), compute, p);
    return MB_OK;
}

mb_status_t mb_cpu_pool_forward(mb_exec_t *exec, const mb_pool_forward_args_t *args)
{
    pool_t p = {.window = &args->window, .average = args->average, .x = args->x, .out = args->y};
    return run(exec, MB_OP_POOL_FORWARD, &p, forward_tile);
}

mb_status_t mb_cpu_pool_backward(mb_exec_t *exec, const mb_pool_backward_args_t *args)
{
    pool_t p = {.window = &args->window,
                .average = args->average,
                .x = args->x,
                .y = args->y,
                .dy = args->dy,
                .cuts = args->cuts,
                .out = args->dx};
    return run(exec, MB_OP_POOL_BACKWARD, &p, backward_tile);
}
