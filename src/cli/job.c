/* See job.h. A rank that fails has told the others; all of them come here, agree that they know,
 * and only then end. Where that does not happen within the grace time, some rank hangs or is gone:
 * who is left says what it saw and aborts the job. */
#include "cli/job.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cli/say.h"
#include "plugin/load.h"

#define GRACE_SECONDS 10.0
#define LATE_GRACE_SECONDS 1.5 /* after a deadline: whoever is silent by then does not come */
/* Bounds the end of MPI itself after a failure. */
#define LAST_SECONDS 60

static void write_log(void *user, mb_log_level_t level, const char *message)
{
    const mb_job_t *job = user;
    char line[4096];
    if (level == MB_LOG_INFO && job->rank != 0)
        return;
    if (job->rank == 0)
        snprintf(line, sizeof line, "mbrun: %s%s",
                 level == MB_LOG_INFO ? "" : "warning: ", message);
    else
        snprintf(line, sizeof line, "mbrun: warning (rank %d): %s", job->rank, message);
    fprintf(stderr, "%s\n", line);
    if (job->write != NULL)
        job->write(job->user, line);
}

/* The others speak for a rank that does not, each in its turn: the first to abort ends them all. */
static void wait_for_turn(int rank)
{
    long tenths = 12 + 3 * (rank < 6 ? rank : 6);
    nanosleep(&(struct timespec){.tv_sec = tenths / 10, .tv_nsec = tenths % 10 * 100000000}, NULL);
}

static int refuse_mpi(void)
{
    if (mb_launch_rank() != 0)
        wait_for_turn(mb_launch_rank());
    mb_say_error();
    MPI_Abort(MPI_COMM_WORLD, MB_EXIT_FAILED);
    return MB_EXIT_FAILED;
}

static bool load_plugins(mb_job_t *job, const mb_args_t *args, int *code)
{
    mb_status_t status = mb_plugins_load_all(job->comm, args->plugins.text);
    if (status == MB_OK)
        return true;
    mb_job_report(job, status);
    *code = mb_job_end(job, status);
    return false;
}

bool mb_job_start(mb_job_t *job, const mb_args_t *args, int *code)
{
    int provided = MPI_THREAD_SINGLE;
    *job = (mb_job_t){.log = {write_log, job, MB_LOG_INFO}};
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) {
        mb_error_set(MB_ERR_MPI, "MPI could not be started");
        *code = mb_say_end(MB_ERR_MPI);
        return false;
    }
    if (provided < MPI_THREAD_FUNNELED) {
        mb_error_set(MB_ERR_MPI, "this MPI offers no MPI_THREAD_FUNNELED, which mbrun needs");
        *code = refuse_mpi();
        return false;
    }
    /* What a wait would warn of comes as the error that it ends with. */
    mb_comm_options_t options = {.deadline_seconds =
                                     mb_settings_real(args->settings, MB_SET_DEADLINE)};
    if (mb_comm_create(MPI_COMM_WORLD, &options, &job->comm) != MB_OK) {
        *code = refuse_mpi();
        return false;
    }
    job->rank = mb_comm_rank(job->comm);
    job->size = mb_comm_size(job->comm);
    return load_plugins(job, args, code);
}

static void say(mb_job_t *job)
{
    char line[4096];
    job->said = true;
    if (job->rank == 0)
        snprintf(line, sizeof line, "mbrun: error: %s", job->message);
    else
        snprintf(line, sizeof line, "mbrun: error (rank %d): %s", job->rank, job->message);
    fprintf(stderr, "%s\n", line);
    if (job->write != NULL)
        job->write(job->user, line);
}

static bool is_failure(mb_status_t status)
{
    return status != MB_OK && status != MB_ERR_STOPPED;
}

void mb_job_report(mb_job_t *job, mb_status_t status)
{
    if (!is_failure(status))
        return;
    snprintf(job->message, sizeof job->message, "%s", mb_error_get());
    if (mb_comm_speaks(job->comm))
        say(job);
}

/* A rank 0 that has said nothing was silent, and another speaks for it. */
static void abort_job(mb_job_t *job, int code)
{
    if (!job->said && job->rank != 0) {
        wait_for_turn(job->rank);
        say(job);
    }
    MPI_Abort(MPI_COMM_WORLD, code);
}

/* The code of the failure that counts for all, not of what this rank saw of it. */
static int agreed_code(const mb_job_t *job, mb_status_t status)
{
    int rank;
    mb_status_t first = status;
    if (status != MB_ERR_STOPPED)
        mb_comm_failed(job->comm, &rank, &first);
    return mb_exit_code(first);
}

static bool settle(const mb_job_t *job, mb_status_t status)
{
    mb_status_t first = status;
    mb_comm_failed(job->comm, NULL, &first);
    return mb_comm_settle(job->comm, first == MB_ERR_TIMEOUT ? LATE_GRACE_SECONDS : GRACE_SECONDS);
}

/* MPI would wait for ever for a rank that does not come to its end. */
static mb_status_t end_together(mb_job_t *job, mb_status_t status)
{
    mb_comm_doing(job->comm, "ending");
    if (is_failure(status))
        return status;
    mb_status_t ended = mb_comm_barrier(job->comm);
    mb_job_report(job, ended);
    return ended == MB_OK ? status : ended;
}

int mb_job_end(mb_job_t *job, mb_status_t status)
{
    status = end_together(job, status);
    bool failed = is_failure(status);
    if (failed)
        signal(SIGTERM, SIG_DFL);
    bool together = !failed || job->size == 1 || settle(job, status);
    int code = agreed_code(job, status);
    if (!together)
        abort_job(job, code);
    if (failed)
        alarm(LAST_SECONDS);
    mb_comm_destroy(job->comm);
    MPI_Finalize();
    return code;
}
