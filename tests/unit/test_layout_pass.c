/* How a pass without learning is laid out: what it computes follows from data and batch, never from
 * the ranks. */
#include <check.h>
#include <stdlib.h>

#include "support/graph_text.h"
#include "train/layout.h"

static const char config[] =
    "{'class_name': 'Sequential', 'config': {'name': 's', 'layers': ["
    "{'class_name': 'InputLayer', 'config': {'name': 'x', 'batch_shape': [null, 4]}},"
    "{'class_name': 'Dense', 'config': {'name': 'a', 'units': 4}},"
    "{'class_name': 'Dense', 'config': {'name': 'b', 'units': 4}}]}}";

static mb_model_t model;
static mb_model_file_t file = {.path = "a test"};
static mb_settings_t *settings;

static void set_up(void)
{
    char *text = json_quoted(config);
    ck_assert_int_eq(mb_graph_create(text, "a test", &model.graph), MB_OK);
    free(text);
    ck_assert_int_eq(mb_graph_bind(model.graph, NULL), MB_OK);
    model.file = &file;
    ck_assert_int_eq(mb_settings_create(&settings), MB_OK);
}

static void tear_down(void)
{
    mb_settings_destroy(settings);
    mb_graph_destroy(model.graph);
}

static void set(const char *key, const char *value)
{
    ck_assert_int_eq(mb_settings_set(settings, key, value, MB_FROM_USER), MB_OK);
}

static mb_layout_t choose(int ranks, int64_t samples)
{
    mb_layout_t layout;
    const mb_layout_ranks_t at = {ranks, ranks, 0};
    ck_assert_int_eq(mb_layout_choose_pass(&model, settings, &at, samples, &layout), MB_OK);
    return layout;
}

START_TEST(what_is_computed_does_not_depend_on_the_ranks)
{
    static const int64_t samples[] = {1, 31, 32, 33, 1000, 10000, 123457};
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        mb_layout_t one = choose(1, samples[i]);
        for (int ranks = 2; ranks < 9; ranks++) {
            mb_layout_t other = choose(ranks, samples[i]);
            ck_assert_int_eq((int)other.micro_batch, (int)one.micro_batch);
            ck_assert_int_eq(other.replicas, one.replicas);
            ck_assert_int_eq(other.micros, one.micros);
            ck_assert_int_eq((int)other.step, (int)one.step);
        }
    }
}
END_TEST

START_TEST(steps_are_equally_full)
{
    for (int64_t samples = 1; samples < 20000; samples += 97) {
        mb_layout_t layout = choose(1, samples);
        int64_t micros = (samples + layout.micro_batch - 1) / layout.micro_batch;
        int64_t steps = (samples + layout.step - 1) / layout.step;
        ck_assert_int_le(layout.replicas, 64);
        /* fewer replicas would take one more step */
        ck_assert(steps * (layout.replicas - 1) < micros);
    }
}
END_TEST

START_TEST(all_groups_have_work_where_there_is_enough)
{
    set("stages", "2");
    mb_layout_t layout = choose(8, 10000);
    ck_assert_int_eq(layout.groups, 4);
    ck_assert_int_eq(layout.idle, 0);
    layout = choose(8, 33);
    ck_assert_int_eq(layout.groups, 2);
    ck_assert_int_eq(layout.idle, 4);
}
END_TEST

START_TEST(given_replicas_and_micro_batches_are_kept)
{
    set("replicas", "3");
    set("micro-batch", "5");
    mb_layout_t layout = choose(2, 1000);
    ck_assert_int_eq(layout.replicas, 3);
    ck_assert_int_eq((int)layout.micro_batch, 5);
    ck_assert_int_eq((int)layout.step, 0);
}
END_TEST

/* Rows of a batch keep states: steps are whole batches of the model's, whatever the ranks. */
START_TEST(stateful_models_go_by_their_own_batches)
{
    model.graph->keeps_states = true;
    model.graph->batch = 48;
    for (int ranks = 1; ranks < 5; ranks++) {
        mb_layout_t layout = choose(ranks, 96);
        ck_assert_int_eq((int)layout.batch, 48);
        ck_assert_int_eq((int)layout.step, 48);
        ck_assert_int_ge((int)layout.micro_batch * layout.replicas * layout.micros, 48);
    }
    set("batch", "32");
    mb_layout_t layout;
    const mb_layout_ranks_t alone = {1, 1, 0};
    ck_assert_int_eq(mb_layout_choose_pass(&model, settings, &alone, 96, &layout), MB_ERR_ARGUMENT);
}
END_TEST

START_TEST(activations_are_auto_or_float)
{
    const mb_layout_ranks_t alone = {1, 1, 0};
    mb_layout_t layout = choose(1, 10);
    ck_assert(layout.integer);
    set("activations", "float");
    layout = choose(1, 10);
    ck_assert(!layout.integer);
    set("activations", "int8");
    ck_assert_int_eq(mb_layout_choose_pass(&model, settings, &alone, 10, &layout), MB_ERR_ARGUMENT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("layout of a pass");
    TCase *cases = tcase_create("layout of a pass");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, what_is_computed_does_not_depend_on_the_ranks);
    tcase_add_test(cases, steps_are_equally_full);
    tcase_add_test(cases, all_groups_have_work_where_there_is_enough);
    tcase_add_test(cases, given_replicas_and_micro_batches_are_kept);
    tcase_add_test(cases, stateful_models_go_by_their_own_batches);
    tcase_add_test(cases, activations_are_auto_or_float);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
