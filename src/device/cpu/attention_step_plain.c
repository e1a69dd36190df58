/* Steps of attention_step.h for any processor with vectors of four floats. Products and sums are
 * rounded apart. */
#include "device/cpu/attention_step.h"
#include <string.h>

#define LANES 4
#define TILE_ROWS 4
#define TILE_VECTORS 2
#define LEAST_EXPONENT -125.0f
#define TARGET
#define INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 4")
#endif
#define ROUNDING 0x1.8p23f /* leaves whole numbers in the low bits of a sum */

typedef float vector_t __attribute__((vector_size(4 * LANES)));
typedef uint32_t bits_t __attribute__((vector_size(4 * LANES)));

INLINE vector_t v_load(const float *p)
{
    vector_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void v_store(float *p, vector_t v)
{
    memcpy(p, &v, sizeof v);
}

INLINE vector_t v_set(float x)
{
    return (vector_t){x, x, x, x};
}

#define v_zero() v_set(0.0f)
#define v_add(a, b) ((a) + (b))
#define v_sub(a, b) ((a) - (b))
#define v_mul(a, b) ((a) * (b))
#define v_fma(a, b, c) ((a) * (b) + (c))
#define v_round(x) ((x) + v_set(ROUNDING) - v_set(ROUNDING))

INLINE vector_t v_choose(bits_t which, vector_t a, vector_t b)
{
    return (vector_t)((which & (bits_t)a) | (~which & (bits_t)b));
}

INLINE vector_t v_max(vector_t a, vector_t b)
{
    return v_choose((bits_t)(a > b), a, b);
}

/* By the exponent's bits: those of p are around 127. */
INLINE vector_t v_scale(vector_t p, vector_t n, vector_t x)
{
    vector_t most = v_set(127.0f);
    n = v_choose((bits_t)(n > most), most, n);
    bits_t exponent = (bits_t)(n + v_set(ROUNDING)) - (bits_t)v_set(ROUNDING);
    bits_t scaled = (bits_t)p + (exponent << 23);
    return (vector_t)(scaled & ~(bits_t)(x < v_set(LEAST_EXPONENT)));
}

#include "device/cpu/attention_step_body.h"

const mb_attention_steps_t *mb_attention_steps_plain(void)
{
    return &steps;
}
