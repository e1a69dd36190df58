/* Flags that every rank raises and all ranks see at the same step boundary: a request to stop, or
 * to write a checkpoint. A vote is started at one boundary and read at the next, so that it costs
 * no wait. */
#ifndef MB_COMM_VOTE_H
#define MB_COMM_VOTE_H

#include "comm/comm.h"

typedef struct {
    uint32_t own, all;
    MPI_Request request;
    bool active;
} mb_comm_vote_t;

/* Collective, without waiting. */
mb_status_t mb_comm_vote_start(mb_comm_t *comm, mb_comm_vote_t *vote, uint32_t flags);
/* Collective: the union of all ranks' flags of the vote started before; 0 when none was. */
mb_status_t mb_comm_vote_finish(mb_comm_t *comm, mb_comm_vote_t *vote, uint32_t *flags);

#endif
