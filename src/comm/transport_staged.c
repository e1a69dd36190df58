/* The MPI transport for devices that keep their memory apart: every message passes through a host
 * buffer.
 *
 *     send      copy to the host behind the stream's work, event --> MPI send --> done
 *     receive   MPI receive into the host buffer --> copy to the device, event; done for its owner,
 *               since whatever the stream gets next comes after the copy --> event: buffer free
 *
 * Sends go to MPI in the order they were called, or messages with one tag could overtake. */
#include "comm/transport_mpi.h"

#include <stdlib.h>

static const mb_device_class_t *device_class(const mb_transport_mpi_t *mpi)
{
    return mpi->exec->device->class_;
}

static mb_status_t copy_behind(mb_transport_mpi_t *mpi, mb_request_t *request, void *to,
                               const void *from, mb_copy_kind_t kind)
{
    if (request->bytes > 0)
        MB_TRY(device_class(mpi)->copy(mpi->exec->stream, to, from, request->bytes, kind));
    return device_class(mpi)->event_record(request->event, mpi->exec->stream);
}

static mb_status_t start_sends(mb_transport_mpi_t *mpi)
{
    while (mpi->first_copying != NULL) {
        mb_request_t *request = mpi->first_copying;
        bool copied;
        MB_TRY(device_class(mpi)->event_query(request->event, &copied));
        if (!copied)
            return MB_OK;
        mpi->first_copying = request->next;
        request->next = NULL;
        MB_TRY(mb_comm_isend(mpi->comm, request->host, request->bytes, request->peer, request->tag,
                             &request->message));
        request->stage = MB_STAGE_MOVING;
    }
    return MB_OK;
}

static mb_status_t free_drained(mb_transport_mpi_t *mpi)
{
    for (int i = 0; i < mpi->pool_size; i++) {
        mb_request_t *request = &mpi->pool[i];
        bool copied = false;
        if (request->stage == MB_STAGE_DRAINING)
            MB_TRY(device_class(mpi)->event_query(request->event, &copied));
        if (copied)
            mb_transport_mpi_give(mpi, request);
    }
    return MB_OK;
}

static mb_status_t progress(mb_transport_t *transport)
{
    return start_sends((mb_transport_mpi_t *)transport);
}

static mb_status_t progress_source(void *transport)
{
    return start_sends(transport);
}

static mb_status_t take(mb_transport_mpi_t *mpi, size_t bytes, int peer, int tag,
                        mb_request_t **out)
{
    if (bytes > mpi->max_bytes)
        return mb_error_set(MB_ERR_INTERNAL,
                            "rank %d: a message of %zu bytes, where at most %zu were planned",
                            mb_comm_rank(mpi->comm), bytes, mpi->max_bytes);
    if (mpi->free == NULL)
        MB_TRY(free_drained(mpi));
    if (mpi->free == NULL) {
        MB_TRY(device_class(mpi)->stream_sync(mpi->exec->stream));
        MB_TRY(free_drained(mpi));
    }
    return mb_transport_mpi_take(mpi, bytes, peer, tag, out);
}

static mb_status_t isend(mb_transport_t *transport, const void *buffer, size_t bytes, int peer,
                         int tag, mb_request_t **out)
{
    mb_transport_mpi_t *mpi = (mb_transport_mpi_t *)transport;
    mb_request_t *request = NULL;
    MB_TRY(take(mpi, bytes, peer, tag, &request));
    request->sends = true;
    mb_status_t status = copy_behind(mpi, request, request->host, buffer, MB_COPY_TO_HOST);
    if (status != MB_OK) {
        mb_transport_mpi_give(mpi, request);
        return status;
    }
    request->stage = MB_STAGE_COPYING;
    if (mpi->first_copying == NULL)
        mpi->first_copying = request;
    else
        mpi->last_copying->next = request;
    mpi->last_copying = request;
    *out = request;
    return MB_OK;
}

static mb_status_t irecv(mb_transport_t *transport, void *buffer, size_t bytes, int peer, int tag,
                         mb_request_t **out)
{
    mb_transport_mpi_t *mpi = (mb_transport_mpi_t *)transport;
    mb_request_t *request = NULL;
    MB_TRY(take(mpi, bytes, peer, tag, &request));
    request->sends = false;
    request->device = buffer;
    mb_status_t status =
        mb_comm_irecv(mpi->comm, request->host, bytes, peer, tag, &request->message);
    if (status != MB_OK) {
        mb_transport_mpi_give(mpi, request);
        return status;
    }
    request->stage = MB_STAGE_MOVING;
    *out = request;
    return MB_OK;
}

/* The copy to the device is put on the stream here and not in progress(), which a kernel may have
 * reached while it puts its own work there. */
static mb_status_t test(mb_transport_t *transport, mb_request_t *request, bool *done)
{
    mb_transport_mpi_t *mpi = (mb_transport_mpi_t *)transport;
    *done = false;
    MB_TRY(start_sends(mpi));
    if (request->stage != MB_STAGE_MOVING)
        return MB_OK;
    bool moved;
    MB_TRY(mb_comm_test(mpi->comm, &request->message, &moved));
    if (!moved)
        return MB_OK;
    if (request->sends) {
        mb_transport_mpi_give(mpi, request);
    } else {
        MB_TRY(copy_behind(mpi, request, request->device, request->host, MB_COPY_TO_DEVICE));
        request->stage = MB_STAGE_DRAINING;
    }
    *done = true;
    return MB_OK;
}

static void unlink_copying(mb_transport_mpi_t *mpi, const mb_request_t *request)
{
    mb_request_t **at = &mpi->first_copying, *before = NULL;
    while (*at != NULL && *at != request) {
        before = *at;
        at = &(*at)->next;
    }
    if (*at == NULL)
        return;
    *at = request->next;
    if (mpi->last_copying == request)
        mpi->last_copying = before;
}

static void cancel(mb_transport_t *transport, mb_request_t *request)
{
    mb_transport_mpi_t *mpi = (mb_transport_mpi_t *)transport;
    if (request->stage == MB_STAGE_COPYING)
        unlink_copying(mpi, request);
    mb_comm_cancel(mpi->comm, &request->message);
    /* The stream or MPI may still hold the host buffer. */
    request->stage = MB_STAGE_LOST;
}

static void destroy(mb_transport_t *transport)
{
    mb_transport_mpi_t *mpi = (mb_transport_mpi_t *)transport;
    mb_comm_remove_progress(mpi->comm, mpi);
    mb_transport_mpi_cancel_all(mpi);
    device_class(mpi)->stream_sync(mpi->exec->stream);
    for (int i = 0; mpi->pool != NULL && i < mpi->pool_size; i++) {
        if (mpi->pool[i].event != NULL)
            device_class(mpi)->event_destroy(mpi->pool[i].event);
    }
    free(mpi->staging);
    free(mpi->pool);
    free(mpi);
}

const mb_transport_class_t mb_transport_mpi_staged = {.size = sizeof(mb_transport_class_t),
                                                      .name = "mpi staged",
                                                      .destroy = destroy,
                                                      .isend = isend,
                                                      .irecv = irecv,
                                                      .test = test,
                                                      .cancel = cancel,
                                                      .progress = progress};

mb_status_t mb_transport_staged_prepare(mb_transport_mpi_t *mpi)
{
    size_t stride = (mpi->max_bytes + 63) / 64 * 64;
    size_t bytes = stride * (size_t)mpi->pool_size;
    mpi->staging = malloc(bytes + 1);
    if (mpi->staging == NULL)
        return mb_error_memory("the host buffers of messages", bytes);
    for (int i = 0; i < mpi->pool_size; i++) {
        mpi->pool[i].host = mpi->staging + (size_t)i * stride;
        MB_TRY(device_class(mpi)->event_create(mpi->exec->device, &mpi->pool[i].event));
    }
    return mb_comm_add_progress(mpi->comm, progress_source, mpi);
}
