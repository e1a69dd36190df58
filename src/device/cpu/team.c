/* See team.h. A job is open while tiles are left. A worker joins an open job under the lock, takes
 * tiles by an atomic counter, and leaves; the caller takes tiles too, closes the job when none are
 * left, and waits only for those who joined. */
#include "device/cpu/team.h"
#include <omp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include "base/log.h"
#include "device/cpu/hold.h"

#define SPIN_SECONDS 50e-6 /* a few times what waking a sleeper takes */
#define SPINS_A_LOOK 16    /* pauses between two looks at the clock */

typedef struct {
    mb_team_t *team;
    pthread_t handle;
    int thread;
} worker_t;

struct mb_team {
    int n_workers;
    worker_t *worker;
    mb_team_job_t job;
    atomic_llong next;  /* tile */
    atomic_uint opened; /* jobs so far */
    atomic_int inside;  /* workers in the open job; raised under the lock */
    atomic_bool ending;
    pthread_mutex_t lock;
    bool open;
    int sleeping;
    pthread_cond_t wake, left;
};

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Spins until the team has a job that SEEN does not count, or ends; false when that took too long.
 */
static bool spin_for_job(mb_team_t *team, unsigned seen)
{
    double end = mb_time_seconds() + SPIN_SECONDS;
    do {
        for (int i = 0; i < SPINS_A_LOOK; i++) {
            if (atomic_load(&team->opened) != seen || atomic_load(&team->ending))
                return true;
            relax();
        }
    } while (mb_time_seconds() < end);
    return false;
}

static void take_tiles(mb_team_t *team, int thread)
{
    const mb_team_job_t *job = &team->job;
    for (;;) {
        int64_t tile = atomic_fetch_add(&team->next, 1);
        if (tile >= job->tiles)
            return;
        job->compute(job->context, tile, thread);
        if (thread == 0 && job->between != NULL)
            job->between(job->user);
    }
}

/* Waits for a job that is not yet counted in *seen and joins it if it is still open. */
static bool join_job(mb_team_t *team, unsigned *seen)
{
    bool found = spin_for_job(team, *seen);
    pthread_mutex_lock(&team->lock);
    while (!found && atomic_load(&team->opened) == *seen && !atomic_load(&team->ending)) {
        team->sleeping++;
        pthread_cond_wait(&team->wake, &team->lock);
        team->sleeping--;
    }
    *seen = atomic_load(&team->opened);
    bool joined = team->open && !atomic_load(&team->ending);
    if (joined)
        atomic_fetch_add(&team->inside, 1);
    pthread_mutex_unlock(&team->lock);
    return joined;
}

static void leave_job(mb_team_t *team)
{
    if (atomic_fetch_sub(&team->inside, 1) > 1)
        return;
    pthread_mutex_lock(&team->lock);
    pthread_cond_signal(&team->left);
    pthread_mutex_unlock(&team->lock);
}

static void *work(void *argument)
{
    worker_t *worker = argument;
    mb_team_t *team = worker->team;
    unsigned seen = 0;
    /* oneDNN asks OpenMP how many threads this one may use. */
    omp_set_num_threads(1);
    while (!atomic_load(&team->ending)) {
        if (!join_job(team, &seen))
            continue;
        take_tiles(team, worker->thread);
        leave_job(team);
    }
    return NULL;
}

static void open_job(mb_team_t *team, const mb_team_job_t *job)
{
    pthread_mutex_lock(&team->lock);
    team->job = *job;
    atomic_store(&team->next, 0);
    team->open = true;
    atomic_fetch_add(&team->opened, 1);
    if (team->sleeping > 0)
        pthread_cond_broadcast(&team->wake);
    pthread_mutex_unlock(&team->lock);
}

static void close_job(mb_team_t *team)
{
    pthread_mutex_lock(&team->lock);
    team->open = false;
    pthread_mutex_unlock(&team->lock);
    double end = mb_time_seconds() + SPIN_SECONDS;
    while (atomic_load(&team->inside) > 0 && mb_time_seconds() < end)
        for (int i = 0; i < SPINS_A_LOOK && atomic_load(&team->inside) > 0; i++)
            relax();
    pthread_mutex_lock(&team->lock);
    while (atomic_load(&team->inside) > 0)
        pthread_cond_wait(&team->left, &team->lock);
    pthread_mutex_unlock(&team->lock);
}

static void run_alone(const mb_team_job_t *job)
{
    for (int64_t tile = 0; tile < job->tiles; tile++) {
        job->compute(job->context, tile, 0);
        if (job->between != NULL)
            job->between(job->user);
    }
}

void mb_team_run(mb_team_t *team, const mb_team_job_t *job)
{
    /* The caller's OpenMP setting is made one for the while of the job, and put back. */
    int threads = omp_get_max_threads();
    if (threads != 1)
        omp_set_num_threads(1);
    if (job->tiles <= 1 || team->n_workers == 0) {
        run_alone(job);
    } else {
        open_job(team, job);
        take_tiles(team, 0);
        close_job(team);
    }
    mb_release_signals();
    if (threads != 1)
        omp_set_num_threads(threads);
}

/* Signals are for the host's own threads. */
static mb_status_t start_workers(mb_team_t *team, int count)
{
    sigset_t all, before;
    mb_status_t status = MB_OK;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 0; i < count && status == MB_OK; i++) {
        team->worker[i] = (worker_t){.team = team, .thread = i + 1};
        if (pthread_create(&team->worker[i].handle, NULL, work, &team->worker[i]) == 0)
            team->n_workers++;
        else
            status =
                mb_error_set(MB_ERR_DEVICE, "could not start thread %d of %d", i + 2, count + 1);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

mb_status_t mb_team_create(int threads, mb_team_t **out)
{
    mb_team_t *team = calloc(1, sizeof *team);
    worker_t *worker = calloc((size_t)threads, sizeof *worker);
    if (team == NULL || worker == NULL) {
        free(team);
        free(worker);
        return mb_error_memory("a team of threads", (size_t)threads * sizeof *worker);
    }
    team->worker = worker;
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->wake, NULL);
    pthread_cond_init(&team->left, NULL);
    mb_status_t status = start_workers(team, threads - 1);
    if (status != MB_OK) {
        mb_team_destroy(team);
        return status;
    }
    *out = team;
    return MB_OK;
}

void mb_team_destroy(mb_team_t *team)
{
    if (team == NULL)
        return;
    pthread_mutex_lock(&team->lock);
    atomic_store(&team->ending, true);
    pthread_cond_broadcast(&team->wake);
    pthread_mutex_unlock(&team->lock);
    for (int i = 0; i < team->n_workers; i++)
        pthread_join(team->worker[i].handle, NULL);
    pthread_mutex_destroy(&team->lock);
    pthread_cond_destroy(&team->wake);
    pthread_cond_destroy(&team->left);
    free(team->worker);
    free(team);
}
