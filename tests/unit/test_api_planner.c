/* The public planner says what a run on ranks that are not there would do. */
#include "unit/api_ring.h"

#include <math.h>
#include <string.h>

static mb_planner_t *planner_of(const char *path, const char *ranks)
{
    mb_planner_t *planner = NULL;
    OK(mb_planner_create(path, &planner));
    OK(mb_planner_set(planner, "ranks", ranks));
    return planner;
}

static double number(const mb_planner_t *planner, const char *name)
{
    double value = 0;
    OK(mb_planner_get(planner, name, &value));
    return value;
}

static double of_stage(const mb_planner_t *planner, int stage, const char *name)
{
    double value = -1;
    OK(mb_planner_get_stage(planner, stage, name, &value));
    return value;
}

START_TEST(a_plan_tells_the_layout_and_what_a_step_takes)
{
    double work = 0;
    const char *json = NULL;
    OK(mb_model_create_preset(NULL, "mlp", "input=16 hidden=32,32,32 classes=4", "deep.h5"));
    mb_planner_t *planner = planner_of("deep.h5", "8");
    OK(mb_planner_set(planner, "stages", "4"));
    OK(mb_planner_set(planner, "replicas", "2"));
    OK(mb_planner_set(planner, "batch", "64"));
    OK(mb_planner_set(planner, "micro-batch", "4"));
    OK(mb_planner_set(planner, "schedule", "1f1b"));
    OK(mb_planner_run(planner));
    ck_assert(number(planner, "stages") == 4 && number(planner, "groups") == 2);
    ck_assert(number(planner, "idle") == 0 && number(planner, "micro_batches") == 8);
    ck_assert(number(planner, "seconds") > 0 && number(planner, "memory") > 0);
    ck_assert(number(planner, "efficiency") > 0 && number(planner, "efficiency") < 1);
    ck_assert(isnan(number(planner, "simulated_seconds")));
    for (int s = 0; s < 4; s++) {
        work += of_stage(planner, s, "work");
        ck_assert(of_stage(planner, s, "activation_bytes") > 0);
        ck_assert(of_stage(planner, s, "idle") >= 0 && of_stage(planner, s, "idle") < 1);
    }
    ck_assert_double_eq_tol(work, 1, 1e-12);
    /* Forward to the next stage and back to the last: 16 samples of 32 floats, but from the ends.
     */
    ck_assert(of_stage(planner, 1, "bytes_sent") == 2 * of_stage(planner, 0, "bytes_sent"));
    OK(mb_planner_text(planner, &json));
    ck_assert_ptr_nonnull(strstr(json, "\"stages\": 4"));
    ck_assert_ptr_nonnull(strstr(json, "zb-h1"));
    OK(mb_planner_destroy(planner));
}
END_TEST

START_TEST(a_simulation_runs_the_plan_in_virtual_time)
{
    mb_planner_t *planner = planner_of("ring.h5", "4");
    OK(mb_planner_set(planner, "stages", "2"));
    OK(mb_planner_set(planner, "batch", "16"));
    OK(mb_planner_simulate(planner));
    double seconds = number(planner, "simulated_seconds");
    ck_assert(seconds > 0 && number(planner, "simulated_messages") > 0);
    OK(mb_planner_set(planner, "straggler", "0:100"));
    OK(mb_planner_set(planner, "steps", "2"));
    OK(mb_planner_simulate(planner));
    ck_assert_double_gt(number(planner, "simulated_seconds"), seconds);
    OK(mb_planner_set(planner, "lose", "1@2"));
    ck_assert_int_ne(mb_planner_simulate(planner), MB_OK);
    ck_assert_ptr_nonnull(strstr(mb_error_message(), "rank 1"));
    OK(mb_planner_destroy(planner));
}
END_TEST

START_TEST(what_cannot_be_planned_is_named)
{
    double value;
    const char *text;
    mb_planner_t *planner = planner_of("ring.h5", "4");
    REFUSED(mb_planner_get(planner, "stages", &value), MB_ERR_ARGUMENT, "mb_planner_run");
    REFUSED(mb_planner_text(planner, &text), MB_ERR_ARGUMENT, "mb_planner_run");
    REFUSED(mb_planner_set(planner, "rank", "4"), MB_ERR_ARGUMENT, "'ranks'");
    REFUSED(mb_planner_set(planner, "ranks", "none"), MB_ERR_ARGUMENT, "whole number");
    REFUSED(mb_planner_set(planner, "jitter", "2"), MB_ERR_ARGUMENT, "0.99");
    OK(mb_planner_set(planner, "memory", "1K"));
    ck_assert_int_eq(mb_planner_run(planner), MB_ERR_MEMORY);
    OK(mb_planner_set(planner, "memory", "1G"));
    OK(mb_planner_run(planner));
    REFUSED(mb_planner_get(planner, "stage", &value), MB_ERR_ARGUMENT, "'stages'");
    REFUSED(mb_planner_get_stage(planner, 99, "work", &value), MB_ERR_ARGUMENT, "no stage 99");
    OK(mb_planner_destroy(planner));
    OK(mb_planner_create("nowhere.h5", &planner));
    REFUSED(mb_planner_run(planner), MB_ERR_IO, "nowhere.h5");
    OK(mb_planner_destroy(planner));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("api_planner");
    TCase *cases = tcase_create("api_planner");
    tcase_add_checked_fixture(cases, ring_begin, ring_end);
    tcase_add_test(cases, a_plan_tells_the_layout_and_what_a_step_takes);
    tcase_add_test(cases, a_simulation_runs_the_plan_in_virtual_time);
    tcase_add_test(cases, what_cannot_be_planned_is_named);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(int argc, char **argv)
{
    return ring_main(argc, argv, make_suite());
}
