/* Metrics that are a mean of rows' values. A part of a warp, a warp or a block takes a row, by its
 * length; a block takes a run of rows and leaves their sums, which a second kernel adds up.
 * Elements are widened to double, in which all but the exponentials of a softmax is computed. Bound
 * by memory, of the kinds with a logarithm for each element by the arithmetic. The formulas are
 * those of keras/src/losses/losses.py and keras/src/metrics. */
#include "labels.h"
#include "partial.h"
#include "softmax.h"

namespace
{

constexpr double TINY = 1e-7;                              /* Keras' epsilon */
constexpr double NEARLY_ONE = (double)(float)(1.0 - 1e-7); /* rounded as Keras' clip rounds it */

/* Unlike fmax, a NaN stays one. */
__device__ inline double at_least(double low, double value)
{
    return value < low ? low : value;
}

__device__ inline double clip(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value;
}

__device__ inline double square(double x)
{
    return x * x;
}

/* Called, not inlined: a logarithm in double is hundreds of instructions, of which there would be a
 * copy for each kind, row length and type. */
__device__ __attribute__((noinline)) double log_of(double x)
{
    return log(x);
}

__device__ __attribute__((noinline)) double log1p_of(double x)
{
    return log1p(x);
}

__device__ inline double log_cosh(double d)
{
    return d + log1p_of(exp(-2.0 * d)) - log_of(2.0);
}

__device__ inline double hinge(double x, double t)
{
    return at_least(0.0, 1.0 - t * x);
}

/* Towards UNIFORM, as Keras smooths labels. */
__device__ inline double smoothed(const mb_row_metric_args_t &a, double t, double uniform)
{
    return t * (1.0 - (double)a.label_smoothing) + (double)a.label_smoothing * uniform;
}

__device__ inline double binary_logits(double x, double t)
{
    return (x > 0.0 ? x : 0.0) - x * t + log1p_of(exp(-fabs(x)));
}

__device__ inline double binary_probability(double x, double t)
{
    double q = clip(x, TINY, NEARLY_ONE);
    return -t * log_of(q) - (1.0 - t) * log1p_of(-q);
}

/* One element of the kinds that are means over columns. */
__device__ __attribute__((noinline)) double element(const mb_row_metric_args_t &a, double x,
                                                    double t)
{
    switch (a.kind) {
    case MB_ROW_SQUARED:
        return square(x - t);
    case MB_ROW_ABSOLUTE:
        return fabs(x - t);
    case MB_ROW_PERCENTAGE:
        return 100.0 * fabs(x - t) / at_least(TINY, fabs(t));
    case MB_ROW_LOGARITHMIC:
        return square(log1p_of(at_least(TINY, x)) - log1p_of(at_least(TINY, t)));
    case MB_ROW_LOG_COSH:
        return log_cosh(fabs(x - t));
    case MB_ROW_POISSON:
        return x - t * log_of(x + TINY);
    case MB_ROW_HINGE:
        return hinge(x, t);
    case MB_ROW_SQUARED_HINGE:
        return square(hinge(x, t));
    case MB_ROW_EQUAL:
        return x == t ? 1.0 : 0.0;
    case MB_ROW_BINARY:
        return (x > (double)a.threshold ? 1.0 : 0.0) == t ? 1.0 : 0.0;
    case MB_ROW_BINARY_LOGITS:
        return binary_logits(x, smoothed(a, t, 0.5));
    default: /* MB_ROW_BINARY_PROBABILITY */
        return binary_probability(x, smoothed(a, t, 0.5));
    }
}

template <typename T> struct row_of {
    const mb_row_metric_args_t &a;
    int64_t row;

    __device__ const T *x() const
    {
        return (const T *)a.x;
    }
    __device__ int64_t first() const
    {
        return row * a.columns;
    }
    __device__ double label(int64_t j) const
    {
        return (double)mb_label_at(a.labels, row, j);
    }
};

/* The sum of BODY(x, t) over the row, in all lanes. */
template <typename TEAM, typename T, typename F>
__device__ inline double sum_of(const row_of<T> &r, F body)
{
    double sum = 0.0;
    mb_each_of_row<TEAM>(r.x(), r.first(), r.a.columns,
                         [&](float x, int64_t j) { sum += body((double)x, r.label(j)); });
    return TEAM::sum(sum);
}

/* The kinds that look at the row as a whole. */

template <typename TEAM, typename T> __device__ inline double kl(const row_of<T> &r)
{
    return sum_of<TEAM>(r, [](double x, double t) {
        double p = clip(t, TINY, 1.0);
        return p * log_of(p / clip(x, TINY, 1.0));
    });
}

/* A label that all columns share is a vector of one element. */
template <typename TEAM, typename T> __device__ inline double cosine(const row_of<T> &r)
{
    double product = sum_of<TEAM>(r, [](double x, double t) { return x * t; });
    double xx = sum_of<TEAM>(r, [](double x, double) { return x * x; });
    double tt = sum_of<TEAM>(r, [](double, double t) { return t * t; });
    tt = r.a.labels.columns == 1 ? square(r.label(0)) : tt;
    return product / (at_least(TINY, sqrt(xx)) * at_least(TINY, sqrt(tt)));
}

template <typename TEAM, typename T> __device__ inline double correlation(const row_of<T> &r)
{
    double n = (double)r.a.columns;
    double mean_x = sum_of<TEAM>(r, [](double x, double) { return x; }) / n;
    double mean_t = sum_of<TEAM>(r, [](double, double t) { return t; }) / n;
    double var_x = sum_of<TEAM>(r, [=](double x, double) { return square(x - mean_x); }) / n;
    double var_t = sum_of<TEAM>(r, [=](double, double t) { return square(t - mean_t); }) / n;
    double both =
        sum_of<TEAM>(r, [=](double x, double t) { return (x - mean_x) * (t - mean_t); }) / n;
    if (r.a.kind == MB_ROW_PEARSON)
        return both / sqrt(var_x * var_t);
    return 2.0 * both / (var_x + var_t + square(mean_x - mean_t) + TINY);
}

template <typename TEAM, typename T> __device__ inline double categorical_hinge(const row_of<T> &r)
{
    double inside = sum_of<TEAM>(r, [](double x, double t) { return x * t; }), outside = -INFINITY;
    mb_each_of_row<TEAM>(r.x(), r.first(), r.a.columns, [&](float x, int64_t j) {
        outside = at_least(outside, (1.0 - r.label(j)) * (double)x);
    });
    outside = TEAM::reduce(outside, [](double a, double b) { return a < b ? b : a; });
    return at_least(0.0, outside - inside + 1.0);
}

template <typename TEAM, typename T> __device__ inline double log_sum_exp(const row_of<T> &r)
{
    mb_softmax_row s = mb_softmax_of<TEAM>(r.x(), r.first(), r.a.columns);
    return (double)s.largest + log_of((double)s.sum);
}

template <typename TEAM, typename T> __device__ inline double softmax(const row_of<T> &r)
{
    double log_sum = log_sum_exp<TEAM>(r), uniform = 1.0 / (double)r.a.columns;
    return sum_of<TEAM>(
        r, [&](double x, double t) { return smoothed(r.a, t, uniform) * (log_sum - x); });
}

template <typename TEAM, typename T> __device__ inline double probability(const row_of<T> &r)
{
    double sum = sum_of<TEAM>(r, [](double x, double) { return x; });
    double uniform = 1.0 / (double)r.a.columns;
    return sum_of<TEAM>(r, [&](double x, double t) {
        return -smoothed(r.a, t, uniform) * log_of(clip(x / sum, TINY, NEARLY_ONE));
    });
}

/* The column of the right class; -1: there is none. */
template <typename TEAM, typename T> __device__ inline int64_t right_class(const row_of<T> &r)
{
    int64_t right = r.a.labels.columns == 1 ? mb_label_class(r.a.labels, r.row)
                                            : mb_largest_label_at<TEAM>(r.a.labels, r.row);
    return right >= 0 && right < r.a.columns ? right : -1;
}

template <typename TEAM, typename T>
__device__ inline double sparse_crossentropy(const row_of<T> &r, int64_t right)
{
    if (right < 0) /* as a one-hot vector of no class */
        return 0.0;
    double own = (double)mb_load(r.x(), r.first() + right);
    if (r.a.kind == MB_ROW_SPARSE_SOFTMAX)
        return log_sum_exp<TEAM>(r) - own;
    return -log_of(
        clip(own / sum_of<TEAM>(r, [](double x, double) { return x; }), TINY, NEARLY_ONE));
}

template <typename TEAM, typename T>
__device__ inline double top_k(const row_of<T> &r, int64_t right)
{
    if (right < 0)
        return 0.0;
    double own = (double)mb_load(r.x(), r.first() + right);
    double larger = sum_of<TEAM>(r, [=](double x, double) { return x > own ? 1.0 : 0.0; });
    return larger < (double)r.a.k ? 1.0 : 0.0;
}

template <typename TEAM, typename T> __device__ inline double sorted_ids(const row_of<T> &r)
{
    double found = 0.0;
    for (int64_t j = TEAM::lane(); j < r.a.columns && j < r.a.k; j += TEAM::lanes)
        found += (double)mb_load(r.x(), r.first() + j) == r.label(0) ? 1.0 : 0.0;
    return TEAM::sum(found) > 0.0 ? 1.0 : 0.0;
}

template <typename TEAM, typename T> __device__ inline double value_of(const row_of<T> &r)
{
    switch (r.a.kind) {
    case MB_ROW_KL:
        return kl<TEAM>(r);
    case MB_ROW_COSINE:
        return cosine<TEAM>(r);
    case MB_ROW_PEARSON:
    case MB_ROW_CONCORDANCE:
        return correlation<TEAM>(r);
    case MB_ROW_CATEGORICAL_HINGE:
        return categorical_hinge<TEAM>(r);
    case MB_ROW_SOFTMAX:
        return softmax<TEAM>(r);
    case MB_ROW_PROBABILITY:
        return probability<TEAM>(r);
    case MB_ROW_SPARSE_SOFTMAX:
    case MB_ROW_SPARSE_PROBABILITY:
        return sparse_crossentropy<TEAM>(r, right_class<TEAM>(r));
    case MB_ROW_CLASS:
        return mb_largest_at<TEAM>(r.x(), r.first(), r.a.columns) == right_class<TEAM>(r) ? 1.0
                                                                                          : 0.0;
    case MB_ROW_TOP_K:
        return top_k<TEAM>(r, right_class<TEAM>(r));
    case MB_ROW_SORTED_IDS:
        return sorted_ids<TEAM>(r);
    default:
        return sum_of<TEAM>(r, [&](double x, double t) { return element(r.a, x, t); }) /
               (double)r.a.columns;
    }
}

struct row_sums {
    double sum[MB_ROW_SUMS];
};

/* With labels 0 and 1 taken for -1 and 1, and how many labels are neither. */
template <typename TEAM, typename T>
__device__ inline void add_hinge(const row_of<T> &r, double weight, row_sums *sums)
{
    double value = sum_of<TEAM>(r, [&](double x, double t) {
        double h = hinge(x, 2.0 * t - 1.0);
        return r.a.kind == MB_ROW_HINGE ? h : h * h;
    });
    double others = 0.0;
    for (int64_t j = TEAM::lane(); j < r.a.labels.columns; j += TEAM::lanes)
        others += r.label(j) == 0.0 || r.label(j) == 1.0 ? 0.0 : 1.0;
    sums->sum[2] += weight * value / (double)r.a.columns;
    sums->sum[3] += TEAM::sum(others);
}

__device__ inline bool is_hinge(mb_row_kind_t kind)
{
    return kind == MB_ROW_HINGE || kind == MB_ROW_SQUARED_HINGE;
}

/* All lanes of a team add the same. */
template <typename TEAM, typename T>
__device__ inline void add_row(const row_of<T> &r, row_sums *sums)
{
    const mb_row_metric_args_t &a = r.a;
    double weight = (double)mb_weight_at(a.weights, r.row);
    if (a.has_ignore && mb_label_class(a.labels, r.row) == a.ignore_label) {
        sums->sum[1] += a.weights == NULL ? weight : 0.0;
        return;
    }
    sums->sum[0] += weight * value_of<TEAM>(r);
    sums->sum[1] += weight;
    if (is_hinge(a.kind))
        add_hinge<TEAM>(r, weight, sums);
}

/* partial[MB_ROW_SUMS][blocks] */
template <typename TEAM, typename T>
__global__ void __launch_bounds__(TEAM::threads)
    row_metric_kernel(mb_row_blocks rows, mb_row_metric_args_t a, double *partial)
{
    int64_t begin = blockIdx.x * rows.block, end = begin + rows.block;
    row_sums sums = {};
    end = end < a.valid ? end : a.valid;
    for (int64_t i = begin + TEAM::number(); i < end; i += TEAM::teams)
        add_row<TEAM>(row_of<T>{a, i}, &sums);
    for (int k = 0; k < MB_ROW_SUMS; k++) {
        double own = TEAM::lane() == 0 ? sums.sum[k] : 0.0;
        double sum = mb_reduce_block<TEAM::threads>(own, mb_sum_of());
        if (threadIdx.x == 0)
            partial[k * rows.blocks + blockIdx.x] = sum;
    }
}

template <typename TEAM, typename T>
mb_status_t row_metric(mb_exec_t *exec, const mb_row_metric_args_t &a)
{
    void *memory = NULL;
    mb_row_blocks rows = mb_row_blocks_of(a.rows, TEAM::teams);
    MB_TRY(mb_cuda_workspace(exec, MB_OP_ROW_METRIC,
                             sizeof(double) * MB_ROW_SUMS * (size_t)rows.blocks, &memory));
    if (exec->planning || a.rows == 0)
        return MB_OK;
    double *partial = (double *)memory;
    MB_LAUNCH((row_metric_kernel<TEAM, T>), (unsigned)rows.blocks, TEAM::threads, 0,
              mb_cuda_stream(exec), rows, a, partial);
    MB_TRY(mb_cuda_launched(MB_OP_ROW_METRIC));
    for (int k = 0; k < MB_ROW_SUMS; k++)
        MB_TRY(mb_cuda_add_partial(exec, MB_OP_ROW_METRIC, rows.blocks, partial + k * rows.blocks,
                                   a.sums + k));
    return MB_OK;
}

template <typename T> mb_status_t run_teamed(mb_exec_t *exec, const mb_row_metric_args_t &a)
{
    if (a.columns <= 64)
        return row_metric<mb_team<8, 256>, T>(exec, a);
    if (a.columns <= 4096)
        return row_metric<mb_team<32, 256>, T>(exec, a);
    return row_metric<mb_team<256, 256>, T>(exec, a);
}

} // namespace

extern "C" mb_status_t mb_cuda_row_metric(mb_exec_t *exec, const mb_row_metric_args_t *args)
{
    if ((unsigned)args->kind >= MB_ROW_COUNT)
        return mb_cuda_refuse(MB_OP_ROW_METRIC, "unknown metric");
    if (args->valid < 0 || args->valid > args->rows || args->columns < 1 ||
        !mb_labels_fit(args->labels, args->columns))
        return mb_cuda_refuse(MB_OP_ROW_METRIC, "rows without columns or with other labels, or "
                                                "more valid rows than rows");
    if (!mb_cuda_aligned(args->x))
        return mb_cuda_refuse(MB_OP_ROW_METRIC, "an address that is no multiple of 16");
    MB_CUDA_TYPED(MB_OP_ROW_METRIC, args->type, return run_teamed<T>(exec, *args));
}
