/* What attention's forward and backward share: a tile is one head of one sample (backward) or a
 * block of its queries (forward); scores of a block of queries stand in the thread's workspace. */
#ifndef MB_DEVICE_CPU_ATTENTION_H
#define MB_DEVICE_CPU_ATTENTION_H

#include "device/cpu/cpu.h"

#define MB_ATTENTION_BLOCK 64 /* queries at a time */

typedef struct {
    mb_op_t op;
    int64_t samples, heads, tq, tk, d, dv;
    float scale, dropout_rate;
    bool causal;
    mb_random_key_t random;
    const float *mask; /* NULL while planning, and without one */
    int64_t masks;
    mb_blind_t blind;
} mb_attention_t;

/* Sizes that have no meaning are refused. */
mb_status_t mb_attention_check(const mb_attention_t *a);

/* Queries [begin, end) and the number of leading keys that the block sees. */
typedef struct {
    int64_t begin, end, keys;
} mb_attention_block_t;
mb_attention_block_t mb_attention_block(const mb_attention_t *a, int64_t block);

static inline int64_t mb_attention_blocks(const mb_attention_t *a)
{
    return mb_ceil_div(a->tq, MB_ATTENTION_BLOCK);
}

/* Leading keys among which are all that query i has probabilities for: one that is blind has some
 * for each. */
static inline int64_t mb_attention_seen(const mb_attention_t *a, int64_t i)
{
    return a->causal && a->masks == 0 ? mb_min_i64(i + 1, a->tk) : a->tk;
}

/* Query i's row of the mask. */
static inline const float *mb_attention_mask(const mb_attention_t *a, int64_t sample, int64_t head,
                                             int64_t i)
{
    return a->mask + ((sample * a->masks + (a->masks > 1 ? head : 0)) * a->tq + i) * a->tk;
}

/* Whether it sees key j by that row. */
static inline bool mb_attention_sees(const mb_attention_t *a, const float *mask, int64_t i,
                                     int64_t j)
{
    return mask[j] != 0.0f && (!a->causal || j <= i);
}

/* Factors of dropout of query i of a head over its first KEYS keys. */
void mb_attention_factors(const mb_attention_t *a, int64_t sample, int64_t head, int64_t i,
                          int64_t keys, float *factor);

#endif
