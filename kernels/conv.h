/* What the kernels of convolution share: the window, and what its positions see as the operand of a
 * product that is never written out. */
#ifndef MB_KERNELS_CONV_H
#define MB_KERNELS_CONV_H

#include "tile.h"

/* Groups of one input channel each have kernels of their own (conv_depthwise.cu), which give the
 * same results. WIDE_BIAS: one of floats in place of the arguments'. */
mb_status_t mb_cuda_depthwise_forward(mb_exec_t *exec, const mb_conv_forward_args_t *args,
                                      const float *wide_bias);
mb_status_t mb_cuda_depthwise_backward_input(mb_exec_t *exec,
                                             const mb_conv_backward_input_args_t *args);
mb_status_t mb_cuda_depthwise_backward_weights(mb_exec_t *exec,
                                               const mb_conv_backward_weights_args_t *args);

namespace
{

/* Division of what is below 2^31 (Granlund and Montgomery: "Division by invariant integers using
 * multiplication", 1994). */
struct divider_t {
    unsigned divisor, multiplier, shift;
};

__host__ __device__ inline divider_t divider_of(int64_t divisor)
{
    divider_t d = {(unsigned)divisor, 0, 0};
    while (INT64_C(1) << d.shift < divisor)
        d.shift++;
    uint64_t rest = (UINT64_C(1) << d.shift) - (uint64_t)divisor;
    d.multiplier = (unsigned)((rest << 32) / (uint64_t)divisor + 1);
    return d;
}

__device__ inline int divide(int n, const divider_t &d)
{
    return (int)((__umulhi((unsigned)n, d.multiplier) + (unsigned)n) >> d.shift);
}

inline bool is_depthwise(const mb_window_t &w)
{
    return w.groups > 1 && w.groups == w.channels_in;
}

inline int64_t window_depth(const mb_window_t &w)
{
    return w.kernel[0] * w.kernel[1] * (w.channels_in / w.groups);
}

inline int64_t window_positions(const mb_window_t &w)
{
    return w.samples * mb_window_out(&w);
}

inline mb_status_t window_check(mb_op_t op, const mb_window_t &w)
{
    constexpr int64_t MOST = (INT64_C(1) << 31) - 256;
    if (w.samples < 0)
        return mb_cuda_refuse(op, "negative number of samples");
    if (mb_window_is_volume(&w))
        return mb_cuda_refuse(op, "a window over volumes");
    if (w.groups < 1 || w.channels_in % w.groups != 0 || w.channels_out % w.groups != 0)
        return mb_cuda_refuse(op, "channels that the groups do not divide");
    for (int i = 0; i < 2; i++) {
        int64_t reach = (w.kernel[i] - 1) * w.dilation[i] + 1;
        int64_t room = w.in[i] + w.pad_before[i] + w.pad_after[i] - reach;
        if (w.kernel[i] < 1 || w.stride[i] < 1 || w.dilation[i] < 1)
            return mb_cuda_refuse(op, "a kernel, stride or dilation below one");
        if (room < 0 || w.out[i] != room / w.stride[i] + 1)
            return mb_cuda_refuse(op, "an output size that the geometry does not give");
    }
    /* Kernels count positions and weights in int. */
    if (window_positions(w) > MOST || w.samples * w.in[0] * w.in[1] > MOST ||
        window_depth(w) * w.channels_out > MOST || w.groups > 65535)
        return mb_cuda_refuse(op, "2^31 positions or weights, or 2^16 groups");
    return MB_OK;
}

/* A row of the operand: where its window's upper left corner is in the image, whose address may lie
 * outside of it. */
struct corner_t {
    int64_t offset;
    int h, w; /* far outside: no row */
};

constexpr int NOWHERE = -(1 << 30);

/* A[position, (tap, channel)] gathered from images: rows are positions, from a table in shared
 * memory, and tap (a, b) looks at (h + a step_h, w + b step_w) from the corner. */
struct taps_t {
    divider_t columns, channels; /* taps in a row; channels of a tap */
    int step_h, step_w;
    int height, width;   /* of an image */
    int64_t row, column; /* numbers from one of its rows, columns to the next */
    int depth;
};

template <typename T> struct window_source_t {
    const T *x;
    const corner_t *corners;
    const taps_t *taps;
    int dh, dw;
    int64_t offset;
    bool real;

    __device__ const T *anywhere() const
    {
        return x;
    }
    __device__ void turn(int k, int of_stage)
    {
        k += of_stage;
        real = k < taps->depth;
        int tap = divide(k, taps->channels), a = divide(tap, taps->columns);
        dh = a * taps->step_h;
        dw = (tap - a * (int)taps->columns.divisor) * taps->step_w;
        offset = dh * taps->row + dw * taps->column + (k - tap * (int)taps->channels.divisor);
    }
    __device__ const T *at(int, int of_stage) const
    {
        const corner_t &corner = corners[of_stage];
        bool inside = real && (unsigned)(corner.h + dh) < (unsigned)taps->height &&
                      (unsigned)(corner.w + dw) < (unsigned)taps->width;
        return inside ? x + corner.offset + offset : nullptr;
    }
};

/* ---- forward */

struct forward_t {
    int positions, depth, columns; /* columns: output channels of a group */
    int tiles_n;
    int64_t channels_in, channels_out;
    int stride_h, stride_w, pad_h, pad_w;
    int64_t image;
    divider_t out_w, out_hw;
    taps_t taps;
};

inline forward_t forward_of(const mb_window_t &w, int tile_n)
{
    int64_t group_in = w.channels_in / w.groups, group_out = w.channels_out / w.groups;
    forward_t f = {};
    f.positions = (int)window_positions(w);
    f.depth = (int)window_depth(w);
    f.columns = (int)group_out;
    f.tiles_n = (int)mb_ceil_div(group_out, tile_n);
    f.channels_in = w.channels_in;
    f.channels_out = w.channels_out;
    f.stride_h = (int)w.stride[0];
    f.stride_w = (int)w.stride[1];
    f.pad_h = (int)w.pad_before[0];
    f.pad_w = (int)w.pad_before[1];
    f.image = w.in[0] * w.in[1] * w.channels_in;
    f.out_w = divider_of(w.out[1]);
    f.out_hw = divider_of(w.out[0] * w.out[1]);
    f.taps = {divider_of(w.kernel[1]), divider_of(group_in), (int)w.dilation[0],
              (int)w.dilation[1],      (int)w.in[0],         (int)w.in[1],
              w.in[1] * w.channels_in, w.channels_in,        f.depth};
    return f;
}

__device__ inline corner_t corner_of(const forward_t &f, int position)
{
    if (position >= f.positions)
        return {0, NOWHERE, NOWHERE};
    int sample = divide(position, f.out_hw), rest = position - sample * (int)f.out_hw.divisor;
    int oh = divide(rest, f.out_w), ow = rest - oh * (int)f.out_w.divisor;
    int h = oh * f.stride_h - f.pad_h, w = ow * f.stride_w - f.pad_w;
    return {sample * f.image + h * f.taps.row + w * f.taps.column, h, w};
}

} // namespace

#endif
