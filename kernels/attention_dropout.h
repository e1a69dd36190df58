/* Dropout's factors of attention. The number of (query i, key j) of a head is word e % 4 of Philox
 * at e / 4, where e = (head * tq + i) * tk + j (base/philox.h), so four neighbouring keys share a
 * call. Where tk is a multiple of four, the lanes that hold those four make one call each and trade
 * words; elsewhere each makes its own. */
#ifndef MB_KERNELS_ATTENTION_DROPOUT_H
#define MB_KERNELS_ATTENTION_DROPOUT_H

#include "attention.h"
#include "philox.h"

namespace
{

__device__ inline float keep_factor(const attention_t &a, uint32_t word)
{
    return mb_random_unit_of(word) >= a.rate ? a.kept : 0.0f;
}

__device__ inline uint64_t element_of(const attention_t &a, const head_t &h, int64_t query,
                                      int64_t key)
{
    return (uint64_t)((h.head * a.tq + query) * a.tk + key);
}

__device__ inline mb_random_four words_at(const attention_t &a, const head_t &h, uint64_t element)
{
    return mb_random_words(a.random, (uint32_t)h.sample, (uint32_t)(element / 4));
}

__device__ inline uint32_t word_of(const mb_random_four &words, int which)
{
    uint32_t low = which & 1 ? words.word[1] : words.word[0];
    uint32_t high = which & 1 ? words.word[3] : words.word[2];
    return which & 2 ? high : low;
}

__device__ inline float keep_factor_at(const attention_t &a, const head_t &h, int64_t query,
                                       int64_t key)
{
    uint64_t element = element_of(a, h, query, key);
    return keep_factor(a, word_of(words_at(a, h, element), (int)(element % 4)));
}

/* Of four keys from KEY on, KEY a multiple of four. */
__device__ inline void keep_factors_of_four(const attention_t &a, const head_t &h, int64_t query,
                                            int64_t key, float (&factor)[4])
{
    if (a.tk % 4 != 0) {
#pragma unroll
        for (int i = 0; i < 4; i++)
            factor[i] = keep_factor_at(a, h, query, key + i);
        return;
    }
    mb_random_four words = words_at(a, h, element_of(a, h, query, key));
#pragma unroll
    for (int i = 0; i < 4; i++)
        factor[i] = keep_factor(a, word_of(words, i));
}

/* Of a fragment c (mma.h) whose rows are queries from QUERY on and whose columns are keys. Each
 * word serves two lanes: the even one calls for its upper row, the odd one for its lower row. */
__device__ inline void keep_factors_by_query(const attention_t &a, const head_t &h, int64_t query,
                                             int64_t key, float (&factor)[4])
{
    int lane = threadIdx.x % MB_WARP, t = lane % 4;
    query += lane / 4;
    if (a.tk % 4 != 0) {
#pragma unroll
        for (int i = 0; i < 4; i++)
            factor[i] = keep_factor_at(a, h, query + i / 2 * 8, key + 2 * t + i % 2);
        return;
    }
    bool odd = t % 2 == 1;
    mb_random_four own = words_at(a, h, element_of(a, h, query + (odd ? 8 : 0), key + t / 2 * 4));
    uint32_t first = __shfl_xor_sync(ALL_LANES, odd ? own.word[0] : own.word[2], 1);
    uint32_t second = __shfl_xor_sync(ALL_LANES, odd ? own.word[1] : own.word[3], 1);
    factor[0] = keep_factor(a, odd ? first : own.word[0]);
    factor[1] = keep_factor(a, odd ? second : own.word[1]);
    factor[2] = keep_factor(a, odd ? own.word[2] : first);
    factor[3] = keep_factor(a, odd ? own.word[3] : second);
}

/* Of a fragment c whose rows are keys and whose columns are queries. Each word serves the four
 * lanes of four neighbouring rows: lane i of them calls for number i of the fragment, and keeps
 * word i of all four calls. */
__device__ inline void keep_factors_by_key(const attention_t &a, const head_t &h, int64_t query,
                                           int64_t key, float (&factor)[4])
{
    int lane = threadIdx.x % MB_WARP, g = lane / 4, own = g % 4;
    query += lane % 4 * 2;
    if (a.tk % 4 != 0) {
#pragma unroll
        for (int i = 0; i < 4; i++)
            factor[i] = keep_factor_at(a, h, query + i % 2, key + g + i / 2 * 8);
        return;
    }
    mb_random_four words =
        words_at(a, h, element_of(a, h, query + own % 2, key + own / 2 * 8 + g / 4 * 4));
    uint32_t word[4];
#pragma unroll
    for (int distance = 0; distance < 4; distance++) {
        uint32_t given = word_of(words, own ^ distance);
        uint32_t got = __shfl_xor_sync(ALL_LANES, given, 4 * distance);
#pragma unroll
        for (int i = 0; i < 4; i++)
            word[i] = i == (own ^ distance) ? got : word[i];
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
        factor[i] = keep_factor(a, word[i]);
}

} // namespace

#endif
