/* The cross-entropies and distances that most models are trained with; all other kinds of loss are
 * in loss_elements.cu and loss_rows.cu. */
#include "loss.h"
#include "softmax.h"

namespace
{

struct sparse_softmax {
    static constexpr bool sparse = true;
    template <typename TEAM, typename T> static __device__ float row(const row_of<T> &r)
    {
        float own = mb_load(r.x, r.first + r.label);
        mb_softmax_row s = mb_softmax_of<TEAM>(r.x, r.first, r.columns);
        float factor = r.scale / s.sum;
        TEAM::sync();
        if (r.dx != NULL)
            put_sparse<TEAM>(r, [&](float x, bool label) {
                return mb_exp<T>(x - s.largest) * factor - (label ? r.scale : 0.0f);
            });
        return s.largest - own + logf(s.sum);
    }
};

/* q = x / sum(x), loss = -log(clip(q)): the gradient goes through the division, and is zero where
 * the clip holds. */
struct sparse_probability {
    static constexpr bool sparse = true;
    template <typename TEAM, typename T> static __device__ float row(const row_of<T> &r)
    {
        float own = mb_load(r.x, r.first + r.label), sum = sum_of_row<TEAM>(r), q = own / sum;
        float g = inside(q) ? -r.scale / q : 0.0f;
        float shared = -g * q / sum, labelled = g * (1.0f - q) / sum;
        TEAM::sync();
        if (r.dx != NULL)
            put_sparse<TEAM>(r, [&](float, bool label) { return label ? labelled : shared; });
        return -logf(clipped(q));
    }
};

struct softmax {
    static constexpr bool sparse = false;
    template <typename TEAM, typename T> static __device__ float row(const row_of<T> &r)
    {
        float uniform = 1.0f / (float)r.columns, loss = 0.0f, mass = 0.0f;
        mb_softmax_row s = mb_softmax_of<TEAM>(r.x, r.first, r.columns);
        float log_sum = logf(s.sum), factor = 1.0f / s.sum;
        each_labelled<TEAM>(r, [&](float x, float label) {
            float t = r.smoothed(label, uniform);
            mass += t;
            loss -= t * (x - s.largest - log_sum);
        });
        mass = TEAM::sum(mass);
        if (r.dx != NULL)
            put_labelled<TEAM>(r, [&](float x, float label) {
                float p = mb_exp<T>(x - s.largest) * factor;
                return r.scale * (p * mass - r.smoothed(label, uniform));
            });
        return TEAM::sum(loss);
    }
};

struct probability {
    static constexpr bool sparse = false;
    template <typename TEAM, typename T> static __device__ float row(const row_of<T> &r)
    {
        float uniform = 1.0f / (float)r.columns, inverse = 1.0f / sum_of_row<TEAM>(r);
        float loss = 0.0f, shared = 0.0f, factor = r.scale * inverse;
        each_labelled<TEAM>(r, [&](float x, float label) {
            float q = x * inverse, t = r.smoothed(label, uniform);
            loss -= t * logf(clipped(q));
            shared += inside(q) ? -t : 0.0f; /* g q, where g = -t / q */
        });
        shared = TEAM::sum(shared);
        if (r.dx != NULL)
            put_labelled<TEAM>(r, [&](float x, float label) {
                float q = x * inverse, t = r.smoothed(label, uniform);
                float g = inside(q) ? mb_quotient<T>(-t, q) : 0.0f;
                return factor * (g - shared);
            });
        return TEAM::sum(loss);
    }
};

struct binary_logits {
    static constexpr bool sparse = false;
    template <typename TEAM, typename T> static __device__ float row(const row_of<T> &r)
    {
        float scale = r.scale / (float)r.columns, loss = 0.0f;
        each_labelled<TEAM>(r, [&](float x, float label) {
            float t = r.smoothed(label, 0.5f);
            loss += (x > 0.0f ? x : 0.0f) - x * t + log1pf(mb_exp<T>(-fabsf(x)));
        });
        if (r.dx != NULL)
            put_labelled<TEAM>(r, [&](float x, float label) {
                return scale *
                       (mb_quotient<T>(1.0f, 1.0f + mb_exp<T>(-x)) - r.smoothed(label, 0.5f));
            });
        return TEAM::sum(loss) / (float)r.columns;
    }
};

struct binary_probability {
    static constexpr bool sparse = false;
    template <typename TEAM, typename T> static __device__ float row(const row_of<T> &r)
    {
        float scale = r.scale / (float)r.columns, loss = 0.0f;
        each_labelled<TEAM>(r, [&](float x, float label) {
            float t = r.smoothed(label, 0.5f), q = clipped(x);
            loss -= t * logf(q) + (1.0f - t) * log1pf(-q);
        });
        if (r.dx != NULL)
            put_labelled<TEAM>(r, [&](float x, float label) {
                float t = r.smoothed(label, 0.5f), q = clipped(x);
                return inside(x) ? mb_quotient<T>(scale * (q - t), q * (1.0f - q)) : 0.0f;
            });
        return TEAM::sum(loss) / (float)r.columns;
    }
};

struct squared {
    static constexpr bool sparse = false;
    template <typename TEAM, typename T> static __device__ float row(const row_of<T> &r)
    {
        float scale = 2.0f * r.scale / (float)r.columns, loss = 0.0f;
        each_labelled<TEAM>(r, [&](float x, float label) { loss += (x - label) * (x - label); });
        if (r.dx != NULL)
            put_labelled<TEAM>(r, [&](float x, float label) { return scale * (x - label); });
        return TEAM::sum(loss) / (float)r.columns;
    }
};

struct absolute {
    static constexpr bool sparse = false;
    template <typename TEAM, typename T> static __device__ float row(const row_of<T> &r)
    {
        float scale = r.scale / (float)r.columns, loss = 0.0f;
        each_labelled<TEAM>(r, [&](float x, float label) { loss += fabsf(x - label); });
        if (r.dx != NULL)
            put_labelled<TEAM>(r, [&](float x, float label) {
                return x > label ? scale : x < label ? -scale : 0.0f;
            });
        return TEAM::sum(loss) / (float)r.columns;
    }
};

#define KINDS(X)                                                                                   \
    X(SPARSE_SOFTMAX, sparse_softmax)                                                              \
    X(SPARSE_PROBABILITY, sparse_probability)                                                      \
    X(SOFTMAX, softmax)                                                                            \
    X(PROBABILITY, probability)                                                                    \
    X(BINARY_LOGITS, binary_logits)                                                                \
    X(BINARY_PROBABILITY, binary_probability)                                                      \
    X(SQUARED, squared)                                                                            \
    X(ABSOLUTE, absolute)

} // namespace

extern "C" mb_status_t mb_cuda_loss(mb_exec_t *exec, const mb_loss_args_t *args)
{
    if (args->valid < 0 || args->valid > args->rows || args->columns < 1)
        return mb_cuda_refuse(MB_OP_LOSS, "rows without columns, or more valid rows than rows");
    if (!mb_cuda_aligned(args->x, args->dx, args->labels))
        return mb_cuda_refuse(MB_OP_LOSS, "an address that is no multiple of 16");
    switch (args->kind) {
#define CASE(NAME, name)                                                                           \
    case MB_LOSS_##NAME:                                                                           \
        return loss<name>(exec, *args);
        KINDS(CASE)
#undef CASE
    case MB_LOSS_FOCAL_LOGITS:
    case MB_LOSS_FOCAL_PROBABILITY:
    case MB_LOSS_CATEGORICAL_HINGE:
    case MB_LOSS_COSINE:
    case MB_LOSS_OVERLAP:
    case MB_LOSS_GENERALIZED:
        return mb_cuda_loss_rows(exec, *args);
    default:
        return mb_cuda_loss_elements(exec, *args);
    }
}
