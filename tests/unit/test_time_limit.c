/* When a run stops, so that its last checkpoint is complete in time: simulated, since nothing of a
 * real run takes as long twice. */
#include <check.h>

#include "train/time_limit.h"

static const mb_time_end_t at_100 = {.at = 100, .what = "the end", .behind = 2};

/* What a run takes whose steps and saves take so long, from 0 on, a stop being obeyed one step
 * after it was voted for: the moment at which its last checkpoint is complete. */
static double last_checkpoint(double first_step, double step, double save, int every)
{
    mb_time_limit_t limit;
    double now = 0;
    bool voted = false;
    mb_time_limit_begin(&limit, &at_100, 0);
    for (int steps = 1; steps < 100000; steps++) {
        double took = steps == 1 ? first_step : step;
        now += took;
        mb_time_limit_step(&limit, took);
        if (voted)
            return now + save;
        if (steps % every == 0) {
            now += save;
            mb_time_limit_save(&limit, save);
        }
        const mb_time_ahead_t ahead = {.saves = (steps + 1) % every == 0};
        voted = mb_time_limit_is_near(&limit, now, &ahead);
    }
    return 1e9;
}

static const struct {
    double first, step, save;
    int every;
} runs[] = {{1, 1, 5, 10},   {1, 0.01, 0.1, 100}, {30, 1, 5, 7}, {2, 10, 20, 2},
            {5, 0.5, 30, 4}, {1, 1, 1, 1},        {1, 3, 8, 3}};

START_TEST(the_last_checkpoint_is_complete_in_time_and_not_much_before)
{
    double step = runs[_i].step, save = runs[_i].save;
    double done = last_checkpoint(runs[_i].first, step, save, runs[_i].every);
    ck_assert_double_le(done, at_100.at - at_100.behind);
    /* The margin, a vote's two steps, a save that would have come between. */
    ck_assert_double_ge(done, at_100.at - at_100.behind - 0.25 * (2 * step + 2 * save) - 3 * step -
                                  2 * save);
}
END_TEST

START_TEST(before_the_first_save_its_time_is_guessed_by_the_bytes)
{
    mb_time_limit_t small, large;
    const mb_time_ahead_t ahead = {0};
    mb_time_limit_begin(&small, &at_100, 1e6);
    mb_time_limit_begin(&large, &at_100, 1e9);
    ck_assert_double_lt(mb_time_limit_need(&small, &ahead), 5);
    ck_assert_double_gt(mb_time_limit_need(&large, &ahead), 12);
    mb_time_limit_save(&large, 0.1);
    ck_assert_double_lt(mb_time_limit_need(&large, &ahead), 5);
}
END_TEST

START_TEST(validations_and_models_that_save_at_once_are_reckoned_with)
{
    mb_time_limit_t limit;
    mb_time_end_t four = at_100;
    const mb_time_ahead_t none = {0}, validates = {.validations = 1};
    four.saving = 4;
    mb_time_limit_begin(&limit, &four, 0);
    mb_time_limit_save(&limit, 5);
    ck_assert_double_ge(mb_time_limit_need(&limit, &none), 20);
    ck_assert_double_lt(mb_time_limit_need(&limit, &none), 30);
    mb_time_limit_validation(&limit, 40);
    ck_assert_double_lt(mb_time_limit_need(&limit, &none), 30);
    ck_assert_double_ge(mb_time_limit_need(&limit, &validates), 60);
}
END_TEST

START_TEST(without_an_end_nothing_stops)
{
    mb_time_limit_t limit = {.stops = false};
    const mb_time_ahead_t none = {0};
    mb_time_limit_step(&limit, 1e9);
    ck_assert(!mb_time_limit_is_near(&limit, 1e12, &none));
}
END_TEST

START_TEST(how_long_before_the_end_is_said)
{
    mb_time_limit_t limit;
    char text[128];
    mb_time_limit_begin(&limit, &at_100, 0);
    ck_assert_str_eq(mb_time_limit_say(&limit, 5, text, sizeof text),
                     "stopped 1m35s before the end");
    ck_assert_str_eq(mb_time_limit_say(&limit, 103, text, sizeof text),
                     "stopped 3.0 s after the end");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("time_limit");
    TCase *tcase = tcase_create("time_limit");
    tcase_add_loop_test(tcase, the_last_checkpoint_is_complete_in_time_and_not_much_before, 0,
                        sizeof runs / sizeof runs[0]);
    tcase_add_test(tcase, before_the_first_save_its_time_is_guessed_by_the_bytes);
    tcase_add_test(tcase, validations_and_models_that_save_at_once_are_reckoned_with);
    tcase_add_test(tcase, without_an_end_nothing_stops);
    tcase_add_test(tcase, how_long_before_the_end_is_said);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
