/* Numbers that stand for something: ranges of numbers, known whole numbers and hashes of others,
 * and rows of them as counts. A thread takes one number and finds its place by halves; of counts
 * one result, for which it reads a row, which is in the cache for all that read it. */
#include "device/naming.h"

#include "kernel.h"

namespace
{

constexpr int THREADS = 256;

template <typename T>
__global__ void __launch_bounds__(THREADS) digitize_kernel(mb_digitize_args_t a)
{
    for (int64_t i = mb_first(); i < a.count; i += mb_stride()) {
        float x = mb_load((const T *)a.x, i);
        int64_t low = 0, high = a.n;
        while (low < high) {
            int64_t middle = (low + high) / 2;
            if (x < a.boundaries[middle])
                high = middle;
            else
                low = middle + 1;
        }
        a.y[i] = (int32_t)low;
    }
}

__global__ void __launch_bounds__(THREADS) lookup_kernel(mb_lookup_args_t a)
{
    for (int64_t i = mb_first(); i < a.count; i += mb_stride())
        a.y[i] = mb_place_of(&a, a.x[i]);
}

template <typename T> __global__ void __launch_bounds__(THREADS) encode_kernel(mb_encode_args_t a)
{
    for (int64_t i = mb_first(); i < a.rows * a.depth; i += mb_stride()) {
        int64_t row = i / a.depth, place = i - row * a.depth;
        float count = 0.0f;
        for (int64_t c = 0; c < a.columns; c++)
            count += a.x[row * a.columns + c] == place ? 1.0f : 0.0f;
        mb_store((T *)a.y, i, a.counts || count == 0.0f ? count : 1.0f);
    }
}

} // namespace

extern "C" mb_status_t mb_cuda_digitize(mb_exec_t *exec, const mb_digitize_args_t *args)
{
    if (args->count < 0 || args->n < 0 || args->n > INT32_MAX)
        return mb_cuda_refuse(MB_OP_DIGITIZE, "a size that is none");
    if (exec->planning || args->count == 0)
        return MB_OK;
    MB_CUDA_TYPED(MB_OP_DIGITIZE, args->type,
                  MB_LAUNCH((digitize_kernel<T>), mb_cuda_blocks(args->count, THREADS), THREADS, 0,
                            mb_cuda_stream(exec), *args));
    return mb_cuda_launched(MB_OP_DIGITIZE);
}

extern "C" mb_status_t mb_cuda_lookup(mb_exec_t *exec, const mb_lookup_args_t *args)
{
    if (args->count < 0 || args->n < 0)
        return mb_cuda_refuse(MB_OP_LOOKUP, "a size that is none");
    if (args->rule != MB_OTHERS_ONE && args->others < 1)
        return mb_cuda_refuse(MB_OP_LOOKUP, "no places for what is not listed");
    if (exec->planning || args->count == 0)
        return MB_OK;
    MB_LAUNCH(lookup_kernel, mb_cuda_blocks(args->count, THREADS), THREADS, 0, mb_cuda_stream(exec),
              *args);
    return mb_cuda_launched(MB_OP_LOOKUP);
}

extern "C" mb_status_t mb_cuda_encode(mb_exec_t *exec, const mb_encode_args_t *args)
{
    if (args->rows < 0 || args->columns < 0 || args->depth < 1)
        return mb_cuda_refuse(MB_OP_ENCODE, "a size that is none");
    if (exec->planning || args->rows == 0)
        return MB_OK;
    MB_CUDA_TYPED(MB_OP_ENCODE, args->type,
                  MB_LAUNCH((encode_kernel<T>), mb_cuda_blocks(args->rows * args->depth, THREADS),
                            THREADS, 0, mb_cuda_stream(exec), *args));
    return mb_cuda_launched(MB_OP_ENCODE);
}
