/* See several.h. A failing member's communicator takes the place of the job's: its ranks agree that
 * they know, and end, as if the model were alone. */
#include "cli/several.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void write_log(void *user, mb_log_level_t level, const char *message)
{
    mb_member_t *member = user;
    mb_job_t *job = &member->all->job;
    job->user = member->progress;
    mb_log(&job->log, level, "%s: %s", member->name, message);
}

static void write_line(void *user, const char *line)
{
    if (user != NULL)
        mb_progress_write(user, line);
}

static void work(void *user);

static mb_status_t make_member(mb_several_t *all, const mb_args_t *args, mb_member_t *member)
{
    mb_comm_options_t options = {.deadline_seconds =
                                     mb_settings_real(args->settings, MB_SET_DEADLINE)};
    *member = (mb_member_t){.all = all, .log = {write_log, member, MB_LOG_INFO}};
    MB_TRY(mb_comm_create(MPI_COMM_WORLD, &options, &member->comm));
    return mb_turns_add(all->turns, member->comm, work, member);
}

static mb_status_t make_members(mb_several_t *all, const mb_args_t *args, int n)
{
    size_t bytes = (size_t)n * sizeof *all->member;
    all->member = calloc((size_t)n, sizeof *all->member);
    mb_status_t status = all->member == NULL ? mb_error_memory("several models", bytes) : MB_OK;
    if (status == MB_OK)
        status = mb_turns_create(n, &all->turns);
    MB_TRY(mb_comm_agree(all->job.comm, status));
    while (all->n < n && status == MB_OK)
        status = mb_comm_agree(all->job.comm, make_member(all, args, &all->member[all->n++]));
    return status;
}

bool mb_several_start(mb_several_t *all, const mb_args_t *args, int n, int *code)
{
    *all = (mb_several_t){.failed = false};
    if (!mb_job_start(&all->job, args, code))
        return false;
    all->job.write = write_line;
    mb_status_t status = make_members(all, args, n);
    if (status == MB_OK)
        return true;
    mb_job_report(&all->job, status);
    *code = mb_several_end(all, status);
    return false;
}

mb_status_t mb_several_folder(const mb_several_t *all, const char *path)
{
    struct stat found;
    if (all->job.rank != 0 || mkdir(path, 0777) == 0)
        return MB_OK;
    int error = errno;
    if (error == EEXIST && stat(path, &found) == 0 && S_ISDIR(found.st_mode))
        return MB_OK;
    return mb_error_set(MB_ERR_IO, "cannot make the folder '%s': %s", path, strerror(error));
}

static bool is_failure(mb_status_t status)
{
    return status != MB_OK && status != MB_ERR_STOPPED;
}

/* The first failure on this rank is the one to tell. */
void mb_member_fail(mb_member_t *member, mb_status_t status)
{
    mb_job_t *job = &member->all->job;
    mb_comm_t *own = job->comm;
    mb_error_prefix(status, "%s: ", member->name);
    member->status = status;
    if (!member->all->failed) {
        job->comm = member->comm;
        job->user = member->progress;
        mb_job_report(job, status);
        job->comm = own;
    }
    member->all->failed = true;
}

/* A member that has ended on one rank has ended on all. */
static void work(void *user)
{
    mb_member_t *member = user;
    member->status = member->work(member->user);
    mb_comm_doing(member->comm, "ending");
    if (!is_failure(member->status)) {
        mb_status_t ended = mb_comm_barrier(member->comm);
        member->status = ended == MB_OK ? member->status : ended;
    }
    if (is_failure(member->status))
        mb_member_fail(member, member->status);
    if (member->ended != NULL)
        member->ended(member->user, member->status);
}

void mb_several_run(mb_several_t *all)
{
    for (int i = 0; i < all->n; i++) {
        mb_comm_t *comm = all->member[i].comm;
        mb_comm_set_deadline(comm, all->n * mb_comm_deadline(comm));
    }
    mb_turns_run(all->turns);
}

static mb_member_t *find(mb_several_t *all, bool (*is)(mb_status_t status))
{
    for (int i = 0; i < all->n; i++) {
        if (is(all->member[i].status))
            return &all->member[i];
    }
    return NULL;
}

static bool is_stopped(mb_status_t status)
{
    return status == MB_ERR_STOPPED;
}

/* The job's own is then ended as one that failed, too: a rank may be gone. */
static mb_status_t take_over(mb_several_t *all, mb_member_t *failed)
{
    mb_comm_t *own = all->job.comm;
    mb_comm_fail(own, failed->status);
    all->job.comm = failed->comm;
    failed->comm = own;
    return failed->status;
}

int mb_several_end(mb_several_t *all, mb_status_t status)
{
    mb_member_t *failed = find(all, is_failure), *stopped = find(all, is_stopped);
    mb_turns_destroy(all->turns);
    if (failed != NULL)
        status = take_over(all, failed);
    else if (status == MB_OK && stopped != NULL)
        status = MB_ERR_STOPPED;
    for (int i = 0; i < all->n; i++)
        mb_comm_destroy(all->member[i].comm);
    free(all->member);
    return mb_job_end(&all->job, status);
}
