/* The inside of a sieve, shared by its files. */
#ifndef MB_DATA_SIEVE_PRIVATE_H
#define MB_DATA_SIEVE_PRIVATE_H

#include "data/sieve.h"

enum { MB_SIEVE_FIELDS = 32 };

/* 128 bits, so that no two samples have the same: Philox is a bijection of its counter. */
typedef struct {
    uint64_t high, low;
} mb_sieve_key_t;

static inline bool mb_sieve_key_above(mb_sieve_key_t a, mb_sieve_key_t b)
{
    return a.high != b.high ? a.high > b.high : a.low > b.low;
}

struct mb_sieve {
    mb_comm_t *comm;
    bool newest;
    int64_t capacity;
    uint64_t seed;
    int n_fields;
    mb_held_t fields[MB_SIEVE_FIELDS]; /* as kept; names and memory are owned */
    int64_t stream, all;
    int64_t first, slots; /* this rank's block */
    int64_t used;
    mb_sieve_key_t *keys; /* [slots]; NULL before anything is kept */
    char *offered[MB_SIEVE_FIELDS];
    int64_t waiting, room;
    mb_sieve_key_t *offered_keys; /* [waiting], in an update */
};

/* sieve_select.c: the largest key that stays when CAPACITY of the keys of all ranks do. Collective.
 */
mb_status_t mb_sieve_select(mb_sieve_t *sieve, mb_sieve_key_t *largest);

/* sieve_move.c: numbers of the offered samples that come in, and of the free slots of this rank,
 * both in order. Collective: each sample goes into the slot of its number among all. */
typedef struct {
    int64_t n_in, n_free;
    int64_t *in, *free_slots;
} mb_sieve_change_t;
mb_status_t mb_sieve_move(mb_sieve_t *sieve, const mb_sieve_change_t *change);

#endif
