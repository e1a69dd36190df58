/* Activation functions and their derivatives, element by element: 16 bytes of each operand at a
 * time. Bound by memory for float, and for 16-bit elements by arithmetic where a function needs
 * erf or tanh. */
#include "activation.h"
#include "runs.h"

namespace
{

constexpr int THREADS = 256;

/* In place is allowed: a thread reads an element before it writes it, and no other one does. */
template <typename T, typename F>
__global__ void __launch_bounds__(THREADS)
    forward_kernel(int64_t runs, int64_t count, const T *x, T *y, parameters p)
{
    mb_each_run<mb_width<T>>(runs, count, [=](int64_t i, auto run) {
        constexpr int N = decltype(run)::value;
        float v[N];
        mb_load_pack(x + i, v);
        for (int k = 0; k < N; k++)
            v[k] = F::forward(v[k], p);
        mb_store_pack(y + i, v);
    });
}

/* VALUE is x or y, whichever F needs. */
template <typename T, typename F>
__global__ void __launch_bounds__(THREADS)
    backward_kernel(int64_t runs, int64_t count, const T *value, const T *dy, T *dx, parameters p)
{
    mb_each_run<mb_width<T>>(runs, count, [=](int64_t i, auto run) {
        constexpr int N = decltype(run)::value;
        float v[N], g[N];
        mb_load_pack(value + i, v);
        mb_load_pack(dy + i, g);
        for (int k = 0; k < N; k++)
            g[k] *= F::derivative(v[k], p);
        mb_store_pack(dx + i, g);
    });
}

template <typename T, typename F>
mb_status_t forward(mb_exec_t *exec, const mb_act_forward_args_t &a)
{
    int64_t runs = mb_cuda_runs(a.count, mb_width<T>, a.x, a.y);
    if (exec->planning || a.count == 0)
        return MB_OK;
    parameters p = {a.p0, a.p1, a.p2};
    MB_LAUNCH((forward_kernel<T, F>), mb_cuda_run_blocks(runs, a.count, mb_width<T>, THREADS),
              THREADS, 0, mb_cuda_stream(exec), runs, a.count, (const T *)a.x, (T *)a.y, p);
    return mb_cuda_launched(MB_OP_ACT_FORWARD);
}

template <typename T, typename F>
mb_status_t backward(mb_exec_t *exec, const mb_act_backward_args_t &a)
{
    const void *value = F::needs_y ? a.y : a.x;
    if (exec->planning || a.count == 0)
        return MB_OK;
    if (value == NULL)
        return mb_cuda_refuse(MB_OP_ACT_BACKWARD, "the value that the derivative needs is missing");
    int64_t runs = mb_cuda_runs(a.count, mb_width<T>, value, a.dy, a.dx);
    parameters p = {a.p0, a.p1, a.p2};
    MB_LAUNCH((backward_kernel<T, F>), mb_cuda_run_blocks(runs, a.count, mb_width<T>, THREADS),
              THREADS, 0, mb_cuda_stream(exec), runs, a.count, (const T *)value, (const T *)a.dy,
              (T *)a.dx, p);
    return mb_cuda_launched(MB_OP_ACT_BACKWARD);
}

template <typename T> mb_status_t forward_of(mb_exec_t *exec, const mb_act_forward_args_t &a)
{
    switch (a.act) {
#define CASE(NAME, name)                                                                           \
    case MB_ACT_##NAME:                                                                            \
        return forward<T, name<T>>(exec, a);
        MB_ACT_FUNCTIONS(CASE)
#undef CASE
    default:
        return mb_cuda_refuse(MB_OP_ACT_FORWARD, "unknown function");
    }
}

template <typename T> mb_status_t backward_of(mb_exec_t *exec, const mb_act_backward_args_t &a)
{
    switch (a.act) {
#define CASE(NAME, name)                                                                           \
    case MB_ACT_##NAME:                                                                            \
        return backward<T, name<T>>(exec, a);
        MB_ACT_FUNCTIONS(CASE)
#undef CASE
    default:
        return mb_cuda_refuse(MB_OP_ACT_BACKWARD, "unknown function");
    }
}

/* The identity is a copy, or nothing at all in place. */
mb_status_t copy(mb_exec_t *exec, mb_dtype_t type, int64_t count, const void *from, void *to)
{
    mb_copy_rows_args_t rows = {type, 1, count, count, count, from, to};
    return from == to ? MB_OK : mb_cuda_copy_rows(exec, &rows);
}

mb_status_t check(mb_op_t op, int64_t count, mb_act_t act)
{
    if (count < 0)
        return mb_cuda_refuse(op, "negative count");
    return (unsigned)act < MB_ACT_COUNT ? MB_OK : mb_cuda_refuse(op, "unknown function");
}

} // namespace

extern "C" mb_status_t mb_cuda_act_forward(mb_exec_t *exec, const mb_act_forward_args_t *args)
{
    MB_TRY(check(MB_OP_ACT_FORWARD, args->count, args->act));
    if (args->act == MB_ACT_LINEAR)
        return copy(exec, args->type, args->count, args->x, args->y);
    MB_CUDA_TYPED(MB_OP_ACT_FORWARD, args->type, return forward_of<T>(exec, *args));
}

extern "C" mb_status_t mb_cuda_act_backward(mb_exec_t *exec, const mb_act_backward_args_t *args)
{
    MB_TRY(check(MB_OP_ACT_BACKWARD, args->count, args->act));
    if (args->act == MB_ACT_LINEAR)
        return copy(exec, args->type, args->count, args->dy, args->dx);
    MB_CUDA_TYPED(MB_OP_ACT_BACKWARD, args->type, return backward_of<T>(exec, *args));
}
