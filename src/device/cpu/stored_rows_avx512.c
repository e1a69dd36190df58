/* Steps of stored_rows.h with AVX-512: a group of 64 columns is four vectors, and the sums of four
 * rows of A stay in registers. */
#include "device/cpu/stored_rows.h"
#include <stdbool.h>
#include <stddef.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define VECTORS 4
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#define INLINE static inline __attribute__((always_inline)) TARGET
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 4")
#endif

typedef void (*decode_t)(const uint8_t *codes, __m512 value[VECTORS]);

INLINE void decode_f32(const uint8_t *codes, __m512 value[VECTORS])
{
    UNROLL
    for (int j = 0; j < VECTORS; j++)
        value[j] = _mm512_loadu_ps(codes + 64 * j);
}

INLINE void decode_f16(const uint8_t *codes, __m512 value[VECTORS])
{
    UNROLL
    for (int j = 0; j < VECTORS; j++)
        value[j] = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(codes + 32 * j)));
}

INLINE void decode_bf16(const uint8_t *codes, __m512 value[VECTORS])
{
    UNROLL
    for (int j = 0; j < VECTORS; j++) {
        __m256i half = _mm256_loadu_si256((const __m256i *)(codes + 32 * j));
        value[j] = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
    }
}

/* The seven bits after the sign are where binary16 has the end of its exponent and the beginning of
 * its mantissa; the largest exponent, of infinity and NaN, becomes binary16's. */
INLINE void decode_e3m4(const uint8_t *codes, __m512 value[VECTORS])
{
    const __m256i keep = _mm256_set1_epi16((short)0x9FC0), special = _mm256_set1_epi16(0x1C00);
    UNROLL
    for (int j = 0; j < VECTORS; j++) {
        __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(codes + 16 * j)));
        __m256i half = _mm256_and_si256(_mm256_slli_epi16(wide, 6), keep);
        __m256i is_special = _mm256_cmpeq_epi16(_mm256_and_si256(half, special), special);
        __m256i infinity = _mm256_and_si256(is_special, _mm256_set1_epi16(0x7C00));
        value[j] = _mm512_cvtph_ps(_mm256_or_si256(half, infinity));
    }
}

INLINE void decode_i8(const uint8_t *codes, __m512 value[VECTORS])
{
    UNROLL
    for (int j = 0; j < VECTORS; j++) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(codes + 16 * j));
        value[j] = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
    }
}

/* Even columns and odd ones of 32 in vectors of their own; the permutation looks at the low four
 * bits of its index only. */
INLINE void decode_nibbles(const uint8_t *codes, __m512 table, __m512 value[VECTORS])
{
    UNROLL
    for (int j = 0; j < VECTORS; j += 2) {
        __m512i pair = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(codes + 8 * j)));
        value[j] = _mm512_permutexvar_ps(pair, table);
        value[j + 1] = _mm512_permutexvar_ps(_mm512_srli_epi32(pair, 4), table);
    }
}

INLINE void decode_i4(const uint8_t *codes, __m512 value[VECTORS])
{
    decode_nibbles(codes, _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1),
                   value);
}

INLINE void decode_u4(const uint8_t *codes, __m512 value[VECTORS])
{
    decode_nibbles(codes, _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7),
                   value);
}

INLINE void in_column_order(__m512 value[VECTORS])
{
    const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i high =
        _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    UNROLL
    for (int j = 0; j < VECTORS; j += 2) {
        __m512 even = value[j], odd = value[j + 1];
        value[j] = _mm512_permutex2var_ps(even, low, odd);
        value[j + 1] = _mm512_permutex2var_ps(even, high, odd);
    }
}

/* Rows stand far apart in memory, where the hardware's prefetch does not see their order: each line
 * asks for the one that the next step reads in its place. */
INLINE void sum_group(const mb_rows_step_t *s, decode_t decode, bool halves, int samples,
                      const uint8_t *codes, int64_t line_bytes, float *sums)
{
    __m512 sum[MB_STEP_SAMPLES][VECTORS];
    UNROLL
    for (int i = 0; i < samples; i++)
        UNROLL
    for (int j = 0; j < VECTORS; j++)
        sum[i][j] = _mm512_setzero_ps();
    int64_t ahead = s->row_bytes * s->rows;
    for (int r = 0; r < s->rows; r++) {
        __m512 value[VECTORS];
        decode(codes, value);
        for (int64_t line = 0; line < line_bytes; line += 64)
            _mm_prefetch((const char *)codes + ahead + line, _MM_HINT_T1);
        UNROLL
        for (int i = 0; i < samples; i++) {
            __m512 a = _mm512_set1_ps(s->a[i * s->lda + r]);
            UNROLL
            for (int j = 0; j < VECTORS; j++)
                sum[i][j] = _mm512_fmadd_ps(a, value[j], sum[i][j]);
        }
        codes += s->row_bytes;
    }
    UNROLL
    for (int i = 0; i < samples; i++) {
        if (halves)
            in_column_order(sum[i]);
        UNROLL
        for (int j = 0; j < VECTORS; j++) {
            float *to = sums + i * s->ld_sums + 16 * j;
            _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(to), sum[i][j]));
        }
    }
}

INLINE void sum_groups(const mb_rows_step_t *s, decode_t decode, int bits, int samples)
{
    const uint8_t *codes = s->codes;
    float *sums = s->sums;
    int64_t bytes = MB_STEP_COLUMNS * bits / 8;
    for (int64_t group = 0; group < s->groups; group++) {
        sum_group(s, decode, bits == 4, samples, codes, bytes, sums);
        codes += bytes;
        sums += MB_STEP_COLUMNS;
    }
}

#define STEP(number, bits)                                                                         \
    TARGET static void step_##number(const mb_rows_step_t *s)                                      \
    {                                                                                              \
        switch (s->samples) {                                                                      \
        case 1:                                                                                    \
            sum_groups(s, decode_##number, bits, 1);                                               \
            break;                                                                                 \
        case 2:                                                                                    \
            sum_groups(s, decode_##number, bits, 2);                                               \
            break;                                                                                 \
        case 3:                                                                                    \
            sum_groups(s, decode_##number, bits, 3);                                               \
            break;                                                                                 \
        default:                                                                                   \
            sum_groups(s, decode_##number, bits, MB_STEP_SAMPLES);                                 \
        }                                                                                          \
    }
STEP(f32, 32)
STEP(f16, 16)
STEP(bf16, 16)
STEP(e3m4, 8)
STEP(i8, 8)
STEP(i4, 4)
STEP(u4, 4)

mb_rows_step_fn_t mb_rows_step_avx512(mb_number_t number)
{
    static const mb_rows_step_fn_t steps[MB_NUMBER_COUNT] = {
        [MB_NUMBER_F32] = step_f32,   [MB_NUMBER_F16] = step_f16, [MB_NUMBER_BF16] = step_bf16,
        [MB_NUMBER_E3M4] = step_e3m4, [MB_NUMBER_I8] = step_i8,   [MB_NUMBER_I4] = step_i4,
        [MB_NUMBER_U4] = step_u4};
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512vl") ||
        !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512dq"))
        return NULL;
    return steps[number];
}

#else

mb_rows_step_fn_t mb_rows_step_avx512(mb_number_t number)
{
    (void)number;
    return NULL;
}

#endif
