/* What layers compute in, by their policies or by one word for all, and where tensors change type.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "model/graph.h"
#include "support/op_check.h"

/* x -> a -> b, and a -> c: POLICY each. */
#define LAYER(name, policy, from)                                                                  \
    "{'class_name': 'Dense', 'name': '" name "', 'config': {'name': '" name                        \
    "', 'units': 2, 'dtype': '" policy "'}, 'inbound_nodes': [[['" from "', 0, 0, {}]]]}"
#define MODEL(a, b, c)                                                                             \
    "{'class_name': 'Functional', 'config': {'name': 'm', 'layers': ["                             \
    "{'class_name': 'InputLayer', 'name': 'x', 'config': {'name': 'x', 'batch_shape': "            \
    "[null, 3]}, 'inbound_nodes': []}, " LAYER("a", a, "x") ", " LAYER("b", b, "a") ", " LAYER(    \
        "c", c, "a") "], 'input_layers': [['x', 0, 0]], "                                          \
                     "'output_layers': [['b', 0, 0], ['c', 0, 0]]}}"

static mb_graph_t *graph_of(const char *text)
{
    mb_graph_t *graph = NULL;
    char *json = strdup(text);
    for (char *at = json; *at != '\0'; at++)
        *at = *at == '\'' ? '"' : *at;
    ck_assert_msg(mb_graph_create(json, "test", &graph) == MB_OK, "%s", mb_error_get());
    free(json);
    return graph;
}

static void bind(mb_graph_t *graph)
{
    ck_assert_msg(mb_graph_bind(graph, NULL) == MB_OK, "%s", mb_error_get());
}

/* "x:float32 a:bfloat16 ...": each node's layer and type. */
static void check_nodes(const mb_graph_t *graph, const char *wanted)
{
    char text[512] = "";
    for (int i = 0; i < graph->n_nodes; i++) {
        const mb_node_t *node = &graph->nodes[i];
        size_t length = strlen(text);
        snprintf(text + length, sizeof text - length, "%s%s:%s", i > 0 ? ", " : "",
                 graph->layers[node->layer]->path, mb_dtype_name(node->call.output_type));
    }
    ck_assert_str_eq(text, wanted);
}

START_TEST(a_graph_of_one_type_is_left_as_it_is)
{
    mb_graph_t *graph = graph_of(MODEL("float32", "float32", "float32"));
    bind(graph);
    check_nodes(graph, "x:float32, a:float32, b:float32, c:float32");
    mb_graph_destroy(graph);
}
END_TEST

START_TEST(a_tensor_changes_type_once_for_each_type_that_is_asked_for)
{
    mb_graph_t *graph = graph_of(MODEL("mixed_bfloat16", "float32", "float32"));
    bind(graph);
    check_nodes(graph, "x:float32, x as bfloat16:bfloat16, a:bfloat16, a as float32:float32, "
                       "b:float32, c:float32");
    ck_assert_int_eq(graph->nodes[4].inputs[0], 3);
    ck_assert_int_eq(graph->nodes[5].inputs[0], 3);
    ck_assert_int_eq(graph->nodes[3].n_uses, 2);
    ck_assert_int_eq(graph->outputs[0].node, 4);
    ck_assert_int_eq(graph->outputs[1].node, 5);
    ck_assert(graph->nodes[3].needs_gradient && !graph->nodes[1].needs_gradient);
    mb_graph_destroy(graph);
}
END_TEST

START_TEST(a_word_for_all_replaces_the_policies)
{
    mb_graph_t *graph = graph_of(MODEL("float32", "float32", "float32"));
    mb_graph_compute_in(graph, MB_F16);
    bind(graph);
    check_nodes(graph, "x:float32, x as float16:float16, a:float16, b:float16, c:float16");
    mb_graph_destroy(graph);
}
END_TEST

START_TEST(layers_that_a_mixed_model_keeps_in_float32_stay_so)
{
    mb_graph_t *graph = graph_of(MODEL("mixed_bfloat16", "float32", "mixed_bfloat16"));
    mb_graph_compute_in(graph, MB_F16);
    bind(graph);
    check_nodes(graph, "x:float32, x as float16:float16, a:float16, a as float32:float32, "
                       "b:float32, c:float16");
    mb_graph_destroy(graph);
    graph = graph_of(MODEL("mixed_bfloat16", "float32", "mixed_bfloat16"));
    mb_graph_compute_in(graph, MB_F32);
    bind(graph);
    check_nodes(graph, "x:float32, a:float32, b:float32, c:float32");
    mb_graph_destroy(graph);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("types in a graph");
    TCase *t = tcase_create("casts");
    tcase_add_test(t, a_graph_of_one_type_is_left_as_it_is);
    tcase_add_test(t, a_tensor_changes_type_once_for_each_type_that_is_asked_for);
    tcase_add_test(t, a_word_for_all_replaces_the_policies);
    tcase_add_test(t, layers_that_a_mixed_model_keeps_in_float32_stay_so);
    suite_add_tcase(suite, t);
    return op_main(suite);
}
