/* Philox4x32-10 and the numbers made from its words. */
#include "base/philox.h"

void mb_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t product0 = UINT64_C(0xD2511F53) * c0;
        uint64_t product1 = UINT64_C(0xCD9E8D57) * c2;
        c0 = (uint32_t)(product1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)product1;
        c2 = (uint32_t)(product0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)product0;
        k0 += UINT32_C(0x9E3779B9);
        k1 += UINT32_C(0xBB67AE85);
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

uint32_t mb_random_word(const mb_random_key_t *key, uint32_t sample, uint32_t element)
{
    uint32_t words[4];
    mb_philox((const uint32_t[4]){element / 4, key->position + sample, key->step,
                                  key->node << 8 | key->purpose},
              (const uint32_t[2]){(uint32_t)key->seed, (uint32_t)(key->seed >> 32)}, words);
    return words[element % 4];
}

float mb_random_unit(uint32_t word)
{
    return (float)(word >> 8) * 0x1p-24f;
}

double mb_random_open_unit(uint32_t word)
{
    return ((double)word + 1.0) * 0x1p-32;
}

/* FNV-1a alone leaves the high bits of short names alike; the finishing mix is MurmurHash3's. */
uint64_t mb_hash_name(const char *name)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001B3);
    hash = (hash ^ hash >> 33) * UINT64_C(0xFF51AFD7ED558CCD);
    hash = (hash ^ hash >> 33) * UINT64_C(0xC4CEB9FE1A85EC53);
    return hash ^ hash >> 33;
}
