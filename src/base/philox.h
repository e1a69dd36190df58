/* Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random
 * numbers: as easy as 1, 2, 3", SC11). A number is a function of what it is for, never of who
 * computes it. */
#ifndef MB_BASE_PHILOX_H
#define MB_BASE_PHILOX_H

#include <stdint.h>

/* Ten rounds over COUNTER with KEY. */
void mb_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* What a number is for; part of its counter, so that uses never share numbers. */
typedef enum {
    MB_RANDOM_DROPOUT = 1,
    MB_RANDOM_ATTENTION_DROPOUT = 2,
    MB_RANDOM_INITIAL = 3,
    MB_RANDOM_SHUFFLE = 4,
    MB_RANDOM_AUGMENT = 5,
    MB_RANDOM_RESERVOIR = 6,
    MB_RANDOM_NOISE = 16,
    /* Recurrent layers: + gate, + 4 for the second of two directions. */
    MB_RANDOM_RECURRENT_INPUT = 32,
    MB_RANDOM_RECURRENT_STATE = 40,
    MB_RANDOM_SIMULATED = 64 /* how long an action takes */
} mb_random_purpose_t;

/* Element ELEMENT of (seed, purpose, step, position in the global batch, node):
 * counter = { element / 4, position, step, node << 8 | purpose }, key = seed; word element % 4. */
typedef struct {
    uint64_t seed;
    uint32_t purpose;
    uint32_t step;
    uint32_t position; /* of the first sample; sample i has position + i */
    uint32_t node;
} mb_random_key_t;

uint32_t mb_random_word(const mb_random_key_t *key, uint32_t sample, uint32_t element);

/* Uniform in [0, 1) with 24 bits; uniform in (0, 1] for logarithms. */
float mb_random_unit(uint32_t word);
double mb_random_open_unit(uint32_t word);

/* 64-bit hash of a string for names used as keys (FNV-1a, then a finishing mix). */
uint64_t mb_hash_name(const char *name);

#endif
