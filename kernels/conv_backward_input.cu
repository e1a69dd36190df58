/* Gradient of a convolution's input as one product: rows are positions of the input, columns its
 * channels, and A[position, (kh, kw, co)] is gathered from dy (see tile.h). With strides a position
 * meets only the taps (kh, kw) that some output put on it, the same for all positions that are
 * equal modulo the stride: blocks own positions of one such phase, and only its taps are summed.
 * Bound by the products. */
#include "conv.h"
#include "conv_volume.h"
#include "cut.h"

namespace
{

/* One dimension, for the kernel to take apart by phase. */
struct axis_t {
    int in, out, kernel, stride, dilation, pad;
};

/* Taps first, first + step, ... of a phase, `count` of them: the input at phase + i stride meets
 * the output at i + at - n back through the n-th. */
struct phase_t {
    int positions, first, step, count, at, back;
};

__device__ inline phase_t phase_of(const axis_t &x, int phase)
{
    phase_t p = {(x.in - phase + x.stride - 1) / x.stride, 0, 1, 0, 0, 0};
    for (int k = 0; k < x.kernel; k++) {
        if ((phase + x.pad - k * x.dilation) % x.stride != 0)
            continue;
        if (p.count == 0)
            p.first = k;
        else if (p.count == 1)
            p.step = k - p.first;
        p.count++;
    }
    p.at = (phase + x.pad - p.first * x.dilation) / x.stride;
    p.back = p.step * x.dilation / x.stride;
    return p;
}

struct backward_t {
    axis_t h, w;
    int samples, columns; /* columns: input channels of a group */
    int tiles_n, phases_h, phases_w;
    int64_t channels_in, channels_out;
    divider_t group_out;
};

/* Of phases past the end of the input there are none. */
int phases_of(const mb_window_t &w, int i)
{
    return (int)(w.stride[i] < w.in[i] ? w.stride[i] : w.in[i]);
}

axis_t axis_of(const mb_window_t &w, int i)
{
    return {(int)w.in[i],     (int)w.out[i],      (int)w.kernel[i],
            (int)w.stride[i], (int)w.dilation[i], (int)w.pad_before[i]};
}

backward_t backward_of(const mb_window_t &w, int tile_n)
{
    int64_t group_in = w.channels_in / w.groups;
    return {axis_of(w, 0),
            axis_of(w, 1),
            (int)w.samples,
            (int)group_in,
            (int)mb_ceil_div(group_in, tile_n),
            phases_of(w, 0),
            phases_of(w, 1),
            w.channels_in,
            w.channels_out,
            divider_of(w.channels_out / w.groups)};
}

/* A block's phase, in both dimensions. */
struct here_t {
    phase_t h, w;
    int phase_h, phase_w, positions;
};

__device__ inline here_t here_of(const backward_t &b)
{
    here_t p;
    p.phase_h = (int)blockIdx.z / b.phases_w;
    p.phase_w = (int)blockIdx.z % b.phases_w;
    p.h = phase_of(b.h, p.phase_h);
    p.w = phase_of(b.w, p.phase_w);
    p.positions = b.samples * p.h.positions * p.w.positions;
    return p;
}

/* Which position of the input a row is, counted within the phase. */
struct place_t {
    int sample, h, w;
};

__device__ inline place_t place_of(const here_t &p, int position)
{
    int line = position / p.w.positions;
    return {line / p.h.positions, line % p.h.positions, position % p.w.positions};
}

__device__ inline taps_t taps_of(const backward_t &b, const here_t &p)
{
    taps_t t = {};
    t.columns = divider_of(p.w.count > 1 ? p.w.count : 1);
    t.channels = b.group_out;
    t.step_h = -p.h.back;
    t.step_w = -p.w.back;
    t.height = b.h.out;
    t.width = b.w.out;
    t.row = b.w.out * b.channels_out;
    t.column = b.channels_out;
    t.depth = p.h.count * p.w.count * (int)b.group_out.divisor;
    return t;
}

__device__ inline corner_t corner_of(const backward_t &b, const here_t &p, const taps_t &taps,
                                     int position)
{
    if (position >= p.positions)
        return {0, NOWHERE, NOWHERE};
    place_t at = place_of(p, position);
    int h = at.h + p.h.at, w = at.w + p.w.at;
    return {at.sample * taps.row * b.h.out + h * taps.row + w * taps.column, h, w};
}

/* B[(kh, kw, co), ci]: the kernel, of which co are neighbours. */
template <typename T> struct kernel_source_t {
    const T *w;
    int64_t channels_out;
    const taps_t *taps;
    int first, columns; /* of the block; of the group */
    phase_t h, v;
    int width;
    int64_t offset;
    bool real;

    __device__ const T *anywhere() const
    {
        return w;
    }
    __device__ void turn(int k, int of_stage)
    {
        k += of_stage;
        real = k < taps->depth;
        int tap = divide(k, taps->channels), a = divide(tap, taps->columns);
        int kh = h.first + a * h.step, kw = v.first + (tap - a * v.count) * v.step;
        offset = (int64_t)(kh * width + kw) * columns * channels_out +
                 (k - tap * (int)taps->channels.divisor);
    }
    __device__ const T *at(int, int of_stage) const
    {
        int column = first + of_stage;
        return real && column < columns ? w + offset + column * channels_out : nullptr;
    }
};

template <typename TILE, int VEC, typename T = typename TILE::T>
__global__ void __launch_bounds__(TILE::THREADS)
    backward_kernel(backward_t b, const T *dy, const T *w, const T *bias, T *dx)
{
    MB_SHARED_DYNAMIC(T, shared);
    __shared__ corner_t corners[TILE::M];
    here_t here = here_of(b);
    taps_t taps = taps_of(b, here);
    int first = (int)blockIdx.x / b.tiles_n * TILE::M;
    int column = (int)blockIdx.x % b.tiles_n * TILE::N;
    if (first >= here.positions)
        return;
    for (int i = (int)threadIdx.x; i < TILE::M; i += TILE::THREADS)
        corners[i] = corner_of(b, here, taps, first + i);
    __syncthreads();
    int64_t from = (int64_t)blockIdx.y * (int)b.group_out.divisor;
    copier_of_a<TILE, VEC, window_source_t<T>> left = {};
    left.source.x = dy + from;
    left.source.corners = corners;
    left.source.taps = &taps;
    copier_of_b<TILE, VEC, kernel_source_t<T>> right = {};
    right.source = {w + from, b.channels_out, &taps,      column, b.columns,
                    here.h,   here.w,         b.w.kernel, 0,      false};
    tile_sum_t<TILE> sum;
    tile_multiply(sum, shared, left, right, 0, taps.depth);
    dx += (int64_t)blockIdx.y * b.columns + column;
    if (bias != nullptr)
        bias += (int64_t)blockIdx.y * b.columns + column;
    sum.each_pair([&](int r, int c, const float *pair) {
        if (first + r >= here.positions || column + c >= b.columns)
            return;
        place_t at = place_of(here, first + r);
        int64_t h = at.h * b.h.stride + here.phase_h, v = at.w * b.w.stride + here.phase_w;
        int64_t position = (at.sample * (int64_t)b.h.in + h) * b.w.in + v;
        float value[2] = {pair[0], pair[1]};
        int rest = b.columns - column - c;
        if (bias != nullptr)
            for (int i = 0; i < 2 && i < rest; i++)
                value[i] += mb_load(bias, c + i);
        store_pair(dx + position * b.channels_in + c, value[0], value[1], rest);
    });
}

template <typename T, int M, int N, int VEC>
mb_status_t launch(mb_exec_t *exec, const mb_conv_backward_input_args_t *args)
{
    using TILE = tile_t<T, M, N, false, false>;
    const mb_window_t &w = args->window;
    backward_t b = backward_of(w, N);
    auto *kernel = backward_kernel<TILE, VEC>;
    MB_TRY(ask_for_shared(kernel, TILE::BYTES));
    int64_t positions =
        w.samples * mb_ceil_div(w.in[0], w.stride[0]) * mb_ceil_div(w.in[1], w.stride[1]);
    dim3 grid((unsigned)(mb_ceil_div(positions, M) * b.tiles_n), (unsigned)w.groups,
              (unsigned)(b.phases_h * b.phases_w));
    MB_LAUNCH(kernel, grid, TILE::THREADS, TILE::BYTES, mb_cuda_stream(exec), b,
              (const T *)args->dy, (const T *)args->w, (const T *)args->bias, (T *)args->dx);
    return mb_cuda_launched(MB_OP_CONV_BACKWARD_INPUT);
}

template <typename T> mb_status_t run(mb_exec_t *exec, const mb_conv_backward_input_args_t *args)
{
    const mb_window_t &w = args->window;
    int64_t group_in = w.channels_in / w.groups, group_out = w.channels_out / w.groups;
    if (group_in % mb_width<T> != 0 || group_out % mb_width<T> != 0)
        return launch<T, 128, 64, 1>(exec, args);
    tile_size_t size = choose_tile(w.samples * w.in[0] * w.in[1], group_in, w.groups);
    if constexpr (sizeof(T) == 2)
        if (size == TILE_128_128)
            return launch<T, 128, 128, mb_width<T>>(exec, args);
    return size == TILE_64_64 ? launch<T, 64, 64, mb_width<T>>(exec, args)
                              : launch<T, 128, 64, mb_width<T>>(exec, args);
}

mb_status_t convolve(mb_exec_t *exec, const mb_conv_backward_input_args_t *args)
{
    if (mb_window_is_volume(&args->window))
        return mb_cuda_volume_backward_input(exec, args);
    MB_TRY(window_check(MB_OP_CONV_BACKWARD_INPUT, args->window));
    if (exec->planning || args->window.samples == 0)
        return MB_OK;
    if (is_depthwise(args->window) && args->bias == nullptr)
        return mb_cuda_depthwise_backward_input(exec, args);
    MB_CUDA_TYPED(MB_OP_CONV_BACKWARD_INPUT, args->type, return run<T>(exec, args));
}

} // namespace

extern "C" mb_status_t mb_cuda_conv_backward_input(mb_exec_t *exec,
                                                   const mb_conv_backward_input_args_t *args)
{
    const mb_window_t &w = args->window;
    MB_TRY(convolve(exec, args));
    return args->cut == nullptr
               ? MB_OK
               : mb_cuda_cut(exec, args->type, w.samples * mb_window_in(&w) * w.channels_in,
                             args->cut, args->dx);
}
