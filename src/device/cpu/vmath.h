/* Elementary functions that vectorize: no branch, no table, no errno.
 *
 * Argument reduction as in Cody and Waite (Software Manual for the Elementary Functions, 1980);
 * polynomials fitted by Lawson's iteration to the least largest relative error. Each is within 3
 * ulp of the true value (tests/unit/test_op_activation.c), with fused sums and without: files for
 * instruction sets that have them define MB_V_FMA, so that it is not the compiler's choice. */
#ifndef MB_DEVICE_CPU_VMATH_H
#define MB_DEVICE_CPU_VMATH_H

#include <stdint.h>

/* A loop around a function that stays a call is not vectorized. */
#define MB_V_INLINE static inline __attribute__((always_inline))

typedef union {
    uint32_t u;
    float f;
} mb_bits_t;

MB_V_INLINE float mb_v_float(uint32_t bits)
{
    return (mb_bits_t){.u = bits}.f;
}

MB_V_INLINE uint32_t mb_v_bits(float value)
{
    return (mb_bits_t){.f = value}.u;
}

/* a b + c */
MB_V_INLINE float mb_v_fma(float a, float b, float c)
{
#if defined(MB_V_FMA)
    return __builtin_fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

MB_V_INLINE float mb_v_abs(float x)
{
    return mb_v_float(mb_v_bits(x) & UINT32_C(0x7FFFFFFF));
}

MB_V_INLINE float mb_v_copysign(float magnitude, float sign)
{
    return mb_v_float((mb_v_bits(magnitude) & UINT32_C(0x7FFFFFFF)) |
                      (mb_v_bits(sign) & UINT32_C(0x80000000)));
}

/* x = k ln 2 + r: the rounding constant 1.5 2^23 leaves k in the low bits of the sum. */
typedef struct {
    uint32_t k;
    float r;
} mb_v_reduced_t;

MB_V_INLINE mb_v_reduced_t mb_v_reduce(float x)
{
    float shifted = mb_v_fma(x, 1.44269504f, 0x1.8p23f);
    float k = shifted - 0x1.8p23f;
    float r = mb_v_fma(k, 2.12194440e-4f, mb_v_fma(-k, 0.693359375f, x));
    return (mb_v_reduced_t){mb_v_bits(shifted) - mb_v_bits(0x1.8p23f), r};
}

/* exp(r) - 1 - r for |r| <= ln 2 / 2. */
MB_V_INLINE float mb_v_exp_tail(float r)
{
    float p = 1.991782628e-04f;
    p = mb_v_fma(p, r, 1.394608407e-03f);
    p = mb_v_fma(p, r, 8.333265781e-03f);
    p = mb_v_fma(p, r, 4.166626930e-02f);
    p = mb_v_fma(p, r, 1.666666716e-01f);
    p = mb_v_fma(p, r, 5.000000000e-01f);
    return p * r * r;
}

MB_V_INLINE float mb_v_power_of_two(uint32_t exponent)
{
    return mb_v_float((exponent + 127u) << 23);
}

MB_V_INLINE float mb_v_exp(float x)
{
    x = x > 89.0f ? 89.0f : x;
    x = x < -104.5f ? -104.5f : x;
    mb_v_reduced_t t = mb_v_reduce(x);
    float p = 1.0f + (t.r + mb_v_exp_tail(t.r));
    /* Two factors, so that subnormal results and those next to the largest come out right. */
    uint32_t half = (uint32_t)((int32_t)t.k >> 1);
    return p * mb_v_power_of_two(half) * mb_v_power_of_two(t.k - half);
}

/* exp(x) - 1 for x <= 0 and up to 88. */
MB_V_INLINE float mb_v_expm1(float x)
{
    x = x < -30.0f ? -30.0f : x;
    mb_v_reduced_t t = mb_v_reduce(x);
    float m = t.r + mb_v_exp_tail(t.r);
    float scale = mb_v_power_of_two(t.k);
    /* (m + 1) 2^k - 1 without losing m where k is zero */
    return mb_v_fma(m, scale, scale - 1.0f);
}

/* log(1 + u) for -1/2 <= u <= 1: 2 artanh(u / (2 + u)). */
MB_V_INLINE float mb_v_log1p(float u)
{
    float s = u / (2.0f + u);
    float z = s * s;
    float p = 2.430093884e-01f;
    p = mb_v_fma(p, z, 2.142765671e-01f);
    p = mb_v_fma(p, z, 2.861688435e-01f);
    p = mb_v_fma(p, z, 3.999887705e-01f);
    p = mb_v_fma(p, z, 6.666667461e-01f);
    return mb_v_fma(s * z, p, 2.0f * s);
}

/* For positive normal numbers: x = 2^k m with m from sqrt(1/2) to sqrt(2). */
MB_V_INLINE float mb_v_log(float x)
{
    uint32_t above = mb_v_bits(x) - mb_v_bits(0.70710678f);
    int32_t k = (int32_t)above >> 23;
    float m = mb_v_float(mb_v_bits(x) - ((uint32_t)k << 23)), e = (float)k;
    return e * 0.693359375f + (mb_v_log1p(m - 1.0f) - e * 2.12194440e-4f);
}

MB_V_INLINE float mb_v_tanh(float x)
{
    float a = mb_v_abs(x);
    float z = x * x;
    float p = 2.147536958e-03f;
    p = mb_v_fma(p, z, -8.182673715e-03f);
    p = mb_v_fma(p, z, 2.170296758e-02f);
    p = mb_v_fma(p, z, -5.394720286e-02f);
    p = mb_v_fma(p, z, 1.333321035e-01f);
    p = mb_v_fma(p, z, -3.333333135e-01f);
    float small = mb_v_fma(x * z, p, x);
    float large = 1.0f - 2.0f / (mb_v_exp(2.0f * a) + 1.0f);
    return a < 0.625f ? small : mb_v_copysign(large, x);
}

MB_V_INLINE float mb_v_sigmoid(float x)
{
    return 1.0f / (1.0f + mb_v_exp(-x));
}

/* The sine and the cosine of a quarter of a turn, times -1/2 <= r <= 1/2: Taylor's series. */
MB_V_INLINE float mb_v_sin_quarter(float r)
{
    float x = r * 1.57079633f, z = x * x;
    float p = 2.755731922e-06f;
    p = mb_v_fma(p, z, -1.984126984e-04f);
    p = mb_v_fma(p, z, 8.333333333e-03f);
    p = mb_v_fma(p, z, -1.666666667e-01f);
    return mb_v_fma(x * z, p, x);
}

MB_V_INLINE float mb_v_cos_quarter(float r)
{
    float x = r * 1.57079633f, z = x * x;
    float p = -2.755731922e-07f;
    p = mb_v_fma(p, z, 2.480158730e-05f);
    p = mb_v_fma(p, z, -1.388888889e-03f);
    p = mb_v_fma(p, z, 4.166666667e-02f);
    p = mb_v_fma(p, z, -0.5f);
    return mb_v_fma(z, p, 1.0f);
}

/* A polynomial up to 0.9487, beyond it 1 - exp of one fitted to log(erfc). */
MB_V_INLINE float mb_v_erf(float x)
{
    float a = mb_v_abs(x);
    float z = x * x;
    float p = 8.223984332e-05f;
    p = mb_v_fma(p, z, -8.108082111e-04f);
    p = mb_v_fma(p, z, 5.197991617e-03f);
    p = mb_v_fma(p, z, -2.685818635e-02f);
    p = mb_v_fma(p, z, 1.128367409e-01f);
    p = mb_v_fma(p, z, -3.761263192e-01f);
    p = mb_v_fma(p, z, 1.283791661e-01f);
    float small = mb_v_fma(x, p, x);
    float t = a > 4.05f ? 4.05f : a;
    float q = -2.082861647e-05f;
    q = mb_v_fma(q, t, 4.313935642e-04f);
    q = mb_v_fma(q, t, -4.156254698e-03f);
    q = mb_v_fma(q, t, 2.508061565e-02f);
    q = mb_v_fma(q, t, -1.082203835e-01f);
    q = mb_v_fma(q, t, -6.334008574e-01f);
    q = mb_v_fma(q, t, -1.129488349e+00f);
    q = mb_v_fma(q, t, 1.692051155e-04f);
    float large = mb_v_copysign(1.0f - mb_v_exp(q), x);
    return a <= 0.94f ? small : large;
}

#endif
