/* Steps of attention_step.h with AVX2: sums of 6 rows and 16 columns stay in 12 registers. */
#include "device/cpu/attention_step.h"
#include <stddef.h>
#include "device/cpu/dnnl/onednn.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define LANES 8
#define TILE_ROWS 6
#define TILE_VECTORS 2
#define LEAST_EXPONENT -125.0f
#define TARGET __attribute__((target("avx2,fma")))
#define INLINE static inline __attribute__((always_inline)) TARGET
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 6")
#endif

typedef __m256 vector_t;
#define v_load(p) _mm256_loadu_ps(p)
#define v_store(p, v) _mm256_storeu_ps(p, v)
#define v_set(x) _mm256_set1_ps(x)
#define v_zero() _mm256_setzero_ps()
#define v_add(a, b) _mm256_add_ps(a, b)
#define v_sub(a, b) _mm256_sub_ps(a, b)
#define v_mul(a, b) _mm256_mul_ps(a, b)
#define v_max(a, b) _mm256_max_ps(a, b)
#define v_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define v_round(x) _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)

/* By the exponent's bits: those of p are around 127. */
INLINE vector_t v_scale(vector_t p, vector_t n, vector_t x)
{
    __m256i exponent = _mm256_cvtps_epi32(_mm256_min_ps(v_set(127.0f), n));
    __m256i scaled = _mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(exponent, 23));
    vector_t kept = _mm256_cmp_ps(x, v_set(LEAST_EXPONENT), _CMP_NLT_UQ);
    return _mm256_and_ps(_mm256_castsi256_ps(scaled), kept);
}

#include "device/cpu/attention_step_body.h"

const mb_attention_steps_t *mb_attention_steps_avx2(void)
{
    bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    return has && mb_dnnl_has_avx2() ? &steps : NULL;
}

#else

const mb_attention_steps_t *mb_attention_steps_avx2(void)
{
    return NULL;
}

#endif
