/* Devices of unequal speed: what layers take is levelled, and slow ones get less of the model. */
#include "engine/profile.h"
#include "pipeline/plan.h"
#include "support/data_files.h"
#include "support/fake_graph.h"

#include <check.h>
#include <string.h>

enum { NODES = 13 };

static fake_graph_t fake;
static mb_profile_t *profile;

/* A chain of twelve alike, of which six were measured on each of two stages. */
static void set_up(void)
{
    fake_graph_chain(&fake, NODES - 1, 4);
    ck_assert_int_eq(mb_profile_create(&fake.graph, &profile), MB_OK);
    for (int i = 1; i < NODES; i++)
        profile->nodes[i] = (mb_node_cost_t){1, 1, 1};
}

static void tear_down(void)
{
    mb_profile_destroy(profile);
}

static const int halves[NODES] = {0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1};

/* The second stage's devices have a third of the speed: its nodes took three times what they take
 * on the first. */
static void make_slow(void)
{
    static const double rates[] = {3e9, 1e9};
    for (int i = 7; i < NODES; i++)
        profile->nodes[i] = (mb_node_cost_t){3, 3, 3};
    ck_assert_int_eq(mb_profile_level(profile, 1, 2, rates, halves), MB_OK);
}

START_TEST(nodes_cost_alike_wherever_they_were_measured)
{
    make_slow();
    ck_assert_double_eq_tol(profile->slowness[1] / profile->slowness[0], 3, 1e-9);
    for (int i = 1; i < NODES; i++)
        ck_assert_double_eq_tol(profile->nodes[i].forward, profile->nodes[1].forward, 1e-9);
    ck_assert_double_eq_tol(profile->nodes[1].forward * profile->slowness[0], 1, 1e-9);
    ck_assert_double_eq_tol(profile->nodes[9].forward * profile->slowness[1], 3, 1e-9);
}
END_TEST

START_TEST(a_slow_stage_gets_less)
{
    mb_plan_t *plan;
    make_slow();
    mb_plan_options_t options = {.stages = 2,
                                 .micro_batch = 1,
                                 .micros_per_replica = 2,
                                 .replicas_of_group = 1,
                                 .training = true,
                                 .costs = profile->nodes,
                                 .slowness = mb_profile_slowness(profile, 2)};
    ck_assert_int_eq(mb_plan_create(&fake.graph, &options, &plan), MB_OK);
    ck_assert_int_eq(plan->first_node[1], 10); /* nine times one, three times three */
    mb_plan_destroy(plan);
    options.schedule = (mb_schedule_choice_t){.kind = MB_SCHEDULE_ZB_V};
    ck_assert_int_eq(mb_plan_create(&fake.graph, &options, &plan), MB_OK);
    int slow = 0;
    for (int i = 1; i < NODES; i++)
        slow += plan->stage_of_node[i] == 1;
    ck_assert_int_le(slow, 4);
    mb_plan_destroy(plan);
    ck_assert_ptr_null(mb_profile_slowness(profile, 3));
}
END_TEST

/* Of several groups the slowest counts; what lies within a fifth is noise. */
START_TEST(the_slowest_group_of_a_stage_counts_and_noise_does_not)
{
    static const double noise[] = {1e9, 1.1e9, 1.15e9, 1.05e9}, groups[] = {2e9, 2e9, 2e9, 1e9};
    ck_assert_int_eq(mb_profile_level(profile, 2, 2, noise, halves), MB_OK);
    ck_assert(profile->slowness == NULL && profile->nodes[9].forward == 1);
    ck_assert_int_eq(mb_profile_level(profile, 2, 2, groups, halves), MB_OK);
    ck_assert_double_eq_tol(profile->slowness[1] / profile->slowness[0], 2, 1e-9);
    ck_assert_double_eq(profile->nodes[9].forward, profile->nodes[1].forward);
}
END_TEST

START_TEST(slowness_is_written_and_read)
{
    bool found = false;
    mb_profile_t *other;
    const char *path = test_path("profile.json");
    make_slow();
    ck_assert_int_eq(mb_profile_write(profile, &fake.graph, "here", path), MB_OK);
    ck_assert_int_eq(mb_profile_create(&fake.graph, &other), MB_OK);
    ck_assert_int_eq(mb_profile_read(other, "here", path, &found), MB_OK);
    ck_assert(found && other->n_stages == 2);
    ck_assert_double_eq_tol(other->slowness[1], profile->slowness[1], 1e-6);
    mb_profile_destroy(other);
    test_remove_folder();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("profile");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, nodes_cost_alike_wherever_they_were_measured);
    tcase_add_test(c, a_slow_stage_gets_less);
    tcase_add_test(c, the_slowest_group_of_a_stage_counts_and_noise_does_not);
    tcase_add_test(c, slowness_is_written_and_read);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
