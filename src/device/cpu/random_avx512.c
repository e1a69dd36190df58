/* Factors of dropout with AVX-512. */
#include "device/cpu/random_kernels.h"
#include <stddef.h>
#include "device/cpu/dnnl/onednn.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define LANES 8
#define TARGET __attribute__((target("avx512f")))
#define INLINE static inline __attribute__((always_inline)) TARGET
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 4")
#endif

typedef __m512i vector_t;
#define v_set(word) _mm512_set1_epi64((int64_t)(word))
#define v_lanes() _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0)
#define v_add(a, b) _mm512_add_epi64(a, b)
#define v_product(a, b) _mm512_mul_epu32(a, b)
#define v_high(a) _mm512_srli_epi64(a, 32)
#define v_xor(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0x96)

/* Lower halves of A, upper ones of the lower halves of B. */
INLINE vector_t v_pair(vector_t a, vector_t b)
{
    return _mm512_mask_blend_epi32(0xAAAA, a, _mm512_slli_epi64(b, 32));
}

/* The lanes of A and B in turn: the first half, and the second. */
INLINE vector_t v_before(vector_t a, vector_t b)
{
    return _mm512_permutex2var_epi64(a, _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0), b);
}

INLINE vector_t v_behind(vector_t a, vector_t b)
{
    return _mm512_permutex2var_epi64(a, _mm512_set_epi64(15, 7, 14, 6, 13, 5, 12, 4), b);
}

INLINE void v_keep(vector_t words, float rate, float scale, float *out)
{
    __m512 unit =
        _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_srli_epi32(words, 8)), _mm512_set1_ps(0x1p-24f));
    __mmask16 kept = _mm512_cmp_ps_mask(unit, _mm512_set1_ps(rate), _CMP_GE_OQ);
    _mm512_storeu_ps(out, _mm512_maskz_mov_ps(kept, _mm512_set1_ps(scale)));
}

#include "device/cpu/random_body.h"

mb_keep_run_t mb_keep_run_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && mb_dnnl_has_avx512() ? keep_run : NULL;
}

#else

mb_keep_run_t mb_keep_run_avx512(void)
{
    return NULL;
}

#endif
