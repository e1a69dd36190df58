/* What attention's kernels share: the shape, and who sees whom. */
#ifndef MB_KERNELS_ATTENTION_H
#define MB_KERNELS_ATTENTION_H

#include "kernel.h"

namespace
{

constexpr unsigned ALL_LANES = 0xFFFFFFFFu;
constexpr float LOG2_E = 1.4426950408889634f;
constexpr float LN_2 = 0.6931471805599453f;

struct attention_t {
    int64_t samples, heads, tq, tk, d, dv;
    float scale, rate, kept; /* kept: what dropout multiplies by */
    bool causal;
    mb_random_key_t random;
    const void *mask;
    int64_t masks;
    mb_blind_t blind;
};

template <typename Args> attention_t attention_of(const Args *args)
{
    return {args->samples,
            args->heads,
            args->tq,
            args->tk,
            args->d,
            args->dv,
            args->scale,
            args->dropout_rate,
            1.0f / (1.0f - args->dropout_rate),
            args->causal,
            args->random,
            args->mask,
            args->masks,
            args->blind};
}

inline mb_status_t attention_check(mb_op_t op, const attention_t &a)
{
    if (a.samples < 0 || a.heads < 1 || a.tq < 1 || a.tk < 1)
        return mb_cuda_refuse(op, "no heads, queries or keys");
    if (a.d < 1 || a.dv < 1)
        return mb_cuda_refuse(op, "heads without width");
    if (a.masks != 0 && a.masks != 1 && a.masks != a.heads)
        return mb_cuda_refuse(op, "masks for some of the heads");
    if (!(a.rate >= 0.0f && a.rate < 1.0f))
        return mb_cuda_refuse(op, "a dropout rate outside 0 to 1");
    if (a.rate > 0.0f && a.heads * a.tq * a.tk > INT64_C(1) << 32)
        return mb_cuda_refuse(
            op, "more than 2^32 probabilities a sample, which have no numbers of their own");
    /* Their numbers are int in kernels. */
    if (a.tq >= INT64_C(1) << 30 || a.tk >= INT64_C(1) << 30)
        return mb_cuda_refuse(op, "more than 2^30 queries or keys");
    return MB_OK;
}

/* A block's head: samples and heads are counted together. */
struct head_t {
    int64_t sample, head;
};

__device__ inline head_t head_of(const attention_t &a, int64_t number)
{
    return {number / a.heads, number % a.heads};
}

/* Where row 0 of a head begins in [samples, rows, heads, width]. */
__device__ inline int64_t head_offset(const attention_t &a, const head_t &h, int64_t rows,
                                      int64_t width)
{
    return (h.sample * rows * a.heads + h.head) * width;
}

/* Keys that some query before END sees; one that is blind has probabilities for all. */
__device__ inline int64_t keys_seen(const attention_t &a, int64_t end)
{
    return a.causal && a.masks == 0 && end < a.tk ? end : a.tk;
}

__device__ inline bool sees(const attention_t &a, int64_t query, int64_t key)
{
    return key < a.tk && (!a.causal || key <= query);
}

/* The same by a head's MASK [tq, tk]. */
template <typename T>
__device__ inline bool sees_by(const attention_t &a, const T *mask, int64_t query, int64_t key)
{
    return query < a.tq && sees(a, query, key) && mb_load(mask, query * a.tk + key) != 0.0f;
}

template <typename T> __device__ inline const T *mask_of(const attention_t &a, const head_t &h)
{
    int64_t which = h.sample * a.masks + (a.masks > 1 ? h.head : 0);
    return (const T *)a.mask + which * a.tq * a.tk;
}

/* A score that is not seen: of a row of them, exponentials are 1, and beside any other 0. */
constexpr float UNSEEN = -2.0e38f;

} // namespace

#endif
