/* The MPI transport: its pool of requests, and the way for devices whose memory the host shares,
 * where MPI works in the buffers themselves. */
#include "comm/transport_mpi.h"

#include <stdlib.h>

mb_status_t mb_transport_mpi_take(mb_transport_mpi_t *mpi, size_t bytes, int peer, int tag,
                                  mb_request_t **out)
{
    mb_request_t *request = mpi->free;
    if (request == NULL)
        return mb_error_set(MB_ERR_INTERNAL,
                            "rank %d: more than the %d messages that were planned are outstanding",
                            mb_comm_rank(mpi->comm), mpi->max_requests);
    mpi->free = request->next;
    request->next = NULL;
    request->bytes = bytes;
    request->peer = peer;
    request->tag = tag;
    *out = request;
    return MB_OK;
}

void mb_transport_mpi_give(mb_transport_mpi_t *mpi, mb_request_t *request)
{
    request->stage = MB_STAGE_FREE;
    request->next = mpi->free;
    mpi->free = request;
}

void mb_transport_mpi_cancel_all(mb_transport_mpi_t *mpi)
{
    for (int i = 0; mpi->pool != NULL && i < mpi->pool_size; i++)
        mb_comm_cancel(mpi->comm, &mpi->pool[i].message);
}

static void destroy(mb_transport_t *transport)
{
    mb_transport_mpi_t *mpi = (mb_transport_mpi_t *)transport;
    mb_transport_mpi_cancel_all(mpi);
    free(mpi->pool);
    free(mpi);
}

static mb_status_t isend(mb_transport_t *transport, const void *buffer, size_t bytes, int peer,
                         int tag, mb_request_t **out)
{
    mb_transport_mpi_t *mpi = (mb_transport_mpi_t *)transport;
    mb_request_t *request = NULL;
    MB_TRY(mb_transport_mpi_take(mpi, bytes, peer, tag, &request));
    mb_status_t status = mb_comm_isend(mpi->comm, buffer, bytes, peer, tag, &request->message);
    if (status != MB_OK) {
        mb_transport_mpi_give(mpi, request);
        return status;
    }
    request->stage = MB_STAGE_MOVING;
    *out = request;
    return MB_OK;
}

static mb_status_t irecv(mb_transport_t *transport, void *buffer, size_t bytes, int peer, int tag,
                         mb_request_t **out)
{
    mb_transport_mpi_t *mpi = (mb_transport_mpi_t *)transport;
    mb_request_t *request = NULL;
    MB_TRY(mb_transport_mpi_take(mpi, bytes, peer, tag, &request));
    mb_status_t status = mb_comm_irecv(mpi->comm, buffer, bytes, peer, tag, &request->message);
    if (status != MB_OK) {
        mb_transport_mpi_give(mpi, request);
        return status;
    }
    request->stage = MB_STAGE_MOVING;
    *out = request;
    return MB_OK;
}

static mb_status_t test(mb_transport_t *transport, mb_request_t *request, bool *done)
{
    mb_transport_mpi_t *mpi = (mb_transport_mpi_t *)transport;
    MB_TRY(mb_comm_test(mpi->comm, &request->message, done));
    if (*done)
        mb_transport_mpi_give(mpi, request);
    return MB_OK;
}

static void cancel(mb_transport_t *transport, mb_request_t *request)
{
    mb_transport_mpi_t *mpi = (mb_transport_mpi_t *)transport;
    mb_comm_cancel(mpi->comm, &request->message);
    mb_transport_mpi_give(mpi, request);
}

/* MPI moves its messages in any of its calls, and the wait makes one at each poll. */
static mb_status_t progress(mb_transport_t *transport)
{
    (void)transport;
    return MB_OK;
}

const mb_transport_class_t mb_transport_mpi_direct = {.size = sizeof(mb_transport_class_t),
                                                      .name = "mpi",
                                                      .destroy = destroy,
                                                      .isend = isend,
                                                      .irecv = irecv,
                                                      .test = test,
                                                      .cancel = cancel,
                                                      .progress = progress};

mb_status_t mb_transport_mpi_prepare(mb_comm_t *comm, mb_exec_t *exec,
                                     const mb_transport_class_t *class_, int max_requests,
                                     size_t max_bytes, mb_transport_mpi_t **out)
{
    mb_transport_mpi_t *mpi = calloc(1, sizeof(*mpi));
    if (mpi == NULL)
        return mb_error_memory("the MPI transport", sizeof(*mpi));
    mpi->base.class_ = class_;
    mpi->comm = comm;
    mpi->exec = exec;
    mpi->max_requests = max_requests;
    /* Staged receives keep their buffer a little longer than their owner knows. */
    mpi->pool_size = class_ == &mb_transport_mpi_staged ? 2 * max_requests : max_requests;
    mpi->max_bytes = max_bytes;
    mpi->pool = calloc((size_t)mpi->pool_size + 1, sizeof(*mpi->pool));
    if (mpi->pool == NULL) {
        free(mpi);
        return mb_error_memory("the requests of the MPI transport",
                               (size_t)max_requests * sizeof(*mpi->pool));
    }
    for (int i = mpi->pool_size - 1; i >= 0; i--)
        mb_transport_mpi_give(mpi, &mpi->pool[i]);
    *out = mpi;
    return MB_OK;
}

mb_status_t mb_transport_mpi_create(mb_comm_t *comm, mb_exec_t *exec, int max_requests,
                                    size_t max_bytes, mb_transport_t **out)
{
    bool direct = exec->device->class_->host_visible(exec->device);
    mb_transport_mpi_t *mpi;
    MB_TRY(mb_transport_mpi_prepare(comm, exec,
                                    direct ? &mb_transport_mpi_direct : &mb_transport_mpi_staged,
                                    max_requests, max_bytes, &mpi));
    mb_status_t status = direct ? MB_OK : mb_transport_staged_prepare(mpi);
    if (status != MB_OK) {
        mb_transport_destroy(&mpi->base);
        return status;
    }
    *out = &mpi->base;
    return MB_OK;
}
