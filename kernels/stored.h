/* Matrices of weights as they are stored (device/matrix.h), read a few neighbouring columns at a
 * time: the codes first, so that loads can run ahead, then what they stand for. */
#ifndef MB_KERNELS_STORED_H
#define MB_KERNELS_STORED_H

#include "kernel.h"

/* The ways that a product with a stored matrix is computed (stored_rows.cu, stored_tiles.cu,
 * stored_integer.cu). Arguments have been checked. */
mb_status_t mb_cuda_stored_rows(mb_exec_t *exec, const mb_stored_gemm_args_t *args);
mb_status_t mb_cuda_stored_tiles(mb_exec_t *exec, const mb_stored_gemm_args_t *args);
mb_status_t mb_cuda_stored_integer(mb_exec_t *exec, const mb_stored_gemm_args_t *args);

namespace
{

/* Whether a product may run in whole numbers: as mb_stored_is_integer of the CPU says. */
inline bool stored_is_integer(const mb_matrix_t &m)
{
    constexpr int64_t MOST_ROWS = 65536; /* 255 * 128 * rows stays below 2^31 */
    return m.number == MB_NUMBER_I8 && m.has_column_sums && !m.squared && m.block_rows >= m.rows &&
           m.rows <= MOST_ROWS;
}

struct stored_t {
    mb_number_t number;
    const uint8_t *values;
    int64_t rows, columns, row_bytes;
    int64_t block_rows, block_columns, scale_columns; /* block_rows 0: no scales */
    const float *scales;                              /* one of the two */
    const __nv_bfloat16 *narrow_scales;
    const uint8_t *zeros;
    const float *row_scales;
    float power; /* that E3M4's exponents are put right by */
    bool squared;
    bool aligned; /* eight codes from every eighth column on are whole words */
};

inline stored_t stored_of(const mb_matrix_t &m)
{
    stored_t s = {};
    s.number = m.number;
    s.values = (const uint8_t *)m.values;
    s.rows = m.rows;
    s.columns = m.columns;
    s.row_bytes = mb_matrix_row_bytes(&m);
    s.block_rows = m.block_rows;
    s.block_columns = m.block_columns;
    s.scale_columns = mb_matrix_scale_columns(&m);
    if (m.scale_number == MB_NUMBER_BF16)
        s.narrow_scales = (const __nv_bfloat16 *)m.scales;
    else
        s.scales = (const float *)m.scales;
    s.zeros = m.has_zeros ? m.zeros : nullptr;
    s.row_scales = m.has_row_scales ? m.row_scales : nullptr;
    s.power = ldexpf(1.0f, 127 - m.bias);
    s.squared = m.squared;
    int64_t eight = mb_number_bytes(m.number, 8), word = eight < 16 ? eight : 16;
    s.aligned = s.row_bytes % word == 0 && (uintptr_t)m.values % 16 == 0;
    return s;
}

/* ---- codes */

__host__ __device__ constexpr int bits_of(mb_number_t number)
{
    return number == MB_NUMBER_F32                               ? 32
           : number == MB_NUMBER_F16 || number == MB_NUMBER_BF16 ? 16
           : number == MB_NUMBER_I4 || number == MB_NUMBER_U4    ? 4
                                                                 : 8;
}

/* W neighbouring codes in words, the first in the lowest bits. */
template <int W> struct codes_t {
    uint32_t word[W];
};

template <int BYTES> struct alignas(BYTES) words_t {
    uint32_t word[BYTES < 4 ? 1 : BYTES / 4];
};

/* Code by code, those from COUNT on zero. */
template <int BITS, int W>
__device__ inline void load_slowly(const uint8_t *row, int64_t column, int count, codes_t<W> &codes)
{
    constexpr int IN_WORD = 32 / BITS < W ? 32 / BITS : W;
#pragma unroll
    for (int first = 0; first < W; first += IN_WORD) {
        uint32_t word = 0;
#pragma unroll 1
        for (int i = 0; i < IN_WORD && first + i < count; i++) {
            int64_t c = column + first + i;
            uint32_t code;
            if constexpr (BITS == 32)
                code = reinterpret_cast<const uint32_t *>(row)[c];
            else if constexpr (BITS == 16)
                code = reinterpret_cast<const uint16_t *>(row)[c];
            else if constexpr (BITS == 8)
                code = row[c];
            else
                code = row[c / 2] >> c % 2 * 4 & 15u;
            word |= code << i * BITS % 32;
        }
        codes.word[first / IN_WORD] = word;
    }
}

template <int BITS, int W>
__device__ inline void load_codes_of(const stored_t &s, int64_t row, int64_t column,
                                     codes_t<W> &codes)
{
    constexpr int BYTES = W * BITS / 8, AT_ONCE = BYTES > 16 ? 16 : BYTES;
    const uint8_t *begin = s.values + row * s.row_bytes, *p = begin + column * BITS / 8;
    int64_t left = s.columns - column;
    if (!s.aligned || left < W || column % W != 0) {
        load_slowly<BITS>(begin, column, left < W ? (int)left : W, codes);
        return;
    }
    if constexpr (BYTES < 4) {
        codes.word[0] = *reinterpret_cast<const uint16_t *>(p);
    } else {
#pragma unroll
        for (int i = 0; i < BYTES; i += AT_ONCE) {
            auto words = *reinterpret_cast<const words_t<AT_ONCE> *>(p + i);
#pragma unroll
            for (int k = 0; k < AT_ONCE / 4; k++)
                codes.word[i / 4 + k] = words.word[k];
        }
    }
}

template <int W>
__device__ inline void load_codes(const stored_t &s, int64_t row, int64_t column, codes_t<W> &codes)
{
    int bits = bits_of(s.number);
    if (bits == 8)
        load_codes_of<8>(s, row, column, codes);
    else if (bits == 4)
        load_codes_of<4>(s, row, column, codes);
    else if (bits == 16)
        load_codes_of<16>(s, row, column, codes);
    else
        load_codes_of<32>(s, row, column, codes);
}

/* ---- numbers */

/* A whole number below 2^23 as the end of the mantissa of 2^23, which is then taken off with
 * OFFSET: conversions proper are slow. */
__device__ inline float whole(uint32_t bits, float offset)
{
    return __uint_as_float(bits | 0x4B000000u) - (8388608.0f + offset);
}

/* Sign and the rest are moved to their places in a float, whose exponent a power of two then puts
 * right; that takes subnormal numbers along. */
__device__ inline float decode_e3m4(uint32_t code, float power)
{
    uint32_t magnitude = code & 0x7Fu, special = magnitude >= 0x70u ? 0x7F800000u : 0;
    uint32_t bits = __float_as_uint(__uint_as_float(magnitude << 19) * power);
    return __uint_as_float(bits | special | (code & 0x80u) << 24);
}

__device__ inline float decode_f16(uint32_t bits)
{
    return __half2float(__half(__half_raw{(unsigned short)bits}));
}

template <mb_number_t NUMBER, int W>
__device__ inline float decode_code(const codes_t<W> &codes, int i, float power)
{
    constexpr int BITS = bits_of(NUMBER), IN_WORD = 32 / BITS;
    uint32_t code = codes.word[i / IN_WORD] >> i % IN_WORD * BITS;
    if (NUMBER == MB_NUMBER_F16)
        return decode_f16(code & 0xFFFFu);
    if (NUMBER == MB_NUMBER_BF16)
        return __uint_as_float(code << 16);
    if (NUMBER == MB_NUMBER_E3M4)
        return decode_e3m4(code & 0xFFu, power);
    if (NUMBER == MB_NUMBER_I8)
        return whole((code & 0xFFu) ^ 0x80u, 128.0f);
    if (NUMBER == MB_NUMBER_U8)
        return whole(code & 0xFFu, 0.0f);
    if (NUMBER == MB_NUMBER_I4)
        return whole((code & 0xFu) ^ 8u, 8.0f);
    if (NUMBER == MB_NUMBER_U4)
        return whole(code & 0xFu, 0.0f);
    return __uint_as_float(code);
}

template <mb_number_t NUMBER, int W>
__device__ inline void decode_all(const codes_t<W> &codes, float power, float (&value)[W])
{
#pragma unroll
    for (int i = 0; i < W; i++)
        value[i] = decode_code<NUMBER>(codes, i, power);
}

/* Runs BODY with N the number format. */
#define STORED_NUMBER(number, ...)                                                                 \
    do {                                                                                           \
        switch (number) {                                                                          \
            STORED_CASE(MB_NUMBER_F16, __VA_ARGS__)                                                \
            STORED_CASE(MB_NUMBER_BF16, __VA_ARGS__)                                               \
            STORED_CASE(MB_NUMBER_E3M4, __VA_ARGS__)                                               \
            STORED_CASE(MB_NUMBER_I8, __VA_ARGS__)                                                 \
            STORED_CASE(MB_NUMBER_U8, __VA_ARGS__)                                                 \
            STORED_CASE(MB_NUMBER_I4, __VA_ARGS__)                                                 \
            STORED_CASE(MB_NUMBER_U4, __VA_ARGS__)                                                 \
            STORED_CASE(MB_NUMBER_F32, __VA_ARGS__)                                                \
        default:                                                                                   \
            break;                                                                                 \
        }                                                                                          \
    } while (0)
#define STORED_CASE(NAME, ...)                                                                     \
    case NAME: {                                                                                   \
        constexpr mb_number_t N = NAME;                                                            \
        __VA_ARGS__;                                                                               \
        break;                                                                                     \
    }

/* ---- scales */

__device__ inline float scale_at(const stored_t &s, int64_t index)
{
    return s.scales != nullptr ? s.scales[index] : __bfloat162float(s.narrow_scales[index]);
}

/* Of W columns, where they are; what lies past the last one is 1. */
template <int W> struct scales_t {
    float scale[W];
    uint32_t zeros[W / 4]; /* a byte each */

    __device__ float zero(int i) const
    {
        return whole(zeros[i / 4] >> i % 4 * 8 & 0xFFu, 0.0f);
    }
};

template <int W>
__device__ inline void load_scales(const stored_t &s, int64_t row, int64_t column, scales_t<W> &out)
{
    int64_t first = s.block_rows == 0 ? 0 : row / s.block_rows * s.scale_columns;
#pragma unroll
    for (int i = 0; i < W; i++) {
        out.scale[i] = 1.0f;
        if (i % 4 == 0)
            out.zeros[i / 4] = 0;
        if (s.block_rows == 0 || column + i >= s.columns)
            continue;
        int64_t block = s.block_columns == 1 ? column + i : (column + i) / s.block_columns;
        out.scale[i] = scale_at(s, first + block);
        if (s.zeros != nullptr)
            out.zeros[i / 4] |= (uint32_t)s.zeros[first + block] << i % 4 * 8;
    }
}

/* What W codes of a row stand for, rounded as mb_matrix_value rounds. */
template <int W>
__device__ inline void decode_values(const stored_t &s, int64_t row, const codes_t<W> &codes,
                                     const scales_t<W> &scales, float (&value)[W])
{
    STORED_NUMBER(s.number, decode_all<N>(codes, s.power, value));
    if (s.block_rows > 0 || s.row_scales != nullptr) {
        float row_scale = s.row_scales != nullptr ? s.row_scales[row] : 1.0f;
#pragma unroll
        for (int i = 0; i < W; i++)
            value[i] = row_scale * scales.scale[i] * (value[i] - scales.zero(i));
    }
    if (s.squared) {
#pragma unroll
        for (int i = 0; i < W; i++)
            value[i] *= value[i];
    }
}

/* ---- sums of runs
 *
 * Where a product's rows are cut into runs, each leaves its sums [m, n] in the workspace. */

constexpr int FINISH_THREADS = 256;

template <typename T>
__global__ void __launch_bounds__(FINISH_THREADS)
    finish_kernel(int64_t m, int64_t n, int64_t runs, const float *partial, const float *bias, T *c,
                  int64_t ldc)
{
    int64_t count = m * n;
    for (int64_t i = mb_first(); i < count; i += mb_stride()) {
        int64_t column = i % n;
        float sum = partial[i];
        for (int64_t run = 1; run < runs; run++)
            sum += partial[run * count + i];
        mb_store(c, i / n * ldc + column, bias != nullptr ? sum + bias[column] : sum);
    }
}

template <typename T>
mb_status_t finish_runs(mb_exec_t *exec, const mb_stored_gemm_args_t *args, int64_t runs,
                        const float *partial)
{
    int64_t m = args->m, n = args->b.columns;
    MB_LAUNCH(finish_kernel<T>, mb_cuda_blocks(m * n, FINISH_THREADS), FINISH_THREADS, 0,
              mb_cuda_stream(exec), m, n, runs, partial, args->bias, (T *)args->c, args->ldc);
    return mb_cuda_launched(MB_OP_STORED_GEMM);
}

} // namespace

#endif
