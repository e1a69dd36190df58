/* See job.h. A rank that fails has told the others; all of them come here, agree that they know,
 * and only then end. Where that does not happen within the grace time, some rank hangs or is gone:
 * who is left says what it saw and aborts the job. */
#include "cli/job.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli/alone.h"
#include "cli/bounded.h"
#include "cli/roll.h"
#include "cli/say.h"
#include "plugin/load.h"

#define GRACE_SECONDS 10.0
#define LATE_GRACE_SECONDS 1.5 /* after a deadline: whoever is silent by then does not come */
#define LAST_SECONDS 8.0       /* for the end of MPI itself */
#define START_SECONDS 4.0      /* besides the deadline, which says more */
#define NOT_ENDED                                                                                  \
    "MPI has not come to its end: one of the ranks hangs in it. All that the command writes is "   \
    "complete"
#define SPOKEN_SECONDS                                                                             \
    4                     /* that a launcher may take to end us, when rank 0 has spoken after all  \
                           */
#define ABORT_SECONDS 5.0 /* the launcher kills before that whom it reaches */

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

static void abort_mpi(int code)
{
    mb_bounded_begin(ABORT_SECONDS, 0, NULL, code);
    MPI_Abort(MPI_COMM_WORLD, code);
}

static int refuse_mpi(void)
{
    if (mb_launch_rank() != 0)
        wait_for_turn(mb_launch_rank());
    mb_say_error();
    abort_mpi(MB_EXIT_FAILED);
    return MB_EXIT_FAILED;
}

/* One message of all that are alone, whose launcher ends them when the first one ends. */
static int refuse_alone(const mb_alone_t *expected)
{
    if (expected->rank != 0)
        wait_for_turn(0);
    else
        mb_say_error();
    MPI_Finalize();
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

static bool start_mpi(int *code)
{
    int provided = MPI_THREAD_SINGLE, size = 0;
    const mb_alone_t expected = mb_alone_expect();
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) {
        mb_error_set(MB_ERR_MPI, "MPI could not be started");
        *code = mb_say_end(MB_ERR_MPI);
        return false;
    }
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (mb_alone_check(&expected, size) != MB_OK) {
        *code = refuse_alone(&expected);
        return false;
    }
    if (provided >= MPI_THREAD_FUNNELED)
        return true;
    mb_error_set(MB_ERR_MPI, "this MPI offers no MPI_THREAD_FUNNELED, which mbrun needs");
    *code = refuse_mpi();
    return false;
}

static void add_missing(mb_status_t status)
{
    char missing[512];
    mb_error_message_t kept;
    mb_error_keep(&kept);
    mb_roll_call(missing, sizeof missing);
    mb_error_set(status, "%s%s", kept.text, missing);
}

static bool create_comm(mb_job_t *job, const mb_comm_options_t *options, int *code)
{
    mb_status_t status = mb_comm_create(MPI_COMM_WORLD, options, &job->comm);
    if (status != MB_OK) {
        if (status == MB_ERR_TIMEOUT)
            add_missing(status);
        *code = refuse_mpi();
        return false;
    }
    job->rank = mb_comm_rank(job->comm);
    job->size = mb_comm_size(job->comm);
    return true;
}

bool mb_job_start(mb_job_t *job, const mb_args_t *args, int *code)
{
    /* What a wait would warn of comes as the error that it ends with. */
    mb_comm_options_t options = {.deadline_seconds =
                                     mb_settings_real(args->settings, MB_SET_DEADLINE)};
    *job = (mb_job_t){.log = {write_log, job, MB_LOG_INFO}};
    mb_bounded_begin(options.deadline_seconds + START_SECONDS, mb_launch_rank(),
                     "MPI has not brought the ranks of this job together: one of them has not "
                     "come, or no network that MPI uses joins the nodes",
                     MB_EXIT_FAILED);
    bool started = start_mpi(code) && create_comm(job, &options, code);
    mb_bounded_end();
    return started && load_plugins(job, args, code);
}

static void say(mb_job_t *job)
{
    char line[MB_ERROR_BYTES + 64];
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
    mb_comm_report(job->comm, status);
    snprintf(job->message, sizeof job->message, "%s", mb_error_get());
    if (mb_comm_speaks(job->comm))
        say(job);
}

/* A rank 0 that has said nothing was silent, and another speaks for it. */
static void abort_job(mb_job_t *job, int code)
{
    if (!job->said && job->rank != 0) {
        wait_for_turn(job->rank);
        if (!mb_comm_speaks(job->comm))
            nanosleep(&(struct timespec){.tv_sec = SPOKEN_SECONDS}, NULL);
        say(job);
    }
    abort_mpi(code);
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
    double deadline = failed ? 0 : mb_comm_deadline(job->comm);
    mb_bounded_begin(deadline > LAST_SECONDS ? deadline : LAST_SECONDS, job->rank,
                     failed ? NULL : NOT_ENDED, code == MB_EXIT_DONE ? MB_EXIT_FAILED : code);
    mb_comm_destroy(job->comm);
    MPI_Finalize();
    mb_bounded_end();
    return code;
}
