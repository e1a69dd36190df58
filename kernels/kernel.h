/* What every kernel file begins with: one source for nvcc and, in tests/cudasim, for the host's
 * compiler, which runs blocks as fibres.
 *
 * An operation's file holds its kernels in an anonymous namespace, and for each operation one
 *
 *     extern "C" mb_status_t mb_cuda_<op>(mb_exec_t *exec, const mb_<op>_args_t *args);
 *
 * which checks its arguments, says what workspace it needs, returns there while planning, and
 * launches. It allocates nothing and never waits for the device.
 *
 * The same bits from run to run: no atomics whose order shows, and a grid that depends on shape
 * alone. Elements are read as `type` says, computed in float, and rounded once on the way out. */
#ifndef MB_KERNELS_KERNEL_H
#define MB_KERNELS_KERNEL_H

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#ifdef MB_CUDASIM
#include "cudasim/kernel.h"
#else
/* MB_LAUNCH(kernel, grid, block, bytes of dynamic shared memory, stream, arguments...); a kernel
 * with a comma in its name goes into parentheses. */
#define MB_LAUNCH(kernel, grid, block, shared, stream, ...)                                        \
    kernel<<<(grid), (block), (shared), (stream)>>>(__VA_ARGS__)
/* Dynamic shared memory as an array NAME of TYPE, aligned to 16 bytes. */
#define MB_SHARED_DYNAMIC(TYPE, NAME)                                                              \
    extern __shared__ __align__(16) unsigned char mb_shared_dynamic[];                             \
    TYPE *NAME = reinterpret_cast<TYPE *>(mb_shared_dynamic)
#endif

#include "device/cuda/cuda.h"

/* ---- elements */

template <typename T> __device__ inline float mb_load(const T *p, int64_t i);
template <> __device__ inline float mb_load(const float *p, int64_t i)
{
    return p[i];
}
template <> __device__ inline float mb_load(const __nv_bfloat16 *p, int64_t i)
{
    return __bfloat162float(p[i]);
}
template <> __device__ inline float mb_load(const __half *p, int64_t i)
{
    return __half2float(p[i]);
}

__device__ inline void mb_store(float *p, int64_t i, float value)
{
    p[i] = value;
}
__device__ inline void mb_store(__nv_bfloat16 *p, int64_t i, float value)
{
    p[i] = __float2bfloat16_rn(value);
}
__device__ inline void mb_store(__half *p, int64_t i, float value)
{
    p[i] = __float2half_rn(value);
}

/* A run of elements that is loaded and stored at once: 16 bytes of T where W = mb_width<T>. */
template <typename T> constexpr int mb_width = 16 / (int)sizeof(T);

template <typename T, int W> struct alignas(sizeof(T) * W) mb_pack {
    T element[W];
};

template <int W, typename T> __device__ inline void mb_load_pack(const T *p, float (&out)[W])
{
    mb_pack<T, W> pack = *reinterpret_cast<const mb_pack<T, W> *>(p);
#pragma unroll
    for (int i = 0; i < W; i++)
        out[i] = mb_load(pack.element, i);
}

template <int W, typename T> __device__ inline void mb_store_pack(T *p, const float (&in)[W])
{
    mb_pack<T, W> pack;
#pragma unroll
    for (int i = 0; i < W; i++)
        mb_store(pack.element, i, in[i]);
    *reinterpret_cast<mb_pack<T, W> *>(p) = pack;
}

/* Runs BODY with T the element type that TYPE names; other types are refused by name. */
#define MB_CUDA_TYPED(op, TYPE, ...)                                                               \
    do {                                                                                           \
        if ((TYPE) == MB_F32) {                                                                    \
            using T = float;                                                                       \
            __VA_ARGS__;                                                                           \
        } else if ((TYPE) == MB_BF16) {                                                            \
            using T = __nv_bfloat16;                                                               \
            __VA_ARGS__;                                                                           \
        } else if ((TYPE) == MB_F16) {                                                             \
            using T = __half;                                                                      \
            __VA_ARGS__;                                                                           \
        } else                                                                                     \
            return mb_cuda_refuse((op), "elements of a type without kernels");                     \
    } while (0)

/* ---- sizes */

constexpr int MB_WARP = 32;

__host__ __device__ constexpr int64_t mb_ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* Blocks of THREADS for COUNT pieces, each taken by the blocks in turn (a grid-stride loop); at
 * most 2^31 - 1, and few enough that the tail is short. Depends on COUNT alone. */
inline unsigned mb_cuda_blocks(int64_t count, int threads)
{
    int64_t blocks = mb_ceil_div(count, threads);
    return (unsigned)(blocks < 1 ? 1 : blocks > 65535 ? 65535 : blocks);
}

__device__ inline int64_t mb_first()
{
    return (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
}

__device__ inline int64_t mb_stride()
{
    return (int64_t)gridDim.x * blockDim.x;
}

#endif
