/* Batch normalization over the last axis (Ioffe, Szegedy: "Batch normalization", 2015). Sums over
 * rows go down the columns in two levels (columns.h), and what follows from them is computed once a
 * channel; a second pass over the rows keeps its channels' numbers in registers. Bound by memory:
 * training reads x twice and writes y once. Sums of squares are in double, because the variance is
 * their small difference from the mean's. */
#include "columns.h"

namespace
{

constexpr int THREADS = MB_COLUMNS_THREADS;

/* ---- forward */

template <typename T> struct add_squares {
    const T *x;
    int64_t valid, channels;

    template <int W>
    __device__ void operator()(int64_t row, int64_t column, double (&sum)[2][W]) const
    {
        float v[W];
        if (row >= valid)
            return;
        mb_load_pack(x + row * channels + column, v);
        for (int k = 0; k < W; k++) {
            double value = (double)v[k];
            sum[0][k] += value;
            sum[1][k] += value * value;
        }
    }
};

/* The mask's values of W neighbouring channels of a row. */
template <int W, typename T>
__device__ inline void load_mask(const T *mask, int64_t masks, int64_t row, int64_t column,
                                 float (&out)[W])
{
    if (masks > 1) {
        mb_load_pack(mask + row * masks + column, out);
        return;
    }
    float value = mb_load(mask, row);
    for (int k = 0; k < W; k++)
        out[k] = value;
}

/* The same of what the mask has, and how much that is. */
template <typename T> struct add_counted {
    const T *x, *mask;
    int64_t valid, channels, masks;

    template <int W>
    __device__ void operator()(int64_t row, int64_t column, double (&sum)[3][W]) const
    {
        float v[W], m[W];
        if (row >= valid)
            return;
        mb_load_pack(x + row * channels + column, v);
        load_mask(mask, masks, row, column, m);
        for (int k = 0; k < W; k++) {
            double value = m[k] != 0.0f ? (double)v[k] : 0.0;
            sum[0][k] += value;
            sum[1][k] += value * value;
            sum[2][k] += m[k] != 0.0f ? 1.0 : 0.0;
        }
    }
};

struct moments {
    double mean, variance;
};

/* Of ROWS numbers of which SUM and SQUARE are known. */
__device__ inline moments moments_of(double sum, double square, double rows)
{
    double mean = sum / rows, variance = square / rows - mean * mean;
    return {mean, variance > 0.0 ? variance : 0.0};
}

/* What is added to the count makes the mean another than that of the squares' shift. */
__device__ inline moments moments_under_mask(double sum, double square, double count)
{
    double divisor = count + MB_BATCHNORM_EPSILON, mean = sum / divisor;
    double variance = (square - mean * (2.0 * sum - count * mean)) / divisor;
    return {mean, variance > 0.0 ? variance : 0.0};
}

/* Mean, deviation and sums of a channel, and the factor of normalization. */
struct take_statistics {
    double rows, epsilon;
    int64_t channels;
    const float *gamma;
    float *mean, *rstd, *factor;
    double *sums;

    __device__ void put(int64_t c, const moments &m) const
    {
        mean[c] = (float)m.mean;
        rstd[c] = (float)(1.0 / sqrt(m.variance + epsilon));
        factor[c] = rstd[c] * (gamma != NULL ? gamma[c] : 1.0f);
    }
    template <int N> __device__ void add(int64_t c, const double (&total)[N]) const
    {
        for (int i = 0; i < N && sums != NULL; i++)
            sums[i * channels + c] += total[i];
    }
    __device__ void operator()(int64_t c, const double (&total)[2]) const
    {
        put(c, moments_of(total[0], total[1], rows));
        add(c, total);
    }
};

/* The same under a mask. */
struct take_counted : take_statistics {
    float *counts;

    __device__ void operator()(int64_t c, const double (&total)[3]) const
    {
        put(c, moments_under_mask(total[0], total[1], total[2]));
        add(c, total);
        counts[c] = (float)total[2];
    }
};

/* Statistics that are given; mean and rstd may be NULL. */
__global__ void __launch_bounds__(THREADS)
    inference_kernel(int64_t channels, double epsilon, const float *moving_mean,
                     const float *moving_variance, const float *gamma, float *mean, float *rstd,
                     float *factor)
{
    for (int64_t c = mb_first(); c < channels; c += mb_stride()) {
        float deviation = (float)(1.0 / sqrt((double)moving_variance[c] + epsilon));
        if (mean != NULL)
            mean[c] = moving_mean[c];
        if (rstd != NULL)
            rstd[c] = deviation;
        factor[c] = deviation * (gamma != NULL ? gamma[c] : 1.0f);
    }
}

/* OUT: values of the thread's channels, or VALUE where P is NULL. */
template <int W>
__device__ inline void load_channels(const float *p, int64_t column, float value, float (&out)[W])
{
    for (int k = 0; k < W; k++)
        out[k] = value;
    if (p != NULL)
        mb_load_pack(p + column, out);
}

template <int W, typename T>
__global__ void __launch_bounds__(THREADS)
    normalise_kernel(mb_columns c, const T *x, const float *mean, const float *factor,
                     const float *beta, T *y)
{
    mb_columns_place at = mb_columns_here<W>(c);
    float m[W], f[W], b[W];
    if (at.column >= c.columns)
        return;
    load_channels(mean, at.column, 0.0f, m);
    load_channels(factor, at.column, 1.0f, f);
    load_channels(beta, at.column, 0.0f, b);
#pragma unroll 2
    for (int64_t row = at.row; row < at.end; row += at.step) {
        float v[W];
        mb_load_pack(x + row * c.columns + at.column, v);
        for (int k = 0; k < W; k++)
            v[k] = (v[k] - m[k]) * f[k] + b[k];
        mb_store_pack(y + row * c.columns + at.column, v);
    }
}

/* Workspace: two floats a channel, then the partial sums. */
struct workspace {
    float *floats;
    void *partial;
};

size_t float_bytes(int64_t channels)
{
    return ((size_t)channels * 2 * sizeof(float) + 255) / 256 * 256;
}

template <typename A, int SUMS = 2>
mb_status_t take_workspace(mb_exec_t *exec, mb_op_t op, const mb_columns &c, workspace *out)
{
    void *memory = NULL;
    size_t floats = float_bytes(c.columns);
    MB_TRY(mb_cuda_workspace(exec, op, floats + mb_columns_partial_bytes<SUMS, A>(c), &memory));
    *out = {(float *)memory, (char *)memory + floats};
    return MB_OK;
}

template <typename T, int W>
mb_status_t normalise(mb_exec_t *exec, const mb_batchnorm_forward_args_t &a, const float *factor)
{
    mb_columns c = mb_columns_to_walk(a.rows, a.channels, W);
    const float *mean = a.training ? a.mean : a.moving_mean;
    if (a.rows > 0)
        MB_LAUNCH((normalise_kernel<W, T>), mb_columns_grid(c), THREADS, 0, mb_cuda_stream(exec), c,
                  (const T *)a.x, mean, factor, a.beta, (T *)a.y);
    return mb_cuda_launched(MB_OP_BATCHNORM_FORWARD);
}

template <typename T, int W>
mb_status_t train(mb_exec_t *exec, const mb_batchnorm_forward_args_t &a, const mb_columns &c,
                  const workspace &w)
{
    add_squares<T> add = {(const T *)a.x, a.valid, a.channels};
    take_statistics take = {a.valid > 0 ? (double)a.valid : 1.0,
                            (double)a.epsilon,
                            a.channels,
                            a.gamma,
                            a.mean,
                            a.rstd,
                            w.floats,
                            a.sums};
    if (a.masks == 0) {
        MB_TRY((mb_cuda_columns_sum<2, double, W>(exec, MB_OP_BATCHNORM_FORWARD, c, add, take,
                                                  w.partial)));
        return normalise<T, W>(exec, a, w.floats);
    }
    add_counted<T> add_some = {(const T *)a.x, (const T *)a.mask, a.valid, a.channels, a.masks};
    take_counted take_some = {{take}, a.counts};
    MB_TRY((mb_cuda_columns_sum<3, double, W>(exec, MB_OP_BATCHNORM_FORWARD, c, add_some, take_some,
                                              w.partial)));
    return normalise<T, W>(exec, a, w.floats);
}

template <typename T, int W>
mb_status_t infer(mb_exec_t *exec, const mb_batchnorm_forward_args_t &a, const workspace &w)
{
    MB_LAUNCH(inference_kernel, mb_cuda_blocks(a.channels, THREADS), THREADS, 0,
              mb_cuda_stream(exec), a.channels, (double)a.epsilon, a.moving_mean, a.moving_variance,
              a.gamma, a.mean, a.rstd, w.floats);
    MB_TRY(mb_cuda_launched(MB_OP_BATCHNORM_FORWARD));
    return normalise<T, W>(exec, a, w.floats);
}

template <typename T> mb_status_t forward(mb_exec_t *exec, const mb_batchnorm_forward_args_t &a)
{
    workspace w;
    mb_columns c = mb_columns_to_reduce(a.rows, a.channels, mb_columns_width<T>(a.channels));
    MB_TRY((take_workspace<double, 3>(exec, MB_OP_BATCHNORM_FORWARD, c, &w)));
    if (exec->planning)
        return MB_OK;
    MB_CUDA_WIDE(T, a.channels,
                 return a.training ? train<T, W>(exec, a, c, w) : infer<T, W>(exec, a, w));
}

/* What stands behind the normalization, on what it wrote. */
mb_status_t run_tail(mb_exec_t *exec, const mb_batchnorm_forward_args_t &a)
{
    int64_t count = a.rows * a.channels;
    mb_add_args_t add = {a.type, count, a.y, a.residual, a.y};
    mb_act_forward_args_t act = {};
    act.type = a.type;
    act.count = count;
    act.act = a.act;
    act.x = act.y = a.y;
    if (a.residual != NULL)
        MB_TRY(mb_cuda_add(exec, &add));
    return a.act == MB_ACT_LINEAR ? MB_OK : mb_cuda_act_forward(exec, &act);
}

template <typename T>
mb_status_t forward_with_tail(mb_exec_t *exec, const mb_batchnorm_forward_args_t &a)
{
    MB_TRY(forward<T>(exec, a));
    return run_tail(exec, a);
}

/* ---- backward: dx = gamma rstd (dy - m (mean(dy) + xhat mean(dy xhat))), where m says what the
 * statistics are of: everything, or what the mask has. Means are the sums over all divided by how
 * many these are. */

template <typename T> struct add_gradients {
    const T *x, *dy;
    const float *mean, *rstd;
    int64_t valid, channels;

    template <int W>
    __device__ void operator()(int64_t row, int64_t column, float (&sum)[2][W]) const
    {
        float v[W], g[W], m[W], r[W];
        if (row >= valid)
            return;
        mb_load_pack(mean + column, m);
        mb_load_pack(rstd + column, r);
        mb_load_pack(x + row * channels + column, v);
        mb_load_pack(dy + row * channels + column, g);
        for (int k = 0; k < W; k++) {
            sum[0][k] += g[k];
            sum[1][k] += g[k] * ((v[k] - m[k]) * r[k]);
        }
    }
};

/* mean(dy) and mean(dy xhat) of a channel. */
struct put_means {
    double rows;
    const float *counts; /* NULL: all of the rows */
    int64_t channels;
    float *means;

    __device__ void operator()(int64_t c, const double (&total)[2]) const
    {
        double divisor = counts == NULL ? rows : (double)counts[c] + MB_BATCHNORM_EPSILON;
        means[c] = (float)(total[0] / divisor);
        means[channels + c] = (float)(total[1] / divisor);
    }
};

/* Makes zero of the means where the mask leaves an element out. */
template <int W>
__device__ inline void leave_out(const float (&mask)[W], float (&dy_mean)[W],
                                 float (&product_mean)[W])
{
    for (int k = 0; k < W; k++) {
        dy_mean[k] = mask[k] != 0.0f ? dy_mean[k] : 0.0f;
        product_mean[k] = mask[k] != 0.0f ? product_mean[k] : 0.0f;
    }
}

/* MEANS: NULL where the statistics are constants. */
template <bool MASKED, int W, typename T>
__global__ void __launch_bounds__(THREADS)
    gradient_kernel(mb_columns c, mb_batchnorm_backward_input_args_t a, const float *means)
{
    mb_columns_place at = mb_columns_here<W>(c);
    float m[W], r[W], gamma[W], dy_mean[W], product_mean[W];
    if (at.column >= c.columns)
        return;
    load_channels(a.mean, at.column, 0.0f, m);
    load_channels(a.rstd, at.column, 1.0f, r);
    load_channels(a.gamma, at.column, 1.0f, gamma);
    load_channels(means, at.column, 0.0f, dy_mean);
    load_channels(means == NULL ? NULL : means + c.columns, at.column, 0.0f, product_mean);
    for (int64_t row = at.row; row < at.end; row += at.step) {
        float v[W] = {}, g[W] = {}, dys[W], products[W], mask[W];
        int64_t first = row * c.columns + at.column;
        if (row < a.valid) {
            for (int k = 0; k < W; k++) {
                dys[k] = dy_mean[k];
                products[k] = product_mean[k];
            }
            if (MASKED) {
                load_mask((const T *)a.mask, a.masks, row, at.column, mask);
                leave_out(mask, dys, products);
            }
            mb_load_pack((const T *)a.x + first, v);
            mb_load_pack((const T *)a.dy + first, g);
            for (int k = 0; k < W; k++) {
                float normal = (v[k] - m[k]) * r[k];
                g[k] = r[k] * (g[k] - dys[k] - normal * products[k]) * gamma[k];
            }
        }
        mb_store_pack((T *)a.dx + first, g);
    }
}

template <typename T, int W>
mb_status_t gradient(mb_exec_t *exec, const mb_batchnorm_backward_input_args_t &a,
                     const mb_columns &c, const workspace &w)
{
    constexpr mb_op_t OP = MB_OP_BATCHNORM_BACKWARD_INPUT;
    if (a.rows == 0)
        return MB_OK;
    if (a.training) {
        add_gradients<T> add = {(const T *)a.x, (const T *)a.dy, a.mean,
                                a.rstd,         a.valid,         a.channels};
        put_means put = {a.valid > 0 ? (double)a.valid : 1.0, a.masks > 0 ? a.counts : NULL,
                         a.channels, w.floats};
        MB_TRY((mb_cuda_columns_sum<2, float, W>(exec, OP, c, add, put, w.partial)));
    }
    mb_columns walk = mb_columns_to_walk(a.rows, a.channels, W);
    if (a.training && a.masks > 0)
        MB_LAUNCH((gradient_kernel<true, W, T>), mb_columns_grid(walk), THREADS, 0,
                  mb_cuda_stream(exec), walk, a, w.floats);
    else
        MB_LAUNCH((gradient_kernel<false, W, T>), mb_columns_grid(walk), THREADS, 0,
                  mb_cuda_stream(exec), walk, a, a.training ? w.floats : NULL);
    return mb_cuda_launched(OP);
}

template <typename T>
mb_status_t backward_input(mb_exec_t *exec, const mb_batchnorm_backward_input_args_t &a)
{
    workspace w;
    mb_columns c = mb_columns_to_reduce(a.rows, a.channels, mb_columns_width<T>(a.channels));
    MB_TRY(take_workspace<float>(exec, MB_OP_BATCHNORM_BACKWARD_INPUT, c, &w));
    if (exec->planning)
        return MB_OK;
    MB_CUDA_WIDE(T, a.channels, return (gradient<T, W>(exec, a, c, w)));
}

template <typename T>
mb_status_t backward_weights(mb_exec_t *exec, const mb_batchnorm_backward_weights_args_t &a)
{
    constexpr mb_op_t OP = MB_OP_BATCHNORM_BACKWARD_WEIGHTS;
    workspace w;
    mb_columns c = mb_columns_to_reduce(a.rows, a.channels, mb_columns_width<T>(a.channels));
    MB_TRY(take_workspace<float>(exec, OP, c, &w));
    if (exec->planning)
        return MB_OK;
    add_gradients<T> add = {(const T *)a.x, (const T *)a.dy, a.mean, a.rstd, a.valid, a.channels};
    mb_columns_gradients put = {a.dgamma, a.dbeta, a.accumulate};
    MB_CUDA_WIDE(T, a.channels,
                 return (mb_cuda_columns_sum<2, float, W>(exec, OP, c, add, put, w.partial)));
}

mb_status_t check(mb_op_t op, int64_t rows, int64_t valid, int64_t channels, bool aligned)
{
    if (channels < 1)
        return mb_cuda_refuse(op, "rows without channels");
    if (valid < 0 || valid > rows)
        return mb_cuda_refuse(op, "more valid rows than rows");
    return aligned ? MB_OK : mb_cuda_refuse(op, "an address that is no multiple of 16");
}

/* Each operation is rounded by itself, as on the CPU. */
__global__ void __launch_bounds__(THREADS) update_kernel(mb_batchnorm_update_args_t a)
{
    float keep = (float)a.momentum, take = (float)(1.0 - a.momentum);
    for (int64_t c = mb_first(); c < a.channels; c += mb_stride()) {
        double sum = a.sums[c], square = a.sums[a.channels + c];
        moments m = a.masked ? moments_under_mask(sum, square, a.sums[2 * a.channels + c])
                             : moments_of(sum, square, a.count);
        a.moving_mean[c] =
            __fadd_rn(__fmul_rn(a.moving_mean[c], keep), __fmul_rn((float)m.mean, take));
        a.moving_variance[c] =
            __fadd_rn(__fmul_rn(a.moving_variance[c], keep), __fmul_rn((float)m.variance, take));
    }
}

} // namespace

extern "C" mb_status_t mb_cuda_batchnorm_forward(mb_exec_t *exec,
                                                 const mb_batchnorm_forward_args_t *args)
{
    const mb_batchnorm_forward_args_t &a = *args;
    MB_TRY(check(MB_OP_BATCHNORM_FORWARD, a.rows, a.training ? a.valid : 0, a.channels,
                 mb_cuda_aligned(a.x, a.y, a.gamma, a.beta, a.mean, a.moving_mean, a.mask)));
    MB_CUDA_TYPED(MB_OP_BATCHNORM_FORWARD, a.type, return forward_with_tail<T>(exec, a));
}

extern "C" mb_status_t
mb_cuda_batchnorm_backward_input(mb_exec_t *exec, const mb_batchnorm_backward_input_args_t *args)
{
    const mb_batchnorm_backward_input_args_t &a = *args;
    MB_TRY(check(MB_OP_BATCHNORM_BACKWARD_INPUT, a.rows, a.valid, a.channels,
                 mb_cuda_aligned(a.x, a.dy, a.dx, a.gamma, a.mean, a.rstd, a.mask)));
    if (a.dx == NULL && !exec->planning)
        return MB_OK; /* backward_weights makes its sums */
    MB_CUDA_TYPED(MB_OP_BATCHNORM_BACKWARD_INPUT, a.type, return backward_input<T>(exec, a));
}

extern "C" mb_status_t
mb_cuda_batchnorm_backward_weights(mb_exec_t *exec,
                                   const mb_batchnorm_backward_weights_args_t *args)
{
    const mb_batchnorm_backward_weights_args_t &a = *args;
    MB_TRY(check(MB_OP_BATCHNORM_BACKWARD_WEIGHTS, a.rows, a.valid, a.channels,
                 mb_cuda_aligned(a.x, a.dy, a.mean, a.rstd)));
    MB_CUDA_TYPED(MB_OP_BATCHNORM_BACKWARD_WEIGHTS, a.type, return backward_weights<T>(exec, a));
}

extern "C" mb_status_t mb_cuda_batchnorm_update(mb_exec_t *exec,
                                                const mb_batchnorm_update_args_t *args)
{
    if (args->channels < 0)
        return mb_cuda_refuse(MB_OP_BATCHNORM_UPDATE, "negative number of channels");
    if (exec->planning || !(args->count > 0.0) || args->channels == 0)
        return MB_OK;
    MB_LAUNCH(update_kernel, mb_cuda_blocks(args->channels, THREADS), THREADS, 0,
              mb_cuda_stream(exec), *args);
    return mb_cuda_launched(MB_OP_BATCHNORM_UPDATE);
}
