/* A bounded choice of a stream of samples that ranks are offered, each its own: a reservoir.
 *
 * The stream's order is by update, then by rank, then by index. Each sample of it has a key, a
 * function of its place in the stream alone, and an update keeps those with the smallest keys, so
 * that what is kept does not depend on which rank was offered what. Uniform: the key is Philox of
 * seed and place, and the smallest keys of all are a uniform sample without replacement, as in
 * reservoir sampling by random keys (Vitter: "Random sampling with a reservoir", ACM TOMS 11, 1985;
 * Efraimidis and Spirakis: "Weighted random sampling with a reservoir", IPL 97, 2006); ranks find
 * the largest key that stays together (Jayaram et al.: "Weighted reservoir sampling from
 * distributed streams", PODS 2019). Newest: the key is the smaller the later the place.
 *
 * What is kept stands in slots, shared out to the ranks in blocks. A sample keeps its slot; those
 * that come in take the free ones in order. So only what is new moves, a rank has CAPACITY / ranks
 * samples at most, and the order of the slots follows from the stream as well. */
#ifndef MB_DATA_SIEVE_H
#define MB_DATA_SIEVE_H

#include "comm/comm.h"
#include "data/held.h"

typedef struct mb_sieve mb_sieve_t;

typedef struct {
    bool newest;      /* else uniform */
    int64_t capacity; /* of all ranks */
    uint64_t seed;
    int n_fields; /* names, shapes and types of FIELDS count, on all ranks the same */
    const mb_held_t *fields;
} mb_sieve_options_t;

/* Not collective. */
mb_status_t mb_sieve_create(mb_comm_t *comm, const mb_sieve_options_t *options, mb_sieve_t **out);
/* COUNT samples of this rank, behind those before; DATA: of each field, side by side. Copied; they
 * are in the stream from the next update on. Not collective. */
mb_status_t mb_sieve_offer(mb_sieve_t *sieve, int64_t count, const void *const *data);
/* Takes in what was offered. Collective. */
mb_status_t mb_sieve_update(mb_sieve_t *sieve);
typedef struct {
    int64_t own, all; /* kept: by this rank, by all */
    int64_t stream;   /* samples so far */
    int64_t waiting;  /* offered to this rank since the last update */
} mb_sieve_counts_t;
mb_sieve_counts_t mb_sieve_counts(const mb_sieve_t *sieve);
/* What this rank keeps of a field, until the next update. */
mb_held_t mb_sieve_kept(const mb_sieve_t *sieve, int field);
/* Host memory of samples, kept and waiting. */
int64_t mb_sieve_bytes(const mb_sieve_t *sieve);
void mb_sieve_destroy(mb_sieve_t *sieve);

#endif
