/* Point-to-point messages on host memory: the one place where sizes become MPI counts.
 *
 * A message of more than INT_MAX bytes goes as one element of a derived type, so that it stays one
 * message with one request and keeps its place in the order (Hammond, Schafer, Latham: "To INT_MAX
 * and beyond", ExaMPI 2014). */
#include "comm/state.h"

#include <limits.h>

#define DROP_SECONDS 0.1
#define ALL_DROPS_SECONDS 0.3 /* after a failure: there may be many to peers that never come */

mb_status_t mb_comm_check(const mb_comm_t *comm, int code, const char *what)
{
    if (code == MPI_SUCCESS)
        return MB_OK;
    char text[MPI_MAX_ERROR_STRING + 1] = "";
    int length;
    MPI_Error_string(code, text, &length);
    return mb_error_set(MB_ERR_MPI, "rank %d: %s failed: %s", comm->rank, what, text);
}

static int build_large(size_t blocks, size_t block, size_t rest, MPI_Datatype *type)
{
    MPI_Datatype piece, body;
    int code = MPI_Type_contiguous((int)block, MPI_BYTE, &piece);
    if (code != MPI_SUCCESS)
        return code;
    code = MPI_Type_contiguous((int)blocks, piece, &body);
    MPI_Type_free(&piece);
    if (code != MPI_SUCCESS)
        return code;
    int lengths[2] = {1, (int)rest};
    MPI_Aint places[2] = {0, (MPI_Aint)(blocks * block)};
    MPI_Datatype parts[2] = {body, MPI_BYTE};
    code = MPI_Type_create_struct(rest == 0 ? 1 : 2, lengths, places, parts, type);
    MPI_Type_free(&body);
    return code == MPI_SUCCESS ? MPI_Type_commit(type) : code;
}

mb_status_t mb_comm_type(const mb_comm_t *comm, size_t bytes, size_t limit, MPI_Datatype *type,
                         int *count, bool *owned)
{
    *owned = bytes > limit;
    *count = *owned ? 1 : (int)bytes;
    *type = MPI_BYTE;
    if (!*owned)
        return MB_OK;
    if (bytes / limit > INT_MAX)
        return mb_error_set(MB_ERR_UNSUPPORTED, "rank %d: a message of %zu bytes is too long",
                            comm->rank, bytes);
    return mb_comm_check(comm, build_large(bytes / limit, limit, bytes % limit, type),
                         "describing a long message");
}

mb_status_t mb_comm_send_on(mb_comm_t *comm, MPI_Comm on, const void *data, size_t bytes, int peer,
                            int tag, MPI_Request *request)
{
    MPI_Datatype type;
    int count;
    bool owned;
    MB_TRY(mb_comm_type(comm, bytes, INT_MAX, &type, &count, &owned));
    int code = MPI_Isend(data, count, type, peer, tag, on, request);
    if (owned)
        MPI_Type_free(&type);
    return mb_comm_check(comm, code, "sending a message");
}

mb_status_t mb_comm_receive_on(mb_comm_t *comm, MPI_Comm on, void *data, size_t bytes, int peer,
                               int tag, MPI_Request *request)
{
    MPI_Datatype type;
    int count;
    bool owned;
    MB_TRY(mb_comm_type(comm, bytes, INT_MAX, &type, &count, &owned));
    int code = MPI_Irecv(data, count, type, peer, tag, on, request);
    if (owned)
        MPI_Type_free(&type);
    return mb_comm_check(comm, code, "receiving a message");
}

static double drop_end(mb_comm_t *comm)
{
    double now = mb_time_seconds(), end = now + DROP_SECONDS;
    if (comm->first->rank == INT_MAX)
        return end;
    if (comm->drops_end == 0)
        comm->drops_end = now + ALL_DROPS_SECONDS;
    return end < comm->drops_end ? end : comm->drops_end;
}

void mb_comm_drop(mb_comm_t *comm, MPI_Request *request)
{
    if (*request == MPI_REQUEST_NULL)
        return;
    MPI_Cancel(request);
    int done = 0;
    double end = drop_end(comm);
    do {
        if (MPI_Test(request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS)
            break;
    } while (!done && mb_time_seconds() < end);
    if (*request != MPI_REQUEST_NULL)
        MPI_Request_free(request);
}

mb_status_t mb_comm_isend(mb_comm_t *comm, const void *data, size_t bytes, int peer, int tag,
                          mb_comm_request_t *request)
{
    MB_TRY(mb_comm_send_on(comm, comm->data, data, bytes, peer, tag, &request->request));
    request->active = true;
    return MB_OK;
}

mb_status_t mb_comm_irecv(mb_comm_t *comm, void *data, size_t bytes, int peer, int tag,
                          mb_comm_request_t *request)
{
    MB_TRY(mb_comm_receive_on(comm, comm->data, data, bytes, peer, tag, &request->request));
    request->active = true;
    return MB_OK;
}

mb_status_t mb_comm_test(mb_comm_t *comm, mb_comm_request_t *request, bool *done)
{
    *done = true;
    if (!request->active)
        return MB_OK;
    int flag = 0;
    MB_TRY(mb_comm_check(comm, MPI_Test(&request->request, &flag, MPI_STATUS_IGNORE),
                         "completing a message"));
    *done = flag != 0;
    request->active = flag == 0;
    return MB_OK;
}

void mb_comm_cancel(mb_comm_t *comm, mb_comm_request_t *request)
{
    if (!request->active)
        return;
    mb_comm_drop(comm, &request->request);
    request->active = false;
}

typedef struct {
    mb_comm_t *comm;
    mb_comm_request_t *requests;
    int count;
} request_list_t;

static mb_status_t all_done(void *user, bool *done)
{
    request_list_t *list = user;
    *done = true;
    for (int i = 0; i < list->count; i++) {
        bool one;
        MB_TRY(mb_comm_test(list->comm, &list->requests[i], &one));
        *done = *done && one;
    }
    return MB_OK;
}

mb_status_t mb_comm_wait_requests(mb_comm_t *comm, mb_comm_request_t *requests, int count,
                                  const mb_comm_note_t *note)
{
    request_list_t list = {comm, requests, count};
    mb_status_t status = mb_comm_wait(comm, all_done, &list, note);
    for (int i = 0; i < count && status != MB_OK; i++)
        mb_comm_cancel(comm, &requests[i]);
    return status;
}
