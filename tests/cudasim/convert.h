/* Numbers of cuBLASLt's matrices: float, bfloat16 and half, computed with in float. */
#ifndef MB_CUDASIM_CONVERT_H
#define MB_CUDASIM_CONVERT_H

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <library_types.h>

#include <stdint.h>
#include <string.h>

namespace mb_cudasim
{

inline float as_float(float x)
{
    return x;
}
inline float as_float(__nv_bfloat16 x)
{
    uint16_t half;
    memcpy(&half, &x, sizeof half);
    uint32_t bits = (uint32_t)half << 16;
    float y;
    memcpy(&y, &bits, sizeof y);
    return y;
}
inline float as_float(__half x)
{
    return __half2float(x);
}

/* Rounded to nearest, ties to even. */
inline void round_to(float x, float *to)
{
    *to = x;
}
inline void round_to(float x, __nv_bfloat16 *to)
{
    *to = __float2bfloat16_rn(x);
}
inline void round_to(float x, __half *to)
{
    *to = __float2half_rn(x);
}

/* To the 10 bits of a TF32 mantissa, ties away from zero, as cvt.rna.tf32 does. */
inline float as_tf32(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7f800000u) != 0x7f800000u)
        bits = (bits + 0x1000u) & ~0x1fffu;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* 0 for types that are not simulated. */
inline size_t type_bytes(cudaDataType type)
{
    return type == CUDA_R_32F ? 4 : type == CUDA_R_16BF || type == CUDA_R_16F ? 2 : 0;
}

/* Calls F with a pointer to TYPE of the data. */
template <typename F> auto with_type(cudaDataType type, const void *data, F f)
{
    if (type == CUDA_R_16BF)
        return f(static_cast<const __nv_bfloat16 *>(data));
    if (type == CUDA_R_16F)
        return f(static_cast<const __half *>(data));
    return f(static_cast<const float *>(data));
}
template <typename F> auto with_type(cudaDataType type, void *data, F f)
{
    if (type == CUDA_R_16BF)
        return f(static_cast<__nv_bfloat16 *>(data));
    if (type == CUDA_R_16F)
        return f(static_cast<__half *>(data));
    return f(static_cast<float *>(data));
}

inline float load_number(cudaDataType type, const void *data, int64_t i)
{
    return with_type(type, data, [=](const auto *p) { return as_float(p[i]); });
}
inline void store_number(cudaDataType type, void *data, int64_t i, float x)
{
    with_type(type, data, [=](auto *p) { round_to(x, p + i); });
}

} // namespace mb_cudasim

#endif
