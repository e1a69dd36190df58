/* See among.h: the dissemination pattern of small.c. */
#include "comm/among.h"
#include "comm/state.h"

mb_status_t mb_comm_among(mb_comm_t *comm, const mb_comm_among_t *among)
{
    int n = among->ranks, rank = mb_comm_rank(comm);
    for (int distance = 1; distance < n; distance *= 2) {
        mb_comm_request_t requests[2] = {{.active = false}, {.active = false}};
        int from = (rank - distance + n) % n;
        mb_comm_note_t note = {among->action, -1, -1, from, among->tag, false};
        MB_TRY(mb_comm_irecv(comm, among->arriving, among->bytes, from, among->tag, &requests[0]));
        mb_status_t status = mb_comm_isend(comm, among->token, among->bytes, (rank + distance) % n,
                                           among->tag, &requests[1]);
        if (status != MB_OK) {
            mb_comm_cancel(comm, &requests[0]);
            return status;
        }
        MB_TRY(mb_comm_wait_requests(comm, requests, 2, &note));
        among->merge(among->token, among->arriving);
    }
    return MB_OK;
}

static mb_status_t never(void *user, bool *done)
{
    (void)user;
    *done = false;
    return MB_OK;
}

mb_status_t mb_comm_leave_first(mb_comm_t *comm)
{
    mb_comm_note_t note = {"waiting for rank 0 to tell of a failure", -1, -1, 0, -1, false};
    comm->common = true;
    return mb_comm_rank(comm) == 0 ? MB_OK : mb_comm_wait(comm, never, NULL, &note);
}
