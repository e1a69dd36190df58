/* A communicator of some of the ranks of another. */
#include "comm/state.h"

mb_status_t mb_comm_split(mb_comm_t *comm, bool in, mb_comm_t **out)
{
    MPI_Comm part = MPI_COMM_NULL;
    const mb_comm_options_t options = {.deadline_seconds = comm->deadline_seconds,
                                       .log = comm->log};
    mb_comm_t *made = NULL;
    MB_TRY(mb_comm_barrier(comm)); /* what MPI does next has no deadline: all are here */
    mb_status_t status =
        mb_comm_check(comm, MPI_Comm_split(comm->data, in ? 0 : MPI_UNDEFINED, comm->rank, &part),
                      "splitting a communicator");
    if (status == MB_OK && in)
        status = mb_comm_create(part, &options, &made);
    if (part != MPI_COMM_NULL)
        MPI_Comm_free(&part);
    status = mb_comm_agree(comm, status);
    if (status == MB_OK)
        *out = made;
    else
        mb_comm_destroy(made);
    return status;
}
