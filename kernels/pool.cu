/* Pooling over windows of channels-last images. A thread takes a run of channels of one position:
 * forward of the result, whose window it reads; backward of the input, where it gathers from the
 * windows that see it, in their order, so that nothing is added by two threads. Neighbours' reads
 * overlap in the cache, so memory is the bound. A position outside the image counts neither for the
 * largest nor for the mean. */
#include "columns.h"
#include "cut.h"

namespace
{

constexpr int THREADS = MB_COLUMNS_THREADS;

/* One of the two dimensions of images and windows. */
struct axis {
    int in, out, kernel, stride, dilation, before;
};

struct geometry {
    axis h, w;
    int64_t channels;
};

/* Position of row i of a matrix [samples * heights * widths, channels]. */
struct place {
    int64_t sample;
    int h, w;
};

__device__ inline place place_of(int64_t row, int heights, int widths)
{
    int64_t line = row / widths, sample = line / heights;
    return {sample, (int)(line - sample * heights), (int)(row - line * widths)};
}

/* The part of a window that lies inside the image: kernel positions [begin, end) of an axis. */
struct reach {
    int origin, begin, end;

    __device__ int length() const
    {
        return end - begin;
    }
};

__device__ inline int ceil_div(int a, int b)
{
    return (a + b - 1) / b;
}

__device__ inline reach reach_of(const axis &a, int out)
{
    int origin = out * a.stride - a.before;
    int begin = origin >= 0 ? 0 : ceil_div(-origin, a.dilation);
    int end = origin >= a.in ? 0 : min(ceil_div(a.in - origin, a.dilation), a.kernel);
    return {origin, begin, max(begin, end)};
}

/* The row of x that kernel position (KH, KW) of a sample's window stands on. */
__device__ inline int64_t row_under(const geometry &g, int64_t sample, const reach &h,
                                    const reach &w, int kh, int kw)
{
    int at_h = h.origin + kh * g.h.dilation, at_w = w.origin + kw * g.w.dilation;
    return (sample * g.h.in + at_h) * g.w.in + at_w;
}

/* ---- forward */

struct largest {
    static constexpr bool average = false;
    static __device__ float start()
    {
        return -INFINITY;
    }
    static __device__ float take(float y, float x)
    {
        return x > y || x != x ? x : y;
    }
};

struct mean {
    static constexpr bool average = true;
    static __device__ float start()
    {
        return 0.0f;
    }
    static __device__ float take(float y, float x)
    {
        return y + x;
    }
};

template <typename KIND, int W, typename T>
__global__ void __launch_bounds__(THREADS, 2)
    forward_kernel(mb_columns c, geometry g, const T *x, T *y)
{
    mb_columns_place at = mb_columns_here<W>(c);
    for (int64_t row = at.row; row < at.end && at.column < c.columns; row += at.step) {
        place p = place_of(row, g.h.out, g.w.out);
        reach h = reach_of(g.h, p.h), w = reach_of(g.w, p.w);
        float v[W], result[W];
        for (int k = 0; k < W; k++)
            result[k] = KIND::start();
        for (int kh = h.begin; kh < h.end; kh++) {
            for (int kw = w.begin; kw < w.end; kw++) {
                mb_load_pack(x + row_under(g, p.sample, h, w, kh, kw) * g.channels + at.column, v);
                for (int k = 0; k < W; k++)
                    result[k] = KIND::take(result[k], v[k]);
            }
        }
        for (int k = 0; k < W && KIND::average; k++)
            result[k] /= (float)max(1, h.length() * w.length());
        mb_store_pack(y + row * g.channels + at.column, result);
    }
}

/* ---- backward */

/* Windows [begin, end) of an axis, among which are all that see position AT. */
struct seen {
    int begin, end;
};

__device__ inline seen seen_by(const axis &a, int at)
{
    int last = at + a.before, first = last - (a.kernel - 1) * a.dilation;
    return {first > 0 ? ceil_div(first, a.stride) : 0, min(last / a.stride + 1, a.out)};
}

/* The kernel position with which window OUT sees position AT, or -1. */
__device__ inline int kernel_position(const axis &a, int at, int out)
{
    int by = at + a.before - out * a.stride;
    return by % a.dilation == 0 ? by / a.dilation : -1;
}

/* One window, and the kernel position with which it sees the thread's position. */
struct view {
    int64_t sample;
    int oh, ow, kh, kw;
};

template <typename T> struct operands {
    const T *x, *y, *dy;
    T *dx;
};

/* Channels (a bit each) in which no position in front of the viewed one has the window's largest
 * value, TOP, among those OPEN. */
template <int W, typename T>
__device__ inline unsigned first_ones(const geometry &g, const view &v, const T *x,
                                      const float (&top)[W], unsigned open)
{
    reach h = reach_of(g.h, v.oh), w = reach_of(g.w, v.ow);
    for (int kh = h.begin; kh <= v.kh && open != 0; kh++) {
        int end = kh == v.kh ? v.kw : w.end;
        for (int kw = w.begin; kw < end; kw++) {
            float other[W];
            mb_load_pack(x + row_under(g, v.sample, h, w, kh, kw) * g.channels, other);
            for (int k = 0; k < W; k++)
                open &= ~((other[k] == top[k] ? 1u : 0u) << k);
        }
    }
    return open;
}

/* Adds what a window gives to X, the values at the thread's position; addresses are those of the
 * thread's channels. */
template <typename KIND, int W, typename T>
__device__ inline void gather(const geometry &g, const view &v, const operands<T> &p,
                              const float (&x)[W], float (&dx)[W])
{
    int64_t window = ((v.sample * g.h.out + v.oh) * g.w.out + v.ow) * g.channels;
    float dy[W], y[W];
    unsigned open = 0;
    mb_load_pack(p.dy + window, dy);
    if (KIND::average) {
        int inside = reach_of(g.h, v.oh).length() * reach_of(g.w, v.ow).length();
        for (int k = 0; k < W; k++)
            dx[k] += dy[k] / (float)inside;
        return;
    }
    mb_load_pack(p.y + window, y);
    for (int k = 0; k < W; k++)
        open |= (x[k] == y[k] ? 1u : 0u) << k;
    open = first_ones(g, v, p.x, y, open);
    for (int k = 0; k < W; k++)
        dx[k] += open >> k & 1 ? dy[k] : 0.0f;
}

template <typename KIND, int W, typename T>
__global__ void __launch_bounds__(THREADS, 2)
    backward_kernel(mb_columns c, geometry g, operands<T> all)
{
    mb_columns_place at = mb_columns_here<W>(c);
    operands<T> p = {all.x + at.column, all.y + at.column, all.dy + at.column, all.dx + at.column};
    for (int64_t row = at.row; row < at.end && at.column < c.columns; row += at.step) {
        place own = place_of(row, g.h.in, g.w.in);
        seen h = seen_by(g.h, own.h), w = seen_by(g.w, own.w);
        float x[W] = {}, dx[W] = {};
        if (!KIND::average)
            mb_load_pack(p.x + row * g.channels, x);
        for (int oh = h.begin; oh < h.end; oh++) {
            int kh = kernel_position(g.h, own.h, oh);
            for (int ow = w.begin; ow < w.end && kh >= 0; ow++) {
                int kw = kernel_position(g.w, own.w, ow);
                if (kw >= 0)
                    gather<KIND>(g, {own.sample, oh, ow, kh, kw}, p, x, dx);
            }
        }
        mb_store_pack(p.dx + row * g.channels, dx);
    }
}

geometry geometry_of(const mb_window_t &w)
{
    axis a[2];
    for (int i = 0; i < 2; i++)
        a[i] = {(int)w.in[i],     (int)w.out[i],      (int)w.kernel[i],
                (int)w.stride[i], (int)w.dilation[i], (int)w.pad_before[i]};
    return {a[0], a[1], w.channels_in};
}

template <typename KIND, typename T>
mb_status_t forward(mb_exec_t *exec, const mb_pool_forward_args_t &a)
{
    const mb_window_t &w = a.window;
    if (exec->planning || w.samples * w.out[0] * w.out[1] == 0)
        return MB_OK;
    MB_CUDA_WIDE(T, w.channels_in,
                 mb_columns c =
                     mb_columns_to_walk(w.samples * w.out[0] * w.out[1], w.channels_in, W);
                 MB_LAUNCH((forward_kernel<KIND, W, T>), mb_columns_grid(c), THREADS, 0,
                           mb_cuda_stream(exec), c, geometry_of(w), (const T *)a.x, (T *)a.y));
    return mb_cuda_launched(MB_OP_POOL_FORWARD);
}

template <typename KIND, typename T>
mb_status_t backward(mb_exec_t *exec, const mb_pool_backward_args_t &a)
{
    const mb_window_t &w = a.window;
    if (exec->planning || w.samples * w.in[0] * w.in[1] == 0)
        return MB_OK;
    operands<T> p = {(const T *)a.x, (const T *)a.y, (const T *)a.dy, (T *)a.dx};
    MB_CUDA_WIDE(T, w.channels_in,
                 mb_columns c = mb_columns_to_walk(w.samples * w.in[0] * w.in[1], w.channels_in, W);
                 MB_LAUNCH((backward_kernel<KIND, W, T>), mb_columns_grid(c), THREADS, 0,
                           mb_cuda_stream(exec), c, geometry_of(w), p));
    return mb_cuda_launched(MB_OP_POOL_BACKWARD);
}

mb_status_t check(mb_op_t op, const mb_window_t &w, bool aligned)
{
    constexpr int64_t MOST = 1 << 30;
    if (w.samples < 0 || w.channels_in < 1 || w.channels_in != w.channels_out)
        return mb_cuda_refuse(op, "channels in and out differ");
    if (mb_window_is_volume(&w))
        return mb_cuda_refuse(op, "a window over volumes");
    for (int i = 0; i < 2; i++) {
        int64_t reached = (w.out[i] - 1) * w.stride[i] + (w.kernel[i] - 1) * w.dilation[i];
        if (w.kernel[i] < 1 || w.stride[i] < 1 || w.dilation[i] < 1)
            return mb_cuda_refuse(op, "a kernel, stride or dilation below one");
        if (reached > MOST || w.in[i] + w.pad_before[i] > MOST)
            return mb_cuda_refuse(op, "an image with more than 2^30 positions along an axis");
    }
    return aligned ? MB_OK : mb_cuda_refuse(op, "an address that is no multiple of 16");
}

} // namespace

extern "C" mb_status_t mb_cuda_pool_forward(mb_exec_t *exec, const mb_pool_forward_args_t *args)
{
    const mb_window_t &w = args->window;
    MB_TRY(check(MB_OP_POOL_FORWARD, w, mb_cuda_aligned(args->x, args->y)));
    MB_CUDA_TYPED(MB_OP_POOL_FORWARD, args->type,
                  return args->average ? (forward<mean, T>(exec, *args))
                                       : (forward<largest, T>(exec, *args)));
}

extern "C" mb_status_t mb_cuda_pool_backward(mb_exec_t *exec, const mb_pool_backward_args_t *args)
{
    const mb_window_t &w = args->window;
    MB_TRY(check(MB_OP_POOL_BACKWARD, w, mb_cuda_aligned(args->x, args->y, args->dy, args->dx)));
    MB_CUDA_TYPED(MB_OP_POOL_BACKWARD, args->type,
                  MB_TRY(args->average ? (backward<mean, T>(exec, *args))
                                       : (backward<largest, T>(exec, *args))));
    return !args->cuts ? MB_OK
                       : mb_cuda_cut(exec, args->type, w.samples * mb_window_in(&w) * w.channels_in,
                                     args->x, args->dx);
}
