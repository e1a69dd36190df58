/* Pooling over regions of an axis. A thread takes a run of columns of one row: forward of the
 * result, whose region it reads; backward of the input, where it gathers from the regions that see
 * it, in their order. Bound by memory. */
#include "columns.h"

namespace
{

constexpr int THREADS = MB_COLUMNS_THREADS;

struct regions_t {
    int64_t in, out, inner;

    __device__ int64_t begin(int64_t j) const
    {
        return j * in / out;
    }
    __device__ int64_t end(int64_t j) const
    {
        return mb_ceil_div((j + 1) * in, out);
    }
};

template <bool AVERAGE, int W, typename T>
__global__ void __launch_bounds__(THREADS)
    forward_kernel(mb_columns c, regions_t r, const T *x, T *y)
{
    mb_columns_place at = mb_columns_here<W>(c);
    for (int64_t row = at.row; row < at.end && at.column < c.columns; row += at.step) {
        int64_t image = row / r.out, j = row - image * r.out, begin = r.begin(j), end = r.end(j);
        float v[W], result[W];
        for (int k = 0; k < W; k++)
            result[k] = AVERAGE ? 0.0f : -INFINITY;
        for (int64_t i = begin; i < end; i++) {
            mb_load_pack(x + (image * r.in + i) * r.inner + at.column, v);
            for (int k = 0; k < W; k++)
                if (AVERAGE)
                    result[k] += v[k];
                else
                    result[k] = v[k] > result[k] || v[k] != v[k] ? v[k] : result[k];
        }
        for (int k = 0; k < W && AVERAGE; k++)
            result[k] /= (float)(end - begin);
        mb_store_pack(y + row * r.inner + at.column, result);
    }
}

template <typename T> struct operands_t {
    const T *x, *y, *dy;
    T *dx;
};

/* What region J gives to row I of its image, whose value is X. */
template <bool AVERAGE, int W, typename T>
__device__ inline void gather(const regions_t &r, const operands_t<T> &p, int64_t image, int64_t i,
                              int64_t j, const float (&x)[W], float (&dx)[W])
{
    int64_t begin = r.begin(j), row = (image * r.out + j) * r.inner;
    float dy[W], top[W], other[W];
    mb_load_pack(p.dy + row, dy);
    if (AVERAGE) {
        for (int k = 0; k < W; k++)
            dx[k] += dy[k] / (float)(r.end(j) - begin);
        return;
    }
    mb_load_pack(p.y + row, top);
    unsigned open = 0;
    for (int k = 0; k < W; k++)
        open |= (x[k] == top[k] ? 1u : 0u) << k;
    for (int64_t before = begin; before < i && open != 0; before++) {
        mb_load_pack(p.x + (image * r.in + before) * r.inner, other);
        for (int k = 0; k < W; k++)
            open &= ~((other[k] == top[k] ? 1u : 0u) << k);
    }
    for (int k = 0; k < W; k++)
        dx[k] += open >> k & 1 ? dy[k] : 0.0f;
}

template <bool AVERAGE, int W, typename T>
__global__ void __launch_bounds__(THREADS)
    backward_kernel(mb_columns c, regions_t r, operands_t<T> all)
{
    mb_columns_place at = mb_columns_here<W>(c);
    operands_t<T> p = {all.x + at.column, all.y + at.column, all.dy + at.column,
                       all.dx + at.column};
    for (int64_t row = at.row; row < at.end && at.column < c.columns; row += at.step) {
        int64_t image = row / r.in, i = row - image * r.in;
        float x[W] = {}, dx[W] = {};
        if (!AVERAGE)
            mb_load_pack(p.x + row * r.inner, x);
        int64_t j = i * r.out / r.in; /* begins at i or in front of it; so may those before it */
        while (j > 0 && r.end(j - 1) > i)
            j--;
        for (; j < r.out && r.begin(j) <= i; j++)
            if (i < r.end(j))
                gather<AVERAGE>(r, p, image, i, j, x, dx);
        mb_store_pack(p.dx + row * r.inner, dx);
    }
}

template <bool AVERAGE, typename T>
mb_status_t forward(mb_exec_t *exec, const mb_region_pool_forward_args_t &a)
{
    regions_t r = {a.in, a.out, a.inner};
    MB_CUDA_WIDE(T, a.inner, mb_columns c = mb_columns_to_walk(a.outer * a.out, a.inner, W);
                 MB_LAUNCH((forward_kernel<AVERAGE, W, T>), mb_columns_grid(c), THREADS, 0,
                           mb_cuda_stream(exec), c, r, (const T *)a.x, (T *)a.y));
    return mb_cuda_launched(MB_OP_REGION_POOL_FORWARD);
}

template <bool AVERAGE, typename T>
mb_status_t backward(mb_exec_t *exec, const mb_region_pool_backward_args_t &a)
{
    regions_t r = {a.in, a.out, a.inner};
    operands_t<T> p = {(const T *)a.x, (const T *)a.y, (const T *)a.dy, (T *)a.dx};
    MB_CUDA_WIDE(T, a.inner, mb_columns c = mb_columns_to_walk(a.outer * a.in, a.inner, W);
                 MB_LAUNCH((backward_kernel<AVERAGE, W, T>), mb_columns_grid(c), THREADS, 0,
                           mb_cuda_stream(exec), c, r, p));
    return mb_cuda_launched(MB_OP_REGION_POOL_BACKWARD);
}

mb_status_t check(mb_op_t op, int64_t outer, const regions_t &r, bool aligned)
{
    if (outer < 0 || r.in < 1 || r.out < 1 || r.inner < 1)
        return mb_cuda_refuse(op, "empty images");
    return aligned ? MB_OK : mb_cuda_refuse(op, "an address that is no multiple of 16");
}

} // namespace

extern "C" mb_status_t mb_cuda_region_pool_forward(mb_exec_t *exec,
                                                   const mb_region_pool_forward_args_t *args)
{
    MB_TRY(check(MB_OP_REGION_POOL_FORWARD, args->outer, {args->in, args->out, args->inner},
                 mb_cuda_aligned(args->x, args->y)));
    if (exec->planning || args->outer == 0)
        return MB_OK;
    MB_CUDA_TYPED(MB_OP_REGION_POOL_FORWARD, args->type,
                  return args->average ? (forward<true, T>(exec, *args))
                                       : (forward<false, T>(exec, *args)));
}

extern "C" mb_status_t mb_cuda_region_pool_backward(mb_exec_t *exec,
                                                    const mb_region_pool_backward_args_t *args)
{
    MB_TRY(check(MB_OP_REGION_POOL_BACKWARD, args->outer, {args->in, args->out, args->inner},
                 mb_cuda_aligned(args->x, args->y, args->dy, args->dx)));
    if (exec->planning || args->outer == 0)
        return MB_OK;
    MB_CUDA_TYPED(MB_OP_REGION_POOL_BACKWARD, args->type,
                  return args->average ? (backward<true, T>(exec, *args))
                                       : (backward<false, T>(exec, *args)));
}
