/* What a softmax needs of a row: its largest element and the sum of exp(x - largest), in one
 * reading. A lane's sum is scaled down whenever its largest grows (Milakov, Gimelshein: "Online
 * normalizer calculation for softmax", 2018), once a run. */
#ifndef MB_KERNELS_SOFTMAX_H
#define MB_KERNELS_SOFTMAX_H

#include "approximate.h"
#include "reduce.h"
#include "runs.h"

struct mb_softmax_row {
    float largest, sum;
};

/* A run of N elements. While all so far are -infinity, or NaN, nothing is taken off: a NaN must
 * reach the sum. */
template <typename T, int N>
__device__ inline void mb_softmax_take(mb_softmax_row &row, const float (&x)[N])
{
    float largest = row.largest;
#pragma unroll
    for (int k = 0; k < N; k++)
        largest = fmaxf(largest, x[k]);
    float taken_off = largest == -INFINITY ? 0.0f : largest;
    row.sum *= mb_exp<T>(row.largest - taken_off);
#pragma unroll
    for (int k = 0; k < N; k++)
        row.sum += mb_exp<T>(x[k] - taken_off);
    row.largest = largest;
}

/* Of the row of COLUMNS elements that begins at element FIRST of X; the same in all lanes of TEAM.
 */
template <typename TEAM, typename T>
__device__ inline mb_softmax_row mb_softmax_of(const T *x, int64_t first, int64_t columns)
{
    mb_softmax_row row = {-INFINITY, 0.0f};
    mb_each_run_of_row<mb_width<T>>(first, columns, TEAM::lane(), TEAM::lanes,
                                    [&](int64_t j, auto run) {
                                        float v[decltype(run)::value];
                                        mb_load_pack(x + first + j, v);
                                        mb_softmax_take<T>(row, v);
                                    });
    float largest = TEAM::largest(row.largest);
    float scale = row.largest == -INFINITY ? 0.0f : expf(row.largest - largest);
    return {largest, TEAM::sum(row.sum * scale)};
}

#endif
