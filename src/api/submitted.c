/* See submitted.h. */
#include "api/submitted.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "api/trainer_private.h"
#include "base/fiber.h"
#include "comm/turns.h"
#include "comm/vote.h"

struct mb_submitted {
    mb_trainer_t *trainer;
    int64_t count;
    mb_status_t status;
    mb_error_message_t message;
    atomic_bool ended;
    mb_turns_t *turns; /* NULL: a thread */
    pthread_t thread;
};

/* A rank alone asks nobody, and so calls MPI not at all. */
static mb_status_t ask_to_stop(const mb_trainer_t *trainer, mb_comm_vote_t *vote)
{
    mb_comm_t *comm = mb_api_trainer_comm(trainer);
    vote->own = trainer->stop != 0;
    return mb_comm_size(comm) == 1 ? MB_OK : mb_comm_vote_start(comm, vote, vote->own);
}

static mb_status_t hear_stop(const mb_trainer_t *trainer, mb_comm_vote_t *vote, bool *stop)
{
    uint32_t flags = vote->own;
    mb_comm_t *comm = mb_api_trainer_comm(trainer);
    if (mb_comm_size(comm) > 1)
        MB_TRY(mb_comm_vote_finish(comm, vote, &flags));
    *stop = flags != 0;
    return MB_OK;
}

/* What was asked before a step is heard behind it, so that all stop at the same one. */
static mb_status_t one_step(mb_trainer_t *trainer, bool *stop)
{
    mb_comm_vote_t vote = {0};
    MB_TRY(ask_to_stop(trainer, &vote));
    MB_TRY(mb_api_trainer_step(trainer));
    return hear_stop(trainer, &vote, stop);
}

static mb_status_t all_steps(mb_submitted_t *s)
{
    mb_trainer_t *trainer = s->trainer;
    bool stop = false;
    for (int64_t i = 0; i < s->count && !stop && !mb_training_finished(trainer->training); i++) {
        MB_TRY(one_step(trainer, &stop));
        if (s->turns != NULL)
            mb_turns_pass(s->turns);
    }
    MB_TRY(mb_api_trainer_share(trainer));
    if (!stop)
        return MB_OK;
    return mb_error_set(MB_ERR_STOPPED, "stopped on request behind step %lld",
                        (long long)trainer->numbers.last.step);
}

static void work(void *user)
{
    mb_submitted_t *s = user;
    s->status = all_steps(s);
    mb_error_keep(&s->message);
    atomic_store(&s->ended, true);
}

static void *work_in_thread(void *user)
{
    mb_api_kept_t kept = mb_api_enter();
    work(user);
    mb_api_leave(&kept);
    return NULL;
}

/* Whether a thread may make the steps: it would read their data, too. */
static bool may_have_thread(const mb_trainer_t *trainer)
{
    int provided = MPI_THREAD_SINGLE;
    MPI_Query_thread(&provided);
    bool quiet = provided == MPI_THREAD_MULTIPLE || mb_comm_size(mb_api_trainer_comm(trainer)) == 1;
    return quiet && mb_training_reads_in_any_thread(trainer->training);
}

/* Signals are for the program's threads. */
static bool start_thread(mb_submitted_t *s)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&s->thread, NULL, work_in_thread, s) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

static mb_status_t take_turns(mb_submitted_t *s)
{
    MB_TRY(mb_turns_create(1, &s->turns));
    mb_status_t status = mb_turns_add(s->turns, mb_api_trainer_comm(s->trainer), work, s);
    if (status != MB_OK)
        mb_turns_destroy(s->turns);
    return status;
}

mb_status_t mb_submitted_begin(mb_trainer_t *trainer, int64_t count, mb_submitted_t **out)
{
    mb_submitted_t *s = calloc(1, sizeof *s);
    if (s == NULL)
        return mb_error_memory("steps under way", sizeof *s);
    s->trainer = trainer;
    s->count = count;
    *out = s; /* before the steps begin, whose callbacks look at it */
    if (may_have_thread(trainer) && start_thread(s))
        return MB_OK;
    mb_status_t status = take_turns(s);
    if (status != MB_OK) {
        *out = NULL;
        free(s);
    }
    return status;
}

void mb_submitted_go_on(mb_submitted_t *submitted, double seconds, bool *ended)
{
    mb_api_kept_t kept = mb_api_enter();
    if (submitted->turns != NULL && !atomic_load(&submitted->ended))
        mb_turns_run_for(submitted->turns, seconds);
    mb_api_leave(&kept);
    *ended = atomic_load(&submitted->ended);
}

mb_status_t mb_submitted_end(mb_submitted_t *submitted)
{
    bool ended;
    mb_submitted_go_on(submitted, HUGE_VAL, &ended);
    if (submitted->turns == NULL)
        pthread_join(submitted->thread, NULL);
    mb_turns_destroy(submitted->turns);
    mb_status_t status = submitted->status;
    if (status != MB_OK)
        mb_error_restore(&submitted->message);
    free(submitted);
    return status;
}

bool mb_submitted_is_self(const mb_submitted_t *submitted)
{
    if (submitted->turns != NULL)
        return mb_fiber_current() != NULL;
    return pthread_equal(pthread_self(), submitted->thread) != 0;
}
