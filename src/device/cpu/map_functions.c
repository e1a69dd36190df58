/* See map.h. Products and sums are vectorized; functions of the C library are called element by
 * element where vmath.h has none. */
#include <math.h>
#include "device/cpu/map.h"
#include "device/cpu/simd.h"
#include "device/cpu/vmath.h"

static inline float sign(float x)
{
    return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x;
}

/* As Python takes it: the sign of the divisor. */
static inline float modulo(float a, float b)
{
    float rest = fmodf(a, b);
    return rest != 0.0f && (rest < 0.0f) != (b < 0.0f) ? rest + b : rest;
}

/* As far from zero as vmath's serves. */
static inline float expm1_of(float x)
{
    return x > 88.0f ? mb_v_exp(x) : mb_v_expm1(x);
}

#define MB_OF_ABS mb_v_abs
#define MB_OF_SIGN sign
#define MB_OF_SQRT sqrtf
#define MB_OF_EXP mb_v_exp
#define MB_OF_EXPM1 expm1_of
#define MB_OF_LOG logf
#define MB_OF_LOG1P log1pf
#define MB_OF_LOG2 log2f
#define MB_OF_LOG10 log10f
#define MB_OF_SIN sinf
#define MB_OF_COS cosf
#define MB_OF_TAN tanf
#define MB_OF_SINH sinhf
#define MB_OF_COSH coshf
#define MB_OF_TANH mb_v_tanh
#define MB_OF_ATAN atanf
#define MB_OF_ERF mb_v_erf
#define MB_OF_FLOOR floorf
#define MB_OF_ROUND rintf
#define MB_OF_MOD modulo
#define MB_OF_POW powf

#define FUNCTION(NAME, inputs, value)                                                              \
    MB_MULTIVERSION                                                                                \
    static void run_##NAME(const float *x0, const float *x1, const float *x2, float *y, int64_t n) \
    {                                                                                              \
        _Pragma("omp simd") for (int64_t i = 0; i < n; i++)                                        \
        {                                                                                          \
            float a = x0[i], b = (inputs) > 1 ? x1[i] : 0.0f, c = (inputs) > 2 ? x2[i] : 0.0f;     \
            (void)b, (void)c;                                                                      \
            y[i] = (value);                                                                        \
        }                                                                                          \
    }
MB_MAP_LIST(FUNCTION)
#undef FUNCTION

mb_cpu_map_fn_t mb_cpu_map_function(mb_map_t function)
{
    static const mb_cpu_map_fn_t functions[] = {
#define ENTRY(NAME, inputs, value) run_##NAME,
        MB_MAP_LIST(ENTRY)
#undef ENTRY
    };
    return functions[function];
}
