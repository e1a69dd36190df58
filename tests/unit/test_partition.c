/* Partitions against all possible ones. */
#include "pipeline/plan.h"
#include "support/fake_graph.h"

#include <check.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>

static fake_graph_t fake;

static double costliest(const int *stage_of_node, int stages)
{
    double most = 0;
    for (int s = 0; s < stages; s++) {
        double cost = 0;
        for (int i = 0; i < fake.graph.n_nodes; i++)
            cost += stage_of_node[i] == s ? fake.costs[i] : 0;
        most = cost > most ? cost : most;
    }
    return most;
}

/* The least over all ways to cut the nodes from FIRST on into STAGES runs that compute. */
static double least_by_trying(int first, int stages)
{
    double best = DBL_MAX, own = 0;
    bool computes = false;
    for (int i = first; i < fake.graph.n_nodes; i++) {
        own += fake.costs[i];
        computes = computes || !fake.nodes[i].is_input;
        if (!computes || (stages == 1 && i + 1 < fake.graph.n_nodes))
            continue;
        double rest = stages == 1 ? 0 : least_by_trying(i + 1, stages - 1);
        double most = own > rest ? own : rest;
        best = most < best ? most : best;
    }
    return best;
}

static void random_graph(int nodes, bool inputs_anywhere)
{
    fake_graph_start(&fake);
    fake_graph_input(&fake, 1 + rand() % 9);
    for (int i = 1; i < nodes; i++) {
        if (inputs_anywhere && rand() % 5 == 0 && i + 1 < nodes) {
            fake_graph_input(&fake, 1 + rand() % 9);
            continue;
        }
        int inputs[3], n = 1 + rand() % 3;
        for (int k = 0; k < n; k++)
            inputs[k] = k == 0 ? i - 1 : rand() % i;
        fake_graph_add(&fake, rand() % 4 == 0 ? 0 : rand() % 100, 1 + rand() % 9, n, inputs);
    }
}

static void check_shape(const int *stage_of_node, int stages)
{
    int computing[FAKE_NODES] = {0};
    ck_assert_int_eq(stage_of_node[0], 0);
    for (int i = 0; i < fake.graph.n_nodes; i++) {
        if (i > 0)
            ck_assert(stage_of_node[i] == stage_of_node[i - 1] ||
                      stage_of_node[i] == stage_of_node[i - 1] + 1);
        computing[stage_of_node[i]] += !fake.nodes[i].is_input;
    }
    ck_assert_int_eq(stage_of_node[fake.graph.n_nodes - 1], stages - 1);
    for (int s = 0; s < stages; s++)
        ck_assert_int_gt(computing[s], 0);
}

START_TEST(the_costliest_stage_costs_least_among_all_partitions)
{
    srand(3);
    for (int trial = 0; trial < 200; trial++) {
        int stage_of_node[FAKE_NODES];
        random_graph(3 + rand() % 9, trial % 2 == 1);
        int most = mb_plan_max_stages(&fake.graph);
        int stages = 1 + rand() % (most < 5 ? most : 5);
        ck_assert_int_eq(mb_partition(&fake.graph, stages, NULL, stage_of_node), MB_OK);
        check_shape(stage_of_node, stages);
        ck_assert_double_eq(costliest(stage_of_node, stages), least_by_trying(0, stages));
    }
}
END_TEST

START_TEST(every_number_of_stages_up_to_the_computing_nodes_is_possible)
{
    fake_graph_chain(&fake, 6, 2);
    int stage_of_node[FAKE_NODES];
    ck_assert_int_eq(mb_plan_max_stages(&fake.graph), 6);
    for (int stages = 1; stages <= 6; stages++) {
        ck_assert_int_eq(mb_partition(&fake.graph, stages, NULL, stage_of_node), MB_OK);
        check_shape(stage_of_node, stages);
    }
    ck_assert_int_eq(mb_partition(&fake.graph, 7, NULL, stage_of_node), MB_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "from 1 to 6 are possible"));
    ck_assert_int_eq(mb_partition(&fake.graph, 0, NULL, stage_of_node), MB_ERR_ARGUMENT);
}
END_TEST

START_TEST(among_equal_partitions_the_one_with_least_to_send_is_taken)
{
    fake_graph_start(&fake);
    int last = fake_graph_input(&fake, 8);
    last = fake_graph_add(&fake, 10, 100, 1, &last);
    last = fake_graph_add(&fake, 0, 100, 1, &last); /* an activation */
    last = fake_graph_add(&fake, 0, 5, 1, &last);   /* a pooling: the cheapest place to cut */
    last = fake_graph_add(&fake, 0, 50, 1, &last);
    fake_graph_add(&fake, 10, 10, 1, &last);
    int stage_of_node[FAKE_NODES];
    ck_assert_int_eq(mb_partition(&fake.graph, 2, NULL, stage_of_node), MB_OK);
    ck_assert_int_eq(stage_of_node[3], 0);
    ck_assert_int_eq(stage_of_node[4], 1);
}
END_TEST

START_TEST(an_input_goes_with_the_next_node_that_computes)
{
    fake_graph_start(&fake);
    int x = fake_graph_input(&fake, 4);
    int a = fake_graph_add(&fake, 1, 4, 1, &x);
    int late = fake_graph_input(&fake, 4);
    int stage_of_node[FAKE_NODES];
    fake_graph_add(&fake, 1, 4, 2, (int[]){a, late});
    ck_assert_int_eq(mb_partition(&fake.graph, 2, NULL, stage_of_node), MB_OK);
    ck_assert_int_eq(stage_of_node[late], 1);
}
END_TEST

START_TEST(given_cuts_are_obeyed_or_refused)
{
    int stage_of_node[FAKE_NODES];
    fake_graph_chain(&fake, 4, 2);
    ck_assert_int_eq(mb_partition(&fake.graph, 2, (const int[]){4}, stage_of_node), MB_OK);
    ck_assert_int_eq(stage_of_node[3], 0);
    ck_assert_int_eq(stage_of_node[4], 1);
    ck_assert_int_eq(mb_partition(&fake.graph, 2, (const int[]){1}, stage_of_node),
                     MB_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "stage 0 would have no node that computes"));
    ck_assert_int_eq(mb_partition(&fake.graph, 2, (const int[]){5}, stage_of_node),
                     MB_ERR_ARGUMENT);
    ck_assert_int_eq(mb_partition(&fake.graph, 3, (const int[]){3, 2}, stage_of_node),
                     MB_ERR_ARGUMENT);
    ck_assert_int_eq(mb_partition(&fake.graph, 2, (const int[]){-1}, stage_of_node),
                     MB_ERR_ARGUMENT);
}
END_TEST

START_TEST(imbalance_is_one_when_stages_cost_the_same)
{
    int stage_of_node[FAKE_NODES];
    fake_graph_chain(&fake, 4, 2);
    ck_assert_int_eq(mb_partition(&fake.graph, 2, NULL, stage_of_node), MB_OK);
    ck_assert_double_eq(mb_partition_imbalance(&fake.graph, stage_of_node, 2), 1.0);
    ck_assert_int_eq(mb_partition(&fake.graph, 3, NULL, stage_of_node), MB_OK);
    ck_assert_double_eq(mb_partition_imbalance(&fake.graph, stage_of_node, 3), 1.5);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("partition");
    TCase *c = tcase_create("partition");
    tcase_add_test(c, the_costliest_stage_costs_least_among_all_partitions);
    tcase_add_test(c, every_number_of_stages_up_to_the_computing_nodes_is_possible);
    tcase_add_test(c, among_equal_partitions_the_one_with_least_to_send_is_taken);
    tcase_add_test(c, an_input_goes_with_the_next_node_that_computes);
    tcase_add_test(c, given_cuts_are_obeyed_or_refused);
    tcase_add_test(c, imbalance_is_one_when_stages_cost_the_same);
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    SRunner *r = srunner_create(suite());
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
