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
            args->random};
}

inline mb_status_t attention_check(mb_op_t op, const attention_t &a)
{
    if (a.samples < 0 || a.heads < 1 || a.tq < 1 || a.tk < 1)
        return mb_cuda_refuse(op, "no heads, queries or keys");
    if (a.d < 1 || a.dv < 1)
        return mb_cuda_refuse(op, "heads without width");
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

/* Keys that some query before END sees. */
__device__ inline int64_t keys_seen(const attention_t &a, int64_t end)
{
    return a.causal && end < a.tk ? end : a.tk;
}

__device__ inline bool sees(const attention_t &a, int64_t query, int64_t key)
{
    return key < a.tk && (!a.causal || key <= query);
}

} // namespace

#endif
