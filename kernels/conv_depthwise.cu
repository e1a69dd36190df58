/* Convolution in groups of one input channel, each with `multiplier` output channels: no product of
 * matrices, but a sum of few terms for each number. A thread has a few positions of 16 bytes of
 * channels (one channel where they are no whole 16 bytes), so that a tap's weights are read once
 * for them; the weights' gradient is a sum over positions (columns.h), a column for each tap and
 * channel. Bound by memory and the first cache, which sees each image once a tap. */
#include "columns.h"
#include "conv.h"

namespace
{

constexpr int THREADS = 256;
constexpr int POSITIONS = 4; /* of a thread, forward */

struct depthwise_t {
    int samples, in_h, in_w, out_h, out_w, kernel_h, kernel_w;
    int stride_h, stride_w, step_h, step_w, pad_h, pad_w;
    int multiplier;
    int64_t channels_in, channels_out;
    divider_t by_width, by_image; /* of what threads are counted over: output or input */
    divider_t by_channels, by_kernel_w;
};

depthwise_t depthwise_of(const mb_window_t &w, const int64_t (&over)[2])
{
    return {(int)w.samples,
            (int)w.in[0],
            (int)w.in[1],
            (int)w.out[0],
            (int)w.out[1],
            (int)w.kernel[0],
            (int)w.kernel[1],
            (int)w.stride[0],
            (int)w.stride[1],
            (int)w.dilation[0],
            (int)w.dilation[1],
            (int)w.pad_before[0],
            (int)w.pad_before[1],
            (int)(w.channels_out / w.channels_in),
            w.channels_in,
            w.channels_out,
            divider_of(over[1]),
            divider_of(over[0] * over[1]),
            divider_of(w.channels_out),
            divider_of(w.kernel[1])};
}

struct place_t {
    int sample, h, w;
};

__device__ inline place_t place_of(const depthwise_t &d, int position)
{
    int sample = divide(position, d.by_image), rest = position - sample * (int)d.by_image.divisor;
    int h = divide(rest, d.by_width);
    return {sample, h, rest - h * (int)d.by_width.divisor};
}

/* What position (h, w) of the input has for W channels of the output from C on; zero outside. */
template <int W, typename T>
__device__ inline void load_input(const depthwise_t &d, const T *x, int sample, int h, int w,
                                  int64_t c, float (&value)[W])
{
#pragma unroll
    for (int i = 0; i < W; i++)
        value[i] = 0.0f;
    if ((unsigned)h >= (unsigned)d.in_h || (unsigned)w >= (unsigned)d.in_w)
        return;
    const T *p = x + ((int64_t)(sample * d.in_h + h) * d.in_w + w) * d.channels_in;
    if (d.multiplier == 1) {
        mb_load_pack(p + c, value);
        return;
    }
#pragma unroll
    for (int i = 0; i < W; i++)
        value[i] = mb_load(p, (c + i) / d.multiplier);
}

/* ---- forward */

/* Where the windows of a thread's positions begin. */
__device__ inline void find_windows(const depthwise_t &d, int first, int positions,
                                    place_t (&at)[POSITIONS])
{
#pragma unroll
    for (int p = 0; p < POSITIONS; p++) {
        at[p] = place_of(d, first + p < positions ? first + p : positions - 1);
        at[p].h = at[p].h * d.stride_h - d.pad_h;
        at[p].w = at[p].w * d.stride_w - d.pad_w;
    }
}

template <int W, typename T>
__device__ inline void add_tap(const depthwise_t &d, const T *x, const T *w, int kh, int kw,
                               int64_t c, const place_t (&at)[POSITIONS],
                               float (&sum)[POSITIONS][W])
{
    float weight[W], value[W];
    mb_load_pack(w + (kh * d.kernel_w + kw) * d.channels_out + c, weight);
#pragma unroll
    for (int p = 0; p < POSITIONS; p++) {
        load_input(d, x, at[p].sample, at[p].h + kh * d.step_h, at[p].w + kw * d.step_w, c, value);
#pragma unroll
        for (int k = 0; k < W; k++)
            sum[p][k] += value[k] * weight[k];
    }
}

template <int W, typename T>
__global__ void __launch_bounds__(THREADS)
    forward_kernel(depthwise_t d, int positions, const T *x, const T *w, const T *bias,
                   const float *wide_bias, T *y)
{
    int packs = (int)(d.channels_out / W);
    int64_t count = (int64_t)packs * ((positions + POSITIONS - 1) / POSITIONS);
    for (int64_t i = mb_first(); i < count; i += mb_stride()) {
        int64_t c = i % packs * W;
        int first = (int)(i / packs) * POSITIONS;
        place_t at[POSITIONS];
        float sum[POSITIONS][W] = {};
        find_windows(d, first, positions, at);
#pragma unroll 1
        for (int kh = 0; kh < d.kernel_h; kh++)
#pragma unroll 1
            for (int kw = 0; kw < d.kernel_w; kw++)
                add_tap(d, x, w, kh, kw, c, at, sum);
        float add[W] = {};
        if (bias != nullptr)
            mb_load_pack(bias + c, add);
        else if (wide_bias != nullptr)
            mb_load_pack(wide_bias + c, add);
#pragma unroll
        for (int p = 0; p < POSITIONS; p++) {
#pragma unroll
            for (int k = 0; k < W; k++)
                sum[p][k] += add[k];
            if (first + p < positions)
                mb_store_pack(y + (first + p) * d.channels_out + c, sum[p]);
        }
    }
}

template <typename T>
mb_status_t forward(mb_exec_t *exec, const mb_conv_forward_args_t *args, const float *wide_bias)
{
    depthwise_t d = depthwise_of(args->window, args->window.out);
    int positions = (int)window_positions(args->window);
    MB_CUDA_WIDE(
        T, d.channels_out,
        MB_LAUNCH((forward_kernel<W, T>),
                  mb_cuda_blocks(mb_ceil_div(positions, POSITIONS) * (d.channels_out / W), THREADS),
                  THREADS, 0, mb_cuda_stream(exec), d, positions, (const T *)args->x,
                  (const T *)args->w, (const T *)args->bias, wide_bias, (T *)args->y));
    return mb_cuda_launched(MB_OP_CONV_FORWARD);
}

/* ---- gradient of the input */

/* The output that tap K of one dimension puts on input I; -1: none. */
__device__ inline int output_of(int i, int k, int step, int pad, int stride, int out)
{
    int at = i + pad - k * step;
    return at >= 0 && at % stride == 0 && at / stride < out ? at / stride : -1;
}

template <int W, typename T>
__device__ inline void add_outputs(const depthwise_t &d, const T *dy, const T *w, int64_t c,
                                   float (&sum)[W])
{
    for (int m = 0; m < d.multiplier; m++) {
        float value[W], weight[W];
        if (d.multiplier == 1) {
            mb_load_pack(dy + c, value);
            mb_load_pack(w + c, weight);
        } else {
#pragma unroll
            for (int k = 0; k < W; k++) {
                value[k] = mb_load(dy, (c + k) * d.multiplier + m);
                weight[k] = mb_load(w, (c + k) * d.multiplier + m);
            }
        }
#pragma unroll
        for (int k = 0; k < W; k++)
            sum[k] += value[k] * weight[k];
    }
}

template <int W, typename T>
__global__ void __launch_bounds__(THREADS)
    backward_kernel(depthwise_t d, int positions, const T *dy, const T *w, T *dx)
{
    int packs = (int)(d.channels_in / W);
    int64_t count = (int64_t)packs * positions;
    for (int64_t i = mb_first(); i < count; i += mb_stride()) {
        int64_t c = i % packs * W;
        int position = (int)(i / packs);
        place_t at = place_of(d, position);
        float sum[W] = {};
        for (int kh = 0; kh < d.kernel_h; kh++) {
            int oh = output_of(at.h, kh, d.step_h, d.pad_h, d.stride_h, d.out_h);
            for (int kw = 0; kw < d.kernel_w && oh >= 0; kw++) {
                int ow = output_of(at.w, kw, d.step_w, d.pad_w, d.stride_w, d.out_w);
                if (ow >= 0)
                    add_outputs(d,
                                dy + ((int64_t)(at.sample * d.out_h + oh) * d.out_w + ow) *
                                         d.channels_out,
                                w + (kh * d.kernel_w + kw) * d.channels_out, c, sum);
            }
        }
        mb_store_pack(dx + position * d.channels_in + c, sum);
    }
}

template <typename T>
mb_status_t backward_input(mb_exec_t *exec, const mb_conv_backward_input_args_t *args)
{
    const mb_window_t &w = args->window;
    depthwise_t d = depthwise_of(w, w.in);
    int positions = (int)(w.samples * w.in[0] * w.in[1]);
    MB_CUDA_WIDE(T, d.channels_in,
                 MB_LAUNCH((backward_kernel<W, T>),
                           mb_cuda_blocks(positions * (d.channels_in / W), THREADS), THREADS, 0,
                           mb_cuda_stream(exec), d, positions, (const T *)args->dy,
                           (const T *)args->w, (T *)args->dx));
    return mb_cuda_launched(MB_OP_CONV_BACKWARD_INPUT);
}

/* ---- gradient of the weights */

template <typename T> struct add_position {
    depthwise_t d;
    const T *x, *dy;

    template <int W>
    __device__ void operator()(int64_t row, int64_t column, float (&sum)[1][W]) const
    {
        int tap = divide((int)column, d.by_channels), kh = divide(tap, d.by_kernel_w);
        int64_t c = column - tap * d.channels_out;
        place_t at = place_of(d, (int)row);
        float value[W], gradient[W];
        load_input(d, x, at.sample, at.h * d.stride_h - d.pad_h + kh * d.step_h,
                   at.w * d.stride_w - d.pad_w + (tap - kh * d.kernel_w) * d.step_w, c, value);
        mb_load_pack(dy + row * d.channels_out + c, gradient);
#pragma unroll
        for (int k = 0; k < W; k++)
            sum[0][k] += value[k] * gradient[k];
    }
};

struct put_weight {
    float *dw;
    bool accumulate;

    __device__ void operator()(int64_t column, const double (&total)[1]) const
    {
        dw[column] = (float)((accumulate ? (double)dw[column] : 0.0) + total[0]);
    }
};

template <typename T>
mb_status_t backward_weights(mb_exec_t *exec, const mb_conv_backward_weights_args_t *args)
{
    const mb_window_t &w = args->window;
    mb_columns c =
        mb_columns_to_reduce(window_positions(w), w.kernel[0] * w.kernel[1] * w.channels_out,
                             mb_columns_width<T>(w.channels_out));
    void *partial = NULL;
    MB_TRY(mb_cuda_workspace(exec, MB_OP_CONV_BACKWARD_WEIGHTS,
                             mb_columns_partial_bytes<1, float>(c), &partial));
    if (exec->planning)
        return MB_OK;
    add_position<T> add = {depthwise_of(w, w.out), (const T *)args->x, (const T *)args->dy};
    put_weight put = {args->dw, args->accumulate};
    MB_CUDA_WIDE(T, w.channels_out,
                 return (mb_cuda_columns_sum<1, float, W>(exec, MB_OP_CONV_BACKWARD_WEIGHTS, c, add,
                                                          put, partial)));
}

} // namespace

mb_status_t mb_cuda_depthwise_forward(mb_exec_t *exec, const mb_conv_forward_args_t *args,
                                      const float *wide_bias)
{
    MB_CUDA_TYPED(MB_OP_CONV_FORWARD, args->type, return forward<T>(exec, args, wide_bias));
}

mb_status_t mb_cuda_depthwise_backward_input(mb_exec_t *exec,
                                             const mb_conv_backward_input_args_t *args)
{
    MB_CUDA_TYPED(MB_OP_CONV_BACKWARD_INPUT, args->type, return backward_input<T>(exec, args));
}

mb_status_t mb_cuda_depthwise_backward_weights(mb_exec_t *exec,
                                               const mb_conv_backward_weights_args_t *args)
{
    MB_CUDA_TYPED(MB_OP_CONV_BACKWARD_WEIGHTS, args->type, return backward_weights<T>(exec, args));
}
