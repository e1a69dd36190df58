/* The team of threads: every tile once, whoever comes late, for many short jobs. */
#define _GNU_SOURCE /* sched_getcpu */
#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/pin.h"
#include "device/cpu/team.h"
#include "support/op_check.h"

enum { MOST_TILES = 200 };

typedef struct {
    atomic_int done[MOST_TILES];
    atomic_int wrong_thread;
    int threads;
    int between;
} job_state_t;

static void compute(void *context, int64_t tile, int thread)
{
    job_state_t *state = context;
    atomic_fetch_add(&state->done[tile], 1);
    if (thread < 0 || thread >= state->threads)
        atomic_store(&state->wrong_thread, 1);
}

static void count(void *user)
{
    ++*(int *)user;
}

static void check_job(mb_team_t *team, job_state_t *state, int tiles)
{
    memset(state->done, 0, sizeof state->done);
    mb_team_job_t job = {tiles, compute, state, count, &state->between};
    mb_team_run(team, &job);
    for (int i = 0; i < MOST_TILES; i++)
        ck_assert_int_eq(atomic_load(&state->done[i]), i < tiles ? 1 : 0);
    ck_assert_int_eq(atomic_load(&state->wrong_thread), 0);
}

START_TEST(every_tile_is_computed_once)
{
    mb_team_t *team = NULL;
    job_state_t state = {.threads = _i};
    ck_assert_int_eq(mb_team_create(_i, NULL, &team), MB_OK);
    for (int job = 0; job < 1000; job++)
        check_job(team, &state, job % MOST_TILES);
    mb_team_destroy(team);
}
END_TEST

/* Longer than a thread spins, so that it has to be woken. */
START_TEST(sleeping_threads_are_woken)
{
    mb_team_t *team = NULL;
    job_state_t state = {.threads = 3};
    struct timespec pause = {0, 2000000};
    ck_assert_int_eq(mb_team_create(3, NULL, &team), MB_OK);
    for (int job = 0; job < 20; job++) {
        nanosleep(&pause, NULL);
        check_job(team, &state, 50);
    }
    mb_team_destroy(team);
}
END_TEST

START_TEST(caller_is_told_behind_each_of_its_tiles)
{
    mb_team_t *team = NULL;
    job_state_t state = {.threads = 1};
    ck_assert_int_eq(mb_team_create(1, NULL, &team), MB_OK);
    check_job(team, &state, 50);
    ck_assert_int_eq(state.between, 50);
    mb_team_destroy(team);
}
END_TEST

typedef struct {
    atomic_int done, thread[2], core[2];
} meeting_t;

/* The first tile ends when all others are done. */
static void wait_in_the_first(void *context, int64_t tile, int thread)
{
    meeting_t *m = context;
    (void)thread;
    while (tile == 0 && atomic_load(&m->done) < MOST_TILES - 1)
        sched_yield();
    atomic_fetch_add(&m->done, 1);
}

START_TEST(tiles_of_a_thread_that_is_held_up_are_taken_by_others)
{
    mb_team_t *team = NULL;
    meeting_t m = {.done = 0};
    mb_team_job_t job = {MOST_TILES, wait_in_the_first, &m, NULL, NULL};
    ck_assert_int_eq(mb_team_create(2, NULL, &team), MB_OK);
    mb_team_run(team, &job);
    ck_assert_int_eq(atomic_load(&m.done), MOST_TILES);
    mb_team_destroy(team);
}
END_TEST

/* Two tiles that wait for each other are computed by two threads. */
static void meet(void *context, int64_t tile, int thread)
{
    meeting_t *m = context;
    atomic_store(&m->thread[tile], thread);
    atomic_store(&m->core[tile], sched_getcpu());
    atomic_fetch_add(&m->done, 1);
    while (atomic_load(&m->done) < 2)
        sched_yield();
}

START_TEST(tiles_go_to_the_same_threads_each_time)
{
    mb_team_t *team = NULL;
    ck_assert_int_eq(mb_team_create(2, NULL, &team), MB_OK);
    for (int i = 0; i < 100; i++) {
        meeting_t m = {.done = 0};
        mb_team_job_t job = {2, meet, &m, NULL, NULL};
        mb_team_run(team, &job);
        ck_assert_int_eq(atomic_load(&m.thread[0]), 0);
        ck_assert_int_eq(atomic_load(&m.thread[1]), 1);
    }
    mb_team_destroy(team);
}
END_TEST

static void *count_cores(void *argument)
{
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    *(int *)argument = CPU_COUNT(&set);
    return NULL;
}

/* Skipped in silence where there is one core. */
START_TEST(threads_stay_on_their_cores_until_the_team_ends)
{
    mb_team_t *team = NULL;
    meeting_t m = {.done = 0};
    mb_team_job_t job = {2, meet, &m, NULL, NULL};
    cpu_set_t before, after;
    pthread_t other;
    int cores[2], n = 0, free_cores = 0;
    ck_assert_int_eq(sched_getaffinity(0, sizeof before, &before), 0);
    for (size_t core = 0; core < CPU_SETSIZE && n < 2; core++)
        if (CPU_ISSET(core, &before))
            cores[n++] = (int)core;
    if (n < 2)
        return;
    ck_assert_int_eq(mb_team_create(2, cores, &team), MB_OK);
    mb_team_run(team, &job);
    ck_assert_int_eq(atomic_load(&m.core[0]), cores[0]);
    ck_assert_int_eq(atomic_load(&m.core[1]), cores[1]);
    ck_assert_int_eq(mb_pin_start_free(&other, count_cores, &free_cores), 0);
    pthread_join(other, NULL);
    ck_assert_int_eq(free_cores, CPU_COUNT(&before));
    ck_assert_int_eq(mb_pin_free_cores(), CPU_COUNT(&before));
    mb_team_destroy(team);
    sched_getaffinity(0, sizeof after, &after);
    ck_assert(CPU_EQUAL(&before, &after));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("team");
    TCase *t = tcase_create("team");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, every_tile_is_computed_once, 1, 6);
    tcase_add_test(t, sleeping_threads_are_woken);
    tcase_add_test(t, caller_is_told_behind_each_of_its_tiles);
    tcase_add_test(t, tiles_of_a_thread_that_is_held_up_are_taken_by_others);
    tcase_add_test(t, tiles_go_to_the_same_threads_each_time);
    tcase_add_test(t, threads_stay_on_their_cores_until_the_team_ends);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
