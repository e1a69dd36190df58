/* A team of threads that share out the tiles of one operation after the other.
 *
 * The tiles of a job are cut into one run of neighbours for each thread, so that a thread gets the
 * same ones whenever a job of as many tiles comes, and finds in its caches what it wrote there;
 * whoever is through with its own takes from the others'.
 *
 * Not OpenMP's: its threads wait for each other by spinning for milliseconds, and ranks that share
 * cores then burn each other's time (measured with four busy processes on two cores: 380 ms a step
 * instead of 4). Here a thread without work spins for a moment and sleeps; whoever comes too late
 * for an operation is not waited for. */
#ifndef MB_DEVICE_CPU_TEAM_H
#define MB_DEVICE_CPU_TEAM_H

#include "base/error.h"
#include "base/types.h"

typedef struct mb_team mb_team_t;

/* THREADS counts the caller of mb_team_run, who is thread 0. CORES: one of the system's numbers for
 * each thread, on which it stays, the caller until the team is destroyed; NULL: none. */
mb_status_t mb_team_create(int threads, const int *cores, mb_team_t **out);
void mb_team_destroy(mb_team_t *team);

/* Computes tiles 0 ... tiles-1, each once, by any thread and in any order, and returns when all are
 * done. BETWEEN (NULL: none) is called by the caller's thread behind each of its tiles. Signals
 * that a tile holds back (hold.h) come through at the end. */
typedef struct {
    int64_t tiles;
    void (*compute)(void *context, int64_t tile, int thread);
    void *context;
    void (*between)(void *user);
    void *user;
} mb_team_job_t;
void mb_team_run(mb_team_t *team, const mb_team_job_t *job);

#endif
