/* What the two ways of the MPI transport share: requests from a pool that is made once. */
#ifndef MB_COMM_TRANSPORT_MPI_H
#define MB_COMM_TRANSPORT_MPI_H

#include "comm/transport.h"
#include "device/lane.h"

typedef enum {
    MB_STAGE_FREE = 0,
    MB_STAGE_COPYING,  /* waits for its event on the stream, and then goes to MPI */
    MB_STAGE_MOVING,   /* MPI has it */
    MB_STAGE_DRAINING, /* a receive that is done for its owner, on its way to the device */
    MB_STAGE_LOST      /* given up half way: MPI may still touch the host buffer */
} mb_stage_of_request_t;

struct mb_request {
    mb_stage_of_request_t stage;
    bool sends;
    int peer, tag;
    size_t bytes;
    void *device; /* where a staged receive goes */
    char *host;   /* what MPI works in: staging, or the device's memory */
    mb_event_t *event;
    mb_event_t *ready; /* a staged receive: the computing is done with what it overwrites */
    mb_comm_request_t message;
    struct mb_request *next; /* in the list of free ones, or in the order of sends */
};

typedef struct {
    mb_transport_t base;
    mb_comm_t *comm;
    mb_exec_t *exec;
    int max_requests, pool_size;
    size_t max_bytes;
    struct mb_request *pool;
    struct mb_request *free;
    struct mb_request *first_copying, *last_copying; /* in the order they were called */
    mb_lane_t lane;                                  /* the copies' own stream; staged only */
    void *staging;                                   /* pinned */
} mb_transport_mpi_t;

/* MB_ERR_INTERNAL when more requests are outstanding than were asked for. */
mb_status_t mb_transport_mpi_take(mb_transport_mpi_t *mpi, size_t bytes, int peer, int tag,
                                  mb_request_t **out);
void mb_transport_mpi_give(mb_transport_mpi_t *mpi, mb_request_t *request);
void mb_transport_mpi_cancel_all(mb_transport_mpi_t *mpi);

/* Messages that wait for an event, to be handed to MPI in the order they were called, or those with
 * one tag could overtake. */
void mb_transport_queue(mb_transport_mpi_t *mpi, mb_request_t *request);
void mb_transport_unqueue(mb_transport_mpi_t *mpi, const mb_request_t *request);
mb_status_t mb_transport_start_queued(mb_transport_mpi_t *mpi);
/* As a source of progress: start_queued on an mb_transport_mpi_t. */
mb_status_t mb_transport_drive(void *mpi);
void mb_transport_events_destroy(mb_transport_mpi_t *mpi);
mb_status_t mb_transport_mpi_prepare(mb_comm_t *comm, mb_exec_t *exec,
                                     const mb_transport_class_t *class_, int max_requests,
                                     size_t max_bytes, mb_transport_mpi_t **out);

extern const mb_transport_class_t mb_transport_mpi_direct;
extern const mb_transport_class_t mb_transport_mpi_staged;
mb_status_t mb_transport_staged_prepare(mb_transport_mpi_t *mpi);

#endif
