/* The keyed bijection, and the order of samples that it gives. A keyed permutation is set up once a
 * call; each image then costs a few Philox calls. */
#include "data/sampler.h"

#include "base/philox.h"

typedef struct {
    int64_t n;
    int half_bits; /* the domain has 2 * half_bits bits */
    int rounds;
    uint32_t key[4];
} permutation_t;

/* STREAM tells permutations of one (seed, epoch) apart. Small domains get more rounds: with few
 * bits in each half a round mixes little. */
static permutation_t permutation_open(uint64_t seed, uint64_t epoch, uint64_t stream, int64_t n)
{
    permutation_t p = {.n = n, .half_bits = 1};
    while ((UINT64_C(1) << (2 * p.half_bits)) < (uint64_t)n)
        p.half_bits++;
    p.rounds = p.half_bits < 8 ? 12 : 6;
    const uint32_t counter[4] = {(uint32_t)epoch, (uint32_t)stream, (uint32_t)(stream >> 32),
                                 (uint32_t)(epoch >> 32) << 8 | MB_RANDOM_SHUFFLE};
    mb_philox(counter, (const uint32_t[2]){(uint32_t)seed, (uint32_t)(seed >> 32)}, p.key);
    return p;
}

static uint32_t round_function(const permutation_t *p, int round, uint32_t half)
{
    uint32_t words[4];
    mb_philox((const uint32_t[4]){half, (uint32_t)round, p->key[2], p->key[3]}, p->key, words);
    return words[0] & ((UINT32_C(1) << p->half_bits) - 1);
}

static uint64_t feistel(const permutation_t *p, uint64_t value)
{
    uint32_t left = (uint32_t)(value >> p->half_bits);
    uint32_t right = (uint32_t)(value & ((UINT64_C(1) << p->half_bits) - 1));
    for (int round = 0; round < p->rounds; round++) {
        uint32_t next = left ^ round_function(p, round, right);
        left = right;
        right = next;
    }
    return (uint64_t)left << p->half_bits | right;
}

static uint64_t feistel_inverse(const permutation_t *p, uint64_t value)
{
    uint32_t left = (uint32_t)(value >> p->half_bits);
    uint32_t right = (uint32_t)(value & ((UINT64_C(1) << p->half_bits) - 1));
    for (int round = p->rounds - 1; round >= 0; round--) {
        uint32_t previous = right ^ round_function(p, round, left);
        right = left;
        left = previous;
    }
    return (uint64_t)left << p->half_bits | right;
}

static int64_t image(const permutation_t *p, int64_t index)
{
    uint64_t value = (uint64_t)index;
    do
        value = feistel(p, value);
    while (value >= (uint64_t)p->n);
    return (int64_t)value;
}

static int64_t preimage(const permutation_t *p, int64_t index)
{
    uint64_t value = (uint64_t)index;
    do
        value = feistel_inverse(p, value);
    while (value >= (uint64_t)p->n);
    return (int64_t)value;
}

int64_t mb_permute(uint64_t seed, uint64_t epoch, int64_t n, int64_t index)
{
    permutation_t p = permutation_open(seed, epoch, 0, n);
    return image(&p, index);
}

int64_t mb_sampler_steps(const mb_sampler_t *sampler)
{
    return sampler->samples / sampler->batch + (sampler->samples % sampler->batch != 0);
}

int64_t mb_sampler_epoch(const mb_sampler_t *sampler, int64_t step)
{
    return sampler->first_epoch + (step - sampler->first_step) / mb_sampler_steps(sampler);
}

int64_t mb_sampler_step_in_epoch(const mb_sampler_t *sampler, int64_t step)
{
    return (step - sampler->first_step) % mb_sampler_steps(sampler);
}

int64_t mb_sampler_batch(const mb_sampler_t *sampler, int64_t step)
{
    int64_t left = sampler->samples - step * sampler->batch;
    return left < sampler->batch ? left : sampler->batch;
}

/* Blocks in permuted order. The last block may be short, so the positions behind its place are
 * shifted by what it lacks. */
typedef struct {
    permutation_t order;
    int64_t size;
    int64_t short_size;
    int64_t short_place;
    int64_t inner_block; /* whose `inner` is set up; -1: none */
    permutation_t inner;
} blocks_t;

static blocks_t blocks_open(const mb_sampler_t *sampler, int64_t epoch)
{
    int64_t size = sampler->block < 1 ? 1 : sampler->block;
    int64_t count = sampler->samples / size + (sampler->samples % size != 0);
    blocks_t b = {.size = size, .inner_block = -1};
    b.order = permutation_open(sampler->seed, (uint64_t)epoch, 1, count);
    b.short_size = sampler->samples - (count - 1) * size;
    b.short_place = preimage(&b.order, count - 1);
    return b;
}

static int64_t block_sample(blocks_t *b, const mb_sampler_t *sampler, int64_t epoch,
                            int64_t position)
{
    int64_t short_start = b->short_place * b->size;
    if (position >= short_start + b->short_size)
        position += b->size - b->short_size;
    int64_t place = position / b->size;
    int64_t block = image(&b->order, place);
    if (block != b->inner_block) {
        int64_t n = place == b->short_place ? b->short_size : b->size;
        b->inner = permutation_open(sampler->seed, (uint64_t)epoch, (uint64_t)block + 2, n);
        b->inner_block = block;
    }
    return block * b->size + image(&b->inner, position % b->size);
}

void mb_sampler_indices(const mb_sampler_t *sampler, int64_t epoch, int64_t step, int64_t first,
                        int64_t count, int64_t *indices)
{
    int64_t batch = mb_sampler_batch(sampler, step);
    int64_t start = step * sampler->batch + first;
    permutation_t full = {0};
    blocks_t blocks = {0};
    if (sampler->shuffle == MB_SHUFFLE_FULL)
        full = permutation_open(sampler->seed, (uint64_t)epoch, 0, sampler->samples);
    else if (sampler->shuffle == MB_SHUFFLE_BLOCK)
        blocks = blocks_open(sampler, epoch);
    for (int64_t i = 0; i < count; i++) {
        if (first + i >= batch)
            indices[i] = -1;
        else if (sampler->shuffle == MB_SHUFFLE_FULL)
            indices[i] = image(&full, start + i);
        else if (sampler->shuffle == MB_SHUFFLE_BLOCK)
            indices[i] = block_sample(&blocks, sampler, epoch, start + i);
        else
            indices[i] = start + i;
    }
}
