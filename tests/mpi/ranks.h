/* The ranks that a test's runs take: processes of an MPI job, or, where MB_TEST_RANKS says how
 * many, fibers of this process (comm/virtual.h). Those wait for nobody who has no processor, so
 * that many small runs take a fraction of the time; how long their work and messages take, and so
 * who comes first, is drawn. They want devices that have done what they were told when a call
 * returns. */
#ifndef TESTS_MPI_RANKS_H
#define TESTS_MPI_RANKS_H

#include <stdbool.h>
#include "comm/comm.h"

enum { RANKS_MOST = 8 };

void ranks_begin(int *argc, char ***argv);
int ranks_count(void);
bool ranks_in_process(void);
/* This process' own, which is 0 where all ranks are its. */
int ranks_own(void);
/* Whether this process has one of the first COUNT. */
bool ranks_among(int count);
/* Runs BODY on each of the first COUNT, together; MB_OK where this process has none of them. */
mb_status_t ranks_run(int count, mb_status_t (*body)(void *user, mb_comm_t *comm), void *user);
/* Until all are there; meanwhile they leave the processors to others. */
void ranks_meet(void);
/* The exit status, for all: 0 where nobody has FAILURES or leaks. */
int ranks_end(int failures);

#endif
