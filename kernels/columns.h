/* Matrices [rows, columns] walked down their columns. A block takes a tile of columns and a run of
 * rows: LANES of its threads lie along the columns, each with W neighbouring ones (16 bytes where
 * the number of columns is a multiple of that, one otherwise), the rest along the rows.
 *
 * A reduction has two levels: what the rows of a block's threads hold is combined by a tree, and
 * what the blocks leave is added in their order by a second kernel, which a single block needs not.
 * Bound by memory: every element is read once. */
#ifndef MB_KERNELS_COLUMNS_H
#define MB_KERNELS_COLUMNS_H

#include "reduce.h"
#include "runs.h"

namespace
{

constexpr int MB_COLUMNS_THREADS = 256;

struct mb_columns {
    int64_t rows, columns;
    int lanes_log2;
    int64_t tiles, rows_block, blocks;
};

/* Columns of a thread: 16 bytes of T if all rows begin at multiples of that. */
template <typename T> inline int mb_columns_width(int64_t columns)
{
    return columns % mb_width<T> == 0 ? mb_width<T> : 1;
}

inline mb_columns mb_columns_of(int64_t rows, int64_t columns, int width, int64_t rows_block)
{
    mb_columns c = {rows, columns, 0, 0, rows_block, 0};
    while (c.lanes_log2 < 5 && (int64_t)width << c.lanes_log2 < columns)
        c.lanes_log2++;
    c.tiles = mb_ceil_div(columns, (int64_t)width << c.lanes_log2);
    c.blocks = rows == 0 ? 1 : mb_ceil_div(rows, rows_block);
    return c;
}

/* For elementwise work: each thread has a few rows, for which it keeps what belongs to its columns.
 */
inline mb_columns mb_columns_to_walk(int64_t rows, int64_t columns, int width)
{
    constexpr int ROWS_A_THREAD = 8;
    mb_columns c = mb_columns_of(rows, columns, width, 1);
    return mb_columns_of(rows, columns, width,
                         ROWS_A_THREAD * (MB_COLUMNS_THREADS >> c.lanes_log2));
}

/* For reductions: blocks enough for any device, threads with rows enough to be worth a block, and
 * not so many that rounding errors add up. */
inline mb_columns mb_columns_to_reduce(int64_t rows, int64_t columns, int width)
{
    constexpr int64_t BLOCKS = 512, LEAST = 4, MOST = 256;
    mb_columns c = mb_columns_of(rows, columns, width, 1);
    int64_t side = MB_COLUMNS_THREADS >> c.lanes_log2;
    int64_t a_thread = mb_ceil_div(mb_ceil_div(rows * c.tiles, BLOCKS), side);
    a_thread = a_thread < LEAST ? LEAST : a_thread > MOST ? MOST : a_thread;
    return mb_columns_of(rows, columns, width, a_thread * side);
}

inline unsigned mb_columns_grid(const mb_columns &c)
{
    return (unsigned)(c.tiles * c.blocks);
}

/* Where a thread stands: its first column, and rows ROW, ROW + STEP, ... below END. */
struct mb_columns_place {
    int64_t block, column, row, end;
    int step;
};

template <int W> __device__ inline mb_columns_place mb_columns_here(const mb_columns &c)
{
    int lane = (int)threadIdx.x & ((1 << c.lanes_log2) - 1),
        side = (int)threadIdx.x >> c.lanes_log2;
    int64_t block = blockIdx.x / c.tiles, tile = blockIdx.x - block * c.tiles;
    int64_t begin = block * c.rows_block, end = begin + c.rows_block;
    return {block, ((tile << c.lanes_log2) + lane) * W, begin + side, end < c.rows ? end : c.rows,
            MB_COLUMNS_THREADS >> c.lanes_log2};
}

/* VALUE of all threads with the same columns, combined; the same in all of them. */
template <int W, typename A, typename F>
__device__ inline void mb_columns_combine(const mb_columns &c, A (&value)[W], F f)
{
    __shared__ A shared[W][MB_COLUMNS_THREADS];
    int own = (int)threadIdx.x, lanes = 1 << c.lanes_log2;
    for (int k = 0; k < W; k++)
        shared[k][own] = value[k];
    for (int half = MB_COLUMNS_THREADS / 2; half >= lanes; half /= 2) {
        __syncthreads();
        for (int k = 0; k < W && own < half; k++)
            shared[k][own] = f(shared[k][own], shared[k][own + half]);
    }
    __syncthreads();
    for (int k = 0; k < W; k++)
        value[k] = shared[k][own & (lanes - 1)];
    __syncthreads();
}

/* ---- sums
 *
 * ADD: operator()(row, column, sum) adds what one row has to A sum[SUMS][W].
 * FINISH: operator()(column, total) takes the totals of a column, double [SUMS]. */

template <int SUMS, typename A, int W, typename ADD, typename FINISH>
__global__ void __launch_bounds__(MB_COLUMNS_THREADS, 3)
    mb_columns_sum_kernel(mb_columns c, ADD add, FINISH finish, A *partial)
{
    mb_columns_place at = mb_columns_here<W>(c);
    A sum[SUMS][W] = {};
    if (at.column < c.columns) {
#pragma unroll 4
        for (int64_t row = at.row; row < at.end; row += at.step)
            add(row, at.column, sum);
    }
    for (int s = 0; s < SUMS; s++)
        mb_columns_combine(c, sum[s], mb_sum_of());
    if (threadIdx.x >> c.lanes_log2 != 0 || at.column >= c.columns)
        return;
#pragma unroll
    for (int k = 0; k < W; k++) {
        double total[SUMS];
        for (int s = 0; s < SUMS; s++)
            total[s] = (double)sum[s][k];
        if (c.blocks == 1)
            finish(at.column + k, total);
        for (int s = 0; s < SUMS && c.blocks > 1; s++)
            partial[(at.block * SUMS + s) * c.columns + at.column + k] = sum[s][k];
    }
}

template <int SUMS, typename A, typename FINISH>
__global__ void __launch_bounds__(MB_COLUMNS_THREADS, 3)
    mb_columns_finish_kernel(mb_columns c, int64_t blocks, FINISH finish, const A *partial)
{
    mb_columns_place at = mb_columns_here<1>(c);
    double total[SUMS][1] = {};
    if (at.column < c.columns) {
        for (int s = 0; s < SUMS; s++)
#pragma unroll 4
            for (int64_t block = at.row; block < blocks; block += at.step)
                total[s][0] += (double)partial[(block * SUMS + s) * c.columns + at.column];
    }
    for (int s = 0; s < SUMS; s++)
        mb_columns_combine(c, total[s], mb_sum_of());
    if (threadIdx.x >> c.lanes_log2 != 0 || at.column >= c.columns)
        return;
    double sums[SUMS];
    for (int s = 0; s < SUMS; s++)
        sums[s] = total[s][0];
    finish(at.column, sums);
}

template <int SUMS, typename A> inline size_t mb_columns_partial_bytes(const mb_columns &c)
{
    return c.blocks > 1 ? sizeof(A) * SUMS * (size_t)(c.blocks * c.columns) : 0;
}

template <int SUMS, typename A, int W, typename ADD, typename FINISH>
mb_status_t mb_cuda_columns_sum(mb_exec_t *exec, mb_op_t op, const mb_columns &c, ADD add,
                                FINISH finish, void *partial)
{
    MB_LAUNCH((mb_columns_sum_kernel<SUMS, A, W, ADD, FINISH>), mb_columns_grid(c),
              MB_COLUMNS_THREADS, 0, mb_cuda_stream(exec), c, add, finish, (A *)partial);
    if (c.blocks > 1) {
        mb_columns over = mb_columns_of(c.blocks, c.columns, 1, c.blocks);
        MB_LAUNCH((mb_columns_finish_kernel<SUMS, A, FINISH>), mb_columns_grid(over),
                  MB_COLUMNS_THREADS, 0, mb_cuda_stream(exec), over, c.blocks, finish,
                  (const A *)partial);
    }
    return mb_cuda_launched(op);
}

/* Takes the totals of a normalization: sums of dy are the gradient of beta, and sums of dy times
 * the normalized input that of gamma. Either may be NULL. */
struct mb_columns_gradients {
    float *dgamma, *dbeta;
    bool accumulate;

    __device__ void put(float *out, double sum) const
    {
        if (out != NULL)
            *out = (float)((accumulate ? (double)*out : 0.0) + sum);
    }
    __device__ void operator()(int64_t column, const double (&total)[2]) const
    {
        put(dbeta == NULL ? NULL : dbeta + column, total[0]);
        put(dgamma == NULL ? NULL : dgamma + column, total[1]);
    }
};

} // namespace

/* Runs BODY with W the columns of a thread. */
#define MB_CUDA_WIDE(T, COLUMNS, ...)                                                              \
    do {                                                                                           \
        if (mb_columns_width<T>(COLUMNS) == 1) {                                                   \
            constexpr int W = 1;                                                                   \
            __VA_ARGS__;                                                                           \
        } else {                                                                                   \
            constexpr int W = mb_width<T>;                                                         \
            __VA_ARGS__;                                                                           \
        }                                                                                          \
    } while (0)

#endif
