/* How a failure on one rank reaches all: a receive for notices is always posted, every wait looks
 * at it, and a failing rank sends its status and message to everyone. Of several failures the
 * lowest rank's is the one that counts. */
#include "comm/state.h"

#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GIVE_UP_SECONDS 0.2

static size_t notice_bytes(const mb_comm_notice_t *notice)
{
    return offsetof(mb_comm_notice_t, text) + strlen(notice->text) + 1;
}

mb_status_t mb_comm_listen(mb_comm_t *comm)
{
    if (comm->size == 1 || comm->wire->tell != NULL)
        return MB_OK;
    MB_TRY(mb_comm_receive_on(comm, MB_LINE_CONTROL, comm->arriving, sizeof(*comm->arriving),
                              MPI_ANY_SOURCE, MB_CONTROL_NOTICE, &comm->incoming));
    comm->listening = true;
    return MB_OK;
}

/* A send that its peer never took still owns its buffer, which is then left to the process's end.
 */
static void release_outgoing(mb_comm_t *comm)
{
    mb_comm_outgoing_t *outgoing = comm->outgoing;
    bool done = false;
    double end = mb_time_seconds() + GIVE_UP_SECONDS;
    comm->outgoing = NULL;
    if (outgoing == NULL)
        return;
    do {
        if (comm->wire->test(comm, outgoing->requests, outgoing->n, &done) != MB_OK)
            break;
    } while (!done && mb_time_seconds() < end);
    if (done)
        free(outgoing);
}

void mb_comm_unlisten(mb_comm_t *comm)
{
    if (comm->listening)
        mb_comm_drop(comm, &comm->incoming);
    comm->listening = false;
    for (int w = 0; w < MB_COMM_WATCHERS; w++)
        mb_comm_drop(comm, &comm->place_requests[w]);
    mb_comm_drop(comm, &comm->spoken_request);
    release_outgoing(comm);
}

static void keep_lower(void *into, const void *from)
{
    const mb_comm_notice_t *notice = from;
    if (notice->rank < ((mb_comm_notice_t *)into)->rank)
        memcpy(into, notice, notice_bytes(notice));
}

mb_status_t mb_comm_hear(mb_comm_t *comm)
{
    while (comm->listening) {
        bool arrived;
        MB_TRY(comm->wire->test(comm, &comm->incoming, 1, &arrived));
        if (!arrived)
            return MB_OK;
        comm->listening = false;
        keep_lower(comm->first, comm->arriving);
        MB_TRY(mb_comm_listen(comm));
    }
    return MB_OK;
}

mb_status_t mb_comm_peer_error(const mb_comm_t *comm)
{
    const mb_comm_notice_t *first = comm->first;
    mb_error_set(MB_ERR_PEER, "rank %d%s: %s", first->rank, first->where, first->text);
    return mb_error_at_rank(MB_ERR_PEER, first->rank);
}

static mb_status_t send_notice(mb_comm_t *comm, const mb_comm_notice_t *notice)
{
    size_t bytes = sizeof(*comm->outgoing) + (size_t)comm->size * sizeof(mb_wire_request_t);
    mb_comm_outgoing_t *outgoing = calloc(1, bytes);
    if (outgoing == NULL)
        return mb_error_memory("the notice of a failure", bytes);
    comm->outgoing = outgoing;
    outgoing->notice = *notice;
    for (int peer = 0; peer < comm->size; peer++) {
        if (peer == comm->rank)
            continue;
        mb_wire_request_t *request = &outgoing->requests[outgoing->n];
        *request = MPI_REQUEST_NULL;
        /* One peer out of reach must not keep the others from hearing. */
        if (mb_comm_send_on(comm, MB_LINE_CONTROL, &outgoing->notice, notice_bytes(notice), peer,
                            MB_CONTROL_NOTICE, request) == MB_OK)
            outgoing->n++;
    }
    return MB_OK;
}

mb_status_t mb_comm_fail(mb_comm_t *comm, mb_status_t status)
{
    bool known = status == MB_ERR_PEER || comm->agreed; /* to all */
    if (status == MB_OK || known || comm->outgoing != NULL)
        return status;
    mb_comm_notice_t notice = {.rank = comm->rank, .status = (int)status};
    if (status == MB_ERR_TIMEOUT)
        mb_comm_own_host(comm, notice.where);
    else if (!comm->between && !comm->common)
        mb_comm_own_where(comm, notice.where);
    snprintf(notice.text, sizeof(notice.text), "%s", mb_error_get());
    mb_comm_hear(comm);
    if (comm->wire->tell == NULL)
        send_notice(comm, &notice);
    keep_lower(comm->first, &notice);
    if (comm->wire->tell != NULL)
        comm->wire->tell(comm);
    mb_error_set(status, "%s", notice.text);
    return mb_error_at_rank(status, comm->rank);
}

bool mb_comm_failed(mb_comm_t *comm, int *rank, mb_status_t *status)
{
    mb_comm_hear(comm);
    if (comm->first->rank == INT_MAX)
        return false;
    if (rank != NULL)
        *rank = comm->first->rank;
    if (status != NULL)
        *status = (mb_status_t)comm->first->status;
    return true;
}

bool mb_comm_settle(mb_comm_t *comm, double seconds)
{
    char message[MB_COMM_NOTICE_TEXT];
    mb_comm_notice_t token, arriving;
    snprintf(message, sizeof(message), "%s", mb_error_get());
    mb_comm_pulse_hush(comm);
    mb_comm_hear(comm);
    token = *comm->first;
    mb_comm_spread_t spread = {.token = &token,
                               .arriving = &arriving,
                               .bytes = sizeof(token),
                               .merge = keep_lower,
                               .tag = MB_CONTROL_SETTLE,
                               .action = "settling a failure",
                               .seconds = seconds,
                               .heed = MB_COMM_BLIND};
    bool settled = mb_comm_spread(comm, &spread) == MB_OK;
    keep_lower(comm->first, &token);
    mb_error_set(MB_OK, "%s", message);
    return settled;
}
