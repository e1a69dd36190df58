/* See ranks.h. An MPI job has a communicator for each number of ranks. */
#define _POSIX_C_SOURCE 200809L /* nanosleep */
#include "mpi/ranks.h"

#include <stdlib.h>
#include <time.h>

#include "base/events.h"
#include "comm/virtual.h"
#include "mpi/leaks.h"

static int in_process; /* 0: over MPI */
static int own, size;
static MPI_Comm first[RANKS_MOST + 1];

static double draw(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*state >> 40);
}

static mb_events_t under_way;

static mb_status_t move(void *user, double now, int from, int to, int tag, size_t bytes,
                        uint32_t number)
{
    (void)from, (void)to, (void)tag, (void)bytes;
    return mb_events_put(&under_way, now + draw(user), 0, number);
}

static bool arrive(void *user, double before, double *time, uint32_t *number)
{
    mb_event_at_t event;
    (void)user;
    if (!(mb_events_next(&under_way) < before) || !mb_events_take(&under_way, &event))
        return false;
    *time = event.time;
    *number = event.what;
    return true;
}

static double work(void *user, double now, int rank, int kind, int chunk, double part)
{
    (void)now, (void)rank, (void)kind, (void)chunk, (void)part;
    return draw(user);
}

void ranks_begin(int *argc, char ***argv)
{
    const char *wanted = getenv("MB_TEST_RANKS");
    in_process = wanted == NULL ? 0 : (int)strtol(wanted, NULL, 10);
    size = in_process;
    if (in_process > 0)
        return;
    leaks_mpi_init(argc, argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &own);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    for (int count = 1; count <= size && count <= RANKS_MOST; count++)
        MPI_Comm_split(MPI_COMM_WORLD, own < count ? 0 : MPI_UNDEFINED, own, &first[count]);
}

int ranks_count(void)
{
    return size;
}

bool ranks_in_process(void)
{
    return in_process > 0;
}

int ranks_own(void)
{
    return own;
}

bool ranks_among(int count)
{
    return own < count;
}

static mb_status_t run_virtual(int count, mb_status_t (*body)(void *user, mb_comm_t *comm),
                               void *user)
{
    static uint64_t state = 1;
    mb_virtual_t *world;
    const mb_virtual_times_t times = {.user = &state, .move = move, .arrive = arrive, .work = work};
    MB_TRY(mb_virtual_create(count, &times, &world));
    mb_status_t status = mb_virtual_run(world, body, user);
    mb_virtual_destroy(world);
    mb_events_free(&under_way);
    under_way = (mb_events_t){.n = 0};
    return status;
}

mb_status_t ranks_run(int count, mb_status_t (*body)(void *user, mb_comm_t *comm), void *user)
{
    mb_comm_t *comm = NULL;
    mb_comm_options_t options = {.deadline_seconds = 60};
    if (in_process > 0)
        return run_virtual(count, body, user);
    if (!ranks_among(count))
        return MB_OK;
    MB_TRY(mb_comm_create(first[count], &options, &comm));
    mb_status_t status = body(user, comm);
    mb_comm_destroy(comm);
    return status;
}

void ranks_meet(void)
{
    MPI_Request request;
    int done = 0;
    struct timespec pause = {0, 2000000};
    if (in_process > 0)
        return;
    MPI_Ibarrier(MPI_COMM_WORLD, &request);
    for (MPI_Test(&request, &done, MPI_STATUS_IGNORE); !done;
         MPI_Test(&request, &done, MPI_STATUS_IGNORE))
        nanosleep(&pause, NULL);
}

int ranks_end(int failures)
{
    int all = failures + leaks_found();
    if (in_process > 0)
        return all != 0;
    MPI_Allreduce(MPI_IN_PLACE, &all, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    MPI_Finalize();
    return all != 0;
}
