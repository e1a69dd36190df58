/* Helpers over any transport's functions. */
#include "comm/transport.h"

mb_status_t mb_transport_isend(mb_transport_t *transport, const void *buffer, size_t bytes,
                               int peer, int tag, mb_request_t **out)
{
    return transport->class_->isend(transport, buffer, bytes, peer, tag, out);
}

mb_status_t mb_transport_irecv(mb_transport_t *transport, void *buffer, size_t bytes, int peer,
                               int tag, mb_request_t **out)
{
    return transport->class_->irecv(transport, buffer, bytes, peer, tag, out);
}

mb_status_t mb_transport_group_begin(mb_transport_t *transport)
{
    return transport->class_->ordered ? transport->class_->group_begin(transport) : MB_OK;
}

mb_status_t mb_transport_group_end(mb_transport_t *transport)
{
    return transport->class_->ordered ? transport->class_->group_end(transport) : MB_OK;
}

typedef struct {
    mb_transport_t *transport;
    mb_request_t *request;
} waiting_t;

static mb_status_t is_done(void *user, bool *done)
{
    waiting_t *waiting = user;
    return waiting->transport->class_->test(waiting->transport, waiting->request, done);
}

mb_status_t mb_transport_wait(mb_transport_t *transport, mb_comm_t *comm, mb_request_t **request,
                              const mb_comm_note_t *note)
{
    if (*request == NULL)
        return MB_OK;
    waiting_t waiting = {transport, *request};
    MB_TRY(mb_comm_wait(comm, is_done, &waiting, note));
    *request = NULL;
    return MB_OK;
}

void mb_transport_destroy(mb_transport_t *transport)
{
    if (transport != NULL)
        transport->class_->destroy(transport);
}
