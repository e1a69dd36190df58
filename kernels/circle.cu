/* Circle loss: a warp takes a pair of rows for their distance, a block a row for its loss, a thread
 * a pair for its slope in both rows' losses, and a block a row of the gradient, which is the
 * product of the slopes with all rows. Bound by the two products, rows^2 columns each, which a loss
 * over one batch of embeddings keeps small. Source: keras/src/losses/losses.py. */
#include "reduce.h"

namespace
{

constexpr int THREADS = 256;
enum { ALIKE = 0, OTHER = 1, NEITHER = 2 };

/* Log-sums over the rows of its own label and of others; share: of the row's loss in the whole
 * one's gradient. */
struct circle_row {
    float sums[2];
    float loss, share;
};

struct memory_of {
    circle_row *rows;
    float *pairs; /* [valid][valid]: 1 - x_i x_j, then slopes by the products */
    float *x;     /* a copy, as dx may be x */
};

/* What a pair of rows gives, and its slope by the product of the two. */
struct pair_value {
    float value, slope;
};

__device__ inline int kind_of(const mb_circle_args_t &a, int64_t i, int64_t j)
{
    if (a.labels[i] != a.labels[j])
        return OTHER;
    return i == j && a.removes_itself ? NEITHER : ALIKE;
}

/* The slope of max(x, 0), at 0 the mean of both sides' as in Keras' maximum; NaN stays. */
__device__ inline float positive(float x)
{
    return x > 0.0f ? 1.0f : x < 0.0f ? 0.0f : x + 0.5f;
}

__device__ inline float at_least_zero(float x)
{
    return x < 0.0f ? 0.0f : x;
}

__device__ inline pair_value pair_of(const mb_circle_args_t &a, float distance, int kind)
{
    float d = at_least_zero(distance), factor = kind == ALIKE ? -a.gamma : a.gamma;
    float side = kind == ALIKE ? 1.0f : -1.0f;
    float weight = kind == ALIKE ? a.margin + d : 1.0f + a.margin - d;
    float away = (kind == ALIKE ? a.margin : 1.0f - a.margin) - d;
    float bounded = at_least_zero(weight);
    float slope = factor * (side * positive(weight) * away - bounded);
    return {factor * bounded * away, -slope * positive(distance)};
}

template <typename T>
__global__ void __launch_bounds__(THREADS) distance_kernel(mb_circle_args_t a, float *pairs)
{
    int lane = (int)threadIdx.x % MB_WARP;
    const T *x = (const T *)a.x;
    for (int64_t p = mb_first() / MB_WARP; p < a.valid * a.valid; p += mb_stride() / MB_WARP) {
        int64_t i = p / a.valid * a.columns, j = p % a.valid * a.columns;
        float sum = 0.0f;
        for (int64_t c = lane; c < a.columns; c += MB_WARP)
            sum += mb_load(x, i + c) * mb_load(x, j + c);
        sum = mb_reduce_lanes<MB_WARP>(~0u, sum, mb_sum_of());
        if (lane == 0)
            pairs[p] = 1.0f - sum;
    }
}

__device__ inline float log_sum(const mb_circle_args_t &a, const float *pairs, int64_t i, int kind)
{
    float largest = -INFINITY, sum = 0.0f;
    for (int64_t j = threadIdx.x; j < a.valid; j += THREADS)
        if (kind_of(a, i, j) == kind)
            largest = fmaxf(largest, pair_of(a, pairs[j], kind).value);
    largest = mb_reduce_block<THREADS>(largest, mb_largest_of());
    for (int64_t j = threadIdx.x; j < a.valid; j += THREADS)
        if (kind_of(a, i, j) == kind)
            sum += expf(pair_of(a, pairs[j], kind).value - largest);
    sum = mb_reduce_block<THREADS>(sum, mb_sum_of());
    return sum == 0.0f ? -INFINITY : largest + logf(sum);
}

__global__ void __launch_bounds__(THREADS) row_kernel(mb_circle_args_t a, memory_of m)
{
    int64_t i = blockIdx.x;
    float alike = log_sum(a, m.pairs + i * a.valid, i, ALIKE);
    float other = log_sum(a, m.pairs + i * a.valid, i, OTHER), both = alike + other;
    float loss = both > 0.0f ? both + log1pf(expf(-both)) : log1pf(expf(both));
    if (threadIdx.x == 0)
        m.rows[i] = {{alike, other}, loss, 1.0f / (1.0f + expf(-both))};
}

/* By one block. A NaN stays one: it is multiplied by zero. */
__global__ void __launch_bounds__(THREADS) weigh_kernel(mb_circle_args_t a, circle_row *rows)
{
    double counted = 0.0, sum = 0.0;
    for (int64_t i = threadIdx.x; i < a.valid; i += THREADS)
        counted += rows[i].loss > 0.0f ? 1.0 : 0.0;
    counted = mb_reduce_block<THREADS>(counted, mb_sum_of());
    double factor = a.averages && counted > 0.0 ? (double)a.valid / counted : 1.0;
    for (int64_t i = threadIdx.x; i < a.valid; i += THREADS) {
        double weight = rows[i].loss > 0.0f ? factor : 0.0;
        sum += weight * (double)rows[i].loss;
        rows[i].share *= (float)(weight * (double)a.scale);
    }
    sum = mb_reduce_block<THREADS>(sum, mb_sum_of());
    if (threadIdx.x == 0)
        *a.sum += sum;
}

/* Of a row that does not count the log-sum may be -infinity. */
__device__ inline float part_of(const circle_row &row, int kind, float value)
{
    return row.share == 0.0f ? 0.0f : row.share * expf(value - row.sums[kind]);
}

__global__ void __launch_bounds__(THREADS) slope_kernel(mb_circle_args_t a, memory_of m)
{
    for (int64_t p = mb_first(); p < a.valid * a.valid; p += mb_stride()) {
        int64_t i = p / a.valid, j = p % a.valid;
        int kind = kind_of(a, i, j);
        pair_value pair = pair_of(a, m.pairs[p], kind);
        m.pairs[p] = kind == NEITHER ? 0.0f
                                     : pair.slope * (part_of(m.rows[i], kind, pair.value) +
                                                     part_of(m.rows[j], kind, pair.value));
    }
}

template <typename T>
__global__ void __launch_bounds__(THREADS) copy_kernel(mb_circle_args_t a, float *x)
{
    for (int64_t i = mb_first(); i < a.valid * a.columns; i += mb_stride())
        x[i] = mb_load((const T *)a.x, i);
}

template <typename T>
__global__ void __launch_bounds__(THREADS) gradient_kernel(mb_circle_args_t a, memory_of m)
{
    for (int64_t at = mb_first(); at < a.rows * a.columns; at += mb_stride()) {
        int64_t i = at / a.columns, c = at % a.columns;
        float sum = 0.0f;
        for (int64_t j = 0; j < a.valid && i < a.valid; j++)
            sum += m.pairs[i * a.valid + j] * m.x[j * a.columns + c];
        mb_store((T *)a.dx, at, sum);
    }
}

mb_status_t take_memory(mb_exec_t *exec, const mb_circle_args_t &a, memory_of *m)
{
    size_t rows = (size_t)a.rows, columns = (size_t)a.columns;
    size_t of_x = a.dx == NULL ? 0 : rows * columns * sizeof(float);
    void *memory = NULL;
    MB_TRY(mb_cuda_workspace(exec, MB_OP_CIRCLE,
                             rows * sizeof(circle_row) + rows * rows * sizeof(float) + of_x,
                             &memory));
    m->rows = (circle_row *)memory;
    m->pairs = (float *)(m->rows + rows);
    m->x = m->pairs + rows * rows;
    return MB_OK;
}

template <typename T>
mb_status_t differentiate(mb_exec_t *exec, const mb_circle_args_t &a, const memory_of &m)
{
    MB_LAUNCH(slope_kernel, mb_cuda_blocks(a.valid * a.valid, THREADS), THREADS, 0,
              mb_cuda_stream(exec), a, m);
    MB_TRY(mb_cuda_launched(MB_OP_CIRCLE));
    MB_LAUNCH(copy_kernel<T>, mb_cuda_blocks(a.valid * a.columns, THREADS), THREADS, 0,
              mb_cuda_stream(exec), a, m.x);
    MB_TRY(mb_cuda_launched(MB_OP_CIRCLE));
    MB_LAUNCH(gradient_kernel<T>, mb_cuda_blocks(a.rows * a.columns, THREADS), THREADS, 0,
              mb_cuda_stream(exec), a, m);
    return mb_cuda_launched(MB_OP_CIRCLE);
}

template <typename T> mb_status_t measure(mb_exec_t *exec, const mb_circle_args_t &a, memory_of m)
{
    MB_LAUNCH(distance_kernel<T>, mb_cuda_blocks(a.valid * a.valid * MB_WARP, THREADS), THREADS, 0,
              mb_cuda_stream(exec), a, m.pairs);
    MB_TRY(mb_cuda_launched(MB_OP_CIRCLE));
    MB_LAUNCH(row_kernel, (unsigned)a.valid, THREADS, 0, mb_cuda_stream(exec), a, m);
    MB_TRY(mb_cuda_launched(MB_OP_CIRCLE));
    MB_LAUNCH(weigh_kernel, 1, THREADS, 0, mb_cuda_stream(exec), a, m.rows);
    return mb_cuda_launched(MB_OP_CIRCLE);
}

template <typename T> mb_status_t run(mb_exec_t *exec, const mb_circle_args_t &a)
{
    memory_of memory;
    MB_TRY(take_memory(exec, a, &memory));
    if (exec->planning || a.rows == 0)
        return MB_OK;
    if (a.valid > 0)
        MB_TRY(measure<T>(exec, a, memory));
    return a.dx == NULL ? MB_OK : differentiate<T>(exec, a, memory);
}

} // namespace

extern "C" mb_status_t mb_cuda_circle(mb_exec_t *exec, const mb_circle_args_t *args)
{
    if (args->valid < 0 || args->valid > args->rows || args->columns < 1)
        return mb_cuda_refuse(MB_OP_CIRCLE, "rows without columns, or more valid rows than rows");
    MB_CUDA_TYPED(MB_OP_CIRCLE, args->type, return run<T>(exec, *args));
}
