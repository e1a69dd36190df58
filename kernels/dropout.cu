/* Dropout: each element is kept with its scale, or zero, by a number of its own. A thread takes a
 * run of 16 bytes of one sample, and one counter gives the numbers of four neighbouring elements.
 * Bound by memory for float, and about as much by the generator for 16-bit elements. */
#include "philox.h"
#include "runs.h"

namespace
{

constexpr int THREADS = 256;

struct keep {
    mb_random_key_t random;
    float rate, scale;

    /* As the CPU: what is dropped is multiplied by zero. */
    __device__ float factor(uint32_t word) const
    {
        return mb_random_unit_of(word) >= rate ? scale : 0.0f;
    }
};

/* Rows whose elements fill runs of N, a multiple of four; REPEATS of them are a sample. */
template <int N, typename T>
__global__ void __launch_bounds__(THREADS)
    runs_kernel(int64_t runs, int64_t runs_a_row, int64_t repeats, keep k, const T *x, T *y)
{
    for (int64_t i = mb_first(); i < runs; i += mb_stride()) {
        int64_t row = i / runs_a_row, at = i - row * runs_a_row, sample = row / repeats;
        float v[N];
        mb_load_pack(x + i * N, v);
#pragma unroll
        for (int j = 0; j < N; j += 4) {
            mb_random_four four =
                mb_random_words(k.random, (uint32_t)sample, (uint32_t)(at * (N / 4) + j / 4));
            for (int word = 0; word < 4; word++)
                v[j + word] *= k.factor(four.word[word]);
        }
        mb_store_pack(y + i * N, v);
    }
}

/* Any rows, four elements a thread. */
template <typename T>
__global__ void __launch_bounds__(THREADS)
    fours_kernel(int64_t rows, int64_t elements, int64_t repeats, keep k, const T *x, T *y)
{
    int64_t fours = mb_ceil_div(elements, 4);
    for (int64_t i = mb_first(); i < rows * fours; i += mb_stride()) {
        int64_t row = i / fours, four = i - row * fours, first = row * elements;
        mb_random_four words = mb_random_words(k.random, (uint32_t)(row / repeats), (uint32_t)four);
        for (int word = 0; word < 4 && four * 4 + word < elements; word++) {
            int64_t at = first + four * 4 + word;
            mb_store(y, at, mb_load(x, at) * k.factor(words.word[word]));
        }
    }
}

template <typename T> mb_status_t dropout(mb_exec_t *exec, const mb_dropout_args_t &a)
{
    constexpr int W = mb_width<T>;
    keep k = {a.random, a.rate, 1.0f / (1.0f - a.rate)};
    int64_t rows = mb_dropout_runs(&a), all = rows * a.elements;
    int64_t repeats = a.repeats > 1 ? a.repeats : 1;
    if (exec->planning || all == 0)
        return MB_OK;
    if (a.elements % W == 0 && mb_cuda_aligned(a.x, a.y))
        MB_LAUNCH((runs_kernel<W, T>), mb_cuda_blocks(all / W, THREADS), THREADS, 0,
                  mb_cuda_stream(exec), all / W, a.elements / W, repeats, k, (const T *)a.x,
                  (T *)a.y);
    else
        MB_LAUNCH((fours_kernel<T>), mb_cuda_blocks(rows * mb_ceil_div(a.elements, 4), THREADS),
                  THREADS, 0, mb_cuda_stream(exec), rows, a.elements, repeats, k, (const T *)a.x,
                  (T *)a.y);
    return mb_cuda_launched(MB_OP_DROPOUT);
}

mb_status_t check(const mb_dropout_args_t &a)
{
    if (a.samples < 0 || a.elements < 0 || a.repeats < 0)
        return mb_cuda_refuse(MB_OP_DROPOUT, "negative size");
    if (!(a.rate >= 0.0f && a.rate <= 1.0f))
        return mb_cuda_refuse(MB_OP_DROPOUT, "a rate outside 0 to 1");
    if (a.elements > INT64_C(1) << 32)
        return mb_cuda_refuse(
            MB_OP_DROPOUT, "more than 2^32 elements a sample, which have no numbers of their own");
    return MB_OK;
}

} // namespace

extern "C" mb_status_t mb_cuda_dropout(mb_exec_t *exec, const mb_dropout_args_t *args)
{
    int64_t count = mb_dropout_runs(args) * args->elements;
    MB_TRY(check(*args));
    if (args->rate >= 1.0f) {
        mb_zero_args_t zero = {count * (int64_t)mb_dtype_bytes(args->type), args->y};
        return mb_cuda_zero(exec, &zero);
    }
    MB_CUDA_TYPED(MB_OP_DROPOUT, args->type, return dropout<T>(exec, *args));
}
