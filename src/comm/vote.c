/* See vote.h: a non-blocking reduction on the control communicator, which has no other. */
#include "comm/vote.h"

#include "comm/state.h"

mb_status_t mb_comm_vote_start(mb_comm_t *comm, mb_comm_vote_t *vote, uint32_t flags)
{
    vote->own = flags;
    int code = MPI_Iallreduce(&vote->own, &vote->all, 1, MPI_UINT32_T, MPI_BOR, comm->control,
                              &vote->request);
    vote->active = code == MPI_SUCCESS;
    return mb_comm_check(comm, code, "starting a vote");
}

static mb_status_t vote_done(void *user, bool *done)
{
    mb_comm_vote_t *vote = user;
    int flag = 0;
    int code = MPI_Test(&vote->request, &flag, MPI_STATUS_IGNORE);
    *done = flag != 0;
    return code == MPI_SUCCESS ? MB_OK : mb_error_set(MB_ERR_MPI, "a vote failed (code %d)", code);
}

mb_status_t mb_comm_vote_finish(mb_comm_t *comm, mb_comm_vote_t *vote, uint32_t *flags)
{
    mb_comm_note_t note = {"agreeing at a step boundary", -1, -1, -1, -1};
    *flags = 0;
    if (!vote->active)
        return MB_OK;
    MB_TRY(mb_comm_wait(comm, vote_done, vote, &note));
    vote->active = false;
    *flags = vote->all;
    return MB_OK;
}
