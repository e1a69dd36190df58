/* The frame of the MPI test programs; see cases.h. */
#define _POSIX_C_SOURCE 200809L /* nanosleep */
#include "mpi/cases.h"
#include "mpi/leaks.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

int cases_rank, cases_size;
static int failures;

void cases_expect(int holds, const char *text, const char *file, int line)
{
    if (holds)
        return;
    failures++;
    fprintf(stderr, "# rank %d: %s:%d: %s does not hold (last error: %.300s)\n", cases_rank, file,
            line, text, mb_error_get());
}

mb_comm_t *cases_comm(double deadline_seconds)
{
    mb_comm_t *comm = NULL;
    mb_comm_options_t options = {.deadline_seconds = deadline_seconds};
    EXPECT_OK(mb_comm_create(MPI_COMM_WORLD, &options, &comm));
    return comm;
}

void cases_sleep(double seconds)
{
    struct timespec time = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&time, NULL);
}

static int run_case(const case_t *one)
{
    int all = 0;
    failures = 0;
    one->run();
    MPI_Allreduce(&failures, &all, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    if (cases_rank == 0)
        printf("%s %s\n", all == 0 ? "ok" : "not ok", one->name);
    fflush(stdout);
    return all != 0;
}

int cases_main(int argc, char **argv, const case_t *cases, int n)
{
    int failed = 0;
    leaks_mpi_init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &cases_rank);
    MPI_Comm_size(MPI_COMM_WORLD, &cases_size);
    for (int i = 0; i < n; i++) {
        if (argc < 2 || strstr(cases[i].name, argv[1]) != NULL)
            failed += run_case(&cases[i]);
    }
    MPI_Finalize();
    return failed == 0 ? 0 : 1;
}
