/* The wire that MPI is: the one place where sizes become MPI counts.
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

static MPI_Comm line_of(const mb_comm_t *comm, mb_line_t line)
{
    return line == MB_LINE_DATA ? comm->data : comm->control;
}

static mb_status_t send(mb_comm_t *comm, mb_line_t line, const void *data, size_t bytes, int peer,
                        int tag, mb_wire_request_t *request)
{
    MPI_Datatype type;
    int count;
    bool owned;
    MB_TRY(mb_comm_type(comm, bytes, INT_MAX, &type, &count, &owned));
    int code = MPI_Isend(data, count, type, peer, tag, line_of(comm, line), request);
    if (owned)
        MPI_Type_free(&type);
    return mb_comm_check(comm, code, "sending a message");
}

static mb_status_t receive(mb_comm_t *comm, mb_line_t line, void *data, size_t bytes, int peer,
                           int tag, mb_wire_request_t *request)
{
    MPI_Datatype type;
    int count;
    bool owned;
    MB_TRY(mb_comm_type(comm, bytes, INT_MAX, &type, &count, &owned));
    int code = MPI_Irecv(data, count, type, peer, tag, line_of(comm, line), request);
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

static void drop(mb_comm_t *comm, mb_wire_request_t *request)
{
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

static mb_status_t test(mb_comm_t *comm, mb_wire_request_t *requests, int count, bool *done)
{
    int flag = 0;
    int code = count == 1 ? MPI_Test(requests, &flag, MPI_STATUS_IGNORE)
                          : MPI_Testall(count, requests, &flag, MPI_STATUSES_IGNORE);
    *done = flag != 0;
    return mb_comm_check(comm, code, "completing a message");
}

static mb_status_t unite(mb_comm_t *comm, const uint32_t *own, uint32_t *all,
                         mb_wire_request_t *request)
{
    return mb_comm_check(comm,
                         MPI_Iallreduce(own, all, 1, MPI_UINT32_T, MPI_BOR, comm->control, request),
                         "starting a vote");
}

const mb_wire_class_t mb_wire_mpi = {.size = sizeof mb_wire_mpi,
                                     .send = send,
                                     .receive = receive,
                                     .test = test,
                                     .drop = drop,
                                     .unite = unite};
