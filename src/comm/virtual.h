/* Ranks that live in one process, each a fiber (base/fiber.h) that runs what a rank over MPI runs,
 * in virtual time.
 *
 *     a rank      has a clock. It goes on until it waits for what is not there (the one wait,
 *                 comm.h) or does work (mb_comm_work); of the ranks that may go on, the one whose
 *                 clock is least goes on next
 *     a message   with a tag below MB_TAG_REDUCE_END begins to move when both its ends are there
 *                 (rendezvous), and is there when ARRIVE says; the few numbers that ranks exchange
 *                 between their steps leave at once
 *     control     (agreements, barriers, votes) takes no time, but nobody hears of anything before
 *                 it was said
 *
 * Deadlines and signs of life are of real time: there are none. Where nothing moves any more, every
 * wait ends, and who waits for whom is said. The same calls give the same times, bit by bit. */
#ifndef MB_COMM_VIRTUAL_H
#define MB_COMM_VIRTUAL_H

#include "comm/comm.h"

typedef struct {
    void *user;
    /* Message NUMBER begins to move at NOW. NULL: it is there at once. */
    mb_status_t (*move)(void *user, double now, int from, int to, int tag, size_t bytes,
                        uint32_t number);
    /* The next one that is there, if that is before BEFORE, and when. Set with MOVE. */
    bool (*arrive)(void *user, double before, double *time, uint32_t *number);
    /* Seconds that work (mb_comm_work) takes that RANK begins at NOW. NULL: none. */
    double (*work)(void *user, double now, int rank, int kind, int chunk, double part);
    void (*idle)(void *user, int rank); /* it begins to wait. NULL: not wanted */
} mb_virtual_times_t;

typedef struct mb_virtual mb_virtual_t;

/* TIMES is copied. MB_ERR_MEMORY. */
mb_status_t mb_virtual_create(int ranks, const mb_virtual_times_t *times, mb_virtual_t **out);
/* Runs BODY for every rank until all have come to its end. MB_OK: all calls were. Otherwise the
 * error of the lowest rank that failed, with its message; MB_ERR_TIMEOUT: from some time on nothing
 * moved, and the message says which ranks are lost, and who waited for whom. Once. */
mb_status_t mb_virtual_run(mb_virtual_t *world, mb_status_t (*body)(void *user, mb_comm_t *comm),
                           void *user);
void mb_virtual_destroy(mb_virtual_t *world);

/* Whether the rank goes on or works, and does not wait. */
bool mb_virtual_is_busy(const mb_comm_t *comm);
typedef struct {
    int64_t messages, bytes; /* sent, and taken */
} mb_virtual_traffic_t;
/* Of the rank so far, votes left out. */
mb_virtual_traffic_t mb_virtual_traffic(const mb_comm_t *comm);
/* In a BODY: this rank does nothing any more; WHY ("is lost from step 2 on") is said where others
 * wait for it. Returns when a failure is known, or nothing moves any more. */
void mb_virtual_lose(mb_comm_t *comm, const char *why);

#endif
