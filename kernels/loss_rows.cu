/* Losses that take a row as a whole, beside the plain cross-entropies: a first reading for what the
 * loss and all gradients share, a second that writes these. */
#include "loss.h"
#include "softmax.h"

namespace
{

/* -p1 t (1 - q)^p0 log(q) and its slope by q. */
struct focal_term {
    float loss, slope;
};

template <typename T>
__device__ inline focal_term focal_of(const row_of<T> &r, float q, float label, float uniform)
{
    float t = r.smoothed(label, uniform) * r.p1, p = clipped(q), log_p = logf(p);
    float factor = powf(1.0f - p, r.p0);
    float bend = r.p0 == 0.0f ? 0.0f : r.p0 * powf(1.0f - p, r.p0 - 1.0f) * log_p;
    return {-t * factor * log_p, inside(q) ? t * (bend - factor / p) : 0.0f};
}

/* Q(x): the probability that an element stands for, whose slope by x is OF(x, slope - shared). */
template <typename TEAM, typename T, typename Q, typename F>
__device__ inline float focal_row(const row_of<T> &r, Q q, F of)
{
    float uniform = 1.0f / (float)r.columns, loss = 0.0f, shared = 0.0f;
    each_labelled<TEAM>(r, [&](float x, float label) {
        focal_term term = focal_of(r, q(x), label, uniform);
        loss += term.loss;
        shared += term.slope * q(x);
    });
    shared = TEAM::sum(shared);
    if (r.dx != NULL)
        put_labelled<TEAM>(r, [&](float x, float label) {
            return r.scale * of(x, focal_of(r, q(x), label, uniform).slope - shared);
        });
    return TEAM::sum(loss);
}

struct focal_logits {
    static constexpr bool sparse = false;
    template <typename TEAM, typename T> static __device__ float row(const row_of<T> &r)
    {
        mb_softmax_row s = mb_softmax_of<TEAM>(r.x, r.first, r.columns);
        float inverse = 1.0f / s.sum;
        auto q = [&](float x) { return mb_exp<T>(x - s.largest) * inverse; };
        return focal_row<TEAM>(r, q, [&](float x, float slope) { return slope * q(x); });
    }
};

struct focal_probability {
    static constexpr bool sparse = false;
    template <typename TEAM, typename T> static __device__ float row(const row_of<T> &r)
    {
        float inverse = 1.0f / sum_of_row<TEAM>(r);
        auto q = [&](float x) { return x * inverse; };
        return focal_row<TEAM>(r, q, [&](float, float slope) { return slope * inverse; });
    }
};

/* The largest ones share what goes to them, as Keras' amax does. */
struct categorical_hinge {
    static constexpr bool sparse = false;
    template <typename TEAM, typename T> static __device__ float row(const row_of<T> &r)
    {
        float own = 0.0f, other = -INFINITY, equals = 0.0f;
        each_labelled<TEAM>(r, [&](float x, float t) {
            own += t * x;
            other = fmaxf(other, (1.0f - t) * x);
        });
        own = TEAM::sum(own);
        other = TEAM::largest(other);
        each_labelled<TEAM>(
            r, [&](float x, float t) { equals += (1.0f - t) * x == other ? 1.0f : 0.0f; });
        equals = TEAM::sum(equals);
        float margin = other - own + 1.0f;
        float scale = r.scale * positive(margin);
        if (r.dx != NULL)
            put_labelled<TEAM>(r, [&](float x, float t) {
                bool largest = (1.0f - t) * x == other;
                return scale * ((largest ? (1.0f - t) / equals : 0.0f) - t);
            });
        return at_least(margin, 0.0f);
    }
};

/* One over a norm that is never taken for less than Keras' epsilon. */
__device__ inline float inverse_norm(float square)
{
    float inverse = 1.0f / sqrtf(square);
    return inverse > 1.0f / TINY ? 1.0f / TINY : inverse;
}

struct cosine {
    static constexpr bool sparse = false;
    template <typename TEAM, typename T> static __device__ float row(const row_of<T> &r)
    {
        float xx = 0.0f, tt = 0.0f, xt = 0.0f;
        each_labelled<TEAM>(r, [&](float x, float t) {
            xx += x * x;
            tt += t * t;
            xt += x * t;
        });
        float of_x = inverse_norm(TEAM::sum(xx)), of_t = inverse_norm(TEAM::sum(tt));
        float both = of_x * of_t, alike = TEAM::sum(xt) * both;
        float along = of_x >= 1.0f / TINY ? 0.0f : alike * of_x * of_x;
        if (r.dx != NULL)
            put_labelled<TEAM>(r,
                               [&](float x, float t) { return r.scale * (x * along - t * both); });
        return -alike;
    }
};

/* Tversky's index; Dice is that of halves. */
struct overlap {
    static constexpr bool sparse = false;
    template <typename TEAM, typename T> static __device__ float row(const row_of<T> &r)
    {
        float both = 0.0f, missed = 0.0f, wrong = 0.0f;
        each_labelled<TEAM>(r, [&](float x, float t) {
            both += x * t;
            missed += (1.0f - x) * t;
            wrong += x * (1.0f - t);
        });
        both = TEAM::sum(both);
        float whole = both + r.p0 * TEAM::sum(missed) + r.p1 * TEAM::sum(wrong) + r.p2;
        float share = both / whole, scale = r.scale / whole;
        if (r.dx != NULL)
            put_labelled<TEAM>(r, [&](float, float t) {
                return scale * (share * (t - r.p0 * t + r.p1 * (1.0f - t)) - t);
            });
        return 1.0f - share;
    }
};

struct generalized {
    static constexpr bool sparse = true;
    template <typename TEAM, typename T> static __device__ float row(const row_of<T> &r)
    {
        float p = mb_load(r.x, r.first + r.label);
        float slope = -r.scale * powf(p, r.p0 - 1.0f);
        TEAM::sync();
        if (r.dx != NULL)
            put_sparse<TEAM>(r, [&](float, bool label) { return label ? slope : 0.0f; });
        return (1.0f - powf(p, r.p0)) / r.p0;
    }
};

} // namespace

mb_status_t mb_cuda_loss_rows(mb_exec_t *exec, const mb_loss_args_t &args)
{
    switch (args.kind) {
    case MB_LOSS_FOCAL_LOGITS:
        return loss<focal_logits>(exec, args);
    case MB_LOSS_FOCAL_PROBABILITY:
        return loss<focal_probability>(exec, args);
    case MB_LOSS_CATEGORICAL_HINGE:
        return loss<categorical_hinge>(exec, args);
    case MB_LOSS_COSINE:
        return loss<cosine>(exec, args);
    case MB_LOSS_OVERLAP:
        return loss<overlap>(exec, args);
    default:
        return loss<generalized>(exec, args);
    }
}
