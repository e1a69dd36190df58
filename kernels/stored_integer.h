/* Products in whole numbers, the same on any processor (device/cpu/stored.h):
 *
 *     q = round(x / scale) + zero, 0 <= q <= 255       for each row (or sample) of activations
 *     acc = sum over k of q * code                     exact
 *     c = row scale * column scale * (acc - zero * column sum) + bias
 *
 * Products go through tensor cores by tiles (tile.h): q without signs stands [m, k] in shared
 * memory; of the codes four rows stand in one word, [k / 4, n], as the instruction wants them,
 * turned around while they pass through registers. Products and sums of floats are rounded apart,
 * as there. */
#ifndef MB_KERNELS_STORED_INTEGER_H
#define MB_KERNELS_STORED_INTEGER_H

#include "stored.h"
#include "tile.h"

#include <float.h>

namespace
{

/* ---- activations */

struct row_code_t {
    float scale;
    int zero;
};

/* The largest magnitude as bits: those of infinity or more belong to what is not finite. */
struct range_t {
    float low, high;
    uint32_t magnitude;
};

__device__ inline range_t empty_range()
{
    return {0.0f, 0.0f, 0};
}

__device__ inline void widen_by(range_t &range, float value)
{
    uint32_t bits = __float_as_uint(value) & 0x7FFFFFFFu;
    range.low = value < range.low ? value : range.low;
    range.high = value > range.high ? value : range.high;
    range.magnitude = bits > range.magnitude ? bits : range.magnitude;
}

__device__ inline range_t united(const range_t &a, const range_t &b)
{
    return {fminf(a.low, b.low), fmaxf(a.high, b.high),
            a.magnitude > b.magnitude ? a.magnitude : b.magnitude};
}

constexpr int RANGE_THREADS = 256;

/* Of a whole block of RANGE_THREADS; the same in all of them. */
__device__ inline range_t range_of_block(range_t range)
{
    constexpr int WARPS = RANGE_THREADS / MB_WARP;
    __shared__ range_t warps[WARPS];
    for (int lanes = MB_WARP / 2; lanes > 0; lanes /= 2) {
        range_t other = {__shfl_xor_sync(~0u, range.low, lanes),
                         __shfl_xor_sync(~0u, range.high, lanes),
                         __shfl_xor_sync(~0u, range.magnitude, lanes)};
        range = united(range, other);
    }
    if (threadIdx.x % MB_WARP == 0)
        warps[threadIdx.x / MB_WARP] = range;
    __syncthreads();
    for (int w = 0; w < WARPS; w++)
        range = united(range, warps[w]);
    return range;
}

/* Adding it rounds to a whole number, ties to even, for magnitudes below 2^22. */
__device__ inline float rounded(float value)
{
    constexpr float ROUNDING = 12582912.0f;
    return __fsub_rn(__fadd_rn(value, ROUNDING), ROUNDING);
}

__device__ inline row_code_t code_of(const range_t &range)
{
    if (range.magnitude >= 0x7F800000u)
        return {__uint_as_float(0x7FC00000u), 0};
    /* Divided first: the difference may leave the range of float. */
    float scale = __fsub_rn(__fdiv_rn(range.high, 255.0f), __fdiv_rn(range.low, 255.0f));
    if (scale < FLT_MIN)
        return {0.0f, 0};
    return {scale, (int)rounded(__fmul_rn(-range.low, __fdiv_rn(1.0f, scale)))};
}

/* INVERSE: 1 / scale. */
__device__ inline uint32_t encode(float value, float inverse, int zero)
{
    int q = (int)rounded(__fmul_rn(value, inverse)) + zero;
    return (uint32_t)(q < 0 ? 0 : q > 255 ? 255 : q);
}

/* ---- results */

/* What a column's sums are scaled by. */
struct column_scale_t {
    float scale, bias;
    int sum;
};

__device__ inline column_scale_t column_scale_of(const stored_t &s, const int32_t *column_sums,
                                                 const float *bias, int64_t column)
{
    int64_t index = s.block_columns == 1 ? column : column / s.block_columns;
    return {scale_at(s, index), bias != nullptr ? bias[column] : 0.0f, column_sums[column]};
}

__device__ inline float scaled(int sum, const row_code_t &row, const column_scale_t &column)
{
    float whole_sum = (float)(sum - row.zero * column.sum);
    return __fadd_rn(__fmul_rn(__fmul_rn(row.scale, column.scale), whole_sum), column.bias);
}

/* ---- the product */

template <int M_, int N_> struct byte_tile_t {
    using T = uint8_t;
    static constexpr int M = M_, N = N_, K = 64, STAGES = 3;
    static constexpr int THREADS = M * N > 64 * 64 ? 256 : 128;
    static constexpr int A_ROWS = M, A_COLUMNS = K, A_LD = K + 16, A_SIZE = A_ROWS * A_LD;
    /* Words; the pad leaves the rows that a warp reads at once in different banks. */
    static constexpr int B_WORD_ROWS = K / 4, B_WORDS = N + 8;
    static constexpr int B_SIZE = B_WORD_ROWS * B_WORDS * 4;
    static constexpr size_t BYTES = STAGES * (A_SIZE + B_SIZE);
};

template <typename TILE> struct tile_sum_t<TILE, 1> : warp_sum_t<TILE, int32_t, 2> {
    using WARP = warp_sum_t<TILE, int32_t, 2>;
    using WARP::PIECES_M, WARP::PIECES_N, WARP::sum;

    __device__ void multiply(const uint8_t *a, const uint8_t *b)
    {
        const uint8_t *own_a = a + WARP::first_row() * TILE::A_LD;
        int lane = (int)threadIdx.x % MB_WARP;
        const uint32_t *own_b = reinterpret_cast<const uint32_t *>(b) + lane % 4 * TILE::B_WORDS +
                                WARP::first_column() + lane / 4;
#pragma unroll
        for (int k = 0; k < TILE::K; k += 32) {
            uint32_t left[PIECES_M][4];
#pragma unroll
            for (int m = 0; m < PIECES_M; m++)
                /* Pairs of bytes, as far as loading goes. */
                mb_load_a(left[m],
                          reinterpret_cast<const uint16_t *>(own_a + 16 * m * TILE::A_LD + k),
                          TILE::A_LD / 2);
#pragma unroll
            for (int n = 0; n < PIECES_N; n++) {
                const uint32_t *word = own_b + k / 4 * TILE::B_WORDS + 8 * n;
                uint32_t right[2] = {word[0], word[4 * TILE::B_WORDS]};
#pragma unroll
                for (int m = 0; m < PIECES_M; m++)
                    mb_mma_bytes(sum[m][n], left[m], right);
            }
        }
    }
};

/* The codes of an I8 matrix: a thread takes pieces of 4 x 4. */
template <typename TILE> struct byte_loader_t {
    static constexpr int PACKS = TILE::N / 4, STEP = TILE::THREADS / PACKS;
    static constexpr int EACH = TILE::B_WORD_ROWS / STEP;
    static_assert(TILE::B_WORD_ROWS % STEP == 0, "every thread copies as much");
    const uint8_t *values;
    int64_t ld, column; /* this thread's first */
    int columns, end;   /* of them that are there; where the rows end */
    bool aligned;
    uint32_t word[EACH][4];

    static __device__ int first_row()
    {
        return (int)threadIdx.x / PACKS;
    }
    static __device__ int first_column()
    {
        return (int)threadIdx.x % PACKS * 4;
    }
    /* FIRST: the tile's first column, whose columns end at LIMIT. */
    __device__ byte_loader_t(const stored_t &s, int64_t first, int64_t limit, int rows_end)
        : values(s.values), ld(s.row_bytes), column(first + first_column()), end(rows_end)
    {
        int64_t left = limit - column;
        columns = left < 0 ? 0 : left > 4 ? 4 : (int)left;
        aligned = s.aligned && column % 4 == 0 && columns == 4;
    }
    __device__ uint32_t load(int row) const
    {
        if (row >= end)
            return 0;
        const uint8_t *p = values + row * ld + column;
        if (aligned)
            return *reinterpret_cast<const uint32_t *>(p);
        uint32_t bytes = 0;
        for (int i = 0; i < columns; i++)
            bytes |= (uint32_t)p[i] << 8 * i;
        return bytes;
    }
    __device__ void start(mb_copies &, uint8_t *, int k)
    {
#pragma unroll
        for (int i = 0; i < EACH; i++)
#pragma unroll
            for (int r = 0; r < 4; r++)
                word[i][r] = load(k + (first_row() + i * STEP) * 4 + r);
    }
    __device__ void finish(uint8_t *stage)
    {
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            const uint32_t(&w)[4] = word[i];
            uint32_t low01 = mb_choose_bytes(w[0], w[1], 0x5140);
            uint32_t low23 = mb_choose_bytes(w[2], w[3], 0x5140);
            uint32_t high01 = mb_choose_bytes(w[0], w[1], 0x7362);
            uint32_t high23 = mb_choose_bytes(w[2], w[3], 0x7362);
            uint32_t *to = reinterpret_cast<uint32_t *>(stage) +
                           (first_row() + i * STEP) * TILE::B_WORDS + first_column();
            *reinterpret_cast<uint4 *>(to) = make_uint4(
                mb_choose_bytes(low01, low23, 0x5410), mb_choose_bytes(low01, low23, 0x7632),
                mb_choose_bytes(high01, high23, 0x5410), mb_choose_bytes(high01, high23, 0x7632));
        }
    }
};

} // namespace

#endif
