/* Several models on the ranks of one job: each with a communicator of its own, so that nothing of
 * theirs mixes, and, while they work, in turns (comm/turns.h).
 *
 * One that fails does not end the others by itself: ranks know at once (`failed`), and end as a job
 * with that failure when all have ended. */
#ifndef MB_CLI_SEVERAL_H
#define MB_CLI_SEVERAL_H

#include "cli/job.h"
#include "cli/progress.h"
#include "comm/turns.h"

typedef struct mb_several mb_several_t;

typedef struct {
    mb_several_t *all;
    const char *name;
    mb_comm_t *comm;
    mb_log_t log;            /* lines that name the model */
    mb_progress_t *progress; /* whose log gets them too; NULL: none */
    mb_status_t (*work)(void *user);
    void (*ended)(void *user, mb_status_t status); /* last words; NULL: none */
    void *user;
    mb_status_t status;
} mb_member_t;

struct mb_several {
    mb_job_t job;
    mb_turns_t *turns;
    int n;
    mb_member_t *member;
    bool failed; /* one of them, as far as this rank knows */
};

/* Collective: the job, and N members, whose name, work, ended, user and progress the caller sets.
 * On failure the message is printed and *code set; there is nothing to end then. */
bool mb_several_start(mb_several_t *all, const mb_args_t *args, int n, int *code);
/* The folder that the members' runs or files are to lie in: rank 0 makes it where it is missing.
 * Not collective. */
mb_status_t mb_several_folder(const mb_several_t *all, const char *path);
/* A member's failure, outside its work: rank 0 prints the message, which then names the model. Not
 * collective. */
void mb_member_fail(mb_member_t *member, mb_status_t status);
/* Each member's work to its end, in turns. Waits may be as much longer as there are members. */
void mb_several_run(mb_several_t *all);
/* Collective: ends the job with the failure of the first member in the list that has one, else with
 * STATUS, else as one that was stopped, if one was. The exit code. */
int mb_several_end(mb_several_t *all, mb_status_t status);

#endif
