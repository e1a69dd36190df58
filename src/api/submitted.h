/* Steps of a trainer that go on beside the program.
 *
 *     thread   MPI lets every thread call it, or there is one rank, whose steps call it not at all:
 *              a thread of the library computes them, whatever the program does
 *     turns    otherwise: the steps are a work (comm/turns.h) on the caller's thread, which goes on
 *              in mb_trainer_test and mb_trainer_wait and is left in any wait for another rank
 *
 * Either way they are the steps that mb_trainer_step makes, to the same bits. Each rank goes its
 * own way; what ranks agree on, they do by messages of the steps. */
#ifndef MB_API_SUBMITTED_H
#define MB_API_SUBMITTED_H

#include "api/api.h"

typedef struct mb_submitted mb_submitted_t;

/* Begins COUNT steps of a trainer that has started, fewer where its total comes first. */
mb_status_t mb_submitted_begin(mb_trainer_t *trainer, int64_t count, mb_submitted_t **out);
/* Goes on for up to SECONDS where nothing else does; *ended: nothing is left to do. */
void mb_submitted_go_on(mb_submitted_t *submitted, double seconds, bool *ended);
/* Until all is done, and then what became of it, on every rank: MB_ERR_STOPPED where a stop was
 * asked for. Frees it. */
mb_status_t mb_submitted_end(mb_submitted_t *submitted);
/* Whether this is called by the steps themselves: from a callback. */
bool mb_submitted_is_self(const mb_submitted_t *submitted);

#endif
