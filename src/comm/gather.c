/* What all ranks have, on one: up the binomial tree that a broadcast comes down, so that no rank
 * takes more than log2(size) messages, whatever their number. A rank passes on what it has of its
 * own and of those above it, two messages for each edge: how many bytes, and those. */
#include "comm/state.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    mb_comm_t *comm;
    int root;
    mb_comm_bytes_t *own; /* grows by what comes */
    mb_comm_merge_t merge;
    void *user;
} fold_t;

static int rank_at(const fold_t *fold, int place)
{
    return (place + fold->root) % fold->comm->size;
}

static mb_status_t finish(mb_comm_t *comm, mb_wire_request_t *requests, int n, const char *action)
{
    return mb_comm_finish(comm, requests, n, action, comm->deadline_seconds, MB_COMM_REPORTS);
}

static mb_status_t receive_part(mb_comm_t *comm, void *data, size_t bytes, int from, int tag)
{
    mb_wire_request_t request;
    MB_TRY(mb_comm_receive_on(comm, MB_LINE_CONTROL, data, bytes, from, tag, &request));
    return finish(comm, &request, 1, "gathering from all ranks");
}

static mb_status_t take_from(const fold_t *fold, int from)
{
    size_t bytes = 0;
    MB_TRY(receive_part(fold->comm, &bytes, sizeof bytes, from, MB_CONTROL_SIZES));
    void *data = malloc(bytes + 1);
    if (data == NULL)
        return mb_error_memory("a gather", bytes);
    mb_status_t status = receive_part(fold->comm, data, bytes, from, MB_CONTROL_GATHER);
    if (status == MB_OK)
        status = fold->merge(fold->user, fold->own, data, bytes);
    free(data);
    return status;
}

static mb_status_t pass_on(const fold_t *fold, int to)
{
    mb_comm_t *comm = fold->comm;
    size_t bytes = fold->own->bytes;
    mb_wire_request_t requests[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
    MB_TRY(mb_comm_send_on(comm, MB_LINE_CONTROL, &bytes, sizeof bytes, to, MB_CONTROL_SIZES,
                           &requests[0]));
    mb_status_t status = mb_comm_send_on(comm, MB_LINE_CONTROL, fold->own->data, bytes, to,
                                         MB_CONTROL_GATHER, &requests[1]);
    if (status != MB_OK) {
        mb_comm_drop(comm, &requests[0]);
        return status;
    }
    return finish(comm, requests, 2, "handing data to the rank that gathers");
}

/* Place p takes from p + 1, p + 2, p + 4 ... up to its own lowest bit, and passes on to p without
 * that bit: what it passes on is of consecutive places, from its own on. */
static mb_status_t fold_up(const fold_t *fold)
{
    int size = fold->comm->size, place = (fold->comm->rank - fold->root + size) % size;
    for (int bit = 1; bit < size; bit *= 2) {
        if ((place & bit) != 0)
            return pass_on(fold, rank_at(fold, place - bit));
        if (place + bit < size)
            MB_TRY(take_from(fold, rank_at(fold, place + bit)));
    }
    return MB_OK;
}

mb_status_t mb_comm_fold(mb_comm_t *comm, mb_comm_bytes_t *own, mb_comm_merge_t merge, void *user)
{
    const fold_t fold = {comm, 0, own, merge, user};
    return fold_up(&fold);
}

static mb_status_t append(void *user, mb_comm_bytes_t *into, const void *data, size_t bytes)
{
    (void)user;
    char *longer = realloc(into->data, into->bytes + bytes + 1);
    if (longer == NULL)
        return mb_error_memory("a gather", into->bytes + bytes);
    if (bytes > 0)
        memcpy(longer + into->bytes, data, bytes);
    into->data = longer;
    into->bytes += bytes;
    return MB_OK;
}

/* ---- pieces of any size: each goes with its length in front */

static mb_status_t pack(const void *data, size_t bytes, mb_comm_bytes_t *out)
{
    MB_TRY(append(NULL, out, &bytes, sizeof bytes));
    return append(NULL, out, data, bytes);
}

/* Where the pieces of all places stand. */
static void find_pieces(const mb_comm_bytes_t *packed, size_t n, const char **pieces, size_t *sizes)
{
    const char *at = packed->data;
    for (size_t place = 0; place < n; place++) {
        memcpy(&sizes[place], at, sizeof *sizes);
        pieces[place] = at + sizeof *sizes;
        at = pieces[place] + sizes[place];
    }
}

/* From the order of places to that of ranks. */
static mb_status_t unpack(const fold_t *fold, void **all, size_t **bytes_of)
{
    size_t n = (size_t)fold->comm->size, total = fold->own->bytes - n * sizeof(size_t), at = 0;
    const char **pieces = calloc(n, sizeof *pieces);
    size_t *sizes = calloc(n, sizeof *sizes), *of = calloc(n, sizeof *of);
    char *joined = malloc(total + 1);
    if (pieces == NULL || sizes == NULL || of == NULL || joined == NULL) {
        free(pieces);
        free(sizes);
        free(of);
        free(joined);
        return mb_error_memory("a gather", total + 3 * n * sizeof *of);
    }
    find_pieces(fold->own, n, pieces, sizes);
    for (size_t rank = 0; rank < n; rank++) {
        size_t place = (rank + n - (size_t)fold->root) % n;
        memcpy(joined + at, pieces[place], sizes[place]);
        of[rank] = sizes[place];
        at += sizes[place];
    }
    free(pieces);
    free(sizes);
    *all = joined;
    *bytes_of = of;
    return MB_OK;
}

mb_status_t mb_comm_gather(mb_comm_t *comm, const void *data, size_t bytes, int root, void **all,
                           size_t **bytes_of)
{
    mb_comm_bytes_t packed = {NULL, 0};
    const fold_t fold = {comm, root, &packed, append, NULL};
    *all = NULL;
    *bytes_of = NULL;
    mb_status_t status = pack(data, bytes, &packed);
    if (status == MB_OK)
        status = fold_up(&fold);
    if (status == MB_OK && comm->rank == root)
        status = unpack(&fold, all, bytes_of);
    free(packed.data);
    return status;
}

mb_status_t mb_comm_allgather(mb_comm_t *comm, const void *data, size_t bytes, void *all)
{
    mb_comm_bytes_t own = {NULL, 0};
    const fold_t fold = {comm, 0, &own, append, NULL};
    mb_status_t status = append(NULL, &own, data, bytes);
    if (status == MB_OK)
        status = fold_up(&fold);
    if (status == MB_OK && comm->rank == 0 && own.bytes > 0)
        memcpy(all, own.data, own.bytes);
    free(own.data);
    MB_TRY(status);
    return mb_comm_broadcast(comm, all, (size_t)comm->size * bytes, 0);
}
