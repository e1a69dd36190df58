/* A stage runs a sum of two tensors and the normalization behind it in one operation, with the bits
 * of two: what runs is counted, and tensors are compared with a pipeline that is cut between them.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "engine/stage.h"
#include "support/graph_text.h"

enum { BATCH = 5, WIDTH = 7, MOST_STAGES = 2 };

#define INPUT(name)                                                                                \
    "{'class_name': 'InputLayer', 'name': '" name "', 'inbound_nodes': [], 'config': {'name': "    \
    "'" name "', 'batch_shape': [null, 7]}}"
#define CALL(class, name, keys, inbound)                                                           \
    ", {'class_name': '" class "', 'name': '" name "', 'inbound_nodes': [[" inbound                \
                               "]], 'config': {'name': '" name "'" keys "}}"
#define DENSE(name, from) CALL("Dense", name, ", 'units': 7, 'activation': 'tanh'", FROM(from))
#define NORM(name, from) CALL("LayerNormalization", name, "", FROM(from))
#define FROM(name) "['" name "', 0, 0, {}]"
#define MODEL(layers, output)                                                                      \
    "{'class_name': 'Functional', 'config': {'name': 'f', 'layers': [" INPUT("x") layers           \
        "], 'input_layers': [['x', 0, 0]], 'output_layers': [['" output "', 0, 0]]}}"

/* Nodes: x 0, d 1, sum 2, norm 3, out 4. */
#define RESIDUAL(keys)                                                                             \
    MODEL(DENSE("d", "x") CALL("Add", "sum", keys, FROM("x") ", " FROM("d")) NORM("norm", "sum")   \
              DENSE("out", "norm"),                                                                \
          "out")
static const char residual[] = RESIDUAL("");
static const char regularized[] =
    RESIDUAL(", 'activity_regularizer': {'class_name': 'L2', 'config': {'l2': 0.5}}");
static const char of_three[] =
    MODEL(DENSE("d", "x") CALL("Add", "sum", "", FROM("x") ", " FROM("d") ", " FROM("d"))
              NORM("norm", "sum"),
          "norm");
static const char of_products[] =
    MODEL(DENSE("d", "x") CALL("Multiply", "sum", "", FROM("x") ", " FROM("d")) NORM("norm", "sum"),
          "norm");
/* The normalization behind the sum is of another tensor. */
static const char of_another[] =
    MODEL(DENSE("d", "x") CALL("Add", "sum", "", FROM("x") ", " FROM("d")) NORM("norm", "d")
              CALL("Add", "out", "", FROM("sum") ", " FROM("norm")),
          "out");

typedef struct {
    int sums, norms, in_one;
} counted_t;
static counted_t counted; /* by the device's run, which is given no place of its own */

static mb_status_t count_and_run(mb_exec_t *exec, mb_op_t op, const void *args, size_t bytes)
{
    const mb_layernorm_forward_args_t *norm = args;
    bool adds = op == MB_OP_LAYERNORM_FORWARD && norm->adds;
    counted.sums += op == MB_OP_ADD && !exec->planning;
    counted.norms += op == MB_OP_LAYERNORM_FORWARD && !adds && !exec->planning;
    counted.in_one += adds && !exec->planning;
    return mb_device_cpu.run(exec, op, args, bytes);
}

typedef struct {
    mb_graph_t *graph;
    mb_plan_t *plan;
    mb_loss_t *losses;
    mb_device_t *device;
    mb_device_class_t counting;
    mb_exec_t exec;
    int n_stages;
    mb_stage_t *stages[MOST_STAGES];
} bench_t;

static void fill(float *values, int64_t count, unsigned state)
{
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525U + 1013904223U;
        values[i] = (float)(state >> 8) / 8388608.0F - 1;
    }
}

static void open_device(bench_t *b)
{
    mb_device_options_t options = {.size = sizeof options, .threads = 2};
    ck_assert_int_eq(mb_device_open("cpu", &options, &b->device), MB_OK);
    b->counting = mb_device_cpu;
    b->counting.run = count_and_run;
    b->device->class_ = &b->counting;
    ck_assert_int_eq(mb_exec_create(b->device, &b->exec), MB_OK);
}

/* CUT: the second stage's first node; 0: one stage. */
static void open_plan(bench_t *b, const char *config, int cut)
{
    char *text = json_quoted(config);
    b->n_stages = cut > 0 ? 2 : 1;
    mb_plan_options_t plan = {.stages = b->n_stages,
                              .micro_batch = BATCH,
                              .micros_per_replica = 2, /* what backwards read is kept */
                              .replicas_of_group = 1,
                              .schedule = {.kind = MB_SCHEDULE_GPIPE, .per_stage = 2},
                              .training = true,
                              .cuts = &cut};
    ck_assert_msg(mb_graph_create(text, "a test", &b->graph) == MB_OK, "%s", mb_error_get());
    free(text);
    ck_assert_int_eq(mb_graph_bind(b->graph, NULL), MB_OK);
    ck_assert_int_eq(mb_plan_create(b->graph, &plan, &b->plan), MB_OK);
    ck_assert_int_eq(mb_losses_create(b->graph, NULL, "mean_squared_error", "a test", &b->losses),
                     MB_OK);
}

static void bench_open(bench_t *b, const char *config, int cut)
{
    open_device(b);
    open_plan(b, config, cut);
    for (int s = 0; s < b->n_stages; s++) {
        mb_stage_options_t options = {.plan = b->plan,
                                      .losses = b->losses,
                                      .stage = s,
                                      .n_blocks = 1,
                                      .n_sum_blocks = 1,
                                      .exec = &b->exec};
        b->exec.planning = false;
        ck_assert_int_eq(mb_stage_create(&options, &b->stages[s]), MB_OK);
        for (int p = 0; p < b->graph->n_params; p++)
            if (b->stages[s]->values[p] != NULL)
                fill(b->stages[s]->values[p], b->graph->params[p].elements, 10 + (unsigned)p);
    }
}

static void bench_close(bench_t *b)
{
    for (int s = 0; s < b->n_stages; s++)
        mb_stage_destroy(b->stages[s]);
    mb_exec_destroy(&b->exec);
    b->device->class_ = &mb_device_cpu;
    mb_device_close(b->device);
    mb_plan_destroy(b->plan);
    mb_graph_destroy(b->graph);
}

static void receive(bench_t *b, int stage)
{
    for (int e = 0; e < b->plan->n_forward_edges; e++) {
        const mb_forward_edge_t *edge = &b->plan->forward_edges[e];
        if (edge->to_stage == stage)
            memcpy(mb_stage_tensor(b->stages[stage], 0, edge->tensor),
                   mb_stage_tensor(b->stages[edge->from_stage], 0, edge->tensor),
                   BATCH * WIDTH * sizeof(float));
    }
}

static void start(mb_stage_t *stage)
{
    for (int64_t i = 0; i < stage->sum_count; i++)
        stage->sums[0][i] = 0;
    for (int o = 0; o < stage->n_outputs; o++)
        fill(mb_stage_labels(stage, 0, o), BATCH * WIDTH, 3);
}

static void forward(bench_t *b)
{
    mb_micro_t micro = {.valid = BATCH, .batch = BATCH};
    counted = (counted_t){0};
    fill(mb_stage_tensor(b->stages[0], 0, 0), BATCH * WIDTH, 2);
    for (int s = 0; s < b->n_stages; s++) {
        micro.chunk = s;
        receive(b, s);
        start(b->stages[s]);
        b->exec.planning = true;
        ck_assert_int_eq(mb_stage_forward(b->stages[s], &micro), MB_OK);
        ck_assert_int_eq(mb_exec_allocate(&b->exec), MB_OK);
        ck_assert_int_eq(mb_stage_forward(b->stages[s], &micro), MB_OK);
    }
}

static void check_counts(const char *config, int cut, counted_t wanted)
{
    bench_t b = {0};
    bench_open(&b, config, cut);
    forward(&b);
    ck_assert_int_eq(counted.sums, wanted.sums);
    ck_assert_int_eq(counted.norms, wanted.norms);
    ck_assert_int_eq(counted.in_one, wanted.in_one);
    bench_close(&b);
}

START_TEST(a_sum_and_its_normalization_run_in_one)
{
    check_counts(residual, 0, (counted_t){.in_one = 1});
    check_counts(residual, 2, (counted_t){.in_one = 1});
    check_counts(regularized, 0, (counted_t){.in_one = 1});
}
END_TEST

START_TEST(others_run_apart)
{
    check_counts(residual, 3, (counted_t){.sums = 1, .norms = 1});
    check_counts(of_three, 0, (counted_t){.sums = 2, .norms = 1});
    check_counts(of_products, 0, (counted_t){.norms = 1});
    check_counts(of_another, 0, (counted_t){.sums = 2, .norms = 1});
}
END_TEST

/* The mean's block or the deviation's, of half of what is saved. */
static const void *saved_of(const mb_stage_t *stage, int node, int statistic)
{
    const mb_node_place_t *at = &stage->places[node];
    return stage->chunks[0].slots[0] + at->saved + (size_t)statistic * at->memory.saved_bytes / 2;
}

START_TEST(a_cut_between_them_changes_no_bits)
{
    bench_t whole = {0}, cut = {0};
    bench_open(&whole, residual, 0);
    bench_open(&cut, residual, 3);
    forward(&whole);
    forward(&cut);
    for (int node = 2; node < 5; node++)
        ck_assert_mem_eq(mb_stage_tensor(whole.stages[0], 0, node),
                         mb_stage_tensor(cut.stages[node > 2], 0, node),
                         BATCH * WIDTH * sizeof(float));
    for (int statistic = 0; statistic < 2; statistic++)
        ck_assert_mem_eq(saved_of(whole.stages[0], 3, statistic),
                         saved_of(cut.stages[1], 3, statistic), BATCH * sizeof(float));
    bench_close(&whole);
    bench_close(&cut);
}
END_TEST

START_TEST(a_regularizer_sees_the_sum)
{
    bench_t whole = {0}, cut = {0};
    bench_open(&whole, regularized, 0);
    bench_open(&cut, regularized, 3);
    forward(&whole);
    forward(&cut);
    int64_t at = whole.stages[0]->places[2].activity;
    ck_assert_int_eq(at, cut.stages[0]->places[2].activity);
    ck_assert(whole.stages[0]->sums[0][at] > 0);
    ck_assert_mem_eq(whole.stages[0]->sums[0] + at, cut.stages[0]->sums[0] + at,
                     2 * sizeof(double));
    bench_close(&whole);
    bench_close(&cut);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stage sum");
    TCase *cases = tcase_create("stage sum");
    tcase_add_test(cases, a_sum_and_its_normalization_run_in_one);
    tcase_add_test(cases, others_run_apart);
    tcase_add_test(cases, a_cut_between_them_changes_no_bits);
    tcase_add_test(cases, a_regularizer_sees_the_sum);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
