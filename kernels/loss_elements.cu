/* Losses of which each element and its label give a part by themselves: one kernel for all, which
 * chooses the kind at each element, where a warp goes one way. One reading; where two branches
 * meet, the slope is the mean of theirs, as that of Keras' maximum is. */
#include "loss.h"

namespace
{

struct element {
    float loss, slope;
};

__device__ inline element percentage(float x, float t)
{
    float unit = 100.0f / fmaxf(fabsf(t), TINY);
    return {fabsf(x - t) * unit, x > t ? unit : x < t ? -unit : 0.0f};
}

__device__ inline element squared_log(float x, float t)
{
    float y = at_least(x, TINY), d = log1pf(y) - log1pf(at_least(t, TINY));
    return {d * d, 2.0f * d / (1.0f + y) * positive(x - TINY)};
}

__device__ inline element huber(float x, float t, float delta)
{
    float d = x - t, size = fabsf(d);
    if (size <= delta)
        return {0.5f * d * d, d};
    return {delta * size - 0.5f * delta * delta, d > 0.0f ? delta : d < 0.0f ? -delta : d};
}

template <typename T> __device__ inline element log_cosh(float x, float t)
{
    float d = x - t, size = fabsf(d);
    return {size + log1pf(mb_exp<T>(-2.0f * size)) - 0.693147181f, tanhf(d)};
}

__device__ inline element poisson(float x, float t)
{
    return {x - t * logf(x + TINY), 1.0f - t / (x + TINY)};
}

__device__ inline float to_one(float x)
{
    return x < TINY ? TINY : x > 1.0f ? 1.0f : x;
}

__device__ inline element divergence(float x, float t)
{
    float q = to_one(x), p = to_one(t);
    return {p * logf(p / q), x >= TINY && x <= 1.0f ? -p / q : 0.0f};
}

/* A label 0 counts as -1: see ops.h. */
__device__ inline element hinge(float x, float t)
{
    float side = t == 0.0f ? -1.0f : t, margin = 1.0f - side * x;
    return {at_least(margin, 0.0f), -side * positive(margin)};
}

__device__ inline element squared_hinge(float x, float t)
{
    float side = t == 0.0f ? -1.0f : t, margin = at_least(1.0f - side * x, 0.0f);
    return {margin * margin, -2.0f * side * margin};
}

/* The cross-entropy of the probability P, with 1 - P given apart; slope by P. */
__device__ inline element entropy(float p, float rest, float t)
{
    float q = clipped(p), left = inside(p) ? rest : 1.0f - q;
    return {-t * logf(q) - (1.0f - t) * logf(left), inside(p) ? (p - t) / (p * rest) : 0.0f};
}

/* The same with the focal factor. */
template <typename T>
__device__ inline element focal(const row_of<T> &r, float p, float rest, float t)
{
    element e = entropy(p, rest, t);
    float wrong = t * rest + (1.0f - t) * p, factor = powf(wrong, r.p0);
    float bend = r.p0 == 0.0f ? 0.0f : r.p0 * powf(wrong, r.p0 - 1.0f) * (1.0f - 2.0f * t);
    float weight = t * r.p1 + (1.0f - t) * r.p2;
    return {weight * factor * e.loss, weight * (bend * e.loss + factor * e.slope)};
}

template <typename T> __device__ inline element focal_logits(const row_of<T> &r, float x, float t)
{
    float p = 1.0f / (1.0f + expf(-x)), rest = 1.0f / (1.0f + expf(x));
    element e = focal(r, p, rest, t);
    return {e.loss, e.slope * p * rest};
}

template <typename T> __device__ inline element of_kind(const row_of<T> &r, float x, float label)
{
    switch (r.kind) {
    case MB_LOSS_PERCENTAGE:
        return percentage(x, label);
    case MB_LOSS_SQUARED_LOG:
        return squared_log(x, label);
    case MB_LOSS_HUBER:
        return huber(x, label, r.p0);
    case MB_LOSS_LOG_COSH:
        return log_cosh<T>(x, label);
    case MB_LOSS_POISSON:
        return poisson(x, label);
    case MB_LOSS_DIVERGENCE:
        return divergence(x, label);
    case MB_LOSS_HINGE:
        return hinge(x, label);
    case MB_LOSS_SQUARED_HINGE:
        return squared_hinge(x, label);
    case MB_LOSS_BINARY_FOCAL_LOGITS:
        return focal_logits(r, x, r.smoothed(label, 0.5f));
    default:
        return focal(r, x, 1.0f - x, r.smoothed(label, 0.5f));
    }
}

struct elements {
    static constexpr bool sparse = false;
    template <typename TEAM, typename T> static __device__ float row(const row_of<T> &r)
    {
        float share = r.kind == MB_LOSS_DIVERGENCE ? 1.0f : 1.0f / (float)r.columns;
        float scale = r.scale * share, loss = 0.0f;
        each_labelled_run<TEAM>(r, [&](auto &v, auto &t, int64_t j) {
            for (size_t k = 0; k < sizeof v / sizeof *v; k++) {
                element e = of_kind(r, v[k], t[k]);
                loss += e.loss;
                v[k] = scale * e.slope;
            }
            if (r.dx != NULL)
                mb_store_pack(r.dx + r.first + j, v);
        });
        return TEAM::sum(loss) * share;
    }
};

} // namespace

mb_status_t mb_cuda_loss_elements(mb_exec_t *exec, const mb_loss_args_t &args)
{
    if (args.kind < MB_LOSS_PERCENTAGE || args.kind > MB_LOSS_BINARY_FOCAL_PROBABILITY)
        return mb_cuda_refuse(MB_OP_LOSS, "unknown loss");
    return loss<elements>(exec, args);
}
