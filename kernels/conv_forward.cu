/* Convolution forward as one product that is never written out: rows are positions, columns output
 * channels, and A[position, (kh, kw, ci)] is gathered from the images as its pieces are copied (see
 * tile.h). Bound by the products. */
#include "conv.h"
#include "conv_volume.h"

namespace
{

template <typename TILE, int VEC, typename T = typename TILE::T>
__global__ void __launch_bounds__(TILE::THREADS)
    forward_kernel(forward_t f, const T *x, const T *w, const T *bias, T *y)
{
    MB_SHARED_DYNAMIC(T, shared);
    __shared__ corner_t corners[TILE::M];
    int first = (int)blockIdx.x / f.tiles_n * TILE::M,
        column = (int)blockIdx.x % f.tiles_n * TILE::N;
    for (int i = (int)threadIdx.x; i < TILE::M; i += TILE::THREADS)
        corners[i] = corner_of(f, first + i);
    __syncthreads();
    int64_t to = (int64_t)blockIdx.y * f.columns;
    copier_of_a<TILE, VEC, window_source_t<T>> a = {};
    a.source.x = x + (int64_t)blockIdx.y * (int)f.taps.channels.divisor;
    a.source.corners = corners;
    a.source.taps = &f.taps;
    copier_of_b<TILE, VEC, matrix_source_t<T, true>> b = {};
    b.source = {w + to, f.channels_out, column, f.depth, f.columns, 0};
    tile_sum_t<TILE> sum;
    tile_multiply(sum, shared, a, b, 0, f.depth);
    y += to;
    sum.each_pair([&](int r, int c, const float *pair) {
        int left = f.columns - column - c;
        if (first + r >= f.positions || left <= 0)
            return;
        float add[2] = {0.0f, 0.0f};
        if (bias != nullptr)
            for (int i = 0; i < 2 && i < left; i++)
                add[i] = mb_load(bias, to + column + c + i);
        store_pair(y + (first + r) * f.channels_out + column + c, pair[0] + add[0],
                   pair[1] + add[1], left);
    });
}

template <typename T, int M, int N, int VEC>
mb_status_t launch(mb_exec_t *exec, const mb_conv_forward_args_t *args)
{
    using TILE = tile_t<T, M, N, false, true>;
    forward_t f = forward_of(args->window, N);
    auto *kernel = forward_kernel<TILE, VEC>;
    MB_TRY(ask_for_shared(kernel, TILE::BYTES));
    dim3 grid((unsigned)(mb_ceil_div(f.positions, M) * f.tiles_n), (unsigned)args->window.groups);
    MB_LAUNCH(kernel, grid, TILE::THREADS, TILE::BYTES, mb_cuda_stream(exec), f, (const T *)args->x,
              (const T *)args->w, (const T *)args->bias, (T *)args->y);
    return mb_cuda_launched(MB_OP_CONV_FORWARD);
}

template <typename T> mb_status_t run(mb_exec_t *exec, const mb_conv_forward_args_t *args)
{
    const mb_window_t &w = args->window;
    int64_t group_in = w.channels_in / w.groups, group_out = w.channels_out / w.groups;
    if (group_in % mb_width<T> != 0 || group_out % mb_width<T> != 0)
        return launch<T, 128, 64, 1>(exec, args);
    tile_size_t size = choose_tile(window_positions(w), group_out, w.groups);
    if constexpr (sizeof(T) == 2)
        if (size == TILE_128_128)
            return launch<T, 128, 128, mb_width<T>>(exec, args);
    return size == TILE_64_64 ? launch<T, 64, 64, mb_width<T>>(exec, args)
                              : launch<T, 128, 64, mb_width<T>>(exec, args);
}

mb_status_t convolve(mb_exec_t *exec, const mb_conv_forward_args_t *args)
{
    if (mb_window_is_volume(&args->window))
        return mb_cuda_volume_forward(exec, args);
    MB_TRY(window_check(MB_OP_CONV_FORWARD, args->window));
    if (exec->planning || args->window.samples == 0)
        return MB_OK;
    if (is_depthwise(args->window))
        return mb_cuda_depthwise_forward(exec, args, nullptr);
    MB_CUDA_TYPED(MB_OP_CONV_FORWARD, args->type, return run<T>(exec, args));
}

mb_status_t activate(mb_exec_t *exec, const mb_conv_forward_args_t *args, void *x)
{
    const mb_window_t &w = args->window;
    mb_act_forward_args_t act = {};
    act.type = args->type;
    act.count = w.samples * mb_window_out(&w) * w.channels_out;
    act.act = args->act.act;
    act.p0 = args->act.p0;
    act.p1 = args->act.p1;
    act.p2 = args->act.p2;
    act.x = x;
    act.y = args->y;
    return mb_cuda_act_forward(exec, &act);
}

} // namespace

extern "C" mb_status_t mb_cuda_conv_forward(mb_exec_t *exec, const mb_conv_forward_args_t *args)
{
    mb_conv_forward_args_t plain = *args;
    if (args->pre != nullptr)
        plain.y = args->pre;
    MB_TRY(convolve(exec, &plain));
    return args->act.act == MB_ACT_LINEAR ? MB_OK : activate(exec, args, plain.y);
}
