/* Losses and their gradients. A part of a warp, a warp or a block takes a row, by its length; a
 * block takes a run of rows and leaves the sum of their losses, which a second kernel adds up. The
 * first reading of a row gives what its loss and gradient need, the second comes from the cache and
 * writes the gradient, which may lie in x's place. Bound by memory. A kind is a struct with
 *
 *     static constexpr bool sparse;                   whether labels are integers
 *     template <typename TEAM, typename T>
 *     static float row(const row_of<T> &r);           the row's loss, the same in all lanes of its
 *                                                     team; its gradient into r.dx
 *
 * The arithmetic is that of Keras' torch backend (keras/src/backend/torch/nn.py,
 * keras/src/losses/losses.py). */
#ifndef MB_KERNELS_LOSS_H
#define MB_KERNELS_LOSS_H

#include "approximate.h"
#include "partial.h"
#include "runs.h"

namespace
{

constexpr float TINY = 1e-7f;                     /* Keras' epsilon */
constexpr float NEARLY_ONE = (float)(1.0 - 1e-7); /* rounded as Keras' clip rounds it */

/* One row: FIRST is its first element's index. DX NULL: no gradient is wanted. */
template <typename T> struct row_of {
    int64_t first, columns;
    const T *x;
    const float *labels; /* float kinds */
    int32_t label;       /* sparse kinds */
    T *dx;
    float scale; /* the arguments' times the row's weight */
    float smoothing, p0, p1, p2;
    mb_loss_kind_t kind;

    /* Keras' label smoothing: towards the uniform distribution. */
    __device__ float smoothed(float label_of, float uniform) const
    {
        return label_of * (1.0f - smoothing) + smoothing * uniform;
    }
};

/* Labels are float: 16 bytes of them at a time. */
constexpr int LABELLED = mb_width<float>;

/* Walks a row with its labels: BODY(x, label, j) of each run of it, from column J on. */
template <typename TEAM, typename T, typename F>
__device__ inline void each_labelled_run(const row_of<T> &r, F body)
{
    mb_each_run_of_row<LABELLED>(r.first, r.columns, TEAM::lane(), TEAM::lanes,
                                 [&](int64_t j, auto run) {
                                     constexpr int N = decltype(run)::value;
                                     float v[N], t[N];
                                     mb_load_pack(r.x + r.first + j, v);
                                     mb_load_pack(r.labels + r.first + j, t);
                                     body(v, t, j);
                                 });
}

/* BODY(x, label) of each element. */
template <typename TEAM, typename T, typename F>
__device__ inline void each_labelled(const row_of<T> &r, F body)
{
    each_labelled_run<TEAM>(r, [&](auto &v, auto &t, int64_t) {
        for (size_t k = 0; k < sizeof v / sizeof *v; k++)
            body(v[k], t[k]);
    });
}

/* Writes BODY(x, label) of each element as its gradient. */
template <typename TEAM, typename T, typename F>
__device__ inline void put_labelled(const row_of<T> &r, F body)
{
    each_labelled_run<TEAM>(r, [&](auto &v, auto &t, int64_t j) {
        for (size_t k = 0; k < sizeof v / sizeof *v; k++)
            v[k] = body(v[k], t[k]);
        mb_store_pack(r.dx + r.first + j, v);
    });
}

/* The same for sparse kinds: BODY(x, whether this is the label's column). */
template <typename TEAM, typename T, typename F>
__device__ inline void put_sparse(const row_of<T> &r, F body)
{
    mb_each_run_of_row<mb_width<T>>(r.first, r.columns, TEAM::lane(), TEAM::lanes,
                                    [&](int64_t j, auto run) {
                                        constexpr int N = decltype(run)::value;
                                        float v[N];
                                        mb_load_pack(r.x + r.first + j, v);
                                        for (int k = 0; k < N; k++)
                                            v[k] = body(v[k], j + k == r.label);
                                        mb_store_pack(r.dx + r.first + j, v);
                                    });
}

template <typename TEAM, typename T> __device__ inline float sum_of_row(const row_of<T> &r)
{
    float sum = 0.0f;
    mb_each_run_of_row<mb_width<T>>(r.first, r.columns, TEAM::lane(), TEAM::lanes,
                                    [&](int64_t j, auto run) {
                                        constexpr int N = decltype(run)::value;
                                        float v[N];
                                        mb_load_pack(r.x + r.first + j, v);
                                        for (int k = 0; k < N; k++)
                                            sum += v[k];
                                    });
    return TEAM::sum(sum);
}

__device__ inline float clipped(float q)
{
    return q < TINY ? TINY : q > NEARLY_ONE ? NEARLY_ONE : q;
}

__device__ inline bool inside(float q)
{
    return q >= TINY && q <= NEARLY_ONE;
}

/* The slope of max(x, 0), at 0 the mean of both sides' as in Keras' maximum; NaN stays. */
__device__ inline float positive(float x)
{
    return x > 0.0f ? 1.0f : x < 0.0f ? 0.0f : x + 0.5f;
}

__device__ inline float at_least(float x, float least)
{
    return x < least ? least : x;
}

template <typename TEAM, typename T> __device__ inline void clear_row(const row_of<T> &r)
{
    mb_each_run_of_row<mb_width<T>>(r.first, r.columns, TEAM::lane(), TEAM::lanes,
                                    [&](int64_t j, auto run) {
                                        float zero[decltype(run)::value] = {};
                                        mb_store_pack(r.dx + r.first + j, zero);
                                    });
}

/* The weighted loss of row I; rows that do not count have none, and no gradient. */
template <typename KIND, typename TEAM, typename T>
__device__ inline float loss_of_row(const mb_loss_args_t &a, int64_t i)
{
    float weight = a.weights == NULL ? 1.0f : a.weights[i];
    row_of<T> row = {i * a.columns,    a.columns,         (const T *)a.x, NULL, 0,    (T *)a.dx,
                     a.scale * weight, a.label_smoothing, a.p0,           a.p1, a.p2, a.kind};
    bool counts = i < a.valid && weight != 0.0f;
    if (KIND::sparse && counts) {
        row.label = ((const int32_t *)a.labels)[i];
        counts = !(a.has_ignore && row.label == a.ignore_label);
    } else {
        row.labels = (const float *)a.labels;
    }
    if (counts)
        return weight * KIND::template row<TEAM>(row);
    if (row.dx != NULL)
        clear_row<TEAM>(row);
    return 0.0f;
}

template <typename KIND, typename TEAM, typename T>
__global__ void __launch_bounds__(TEAM::threads, TEAM::threads > 256 ? 1 : 3)
    loss_kernel(mb_row_blocks rows, mb_loss_args_t a, double *partial)
{
    int64_t begin = blockIdx.x * rows.block, end = begin + rows.block;
    double sum = 0.0;
    end = end < rows.rows ? end : rows.rows;
    for (int64_t i = begin + TEAM::number(); i < end; i += TEAM::teams) {
        float loss = loss_of_row<KIND, TEAM, T>(a, i);
        sum += TEAM::lane() == 0 ? (double)loss : 0.0;
    }
    sum = mb_reduce_block<TEAM::threads>(sum, mb_sum_of());
    if (threadIdx.x == 0)
        partial[blockIdx.x] = sum;
}

template <typename KIND, typename TEAM, typename T>
mb_status_t run(mb_exec_t *exec, const mb_loss_args_t &a)
{
    void *partial = NULL;
    mb_row_blocks rows = mb_row_blocks_of(a.rows, TEAM::teams);
    MB_TRY(mb_cuda_workspace(exec, MB_OP_LOSS, sizeof(double) * (size_t)rows.blocks, &partial));
    if (exec->planning || a.rows == 0)
        return MB_OK;
    MB_LAUNCH((loss_kernel<KIND, TEAM, T>), (unsigned)rows.blocks, TEAM::threads, 0,
              mb_cuda_stream(exec), rows, a, (double *)partial);
    MB_TRY(mb_cuda_launched(MB_OP_LOSS));
    return mb_cuda_add_partial(exec, MB_OP_LOSS, rows.blocks, (const double *)partial, a.sum);
}

/* Fewer teams than elsewhere: each is a kernel for each kind and three types. */
template <typename KIND, typename T>
mb_status_t run_teamed(mb_exec_t *exec, const mb_loss_args_t &a)
{
    if (a.columns <= 64)
        return run<KIND, mb_team<8, 256>, T>(exec, a);
    if (a.columns <= 4096)
        return run<KIND, mb_team<32, 256>, T>(exec, a);
    constexpr int THREADS = KIND::sparse ? 1024 : 512;
    return run<KIND, mb_team<THREADS, THREADS>, T>(exec, a);
}

template <typename KIND> mb_status_t loss(mb_exec_t *exec, const mb_loss_args_t &a)
{
    MB_CUDA_TYPED(MB_OP_LOSS, a.type, return (run_teamed<KIND, T>(exec, a)));
}

} // namespace

/* The kinds of the other files. */
mb_status_t mb_cuda_loss_elements(mb_exec_t *exec, const mb_loss_args_t &args);
mb_status_t mb_cuda_loss_rows(mb_exec_t *exec, const mb_loss_args_t &args);

#endif
