/* See roll.h. On MPI_COMM_WORLD, which is the program's own: there is no other communicator yet. */
#define _POSIX_C_SOURCE 200809L /* nanosleep under -std=c11 */
#include "cli/roll.h"

#include <mpi.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"

enum { TAG = 31000, CALLERS = 2, MOST_NAMED = 8 };
#define CALL_SECONDS 1.0

/* Empty messages leave at once, and none of them is waited for. */
static void answer(int rank, int size)
{
    for (int caller = 0; caller < CALLERS && caller < size; caller++) {
        MPI_Request request;
        if (caller != rank)
            MPI_Isend(NULL, 0, MPI_BYTE, caller, TAG, MPI_COMM_WORLD, &request);
    }
}

static void take(bool *there)
{
    int came = 0;
    MPI_Status status;
    while (MPI_Iprobe(MPI_ANY_SOURCE, TAG, MPI_COMM_WORLD, &came, &status) == MPI_SUCCESS && came) {
        there[status.MPI_SOURCE] = true;
        MPI_Recv(NULL, 0, MPI_BYTE, status.MPI_SOURCE, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    }
}

static void name_missing(const bool *there, int size, char *text, size_t capacity)
{
    int missing = 0;
    text[0] = '\0';
    for (int rank = 0; rank < size; rank++) {
        size_t length = strlen(text);
        if (!there[rank] && missing++ < MOST_NAMED)
            snprintf(text + length, capacity - length, "; rank %d has not come", rank);
    }
    if (missing > MOST_NAMED)
        snprintf(text + strlen(text), capacity - strlen(text), "; %d more have not",
                 missing - MOST_NAMED);
}

void mb_roll_call(char *text, size_t capacity)
{
    int rank = 0, size = 1;
    text[0] = '\0';
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    answer(rank, size);
    bool *there = rank < CALLERS ? calloc((size_t)size, sizeof *there) : NULL;
    if (there != NULL)
        there[rank] = true;
    for (double end = mb_time_seconds() + CALL_SECONDS; mb_time_seconds() < end;) {
        if (there != NULL)
            take(there);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    if (there != NULL)
        name_missing(there, size, text, capacity);
    free(there);
}
