/* Attention in floats, for any width of heads: what its kernels share. 256 threads multiply 64 rows
 * that the block owns by 64 that stream past, each 4 x 4 scores, 32 numbers of their width at a
 * time; the result's columns are cut into chunks, each with blocks of its own. Bound by the
 * products and what they read from shared memory. */
#ifndef MB_KERNELS_ATTENTION_PLAIN_H
#define MB_KERNELS_ATTENTION_PLAIN_H

#include "attention.h"

namespace
{

constexpr int PLAIN_THREADS = 256;
constexpr int PLAIN_ROWS = 64; /* owned, and streaming */
constexpr int PLAIN_DEPTH = 32;
constexpr int PLAIN_LD = PLAIN_ROWS + 4;
constexpr int PLAIN_MOST_COLUMNS = 128; /* of a chunk */

/* Columns of a chunk where there are over 64. Of 16 bits only odd widths and those over 128 come
 * here, which are not worth kernels of their own. */
template <typename T> constexpr int plain_wide = sizeof(T) == 4 ? PLAIN_MOST_COLUMNS : 64;

/* Two blocks a multiprocessor leave 128 registers; random numbers take more. */
template <bool DROP> constexpr int plain_blocks = DROP ? 1 : 2;

/* Rows of a matrix: ROWS of them are there, each WIDTH numbers. */
template <typename T> struct rows_t {
    const T *first;
    int64_t stride;
    int rows, width;
};

template <typename T> __device__ inline rows_t<T> rows_from(const rows_t<T> &r, int row)
{
    return {r.first + row * r.stride, r.stride, r.rows - row, r.width};
}

/* Two pieces of rows while scores are computed, then one of what is weighted by them; and the
 * weights. */
struct plain_shared_t {
    union {
        struct {
            float own[PLAIN_DEPTH][PLAIN_LD], stream[PLAIN_DEPTH][PLAIN_LD];
        };
        float values[PLAIN_DEPTH][PLAIN_MOST_COLUMNS];
    };
    float weight[PLAIN_ROWS][PLAIN_LD]; /* [streaming row][own row] */
};

/* A thread's rows and columns of scores: four from here on. */
__device__ inline int plain_row()
{
    return threadIdx.x / 16 * 4;
}

__device__ inline int plain_column()
{
    return threadIdx.x % 16 * 4;
}

__device__ inline void read_four(float (&out)[4], const float *p)
{
    float4 four = *reinterpret_cast<const float4 *>(p);
    out[0] = four.x, out[1] = four.y, out[2] = four.z, out[3] = four.w;
}

/* piece[k][row] = rows[row][depth + k]; eight lanes side by side in memory, four rows a warp, so
 * that the transposing stores meet different banks. */
template <typename T>
__device__ inline void load_piece(float (&piece)[PLAIN_DEPTH][PLAIN_LD], const rows_t<T> &rows,
                                  int depth)
{
    int lane = threadIdx.x % MB_WARP, warp = threadIdx.x / MB_WARP;
#pragma unroll 4
    for (int i = 0; i < 8; i++) {
        int k = lane % 8 + i % 4 * 8, row = lane / 8 + (warp + i / 4 * 8) * 4;
        bool real = row < rows.rows && depth + k < rows.width;
        piece[k][row] = real ? mb_load(rows.first, row * rows.stride + depth + k) : 0.0f;
    }
}

/* score[i][j] = own row i times streaming row j. */
template <typename T>
__device__ inline void plain_scores(plain_shared_t &shared, const rows_t<T> &own,
                                    const rows_t<T> &stream, float (&score)[4][4])
{
#pragma unroll
    for (int i = 0; i < 16; i++)
        score[i / 4][i % 4] = 0.0f;
    for (int depth = 0; depth < own.width; depth += PLAIN_DEPTH) {
        __syncthreads();
        load_piece(shared.own, own, depth);
        load_piece(shared.stream, stream, depth);
        __syncthreads();
#pragma unroll 2
        for (int k = 0; k < PLAIN_DEPTH; k++) {
            float a[4], b[4];
            read_four(a, shared.own[k] + plain_row());
            read_four(b, shared.stream[k] + plain_column());
#pragma unroll
            for (int i = 0; i < 16; i++)
                score[i / 4][i % 4] += a[i / 4] * b[i % 4];
        }
    }
}

__device__ inline void share_weights(plain_shared_t &shared, const float (&weight)[4][4])
{
#pragma unroll
    for (int j = 0; j < 4; j++)
        *reinterpret_cast<float4 *>(&shared.weight[plain_column() + j][plain_row()]) =
            make_float4(weight[0][j], weight[1][j], weight[2][j], weight[3][j]);
}

/* Column j of a thread's sums, in a chunk. */
__device__ inline int plain_sum_column(int j)
{
    return plain_column() + j % 4 + j / 4 * 64;
}

template <typename T, int COLUMNS>
__device__ inline void load_values(float *values, const rows_t<T> &rows, int column)
{
    for (int i = threadIdx.x; i < PLAIN_DEPTH * COLUMNS; i += PLAIN_THREADS) {
        int row = i / COLUMNS;
        int c = column + i % COLUMNS;
        bool real = row < rows.rows && c < rows.width;
        values[i] = real ? mb_load(rows.first, row * rows.stride + c) : 0.0f;
    }
}

/* sum[own row i][column j] += weight[own row, streaming row] stream[streaming row][column + j],
 * over all streaming rows, with the weights that are shared. */
template <typename T, int COLUMNS>
__device__ inline void plain_add_weighted(plain_shared_t &shared, const rows_t<T> &stream,
                                          int column, float (&sum)[4][COLUMNS / 16])
{
    float *values = shared.values[0];
    for (int first = 0; first < PLAIN_ROWS; first += PLAIN_DEPTH) {
        __syncthreads();
        load_values<T, COLUMNS>(values, rows_from(stream, first), column);
        __syncthreads();
#pragma unroll 2
        for (int k = 0; k < PLAIN_DEPTH; k++) {
            float w[4], v[4];
            read_four(w, shared.weight[first + k] + plain_row());
#pragma unroll
            for (int j = 0; j < COLUMNS / 16; j += 4) {
                read_four(v, values + k * COLUMNS + plain_sum_column(j));
#pragma unroll
                for (int i = 0; i < 16; i++)
                    sum[i / 4][j + i % 4] += w[i / 4] * v[i % 4];
            }
        }
    }
}

template <typename T, int COLUMNS>
__device__ inline void plain_store(const float (&sum)[4][COLUMNS / 16], T *to, int64_t stride,
                                   int rows, int column, int width, const float (&factor)[4])
{
#pragma unroll
    for (int i = 0; i < 4; i++) {
        int row = plain_row() + i;
#pragma unroll
        for (int j = 0; j < COLUMNS / 16; j++) {
            int c = column + plain_sum_column(j);
            if (row < rows && c < width)
                mb_store(to, row * stride + c, sum[i][j] * factor[i]);
        }
    }
}

} // namespace

#endif
