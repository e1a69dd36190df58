/* Places for whole numbers that are in no list, for the host and for kernels: hashes of a number as
 * it is written in decimals, which is how Keras hashes integers (tf.strings.as_string, then
 * to_hash_bucket_fast or to_hash_bucket_strong).
 *
 * FarmHash64: Google's farmhashna::Hash64, of which 11 characters need the part for up to 16.
 * SipHash-2-4: Aumasson, Bernstein, "SipHash: a fast short-input PRF", 2012. */
#ifndef MB_DEVICE_NAMING_H
#define MB_DEVICE_NAMING_H

#include "device/ops.h"

#ifdef __CUDACC__
#define MB_NAMING_CODE __host__ __device__ static inline
#else
#define MB_NAMING_CODE static inline
#endif

#define MB_DECIMALS 16 /* "-2147483648", and room for whole words */

/* Returns the number of characters; zeros follow. */
MB_NAMING_CODE int mb_decimals(int32_t x, unsigned char text[MB_DECIMALS])
{
    unsigned char digits[MB_DECIMALS];
    uint32_t rest = x < 0 ? 0u - (uint32_t)x : (uint32_t)x;
    int n = 0, length = 0;
    do {
        digits[n++] = (unsigned char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (x < 0)
        text[length++] = '-';
    while (n > 0)
        text[length++] = digits[--n];
    for (int i = length; i < MB_DECIMALS; i++)
        text[i] = 0;
    return length;
}

/* COUNT bytes as a number, the first one lowest. */
MB_NAMING_CODE uint64_t mb_bytes_of(const unsigned char *text, int count)
{
    uint64_t word = 0;
    for (int i = 0; i < count; i++)
        word |= (uint64_t)text[i] << (8 * i);
    return word;
}

MB_NAMING_CODE uint64_t mb_rotated(uint64_t x, int right)
{
    return x >> right | x << (64 - right);
}

MB_NAMING_CODE uint64_t mb_farm_mix(uint64_t u, uint64_t v, uint64_t factor)
{
    uint64_t a = (u ^ v) * factor;
    a ^= a >> 47;
    uint64_t b = (v ^ a) * factor;
    b ^= b >> 47;
    return b * factor;
}

/* Of 1 to 16 characters. */
MB_NAMING_CODE uint64_t mb_farm_hash(const unsigned char *text, int length)
{
    const uint64_t k0 = UINT64_C(0xc3a5c85c97cb3127), k2 = UINT64_C(0x9ae16a3b2f90404f);
    uint64_t n = (uint64_t)length, factor = k2 + n * 2;
    if (length >= 8) {
        uint64_t a = mb_bytes_of(text, 8) + k2, b = mb_bytes_of(text + length - 8, 8);
        return mb_farm_mix(mb_rotated(b, 37) * factor + a, (mb_rotated(a, 25) + b) * factor,
                           factor);
    }
    if (length >= 4)
        return mb_farm_mix(n + (mb_bytes_of(text, 4) << 3), mb_bytes_of(text + length - 4, 4),
                           factor);
    uint32_t y = text[0] + ((uint32_t)text[length >> 1] << 8);
    uint32_t z = (uint32_t)length + ((uint32_t)text[length - 1] << 2);
    uint64_t mixed = y * k2 ^ z * k0;
    return (mixed ^ mixed >> 47) * k2;
}

typedef struct {
    uint64_t v[4];
} mb_sip_t;

MB_NAMING_CODE void mb_sip_rounds(mb_sip_t *s, int rounds)
{
    uint64_t *v = s->v;
    for (int i = 0; i < rounds; i++) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = mb_rotated(v[1], 51) ^ v[0];
        v[3] = mb_rotated(v[3], 48) ^ v[2];
        v[0] = mb_rotated(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = mb_rotated(v[1], 47) ^ v[2];
        v[3] = mb_rotated(v[3], 43) ^ v[0];
        v[2] = mb_rotated(v[2], 32);
    }
}

MB_NAMING_CODE uint64_t mb_sip_hash(const unsigned char *text, int length, uint64_t key0,
                                    uint64_t key1)
{
    mb_sip_t s = {{key0 ^ UINT64_C(0x736f6d6570736575), key1 ^ UINT64_C(0x646f72616e646f6d),
                   key0 ^ UINT64_C(0x6c7967656e657261), key1 ^ UINT64_C(0x7465646279746573)}};
    int whole = length / 8;
    for (int i = 0; i <= whole; i++) {
        uint64_t word = mb_bytes_of(text + 8 * i, i < whole ? 8 : length % 8);
        if (i == whole)
            word |= (uint64_t)length << 56;
        s.v[3] ^= word;
        mb_sip_rounds(&s, 2);
        s.v[0] ^= word;
    }
    s.v[2] ^= 0xff;
    mb_sip_rounds(&s, 4);
    return s.v[0] ^ s.v[1] ^ s.v[2] ^ s.v[3];
}

/* Among `others` places, by the rule. */
MB_NAMING_CODE int32_t mb_other_place(const mb_lookup_args_t *a, int32_t x)
{
    unsigned char text[MB_DECIMALS];
    if (a->rule == MB_OTHERS_ONE)
        return 0;
    if (a->rule == MB_OTHERS_MODULO)
        return (int32_t)((((int64_t)x % a->others) + a->others) % a->others);
    int length = mb_decimals(x, text);
    uint64_t hash = a->rule == MB_OTHERS_HASH ? mb_farm_hash(text, length)
                                              : mb_sip_hash(text, length, a->salt[0], a->salt[1]);
    return (int32_t)(hash % (uint64_t)a->others);
}

MB_NAMING_CODE int32_t mb_place_of(const mb_lookup_args_t *a, int32_t x)
{
    int64_t low = 0, high = a->n;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (a->keys[middle] < x)
            low = middle + 1;
        else
            high = middle;
    }
    return low < a->n && a->keys[low] == x ? a->values[low] : a->first + mb_other_place(a, x);
}

#endif
