/* Gradient of a convolution's weights as one product over positions: rows are (kh, kw, ci), columns
 * output channels, A[position, (kh, kw, ci)] is gathered from the images and stands by k in shared
 * memory, as dy does (see tile.h). Where rows and columns make few tiles, runs of positions have
 * blocks of their own, whose partial sums a second kernel adds in their order. Bound by the
 * products. */
#include "conv.h"
#include "conv_volume.h"

namespace
{

struct weights_t {
    int positions, rows, columns; /* columns: output channels of a group */
    int tiles_n, run;             /* run: positions of a partial sum */
    int64_t channels_out;
    bool direct; /* one run: sums go where they belong */
    bool accumulate;
};

/* A[position, (tap, channel)], of which a thread has one column all the time. */
template <typename T> struct column_source_t {
    const T *x;
    int first, rows, positions;
    int stride_h, stride_w, pad_h, pad_w;
    int height, width;
    int64_t row, column, image;
    divider_t out_w, out_hw, kernel_w, channels;
    int step_h, step_w;
    int dh, dw, channel;
    bool real;

    __device__ const T *anywhere() const
    {
        return x;
    }
    __device__ void turn(int, int of_stage)
    {
        int m = first + of_stage, tap = divide(m, channels), a = divide(tap, kernel_w);
        real = m < rows;
        dh = a * step_h - pad_h;
        dw = (tap - a * (int)kernel_w.divisor) * step_w - pad_w;
        channel = m - tap * (int)channels.divisor;
    }
    __device__ const T *at(int k, int of_stage) const
    {
        int position = k + of_stage, sample = divide(position, out_hw);
        int rest = position - sample * (int)out_hw.divisor, oh = divide(rest, out_w);
        int h = oh * stride_h + dh, w = (rest - oh * (int)out_w.divisor) * stride_w + dw;
        bool inside = real && position < positions && (unsigned)h < (unsigned)height &&
                      (unsigned)w < (unsigned)width;
        return inside ? x + sample * image + h * row + w * column + channel : nullptr;
    }
};

template <typename T> column_source_t<T> columns_of(const mb_window_t &w)
{
    column_source_t<T> s = {};
    s.rows = (int)window_depth(w);
    s.stride_h = (int)w.stride[0];
    s.stride_w = (int)w.stride[1];
    s.pad_h = (int)w.pad_before[0];
    s.pad_w = (int)w.pad_before[1];
    s.height = (int)w.in[0];
    s.width = (int)w.in[1];
    s.row = w.in[1] * w.channels_in;
    s.column = w.channels_in;
    s.image = w.in[0] * s.row;
    s.out_w = divider_of(w.out[1]);
    s.out_hw = divider_of(w.out[0] * w.out[1]);
    s.kernel_w = divider_of(w.kernel[1]);
    s.channels = divider_of(w.channels_in / w.groups);
    s.step_h = (int)w.dilation[0];
    s.step_w = (int)w.dilation[1];
    return s;
}

template <typename TILE, int VEC, typename T = typename TILE::T>
__global__ void __launch_bounds__(TILE::THREADS)
    weights_kernel(weights_t g, column_source_t<T> columns, const T *x, const T *dy, float *sums)
{
    MB_SHARED_DYNAMIC(T, shared);
    int row = (int)blockIdx.x / g.tiles_n * TILE::M, column = (int)blockIdx.x % g.tiles_n * TILE::N;
    int begin = (int)blockIdx.z * g.run;
    int end = g.positions - begin < g.run ? g.positions : begin + g.run;
    int64_t to = (int64_t)blockIdx.y * g.columns;
    copier_of_a<TILE, VEC, column_source_t<T>> a = {};
    a.source = columns;
    a.source.x = x + (int64_t)blockIdx.y * (int)columns.channels.divisor;
    a.source.first = row;
    a.source.positions = end;
    copier_of_b<TILE, VEC, matrix_source_t<T, true>> b = {};
    b.source = {dy + to, g.channels_out, column, end, g.columns, 0};
    tile_sum_t<TILE> sum;
    tile_multiply(sum, shared, a, b, begin, end);
    sums += (int64_t)blockIdx.z * g.rows * g.channels_out + to + column;
    sum.each_pair([&](int r, int c, const float *pair) {
        int left = g.columns - column - c;
        if (row + r >= g.rows || left <= 0)
            return;
        float *p = sums + (row + r) * g.channels_out + c;
        bool add = g.direct && g.accumulate;
        store_pair(p, add ? p[0] + pair[0] : pair[0], add && left > 1 ? p[1] + pair[1] : pair[1],
                   left);
    });
}

constexpr int THREADS = 256;

__global__ void __launch_bounds__(THREADS)
    combine_kernel(int64_t count, int runs, bool accumulate, const float *sums, float *dw)
{
    for (int64_t i = mb_first(); i < count; i += mb_stride()) {
        float sum = accumulate ? dw[i] : 0.0f;
        for (int run = 0; run < runs; run++)
            sum += sums[run * count + i];
        dw[i] = sum;
    }
}

/* What depends on shape alone: the tile, and how positions are cut into runs. */
struct plan_t {
    bool narrow; /* channels that are no whole 16 bytes */
    tile_size_t size;
    int runs, run;
    size_t bytes; /* of partial sums */
};

plan_t plan_of(const mb_window_t &w, int width)
{
    constexpr int64_t BLOCKS = 264, LEAST = 512;
    int64_t group_out = w.channels_out / w.groups, rows = window_depth(w);
    int64_t positions = window_positions(w);
    plan_t p = {};
    p.narrow = w.channels_in / w.groups % width != 0 || group_out % width != 0;
    p.size = p.narrow || group_out <= 64 || width == 4 ? TILE_128_64 : TILE_128_128;
    int64_t tile_n = p.size == TILE_128_128 ? 128 : 64;
    int64_t tiles = mb_ceil_div(rows, 128) * mb_ceil_div(group_out, tile_n) * w.groups;
    int64_t runs = mb_ceil_div(BLOCKS, tiles), most = mb_ceil_div(positions, LEAST);
    runs = runs < most ? runs : most;
    p.run = (int)(mb_ceil_div(mb_ceil_div(positions, runs), 32) * 32);
    p.runs = (int)mb_ceil_div(positions, p.run);
    p.bytes = p.runs > 1 ? sizeof(float) * (size_t)(p.runs * rows * w.channels_out) : 0;
    return p;
}

template <typename T, int N, int VEC>
mb_status_t launch(mb_exec_t *exec, const mb_conv_backward_weights_args_t *args, const plan_t &p,
                   float *partial)
{
    using TILE = tile_t<T, 128, N, true, true>;
    const mb_window_t &w = args->window;
    int64_t group_out = w.channels_out / w.groups, rows = window_depth(w);
    weights_t g = {(int)window_positions(w),
                   (int)rows,
                   (int)group_out,
                   (int)mb_ceil_div(group_out, N),
                   p.run,
                   w.channels_out,
                   p.runs == 1,
                   args->accumulate};
    auto *kernel = weights_kernel<TILE, VEC>;
    MB_TRY(ask_for_shared(kernel, TILE::BYTES));
    dim3 grid((unsigned)(mb_ceil_div(rows, 128) * g.tiles_n), (unsigned)w.groups, (unsigned)p.runs);
    MB_LAUNCH(kernel, grid, TILE::THREADS, TILE::BYTES, mb_cuda_stream(exec), g, columns_of<T>(w),
              (const T *)args->x, (const T *)args->dy, p.runs == 1 ? args->dw : partial);
    if (p.runs > 1) {
        int64_t count = rows * w.channels_out;
        MB_LAUNCH(combine_kernel, mb_cuda_blocks(count, THREADS), THREADS, 0, mb_cuda_stream(exec),
                  count, p.runs, args->accumulate, (const float *)partial, args->dw);
    }
    return mb_cuda_launched(MB_OP_CONV_BACKWARD_WEIGHTS);
}

template <typename T> mb_status_t run(mb_exec_t *exec, const mb_conv_backward_weights_args_t *args)
{
    plan_t p = plan_of(args->window, mb_width<T>);
    void *partial;
    MB_TRY(mb_cuda_workspace(exec, MB_OP_CONV_BACKWARD_WEIGHTS, p.bytes, &partial));
    if (exec->planning)
        return MB_OK;
    if (p.narrow)
        return launch<T, 64, 1>(exec, args, p, (float *)partial);
    if constexpr (sizeof(T) == 2)
        if (p.size == TILE_128_128)
            return launch<T, 128, mb_width<T>>(exec, args, p, (float *)partial);
    return launch<T, 64, mb_width<T>>(exec, args, p, (float *)partial);
}

/* In the same workspace, after what has gone before. */
mb_status_t bias_gradient(mb_exec_t *exec, const mb_conv_backward_weights_args_t *args)
{
    mb_column_sum_args_t sum = {};
    sum.type = args->type;
    sum.rows = window_positions(args->window);
    sum.columns = args->window.channels_out;
    sum.accumulate = args->accumulate;
    sum.a = args->dy;
    sum.sum = args->dbias;
    return mb_cuda_column_sum(exec, &sum);
}

mb_status_t run_any(mb_exec_t *exec, const mb_conv_backward_weights_args_t *args)
{
    if (mb_window_is_volume(&args->window))
        return mb_cuda_volume_backward_weights(exec, args);
    MB_TRY(window_check(MB_OP_CONV_BACKWARD_WEIGHTS, args->window));
    if (is_depthwise(args->window))
        return mb_cuda_depthwise_backward_weights(exec, args);
    MB_CUDA_TYPED(MB_OP_CONV_BACKWARD_WEIGHTS, args->type, return run<T>(exec, args));
}

} // namespace

extern "C" mb_status_t mb_cuda_conv_backward_weights(mb_exec_t *exec,
                                                     const mb_conv_backward_weights_args_t *args)
{
    if (args->window.samples < 1)
        return mb_cuda_refuse(MB_OP_CONV_BACKWARD_WEIGHTS, "no samples");
    MB_TRY(run_any(exec, args));
    /* While planning dbias may be NULL although it is wanted: its need is counted in any case. */
    return args->dbias != nullptr || exec->planning ? bias_gradient(exec, args) : MB_OK;
}
