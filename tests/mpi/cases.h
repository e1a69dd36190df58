/* Cases that all ranks run together. Rank 0 prints a line for each, "ok NAME" or "not ok NAME";
 * what went wrong goes to standard error, with the rank. */
#ifndef TESTS_MPI_CASES_H
#define TESTS_MPI_CASES_H

#include <mpi.h>
#include "comm/comm.h"

typedef struct {
    const char *name;
    void (*run)(void);
} case_t;

/* The main program: starts MPI, runs all cases or those whose name contains argv[1]. */
int cases_main(int argc, char **argv, const case_t *cases, int n);

void cases_expect(int holds, const char *text, const char *file, int line);
#define EXPECT(condition) cases_expect((condition) ? 1 : 0, #condition, __FILE__, __LINE__)
#define EXPECT_OK(call) cases_expect((call) == MB_OK, #call, __FILE__, __LINE__)

extern int cases_rank, cases_size;

/* A communicator over all ranks with a deadline. */
mb_comm_t *cases_comm(double deadline_seconds);
void cases_sleep(double seconds);

#endif
