/* What the first ranks of a communicator, those that work, settle among themselves. */
#ifndef MB_COMM_AMONG_H
#define MB_COMM_AMONG_H

#include "comm/comm.h"

typedef struct {
    int ranks;      /* [0, ranks), of which this is one */
    void *token;    /* this rank's; in the end what all came to */
    void *arriving; /* room for another one */
    size_t bytes;
    void (*merge)(void *into, const void *from); /* may see a token twice */
    int tag;
    const char *action; /* a literal */
} mb_comm_among_t;

/* Collective over these ranks, in ceil(log2 ranks) rounds. */
mb_status_t mb_comm_among(mb_comm_t *comm, const mb_comm_among_t *among);
/* Before all of them fail alike: rank 0 goes on to tell of it (mb_comm_fail), so that it is said
 * once and as its own; the others get that as MB_ERR_PEER. */
mb_status_t mb_comm_leave_first(mb_comm_t *comm);

#endif
