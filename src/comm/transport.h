/* The transport: tagged non-blocking messages of device buffers.
 *
 * A transport is a struct of function pointers that begins with its size. A send or receive is put
 * behind what is on the stream at the call (the buffer's contents are ready when the stream gets
 * there), and progress() moves it. A request is done when the buffer may be reused (send) or when
 * operations put on the stream from now on see the data (receive). Messages between two ranks with
 * the same tag arrive in the order they were sent. */
#ifndef MB_COMM_TRANSPORT_H
#define MB_COMM_TRANSPORT_H

#include "comm/channel.h"
#include "device/device.h"

typedef struct mb_transport mb_transport_t;
/* Owned by the transport, from isend or irecv until done or cancelled. */
typedef struct mb_request mb_request_t;

typedef struct {
    size_t size;
    const char *name; /* "mpi", "mpi staged" */
    /* Messages match by the order they are handed over, not by tag, and hold up those behind them
     * (pipeline/order.h). Those between group_begin and group_end pass each other; one outside is a
     * group by itself. Both are NULL where messages match by tag. */
    bool ordered;
    mb_status_t (*group_begin)(mb_transport_t *transport);
    mb_status_t (*group_end)(mb_transport_t *transport);
    void (*destroy)(mb_transport_t *transport);
    mb_status_t (*isend)(mb_transport_t *transport, const void *buffer, size_t bytes, int peer,
                         int tag, mb_request_t **out);
    mb_status_t (*irecv)(mb_transport_t *transport, void *buffer, size_t bytes, int peer, int tag,
                         mb_request_t **out);
    /* *done: the request is complete and freed (set the pointer to NULL). */
    mb_status_t (*test)(mb_transport_t *transport, mb_request_t *request, bool *done);
    void (*cancel)(mb_transport_t *transport, mb_request_t *request);
    mb_status_t (*progress)(mb_transport_t *transport);
} mb_transport_class_t;

struct mb_transport {
    const mb_transport_class_t *class_;
};

/* MPI, straight from device memory when the host sees it and work is synchronous, otherwise staged
 * through host buffers with events. max_requests requests may be outstanding, of at most max_bytes
 * each (staging is allocated here, nothing later). Registers its progress with the comm. Counts
 * over INT_MAX are handled. */
mb_status_t mb_transport_mpi_create(mb_comm_t *comm, mb_exec_t *exec, int max_requests,
                                    size_t max_bytes, mb_transport_t **out);

/* MPI in the device's own memory, which the host cannot see: for an MPI that is CUDA-aware. */
mb_status_t mb_transport_aware_create(mb_comm_t *comm, mb_exec_t *exec, int max_requests,
                                      mb_transport_t **out);
/* Messages over a channel (channel.h), from device to device. */
mb_status_t mb_transport_channel_create(mb_channel_t *channel, mb_exec_t *exec, int max_requests,
                                        mb_transport_t **out);
/* Collective over the channel's ranks that PEERS joins, when all have such a transport: each
 * exchanges an empty message with every peer, so that connections are made now. A failure is told
 * to all (mb_comm_fail). */
mb_status_t mb_transport_channel_connect(mb_transport_t *transport, const int *peers, int n_peers);

/* Of a rank that is only counted (device/dry.h): it has no messages. */
mb_status_t mb_transport_absent_create(bool ordered, mb_transport_t **out);

mb_status_t mb_transport_isend(mb_transport_t *transport, const void *buffer, size_t bytes,
                               int peer, int tag, mb_request_t **out);
mb_status_t mb_transport_irecv(mb_transport_t *transport, void *buffer, size_t bytes, int peer,
                               int tag, mb_request_t **out);
/* Waits (mb_comm_wait) until *request is done and sets it to NULL; nothing if NULL already. */
mb_status_t mb_transport_wait(mb_transport_t *transport, mb_comm_t *comm, mb_request_t **request,
                              const mb_comm_note_t *note);
/* Around messages that are to pass each other; nothing where messages match by tag. */
mb_status_t mb_transport_group_begin(mb_transport_t *transport);
mb_status_t mb_transport_group_end(mb_transport_t *transport);
void mb_transport_destroy(mb_transport_t *transport);

#endif
