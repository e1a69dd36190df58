/* The team of threads: every tile once, whoever comes late, for many short jobs. */
#include <check.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
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
    ck_assert_int_eq(mb_team_create(_i, &team), MB_OK);
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
    ck_assert_int_eq(mb_team_create(3, &team), MB_OK);
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
    ck_assert_int_eq(mb_team_create(1, &team), MB_OK);
    check_job(team, &state, 50);
    ck_assert_int_eq(state.between, 50);
    mb_team_destroy(team);
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
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
