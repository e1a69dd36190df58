/* Several works of one rank, each with a communicator of its own, that fill each other's waits.
 *
 *     work a   compute | wait ..................... | compute | wait
 *     work b           | compute | wait             |         | compute
 *
 * Each work is a fiber (base/fiber.h) on the rank's one thread. Where a wait on its communicator is
 * not over at the first look, the next work goes on, round and round in the order of the list, so
 * that none starves; while all wait, the rank rests as one wait alone would. What one work's
 * kernels and waits drive, they drive of the others' communicators too: messages move and signs of
 * life are given for works whose turn does not come for long.
 *
 * Ranks may take their turns in different orders: no work depends on another one's messages. */
#ifndef MB_COMM_TURNS_H
#define MB_COMM_TURNS_H

#include "comm/comm.h"

typedef struct mb_turns mb_turns_t;

/* Of up to MOST works. Not collective. */
mb_status_t mb_turns_create(int most, mb_turns_t **out);
/* COMM stays the caller's, and must outlive the turns. All that WORK(USER) waits for is on it. What
 * waits on it outside the work rests as ever. Not collective. */
mb_status_t mb_turns_add(mb_turns_t *turns, mb_comm_t *comm, void (*work)(void *user), void *user);
/* Until all works have ended. */
void mb_turns_run(mb_turns_t *turns);
/* The same for no longer than SECONDS, but for what works do until their next wait or pass; true:
 * some are left. */
bool mb_turns_run_for(mb_turns_t *turns, double seconds);
/* From inside a work that may not come to a wait for long: the others' turn. */
void mb_turns_pass(mb_turns_t *turns);
/* Gives the communicators back as they were. NULL: nothing. */
void mb_turns_destroy(mb_turns_t *turns);

#endif
