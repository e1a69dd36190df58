/* The transport over a channel: messages go from device to device on the channel's stream, ordered
 * with the computing by events, and the host waits for none of them.
 *
 *     group     the stream follows what is computed so far; the link takes all messages; an event
 *               behind them for each
 *     test      the computing stream waits for the event: done, whenever that will be
 *
 * What hangs is found where the host waits for the computing stream (mb_exec_sync). */
#include "comm/transport.h"

#include "device/lane.h"

#include <stdlib.h>

typedef struct request {
    mb_event_t *event;
    struct request *next; /* of the free ones, or of the open group */
} request_t;

typedef struct {
    mb_transport_t base;
    mb_channel_t *channel;
    mb_exec_t *exec;
    mb_lane_t lane;
    bool open; /* a group is */
    int n_requests;
    request_t *pool, *free, *group;
    void *greeting; /* device memory: what connects two ranks */
} transport_t;

static transport_t *transport_of(mb_transport_t *transport)
{
    return (transport_t *)transport;
}

static const mb_link_class_t *link_class(const transport_t *t)
{
    return t->channel->link->class_;
}

static mb_status_t group_begin(mb_transport_t *transport)
{
    transport_t *t = transport_of(transport);
    if (t->channel->link == NULL)
        return mb_error_set(MB_ERR_DEVICE, "the link between the devices has been given up");
    MB_TRY(mb_lane_follow(&t->lane));
    MB_TRY(link_class(t)->group_begin(t->channel->link));
    t->open = true;
    return MB_OK;
}

static mb_status_t group_end(mb_transport_t *transport)
{
    transport_t *t = transport_of(transport);
    t->open = false;
    MB_TRY(link_class(t)->group_end(t->channel->link));
    MB_TRY(mb_channel_settle(t->channel, "handing messages to the link"));
    while (t->group != NULL) {
        request_t *request = t->group;
        t->group = request->next;
        request->next = NULL;
        MB_TRY(mb_lane_record(&t->lane, request->event));
    }
    return MB_OK;
}

static mb_status_t take(transport_t *t, request_t **out)
{
    if (t->free == NULL)
        return mb_error_set(MB_ERR_INTERNAL,
                            "rank %d: more than the %d messages that were planned are outstanding",
                            mb_comm_rank(t->channel->comm), t->n_requests);
    *out = t->free;
    t->free = (*out)->next;
    (*out)->next = t->group;
    t->group = *out;
    return MB_OK;
}

static mb_status_t give_over(transport_t *t, bool sends, void *buffer, size_t bytes, int peer,
                             mb_request_t **out)
{
    request_t *request = NULL;
    bool alone = !t->open;
    if (alone)
        MB_TRY(group_begin(&t->base));
    MB_TRY(take(t, &request));
    if (sends)
        MB_TRY(link_class(t)->send(t->channel->link, buffer, bytes, peer, t->lane.stream));
    else
        MB_TRY(link_class(t)->receive(t->channel->link, buffer, bytes, peer, t->lane.stream));
    if (alone)
        MB_TRY(group_end(&t->base));
    *out = (mb_request_t *)request;
    return MB_OK;
}

static mb_status_t isend(mb_transport_t *transport, const void *buffer, size_t bytes, int peer,
                         int tag, mb_request_t **out)
{
    (void)tag;
    return give_over(transport_of(transport), true, (void *)(uintptr_t)buffer, bytes, peer, out);
}

static mb_status_t irecv(mb_transport_t *transport, void *buffer, size_t bytes, int peer, int tag,
                         mb_request_t **out)
{
    (void)tag;
    return give_over(transport_of(transport), false, buffer, bytes, peer, out);
}

static void give_back(transport_t *t, request_t *request)
{
    request->next = t->free;
    t->free = request;
}

static mb_status_t test(mb_transport_t *transport, mb_request_t *request, bool *done)
{
    transport_t *t = transport_of(transport);
    mb_event_t *event = ((request_t *)request)->event;
    MB_TRY(t->exec->device->class_->stream_wait_event(t->exec->stream, event));
    give_back(t, (request_t *)request);
    *done = true;
    return MB_OK;
}

static void cancel(mb_transport_t *transport, mb_request_t *request)
{
    give_back(transport_of(transport), (request_t *)request);
}

static mb_status_t progress(mb_transport_t *transport)
{
    bool ready;
    transport_t *t = transport_of(transport);
    return t->channel->link == NULL ? MB_OK : link_class(t)->poll(t->channel->link, &ready);
}

/* Whether all messages have come through: a moment is given to what is on its way. */
static bool is_idle(transport_t *t)
{
    bool done = false;
    double end = mb_time_seconds() + 2.0;
    mb_exec_t *exec = t->exec;
    if (mb_lane_record(&t->lane, t->lane.ahead) != MB_OK)
        return false;
    while (!done && mb_time_seconds() < end) {
        if (exec->device->class_->event_query(t->lane.ahead, &done) != MB_OK)
            return false;
    }
    return done;
}

static void destroy(mb_transport_t *transport)
{
    transport_t *t = transport_of(transport);
    mb_device_t *device = t->exec->device;
    if (t->lane.stream != NULL && t->channel->link != NULL && !is_idle(t))
        mb_channel_give_up(t->channel);
    for (int i = 0; t->pool != NULL && i < t->n_requests; i++) {
        if (t->pool[i].event != NULL)
            device->class_->event_destroy(t->pool[i].event);
    }
    mb_lane_destroy(&t->lane);
    mb_device_free(device, t->greeting);
    free(t->pool);
    free(t);
}

static const mb_transport_class_t channel_class = {.size = sizeof(mb_transport_class_t),
                                                   .name = "link",
                                                   .ordered = true,
                                                   .group_begin = group_begin,
                                                   .group_end = group_end,
                                                   .destroy = destroy,
                                                   .isend = isend,
                                                   .irecv = irecv,
                                                   .test = test,
                                                   .cancel = cancel,
                                                   .progress = progress};

/* NCCL connects two ranks at their first message, which takes time and memory. */
static mb_status_t greet(transport_t *t, const int *peers, int n_peers)
{
    const mb_link_class_t *class_ = link_class(t);
    char *memory = t->greeting;
    MB_TRY(class_->group_begin(t->channel->link));
    for (int i = 0; i < n_peers; i++) {
        MB_TRY(class_->send(t->channel->link, memory, 1, peers[i], t->lane.stream));
        MB_TRY(class_->receive(t->channel->link, memory + 64, 1, peers[i], t->lane.stream));
    }
    return class_->group_end(t->channel->link);
}

mb_status_t mb_transport_channel_connect(mb_transport_t *transport, const int *peers, int n_peers)
{
    transport_t *t = transport_of(transport);
    if (n_peers == 0)
        return MB_OK;
    mb_status_t status = greet(t, peers, n_peers);
    if (status != MB_OK)
        return mb_comm_fail(t->channel->comm, status);
    return mb_channel_settle(t->channel, "connecting the devices");
}

static mb_status_t prepare(transport_t *t)
{
    t->pool = calloc((size_t)t->n_requests + 1, sizeof *t->pool);
    if (t->pool == NULL)
        return mb_error_memory("the requests of a transport", sizeof *t->pool);
    MB_TRY(mb_lane_share(t->exec, t->channel->stream, &t->lane));
    for (int i = t->n_requests - 1; i >= 0; i--) {
        MB_TRY(t->exec->device->class_->event_create(t->exec->device, &t->pool[i].event));
        give_back(t, &t->pool[i]);
    }
    return mb_device_alloc(t->exec->device, 128, &t->greeting);
}

mb_status_t mb_transport_channel_create(mb_channel_t *channel, mb_exec_t *exec, int max_requests,
                                        mb_transport_t **out)
{
    transport_t *t = calloc(1, sizeof *t);
    if (t == NULL)
        return mb_error_memory("a transport", sizeof *t);
    t->base.class_ = &channel_class;
    t->channel = channel;
    t->exec = exec;
    t->n_requests = max_requests;
    mb_status_t status = prepare(t);
    if (status != MB_OK) {
        destroy(&t->base);
        return status;
    }
    *out = &t->base;
    return MB_OK;
}
