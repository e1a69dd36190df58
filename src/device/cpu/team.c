/* See team.h. One word tells the number of the job, whether it is open, and how many workers are
 * inside. A worker joins by raising that count while the job is open, and lowers it when no tile is
 * left; the caller takes tiles too, closes the job when none are left, and waits only for those who
 * joined. Locks are for those who sleep. */
#include "device/cpu/team.h"
#include <omp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/pin.h"
#include "device/cpu/hold.h"

#define SPIN_SECONDS 50e-6 /* a few times what waking a sleeper takes */
#define SPINS_A_LOOK 16    /* pauses between two looks at the clock */
#define LINE 64            /* bytes that processors exchange */

#define INSIDE UINT64_C(0xFFFF) /* of the word: workers in the job */
#define OPEN UINT64_C(0x10000)
#define NUMBER_SHIFT 17

typedef struct {
    mb_team_t *team;
    pthread_t handle;
    int thread, core; /* core -1: any */
} worker_t;

/* The tiles of one thread, next to end-1. */
typedef struct {
    _Alignas(LINE) atomic_llong next;
    int64_t end;
} range_t;

struct mb_team {
    _Alignas(LINE) atomic_ullong state; /* written for each job; what follows, seldom */
    _Alignas(LINE) atomic_int sleeping;
    atomic_bool waiting; /* the caller sleeps until the last worker has left */
    atomic_bool ending;
    int n_workers;
    bool pins; /* the caller, too */
    worker_t *worker;
    range_t *range; /* [n_workers + 1] */
    mb_team_job_t job;
    pthread_mutex_t lock;
    pthread_cond_t wake, left;
};

static uint64_t number_of(uint64_t state)
{
    return state >> NUMBER_SHIFT;
}

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* ---- tiles */

static bool take_tile(range_t *range, int64_t *tile)
{
    if (atomic_load_explicit(&range->next, memory_order_relaxed) >= range->end)
        return false;
    *tile = atomic_fetch_add_explicit(&range->next, 1, memory_order_relaxed);
    return *tile < range->end;
}

/* First the thread's own, then what the others have left. */
static void take_tiles(mb_team_t *team, int thread)
{
    const mb_team_job_t *job = &team->job;
    int threads = team->n_workers + 1;
    for (int i = 0; i < threads; i++) {
        range_t *range = &team->range[(thread + i) % threads];
        int64_t tile;
        while (take_tile(range, &tile)) {
            job->compute(job->context, tile, thread);
            if (thread == 0 && job->between != NULL)
                job->between(job->user);
        }
    }
}

static void share_out(mb_team_t *team, int64_t tiles)
{
    int threads = team->n_workers + 1;
    int64_t least = tiles / threads, longer = tiles % threads, begin = 0;
    for (int t = 0; t < threads; t++) {
        int64_t end = begin + least + (t < longer ? 1 : 0);
        atomic_store_explicit(&team->range[t].next, begin, memory_order_relaxed);
        team->range[t].end = end;
        begin = end;
    }
}

/* ---- workers */

static bool has_news(mb_team_t *team, uint64_t seen)
{
    return number_of(atomic_load(&team->state)) != seen || atomic_load(&team->ending);
}

/* False when there was none for too long. */
static bool spin_for_news(mb_team_t *team, uint64_t seen)
{
    double end = mb_time_seconds() + SPIN_SECONDS;
    do {
        for (int i = 0; i < SPINS_A_LOOK; i++) {
            if (has_news(team, seen))
                return true;
            relax();
        }
    } while (mb_time_seconds() < end);
    return false;
}

/* Who sleeps is counted before it looks a last time, and the caller looks for sleepers behind its
 * change: one of them sees the other. */
static void sleep_for_news(mb_team_t *team, uint64_t seen)
{
    pthread_mutex_lock(&team->lock);
    atomic_fetch_add(&team->sleeping, 1);
    while (!has_news(team, seen))
        pthread_cond_wait(&team->wake, &team->lock);
    atomic_fetch_sub(&team->sleeping, 1);
    pthread_mutex_unlock(&team->lock);
}

/* Joins the job that is open now unless it is the one *seen; which it is then. */
static bool join_job(mb_team_t *team, uint64_t *seen)
{
    unsigned long long state = atomic_load(&team->state);
    bool joined = false;
    while (!joined && (state & OPEN) != 0 && number_of(state) != *seen)
        joined = atomic_compare_exchange_weak(&team->state, &state, state + 1);
    *seen = number_of(state);
    return joined;
}

static void leave_job(mb_team_t *team)
{
    uint64_t before = atomic_fetch_sub(&team->state, 1);
    if ((before & INSIDE) != 1 || !atomic_load(&team->waiting))
        return;
    pthread_mutex_lock(&team->lock);
    pthread_cond_signal(&team->left);
    pthread_mutex_unlock(&team->lock);
}

static void *work(void *argument)
{
    worker_t *worker = argument;
    mb_team_t *team = worker->team;
    uint64_t seen = 0;
    /* oneDNN asks OpenMP how many threads this one may use. */
    omp_set_num_threads(1);
    mb_pin(worker->core);
    while (!atomic_load(&team->ending)) {
        if (!spin_for_news(team, seen))
            sleep_for_news(team, seen);
        if (!join_job(team, &seen))
            continue;
        take_tiles(team, worker->thread);
        leave_job(team);
    }
    return NULL;
}

/* ---- the caller */

/* No more of the sleepers than there are tiles for. */
static void wake_for(mb_team_t *team, int64_t tiles)
{
    int sleeping = atomic_load(&team->sleeping);
    if (sleeping == 0)
        return;
    pthread_mutex_lock(&team->lock);
    if (tiles > sleeping)
        pthread_cond_broadcast(&team->wake);
    for (int64_t i = 1; tiles <= sleeping && i < tiles; i++)
        pthread_cond_signal(&team->wake);
    pthread_mutex_unlock(&team->lock);
}

static void open_job(mb_team_t *team, const mb_team_job_t *job)
{
    team->job = *job;
    share_out(team, job->tiles);
    uint64_t number = number_of(atomic_load(&team->state)) + 1;
    atomic_store(&team->state, number << NUMBER_SHIFT | OPEN);
    wake_for(team, job->tiles);
}

static bool is_occupied(mb_team_t *team)
{
    return (atomic_load(&team->state) & INSIDE) != 0;
}

static void close_job(mb_team_t *team)
{
    if ((atomic_fetch_and(&team->state, ~OPEN) & INSIDE) == 0)
        return;
    double end = mb_time_seconds() + SPIN_SECONDS;
    while (is_occupied(team) && mb_time_seconds() < end)
        for (int i = 0; i < SPINS_A_LOOK && is_occupied(team); i++)
            relax();
    if (!is_occupied(team))
        return;
    pthread_mutex_lock(&team->lock);
    atomic_store(&team->waiting, true);
    while (is_occupied(team))
        pthread_cond_wait(&team->left, &team->lock);
    atomic_store(&team->waiting, false);
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

/* ---- its life */

/* Signals are for the host's own threads. */
static mb_status_t start_workers(mb_team_t *team, int count, const int *cores)
{
    sigset_t all, before;
    mb_status_t status = MB_OK;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 0; i < count && status == MB_OK; i++) {
        team->worker[i] =
            (worker_t){.team = team, .thread = i + 1, .core = cores == NULL ? -1 : cores[i + 1]};
        if (pthread_create(&team->worker[i].handle, NULL, work, &team->worker[i]) == 0)
            team->n_workers++;
        else
            status =
                mb_error_set(MB_ERR_DEVICE, "could not start thread %d of %d", i + 2, count + 1);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

static void set_up(mb_team_t *team, worker_t *worker, range_t *range)
{
    memset(team, 0, sizeof *team);
    team->worker = worker;
    team->range = range;
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->wake, NULL);
    pthread_cond_init(&team->left, NULL);
}

mb_status_t mb_team_create(int threads, const int *cores, mb_team_t **out)
{
    size_t n = (size_t)threads;
    mb_team_t *team = aligned_alloc(LINE, sizeof *team);
    worker_t *worker = calloc(n, sizeof *worker);
    range_t *range = aligned_alloc(LINE, n * sizeof *range);
    if (team == NULL || worker == NULL || range == NULL) {
        free(team);
        free(worker);
        free(range);
        return mb_error_memory("a team of threads", n * (sizeof *worker + sizeof *range));
    }
    set_up(team, worker, range);
    mb_status_t status = start_workers(team, threads - 1, cores);
    if (status != MB_OK) {
        mb_team_destroy(team);
        return status;
    }
    team->pins = cores != NULL;
    if (team->pins)
        mb_pin(cores[0]);
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
    if (team->pins)
        mb_pin_release();
    pthread_mutex_destroy(&team->lock);
    pthread_cond_destroy(&team->wake);
    pthread_cond_destroy(&team->left);
    free(team->worker);
    free(team->range);
    free(team);
}
