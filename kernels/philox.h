/* Philox4x32-10 on the device, with the bits of base/philox.h: a counter gives the numbers of four
 * neighbouring elements. */
#ifndef MB_KERNELS_PHILOX_H
#define MB_KERNELS_PHILOX_H

#include "kernel.h"

struct mb_random_four {
    uint32_t word[4];
};

/* Of elements 4 FOUR ... 4 FOUR + 3 of SAMPLE. */
__device__ inline mb_random_four mb_random_words(const mb_random_key_t &key, uint32_t sample,
                                                 uint32_t four)
{
    uint32_t c0 = four, c1 = key.position + sample, c2 = key.step, c3 = key.node << 8 | key.purpose;
    uint32_t k0 = (uint32_t)key.seed, k1 = (uint32_t)(key.seed >> 32);
#pragma unroll
    for (int round = 0; round < 10; round++) {
        uint64_t product0 = (uint64_t)0xD2511F53u * c0;
        uint64_t product1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(product1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)product1;
        c2 = (uint32_t)(product0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)product0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}

/* mb_random_unit: in [0, 1), 24 bits. */
__device__ inline float mb_random_unit_of(uint32_t word)
{
    return (float)(int32_t)(word >> 8) * 0x1p-24f;
}

#endif
