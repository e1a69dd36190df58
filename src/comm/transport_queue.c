/* The queue of the MPI transport for devices that keep their memory apart: messages whose data is
 * not there yet, or whose buffer is still in use, each with the event that says so. */
#include "comm/transport_mpi.h"

void mb_transport_queue(mb_transport_mpi_t *mpi, mb_request_t *request)
{
    request->stage = MB_STAGE_COPYING;
    if (mpi->first_copying == NULL)
        mpi->first_copying = request;
    else
        mpi->last_copying->next = request;
    mpi->last_copying = request;
}

void mb_transport_unqueue(mb_transport_mpi_t *mpi, const mb_request_t *request)
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

static mb_status_t start(mb_transport_mpi_t *mpi, mb_request_t *request)
{
    request->stage = MB_STAGE_MOVING;
    if (request->sends)
        return mb_comm_isend(mpi->comm, request->host, request->bytes, request->peer, request->tag,
                             &request->message);
    return mb_comm_irecv(mpi->comm, request->host, request->bytes, request->peer, request->tag,
                         &request->message);
}

mb_status_t mb_transport_start_queued(mb_transport_mpi_t *mpi)
{
    const mb_device_class_t *class_ = mpi->exec->device->class_;
    while (mpi->first_copying != NULL) {
        mb_request_t *request = mpi->first_copying;
        bool done;
        MB_TRY(class_->event_query(request->event, &done));
        if (!done)
            return MB_OK;
        mpi->first_copying = request->next;
        request->next = NULL;
        MB_TRY(start(mpi, request));
    }
    return MB_OK;
}

mb_status_t mb_transport_drive(void *mpi)
{
    return mb_transport_start_queued(mpi);
}

void mb_transport_events_destroy(mb_transport_mpi_t *mpi)
{
    const mb_device_class_t *class_ = mpi->exec->device->class_;
    for (int i = 0; mpi->pool != NULL && i < mpi->pool_size; i++) {
        if (mpi->pool[i].event != NULL)
            class_->event_destroy(mpi->pool[i].event);
        if (mpi->pool[i].ready != NULL)
            class_->event_destroy(mpi->pool[i].ready);
    }
}
