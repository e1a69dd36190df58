/* CUDA's arithmetic and memory intrinsics in plain C++. Fast approximations become the accurate
 * function; what rounds a certain way or reinterprets bits does exactly what CUDA's does. */
#ifndef MB_CUDASIM_INTRINSICS_H
#define MB_CUDASIM_INTRINSICS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include <cmath>

/* ---- smaller, larger */

#define MB_CUDASIM_MIN_MAX(TYPE)                                                                   \
    inline TYPE min(TYPE a, TYPE b)                                                                \
    {                                                                                              \
        return b < a ? b : a;                                                                      \
    }                                                                                              \
    inline TYPE max(TYPE a, TYPE b)                                                                \
    {                                                                                              \
        return a < b ? b : a;                                                                      \
    }
MB_CUDASIM_MIN_MAX(int)
MB_CUDASIM_MIN_MAX(unsigned)
MB_CUDASIM_MIN_MAX(long)
MB_CUDASIM_MIN_MAX(unsigned long)
MB_CUDASIM_MIN_MAX(long long)
MB_CUDASIM_MIN_MAX(unsigned long long)
#undef MB_CUDASIM_MIN_MAX

/* A NaN gives way to the other one, as in fminf. */
inline float min(float a, float b)
{
    return fminf(a, b);
}
inline float max(float a, float b)
{
    return fmaxf(a, b);
}
inline double min(double a, double b)
{
    return fmin(a, b);
}
inline double max(double a, double b)
{
    return fmax(a, b);
}

/* ---- floating point. glibc's header declares some of these names and its library lacks them,
 * hence macros. */

#define __expf(x) expf(x)
#define __exp10f(x) exp10f(x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
#define __log10f(x) log10f(x)
#define __powf(x, y) powf(x, y)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
#define __tanf(x) tanf(x)
#define __sincosf(x, s, c) sincosf(x, s, c)

inline void sincospif(float x, float *sine, float *cosine)
{
    *sine = (float)sin(M_PI * (double)x);
    *cosine = (float)cos(M_PI * (double)x);
}
inline float __fdividef(float a, float b)
{
    return a / b;
}
inline float rsqrtf(float x)
{
    return 1.0f / sqrtf(x);
}
inline double rsqrt(double x)
{
    return 1.0 / sqrt(x);
}
inline float __frsqrt_rn(float x)
{
    return (float)(1.0 / sqrt((double)x));
}
inline float __saturatef(float x)
{
    return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f;
}

inline float __fadd_rn(float a, float b)
{
    return a + b;
}
inline float __fsub_rn(float a, float b)
{
    return a - b;
}
inline float __fmul_rn(float a, float b)
{
    return a * b;
}
inline float __fdiv_rn(float a, float b)
{
    return a / b;
}
inline float __frcp_rn(float x)
{
    return 1.0f / x;
}
inline float __fsqrt_rn(float x)
{
    return sqrtf(x);
}
inline float __fmaf_rn(float a, float b, float c)
{
    return fmaf(a, b, c);
}

/* ---- conversions */

namespace mb_cudasim
{
template <typename To, typename From> inline To bits_as(From from)
{
    static_assert(sizeof(To) == sizeof(From), "bits keep their number");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
} // namespace mb_cudasim

inline unsigned __float_as_uint(float x)
{
    return mb_cudasim::bits_as<unsigned>(x);
}
inline int __float_as_int(float x)
{
    return mb_cudasim::bits_as<int>(x);
}
inline float __uint_as_float(unsigned x)
{
    return mb_cudasim::bits_as<float>(x);
}
inline float __int_as_float(int x)
{
    return mb_cudasim::bits_as<float>(x);
}
inline long long __double_as_longlong(double x)
{
    return mb_cudasim::bits_as<long long>(x);
}
inline double __longlong_as_double(long long x)
{
    return mb_cudasim::bits_as<double>(x);
}

inline int __float2int_rn(float x)
{
    return (int)nearbyintf(x);
}
inline int __float2int_rz(float x)
{
    return (int)x;
}
inline int __float2int_rd(float x)
{
    return (int)floorf(x);
}
inline int __float2int_ru(float x)
{
    return (int)ceilf(x);
}
inline float __int2float_rn(int x)
{
    return (float)x;
}
inline float __uint2float_rn(unsigned x)
{
    return (float)x;
}
inline float __ll2float_rn(long long x)
{
    return (float)x;
}

/* ---- integers */

inline int __popc(unsigned x)
{
    return __builtin_popcount(x);
}
inline int __popcll(unsigned long long x)
{
    return __builtin_popcountll(x);
}
inline int __clz(int x)
{
    return x ? __builtin_clz((unsigned)x) : 32;
}
inline int __clzll(long long x)
{
    return x ? __builtin_clzll((unsigned long long)x) : 64;
}
inline int __ffs(int x)
{
    return __builtin_ffs(x);
}
inline int __ffsll(long long x)
{
    return __builtin_ffsll(x);
}
inline unsigned __umulhi(unsigned a, unsigned b)
{
    return (unsigned)((uint64_t)a * b >> 32);
}
inline int __mulhi(int a, int b)
{
    return (int)((int64_t)a * b >> 32);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b)
{
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
inline unsigned __brev(unsigned x)
{
    x = (x & 0x55555555u) << 1 | (x >> 1 & 0x55555555u);
    x = (x & 0x33333333u) << 2 | (x >> 2 & 0x33333333u);
    x = (x & 0x0f0f0f0fu) << 4 | (x >> 4 & 0x0f0f0f0fu);
    return __builtin_bswap32(x);
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift)
{
    return (unsigned)((((uint64_t)high << 32 | low) << (shift & 31)) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift)
{
    return (unsigned)(((uint64_t)high << 32 | low) >> (shift & 31));
}

/* ---- loads and stores with hints for caches */

#define MB_CUDASIM_LOAD(name)                                                                      \
    template <typename T> inline T name(const T *p)                                                \
    {                                                                                              \
        return *p;                                                                                 \
    }
MB_CUDASIM_LOAD(__ldg)
MB_CUDASIM_LOAD(__ldca)
MB_CUDASIM_LOAD(__ldcg)
MB_CUDASIM_LOAD(__ldcs)
MB_CUDASIM_LOAD(__ldlu)
MB_CUDASIM_LOAD(__ldcv)
#undef MB_CUDASIM_LOAD

#define MB_CUDASIM_STORE(name)                                                                     \
    template <typename T> inline void name(T *p, T value)                                          \
    {                                                                                              \
        *p = value;                                                                                \
    }
MB_CUDASIM_STORE(__stwb)
MB_CUDASIM_STORE(__stcg)
MB_CUDASIM_STORE(__stcs)
MB_CUDASIM_STORE(__stwt)
#undef MB_CUDASIM_STORE

/* ---- atomics: one thread runs at a time */

#define MB_CUDASIM_ATOMIC_ADD(TYPE)                                                                \
    inline TYPE atomicAdd(TYPE *p, TYPE value)                                                     \
    {                                                                                              \
        TYPE old = *p;                                                                             \
        *p = old + value;                                                                          \
        return old;                                                                                \
    }
MB_CUDASIM_ATOMIC_ADD(int)
MB_CUDASIM_ATOMIC_ADD(unsigned)
MB_CUDASIM_ATOMIC_ADD(float)
#undef MB_CUDASIM_ATOMIC_ADD

#endif
