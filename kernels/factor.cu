/* Adafactor's direction of matrices (Shazeer, Stern, arXiv 1804.04235, algorithm 2; device/ops.h)
 * in four launches: a block a row sums it; a block 32 columns, its warps every eighth row, and the
 * first warp adds what they have in order; a block a matrix takes the mean of its rows; a thread an
 * element goes on from there. Every element is read three times. */
#include "reduce.h"

namespace
{

constexpr int THREADS = 256, WARPS = THREADS / MB_WARP;

/* Of N of them, each taken by the blocks in turn. */
inline unsigned blocks_of(int64_t n)
{
    return mb_cuda_blocks(n, 1);
}

__device__ inline double square(float g, float epsilon)
{
    return (double)__fadd_rn(__fmul_rn(g, g), epsilon);
}

__device__ inline float moved(const mb_factor_args_t &a, float before, double mean)
{
    float share = __fsub_rn(1.0f, a.rho);
    return __fadd_rn(__fmul_rn(a.rho, before), __fmul_rn(share, (float)mean));
}

__global__ void __launch_bounds__(THREADS) rows_kernel(mb_factor_args_t a)
{
    for (int64_t r = blockIdx.x; r < a.matrices * a.rows; r += gridDim.x) {
        double sum = 0.0;
        for (int64_t i = threadIdx.x; i < a.columns; i += THREADS)
            sum += square(a.g[r * a.columns + i], a.epsilon);
        sum = mb_reduce_block<THREADS>(sum, mb_sum_of());
        if (threadIdx.x == 0)
            a.row[r] = moved(a, a.row[r], sum / (double)a.columns);
    }
}

__global__ void __launch_bounds__(THREADS) columns_kernel(mb_factor_args_t a, int64_t of_matrix)
{
    __shared__ double partial[WARPS][MB_WARP];
    int lane = (int)threadIdx.x % MB_WARP, warp = (int)threadIdx.x / MB_WARP;
    for (int64_t block = blockIdx.x; block < a.matrices * of_matrix; block += gridDim.x) {
        int64_t matrix = block / of_matrix, column = block % of_matrix * MB_WARP + lane;
        const float *g = a.g + matrix * a.rows * a.columns + column;
        double sum = 0.0;
        for (int64_t r = warp; r < a.rows && column < a.columns; r += WARPS)
            sum += square(g[r * a.columns], a.epsilon);
        partial[warp][lane] = sum;
        __syncthreads();
        for (int k = 1; k < WARPS && warp == 0; k++)
            sum += partial[k][lane];
        float *at = a.column + matrix * a.columns + column;
        if (warp == 0 && column < a.columns)
            *at = moved(a, *at, sum / (double)a.rows);
        __syncthreads();
    }
}

__global__ void __launch_bounds__(THREADS) mean_kernel(mb_factor_args_t a, float *mean)
{
    for (int64_t matrix = blockIdx.x; matrix < a.matrices; matrix += gridDim.x) {
        double sum = 0.0;
        for (int64_t r = threadIdx.x; r < a.rows; r += THREADS)
            sum += (double)a.row[matrix * a.rows + r];
        sum = mb_reduce_block<THREADS>(sum, mb_sum_of());
        if (threadIdx.x == 0)
            mean[matrix] = (float)(sum / (double)a.rows);
    }
}

__global__ void __launch_bounds__(THREADS) direct_kernel(mb_factor_args_t a, const float *mean)
{
    for (int64_t i = mb_first(); i < a.matrices * a.rows * a.columns; i += mb_stride()) {
        int64_t r = i / a.columns, matrix = r / a.rows;
        float share = __fdiv_rn(a.row[r], mean[matrix]);
        float v = __fmul_rn(share, a.column[matrix * a.columns + i % a.columns]);
        a.velocity[i] = v;
        a.g[i] = a.g[i] == 0.0f ? 0.0f : __fdiv_rn(a.g[i], __fsqrt_rn(v));
    }
}

mb_status_t launch(mb_exec_t *exec, const mb_factor_args_t &a, float *mean)
{
    cudaStream_t stream = mb_cuda_stream(exec);
    int64_t of_matrix = mb_ceil_div(a.columns, MB_WARP), rows = a.matrices * a.rows;
    MB_LAUNCH(rows_kernel, blocks_of(rows), THREADS, 0, stream, a);
    MB_TRY(mb_cuda_launched(MB_OP_FACTOR));
    MB_LAUNCH(columns_kernel, blocks_of(a.matrices * of_matrix), THREADS, 0, stream, a, of_matrix);
    MB_TRY(mb_cuda_launched(MB_OP_FACTOR));
    MB_LAUNCH(mean_kernel, blocks_of(a.matrices), THREADS, 0, stream, a, mean);
    MB_TRY(mb_cuda_launched(MB_OP_FACTOR));
    MB_LAUNCH(direct_kernel, mb_cuda_blocks(rows * a.columns, THREADS), THREADS, 0, stream, a,
              (const float *)mean);
    return mb_cuda_launched(MB_OP_FACTOR);
}

} // namespace

extern "C" mb_status_t mb_cuda_factor(mb_exec_t *exec, const mb_factor_args_t *args)
{
    const mb_factor_args_t &a = *args;
    void *mean = NULL;
    if (a.matrices < 0 || a.rows < 0 || a.columns < 0)
        return mb_cuda_refuse(MB_OP_FACTOR, "negative count");
    MB_TRY(mb_cuda_workspace(exec, MB_OP_FACTOR, sizeof(float) * (size_t)a.matrices, &mean));
    if (exec->planning || a.matrices * a.rows * a.columns == 0)
        return MB_OK;
    return launch(exec, a, (float *)mean);
}
