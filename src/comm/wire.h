/* What carries a communicator's messages: MPI (wire_mpi.c), or one process, for ranks that live in
 * it (virtual.h). Everything above (notices, small collective calls, transports, reductions) runs
 * over either. Not for other folders. */
#ifndef MB_COMM_WIRE_H
#define MB_COMM_WIRE_H

#include "comm/comm.h"

/* Messages of one line never meet those of the other. */
typedef enum { MB_LINE_DATA, MB_LINE_CONTROL } mb_line_t;

/* MPI_REQUEST_NULL: none. A wire that is not MPI keeps a number in it. */
typedef MPI_Request mb_wire_request_t;

typedef struct {
    size_t size;
    /* Messages of one line between two ranks with one tag arrive in the order they were sent. The
     * buffers are the wire's until the request is done. */
    mb_status_t (*send)(mb_comm_t *comm, mb_line_t line, const void *data, size_t bytes, int peer,
                        int tag, mb_wire_request_t *request);
    /* MPI only: PEER may be MPI_ANY_SOURCE. */
    mb_status_t (*receive)(mb_comm_t *comm, mb_line_t line, void *data, size_t bytes, int peer,
                           int tag, mb_wire_request_t *request);
    /* *DONE: all COUNT are, and become MPI_REQUEST_NULL. */
    mb_status_t (*test)(mb_comm_t *comm, mb_wire_request_t *requests, int count, bool *done);
    /* Gives a request up; a message that is half way is given a moment to arrive. */
    void (*drop)(mb_comm_t *comm, mb_wire_request_t *request);
    /* The union of all ranks' flags. OWN and ALL are the wire's until the request is done. */
    mb_status_t (*unite)(mb_comm_t *comm, const uint32_t *own, uint32_t *all,
                         mb_wire_request_t *request);
    /* The rest are NULL for MPI, whose ranks are processes of their own in real time. */
    /* A wait whose end has not come: other ranks go on meanwhile. A failure ends the wait. */
    mb_status_t (*rest)(mb_comm_t *comm, const mb_comm_note_t *note);
    /* A failure is known to all ranks at once: they share COMM->first. Ends their rests. */
    void (*tell)(mb_comm_t *comm);
    double (*clock)(const mb_comm_t *comm);
    /* See mb_comm_work. */
    void (*work)(mb_comm_t *comm, int kind, int chunk, double part);
} mb_wire_class_t;

extern const mb_wire_class_t mb_wire_mpi;

#endif
