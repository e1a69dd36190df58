/* Philox4x32-10 (see base/philox.h) over many counters at a time: one round of all lanes after the
 * other, so that the compiler keeps them in vectors. */
#include "device/cpu/random.h"
#include "device/cpu/simd.h"

#define LANES 16 /* counters at a time; each gives four words */

typedef struct {
    uint32_t word[4][LANES];
} lanes_t;

static inline void philox_lanes(const mb_random_key_t *key, uint32_t sample, uint32_t counter,
                                lanes_t *l)
{
    uint32_t k0 = (uint32_t)key->seed, k1 = (uint32_t)(key->seed >> 32);
    for (uint32_t i = 0; i < LANES; i++) {
        l->word[0][i] = counter + i;
        l->word[1][i] = key->position + sample;
        l->word[2][i] = key->step;
        l->word[3][i] = key->node << 8 | key->purpose;
    }
    for (int round = 0; round < 10; round++) {
#pragma omp simd
        for (int i = 0; i < LANES; i++) {
            uint64_t product0 = UINT64_C(0xD2511F53) * l->word[0][i];
            uint64_t product1 = UINT64_C(0xCD9E8D57) * l->word[2][i];
            l->word[0][i] = (uint32_t)(product1 >> 32) ^ l->word[1][i] ^ k0;
            l->word[1][i] = (uint32_t)product1;
            l->word[2][i] = (uint32_t)(product0 >> 32) ^ l->word[3][i] ^ k1;
            l->word[3][i] = (uint32_t)product0;
        }
        k0 += UINT32_C(0x9E3779B9);
        k1 += UINT32_C(0xBB67AE85);
    }
}

MB_MULTIVERSION
void mb_cpu_keep_factors(const mb_random_key_t *key, uint32_t sample, int64_t first, int64_t count,
                         float rate, float scale, float *factor)
{
    lanes_t lanes;
    int64_t end = first + count;
    for (int64_t at = first / 4 * 4; at < end; at += 4 * LANES) {
        float run[4 * LANES];
        philox_lanes(key, sample, (uint32_t)(at / 4), &lanes);
        for (int word = 0; word < 4; word++) {
#pragma omp simd
            for (int i = 0; i < LANES; i++) {
                float unit = (float)(int32_t)(lanes.word[word][i] >> 8) * 0x1p-24f;
                run[4 * i + word] = unit >= rate ? scale : 0.0f;
            }
        }
        int64_t low = at < first ? first - at : 0;
        int64_t high = end - at < 4 * LANES ? end - at : 4 * LANES;
        for (int64_t i = low; i < high; i++)
            factor[at + i - first] = run[i];
    }
}
