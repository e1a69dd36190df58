/* See background.h. */
#define _GNU_SOURCE
#include "base/background.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/pin.h"

#if defined(__linux__)
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

struct mb_background {
    mb_status_t (*run)(void *user);
    void *user;
    pthread_t thread;
    bool started;
    atomic_bool done;
    mb_status_t status; /* these two are written before DONE */
    mb_error_message_t error;
};

static _Thread_local bool beside; /* the thread is one of these */

static void finish(mb_background_t *task)
{
    task->status = task->run(task->user);
    mb_error_keep(&task->error);
    atomic_store(&task->done, true);
}

static void *serve(void *argument)
{
    beside = true;
    finish(argument);
    return NULL;
}

/* Signals are for the host's threads. */
static bool start_thread(mb_background_t *task)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = mb_pin_start_free(&task->thread, serve, task) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

mb_status_t mb_background_start(mb_status_t (*run)(void *user), void *user, mb_background_t **out)
{
    mb_background_t *task = calloc(1, sizeof *task);
    if (task == NULL)
        return mb_error_memory("a thread", sizeof *task);
    task->run = run;
    task->user = user;
    *out = task;
    task->started = start_thread(task);
    if (!task->started)
        finish(task);
    return MB_OK;
}

/* A processor's share of a tenth where others want it, and no preemption; the disk's last place
 * among equals. Linux has all three by thread. A system that refuses one of them is as good. */
void mb_background_give_way(void)
{
#if defined(__linux__)
    enum { NICER = 10, OF_PROCESS = 1, BEST_EFFORT_LAST = 2 << 13 | 7 };
    const struct sched_param none = {0};
    if (!beside)
        return;
    id_t thread = (id_t)syscall(SYS_gettid);
    sched_setscheduler(0, SCHED_BATCH, &none);
    setpriority(PRIO_PROCESS, thread, getpriority(PRIO_PROCESS, thread) + NICER);
    syscall(SYS_ioprio_set, OF_PROCESS, thread, BEST_EFFORT_LAST);
#endif
}

bool mb_background_done(const mb_background_t *task)
{
    return atomic_load(&task->done);
}

mb_status_t mb_background_status(const mb_background_t *task)
{
    return mb_background_done(task) ? task->status : MB_OK;
}

mb_status_t mb_background_join(mb_background_t *task)
{
    if (task == NULL)
        return MB_OK;
    if (task->started)
        pthread_join(task->thread, NULL);
    mb_status_t status = task->status;
    if (status != MB_OK)
        mb_error_restore(&task->error);
    free(task);
    return status;
}
