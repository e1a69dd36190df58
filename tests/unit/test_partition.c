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

static mb_status_t cut(int chunks, const int *cuts, int *stage_of_node)
{
    const mb_partition_options_t options = {.chunks = chunks, .cuts = cuts};
    return mb_partition(&fake.graph, &options, stage_of_node);
}

START_TEST(the_costliest_stage_costs_least_among_all_partitions)
{
    srand(3);
    for (int trial = 0; trial < 200; trial++) {
        int stage_of_node[FAKE_NODES];
        random_graph(3 + rand() % 9, trial % 2 == 1);
        int most = mb_plan_max_stages(&fake.graph);
        int stages = 1 + rand() % (most < 5 ? most : 5);
        ck_assert_int_eq(cut(stages, NULL, stage_of_node), MB_OK);
        check_shape(stage_of_node, stages);
        ck_assert_double_eq(costliest(stage_of_node, stages), least_by_trying(0, stages));
    }
}
END_TEST

/* ---- with costs of its own, charges for what crosses, slow devices and limits */

enum { MOST_CHUNKS = 4 };

static mb_node_cost_t costs[FAKE_NODES];
static mb_node_bytes_t bytes[FAKE_NODES];
static double charge[FAKE_NODES], slowness[MOST_CHUNKS], limits[MOST_CHUNKS];
static int slots[MOST_CHUNKS];

static void random_numbers(void)
{
    for (int i = 0; i < FAKE_NODES; i++) {
        costs[i] = (mb_node_cost_t){rand() % 9, rand() % 9, rand() % 9};
        bytes[i] = (mb_node_bytes_t){rand() % 50, rand() % 20};
        charge[i] = rand() % 12;
    }
    for (int c = 0; c < MOST_CHUNKS; c++) {
        slowness[c] = 1 + rand() % 3;
        limits[c] = 60 + rand() % 300;
        slots[c] = 1 + rand() % 3;
    }
}

/* What crosses a cut in front of node CUT. */
static double charged(int cut)
{
    double sum = 0;
    for (int t = 0; t < cut; t++) {
        const mb_node_t *node = &fake.nodes[t];
        if (node->n_uses > 0 && node->uses[node->n_uses - 1].node >= cut)
            sum += charge[t];
    }
    return cut == 0 || cut == fake.graph.n_nodes ? 0 : sum;
}

/* DBL_MAX: not within the limit, or nothing computes. */
static double chunk_cost(int chunk, int first, int end)
{
    double time = 0, once = 0, flight = 0;
    bool computes = false;
    for (int i = first; i < end; i++) {
        if (fake.nodes[i].is_input)
            continue;
        computes = true;
        time += costs[i].forward + costs[i].backward_input + costs[i].backward_weights;
        once += bytes[i].once;
        flight += bytes[i].flight;
    }
    if (!computes || once + slots[chunk] * flight > limits[chunk])
        return DBL_MAX;
    return time * slowness[chunk] + charged(first) + charged(end);
}

/* Cuts stand behind nodes that compute, as inputs go with what follows. */
static double least_of(int first, int chunk, int chunks)
{
    double best = DBL_MAX;
    if (chunk + 1 == chunks)
        return chunk_cost(chunk, first, fake.graph.n_nodes);
    for (int end = first + 1; end < fake.graph.n_nodes; end++) {
        if (fake.nodes[end - 1].is_input)
            continue;
        double own = chunk_cost(chunk, first, end), rest = least_of(end, chunk + 1, chunks);
        double most = own > rest ? own : rest;
        best = most < best ? most : best;
    }
    return best;
}

static double costliest_of(const int *chunk_of_node, int chunks)
{
    double most = 0;
    for (int c = 0, first = 0; c < chunks; c++) {
        int end = first;
        while (end < fake.graph.n_nodes && chunk_of_node[end] == c)
            end++;
        double own = chunk_cost(c, first, end);
        most = own > most ? own : most;
        first = end;
    }
    return most;
}

START_TEST(charges_slow_devices_and_memory_are_minded)
{
    int fit = 0, trials = 400;
    srand(7);
    for (int trial = 0; trial < trials; trial++) {
        int chunk_of_node[FAKE_NODES];
        random_graph(4 + rand() % 7, trial % 2 == 1);
        random_numbers();
        int most = mb_plan_max_stages(&fake.graph), chunks = 1 + rand() % MOST_CHUNKS;
        chunks = chunks > most ? most : chunks;
        const mb_partition_options_t options = {.chunks = chunks,
                                                .costs = costs,
                                                .crossing = charge,
                                                .slowness = slowness,
                                                .bytes = bytes,
                                                .limits = limits,
                                                .slots = slots};
        double least = least_of(0, 0, chunks);
        mb_status_t status = mb_partition(&fake.graph, &options, chunk_of_node);
        ck_assert_int_eq(status, least < DBL_MAX ? MB_OK : MB_ERR_MEMORY);
        if (status != MB_OK)
            continue;
        fit++;
        ck_assert_double_eq(costliest_of(chunk_of_node, chunks), least);
    }
    ck_assert_int_gt(fit, trials / 4);
    ck_assert_int_lt(fit, trials);
}
END_TEST

START_TEST(every_number_of_stages_up_to_the_computing_nodes_is_possible)
{
    fake_graph_chain(&fake, 6, 2);
    int stage_of_node[FAKE_NODES];
    ck_assert_int_eq(mb_plan_max_stages(&fake.graph), 6);
    for (int stages = 1; stages <= 6; stages++) {
        ck_assert_int_eq(cut(stages, NULL, stage_of_node), MB_OK);
        check_shape(stage_of_node, stages);
    }
    ck_assert_int_eq(cut(7, NULL, stage_of_node), MB_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "from 1 to 6 are possible"));
    ck_assert_int_eq(cut(0, NULL, stage_of_node), MB_ERR_ARGUMENT);
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
    ck_assert_int_eq(cut(2, NULL, stage_of_node), MB_OK);
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
    ck_assert_int_eq(cut(2, NULL, stage_of_node), MB_OK);
    ck_assert_int_eq(stage_of_node[late], 1);
}
END_TEST

START_TEST(given_cuts_are_obeyed_or_refused)
{
    int stage_of_node[FAKE_NODES];
    fake_graph_chain(&fake, 4, 2);
    ck_assert_int_eq(cut(2, (const int[]){4}, stage_of_node), MB_OK);
    ck_assert_int_eq(stage_of_node[3], 0);
    ck_assert_int_eq(stage_of_node[4], 1);
    ck_assert_int_eq(cut(2, (const int[]){1}, stage_of_node), MB_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "stage 0 would have no node that computes"));
    ck_assert_int_eq(cut(2, (const int[]){5}, stage_of_node), MB_ERR_ARGUMENT);
    ck_assert_int_eq(cut(3, (const int[]){3, 2}, stage_of_node), MB_ERR_ARGUMENT);
    ck_assert_int_eq(cut(2, (const int[]){-1}, stage_of_node), MB_ERR_ARGUMENT);
}
END_TEST

START_TEST(imbalance_is_one_when_stages_cost_the_same)
{
    int stage_of_node[FAKE_NODES];
    fake_graph_chain(&fake, 4, 2);
    ck_assert_int_eq(cut(2, NULL, stage_of_node), MB_OK);
    ck_assert_double_eq(mb_partition_imbalance(&fake.graph, stage_of_node, 2), 1.0);
    ck_assert_int_eq(cut(3, NULL, stage_of_node), MB_OK);
    ck_assert_double_eq(mb_partition_imbalance(&fake.graph, stage_of_node, 3), 1.5);
}
END_TEST

/* The stage of each node of a pipeline of two. */
static void plan_two(bool predicts, int *stage_of_node)
{
    mb_plan_t *plan;
    const mb_plan_options_t options = {.stages = 2,
                                       .micro_batch = 1,
                                       .micros_per_replica = 1,
                                       .replicas_of_group = 1,
                                       .schedule = {.kind = MB_SCHEDULE_1F1B},
                                       .training = true,
                                       .predicts = predicts};
    ck_assert_int_eq(mb_plan_create(&fake.graph, &options, &plan), MB_OK);
    memcpy(stage_of_node, plan->stage_of_node, (size_t)fake.graph.n_nodes * sizeof *stage_of_node);
    mb_plan_destroy(plan);
}

/* A product whose operations take 25 us, and six nodes of one operation that move 8 MiB each. */
START_TEST(predicted_cuts_weigh_bytes_beside_operations)
{
    int stage_of_node[FAKE_NODES];
    fake_graph_start(&fake);
    int node = fake_graph_input(&fake, 16);
    node = fake_graph_add(&fake, 1e6, 1 << 20, 1, &node);
    for (int i = 0; i < 6; i++)
        node = fake_graph_add(&fake, 1, 1 << 20, 1, &node);
    plan_two(false, stage_of_node);
    ck_assert_int_eq(stage_of_node[2], 1);
    plan_two(true, stage_of_node);
    ck_assert_int_eq(stage_of_node[3], 0);
    ck_assert_int_eq(stage_of_node[5], 1);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("partition");
    TCase *c = tcase_create("partition");
    tcase_add_test(c, the_costliest_stage_costs_least_among_all_partitions);
    tcase_add_test(c, charges_slow_devices_and_memory_are_minded);
    tcase_add_test(c, every_number_of_stages_up_to_the_computing_nodes_is_possible);
    tcase_add_test(c, among_equal_partitions_the_one_with_least_to_send_is_taken);
    tcase_add_test(c, an_input_goes_with_the_next_node_that_computes);
    tcase_add_test(c, given_cuts_are_obeyed_or_refused);
    tcase_add_test(c, imbalance_is_one_when_stages_cost_the_same);
    tcase_add_test(c, predicted_cuts_weigh_bytes_beside_operations);
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
