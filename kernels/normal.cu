/* Normally distributed numbers: a counter gives those of four neighbouring elements, two pairs by
 * Box and Muller's transform. Bound by the logarithms and square roots of it. */
#include "philox.h"

namespace
{

constexpr int THREADS = 256;

/* The radius from u in (0, 1], the angle from v in [0, 1) turns. */
__device__ inline void normal_pair(uint32_t radius_word, uint32_t angle_word, float *first,
                                   float *second)
{
    float u = (float)(int32_t)((radius_word >> 8) + 1) * 0x1p-24f;
    float radius = sqrtf(-2.0f * logf(u)), sine, cosine;
    sincospif(2.0f * mb_random_unit_of(angle_word), &sine, &cosine);
    *first = radius * cosine;
    *second = radius * sine;
}

template <typename T>
__global__ void __launch_bounds__(THREADS) normal_kernel(const mb_normal_args_t a)
{
    int64_t fours = mb_ceil_div(a.elements, 4);
    for (int64_t i = mb_first(); i < a.samples * fours; i += mb_stride()) {
        int64_t sample = i / fours, four = i - sample * fours;
        mb_random_four words = mb_random_words(a.random, (uint32_t)sample, (uint32_t)four);
        float z[4];
        normal_pair(words.word[0], words.word[1], &z[0], &z[1]);
        normal_pair(words.word[2], words.word[3], &z[2], &z[3]);
        for (int k = 0; k < 4 && four * 4 + k < a.elements; k++)
            mb_store((T *)a.y, sample * a.elements + four * 4 + k, a.mean + a.deviation * z[k]);
    }
}

template <typename T> mb_status_t normal(mb_exec_t *exec, const mb_normal_args_t &a)
{
    int64_t all = a.samples * mb_ceil_div(a.elements, 4);
    if (exec->planning || all == 0)
        return MB_OK;
    MB_LAUNCH((normal_kernel<T>), mb_cuda_blocks(all, THREADS), THREADS, 0, mb_cuda_stream(exec),
              a);
    return mb_cuda_launched(MB_OP_NORMAL);
}

} // namespace

extern "C" mb_status_t mb_cuda_normal(mb_exec_t *exec, const mb_normal_args_t *args)
{
    if (args->samples < 0 || args->elements < 0)
        return mb_cuda_refuse(MB_OP_NORMAL, "negative size");
    if (args->elements > INT64_C(1) << 32)
        return mb_cuda_refuse(
            MB_OP_NORMAL, "more than 2^32 elements a sample, which have no numbers of their own");
    MB_CUDA_TYPED(MB_OP_NORMAL, args->type, return normal<T>(exec, *args));
}
