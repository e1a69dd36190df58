/* Functions of strided operands, and their reductions. A thread takes a result, and walks its
 * reduced elements; where there are few results of many elements, a block takes one. The function
 * is chosen by a branch that all threads take alike: a kernel for each of them would be hundreds.
 * Bound by memory where the last axis lies side by side, else by the sectors that strides touch. */
#include "reduce.h"

namespace
{

constexpr int THREADS = 256;

__device__ inline float sign_of(float x)
{
    return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x;
}

/* As Python takes it: the sign of the divisor. */
__device__ inline float modulo(float a, float b)
{
    float rest = fmodf(a, b);
    return rest != 0.0f && (rest < 0.0f) != (b < 0.0f) ? rest + b : rest;
}

#define MB_OF_ABS fabsf
#define MB_OF_SIGN sign_of
#define MB_OF_SQRT sqrtf
#define MB_OF_EXP expf
#define MB_OF_EXPM1 expm1f
#define MB_OF_LOG logf
#define MB_OF_LOG1P log1pf
#define MB_OF_LOG2 log2f
#define MB_OF_LOG10 log10f
#define MB_OF_SIN sinf
#define MB_OF_COS cosf
#define MB_OF_TAN tanf
#define MB_OF_SINH sinhf
#define MB_OF_COSH coshf
#define MB_OF_TANH tanhf
#define MB_OF_ATAN atanf
#define MB_OF_ERF erff
#define MB_OF_FLOOR floorf
#define MB_OF_ROUND rintf
#define MB_OF_MOD modulo
#define MB_OF_POW powf

/* Products and sums apart, as the CPU takes them. */
__device__ inline float apply(mb_map_t function, float a, float b, float c)
{
    switch (function) {
#define CASE(NAME, inputs, value)                                                                  \
    case MB_MAP_##NAME:                                                                            \
        return (value);
        MB_MAP_LIST(CASE)
#undef CASE
    default:
        return 0.0f;
    }
}

__device__ inline double combine(mb_reduction_t reduction, double sum, double value)
{
    switch (reduction) {
    case MB_REDUCE_PRODUCT:
        return sum * value;
    case MB_REDUCE_MAX:
        return sum > value || sum != sum ? sum : value;
    case MB_REDUCE_MIN:
        return sum < value || sum != sum ? sum : value;
    default:
        return sum + value;
    }
}

struct combine_as {
    mb_reduction_t reduction;
    __device__ double operator()(double a, double b) const
    {
        return combine(reduction, a, b);
    }
};

__device__ inline double first_of(mb_reduction_t reduction)
{
    return reduction == MB_REDUCE_SUM       ? 0.0
           : reduction == MB_REDUCE_PRODUCT ? 1.0
           : reduction == MB_REDUCE_MAX     ? -INFINITY
                                            : INFINITY;
}

struct places {
    int64_t x[MB_MAP_INPUTS], y;
};

/* Adds what element INDEX of axes FROM to TO lies away; in 32 bits where that serves, since long
 * divisions are slow. */
template <typename INDEX>
__device__ inline void add_places(const mb_map_args_t &a, int from, int to, int64_t index,
                                  places &p)
{
    INDEX rest = (INDEX)index;
    for (int d = to - 1; d >= from; d--) {
        INDEX dim = (INDEX)a.dim[d];
        int64_t at = (int64_t)(rest % dim);
        rest /= dim;
        for (int i = 0; i < MB_MAP_INPUTS; i++)
            p.x[i] += at * a.stride[i][d];
        p.y += at * a.y_stride[d];
    }
}

__device__ inline void add_places(const mb_map_args_t &a, int from, int to, int64_t index,
                                  places &p)
{
    if (index <= UINT32_MAX)
        add_places<uint32_t>(a, from, to, index, p);
    else
        add_places<uint64_t>(a, from, to, index, p);
}

template <typename T> __device__ inline float input_of(const mb_map_args_t &a, int i, int64_t place)
{
    if (a.constants >> i & 1)
        return a.constant[i];
    if (a.wide >> i & 1)
        return mb_load((const float *)a.x[i], place);
    return a.x[i] == nullptr ? 0.0f : mb_load((const T *)a.x[i], place);
}

template <typename T> __device__ inline float value_at(const mb_map_args_t &a, const places &p)
{
    return apply(a.function, input_of<T>(a, 0, p.x[0]), input_of<T>(a, 1, p.x[1]),
                 input_of<T>(a, 2, p.x[2]));
}

template <typename T> __device__ inline void put(T *y, bool adds, int64_t place, float value)
{
    mb_store(y, place, adds ? mb_load(y, place) + value : value);
}

template <typename T> __device__ inline void put(const mb_map_args_t &a, int64_t place, float value)
{
    if (a.wide & MB_MAP_WIDE_Y)
        put((float *)a.y, a.accumulate, place, value);
    else
        put((T *)a.y, a.accumulate, place, value);
}

template <typename T>
__global__ void __launch_bounds__(THREADS) map_kernel(const mb_map_args_t a, int64_t kept)
{
    for (int64_t k = mb_first(); k < kept; k += mb_stride()) {
        places p = {};
        add_places(a, 0, a.axes, k, p);
        float value = value_at<T>(a, p);
        put<T>(a, p.y, a.scale == 1.0 ? value : (float)((double)value * a.scale));
    }
}

template <typename T>
__device__ inline double piece_of(const mb_map_args_t &a, const places &result, int64_t first,
                                  int64_t step, int64_t reduced)
{
    double sum = first_of(a.reduction);
    for (int64_t r = first; r < reduced; r += step) {
        places p = result;
        add_places(a, a.axes - a.reduced, a.axes, r, p);
        sum = combine(a.reduction, sum, (double)value_at<T>(a, p));
    }
    return sum;
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    reduce_kernel(const mb_map_args_t a, int64_t kept, int64_t reduced)
{
    for (int64_t k = mb_first(); k < kept; k += mb_stride()) {
        places p = {};
        add_places(a, 0, a.axes - a.reduced, k, p);
        put<T>(a, p.y, (float)(piece_of<T>(a, p, 0, 1, reduced) * a.scale));
    }
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    reduce_block_kernel(const mb_map_args_t a, int64_t kept, int64_t reduced)
{
    for (int64_t k = blockIdx.x; k < kept; k += gridDim.x) {
        places p = {};
        add_places(a, 0, a.axes - a.reduced, k, p);
        double sum = piece_of<T>(a, p, threadIdx.x, THREADS, reduced);
        sum = mb_reduce_block<THREADS>(sum, combine_as{a.reduction});
        if (threadIdx.x == 0)
            put<T>(a, p.y, (float)(sum * a.scale));
    }
}

/* Fewer results than a device has threads, and enough elements for a block's. */
constexpr int64_t FEW_RESULTS = 1 << 16, MANY_ELEMENTS = THREADS / 2;

template <typename T> mb_status_t run(mb_exec_t *exec, const mb_map_args_t &a)
{
    int64_t kept = mb_map_kept(&a), reduced = mb_map_reduced(&a);
    if (exec->planning || kept == 0)
        return MB_OK;
    cudaStream_t stream = mb_cuda_stream(exec);
    if (a.reduced == 0)
        MB_LAUNCH((map_kernel<T>), mb_cuda_blocks(kept, THREADS), THREADS, 0, stream, a, kept);
    else if (kept < FEW_RESULTS && reduced >= MANY_ELEMENTS)
        MB_LAUNCH((reduce_block_kernel<T>), (unsigned)kept, THREADS, 0, stream, a, kept, reduced);
    else
        MB_LAUNCH((reduce_kernel<T>), mb_cuda_blocks(kept, THREADS), THREADS, 0, stream, a, kept,
                  reduced);
    return mb_cuda_launched(MB_OP_MAP);
}

} // namespace

extern "C" mb_status_t mb_cuda_map(mb_exec_t *exec, const mb_map_args_t *args)
{
    const char *fault = mb_map_fault(args);
    if (fault != nullptr)
        return mb_cuda_refuse(MB_OP_MAP, fault);
    MB_CUDA_TYPED(MB_OP_MAP, args->type, return run<T>(exec, *args));
}
