/* Few rows times a matrix as it is stored: as fast as the codes come from memory, so they are read
 * once. A warp takes 256 columns, eight a lane, and a stretch of the matrix's rows; codes are
 * multiplied as they stand, and the sums of a block of scales are scaled once at its end. Warps of
 * a block are added in shared memory, blocks of rows by a second kernel, in order. What a row of A
 * gives does not depend on how many rows there are. */
#include "stored.h"

namespace
{

constexpr int WARPS = 8;
constexpr int THREADS = WARPS * MB_WARP;
constexpr int W = 8; /* columns of a lane */
constexpr int COLUMNS = W * MB_WARP;
constexpr int MOST_RUN = 1024;

/* Rows whose codes are loaded at once: what keeps enough bytes under way. */
template <mb_number_t NUMBER, int M>
constexpr int step_rows = bits_of(NUMBER) == 32            ? 2
                          : M == 1 && bits_of(NUMBER) <= 8 ? 8
                                                           : 4;

struct rows_plan_t {
    int64_t m, tiles_n, run, runs; /* run: rows of the matrix that a block takes */
};

rows_plan_t plan_of(const mb_stored_gemm_args_t &a)
{
    constexpr int64_t BLOCKS = 528, LEAST = WARPS * 8;
    int64_t tiles_n = mb_ceil_div(a.b.columns, COLUMNS);
    int64_t run = mb_ceil_div(a.b.rows, mb_ceil_div(BLOCKS, tiles_n));
    run = mb_ceil_div(run < LEAST ? LEAST : run, LEAST) * LEAST;
    run = run > MOST_RUN ? MOST_RUN : run;
    return {a.m, tiles_n, run, mb_ceil_div(a.b.rows, run)};
}

/* The rows of A that a block multiplies, scaled by the scales of the matrix's rows. */
template <int M, typename T>
__device__ inline void load_a(float (*shared)[MOST_RUN], const T *a, int64_t lda, int rows,
                              int count, const float *row_scales)
{
    for (int i = 0; i < M; i++) {
        for (int k = (int)threadIdx.x; k < count; k += THREADS) {
            float value = i < rows ? mb_load(a, i * lda + k) : 0.0f;
            shared[i][k] = row_scales != nullptr ? value * row_scales[k] : value;
        }
    }
}

struct a_t {
    mb_dtype_t type;
    const void *p;
    int64_t ld;
};

/* A's type is looked at here alone, so that there are fewer kernels. */
template <int M>
__device__ inline void load_any_a(float (*shared)[MOST_RUN], const a_t &a, int64_t first, int rows,
                                  int count, const float *row_scales)
{
    if (a.type == MB_BF16)
        load_a<M>(shared, (const __nv_bfloat16 *)a.p + first, a.ld, rows, count, row_scales);
    else if (a.type == MB_F16)
        load_a<M>(shared, (const __half *)a.p + first, a.ld, rows, count, row_scales);
    else
        load_a<M>(shared, (const float *)a.p + first, a.ld, rows, count, row_scales);
}

/* sum[i][j] += what a few rows of codes from ROW on give, those past END left out. */
template <mb_number_t NUMBER, int M>
__device__ inline void add_rows(const stored_t &s, int64_t row, int64_t end, int64_t column,
                                const scales_t<W> &scales, const float (*a)[MOST_RUN], int at,
                                float (&sum)[M][W])
{
    constexpr int STEP = step_rows<NUMBER, M>;
    codes_t<W> codes[STEP];
#pragma unroll
    for (int r = 0; r < STEP; r++) {
        int64_t real = row + r < end ? row + r : end - 1;
        load_codes_of<bits_of(NUMBER)>(s, real, column, codes[r]);
    }
#pragma unroll
    for (int r = 0; r < STEP; r++) {
        float value[W];
        decode_all<NUMBER>(codes[r], s.power, value);
        if (row + r >= end)
            break;
#pragma unroll
        for (int j = 0; j < W; j++)
            if (NUMBER == MB_NUMBER_U4)
                value[j] -= scales.zero(j);
#pragma unroll
        for (int i = 0; i < M; i++) {
            float factor = a[i][at + r];
#pragma unroll
            for (int j = 0; j < W; j++)
                sum[i][j] += factor * value[j];
        }
    }
}

/* total[i][j] += the products of rows [ROW, END) of the matrix with A from AT on. */
template <mb_number_t NUMBER, int M>
__device__ inline void add_stretch(const stored_t &s, int64_t row, int64_t end, int64_t column,
                                   const float (*a)[MOST_RUN], int at, float (&total)[M][W])
{
    constexpr int STEP = step_rows<NUMBER, M>;
    while (row < end) {
        int64_t last = end;
        if (s.block_rows > 0 && (row / s.block_rows + 1) * s.block_rows < end)
            last = (row / s.block_rows + 1) * s.block_rows;
        scales_t<W> scales;
        load_scales(s, row, column, scales);
        float sum[M][W] = {};
        for (; row < last; row += STEP, at += STEP)
            add_rows<NUMBER, M>(s, row, last, column, scales, a, at, sum);
        at -= (int)(row - last);
        row = last;
#pragma unroll
        for (int i = 0; i < M; i++)
#pragma unroll
            for (int j = 0; j < W; j++)
                total[i][j] += scales.scale[j] * sum[i][j];
    }
}

/* Adds up the warps of a block, in order. */
template <int M>
__device__ inline void store_totals(float (*shared)[COLUMNS], const float (&total)[M][W], int rows,
                                    int64_t column, int64_t columns, float *partial)
{
    int warp = (int)threadIdx.x / MB_WARP, lane = (int)threadIdx.x % MB_WARP;
#pragma unroll
    for (int i = 0; i < M; i++) {
        __syncthreads();
#pragma unroll
        for (int j = 0; j < W; j++)
            shared[warp][j * MB_WARP + lane] = total[i][j];
        __syncthreads();
        int at = (int)threadIdx.x;
        int64_t c = column + at % MB_WARP * W + at / MB_WARP;
        float sum = shared[0][at];
        for (int w = 1; w < WARPS; w++)
            sum += shared[w][at];
        if (i < rows && c < columns)
            partial[i * columns + c] = sum;
    }
}

template <mb_number_t NUMBER, int M>
__global__ void __launch_bounds__(THREADS, 2)
    rows_kernel(stored_t s, rows_plan_t p, a_t a, float *partial)
{
    __shared__ float shared_a[M][MOST_RUN];
    __shared__ float shared_sums[WARPS][COLUMNS];
    /* Blocks that read the same codes follow each other. */
    int64_t chunks = mb_ceil_div(p.m, M), rest = blockIdx.x / chunks;
    int64_t first_m = blockIdx.x % chunks * M, run = rest / p.tiles_n;
    int64_t begin = run * p.run, end = begin + p.run < s.rows ? begin + p.run : s.rows;
    int rows = (int)(p.m - first_m < M ? p.m - first_m : M);
    load_any_a<M>(shared_a, a, first_m * a.ld + begin, rows, (int)(end - begin),
                  s.row_scales != nullptr ? s.row_scales + begin : nullptr);
    __syncthreads();
    int64_t column = rest % p.tiles_n * COLUMNS + threadIdx.x % MB_WARP * W;
    int64_t stretch = p.run / WARPS, at = threadIdx.x / MB_WARP * stretch;
    int64_t stop = begin + at + stretch < end ? begin + at + stretch : end;
    float total[M][W] = {};
    if (column < s.columns)
        add_stretch<NUMBER, M>(s, begin + at, stop, column, shared_a, (int)at, total);
    store_totals<M>(shared_sums, total, rows, rest % p.tiles_n * COLUMNS, s.columns,
                    partial + (run * p.m + first_m) * s.columns);
}

template <mb_number_t NUMBER, int M>
void launch_rows(mb_exec_t *exec, const mb_stored_gemm_args_t *args, const rows_plan_t &p,
                 float *partial)
{
    int64_t blocks = mb_ceil_div(p.m, M) * p.tiles_n * p.runs;
    a_t a = {args->type, args->a, args->lda};
    MB_LAUNCH((rows_kernel<NUMBER, M>), (unsigned)blocks, THREADS, 0, mb_cuda_stream(exec),
              stored_of(args->b), p, a, partial);
}

mb_status_t run_rows(mb_exec_t *exec, const mb_stored_gemm_args_t *args, const rows_plan_t &p,
                     float *partial)
{
    STORED_NUMBER(args->b.number, if (p.m == 1) launch_rows<N, 1>(exec, args, p, partial);
                  else launch_rows<N, 4>(exec, args, p, partial));
    return mb_cuda_launched(MB_OP_STORED_GEMM);
}

} // namespace

mb_status_t mb_cuda_stored_rows(mb_exec_t *exec, const mb_stored_gemm_args_t *args)
{
    rows_plan_t p = plan_of(*args);
    void *partial;
    MB_TRY(mb_cuda_workspace(exec, MB_OP_STORED_GEMM,
                             sizeof(float) * (size_t)(p.runs * p.m * args->b.columns), &partial));
    if (exec->planning)
        return MB_OK;
    MB_TRY(run_rows(exec, args, p, (float *)partial));
    MB_CUDA_TYPED(MB_OP_STORED_GEMM, args->type,
                  return finish_runs<T>(exec, args, p.runs, (const float *)partial));
}
