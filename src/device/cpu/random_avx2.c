/* Factors of dropout with AVX2. */
#include "device/cpu/random_kernels.h"
#include <stddef.h>
#include "device/cpu/dnnl/onednn.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define LANES 4
#define TARGET __attribute__((target("avx2")))
#define INLINE static inline __attribute__((always_inline)) TARGET
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 4")
#endif

typedef __m256i vector_t;
#define v_set(word) _mm256_set1_epi64x((int64_t)(word))
#define v_lanes() _mm256_set_epi64x(3, 2, 1, 0)
#define v_add(a, b) _mm256_add_epi64(a, b)
#define v_product(a, b) _mm256_mul_epu32(a, b)
#define v_high(a) _mm256_srli_epi64(a, 32)
#define v_xor(a, b, c) _mm256_xor_si256(a, _mm256_xor_si256(b, c))

/* Lower halves of A, upper ones of the lower halves of B. */
INLINE vector_t v_pair(vector_t a, vector_t b)
{
    return _mm256_blend_epi32(a, _mm256_slli_epi64(b, 32), 0xAA);
}

/* The lanes of A and B in turn: the first half, and the second. */
INLINE vector_t v_before(vector_t a, vector_t b)
{
    return _mm256_permute2x128_si256(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b),
                                     0x20);
}

INLINE vector_t v_behind(vector_t a, vector_t b)
{
    return _mm256_permute2x128_si256(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b),
                                     0x31);
}

INLINE void v_keep(vector_t words, float rate, float scale, float *out)
{
    __m256 unit =
        _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_srli_epi32(words, 8)), _mm256_set1_ps(0x1p-24f));
    __m256 kept = _mm256_cmp_ps(unit, _mm256_set1_ps(rate), _CMP_GE_OQ);
    _mm256_storeu_ps(out, _mm256_and_ps(kept, _mm256_set1_ps(scale)));
}

#include "device/cpu/random_body.h"

mb_keep_run_t mb_keep_run_avx2(void)
{
    return __builtin_cpu_supports("avx2") && mb_dnnl_has_avx2() ? keep_run : NULL;
}

#else

mb_keep_run_t mb_keep_run_avx2(void)
{
    return NULL;
}

#endif
