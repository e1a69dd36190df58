/* The part of attention that forward and backward share. */
#include "device/cpu/attention.h"
#include "device/cpu/random.h"

mb_status_t mb_attention_check(const mb_attention_t *a)
{
    MB_CPU_CHECK(a->op, a->samples >= 0 && a->heads >= 1 && a->tq >= 1 && a->tk >= 1,
                 "no heads, queries or keys");
    MB_CPU_CHECK(a->op, a->d >= 1 && a->dv >= 1, "heads without width");
    MB_CPU_CHECK(a->op, a->masks == 0 || a->masks == 1 || a->masks == a->heads,
                 "masks for some of the heads");
    MB_CPU_CHECK(a->op, a->dropout_rate >= 0.0f && a->dropout_rate < 1.0f,
                 "a dropout rate outside 0 to 1");
    MB_CPU_CHECK(a->op, a->dropout_rate == 0.0f || a->heads * a->tq * a->tk <= INT64_C(1) << 32,
                 "more than 2^32 probabilities a sample, which have no numbers of their own");
    return MB_OK;
}

mb_attention_block_t mb_attention_block(const mb_attention_t *a, int64_t block)
{
    mb_span_t s = mb_span(block, MB_ATTENTION_BLOCK, a->tq);
    return (mb_attention_block_t){s.begin, s.end, mb_attention_seen(a, s.end - 1)};
}

void mb_attention_factors(const mb_attention_t *a, int64_t sample, int64_t head, int64_t i,
                          int64_t keys, float *factor)
{
    mb_cpu_keep_factors(&a->random, (uint32_t)sample, (head * a->tq + i) * a->tk, keys,
                        a->dropout_rate, 1.0f / (1.0f - a->dropout_rate), factor);
}
