/* A counter gives out pieces. After a failure only pieces below the lowest failed one are begun, so
 * that the lowest of all is found. */
#include "data/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/pin.h"

enum { MOST_THREADS = 64 };

typedef struct {
    mb_pool_t *pool;
    int index;
} worker_t;

struct mb_pool {
    int n_threads, n_started;
    pthread_t threads[MOST_THREADS];
    worker_t workers[MOST_THREADS];
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    bool stop;
    mb_pool_job_t job;
    void *user;
    int64_t count, next;
    int busy;       /* threads in a piece */
    int64_t failed; /* the lowest piece that did; count: none */
    mb_status_t status;
    mb_error_message_t error;
};

/* Takes pieces until none is left; the lock is held, but not during a piece. */
static void take_pieces(mb_pool_t *pool, int worker)
{
    while (pool->next < pool->count && pool->next < pool->failed) {
        int64_t piece = pool->next++;
        pool->busy++;
        pthread_mutex_unlock(&pool->lock);
        mb_status_t status = pool->job(pool->user, worker, piece);
        pthread_mutex_lock(&pool->lock);
        pool->busy--;
        if (status != MB_OK && piece < pool->failed) {
            pool->failed = piece;
            pool->status = status;
            mb_error_keep(&pool->error);
        }
    }
    if (pool->busy == 0)
        pthread_cond_broadcast(&pool->done);
}

static void *serve(void *argument)
{
    worker_t *worker = argument;
    mb_pool_t *pool = worker->pool;
    pthread_mutex_lock(&pool->lock);
    while (!pool->stop) {
        if (pool->next < pool->count && pool->next < pool->failed)
            take_pieces(pool, worker->index);
        else
            pthread_cond_wait(&pool->work, &pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Signals are for the host's threads. A thread that cannot be had is done without. */
static void start_threads(mb_pool_t *pool)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 1; i < pool->n_threads; i++) {
        pool->workers[i] = (worker_t){pool, i};
        if (mb_pin_start_free(&pool->threads[i], serve, &pool->workers[i]) != 0)
            break;
        pool->n_started = i;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

mb_status_t mb_pool_create(int threads, mb_pool_t **out)
{
    mb_pool_t *pool = calloc(1, sizeof(*pool));
    if (pool == NULL)
        return mb_error_memory("threads", sizeof(*pool));
    int n = threads > 0 ? threads : mb_pin_free_cores();
    pool->n_threads = n < 1 ? 1 : n > MOST_THREADS ? MOST_THREADS : n;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->done, NULL);
    start_threads(pool);
    *out = pool;
    return MB_OK;
}

void mb_pool_destroy(mb_pool_t *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 1; i <= pool->n_started; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->done);
    free(pool);
}

int mb_pool_threads(const mb_pool_t *pool)
{
    return pool->n_threads;
}

mb_status_t mb_pool_run(mb_pool_t *pool, mb_pool_job_t job, void *user, int64_t count)
{
    pthread_mutex_lock(&pool->lock);
    pool->job = job;
    pool->user = user;
    pool->next = 0;
    pool->count = count;
    pool->failed = count;
    pool->status = MB_OK;
    pthread_cond_broadcast(&pool->work);
    take_pieces(pool, 0);
    while (pool->busy > 0)
        pthread_cond_wait(&pool->done, &pool->lock);
    mb_status_t status = pool->status;
    pool->count = 0;
    pthread_mutex_unlock(&pool->lock);
    if (status != MB_OK)
        mb_error_restore(&pool->error);
    return status;
}
