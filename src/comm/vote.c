/* See vote.h: over MPI a non-blocking reduction on the control communicator, which has no other. */
#include "comm/vote.h"

#include "comm/state.h"

mb_status_t mb_comm_vote_start(mb_comm_t *comm, mb_comm_vote_t *vote, uint32_t flags)
{
    vote->own = flags;
    mb_status_t status = comm->wire->unite(comm, &vote->own, &vote->all, &vote->request);
    vote->active = status == MB_OK;
    return status;
}

typedef struct {
    mb_comm_t *comm;
    mb_comm_vote_t *vote;
} voting_t;

static mb_status_t vote_done(void *user, bool *done)
{
    voting_t *voting = user;
    return voting->comm->wire->test(voting->comm, &voting->vote->request, 1, done);
}

mb_status_t mb_comm_vote_finish(mb_comm_t *comm, mb_comm_vote_t *vote, uint32_t *flags)
{
    mb_comm_note_t note = {"agreeing at a step boundary", -1, -1, -1, -1, false};
    *flags = 0;
    if (!vote->active)
        return MB_OK;
    voting_t voting = {comm, vote};
    MB_TRY(mb_comm_wait(comm, vote_done, &voting, &note));
    vote->active = false;
    *flags = vote->all;
    return MB_OK;
}
