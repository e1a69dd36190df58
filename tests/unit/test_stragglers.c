/* Who straggles, by the times that ranks tell of. */
#include "train/stragglers.h"

#include <check.h>

enum { MOST_RANKS = 8 };

/* Ranks of which each takes so many seconds of work a step, and a step as long as the slowest. */
typedef struct {
    mb_stragglers_t *stragglers;
    int ranks;
    double now;
    mb_comm_load_t loads[MOST_RANKS];
    mb_straggler_t found;
    int times; /* that one was found */
} run_t;

static void start(run_t *run, int ranks, int stages)
{
    *run = (run_t){.ranks = ranks};
    ck_assert_int_eq(mb_stragglers_create(ranks, stages, 5, 101, &run->stragglers), MB_OK);
}

static void go_on(run_t *run, const double *work, double seconds)
{
    double step = 0, end = run->now + seconds;
    for (int r = 0; r < run->ranks; r++)
        step = work[r] > step ? work[r] : step;
    while (run->now < end) {
        run->now += step;
        for (int r = 0; r < run->ranks; r++) {
            run->loads[r].steps++;
            run->loads[r].busy += work[r];
            run->loads[r].waited += step - work[r];
        }
        run->times += mb_stragglers_look(run->stragglers, run->loads, run->now, &run->found);
    }
}

START_TEST(uneven_stages_are_no_stragglers)
{
    run_t run;
    start(&run, 4, 4);
    go_on(&run, (double[]){0.9, 0.1, 0.3, 0.05}, 300);
    ck_assert_int_eq(run.times, 0);
    mb_stragglers_destroy(run.stragglers);
}
END_TEST

START_TEST(a_rank_that_becomes_slower_than_before_is_told_of_once)
{
    run_t run;
    start(&run, 3, 3);
    go_on(&run, (double[]){0.5, 0.4, 0.3}, 60);
    int64_t before = run.loads[0].steps;
    go_on(&run, (double[]){0.5, 0.4, 0.9}, 60);
    ck_assert_int_eq(run.times, 1);
    ck_assert_int_eq(run.found.rank, 2);
    ck_assert_int_eq(run.found.stage, 2);
    ck_assert(!run.found.by_replicas);
    ck_assert(run.found.factor > 2.5 && run.found.factor < 3.1);
    ck_assert(run.found.since_step >= 101 + before - 11 &&
              run.found.since_step <= 101 + before + 6);
    ck_assert(run.found.seconds >= 10 && run.found.seconds < 20);
    ck_assert(run.found.waited > 0.3 && run.found.waited < 0.7);
    mb_stragglers_destroy(run.stragglers);
}
END_TEST

START_TEST(one_that_goes_on_is_told_of_again_after_a_long_time)
{
    run_t run;
    start(&run, 2, 2);
    go_on(&run, (double[]){0.1, 0.1}, 60);
    go_on(&run, (double[]){0.3, 0.1}, 1300);
    ck_assert_int_eq(run.times, 3);
    mb_stragglers_destroy(run.stragglers);
}
END_TEST

START_TEST(a_hiccup_of_one_window_is_none)
{
    run_t run;
    start(&run, 2, 2);
    for (int i = 0; i < 10; i++) {
        go_on(&run, (double[]){0.1, 0.1}, 25);
        go_on(&run, (double[]){0.1, 0.4}, 4);
    }
    ck_assert_int_eq(run.times, 0);
    mb_stragglers_destroy(run.stragglers);
}
END_TEST

START_TEST(all_that_become_slower_have_no_straggler)
{
    run_t run;
    start(&run, 4, 2);
    go_on(&run, (double[]){0.1, 0.2, 0.1, 0.2}, 60);
    go_on(&run, (double[]){0.3, 0.5, 0.3, 0.6}, 200);
    ck_assert_int_eq(run.times, 0);
    mb_stragglers_destroy(run.stragglers);
}
END_TEST

START_TEST(a_replica_that_is_slow_from_the_start_is_named_by_its_stages_others)
{
    run_t run;
    start(&run, 6, 2);
    go_on(&run, (double[]){0.1, 0.5, 0.1, 0.5, 0.2, 0.5}, 60);
    ck_assert_int_eq(run.times, 1);
    ck_assert_int_eq(run.found.rank, 4);
    ck_assert_int_eq(run.found.stage, 0);
    ck_assert(run.found.by_replicas);
    mb_stragglers_destroy(run.stragglers);
}
END_TEST

START_TEST(what_costs_less_than_a_tenth_of_the_time_is_not_told_of)
{
    run_t run;
    start(&run, 2, 2);
    go_on(&run, (double[]){1, 0.01}, 60);
    go_on(&run, (double[]){1, 0.04}, 200);
    ck_assert_int_eq(run.times, 0);
    mb_stragglers_destroy(run.stragglers);
}
END_TEST

START_TEST(ranks_that_have_told_nothing_yet_are_waited_for)
{
    run_t run;
    start(&run, 2, 1);
    for (int i = 1; i < 100; i++) {
        mb_comm_load_t loads[2] = {{i, 0.1 * i, 0}, {0, 0, 0}};
        ck_assert(!mb_stragglers_look(run.stragglers, loads, i, &run.found));
    }
    mb_stragglers_destroy(run.stragglers);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stragglers");
    TCase *tests = tcase_create("stragglers");
    tcase_add_test(tests, uneven_stages_are_no_stragglers);
    tcase_add_test(tests, a_rank_that_becomes_slower_than_before_is_told_of_once);
    tcase_add_test(tests, one_that_goes_on_is_told_of_again_after_a_long_time);
    tcase_add_test(tests, a_hiccup_of_one_window_is_none);
    tcase_add_test(tests, all_that_become_slower_have_no_straggler);
    tcase_add_test(tests, a_replica_that_is_slow_from_the_start_is_named_by_its_stages_others);
    tcase_add_test(tests, what_costs_less_than_a_tenth_of_the_time_is_not_told_of);
    tcase_add_test(tests, ranks_that_have_told_nothing_yet_are_waited_for);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
