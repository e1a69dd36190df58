/* The transport of a rank that is not there: what it would need is counted, and nothing is sent. */
#include "comm/transport.h"

#include <stdlib.h>

static mb_status_t refuse(void)
{
    return mb_error_set(MB_ERR_INTERNAL, "a rank that is only counted has no messages");
}

static mb_status_t absent_isend(mb_transport_t *transport, const void *buffer, size_t bytes,
                                int peer, int tag, mb_request_t **out)
{
    (void)transport, (void)buffer, (void)bytes, (void)peer, (void)tag, (void)out;
    return refuse();
}

static mb_status_t absent_irecv(mb_transport_t *transport, void *buffer, size_t bytes, int peer,
                                int tag, mb_request_t **out)
{
    (void)transport, (void)buffer, (void)bytes, (void)peer, (void)tag, (void)out;
    return refuse();
}

static mb_status_t absent_test(mb_transport_t *transport, mb_request_t *request, bool *done)
{
    (void)transport, (void)request, (void)done;
    return refuse();
}

static void absent_cancel(mb_transport_t *transport, mb_request_t *request)
{
    (void)transport, (void)request;
}

static mb_status_t absent_turn(mb_transport_t *transport)
{
    (void)transport;
    return MB_OK;
}

static void absent_destroy(mb_transport_t *transport)
{
    free(transport);
}

#define ABSENT(IS_ORDERED)                                                                         \
    {                                                                                              \
        .size = sizeof(mb_transport_class_t), .name = "absent", .ordered = (IS_ORDERED),           \
        .group_begin = absent_turn, .group_end = absent_turn, .destroy = absent_destroy,           \
        .isend = absent_isend, .irecv = absent_irecv, .test = absent_test,                         \
        .cancel = absent_cancel, .progress = absent_turn                                           \
    }

mb_status_t mb_transport_absent_create(bool ordered, mb_transport_t **out)
{
    static const mb_transport_class_t by_tag = ABSENT(false), by_order = ABSENT(true);
    mb_transport_t *transport = calloc(1, sizeof *transport);
    if (transport == NULL)
        return mb_error_memory("a transport", sizeof *transport);
    transport->class_ = ordered ? &by_order : &by_tag;
    *out = transport;
    return MB_OK;
}
