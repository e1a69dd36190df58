/* Philox4x32-10 (base/philox.h) over the 16 counters of a run, for one instruction set.
 *
 * A counter has a lane of 64 bits in a vector for each of its four words. A product of two words
 * takes the lower halves of lanes and fills the whole, so its high word is a shift away and its low
 * word is there; what the upper halves hold does not matter until the end.
 *
 * The file that includes this defines LANES, of 64 bits, and vector_t with its operations. */

enum { VECTORS = MB_RANDOM_COUNTERS / LANES };

typedef struct {
    vector_t word[4][VECTORS];
} counters_t;

INLINE void start(const mb_random_key_t *key, uint32_t sample, uint32_t counter, counters_t *c)
{
    UNROLL for (int v = 0; v < VECTORS; v++)
    {
        c->word[0][v] = v_add(v_lanes(), v_set(counter + (uint32_t)(v * LANES)));
        c->word[1][v] = v_set(key->position + sample);
        c->word[2][v] = v_set(key->step);
        c->word[3][v] = v_set(key->node << 8 | key->purpose);
    }
}

INLINE void turn(counters_t *c, uint32_t k0, uint32_t k1)
{
    const vector_t m0 = v_set(UINT32_C(0xD2511F53)), m1 = v_set(UINT32_C(0xCD9E8D57));
    UNROLL for (int v = 0; v < VECTORS; v++)
    {
        vector_t product0 = v_product(c->word[0][v], m0);
        vector_t product1 = v_product(c->word[2][v], m1);
        c->word[0][v] = v_xor(v_high(product1), c->word[1][v], v_set(k0));
        c->word[1][v] = product1;
        c->word[2][v] = v_xor(v_high(product0), c->word[3][v], v_set(k1));
        c->word[3][v] = product0;
    }
}

TARGET static void keep_run(const mb_random_key_t *key, uint32_t sample, uint32_t counter,
                            float rate, float scale, float *factor)
{
    counters_t c;
    uint32_t k0 = (uint32_t)key->seed, k1 = (uint32_t)(key->seed >> 32);
    start(key, sample, counter, &c);
    for (int round = 0; round < 10; round++) {
        turn(&c, k0, k1);
        k0 += UINT32_C(0x9E3779B9);
        k1 += UINT32_C(0xBB67AE85);
    }
    UNROLL for (int v = 0; v < VECTORS; v++)
    {
        vector_t first = v_pair(c.word[0][v], c.word[1][v]);
        vector_t second = v_pair(c.word[2][v], c.word[3][v]);
        float *out = factor + 4 * LANES * v;
        v_keep(v_before(first, second), rate, scale, out);
        v_keep(v_behind(first, second), rate, scale, out + 2 * LANES);
    }
}
