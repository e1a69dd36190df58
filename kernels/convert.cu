/* Elements of one float type, or integers, as those of another: 8 at a time where both sides are
 * aligned, single ones at the end. Bound by memory: every byte is read or written once. */
#include "kernel.h"

namespace
{

constexpr int THREADS = 256;
constexpr int W = 8;

template <typename From, typename To>
__global__ void convert_kernel(int64_t count, const From *x, To *y)
{
    int64_t packs = count / W;
    for (int64_t i = mb_first(); i < packs; i += mb_stride()) {
        float values[W];
        mb_load_pack<W>(x + i * W, values);
        mb_store_pack<W>(y + i * W, values);
    }
    for (int64_t i = packs * W + mb_first(); i < count; i += mb_stride())
        mb_store(y, i, mb_load(x, i));
}

template <typename To>
__global__ void convert_integers_kernel(int64_t count, const int32_t *x, To *y)
{
    for (int64_t i = mb_first(); i < count; i += mb_stride())
        mb_store(y, i, (float)x[i]);
}

template <typename To> mb_status_t convert_integers(mb_exec_t *exec, const mb_convert_args_t *a)
{
    MB_LAUNCH((convert_integers_kernel<To>), mb_cuda_blocks(a->count, THREADS), THREADS, 0,
              mb_cuda_stream(exec), a->count, (const int32_t *)a->x, (To *)a->y);
    return mb_cuda_launched(MB_OP_CONVERT);
}

template <typename To> mb_status_t convert_to(mb_exec_t *exec, const mb_convert_args_t *a)
{
    if (a->from == MB_I32)
        return convert_integers<To>(exec, a);
    MB_CUDA_TYPED(MB_OP_CONVERT, a->from,
                  MB_LAUNCH((convert_kernel<T, To>), mb_cuda_blocks(a->count / W + 1, THREADS),
                            THREADS, 0, mb_cuda_stream(exec), a->count, (const T *)a->x,
                            (To *)a->y));
    return mb_cuda_launched(MB_OP_CONVERT);
}

} // namespace

extern "C" mb_status_t mb_cuda_convert(mb_exec_t *exec, const mb_convert_args_t *args)
{
    if (args->count < 0)
        return mb_cuda_refuse(MB_OP_CONVERT, "negative count");
    if (exec->planning || args->count == 0)
        return MB_OK;
    MB_CUDA_TYPED(MB_OP_CONVERT, args->type, return convert_to<T>(exec, args));
    return MB_OK;
}
