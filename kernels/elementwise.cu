/* Elementwise operations, copies and fills. One thread takes 16 bytes of each operand at a time
 * where addresses and counts allow, single elements at the end; bound by memory: every byte is read
 * or written once. */
#include "columns.h"
#include "runs.h"

namespace
{

constexpr int THREADS = 256;

struct product_of {
    __device__ float operator()(float a, float b) const
    {
        return a * b;
    }
};

template <typename T, typename F>
__global__ void __launch_bounds__(THREADS)
    binary_kernel(int64_t runs, int64_t count, const T *a, const T *b, T *y, F f)
{
    mb_each_run<mb_width<T>>(runs, count, [=](int64_t i, auto run) {
        constexpr int N = decltype(run)::value;
        float left[N], right[N];
        mb_load_pack(a + i, left);
        mb_load_pack(b + i, right);
        for (int k = 0; k < N; k++)
            left[k] = f(left[k], right[k]);
        mb_store_pack(y + i, left);
    });
}

template <typename T, typename F>
mb_status_t binary_of(mb_exec_t *exec, mb_op_t op, int64_t count, const T *a, const T *b, T *y, F f)
{
    int64_t runs = mb_cuda_runs(count, mb_width<T>, a, b, y);
    if (exec->planning || count == 0)
        return MB_OK;
    MB_LAUNCH((binary_kernel<T, F>), mb_cuda_run_blocks(runs, count, mb_width<T>, THREADS), THREADS,
              0, mb_cuda_stream(exec), runs, count, a, b, y, f);
    return mb_cuda_launched(op);
}

template <typename F>
mb_status_t binary(mb_exec_t *exec, mb_op_t op, mb_dtype_t type, int64_t count, const void *a,
                   const void *b, void *y, F f)
{
    if (count < 0)
        return mb_cuda_refuse(op, "negative count");
    MB_CUDA_TYPED(op, type,
                  return binary_of(exec, op, count, (const T *)a, (const T *)b, (T *)y, f));
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    divide_kernel(int64_t runs, int64_t count, float divisor, T *x)
{
    mb_each_run<mb_width<T>>(runs, count, [=](int64_t i, auto run) {
        constexpr int N = decltype(run)::value;
        float v[N];
        mb_load_pack(x + i, v);
        for (int k = 0; k < N; k++)
            v[k] = __fdiv_rn(v[k], divisor);
        mb_store_pack(x + i, v);
    });
}

template <typename T> mb_status_t divide_of(mb_exec_t *exec, int64_t count, float divisor, T *x)
{
    int64_t runs = mb_cuda_runs(count, mb_width<T>, x);
    if (exec->planning || count == 0)
        return MB_OK;
    MB_LAUNCH((divide_kernel<T>), mb_cuda_run_blocks(runs, count, mb_width<T>, THREADS), THREADS, 0,
              mb_cuda_stream(exec), runs, count, divisor, x);
    return mb_cuda_launched(MB_OP_DIVIDE);
}

__global__ void __launch_bounds__(THREADS)
    add_f64_kernel(int64_t count, const double *a, const double *b, double *y)
{
    for (int64_t i = mb_first(); i < count; i += mb_stride())
        y[i] = a[i] + b[i];
}

/* VALUE is rounded to T once for all. */
template <typename T>
__global__ void __launch_bounds__(THREADS)
    fill_kernel(int64_t runs, int64_t count, T *y, float value)
{
    mb_each_run<mb_width<T>>(runs, count, [=](int64_t i, auto run) {
        constexpr int N = decltype(run)::value;
        float v[N];
        for (int k = 0; k < N; k++)
            v[k] = value;
        mb_store_pack(y + i, v);
    });
}

template <typename T>
mb_status_t fill_of(mb_exec_t *exec, mb_op_t op, int64_t count, T *y, float value)
{
    int64_t runs = mb_cuda_runs(count, mb_width<T>, y);
    if (exec->planning || count == 0)
        return MB_OK;
    MB_LAUNCH((fill_kernel<T>), mb_cuda_run_blocks(runs, count, mb_width<T>, THREADS), THREADS, 0,
              mb_cuda_stream(exec), runs, count, y, value);
    return mb_cuda_launched(op);
}

/* ---- copies, in units as large as addresses, rows and leading dimensions allow */

template <typename UNIT>
__global__ void __launch_bounds__(MB_COLUMNS_THREADS)
    copy_kernel(mb_columns c, int64_t ld_from, int64_t ld_to, const UNIT *from, UNIT *to)
{
    mb_columns_place at = mb_columns_here<1>(c);
    if (at.column >= c.columns)
        return;
#pragma unroll 4
    for (int64_t row = at.row; row < at.end; row += at.step)
        to[row * ld_to + at.column] = from[row * ld_from + at.column];
}

__global__ void __launch_bounds__(THREADS)
    copy_flat_kernel(int64_t units, int64_t bytes, const unsigned char *from, unsigned char *to)
{
    for (int64_t i = mb_first(); i < units; i += mb_stride())
        reinterpret_cast<uint4 *>(to)[i] = reinterpret_cast<const uint4 *>(from)[i];
    for (int64_t i = units * 16 + mb_first(); i < bytes; i += mb_stride())
        to[i] = from[i];
}

/* Sizes in bytes. */
struct copy_t {
    int64_t rows, columns, ld_from, ld_to;
    const void *from;
    void *to;
};

mb_status_t copy_flat(mb_exec_t *exec, const copy_t &a)
{
    int64_t bytes = a.rows * a.columns;
    MB_LAUNCH(copy_flat_kernel, mb_cuda_blocks(bytes / 16 + 1, THREADS), THREADS, 0,
              mb_cuda_stream(exec), bytes / 16, bytes, (const unsigned char *)a.from,
              (unsigned char *)a.to);
    return mb_cuda_launched(MB_OP_COPY_ROWS);
}

template <typename UNIT> mb_status_t copy_in(mb_exec_t *exec, const copy_t &a)
{
    constexpr int64_t BYTES = sizeof(UNIT);
    mb_columns c = mb_columns_to_walk(a.rows, a.columns / BYTES, 1);
    MB_LAUNCH((copy_kernel<UNIT>), mb_columns_grid(c), MB_COLUMNS_THREADS, 0, mb_cuda_stream(exec),
              c, a.ld_from / BYTES, a.ld_to / BYTES, (const UNIT *)a.from, (UNIT *)a.to);
    return mb_cuda_launched(MB_OP_COPY_ROWS);
}

mb_status_t copy(mb_exec_t *exec, const copy_t &a)
{
    bool without_gaps = a.rows == 1 || (a.ld_from == a.columns && a.ld_to == a.columns);
    if (without_gaps && mb_cuda_aligned(a.from, a.to))
        return copy_flat(exec, a);
    uint64_t steps = (uint64_t)(a.columns | (a.rows > 1 ? a.ld_from | a.ld_to : 0)) |
                     (uintptr_t)a.from | (uintptr_t)a.to;
    if (steps % 16 == 0)
        return copy_in<uint4>(exec, a);
    if (steps % 8 == 0)
        return copy_in<uint2>(exec, a);
    if (steps % 4 == 0)
        return copy_in<uint32_t>(exec, a);
    if (steps % 2 == 0)
        return copy_in<uint16_t>(exec, a);
    return copy_in<uint8_t>(exec, a);
}

} // namespace

extern "C" mb_status_t mb_cuda_add(mb_exec_t *exec, const mb_add_args_t *args)
{
    return binary(exec, MB_OP_ADD, args->type, args->count, args->a, args->b, args->y, mb_sum_of());
}

extern "C" mb_status_t mb_cuda_multiply(mb_exec_t *exec, const mb_multiply_args_t *args)
{
    return binary(exec, MB_OP_MULTIPLY, args->type, args->count, args->a, args->b, args->y,
                  product_of());
}

extern "C" mb_status_t mb_cuda_divide(mb_exec_t *exec, const mb_divide_args_t *args)
{
    if (args->count < 0)
        return mb_cuda_refuse(MB_OP_DIVIDE, "negative count");
    MB_CUDA_TYPED(MB_OP_DIVIDE, args->type,
                  return divide_of(exec, args->count, args->divisor, (T *)args->x));
}

extern "C" mb_status_t mb_cuda_add_f64(mb_exec_t *exec, const mb_add_f64_args_t *args)
{
    if (args->count < 0)
        return mb_cuda_refuse(MB_OP_ADD_F64, "negative count");
    if (exec->planning || args->count == 0)
        return MB_OK;
    MB_LAUNCH(add_f64_kernel, mb_cuda_blocks(args->count, THREADS), THREADS, 0,
              mb_cuda_stream(exec), args->count, args->a, args->b, args->y);
    return mb_cuda_launched(MB_OP_ADD_F64);
}

extern "C" mb_status_t mb_cuda_copy_rows(mb_exec_t *exec, const mb_copy_rows_args_t *args)
{
    int64_t size = (int64_t)mb_dtype_bytes(args->type);
    if (args->rows < 0 || args->columns < 0)
        return mb_cuda_refuse(MB_OP_COPY_ROWS, "negative size");
    if (exec->planning || args->rows == 0 || args->columns == 0)
        return MB_OK;
    copy_t c = {args->rows,         args->columns * size, args->ld_from * size,
                args->ld_to * size, args->from,           args->to};
    return copy(exec, c);
}

extern "C" mb_status_t mb_cuda_fill(mb_exec_t *exec, const mb_fill_args_t *args)
{
    if (args->count < 0)
        return mb_cuda_refuse(MB_OP_FILL, "negative count");
    MB_CUDA_TYPED(MB_OP_FILL, args->type,
                  return fill_of(exec, MB_OP_FILL, args->count, (T *)args->y, args->value));
}

extern "C" mb_status_t mb_cuda_zero(mb_exec_t *exec, const mb_zero_args_t *args)
{
    if (args->bytes < 0)
        return mb_cuda_refuse(MB_OP_ZERO, "negative size");
    if (exec->planning || args->bytes == 0)
        return MB_OK;
    return mb_cuda_check(cudaMemsetAsync(args->y, 0, (size_t)args->bytes, mb_cuda_stream(exec)),
                         "setting memory to zero");
}
