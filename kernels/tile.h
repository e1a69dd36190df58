/* C[M,N] = A[M,K] B[K,N] by tiles, whatever A and B are made from: a block keeps a tile of C in
 * registers while pieces of A and B pass through shared memory in a ring of stages, copied (or
 * decoded) two stages ahead of their use. What fills the stages is the caller's: a loader. Numbers
 * of 16 bits go through tensor cores; floats are multiplied by threads, 8 x 4 each.
 *
 * Either operand lies in shared memory by k ([k, m], [k, n]) or by row and column ([m, k], [n, k]):
 * whichever makes neighbours in memory neighbours there. Bound by the products where tiles are many
 * enough for the device. */
#ifndef MB_KERNELS_TILE_H
#define MB_KERNELS_TILE_H

#include "mma.h"

namespace
{

template <typename T_, int M_, int N_, bool A_BY_K_, bool B_BY_K_> struct tile_t {
    using T = T_;
    static constexpr int M = M_, N = N_, K = sizeof(T) == 4 ? 16 : 32, STAGES = 3;
    static constexpr bool A_BY_K = A_BY_K_, B_BY_K = B_BY_K_;
    static constexpr int THREADS = M * N > 64 * 64 ? 256 : 128;
    /* 16 bytes more than a row has, so that neighbouring rows lie in different banks. */
    static constexpr int PAD = 16 / sizeof(T);
    static constexpr int A_ROWS = A_BY_K ? K : M, A_COLUMNS = A_BY_K ? M : K;
    static constexpr int B_ROWS = B_BY_K ? K : N, B_COLUMNS = B_BY_K ? N : K;
    static constexpr int A_LD = A_COLUMNS + PAD, B_LD = B_COLUMNS + PAD;
    static constexpr int A_SIZE = A_ROWS * A_LD, B_SIZE = B_ROWS * B_LD;
    static constexpr size_t BYTES = sizeof(T) * STAGES * (A_SIZE + B_SIZE);
};

/* ---- what a thread has of C */

template <typename TILE, int WIDTH = sizeof(typename TILE::T)> struct tile_sum_t;

/* On tensor cores, which add numbers of A: a warp has a part of the tile, of 16 x 8 pieces. */
template <typename TILE, typename A, int WARPS_N> struct warp_sum_t {
    static constexpr int WARPS_M = TILE::THREADS / MB_WARP / WARPS_N;
    static constexpr int WARP_M = TILE::M / WARPS_M, WARP_N = TILE::N / WARPS_N;
    static constexpr int PIECES_M = WARP_M / 16, PIECES_N = WARP_N / 8;
    A sum[PIECES_M][PIECES_N][4];

    static __device__ int first_row()
    {
        return (int)threadIdx.x / MB_WARP / WARPS_N * WARP_M;
    }
    static __device__ int first_column()
    {
        return (int)threadIdx.x / MB_WARP % WARPS_N * WARP_N;
    }
    __device__ void clear()
    {
        memset(sum, 0, sizeof sum);
    }
    /* f(row, column, pair): two neighbours of C, the first of an even column. */
    template <typename F> __device__ void each_pair(F f)
    {
        int row = first_row() + (int)threadIdx.x % MB_WARP / 4;
        int column = first_column() + (int)threadIdx.x % 4 * 2;
#pragma unroll
        for (int m = 0; m < PIECES_M; m++)
#pragma unroll
            for (int half = 0; half < 2; half++)
#pragma unroll
                for (int n = 0; n < PIECES_N; n++)
                    f(row + 16 * m + 8 * half, column + 8 * n, sum[m][n] + 2 * half);
    }
};

template <typename TILE>
struct tile_sum_t<TILE, 2> : warp_sum_t<TILE, float, TILE::N >= 128 ? 4 : 2> {
    using T = typename TILE::T;
    using WARP = warp_sum_t<TILE, float, TILE::N >= 128 ? 4 : 2>;
    using WARP::PIECES_M, WARP::PIECES_N, WARP::sum;

    __device__ void multiply(const T *a, const T *b)
    {
        const T *own_a = a + WARP::first_row() * (TILE::A_BY_K ? 1 : TILE::A_LD);
        const T *own_b = b + WARP::first_column() * (TILE::B_BY_K ? 1 : TILE::B_LD);
#pragma unroll
        for (int k = 0; k < TILE::K; k += 16) {
            uint32_t left[PIECES_M][4];
#pragma unroll
            for (int m = 0; m < PIECES_M; m++) {
                if constexpr (TILE::A_BY_K)
                    mb_load_a_transposed(left[m], own_a + k * TILE::A_LD + 16 * m, TILE::A_LD);
                else
                    mb_load_a(left[m], own_a + 16 * m * TILE::A_LD + k, TILE::A_LD);
            }
#pragma unroll
            for (int n = 0; n < PIECES_N; n += 2) {
                uint32_t right[2][2];
                if constexpr (TILE::B_BY_K)
                    mb_load_b(right[0], right[1], own_b + k * TILE::B_LD + 8 * n, TILE::B_LD);
                else
                    mb_load_b_transposed(right[0], right[1], own_b + 8 * n * TILE::B_LD + k,
                                         TILE::B_LD);
#pragma unroll
                for (int m = 0; m < PIECES_M; m++) {
                    mb_mma<T>(sum[m][n], left[m], right[0]);
                    mb_mma<T>(sum[m][n + 1], left[m], right[1]);
                }
            }
        }
    }
};

/* In floats: sixteen threads lie along the columns. Rows and columns of a thread are such that its
 * 16-byte loads and its neighbours' meet different banks. */
template <typename TILE> struct tile_sum_t<TILE, 4> {
    static constexpr int SIDE = TILE::THREADS / 16;
    static constexpr int ROWS = TILE::M / SIDE, COLUMNS = TILE::N / 16;
    static_assert(COLUMNS == 4 && ROWS % 4 == 0, "a thread's part");
    float sum[ROWS][COLUMNS];

    static __device__ int row(int i)
    {
        int side = (int)threadIdx.x / 16;
        return TILE::A_BY_K ? i / 4 * 4 * SIDE + 4 * side + i % 4 : side + i * SIDE;
    }
    static __device__ int column(int j)
    {
        int lane = (int)threadIdx.x % 16;
        return TILE::B_BY_K ? 4 * lane + j : 2 * lane + j % 2 + j / 2 * 32;
    }
    __device__ void clear()
    {
        memset(sum, 0, sizeof sum);
    }
    /* value[4]: of four k from K on, or of four neighbours, at one k. */
    static __device__ void read(float (&value)[4], const float *p)
    {
        float4 four = *reinterpret_cast<const float4 *>(p);
        value[0] = four.x, value[1] = four.y, value[2] = four.z, value[3] = four.w;
    }
    static __device__ void read_a(float (&left)[ROWS][4], const float *a, int k)
    {
#pragma unroll
        for (int i = 0; i < ROWS; i++) {
            if constexpr (!TILE::A_BY_K) {
                read(left[i], a + row(i) * TILE::A_LD + k);
            } else if (i % 4 == 0) {
#pragma unroll
                for (int next = 0; next < 4; next++) {
                    float four[4];
                    read(four, a + (k + next) * TILE::A_LD + row(i));
#pragma unroll
                    for (int j = 0; j < 4; j++)
                        left[i + j][next] = four[j];
                }
            }
        }
    }
    static __device__ void read_b(float (&right)[4][COLUMNS], const float *b, int k)
    {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            if constexpr (TILE::B_BY_K) {
                read(right[j], b + (k + j) * TILE::B_LD + column(0));
            } else {
                float four[4];
                read(four, b + column(j) * TILE::B_LD + k);
#pragma unroll
                for (int next = 0; next < 4; next++)
                    right[next][j] = four[next];
            }
        }
    }
    __device__ void multiply(const float *a, const float *b)
    {
#pragma unroll 2
        for (int k = 0; k < TILE::K; k += 4) {
            float left[ROWS][4], right[4][COLUMNS];
            read_a(left, a, k);
            read_b(right, b, k);
#pragma unroll
            for (int next = 0; next < 4; next++)
#pragma unroll
                for (int i = 0; i < ROWS; i++)
#pragma unroll
                    for (int j = 0; j < COLUMNS; j++)
                        sum[i][j] += left[i][next] * right[next][j];
        }
    }
    template <typename F> __device__ void each_pair(F f)
    {
#pragma unroll
        for (int i = 0; i < ROWS; i++)
#pragma unroll
            for (int j = 0; j < COLUMNS; j += 2)
                f(row(i), column(j), sum[i] + j);
    }
};

/* ---- what fills the stages
 *
 * A loader has start(copies, stage, k), which begins to fill a stage with what belongs to k, k + 1,
 * ..., and finish(stage), called after a product has been computed meanwhile. */

/* Copies from where SOURCE says: SOURCE.turn(k, column) is called once a stage with the column of
 * the stage that a thread has, and SOURCE.at(k, row) then gives the address of VEC numbers from
 * there on, or NULL where zeros belong. SOURCE.anywhere(): any valid address. */
template <typename T, int ROWS, int COLUMNS, int LD, int VEC, int THREADS, typename SOURCE>
struct tile_copier_t {
    static constexpr int PACKS = COLUMNS / VEC, STEP = THREADS / PACKS, EACH = ROWS / STEP;
    static_assert(THREADS % PACKS == 0 && ROWS % STEP == 0, "every thread copies as much");
    static_assert(VEC == 1 || VEC * sizeof(T) == 16, "16 bytes or one number");
    SOURCE source;
    T held[VEC == 1 ? EACH : 1];

    static __device__ int first_row()
    {
        return (int)threadIdx.x / PACKS;
    }
    static __device__ int column()
    {
        return (int)threadIdx.x % PACKS * VEC;
    }
    __device__ void start(mb_copies &copies, T *stage, int k)
    {
        source.turn(k, column());
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            int row = first_row() + i * STEP;
            const T *from = source.at(k, row);
            if constexpr (VEC == 1) {
                held[i] = from != nullptr ? *from : T(0.0f);
            } else {
                bool real = from != nullptr;
                copies.start(stage + row * LD + column(), real ? from : source.anywhere(), real);
            }
        }
    }
    __device__ void finish(T *stage)
    {
        if constexpr (VEC == 1) {
#pragma unroll
            for (int i = 0; i < EACH; i++)
                stage[(first_row() + i * STEP) * LD + column()] = held[i];
        }
    }
};

template <typename TILE, int VEC, typename SOURCE>
using copier_of_a = tile_copier_t<typename TILE::T, TILE::A_ROWS, TILE::A_COLUMNS, TILE::A_LD, VEC,
                                  TILE::THREADS, SOURCE>;
template <typename TILE, int VEC, typename SOURCE>
using copier_of_b = tile_copier_t<typename TILE::T, TILE::B_ROWS, TILE::B_COLUMNS, TILE::B_LD, VEC,
                                  TILE::THREADS, SOURCE>;

/* Rows of a matrix as they stand: the stage's rows are k (BY_K) or the matrix's rows from `first`
 * on, and rows and columns end at these numbers. */
template <typename T, bool BY_K> struct matrix_source_t {
    const T *p;
    int64_t ld;
    int first, rows, columns; /* `first` of what k does not count */
    int column;

    __device__ const T *anywhere() const
    {
        return p;
    }
    __device__ void turn(int k, int of_stage)
    {
        column = (BY_K ? first : k) + of_stage;
    }
    __device__ const T *at(int k, int of_stage) const
    {
        int row = (BY_K ? k : first) + of_stage;
        return row < rows && column < columns ? p + row * ld + column : nullptr;
    }
};

/* ---- the product */

/* sum = A B over k in [BEGIN, END), END a multiple of TILE::K after BEGIN or what loaders fill with
 * zeros behind. SHARED has TILE::BYTES. */
template <typename TILE, typename A, typename B>
__device__ inline void tile_multiply(tile_sum_t<TILE> &sum, typename TILE::T *shared, A &a, B &b,
                                     int begin, int end)
{
    using T = typename TILE::T;
    constexpr int AHEAD = TILE::STAGES - 1;
    auto stage_a = [&](int stage) -> T * { return shared + stage * (TILE::A_SIZE + TILE::B_SIZE); };
    auto stage_b = [&](int stage) -> T * { return stage_a(stage) + TILE::A_SIZE; };
    mb_copies copies;
    sum.clear();
#pragma unroll
    for (int s = 0; s < AHEAD; s++) {
        int k = begin + s * TILE::K;
        if (k < end) {
            a.start(copies, stage_a(s), k);
            b.start(copies, stage_b(s), k);
            a.finish(stage_a(s));
            b.finish(stage_b(s));
        }
        copies.end_group();
    }
    int now = 0;
    for (int k = begin; k < end; k += TILE::K) {
        copies.template wait<AHEAD - 1>();
        __syncthreads();
        int next = now == 0 ? AHEAD : now - 1; /* the stage that was used last */
        bool more = k + AHEAD * TILE::K < end;
        if (more) {
            a.start(copies, stage_a(next), k + AHEAD * TILE::K);
            b.start(copies, stage_b(next), k + AHEAD * TILE::K);
        }
        copies.end_group();
        sum.multiply(stage_a(now), stage_b(now));
        if (more) {
            a.finish(stage_a(next));
            b.finish(stage_b(next));
        }
        now = now == AHEAD ? 0 : now + 1;
    }
    copies.template wait<0>();
}

/* Two neighbours, COUNT of them there: as one where the address allows. */
template <typename T> __device__ inline void store_pair(T *p, float first, float second, int count)
{
    const float pair[2] = {first, second};
    if (count >= 2 && reinterpret_cast<uintptr_t>(p) % (2 * sizeof(T)) == 0) {
        mb_store_pack<2>(p, pair);
        return;
    }
    for (int i = 0; i < 2 && i < count; i++)
        mb_store(p, i, pair[i]);
}

/* ---- which tile */

/* Sizes of tiles for C of M x N, COUNT times, by shape alone: the largest of which there are enough
 * for a large device. */
enum tile_size_t { TILE_128_128, TILE_128_64, TILE_64_64 };

inline tile_size_t choose_tile(int64_t m, int64_t n, int64_t count)
{
    constexpr int64_t ENOUGH = 120;
    if (n > 64 && mb_ceil_div(m, 128) * mb_ceil_div(n, 128) * count >= ENOUGH)
        return TILE_128_128;
    return mb_ceil_div(m, 128) * mb_ceil_div(n, 64) * count >= ENOUGH ? TILE_128_64 : TILE_64_64;
}

/* Shared memory of a kernel that needs more than it gets unasked. */
template <typename KERNEL> mb_status_t ask_for_shared(KERNEL *kernel, size_t bytes)
{
    return mb_cuda_check(cudaFuncSetAttribute((const void *)kernel,
                                              cudaFuncAttributeMaxDynamicSharedMemorySize,
                                              (int)bytes),
                         "asking for shared memory");
}

} // namespace

#endif
