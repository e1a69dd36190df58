/* What the two ways of the MPI transport share: requests from a pool that is made once. */
#ifndef MB_COMM_TRANSPORT_MPI_H
#define MB_COMM_TRANSPORT_MPI_H

#include "comm/transport.h"

typedef enum {
    MB_STAGE_FREE = 0,
    MB_STAGE_COPYING,  /* a send on its way from the device to its host buffer */
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
    char *host;   /* staging; NULL when MPI works in device memory */
    mb_event_t *event;
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
    struct mb_request *first_copying, *last_copying; /* sends in the order they were called */
    char *staging;
} mb_transport_mpi_t;

/* MB_ERR_INTERNAL when more requests are outstanding than were asked for. */
mb_status_t mb_transport_mpi_take(mb_transport_mpi_t *mpi, size_t bytes, int peer, int tag,
                                  mb_request_t **out);
void mb_transport_mpi_give(mb_transport_mpi_t *mpi, mb_request_t *request);
void mb_transport_mpi_cancel_all(mb_transport_mpi_t *mpi);

extern const mb_transport_class_t mb_transport_mpi_direct;
extern const mb_transport_class_t mb_transport_mpi_staged;
mb_status_t mb_transport_staged_prepare(mb_transport_mpi_t *mpi);

#endif
