/* Philox4x32-10 (see base/philox.h) over many counters at a time: one round of all lanes after the
 * other, so that the compiler keeps them in vectors. */
#include "device/cpu/random.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include "device/cpu/simd.h"
#include "device/cpu/vmath.h"

#define LANES MB_RANDOM_COUNTERS /* at a time; each gives four words */

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
static void keep_run_plain(const mb_random_key_t *key, uint32_t sample, uint32_t counter,
                           float rate, float scale, float *factor)
{
    lanes_t lanes;
    philox_lanes(key, sample, counter, &lanes);
    for (int word = 0; word < 4; word++) {
#pragma omp simd
        for (int i = 0; i < LANES; i++) {
            float unit = (float)(int32_t)(lanes.word[word][i] >> 8) * 0x1p-24f;
            factor[4 * i + word] = unit >= rate ? scale : 0.0f;
        }
    }
}

mb_keep_run_t mb_cpu_keep_run(void)
{
    mb_keep_run_t best = mb_keep_run_avx512();
    if (best == NULL)
        best = mb_keep_run_avx2();
    return best == NULL ? keep_run_plain : best;
}

/* Whole runs go to their place at once, those at the ends by way of another. */
void mb_cpu_keep_factors(mb_keep_run_t keep, const mb_random_key_t *key, uint32_t sample,
                         int64_t first, int64_t count, float rate, float scale, float *factor)
{
    int64_t end = first + count;
    for (int64_t at = first / 4 * 4; at < end; at += MB_RANDOM_RUN) {
        float run[MB_RANDOM_RUN];
        bool whole = at >= first && end - at >= MB_RANDOM_RUN;
        keep(key, sample, (uint32_t)(at / 4), rate, scale, whole ? factor + at - first : run);
        int64_t low = at < first ? first - at : 0;
        int64_t high = end - at < MB_RANDOM_RUN ? end - at : MB_RANDOM_RUN;
        for (int64_t i = low; i < high && !whole; i++)
            factor[at + i - first] = run[i];
    }
}

/* Two independent normal numbers from two words (ops.h): the radius from u in (0, 1], the angle
 * from v in [0, 1) turns. */
static inline void normal_pair(uint32_t radius_word, uint32_t angle_word, float *first,
                               float *second)
{
    float u = (float)(int32_t)((radius_word >> 8) + 1) * 0x1p-24f;
    float quarters = (float)(int32_t)(angle_word >> 8) * 0x1p-22f;
    int32_t nearest = (int32_t)(quarters + 0.5f);
    float r = quarters - (float)nearest, radius = sqrtf(-2.0f * mb_v_log(u));
    float sine = mb_v_sin_quarter(r), cosine = mb_v_cos_quarter(r);
    float across = (nearest & 1) != 0 ? sine : cosine, up = (nearest & 1) != 0 ? cosine : sine;
    *first = radius * (((nearest + 1) & 2) != 0 ? -across : across);
    *second = radius * ((nearest & 2) != 0 ? -up : up);
}

MB_MULTIVERSION
void mb_cpu_normals(const mb_random_key_t *key, uint32_t sample, int64_t first, int64_t count,
                    float mean, float deviation, float *values)
{
    lanes_t lanes;
    int64_t end = first + count;
    for (int64_t at = first / 4 * 4; at < end; at += 4 * LANES) {
        float run[4 * LANES];
        philox_lanes(key, sample, (uint32_t)(at / 4), &lanes);
        for (int pair = 0; pair < 4; pair += 2) {
#pragma omp simd
            for (int i = 0; i < LANES; i++) {
                float a, b;
                normal_pair(lanes.word[pair][i], lanes.word[pair + 1][i], &a, &b);
                run[4 * i + pair] = mean + deviation * a;
                run[4 * i + pair + 1] = mean + deviation * b;
            }
        }
        int64_t low = at < first ? first - at : 0;
        int64_t high = end - at < 4 * LANES ? end - at : 4 * LANES;
        for (int64_t i = low; i < high; i++)
            values[at + i - first] = run[i];
    }
}
