/* Softmax over rows, its logarithm, and their gradients. A part of a warp, a warp or a block takes
 * a row, by its length, and reads it twice: the second time it is in the cache, so memory sees each
 * element read and written once, which is the bound. */
#include "softmax.h"

namespace
{

template <typename TEAM, typename T>
__global__ void __launch_bounds__(TEAM::threads)
    forward_kernel(int64_t rows, int64_t columns, bool logarithm, const T *x, T *y)
{
    int64_t row = (int64_t)blockIdx.x * TEAM::teams + TEAM::number(), first = row * columns;
    if (row >= rows)
        return;
    mb_softmax_row s = mb_softmax_of<TEAM>(x, first, columns);
    float factor = 1.0f / s.sum, taken_off = logf(s.sum);
    mb_each_run_of_row<mb_width<T>>(first, columns, TEAM::lane(), TEAM::lanes,
                                    [&](int64_t j, auto run) {
                                        constexpr int N = decltype(run)::value;
                                        float v[N];
                                        mb_load_pack(x + first + j, v);
                                        for (int k = 0; k < N; k++)
                                            v[k] = logarithm ? v[k] - s.largest - taken_off
                                                             : mb_exp<T>(v[k] - s.largest) * factor;
                                        mb_store_pack(y + first + j, v);
                                    });
}

/* The sum of y dy; for the logarithm that of dy. */
template <typename TEAM, typename T>
__device__ inline float dot_of(bool logarithm, const T *y, const T *dy, int64_t first,
                               int64_t columns)
{
    float dot = 0.0f;
    mb_each_run_of_row<mb_width<T>>(first, columns, TEAM::lane(), TEAM::lanes,
                                    [&](int64_t j, auto run) {
                                        constexpr int N = decltype(run)::value;
                                        float p[N], g[N];
                                        mb_load_pack(y + first + j, p);
                                        mb_load_pack(dy + first + j, g);
                                        for (int k = 0; k < N; k++)
                                            dot += logarithm ? g[k] : p[k] * g[k];
                                    });
    return TEAM::sum(dot);
}

template <typename TEAM, typename T>
__global__ void __launch_bounds__(TEAM::threads)
    backward_kernel(int64_t rows, int64_t columns, bool logarithm, const T *y, const T *dy, T *dx)
{
    int64_t row = (int64_t)blockIdx.x * TEAM::teams + TEAM::number(), first = row * columns;
    if (row >= rows)
        return;
    float dot = dot_of<TEAM>(logarithm, y, dy, first, columns);
    mb_each_run_of_row<mb_width<T>>(
        first, columns, TEAM::lane(), TEAM::lanes, [&](int64_t j, auto run) {
            constexpr int N = decltype(run)::value;
            float p[N], g[N];
            mb_load_pack(y + first + j, p);
            mb_load_pack(dy + first + j, g);
            for (int k = 0; k < N; k++)
                g[k] = logarithm ? g[k] - mb_exp<T>(p[k]) * dot : p[k] * (g[k] - dot);
            mb_store_pack(dx + first + j, g);
        });
}

template <typename TEAM> unsigned blocks_of(int64_t rows)
{
    return (unsigned)mb_ceil_div(rows, TEAM::teams);
}

mb_status_t check(mb_op_t op, int64_t rows, int64_t columns, bool aligned)
{
    if (rows < 0 || columns < 1)
        return mb_cuda_refuse(op, "rows without columns");
    return aligned ? MB_OK : mb_cuda_refuse(op, "an address that is no multiple of 16");
}

template <typename T> mb_status_t forward(mb_exec_t *exec, const mb_softmax_forward_args_t &a)
{
    if (exec->planning || a.rows == 0)
        return MB_OK;
    MB_CUDA_TEAMED(a.columns, MB_LAUNCH((forward_kernel<TEAM, T>), blocks_of<TEAM>(a.rows),
                                        TEAM::threads, 0, mb_cuda_stream(exec), a.rows, a.columns,
                                        a.logarithm, (const T *)a.x, (T *)a.y));
    return mb_cuda_launched(MB_OP_SOFTMAX_FORWARD);
}

template <typename T> mb_status_t backward(mb_exec_t *exec, const mb_softmax_backward_args_t &a)
{
    if (exec->planning || a.rows == 0)
        return MB_OK;
    MB_CUDA_TEAMED(a.columns, MB_LAUNCH((backward_kernel<TEAM, T>), blocks_of<TEAM>(a.rows),
                                        TEAM::threads, 0, mb_cuda_stream(exec), a.rows, a.columns,
                                        a.logarithm, (const T *)a.y, (const T *)a.dy, (T *)a.dx));
    return mb_cuda_launched(MB_OP_SOFTMAX_BACKWARD);
}

} // namespace

extern "C" mb_status_t mb_cuda_softmax_forward(mb_exec_t *exec,
                                               const mb_softmax_forward_args_t *args)
{
    MB_TRY(
        check(MB_OP_SOFTMAX_FORWARD, args->rows, args->columns, mb_cuda_aligned(args->x, args->y)));
    MB_CUDA_TYPED(MB_OP_SOFTMAX_FORWARD, args->type, return forward<T>(exec, *args));
}

extern "C" mb_status_t mb_cuda_softmax_backward(mb_exec_t *exec,
                                                const mb_softmax_backward_args_t *args)
{
    MB_TRY(check(MB_OP_SOFTMAX_BACKWARD, args->rows, args->columns,
                 mb_cuda_aligned(args->y, args->dy, args->dx)));
    MB_CUDA_TYPED(MB_OP_SOFTMAX_BACKWARD, args->type, return backward<T>(exec, *args));
}
