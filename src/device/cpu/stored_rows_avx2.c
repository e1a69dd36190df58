/* Steps of stored_rows.h with AVX2, FMA and F16C, 16 columns at a time. They add in the order of
 * the AVX-512 steps. */
#include "device/cpu/stored_rows.h"
#include <stddef.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define VECTORS 2
#define COLUMNS 16
#define TARGET __attribute__((target("avx2,fma,f16c")))
#define INLINE static inline __attribute__((always_inline)) TARGET
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 4")
#endif

typedef void (*decode_t)(const uint8_t *codes, __m256 value[VECTORS]);

INLINE void decode_f32(const uint8_t *codes, __m256 value[VECTORS])
{
    value[0] = _mm256_loadu_ps((const float *)(const void *)codes);
    value[1] = _mm256_loadu_ps((const float *)(const void *)(codes + 32));
}

INLINE void decode_halves(__m256i halves, __m256 value[VECTORS])
{
    value[0] = _mm256_cvtph_ps(_mm256_castsi256_si128(halves));
    value[1] = _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1));
}

INLINE void decode_f16(const uint8_t *codes, __m256 value[VECTORS])
{
    decode_halves(_mm256_loadu_si256((const __m256i *)codes), value);
}

INLINE void decode_bf16(const uint8_t *codes, __m256 value[VECTORS])
{
    UNROLL
    for (int j = 0; j < VECTORS; j++) {
        __m128i half = _mm_loadu_si128((const __m128i *)(codes + 16 * j));
        value[j] = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
    }
}

/* The seven bits after the sign are where binary16 has the end of its exponent and the beginning of
 * its mantissa; the largest exponent, of infinity and NaN, becomes binary16's. */
INLINE void decode_e3m4(const uint8_t *codes, __m256 value[VECTORS])
{
    const __m256i keep = _mm256_set1_epi16((short)0x9FC0), special = _mm256_set1_epi16(0x1C00);
    __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)codes));
    __m256i half = _mm256_and_si256(_mm256_slli_epi16(wide, 6), keep);
    __m256i is_special = _mm256_cmpeq_epi16(_mm256_and_si256(half, special), special);
    __m256i infinity = _mm256_and_si256(is_special, _mm256_set1_epi16(0x7C00));
    decode_halves(_mm256_or_si256(half, infinity), value);
}

INLINE void decode_bytes(__m128i bytes, __m256 value[VECTORS])
{
    value[0] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
    value[1] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8)));
}

INLINE void decode_i8(const uint8_t *codes, __m256 value[VECTORS])
{
    decode_bytes(_mm_loadu_si128((const __m128i *)codes), value);
}

INLINE void decode_nibbles(const uint8_t *codes, __m128i table, __m256 value[VECTORS])
{
    const __m128i low = _mm_set1_epi8(15);
    __m128i pairs = _mm_loadl_epi64((const __m128i *)codes);
    __m128i even = _mm_and_si128(pairs, low);
    __m128i odd = _mm_and_si128(_mm_srli_epi16(pairs, 4), low);
    decode_bytes(_mm_shuffle_epi8(table, _mm_unpacklo_epi8(even, odd)), value);
}

INLINE void decode_i4(const uint8_t *codes, __m256 value[VECTORS])
{
    decode_nibbles(codes, _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1),
                   value);
}

INLINE void decode_u4(const uint8_t *codes, __m256 value[VECTORS])
{
    decode_nibbles(codes, _mm_setr_epi8(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7),
                   value);
}

INLINE void sum_columns(const mb_rows_step_t *s, decode_t decode, int samples, const uint8_t *codes,
                        float *sums)
{
    __m256 sum[MB_STEP_SAMPLES][VECTORS];
    UNROLL
    for (int i = 0; i < samples; i++)
        sum[i][0] = sum[i][1] = _mm256_setzero_ps();
    int64_t ahead = s->row_bytes * s->rows;
    for (int r = 0; r < s->rows; r++) {
        __m256 value[VECTORS];
        decode(codes, value);
        _mm_prefetch((const char *)codes + ahead, _MM_HINT_T1);
        UNROLL
        for (int i = 0; i < samples; i++) {
            __m256 a = _mm256_set1_ps(s->a[i * s->lda + r]);
            sum[i][0] = _mm256_fmadd_ps(a, value[0], sum[i][0]);
            sum[i][1] = _mm256_fmadd_ps(a, value[1], sum[i][1]);
        }
        codes += s->row_bytes;
    }
    UNROLL
    for (int i = 0; i < samples; i++) {
        UNROLL
        for (int j = 0; j < VECTORS; j++) {
            float *to = sums + i * s->ld_sums + 8 * j;
            _mm256_storeu_ps(to, _mm256_add_ps(_mm256_loadu_ps(to), sum[i][j]));
        }
    }
}

INLINE void sum_groups(const mb_rows_step_t *s, decode_t decode, int bits, int samples)
{
    for (int64_t c = 0; c < s->groups * MB_STEP_COLUMNS; c += COLUMNS)
        sum_columns(s, decode, samples, s->codes + c * bits / 8, s->sums + c);
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

mb_rows_step_fn_t mb_rows_step_avx2(mb_number_t number)
{
    static const mb_rows_step_fn_t steps[MB_NUMBER_COUNT] = {
        [MB_NUMBER_F32] = step_f32,   [MB_NUMBER_F16] = step_f16, [MB_NUMBER_BF16] = step_bf16,
        [MB_NUMBER_E3M4] = step_e3m4, [MB_NUMBER_I8] = step_i8,   [MB_NUMBER_I4] = step_i4,
        [MB_NUMBER_U4] = step_u4};
    /* Every processor with AVX2 has F16C, which not every compiler knows how to ask for. */
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return NULL;
    return steps[number];
}

#else

mb_rows_step_fn_t mb_rows_step_avx2(mb_number_t number)
{
    (void)number;
    return NULL;
}

#endif
