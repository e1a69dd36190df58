/* Graphs of model files: nodes, shapes, parameters in order, the file's layout. The expected texts
 * (NAME.graph) were compared with Keras' own layers, weights and weight_names. */
#include "support/graph_text.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* The texts of the fixtures, and of models saved by Keras 2.15 and Keras 3.15. */
static const char *const names[] = {"cnn",
                                    "conv1d",
                                    "gpt",
                                    "mlp",
                                    "mlp_warm",
                                    "mlp_softmax_sgd",
                                    "regress",
                                    "regularized",
                                    "resnet",
                                    "rules_adamw",
                                    "rules_amsgrad",
                                    "shared",
                                    "keras2_nested",
                                    "keras2_attention",
                                    "keras2_dict_call",
                                    "keras2_embedding",
                                    "keras2_outputs",
                                    "keras2_sequential",
                                    "keras2_global_index",
                                    "keras3_attention",
                                    "keras3_dict_call",
                                    "keras3_dropout",
                                    "keras3_frozen_inside",
                                    "keras3_outputs",
                                    "keras3_same_name"};

static void check_says(const char *part)
{
    ck_assert_msg(strstr(mb_error_get(), part) != NULL, "'%s' lacks '%s'", mb_error_get(), part);
}

static void check_same(const mb_graph_t *graph, const char *expected)
{
    mb_str_t text = {0};
    graph_text(graph, &text);
    ck_assert_ptr_nonnull(text.text);
    ck_assert_str_eq(text.text, expected);
    mb_str_free(&text);
}

static char *read_config(const char *name, const char *suffix)
{
    mb_str_t path = {0};
    mb_str_addf(&path, "configs/%s.%s", name, suffix);
    char *text = test_data_read(path.text);
    ck_assert_msg(text != NULL, "no test data %s", path.text);
    mb_str_free(&path);
    return text;
}

START_TEST(a_saved_model_opens_into_the_graph_that_keras_has)
{
    char *config = read_config(names[_i], "json");
    char *expected = read_config(names[_i], "graph");
    mb_graph_t *graph;
    ck_assert_msg(mb_graph_create(config, names[_i], &graph) == MB_OK, "%s", mb_error_get());
    ck_assert_msg(mb_graph_bind(graph, NULL) == MB_OK, "%s", mb_error_get());
    check_same(graph, expected);
    mb_graph_destroy(graph);
    free(config);
    free(expected);
}
END_TEST

static mb_graph_t *create(const char *quoted)
{
    char *config = json_quoted(quoted);
    mb_graph_t *graph;
    ck_assert_msg(mb_graph_create(config, "model.h5", &graph) == MB_OK, "%s", mb_error_get());
    free(config);
    return graph;
}

#define DENSE(name, units)                                                                         \
    "{'class_name': 'Dense', 'config': {'name': '" name "', 'units': " units "}}"

START_TEST(an_open_dimension_takes_its_size_from_the_data)
{
    char *config = read_config("keras3_open", "json");
    char *expected = read_config("keras3_open", "graph");
    mb_graph_t *graph;
    mb_shape_t data = {.rank = 1, .dim = {17}};
    ck_assert_int_eq(mb_graph_create(config, "open", &graph), MB_OK);
    ck_assert(mb_shape_is_open(&graph->nodes[graph->inputs[0]].call.output));
    ck_assert_int_eq(mb_graph_bind(graph, &data), MB_OK);
    check_same(graph, expected);
    mb_graph_destroy(graph);
    ck_assert_int_eq(mb_graph_create(config, "open", &graph), MB_OK);
    ck_assert_int_eq(mb_graph_bind(graph, NULL), MB_ERR_SHAPE);
    check_says("open: input 'tokens': the model leaves its shape open");
    mb_graph_destroy(graph);
    free(config);
    free(expected);
}
END_TEST

START_TEST(a_sequential_model_without_an_input_layer_takes_the_shape_of_the_data)
{
    mb_graph_t *graph = create("{'class_name': 'Sequential', 'config': {'name': 's', 'layers': "
                               "[" DENSE("a", "4") ", " DENSE("b", "2") "]}}");
    mb_shape_t data = {.rank = 1, .dim = {7}};
    ck_assert_int_eq(graph->nodes[0].call.output.rank, -1);
    ck_assert_int_eq(mb_graph_bind(graph, &data), MB_OK);
    check_same(graph, "sequential s\n"
                      "input a_input = 0\n"
                      "output b = 2\n"
                      "nodes\n"
                      "0 InputLayer a_input : (7,) float32\n"
                      "1 Dense a <- 0 : (4,) float32 trains\n"
                      "2 Dense b <- 1 : (2,) float32 trains\n"
                      "params\n"
                      "0 s/a/kernel (7, 4) of a\n"
                      "1 s/a/bias (4,) of a\n"
                      "2 s/b/kernel (4, 2) of b\n"
                      "3 s/b/bias (2,) of b\n"
                      "file\n"
                      "a 0 1\n"
                      "b 2 3\n");
    ck_assert_int_eq(mb_graph_param(graph, "s/b/kernel"), 2);
    ck_assert_int_eq(mb_graph_param(graph, "s/c/kernel"), -1);
    ck_assert_int_eq(mb_graph_layer(graph, "b"), 2);
    mb_graph_destroy(graph);
}
END_TEST

static void check_first_shape(const char *quoted, int64_t expected)
{
    mb_graph_t *graph = create(quoted);
    ck_assert_msg(mb_graph_bind(graph, NULL) == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(graph->nodes[0].call.output.rank, 1);
    ck_assert_int_eq(graph->nodes[0].call.output.dim[0], expected);
    mb_graph_destroy(graph);
}

START_TEST(every_way_to_give_a_sequential_model_its_input_is_read)
{
    check_first_shape("{'class_name': 'Sequential', 'config': [{'class_name': 'Dense', 'config': "
                      "{'name': 'a', 'units': 2, 'batch_input_shape': [null, 5]}}]}",
                      5);
    check_first_shape("{'class_name': 'Sequential', 'config': {'name': 's', 'build_input_shape': "
                      "[null, 6], 'layers': [" DENSE("a", "2") "]}}",
                      6);
    check_first_shape(
        "{'class_name': 'Sequential', 'config': {'name': 's', 'layers': [{'class_name': "
        "'InputLayer', 'config': {'name': 'i', 'batch_input_shape': [32, 7], 'dtype': 'float32', "
        "'sparse': false, 'ragged': false}}, " DENSE("a", "2") "]}}",
        7);
    check_first_shape(
        "{'class_name': 'Sequential', 'config': {'name': 's', 'layers': [{'class_name': "
        "'Sequential', 'config': {'name': 'inner', 'layers': [{'class_name': 'InputLayer', "
        "'config': {'name': 'i', 'batch_shape': [null, 8]}}, " DENSE("b", "2") "]}}, " DENSE(
            "a", "2") "]}}",
        8);
}
END_TEST

START_TEST(data_may_lack_a_last_dimension_of_one_or_have_it_too_many)
{
    const char *config = "{'class_name': 'Sequential', 'config': {'name': 's', 'layers': "
                         "[{'class_name': 'InputLayer', 'config': {'name': 'i', 'batch_shape': "
                         "[null, 28, 28, 1]}}, " DENSE("a", "2") "]}}";
    const mb_shape_t fitting[] = {{.rank = 2, .dim = {28, 28}},
                                  {.rank = 3, .dim = {28, 28, 1}},
                                  {.rank = 4, .dim = {28, 28, 1, 1}}};
    const mb_shape_t others[] = {{.rank = 1, .dim = {784}},
                                 {.rank = 2, .dim = {28, 27}},
                                 {.rank = 4, .dim = {28, 28, 1, 2}}};
    for (int i = 0; i < 3; i++) {
        mb_graph_t *graph = create(config);
        ck_assert_msg(mb_graph_bind(graph, &fitting[i]) == MB_OK, "%s", mb_error_get());
        ck_assert_int_eq(graph->nodes[0].call.output.rank, 3);
        mb_graph_destroy(graph);
        graph = create(config);
        ck_assert_int_eq(mb_graph_bind(graph, &others[i]), MB_ERR_SHAPE);
        check_says("input 'i': the model takes samples of shape (28, 28, 1), the data has (");
        mb_graph_destroy(graph);
    }
}
END_TEST

#define INPUT(name, dtype)                                                                         \
    "{'class_name': 'InputLayer', 'name': '" name "', 'inbound_nodes': [], 'config': {'name': "    \
    "'" name "', 'batch_shape': [null, 3], 'dtype': '" dtype "'}}"
#define CALL(class, name, keys, inbound)                                                           \
    "{'class_name': '" class "', 'name': '" name "', 'inbound_nodes': " inbound                    \
                             ", 'config': {'name': '" name "'" keys "}}"
#define FUNCTIONAL(layers, inputs, outputs)                                                        \
    "{'class_name': 'Functional', 'config': {'name': 'f', 'layers': [" layers                      \
    "], 'input_layers': " inputs ", 'output_layers': " outputs "}}"

START_TEST(integers_stay_integers_only_where_they_choose_embeddings)
{
    mb_graph_t *graph = create(FUNCTIONAL(
        INPUT("a", "uint8") ", " INPUT("b", "float32") ", " INPUT("c", "int64") ", " CALL(
            "Embedding", "e", ", 'input_dim': 9, 'output_dim': 3",
            "[[['b', 0, 0, {}]]]") ", " CALL("Flatten", "flat",
                                             "", "[[['e', 0, 0, {}]]]") ", " CALL("Embedding", "e2",
                                                                                  ", 'input_dim': "
                                                                                  "9, "
                                                                                  "'output_dim': 3",
                                                                                  "[[['c', 0, 0, "
                                                                                  "{}]]]") ","
                                                                                           " " CALL("Flatten", "flat2", "", "[[['e2', 0, 0, {}]]]") ", " CALL(
                                                                                               "Con"
                                                                                               "cat"
                                                                                               "ena"
                                                                                               "te",
                                                                                               "ca"
                                                                                               "t",
                                                                                               ", "
                                                                                               "'ax"
                                                                                               "is'"
                                                                                               ": "
                                                                                               "-1",
                                                                                               "[[["
                                                                                               "'a'"
                                                                                               ", "
                                                                                               "0, "
                                                                                               "0, "
                                                                                               "{}]"
                                                                                               ", "
                                                                                               "['"
                                                                                               "fla"
                                                                                               "t',"
                                                                                               " 0,"
                                                                                               " 0,"
                                                                                               " {}"
                                                                                               "], "
                                                                                               "['"
                                                                                               "fla"
                                                                                               "t2'"
                                                                                               ", "
                                                                                               "0, "
                                                                                               "0, "
                                                                                               "{}]"
                                                                                               "]"
                                                                                               "]"),
        "[['a', 0, 0], ['b', 0, 0], ['c', 0, 0]]", "[['cat', 0, 0]]"));
    ck_assert_msg(mb_graph_bind(graph, NULL) == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(graph->nodes[graph->inputs[0]].call.output_type, MB_F32);
    ck_assert_int_eq(graph->nodes[graph->inputs[1]].call.output_type, MB_I32);
    ck_assert_int_eq(graph->nodes[graph->inputs[2]].call.output_type, MB_I32);
    mb_graph_destroy(graph);
}
END_TEST

START_TEST(nodes_follow_the_file_except_that_what_they_need_comes_before)
{
    mb_graph_t *graph = create(FUNCTIONAL(
        CALL("Add", "last", "", "[[['d', 0, 0], ['d', 1, 0]]]") ", " CALL(
            "Dense", "d", ", 'units': 3",
            "[[['r', 0, 0]], [['x', 0, 0]]]") ", " CALL("Activation", "r", ", 'activation': 'relu'",
                                                        "[[['d', 1, 0]]]") ", " INPUT("x",
                                                                                      "float32"),
        "['x', 0, 0]", "['last', 0, 0]"));
    static const char *const order[] = {"x", "d", "r", "d", "last"};
    static const int call_index[] = {0, 0, 0, 1, 0};
    ck_assert_msg(mb_graph_bind(graph, NULL) == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(graph->n_nodes, 5);
    for (int k = 0; k < 5; k++) {
        ck_assert_str_eq(graph->layers[graph->nodes[k].layer]->name, order[k]);
        ck_assert_int_eq(graph->nodes[k].call_index, call_index[k]);
    }
    ck_assert_int_eq(graph->nodes[4].inputs[0], 3);
    ck_assert_int_eq(graph->nodes[4].inputs[1], 1);
    mb_graph_destroy(graph);
}
END_TEST

START_TEST(a_frozen_model_freezes_the_layers_inside_it)
{
    mb_graph_t *graph = create(
        "{'class_name': 'Sequential', 'config': {'name': 's', 'layers': [{'class_name': "
        "'Sequential', 'config': {'name': 'inner', 'trainable': false, 'layers': [{'class_name': "
        "'InputLayer', 'config': {'name': 'i', 'batch_shape': [null, 8]}}, " DENSE(
            "b", "2") "]}}, " DENSE("a", "2") "]}}");
    ck_assert_int_eq(mb_graph_bind(graph, NULL), MB_OK);
    ck_assert(!graph->params[0].trainable);
    ck_assert(graph->params[0].weight);
    ck_assert(graph->params[2].trainable);
    ck_assert(!graph->nodes[1].needs_gradient);
    ck_assert(graph->nodes[2].trains);
    mb_graph_destroy(graph);
}
END_TEST

START_TEST(nested_models_may_be_deep_and_called_often)
{
    mb_str_t text = {0};
    mb_str_add(&text, "{'class_name': 'Sequential', 'config': {'name': 's0', 'layers': [");
    for (int i = 1; i < 30; i++)
        mb_str_addf(&text, "{'class_name': 'Sequential', 'config': {'name': 's%d', 'layers': [", i);
    mb_str_add(&text, DENSE("d", "3"));
    for (int i = 0; i < 30; i++)
        mb_str_add(&text, "]}}");
    mb_graph_t *graph = create(text.text);
    mb_shape_t data = {.rank = 1, .dim = {4}};
    ck_assert_msg(mb_graph_bind(graph, &data) == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(graph->n_nodes, 2);
    ck_assert_str_eq(graph->params[0].path, "s29/d/kernel");
    mb_graph_destroy(graph);
    mb_str_free(&text);
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("graph");
    TCase *tests = tcase_create("graph");
    tcase_add_loop_test(tests, a_saved_model_opens_into_the_graph_that_keras_has, 0,
                        (int)(sizeof(names) / sizeof(names[0])));
    tcase_add_test(tests, an_open_dimension_takes_its_size_from_the_data);
    tcase_add_test(tests, a_sequential_model_without_an_input_layer_takes_the_shape_of_the_data);
    tcase_add_test(tests, every_way_to_give_a_sequential_model_its_input_is_read);
    tcase_add_test(tests, data_may_lack_a_last_dimension_of_one_or_have_it_too_many);
    tcase_add_test(tests, integers_stay_integers_only_where_they_choose_embeddings);
    tcase_add_test(tests, nodes_follow_the_file_except_that_what_they_need_comes_before);
    tcase_add_test(tests, a_frozen_model_freezes_the_layers_inside_it);
    tcase_add_test(tests, nested_models_may_be_deep_and_called_often);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
