/* A matrix rounded to what a format would store, operation by operation as quant/ does it
 * (device/cpu/fake_quantize.c): the scale is the block's largest magnitude divided by the largest
 * code, rounded up to the number that scales are stored in; a code is the nearest whole number to
 * the quotient. A NaN stays one. Each block is read twice, the second time mostly from the cache:
 * blocks of one column by 32 lanes side by side and eight warps down the rows, others by a warp,
 * and one for the whole matrix by all, in two kernels. Bound by memory. */
#include "reduce.h"

namespace
{

constexpr int THREADS = 256;
constexpr int WARPS = THREADS / MB_WARP;

struct format_t {
    int64_t rows, columns, block_rows, block_columns, scale_rows, scale_columns;
    float high; /* the largest code */
    bool narrow_scales;
};

format_t format_of(const mb_matrix_t &m)
{
    return {m.rows,
            m.columns,
            m.block_rows,
            m.block_columns,
            mb_matrix_scale_rows(&m),
            mb_matrix_scale_columns(&m),
            m.number == MB_NUMBER_I8 ? 127.0f : 7.0f,
            m.scale_number == MB_NUMBER_BF16};
}

__device__ inline float larger(float largest, float value)
{
    return fabsf(value) > largest ? fabsf(value) : largest;
}

/* The smallest number of 8 mantissa bits that is not below SCALE, where scales are bf16. */
__device__ inline float scale_of(const format_t &f, float largest)
{
    float scale = __fdiv_rn(largest, f.high);
    if (!f.narrow_scales)
        return scale;
    return __uint_as_float((__float_as_uint(scale) + 0xFFFFu) & 0xFFFF0000u);
}

/* Ties to even: the last place of a sum near 1.5 * 2^23 is 1. */
__device__ inline float nearest(float value, float scale, float high)
{
    constexpr float LAST_PLACE_IS_ONE = 12582912.0f;
    float code = __fdiv_rn(value, scale);
    code = code < high ? code : high;
    code = code > -high ? code : -high;
    code = __fsub_rn(__fadd_rn(code, LAST_PLACE_IS_ONE), LAST_PLACE_IS_ONE);
    float rounded = scale > 0.0f ? __fmul_rn(scale, code) : 0.0f;
    return value == value ? rounded : value;
}

__device__ inline int64_t end_of(int64_t block, int64_t size, int64_t count)
{
    return (block + 1) * size < count ? (block + 1) * size : count;
}

/* ---- blocks of one column */

template <typename T>
__global__ void __launch_bounds__(THREADS)
    columns_kernel(format_t f, int64_t tiles_n, const float *x, T *y)
{
    __shared__ float shared[WARPS][MB_WARP];
    int lane = (int)threadIdx.x % MB_WARP, warp = (int)threadIdx.x / MB_WARP;
    int64_t block = blockIdx.x / tiles_n, column = blockIdx.x % tiles_n * MB_WARP + lane;
    int64_t begin = block * f.block_rows, end = end_of(block, f.block_rows, f.rows);
    bool real = column < f.columns;
    float largest = 0.0f;
    for (int64_t r = begin + warp; real && r < end; r += WARPS)
        largest = larger(largest, x[r * f.columns + column]);
    shared[warp][lane] = largest;
    __syncthreads();
    for (int w = 0; w < WARPS; w++)
        largest = larger(largest, shared[w][lane]);
    float scale = scale_of(f, largest);
    for (int64_t r = begin + warp; real && r < end; r += WARPS)
        mb_store(y, r * f.columns + column, nearest(x[r * f.columns + column], scale, f.high));
}

/* ---- wider blocks */

template <typename T>
__global__ void __launch_bounds__(THREADS) blocks_kernel(format_t f, const float *x, T *y)
{
    int lane = (int)threadIdx.x % MB_WARP;
    int64_t block = (int64_t)blockIdx.x * WARPS + threadIdx.x / MB_WARP;
    int64_t i = block / f.scale_columns, j = block % f.scale_columns;
    if (i >= f.scale_rows)
        return;
    int64_t first = i * f.block_rows, last = end_of(i, f.block_rows, f.rows);
    int64_t begin = j * f.block_columns, end = end_of(j, f.block_columns, f.columns);
    float largest = 0.0f;
    for (int64_t r = first; r < last; r++)
        for (int64_t c = begin + lane; c < end; c += MB_WARP)
            largest = larger(largest, x[r * f.columns + c]);
    float scale = scale_of(f, mb_reduce_lanes<MB_WARP>(~0u, largest, mb_largest_of()));
    for (int64_t r = first; r < last; r++)
        for (int64_t c = begin + lane; c < end; c += MB_WARP)
            mb_store(y, r * f.columns + c, nearest(x[r * f.columns + c], scale, f.high));
}

/* ---- one block */

__global__ void __launch_bounds__(THREADS)
    largest_kernel(int64_t count, const float *x, float *largest)
{
    float own = 0.0f;
    for (int64_t i = mb_first(); i < count; i += mb_stride())
        own = larger(own, x[i]);
    own = mb_reduce_block<THREADS>(own, mb_largest_of());
    if (threadIdx.x == 0)
        largest[blockIdx.x] = own;
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    tensor_kernel(format_t f, int64_t parts, const float *largest, const float *x, T *y)
{
    float own = 0.0f;
    for (int64_t i = threadIdx.x; i < parts; i += THREADS)
        own = larger(own, largest[i]);
    float scale = scale_of(f, mb_reduce_block<THREADS>(own, mb_largest_of()));
    for (int64_t i = mb_first(); i < f.rows * f.columns; i += mb_stride())
        mb_store(y, i, nearest(x[i], scale, f.high));
}

mb_status_t round_tensor(mb_exec_t *exec, const format_t &f, const mb_fake_quantize_args_t *args)
{
    constexpr unsigned MOST = 1024;
    int64_t count = f.rows * f.columns;
    unsigned blocks = mb_cuda_blocks(count, THREADS * 8), parts = blocks < MOST ? blocks : MOST;
    void *largest;
    MB_TRY(mb_cuda_workspace(exec, MB_OP_FAKE_QUANTIZE, sizeof(float) * parts, &largest));
    if (exec->planning)
        return MB_OK;
    MB_LAUNCH(largest_kernel, parts, THREADS, 0, mb_cuda_stream(exec), count, args->x,
              (float *)largest);
    MB_TRY(mb_cuda_launched(MB_OP_FAKE_QUANTIZE));
    MB_CUDA_TYPED(MB_OP_FAKE_QUANTIZE, args->type,
                  MB_LAUNCH(tensor_kernel<T>, blocks, THREADS, 0, mb_cuda_stream(exec), f,
                            (int64_t)parts, (const float *)largest, args->x, (T *)args->y));
    return mb_cuda_launched(MB_OP_FAKE_QUANTIZE);
}

template <typename T>
mb_status_t round_blocks(mb_exec_t *exec, const format_t &f, const mb_fake_quantize_args_t *args)
{
    if (f.block_columns == 1) {
        int64_t tiles_n = mb_ceil_div(f.columns, MB_WARP);
        MB_LAUNCH(columns_kernel<T>, (unsigned)(f.scale_rows * tiles_n), THREADS, 0,
                  mb_cuda_stream(exec), f, tiles_n, args->x, (T *)args->y);
    } else {
        int64_t blocks = mb_ceil_div(f.scale_rows * f.scale_columns, WARPS);
        MB_LAUNCH(blocks_kernel<T>, (unsigned)blocks, THREADS, 0, mb_cuda_stream(exec), f, args->x,
                  (T *)args->y);
    }
    return mb_cuda_launched(MB_OP_FAKE_QUANTIZE);
}

mb_status_t check(const mb_matrix_t &m)
{
    if (m.number != MB_NUMBER_I8 && m.number != MB_NUMBER_I4)
        return mb_cuda_refuse(MB_OP_FAKE_QUANTIZE, "a format that is not symmetric whole numbers");
    if (m.block_rows < 1 || m.block_columns < 1)
        return mb_cuda_refuse(MB_OP_FAKE_QUANTIZE, "a format without blocks");
    if (m.squared || m.has_row_scales)
        return mb_cuda_refuse(MB_OP_FAKE_QUANTIZE,
                              "a format with more than one scale for each block");
    return MB_OK;
}

} // namespace

extern "C" mb_status_t mb_cuda_fake_quantize(mb_exec_t *exec, const mb_fake_quantize_args_t *args)
{
    MB_TRY(check(args->format));
    format_t f = format_of(args->format);
    if (f.rows * f.columns == 0)
        return MB_OK;
    if (f.block_columns > 1 && f.scale_rows * f.scale_columns == 1)
        return round_tensor(exec, f, args);
    if (exec->planning)
        return MB_OK;
    MB_CUDA_TYPED(MB_OP_FAKE_QUANTIZE, args->type, return round_blocks<T>(exec, f, args));
}
