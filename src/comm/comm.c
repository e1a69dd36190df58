/* Making and ending a communicator: two private copies, one for data and one for control, so that
 * neither meets the host program's messages nor the other's tags. */
#define _POSIX_C_SOURCE 200809L /* sysconf under -std=c11 */
#include "comm/state.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_DEADLINE_SECONDS 300.0

void mb_comm_begin(mb_comm_t *comm, const mb_wire_class_t *wire)
{
    comm->wire = wire;
    comm->data = comm->control = MPI_COMM_NULL;
    comm->spoken_request = MPI_REQUEST_NULL;
    for (int w = 0; w < MB_COMM_WATCHERS; w++)
        comm->place_requests[w] = MPI_REQUEST_NULL;
    comm->at = (mb_comm_at_t){.action = "starting", .stage = -1, .micro = -1};
    comm->between = true;
    comm->deadline_seconds = DEFAULT_DEADLINE_SECONDS;
}

static mb_status_t allocate(mb_comm_t **out)
{
    mb_comm_t *comm = calloc(1, sizeof(*comm));
    if (comm == NULL)
        return mb_error_memory("a communicator", sizeof(*comm));
    mb_comm_begin(comm, &mb_wire_mpi);
    comm->arriving = calloc(1, sizeof(*comm->arriving));
    comm->first = calloc(1, sizeof(*comm->first));
    comm->kept_notice = calloc(1, sizeof(*comm->kept_notice));
    *out = comm;
    if (comm->arriving == NULL || comm->first == NULL || comm->kept_notice == NULL)
        return mb_error_memory("a communicator's notices", 3 * sizeof(*comm->first));
    comm->first->rank = INT_MAX;
    return MB_OK;
}

static mb_status_t find_neighbours(mb_comm_t *comm)
{
    MPI_Comm local;
    MB_TRY(mb_comm_check(
        comm,
        MPI_Comm_split_type(comm->control, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL, &local),
        "splitting the ranks by machine"));
    MPI_Comm_rank(local, &comm->local_rank);
    MPI_Comm_size(local, &comm->local_size);
    MPI_Comm_free(&local);
    int length;
    MPI_Get_processor_name(comm->host, &length);
    comm->crowded = comm->local_size > sysconf(_SC_NPROCESSORS_ONLN);
    return MB_OK;
}

/* The first time that the ranks talk: where the network between them does not work, MPI would wait
 * for ever. */
static mb_status_t copy(mb_comm_t *comm, MPI_Comm original, MPI_Comm *out)
{
    MPI_Request request;
    MPI_Comm made;
    int done = 0;
    double begun = mb_time_seconds();
    struct timespec pause = {.tv_nsec = 20000};
    MB_TRY(mb_comm_check(comm, MPI_Comm_idup(original, &made, &request), "copying a communicator"));
    while (done == 0) {
        MB_TRY(mb_comm_check(comm, MPI_Test(&request, &done, MPI_STATUS_IGNORE),
                             "copying a communicator"));
        double waited = mb_time_seconds() - begun;
        if (done == 0 && waited > comm->deadline_seconds)
            return mb_error_set(
                MB_ERR_TIMEOUT,
                "after %.0f s the ranks of this job have not reached each other. Is "
                "MPI using a network that joins the nodes? Open MPI is told by "
                "OMPI_MCA_btl_tcp_if_include=INTERFACE",
                waited);
        if (done == 0 && waited > 0.002)
            nanosleep(&pause, NULL);
    }
    *out = made;
    MPI_Comm_set_errhandler(made, MPI_ERRORS_RETURN);
    return MB_OK;
}

static mb_status_t duplicate(mb_comm_t *comm, MPI_Comm original)
{
    MPI_Comm_rank(original, &comm->rank);
    MPI_Comm_size(original, &comm->size);
    MB_TRY(copy(comm, original, &comm->data));
    return copy(comm, original, &comm->control);
}

mb_status_t mb_comm_create(MPI_Comm original, const mb_comm_options_t *options, mb_comm_t **out)
{
    mb_comm_t *comm = NULL;
    mb_status_t status;
    MB_TRY_GOTO(allocate(&comm), status, err_destroy);
    if (options != NULL && options->deadline_seconds > 0)
        comm->deadline_seconds = options->deadline_seconds;
    comm->log = options == NULL ? NULL : options->log;
    MB_TRY_GOTO(duplicate(comm, original), status, err_destroy);
    MB_TRY_GOTO(find_neighbours(comm), status, err_destroy);
    MB_TRY_GOTO(mb_comm_listen(comm), status, err_destroy);
    MB_TRY_GOTO(mb_comm_pulse_start(comm), status, err_destroy);
    *out = comm;
    return MB_OK;

err_destroy:
    mb_comm_destroy(comm);
    return status;
}

mb_status_t mb_comm_create_alone(const mb_comm_t *of, mb_comm_t **out)
{
    mb_comm_options_t options = {.deadline_seconds = of->deadline_seconds, .log = of->log};
    MB_TRY(mb_comm_create(MPI_COMM_SELF, &options, out));
    (*out)->local_rank = of->local_rank;
    (*out)->local_size = of->local_size;
    (*out)->crowded = of->crowded;
    return MB_OK;
}

/* After a failure the ranks no longer do the same things, so the copies, whose freeing is
 * collective, are left to MPI_Finalize. */
void mb_comm_destroy(mb_comm_t *comm)
{
    if (comm == NULL)
        return;
    bool failed = !mb_comm_pulse_end(comm) || (comm->first != NULL && comm->first->rank != INT_MAX);
    mb_comm_unlisten(comm);
    if (!failed && comm->data != MPI_COMM_NULL)
        MPI_Comm_free(&comm->data);
    if (!failed && comm->control != MPI_COMM_NULL)
        MPI_Comm_free(&comm->control);
    free(comm->arriving);
    free(comm->first);
    free(comm->kept_notice);
    free(comm->report);
    free(comm);
}

MPI_Comm mb_comm_mpi(const mb_comm_t *comm)
{
    return comm->end == NULL ? comm->data : MPI_COMM_NULL;
}

void mb_comm_set_deadline(mb_comm_t *comm, double seconds)
{
    comm->deadline_seconds = seconds;
}

double mb_comm_deadline(const mb_comm_t *comm)
{
    return comm->deadline_seconds;
}

int mb_comm_rank(const mb_comm_t *comm)
{
    return comm->rank;
}

int mb_comm_size(const mb_comm_t *comm)
{
    return comm->size;
}

int mb_comm_local_rank(const mb_comm_t *comm)
{
    return comm->local_rank;
}

int mb_comm_local_size(const mb_comm_t *comm)
{
    return comm->local_size;
}

const char *mb_comm_host(const mb_comm_t *comm)
{
    return comm->host;
}
