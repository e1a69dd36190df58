/* The MPI transport where MPI reads and writes the device's memory itself (CUDA-aware). MPI knows
 * nothing of streams, so each message waits, on the host, for what is computed before it:
 *
 *     send, receive   event behind the stream's work --> MPI --> done, and seen by what comes next
 */
#include "comm/transport_mpi.h"

#include <stdlib.h>

static mb_transport_mpi_t *mpi_of(mb_transport_t *transport)
{
    return (mb_transport_mpi_t *)transport;
}

static mb_status_t put(mb_transport_mpi_t *mpi, bool sends, void *buffer, size_t bytes, int peer,
                       int tag, mb_request_t **out)
{
    mb_request_t *request = NULL;
    MB_TRY(mb_transport_mpi_take(mpi, bytes, peer, tag, &request));
    request->sends = sends;
    request->host = buffer;
    mb_status_t status = mpi->exec->device->class_->event_record(request->event, mpi->exec->stream);
    if (status != MB_OK) {
        mb_transport_mpi_give(mpi, request);
        return status;
    }
    mb_transport_queue(mpi, request);
    *out = request;
    return MB_OK;
}

static mb_status_t isend(mb_transport_t *transport, const void *buffer, size_t bytes, int peer,
                         int tag, mb_request_t **out)
{
    return put(mpi_of(transport), true, (void *)(uintptr_t)buffer, bytes, peer, tag, out);
}

static mb_status_t irecv(mb_transport_t *transport, void *buffer, size_t bytes, int peer, int tag,
                         mb_request_t **out)
{
    return put(mpi_of(transport), false, buffer, bytes, peer, tag, out);
}

static mb_status_t test(mb_transport_t *transport, mb_request_t *request, bool *done)
{
    mb_transport_mpi_t *mpi = mpi_of(transport);
    *done = false;
    MB_TRY(mb_transport_start_queued(mpi));
    if (request->stage != MB_STAGE_MOVING)
        return MB_OK;
    MB_TRY(mb_comm_test(mpi->comm, &request->message, done));
    if (*done)
        mb_transport_mpi_give(mpi, request);
    return MB_OK;
}

static void cancel(mb_transport_t *transport, mb_request_t *request)
{
    mb_transport_mpi_t *mpi = mpi_of(transport);
    if (request->stage == MB_STAGE_COPYING)
        mb_transport_unqueue(mpi, request);
    mb_comm_cancel(mpi->comm, &request->message);
    request->stage = MB_STAGE_LOST;
}

static mb_status_t progress(mb_transport_t *transport)
{
    return mb_transport_start_queued(mpi_of(transport));
}

static void destroy(mb_transport_t *transport)
{
    mb_transport_mpi_t *mpi = mpi_of(transport);
    mb_comm_remove_progress(mpi->comm, mpi);
    mb_transport_mpi_cancel_all(mpi);
    mpi->exec->device->class_->stream_sync(mpi->exec->stream);
    mb_transport_events_destroy(mpi);
    free(mpi->pool);
    free(mpi);
}

static const mb_transport_class_t aware_class = {.size = sizeof(mb_transport_class_t),
                                                 .name = "mpi in device memory",
                                                 .destroy = destroy,
                                                 .isend = isend,
                                                 .irecv = irecv,
                                                 .test = test,
                                                 .cancel = cancel,
                                                 .progress = progress};

mb_status_t mb_transport_aware_create(mb_comm_t *comm, mb_exec_t *exec, int max_requests,
                                      mb_transport_t **out)
{
    mb_transport_mpi_t *mpi;
    MB_TRY(mb_transport_mpi_prepare(comm, exec, &aware_class, max_requests, SIZE_MAX, &mpi));
    mb_status_t status = MB_OK;
    for (int i = 0; i < mpi->pool_size && status == MB_OK; i++)
        status = exec->device->class_->event_create(exec->device, &mpi->pool[i].event);
    if (status == MB_OK)
        status = mb_comm_add_progress(comm, mb_transport_drive, mpi);
    if (status != MB_OK) {
        destroy(&mpi->base);
        return status;
    }
    *out = &mpi->base;
    return MB_OK;
}
