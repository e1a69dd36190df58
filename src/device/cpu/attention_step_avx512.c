/* Steps of attention_step.h with AVX-512: sums of 6 rows and 64 columns stay in 24 registers. */
#include "device/cpu/attention_step.h"
#include <stddef.h>
#include "device/cpu/dnnl/onednn.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define LANES 16
#define TILE_ROWS 6
#define TILE_VECTORS 4
#define LEAST_EXPONENT -125.0f
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#define INLINE static inline __attribute__((always_inline)) TARGET
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 6")
#endif

typedef __m512 vector_t;
#define v_load(p) _mm512_loadu_ps(p)
#define v_store(p, v) _mm512_storeu_ps(p, v)
#define v_set(x) _mm512_set1_ps(x)
#define v_zero() _mm512_setzero_ps()
#define v_add(a, b) _mm512_add_ps(a, b)
#define v_sub(a, b) _mm512_sub_ps(a, b)
#define v_mul(a, b) _mm512_mul_ps(a, b)
#define v_max(a, b) _mm512_max_ps(a, b)
#define v_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define v_round(x) _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)

INLINE vector_t v_scale(vector_t p, vector_t n, vector_t x)
{
    __mmask16 kept = _mm512_cmp_ps_mask(x, v_set(LEAST_EXPONENT), _CMP_NLT_UQ);
    return _mm512_maskz_scalef_ps(kept, p, n);
}

#include "device/cpu/attention_step_body.h"

const mb_attention_steps_t *mb_attention_steps_avx512(void)
{
    bool has = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
    return has && mb_dnnl_has_avx512() ? &steps : NULL;
}

#else

const mb_attention_steps_t *mb_attention_steps_avx512(void)
{
    return NULL;
}

#endif
