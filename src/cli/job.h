/* The ranks of a parallel command: MPI started, and ended so that all ranks leave together. */
#ifndef MB_CLI_JOB_H
#define MB_CLI_JOB_H

#include "cli/command.h"
#include "comm/comm.h"

typedef struct {
    mb_comm_t *comm;
    int rank, size;
    mb_log_t log;
    char message[MB_ERROR_BYTES]; /* of the failure */
    bool said;
    void (*write)(void *user, const char *line); /* where rank 0's lines go besides stderr */
    void *user;
} mb_job_t;

/* Collective; loads the plugins. On failure the message is printed and *code set; there is nothing
 * to end then. */
bool mb_job_start(mb_job_t *job, const mb_args_t *args, int *code);
/* Keeps the message of a failure; rank 0 prints it. Not collective; before anything else is done.
 */
void mb_job_report(mb_job_t *job, mb_status_t status);
/* Collective: makes sure that all ranks know of it, ends MPI. The exit code. */
int mb_job_end(mb_job_t *job, mb_status_t status);

#endif
