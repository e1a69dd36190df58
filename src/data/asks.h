/* Samples of other ranks, by asking for them: a message says which ones, and their owner sends them
 * from wherever it waits or computes next, since progress is driven there (comm/comm.h). What is
 * asked for ahead arrives meanwhile.
 *
 *     asker      expect ---- asks ----> owner: serve
 *                  :                      |
 *                take <--- samples -------'
 *
 * A message holds 256 KiB of samples at most, packed; a sample of more than half of that goes by
 * itself, from where it lies if its elements stand side by side. What an owner keeps for the ranks
 * that ask is so bounded by what they ask for ahead. */
#ifndef MB_DATA_ASKS_H
#define MB_DATA_ASKS_H

#include "comm/comm.h"

typedef struct mb_asks mb_asks_t;

typedef struct {
    void *user;
    /* Of a sample of all: which of the ranks of the communicator has it. */
    int (*owner)(void *user, int64_t sample);
    int64_t (*bytes)(void *user, int field); /* of a sample */
    /* COUNT samples that this rank has, side by side into TO; reached from inside waits. */
    mb_status_t (*gather)(void *user, int field, const int64_t *samples, int64_t count, void *to);
    /* Where one of them can be sent from as it is; NULL: nowhere. */
    const void *(*place)(void *user, int field, int64_t sample);
} mb_asks_hooks_t;

/* From now on this rank serves the others in all waits. Collective. */
mb_status_t mb_asks_create(mb_comm_t *comm, const mb_asks_hooks_t *hooks, mb_asks_t **out);
/* Asks for those of the samples that other ranks have, which are taken later. */
mb_status_t mb_asks_expect(mb_asks_t *asks, int field, const int64_t *samples, int64_t count);
/* Waits for them, as they were expected or else asks for them now. They stay until the next take of
 * any. AT: [count], where each one is; NULL for those of this rank. */
mb_status_t mb_asks_take(mb_asks_t *asks, int field, const int64_t *samples, int64_t count,
                         const char *const **at);
int64_t mb_asks_bytes_sent(const mb_asks_t *asks);
int64_t mb_asks_bytes_received(const mb_asks_t *asks);
/* Collective, unless a failure was seen. */
void mb_asks_destroy(mb_asks_t *asks);

#endif
