/* Small collective calls, made of point-to-point messages completed through the one wait, so that
 * none of them can hang in silence and all of them can be given up. */
#include "comm/state.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* The dissemination pattern (Hensgen, Finkel, Manber: "Two algorithms for barrier
 * synchronization", 1988): in round k a rank hears from the one 2^k below it. */
mb_status_t mb_comm_spread(mb_comm_t *comm, const mb_comm_spread_t *spread)
{
    double end = mb_time_seconds() + spread->seconds;
    for (int distance = 1; distance < comm->size; distance *= 2) {
        mb_wire_request_t requests[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
        int to = (comm->rank + distance) % comm->size;
        int from = (comm->rank - distance + comm->size) % comm->size;
        MB_TRY(mb_comm_receive_on(comm, MB_LINE_CONTROL, spread->arriving, spread->bytes, from,
                                  spread->tag, &requests[0]));
        mb_status_t status = mb_comm_send_on(comm, MB_LINE_CONTROL, spread->token, spread->bytes,
                                             to, spread->tag, &requests[1]);
        if (status != MB_OK) {
            mb_comm_drop(comm, &requests[0]);
            return status;
        }
        MB_TRY(mb_comm_finish(comm, requests, 2, spread->action, end - mb_time_seconds(),
                              spread->heed));
        if (spread->merge != NULL)
            spread->merge(spread->token, spread->arriving);
    }
    return MB_OK;
}

mb_status_t mb_comm_barrier(mb_comm_t *comm)
{
    char token = 0, arriving = 0;
    mb_comm_spread_t spread = {.token = &token,
                               .arriving = &arriving,
                               .bytes = 1,
                               .tag = MB_CONTROL_BARRIER,
                               .action = "waiting for all ranks to come to a barrier",
                               .seconds = comm->deadline_seconds,
                               .heed = MB_COMM_REPORTS};
    return mb_comm_spread(comm, &spread);
}

typedef struct {
    int rank; /* INT_MAX: no rank failed */
    int status;
} verdict_t;

static void keep_lower(void *into, const void *from)
{
    if (((const verdict_t *)from)->rank < ((verdict_t *)into)->rank)
        memcpy(into, from, sizeof(verdict_t));
}

typedef struct {
    char where[MB_COMM_WHERE_TEXT], text[MB_COMM_NOTICE_TEXT];
} words_t;

/* Before the first step nothing is to be said of this rank's place but its host, where there are
 * several. */
static void fill_words(const mb_comm_t *comm, words_t *words)
{
    if (comm->size > 1 && comm->at.stage >= 0)
        mb_comm_own_where(comm, words->where);
    else if (comm->size > 1 && comm->rank > 0 && comm->local_size < comm->size)
        snprintf(words->where, sizeof words->where, " on %.63s", comm->host);
    strncpy(words->text, mb_error_get(), sizeof(words->text) - 1);
}

mb_status_t mb_comm_agree(mb_comm_t *comm, mb_status_t status)
{
    words_t words = {.text = ""};
    verdict_t verdict = {status == MB_OK ? INT_MAX : comm->rank, (int)status}, arriving;
    if (status != MB_OK)
        fill_words(comm, &words);
    mb_comm_spread_t spread = {.token = &verdict,
                               .arriving = &arriving,
                               .bytes = sizeof(verdict),
                               .merge = keep_lower,
                               .tag = MB_CONTROL_AGREE,
                               .action = "waiting for all ranks to agree",
                               .seconds = comm->deadline_seconds,
                               .heed = MB_COMM_REPORTS};
    MB_TRY(mb_comm_spread(comm, &spread));
    if (verdict.rank == INT_MAX)
        return MB_OK;
    MB_TRY(mb_comm_broadcast(comm, &words, sizeof words, verdict.rank));
    comm->agreed = true;
    mb_status_t agreed = (mb_status_t)verdict.status;
    if (verdict.rank == 0 && words.where[0] == '\0')
        mb_error_set(agreed, "%s", words.text);
    else
        mb_error_set(agreed, "rank %d%s: %s", verdict.rank, words.where, words.text);
    return mb_error_at_rank(agreed, verdict.rank);
}

/* Down a binomial tree whose root is ROOT. */
mb_status_t mb_comm_broadcast(mb_comm_t *comm, void *data, size_t bytes, int root)
{
    const char *action = "waiting for what a rank tells all";
    int place = (comm->rank - root + comm->size) % comm->size, bit = 1, n = 0;
    mb_wire_request_t requests[32];
    if (comm->size == 1)
        return MB_OK;
    while (bit < comm->size && (place & bit) == 0)
        bit *= 2;
    if (place != 0) {
        int from = (place - bit + root) % comm->size;
        MB_TRY(mb_comm_receive_on(comm, MB_LINE_CONTROL, data, bytes, from, MB_CONTROL_BROADCAST,
                                  requests));
        MB_TRY(mb_comm_finish(comm, requests, 1, action, comm->deadline_seconds, MB_COMM_REPORTS));
    }
    mb_status_t status = MB_OK;
    for (bit /= 2; bit > 0 && status == MB_OK; bit /= 2) {
        if (place + bit >= comm->size)
            continue;
        status =
            mb_comm_send_on(comm, MB_LINE_CONTROL, data, bytes, (place + bit + root) % comm->size,
                            MB_CONTROL_BROADCAST, &requests[n]);
        n += status == MB_OK;
    }
    if (status == MB_OK)
        return mb_comm_finish(comm, requests, n, action, comm->deadline_seconds, MB_COMM_REPORTS);
    while (n > 0)
        mb_comm_drop(comm, &requests[--n]);
    return status;
}
