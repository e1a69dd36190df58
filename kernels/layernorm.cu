/* Layer normalization over the last axis (Ba, Kiros, Hinton: "Layer normalization", 2016), and its
 * form without the mean (Zhang, Sennrich: "Root mean square layer normalization", 2019). A part of
 * a warp, a warp or a block takes a row, by its length, and reads it again from the cache for each
 * of its passes; the weights' gradients go down the columns in two levels (columns.h). Bound by
 * memory: every element is read once from it, and written once. */
#include "columns.h"
#include "reduce.h"
#include "runs.h"

namespace
{

/* Weights of columns J ... J + N - 1, VALUE where there are none. Rows that begin at multiples of
 * 16 bytes have runs whose weights do, too. */
template <int N>
__device__ inline void load_weights(const float *weights, int64_t j, bool aligned, float value,
                                    float (&out)[N])
{
    if (weights != NULL && aligned) {
        mb_load_pack(weights + j, out);
        return;
    }
    for (int k = 0; k < N; k++)
        out[k] = weights != NULL ? weights[j + k] : value;
}

/* ---- forward */

template <typename T> __device__ inline float rounded(float value)
{
    T element;
    mb_store(&element, 0, value);
    return mb_load(&element, 0);
}

/* What a row's first pass takes: x as it is, or x + residual, which it leaves in sum. A lane comes
 * back to the elements that it wrote itself, so that later passes read sum without waiting. */
template <typename T> struct take_plain {
    static constexpr bool adds = false;
    const mb_layernorm_forward_args_t &a;

    template <int N> __device__ void operator()(int64_t i, float (&v)[N]) const
    {
        mb_load_pack((const T *)a.x + i, v);
    }
};

template <typename T> struct take_sum {
    static constexpr bool adds = true;
    const mb_layernorm_forward_args_t &a;

    template <int N> __device__ void operator()(int64_t i, float (&v)[N]) const
    {
        float other[N];
        mb_load_pack((const T *)a.x + i, v);
        mb_load_pack((const T *)a.residual + i, other);
        for (int k = 0; k < N; k++)
            v[k] = rounded<T>(v[k] + other[k]);
        mb_store_pack((T *)a.sum + i, v);
    }
};

template <typename TEAM, typename T, typename TAKE>
__device__ inline float mean_of(TAKE take, int64_t first, int64_t columns)
{
    float sum = 0.0f;
    mb_each_run_of_row<mb_width<T>>(first, columns, TEAM::lane(), TEAM::lanes,
                                    [&](int64_t j, auto run) {
                                        constexpr int N = decltype(run)::value;
                                        float v[N];
                                        take(first + j, v);
                                        for (int k = 0; k < N; k++)
                                            sum += v[k];
                                    });
    return TEAM::sum(sum) / (float)columns;
}

/* Without a mean there is no first pass, unless it adds. */
template <typename TEAM, typename T, typename TAKE>
__device__ inline float first_pass(const mb_layernorm_forward_args_t &a, int64_t first)
{
    float mean = 0.0f;
    if (TAKE::adds || !a.rms)
        mean = mean_of<TEAM, T>(TAKE{a}, first, a.columns);
    return a.rms ? 0.0f : mean;
}

template <typename TEAM, typename T>
__device__ inline float variance_of(const T *x, float mean, int64_t first, int64_t columns)
{
    float sum = 0.0f;
    mb_each_run_of_row<mb_width<T>>(first, columns, TEAM::lane(), TEAM::lanes,
                                    [&](int64_t j, auto run) {
                                        constexpr int N = decltype(run)::value;
                                        float v[N];
                                        mb_load_pack(x + first + j, v);
                                        for (int k = 0; k < N; k++)
                                            sum += (v[k] - mean) * (v[k] - mean);
                                    });
    return TEAM::sum(sum) / (float)columns;
}

template <typename TEAM, typename T, typename TAKE>
__global__ void __launch_bounds__(TEAM::threads) forward_kernel(mb_layernorm_forward_args_t a)
{
    int64_t row = (int64_t)blockIdx.x * TEAM::teams + TEAM::number(), first = row * a.columns;
    const T *x = (const T *)(TAKE::adds ? a.sum : a.x);
    if (row >= a.rows)
        return;
    float mean = first_pass<TEAM, T, TAKE>(a, first);
    float rstd = 1.0f / sqrtf(variance_of<TEAM>(x, mean, first, a.columns) + a.epsilon);
    bool aligned = a.columns % mb_width<T> == 0;
    if (TEAM::lane() == 0) {
        a.mean[row] = mean;
        a.rstd[row] = rstd;
    }
    mb_each_run_of_row<mb_width<T>>(first, a.columns, TEAM::lane(), TEAM::lanes,
                                    [&](int64_t j, auto run) {
                                        constexpr int N = decltype(run)::value;
                                        float v[N], gamma[N], beta[N];
                                        mb_load_pack(x + first + j, v);
                                        load_weights(a.gamma, j, aligned, 1.0f, gamma);
                                        load_weights(a.beta, j, aligned, 0.0f, beta);
                                        for (int k = 0; k < N; k++)
                                            v[k] = (v[k] - mean) * rstd * gamma[k] + beta[k];
                                        mb_store_pack((T *)a.y + first + j, v);
                                    });
}

/* ---- backward: dx = rstd (g - mean(g) - xhat mean(g xhat)), g = dy gamma; rms: without mean(g) */

struct row_means {
    float g, product;
};

template <typename TEAM, typename T>
__device__ inline row_means means_of(const mb_layernorm_backward_input_args_t &a, int64_t row)
{
    int64_t first = row * a.columns;
    float mean = a.mean[row], rstd = a.rstd[row], sum = 0.0f, product = 0.0f;
    bool aligned = a.columns % mb_width<T> == 0;
    mb_each_run_of_row<mb_width<T>>(first, a.columns, TEAM::lane(), TEAM::lanes,
                                    [&](int64_t j, auto run) {
                                        constexpr int N = decltype(run)::value;
                                        float v[N], g[N], gamma[N];
                                        mb_load_pack((const T *)a.x + first + j, v);
                                        mb_load_pack((const T *)a.dy + first + j, g);
                                        load_weights(a.gamma, j, aligned, 1.0f, gamma);
                                        for (int k = 0; k < N; k++) {
                                            sum += g[k] * gamma[k];
                                            product += g[k] * gamma[k] * ((v[k] - mean) * rstd);
                                        }
                                    });
    sum = TEAM::sum(sum);
    product = TEAM::sum(product);
    return {a.rms ? 0.0f : sum / (float)a.columns, product / (float)a.columns};
}

template <typename TEAM, typename T>
__global__ void __launch_bounds__(TEAM::threads)
    backward_input_kernel(mb_layernorm_backward_input_args_t a)
{
    int64_t row = (int64_t)blockIdx.x * TEAM::teams + TEAM::number(), first = row * a.columns;
    if (row >= a.rows)
        return;
    row_means means = means_of<TEAM, T>(a, row);
    float mean = a.mean[row], rstd = a.rstd[row];
    bool aligned = a.columns % mb_width<T> == 0;
    mb_each_run_of_row<mb_width<T>>(
        first, a.columns, TEAM::lane(), TEAM::lanes, [&](int64_t j, auto run) {
            constexpr int N = decltype(run)::value;
            float v[N], g[N], gamma[N];
            mb_load_pack((const T *)a.x + first + j, v);
            mb_load_pack((const T *)a.dy + first + j, g);
            load_weights(a.gamma, j, aligned, 1.0f, gamma);
            for (int k = 0; k < N; k++)
                g[k] = rstd * (g[k] * gamma[k] - means.g - (v[k] - mean) * rstd * means.product);
            mb_store_pack((T *)a.dx + first + j, g);
        });
}

template <typename TEAM> unsigned blocks_of(int64_t rows)
{
    return (unsigned)mb_ceil_div(rows, TEAM::teams);
}

template <typename T, typename TAKE>
mb_status_t forward_taking(mb_exec_t *exec, const mb_layernorm_forward_args_t &a)
{
    if (exec->planning || a.rows == 0)
        return MB_OK;
    MB_CUDA_TEAMED(a.columns, MB_LAUNCH((forward_kernel<TEAM, T, TAKE>), blocks_of<TEAM>(a.rows),
                                        TEAM::threads, 0, mb_cuda_stream(exec), a));
    return mb_cuda_launched(MB_OP_LAYERNORM_FORWARD);
}

/* Two kernels: one for both needs 54 registers in 16 bits, where each of the two has 48. */
template <typename T> mb_status_t forward(mb_exec_t *exec, const mb_layernorm_forward_args_t &a)
{
    return a.adds ? forward_taking<T, take_sum<T>>(exec, a)
                  : forward_taking<T, take_plain<T>>(exec, a);
}

template <typename T>
mb_status_t backward_input(mb_exec_t *exec, const mb_layernorm_backward_input_args_t &a)
{
    if (exec->planning || a.rows == 0)
        return MB_OK;
    MB_CUDA_TEAMED(a.columns, MB_LAUNCH((backward_input_kernel<TEAM, T>), blocks_of<TEAM>(a.rows),
                                        TEAM::threads, 0, mb_cuda_stream(exec), a));
    return mb_cuda_launched(MB_OP_LAYERNORM_BACKWARD_INPUT);
}

/* ---- gradients of gamma and beta */

template <typename T> struct add_gradients {
    const T *x, *dy;
    const float *mean, *rstd;
    int64_t columns;

    template <int W>
    __device__ void operator()(int64_t row, int64_t column, float (&sum)[2][W]) const
    {
        float v[W], g[W], m = mean[row], r = rstd[row];
        mb_load_pack(x + row * columns + column, v);
        mb_load_pack(dy + row * columns + column, g);
        for (int k = 0; k < W; k++) {
            sum[0][k] += g[k];
            sum[1][k] += g[k] * ((v[k] - m) * r);
        }
    }
};

template <typename T>
mb_status_t backward_weights(mb_exec_t *exec, const mb_layernorm_backward_weights_args_t &a)
{
    constexpr mb_op_t OP = MB_OP_LAYERNORM_BACKWARD_WEIGHTS;
    void *partial = NULL;
    mb_columns c = mb_columns_to_reduce(a.rows, a.columns, mb_columns_width<T>(a.columns));
    MB_TRY(mb_cuda_workspace(exec, OP, mb_columns_partial_bytes<2, float>(c), &partial));
    if (exec->planning)
        return MB_OK;
    add_gradients<T> add = {(const T *)a.x, (const T *)a.dy, a.mean, a.rstd, a.columns};
    mb_columns_gradients put = {a.dgamma, a.dbeta, a.accumulate};
    MB_CUDA_WIDE(T, a.columns,
                 return (mb_cuda_columns_sum<2, float, W>(exec, OP, c, add, put, partial)));
}

mb_status_t check(mb_op_t op, int64_t rows, int64_t columns, bool aligned)
{
    if (rows < 0 || columns < 1)
        return mb_cuda_refuse(op, "rows without columns");
    return aligned ? MB_OK : mb_cuda_refuse(op, "an address that is no multiple of 16");
}

} // namespace

extern "C" mb_status_t mb_cuda_layernorm_forward(mb_exec_t *exec,
                                                 const mb_layernorm_forward_args_t *args)
{
    const mb_layernorm_forward_args_t &a = *args;
    MB_TRY(check(MB_OP_LAYERNORM_FORWARD, a.rows, a.columns,
                 mb_cuda_aligned(a.x, a.residual, a.sum, a.y, a.gamma, a.beta)));
    MB_CUDA_TYPED(MB_OP_LAYERNORM_FORWARD, a.type, return forward<T>(exec, a));
}

extern "C" mb_status_t
mb_cuda_layernorm_backward_input(mb_exec_t *exec, const mb_layernorm_backward_input_args_t *args)
{
    const mb_layernorm_backward_input_args_t &a = *args;
    MB_TRY(check(MB_OP_LAYERNORM_BACKWARD_INPUT, a.rows, a.columns,
                 mb_cuda_aligned(a.x, a.dy, a.dx, a.gamma)));
    MB_CUDA_TYPED(MB_OP_LAYERNORM_BACKWARD_INPUT, a.type, return backward_input<T>(exec, a));
}

extern "C" mb_status_t
mb_cuda_layernorm_backward_weights(mb_exec_t *exec,
                                   const mb_layernorm_backward_weights_args_t *args)
{
    const mb_layernorm_backward_weights_args_t &a = *args;
    MB_TRY(check(MB_OP_LAYERNORM_BACKWARD_WEIGHTS, a.rows, a.columns, mb_cuda_aligned(a.x, a.dy)));
    MB_CUDA_TYPED(MB_OP_LAYERNORM_BACKWARD_WEIGHTS, a.type, return backward_weights<T>(exec, a));
}
