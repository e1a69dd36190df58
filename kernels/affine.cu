/* Random transforms of images, and images seen through them. A thread makes one sample's transform;
 * then one element of a result, from up to four of the input, which neighbouring threads share in
 * the cache. The gradient is one thread's for each channel of an image, which walks the result: its
 * sums keep their order, and augmentation seldom has one. */
#include "device/affine.h"

#include "philox.h"

namespace
{

constexpr int THREADS = 256;

template <typename T> __global__ void __launch_bounds__(THREADS) draw_kernel(mb_draw_args_t a)
{
    for (int64_t s = mb_first(); s < a.samples; s += mb_stride()) {
        uint32_t index = a.draw == MB_DRAW_WINDOW ? 0 : (uint32_t)s;
        mb_random_four four = mb_random_words(a.random, index, 0);
        float u0 = mb_random_unit_of(four.word[0]), u1 = mb_random_unit_of(four.word[1]);
        if (a.draw == MB_DRAW_NUMBER)
            mb_store((T *)a.y, s, mb_draw_between(&a, 0, u0));
        else
            mb_draw_transform(&a, u0, u1, a.transforms + s * MB_TRANSFORM);
    }
}

/* The element of an image at a place; -1: outside. */
__device__ inline int64_t element_of(const mb_affine_args_t &a, int64_t row, int64_t column)
{
    return row < 0 || column < 0 ? -1 : (row * a.in[1] + column) * a.inner;
}

template <typename T> __global__ void __launch_bounds__(THREADS) affine_kernel(mb_affine_args_t a)
{
    int64_t pixels = a.out[0] * a.out[1], all = a.samples * a.planes * pixels * a.inner;
    int places = a.nearest ? 1 : 2;
    for (int64_t i = mb_first(); i < all; i += mb_stride()) {
        int64_t pixel = i / a.inner, channel = i - pixel * a.inner, image = pixel / pixels;
        int64_t y = (pixel - image * pixels) / a.out[1], x = (pixel - image * pixels) % a.out[1];
        const T *from = (const T *)a.x + image * a.in[0] * a.in[1] * a.inner + channel;
        mb_affine_axis_t at[2];
        mb_affine_places(&a, a.transforms + image / a.planes * MB_TRANSFORM, y, x, at);
        float sum = 0.0f;
        for (int r = 0; r < places; r++)
            for (int c = 0; c < places; c++) {
                int64_t element = element_of(a, at[0].index[r], at[1].index[c]);
                float weight = at[0].weight[r] * at[1].weight[c];
                sum += weight * (element >= 0 ? mb_load(from, element) : a.value);
            }
        mb_store((T *)a.y, i, sum);
    }
}

/* SUM has the gradient's place for each element, in float32, and is zero before. */
template <typename T>
__global__ void __launch_bounds__(THREADS) transposed_kernel(mb_affine_args_t a, float *sum)
{
    int places = a.nearest ? 1 : 2;
    for (int64_t i = mb_first(); i < a.samples * a.planes * a.inner; i += mb_stride()) {
        int64_t image = i / a.inner, channel = i - image * a.inner;
        const T *from = (const T *)a.x + image * a.out[0] * a.out[1] * a.inner + channel;
        float *to = sum + image * a.in[0] * a.in[1] * a.inner + channel;
        for (int64_t pixel = 0; pixel < a.out[0] * a.out[1]; pixel++) {
            mb_affine_axis_t at[2];
            mb_affine_places(&a, a.transforms + image / a.planes * MB_TRANSFORM, pixel / a.out[1],
                             pixel % a.out[1], at);
            float dy = mb_load(from, pixel * a.inner);
            for (int r = 0; r < places; r++)
                for (int c = 0; c < places; c++) {
                    int64_t element = element_of(a, at[0].index[r], at[1].index[c]);
                    if (element >= 0)
                        to[element] += dy * (at[0].weight[r] * at[1].weight[c]);
                }
        }
    }
}

template <typename T>
__global__ void __launch_bounds__(THREADS) round_kernel(int64_t count, const float *x, T *y)
{
    for (int64_t i = mb_first(); i < count; i += mb_stride())
        mb_store(y, i, x[i]);
}

template <typename T>
mb_status_t transposed(mb_exec_t *exec, const mb_affine_args_t &a, int64_t count, float *sum)
{
    mb_zero_args_t zero = {count * (int64_t)sizeof(float), sum};
    MB_TRY(mb_cuda_zero(exec, &zero));
    MB_LAUNCH((transposed_kernel<T>), mb_cuda_blocks(a.samples * a.planes * a.inner, THREADS),
              THREADS, 0, mb_cuda_stream(exec), a, sum);
    if (a.type != MB_F32)
        MB_LAUNCH((round_kernel<T>), mb_cuda_blocks(count, THREADS), THREADS, 0,
                  mb_cuda_stream(exec), count, (const float *)sum, (T *)a.y);
    return mb_cuda_launched(MB_OP_AFFINE);
}

template <typename T> mb_status_t forward(mb_exec_t *exec, const mb_affine_args_t &a)
{
    int64_t all = a.samples * a.planes * a.out[0] * a.out[1] * a.inner;
    MB_LAUNCH((affine_kernel<T>), mb_cuda_blocks(all, THREADS), THREADS, 0, mb_cuda_stream(exec),
              a);
    return mb_cuda_launched(MB_OP_AFFINE);
}

} // namespace

extern "C" mb_status_t mb_cuda_draw(mb_exec_t *exec, const mb_draw_args_t *args)
{
    const char *fault = mb_draw_fault(args);
    if (fault != NULL)
        return mb_cuda_refuse(MB_OP_DRAW, fault);
    if (exec->planning || args->samples == 0)
        return MB_OK;
    MB_CUDA_TYPED(MB_OP_DRAW, args->type,
                  MB_LAUNCH((draw_kernel<T>), mb_cuda_blocks(args->samples, THREADS), THREADS, 0,
                            mb_cuda_stream(exec), *args));
    return mb_cuda_launched(MB_OP_DRAW);
}

extern "C" mb_status_t mb_cuda_affine(mb_exec_t *exec, const mb_affine_args_t *args)
{
    const char *fault = mb_affine_fault(args);
    void *sum = NULL;
    if (fault != NULL)
        return mb_cuda_refuse(MB_OP_AFFINE, fault);
    int64_t count = args->samples * args->planes * args->in[0] * args->in[1] * args->inner;
    bool apart = args->transposed && args->type != MB_F32;
    if (apart)
        MB_TRY(mb_cuda_workspace(exec, MB_OP_AFFINE, sizeof(float) * (size_t)count, &sum));
    if (exec->planning || args->samples == 0)
        return MB_OK;
    if (!apart)
        sum = args->y;
    MB_CUDA_TYPED(MB_OP_AFFINE, args->type,
                  return args->transposed ? transposed<T>(exec, *args, count, (float *)sum)
                                          : forward<T>(exec, *args));
}
