/* The MPI transport for devices that keep their memory apart: every message passes through a pinned
 * host buffer, copied on a stream of its own while others compute.
 *
 *     send      behind the computing: copy to the host, event --> MPI send --> done
 *     receive   MPI receive into the host buffer --> copy to the device behind what used it, event;
 *               done for its owner, since the computing waits for the copy --> event: buffer free
 *
 * Sends go to MPI in the order they were called, or messages with one tag could overtake. */
#include "comm/transport_mpi.h"

#include <stdlib.h>

static const mb_device_class_t *device_class(const mb_transport_mpi_t *mpi)
{
    return mpi->exec->device->class_;
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
    return mb_transport_start_queued((mb_transport_mpi_t *)transport);
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
        MB_TRY(device_class(mpi)->stream_sync(mpi->lane.stream));
        MB_TRY(free_drained(mpi));
    }
    return mb_transport_mpi_take(mpi, bytes, peer, tag, out);
}

static mb_status_t copy_out(mb_transport_mpi_t *mpi, mb_request_t *request, const void *buffer)
{
    MB_TRY(mb_lane_follow(&mpi->lane));
    MB_TRY(mb_lane_copy(&mpi->lane, request->host, buffer, request->bytes, MB_COPY_TO_HOST));
    return mb_lane_record(&mpi->lane, request->event);
}

static mb_status_t isend(mb_transport_t *transport, const void *buffer, size_t bytes, int peer,
                         int tag, mb_request_t **out)
{
    mb_transport_mpi_t *mpi = (mb_transport_mpi_t *)transport;
    mb_request_t *request = NULL;
    MB_TRY(take(mpi, bytes, peer, tag, &request));
    request->sends = true;
    mb_status_t status = copy_out(mpi, request, buffer);
    if (status != MB_OK) {
        mb_transport_mpi_give(mpi, request);
        return status;
    }
    mb_transport_queue(mpi, request);
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
    mb_status_t status = device_class(mpi)->event_record(request->ready, mpi->exec->stream);
    if (status == MB_OK)
        status = mb_comm_irecv(mpi->comm, request->host, bytes, peer, tag, &request->message);
    if (status != MB_OK) {
        mb_transport_mpi_give(mpi, request);
        return status;
    }
    request->stage = MB_STAGE_MOVING;
    *out = request;
    return MB_OK;
}

static mb_status_t copy_in(mb_transport_mpi_t *mpi, mb_request_t *request)
{
    MB_TRY(mb_lane_wait(&mpi->lane, request->ready));
    MB_TRY(mb_lane_copy(&mpi->lane, request->device, request->host, request->bytes,
                        MB_COPY_TO_DEVICE));
    MB_TRY(mb_lane_record(&mpi->lane, request->event));
    return device_class(mpi)->stream_wait_event(mpi->exec->stream, request->event);
}

/* The copy to the device is put on its way here and not in progress(), which a kernel may have
 * reached while it puts its own work on the stream. */
static mb_status_t test(mb_transport_t *transport, mb_request_t *request, bool *done)
{
    mb_transport_mpi_t *mpi = (mb_transport_mpi_t *)transport;
    *done = false;
    MB_TRY(mb_transport_start_queued(mpi));
    if (request->stage != MB_STAGE_MOVING)
        return MB_OK;
    bool moved;
    MB_TRY(mb_comm_test(mpi->comm, &request->message, &moved));
    if (!moved)
        return MB_OK;
    if (request->sends) {
        mb_transport_mpi_give(mpi, request);
    } else {
        MB_TRY(copy_in(mpi, request));
        request->stage = MB_STAGE_DRAINING;
    }
    *done = true;
    return MB_OK;
}

static void cancel(mb_transport_t *transport, mb_request_t *request)
{
    mb_transport_mpi_t *mpi = (mb_transport_mpi_t *)transport;
    if (request->stage == MB_STAGE_COPYING)
        mb_transport_unqueue(mpi, request);
    mb_comm_cancel(mpi->comm, &request->message);
    /* The stream or MPI may still hold the host buffer. */
    request->stage = MB_STAGE_LOST;
}

static void destroy(mb_transport_t *transport)
{
    mb_transport_mpi_t *mpi = (mb_transport_mpi_t *)transport;
    mb_comm_remove_progress(mpi->comm, mpi);
    mb_transport_mpi_cancel_all(mpi);
    bool drained = mb_lane_drain(&mpi->lane);
    mb_lane_destroy(&mpi->lane);
    mb_transport_events_destroy(mpi);
    if (drained)
        mb_device_host_free(mpi->exec->device, mpi->staging);
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
    mb_device_t *device = mpi->exec->device;
    size_t stride = (mpi->max_bytes + 63) / 64 * 64;
    MB_TRY(mb_lane_create(mpi->exec, &mpi->lane));
    MB_TRY(mb_device_host_alloc(device, stride * (size_t)mpi->pool_size, &mpi->staging));
    for (int i = 0; i < mpi->pool_size; i++) {
        mpi->pool[i].host = (char *)mpi->staging + (size_t)i * stride;
        MB_TRY(device_class(mpi)->event_create(device, &mpi->pool[i].event));
        MB_TRY(device_class(mpi)->event_create(device, &mpi->pool[i].ready));
    }
    return mb_comm_add_progress(mpi->comm, mb_transport_drive, mpi);
}
