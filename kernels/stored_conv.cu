/* Convolution with weights as they are stored: as conv_forward.cu, with the kernel decoded on its
 * way into shared memory. Narrow groups, whose kernels are small, get theirs decoded as a whole;
 * int8 ones are multiplied in whole numbers where that is asked for (stored_conv_integer.cu). */
#include "conv.h"
#include "stored_conv.h"
#include "stored_decode.h"
#include "stored_tile.h"

namespace
{

template <typename TILE, int VEC, typename T = typename TILE::T>
__global__ void __launch_bounds__(TILE::THREADS, TILE::THREADS == 128 ? 2 : 1)
    conv_kernel(forward_t f, stored_t s, const T *x, const float *bias, T *y)
{
    MB_SHARED_DYNAMIC(T, shared);
    __shared__ corner_t corners[TILE::M];
    int first = (int)blockIdx.x / f.tiles_n * TILE::M;
    int column = (int)blockIdx.x % f.tiles_n * TILE::N;
    for (int i = (int)threadIdx.x; i < TILE::M; i += TILE::THREADS)
        corners[i] = corner_of(f, first + i);
    __syncthreads();
    int64_t to = (int64_t)blockIdx.y * f.columns + column;
    copier_of_a<TILE, VEC, window_source_t<T>> left = {};
    left.source.x = x + (int64_t)blockIdx.y * (int)f.taps.channels.divisor;
    left.source.corners = corners;
    left.source.taps = &f.taps;
    stored_loader_t<TILE> right(&s, to, f.depth);
    tile_sum_t<TILE> sum;
    tile_multiply(sum, shared, left, right, 0, f.depth);
    sum.each_pair([&](int r, int c, const float *pair) {
        int there = f.columns - column - c;
        if (first + r >= f.positions || there <= 0)
            return;
        float add[2] = {bias != nullptr ? bias[to + c] : 0.0f,
                        bias != nullptr && there > 1 ? bias[to + c + 1] : 0.0f};
        store_pair(y + (first + r) * f.channels_out + to + c, pair[0] + add[0], pair[1] + add[1],
                   there);
    });
}

template <typename T, int M, int VEC>
mb_status_t launch(mb_exec_t *exec, const mb_stored_conv_args_t *args)
{
    using TILE = tile_t<T, M, 64, false, true>;
    forward_t f = forward_of(args->window, TILE::N);
    auto *kernel = conv_kernel<TILE, VEC>;
    MB_TRY(ask_for_shared(kernel, TILE::BYTES));
    dim3 grid((unsigned)(mb_ceil_div(f.positions, M) * f.tiles_n), (unsigned)args->window.groups);
    MB_LAUNCH(kernel, grid, TILE::THREADS, TILE::BYTES, mb_cuda_stream(exec), f, stored_of(args->w),
              (const T *)args->x, args->bias, (T *)args->y);
    return mb_cuda_launched(MB_OP_STORED_CONV);
}

template <typename T> mb_status_t run_tiles(mb_exec_t *exec, const mb_stored_conv_args_t *args)
{
    const mb_window_t &w = args->window;
    if (w.channels_in / w.groups % mb_width<T> != 0)
        return launch<T, 64, 1>(exec, args);
    tile_size_t size = choose_tile(window_positions(w), w.channels_out / w.groups, w.groups);
    return size == TILE_64_64 ? launch<T, 64, mb_width<T>>(exec, args)
                              : launch<T, 128, mb_width<T>>(exec, args);
}

template <typename T> mb_status_t run_depthwise(mb_exec_t *exec, const mb_stored_conv_args_t *args)
{
    void *decoded;
    MB_TRY(mb_cuda_workspace(exec, MB_OP_STORED_CONV,
                             sizeof(T) * (size_t)(args->w.rows * args->w.columns), &decoded));
    if (exec->planning)
        return MB_OK;
    MB_TRY(decode_rows(exec, MB_OP_STORED_CONV, args->w, args->w.rows, nullptr, (T *)decoded));
    mb_conv_forward_args_t conv = {};
    conv.type = args->type;
    conv.window = args->window;
    conv.x = args->x;
    conv.w = decoded;
    conv.y = args->y;
    return mb_cuda_depthwise_forward(exec, &conv, args->bias);
}

mb_status_t check(const mb_stored_conv_args_t &a)
{
    MB_TRY(window_check(MB_OP_STORED_CONV, a.window));
    if (a.w.rows != window_depth(a.window) || a.w.columns != a.window.channels_out || a.w.squared)
        return mb_cuda_refuse(MB_OP_STORED_CONV, "a matrix that is not the window's");
    return MB_OK;
}

/* As the CPU decides it: the results depend on it. */
bool runs_in_integers(const mb_stored_conv_args_t &a)
{
    constexpr int64_t LEAST_DEPTH = 32, LEAST_COLUMNS = 16;
    return a.integer && stored_is_integer(a.w) && !a.w.has_row_scales && a.w.rows >= LEAST_DEPTH &&
           a.window.channels_out / a.window.groups >= LEAST_COLUMNS;
}

} // namespace

extern "C" mb_status_t mb_cuda_stored_conv(mb_exec_t *exec, const mb_stored_conv_args_t *args)
{
    MB_TRY(check(*args));
    if (args->window.samples == 0)
        return MB_OK;
    if (runs_in_integers(*args))
        return mb_cuda_stored_conv_integer(exec, args);
    if (is_depthwise(args->window))
        MB_CUDA_TYPED(MB_OP_STORED_CONV, args->type, return run_depthwise<T>(exec, args));
    if (exec->planning)
        return MB_OK;
    MB_CUDA_TYPED(MB_OP_STORED_CONV, args->type, return run_tiles<T>(exec, args));
}
