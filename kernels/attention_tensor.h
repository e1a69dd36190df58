/* Attention on tensor cores (Dao: "FlashAttention-2", 2023, arXiv 2307.08691): what its kernels
 * share. A block owns a tile of rows (queries, or keys) in shared memory, each warp 16 M of them,
 * and rows of the other kind stream past in tiles of N; scores stand in registers, and the
 * fragments that hold the result of one product are the operand of the next. */
#ifndef MB_KERNELS_ATTENTION_TENSOR_H
#define MB_KERNELS_ATTENTION_TENSOR_H

#include "attention.h"
#include "mma.h"

namespace
{

constexpr int TENSOR_WARPS = 4;
constexpr int TENSOR_THREADS = TENSOR_WARPS * MB_WARP;
constexpr int TENSOR_MOST_WIDTH = 128;

/* Numbers of a row in shared memory: 16 bytes more than WIDTH, so that 8 rows lie in different
 * banks. */
template <int WIDTH> constexpr int tile_ld = WIDTH + 8;

template <int WIDTH> constexpr size_t tile_bytes(int rows)
{
    return (size_t)rows * tile_ld<WIDTH> * 2;
}

/* Whether heads of these widths are for tensor cores: rows of whole 16 bytes. Masks are not. */
inline bool tensor_suits(const attention_t &a)
{
    return a.masks == 0 && a.d % 8 == 0 && a.dv % 8 == 0 && a.d <= TENSOR_MOST_WIDTH &&
           a.dv <= TENSOR_MOST_WIDTH;
}

/* Rows that are not there and columns past `width` become zero. */
template <typename T, int WIDTH, int ROWS>
__device__ inline void start_tile(mb_copies &copies, T *tile, const T *from, int64_t stride,
                                  int64_t rows, int64_t width)
{
    constexpr int PACKS = WIDTH / 8, STEP = TENSOR_THREADS / PACKS;
    static_assert(TENSOR_THREADS % PACKS == 0 && ROWS % STEP == 0, "every thread copies as much");
    int r = threadIdx.x / PACKS, c = threadIdx.x % PACKS * 8;
    const T *at = from + r * stride + c;
    tile += r * tile_ld<WIDTH> + c;
#pragma unroll
    for (int i = 0; i < ROWS; i += STEP, at += STEP * stride) {
        bool real = r + i < rows && c < width;
        copies.start(tile + i * tile_ld<WIDTH>, real ? at : from, real);
    }
}

/* sum[16 M, 8 N] += own[16 M, WIDTH] stream[8 N, WIDTH]^T, both in shared memory. Not unrolled as
 * a whole: the loads that would then be under way at once do not fit into registers. */
template <typename T, int WIDTH, int M, int N>
__device__ inline void multiply_rows(float (&sum)[M][N][4], const T *own, const T *stream)
{
    constexpr int LD = tile_ld<WIDTH>;
#pragma unroll(M > 1 ? 2 : 4)
    for (int k = 0; k < WIDTH; k += 16) {
        uint32_t a[M][4];
#pragma unroll
        for (int m = 0; m < M; m++)
            mb_load_a(a[m], own + m * 16 * LD + k, LD);
#pragma unroll
        for (int n = 0; n < N; n += 2) {
            uint32_t b[2][2];
            mb_load_b_transposed(b[0], b[1], stream + n * 8 * LD + k, LD);
#pragma unroll
            for (int m = 0; m < M; m++) {
                mb_mma<T>(sum[m][n], a[m], b[0]);
                mb_mma<T>(sum[m][n + 1], a[m], b[1]);
            }
        }
    }
}

/* sum[16 M, WIDTH] += weight[16 M, 8 N], rounded to T, times stream[8 N, WIDTH]. */
template <typename T, int WIDTH, int M, int N>
__device__ inline void add_weighted(float (&sum)[M][WIDTH / 8][4], const float (&weight)[M][N][4],
                                    const T *stream)
{
    constexpr int LD = tile_ld<WIDTH>;
#pragma unroll
    for (int k = 0; k < N; k += 2) {
        uint32_t a[M][4];
#pragma unroll
        for (int m = 0; m < M; m++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const float *pair = weight[m][k + i / 2] + i % 2 * 2;
                a[m][i] = mb_pair_of<T>(pair[0], pair[1]);
            }
        }
#pragma unroll
        for (int n = 0; n < WIDTH / 8; n += 2) {
            uint32_t b[2][2];
            mb_load_b(b[0], b[1], stream + k * 8 * LD + n * 8, LD);
#pragma unroll
            for (int m = 0; m < M; m++) {
                mb_mma<T>(sum[m][n], a[m], b[0]);
                mb_mma<T>(sum[m][n + 1], a[m], b[1]);
            }
        }
    }
}

template <int M, int N> __device__ inline void scale_all(float (&value)[M][N][4], float factor)
{
#pragma unroll
    for (int i = 0; i < 4 * M * N; i++)
        value[i / (4 * N)][i / 4 % N][i % 4] *= factor;
}

/* Rows 16 M of a warp's sums, each times its factor, to rows of T. `rows` of them are there;
 * factor(m, half) belongs to row 16 m + 8 half + g. */
template <typename T, int WIDTH, int M, typename F>
__device__ inline void store_rows(const float (&sum)[M][WIDTH / 8][4], T *to, int64_t stride,
                                  int64_t rows, int64_t width, F factor)
{
    int lane = threadIdx.x % MB_WARP;
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int row = 16 * m + 8 * half + lane / 4;
            float f = factor(m, half);
#pragma unroll
            for (int n = 0; n < WIDTH / 8; n++) {
                int column = 8 * n + lane % 4 * 2;
                const float *pair = sum[m][n] + 2 * half;
                if (row < rows && column < width)
                    *reinterpret_cast<uint32_t *>(to + row * stride + column) =
                        mb_pair_of<T>(pair[0] * f, pair[1] * f);
            }
        }
    }
}

} // namespace

#endif
