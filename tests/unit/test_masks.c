/* Masks through the graph: which calls get one and what it is made of, what of those that a file
 * writes stays, and what losses are told of them. */
#include "engine/mask_values.h"
#include "engine/row_weights.h"
#include "support/graph_text.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define T(name)                                                                                    \
    "{'class_name': '__keras_tensor__', 'config': {'keras_history': ['" name "', 0, 0]}}"
#define LAYER(class_name, name, keys, args, kwargs)                                                \
    "{'module': 'keras.layers', 'class_name': '" class_name "', 'name': '" name                    \
    "', 'config': {'name': '" name "'" keys "}, 'inbound_nodes': [{'args': [" args                 \
    "], 'kwargs': {" kwargs "}}]}"
#define OPERATION(class_name, name, keys, args)                                                    \
    "{'module': 'keras.src.ops.numpy', 'class_name': '" class_name "', 'name': '" name             \
    "', 'config': {'name': '" name "'" keys "}, 'inbound_nodes': [{'args': [" args                 \
    "], 'kwargs': {}}]}"
#define INPUT(name, shape, type)                                                                   \
    "{'module': 'keras.layers', 'class_name': 'InputLayer', 'name': '" name                        \
    "', 'config': {'name': '" name "', 'batch_shape': [null, " shape "], 'dtype': '" type          \
    "'}, 'inbound_nodes': []}"
#define MODEL(layers, inputs)                                                                      \
    "{'class_name': 'Functional', 'config': {'name': 'm', 'layers': [" layers                      \
    "], 'input_layers': [" inputs "], 'output_layers': [['y', 0, 0]]}}"
#define IDS INPUT("x", "4", "int32") ", "
#define TABLE(from, name)                                                                          \
    LAYER("Embedding", name, ", 'input_dim': 5, 'output_dim': 3, 'mask_zero': true", T(from), "")  \
    ", "
#define ONE "['x', 0, 0]"

static mb_graph_t *graph_of(const char *text)
{
    char *json = json_quoted(text);
    mb_graph_t *graph;
    ck_assert_msg(mb_graph_create(json, "a test", &graph) == MB_OK, "%s", mb_error_get());
    ck_assert_msg(mb_graph_bind(graph, NULL) == MB_OK, "%s", mb_error_get());
    free(json);
    return graph;
}

static const mb_node_t *node_of(const mb_graph_t *graph, const char *name)
{
    for (int k = 0; k < graph->n_nodes; k++) {
        if (strcmp(graph->nodes[k].call.layer->name, name) == 0)
            return &graph->nodes[k];
    }
    ck_abort_msg("no node '%s'", name);
}

/* The class of what writes the mask of a call's first input; "": it gets none. */
static const char *mask_of(const mb_graph_t *graph, const char *name)
{
    const mb_node_t *node = node_of(graph, name);
    int mask = node->call.masks[0];
    ck_assert_int_eq(node->call.n_masks, mask > 0);
    return mask == 0 ? "" : graph->nodes[node->inputs[mask]].call.layer->class_->name;
}

START_TEST(a_mask_goes_through_layers_to_the_one_that_takes_it)
{
    mb_graph_t *graph = graph_of(
        MODEL(IDS TABLE("x", "e") LAYER("Dense", "d", ", 'units': 2", T("e"), "") ", " LAYER(
                  "LSTM", "l", ", 'units': 2, 'return_sequences': true", T("d"),
                  "") ", " LAYER("Dense", "y", ", 'units': 2", T("l"), ""),
              ONE));
    const mb_node_t *lstm = node_of(graph, "l");
    ck_assert_int_eq(graph->n_nodes, 6);
    ck_assert_str_eq(mask_of(graph, "l"), "Mask");
    ck_assert_str_eq(mask_of(graph, "d"), "");
    ck_assert_int_eq(lstm->call.n_inputs, 2);
    ck_assert(!graph->nodes[lstm->inputs[1]].needs_gradient && lstm->needs_gradient);
    ck_assert_ptr_nonnull(graph->outputs[0].mask);
    ck_assert_int_eq(graph->outputs[0].mask->rule.kind, MB_MASK_NOT_ZERO);
    mb_graph_destroy(graph);
}
END_TEST

START_TEST(a_layer_that_knows_no_masks_drops_them)
{
    mb_graph_t *graph = graph_of(
        MODEL(IDS TABLE("x", "e") LAYER("Conv1D", "c", ", 'filters': 2, 'kernel_size': 1", T("e"),
                                        "") ", " LAYER("LSTM", "y", ", 'units': 2", T("c"), ""),
              ONE));
    ck_assert_str_eq(mask_of(graph, "y"), "");
    ck_assert_int_eq(graph->n_nodes, 4);
    mb_graph_destroy(graph);
}
END_TEST

#define WITH_MASK(number)                                                                          \
    MODEL(IDS TABLE("x", "e") OPERATION("NotEqual", "n", "", T("x") ", " number) ", " LAYER(       \
              "GRU", "y", ", 'units': 2", T("e"), "'mask': " T("n")),                              \
          ONE)

START_TEST(a_written_mask_that_says_the_same_is_dropped_with_its_operations)
{
    mb_graph_t *graph = graph_of(WITH_MASK("0"));
    ck_assert_str_eq(mask_of(graph, "y"), "Mask");
    for (int k = 0; k < graph->n_nodes; k++)
        ck_assert_str_ne(graph->nodes[k].call.layer->class_->name, "NotEqual");
    mb_graph_destroy(graph);
}
END_TEST

START_TEST(a_written_mask_that_says_something_else_is_obeyed)
{
    mb_graph_t *graph = graph_of(WITH_MASK("2"));
    ck_assert_str_eq(mask_of(graph, "y"), "NotEqual");
    mb_graph_destroy(graph);
}
END_TEST

#define TWO "['x', 0, 0], ['z', 0, 0]"
#define JOINED(axis)                                                                               \
    MODEL(IDS INPUT("z", "4, 3", "float32") ", " TABLE("x", "e")                                   \
              LAYER("Masking", "k", ", 'mask_value': 0.5", T("z"), "") ", " LAYER(                 \
                  "Concatenate", "y", ", 'axis': " axis, "[" T("e") ", " T("k") "]", ""),          \
          TWO)

/* x = 1 0 2 0; z is 0.5 all along at its first and third position. */
static void check_joined(const char *text, int64_t count, const float *wanted)
{
    static const int32_t ids[] = {1, 0, 2, 0};
    static const float z[] = {0.5F, 0.5F, 0.5F, 0, 0.5F, 0.5F, 0.5F, 0.5F, 0.5F, 1, 2, 3};
    mb_graph_t *graph = graph_of(text);
    mb_mask_values_t *values = NULL;
    ck_assert_msg(mb_mask_values_create(graph, 0, &values) == MB_OK, "%s", mb_error_get());
    const void *inputs[2];
    for (int i = 0; i < values->n; i++)
        inputs[i] = values->inputs[i].as_int ? (const void *)ids : (const void *)z;
    ck_assert_int_eq(mb_shape_elements(&values->mask->shape), count);
    const float *found = mb_mask_values_of(values, inputs);
    for (int64_t i = 0; i < count; i++)
        ck_assert_float_eq(found[i], wanted[i]);
    mb_mask_values_destroy(values);
    mb_graph_destroy(graph);
}

START_TEST(masks_are_joined_as_their_tensors_are)
{
    static const float along_columns[] = {1, 1, 1, 1}, along_steps[] = {1, 0, 1, 0, 0, 1, 0, 1};
    check_joined(JOINED("-1"), 4, along_columns);
    check_joined(JOINED("1"), 8, along_steps);
}
END_TEST

START_TEST(a_loss_has_no_mask_that_only_the_model_knows)
{
    mb_graph_t *graph = graph_of(MODEL(
        INPUT("x", "4, 3", "float32") ", " LAYER("Dense", "d", ", 'units': 3", T("x"),
                                                 "") ", " LAYER("Masking", "y", "", T("d"), ""),
        ONE));
    mb_mask_values_t *values = NULL;
    ck_assert_int_eq(mb_mask_values_create(graph, 0, &values), MB_ERR_UNSUPPORTED);
    ck_assert_msg(strstr(mb_error_get(), "what layer 'd' computes") != NULL, "%s", mb_error_get());
    mb_graph_destroy(graph);
}
END_TEST

/* As Keras 3's attention does; ADDED is behind it. */
START_TEST(attention_takes_the_masks_of_its_arguments_away)
{
    mb_graph_t *graph = graph_of(MODEL(
        IDS TABLE("x", "e")
            LAYER("MultiHeadAttention", "a", ", 'num_heads': 1, 'key_dim': 2", T("e") ", " T("e"),
                  "") ", " LAYER("Add", "added", "", "[" T("e") ", " T("a") "]",
                                 "") ", " LAYER("LSTM", "y", ", 'units': 2", T("added"), ""),
        ONE));
    ck_assert_str_eq(mask_of(graph, "a"), "Mask");
    ck_assert_str_eq(mask_of(graph, "y"), "");
    mb_graph_destroy(graph);
}
END_TEST

START_TEST(a_mask_of_before_that_a_file_writes_is_taken)
{
    mb_graph_t *graph = graph_of(MODEL(
        IDS TABLE("x", "e") OPERATION("NotEqual", "n", "", T("x") ", 0") ", " LAYER(
            "MultiHeadAttention", "a", ", 'num_heads': 1, 'key_dim': 2", T("e") ", " T("e"),
            "") ", " LAYER("Add", "added", "", "[" T("e") ", " T("a") "]",
                           "") ", " LAYER("LSTM", "y", ", 'units': 2, 'return_sequences': true",
                                          T("added"), "'mask': " T("n")),
        ONE));
    ck_assert_str_eq(mask_of(graph, "y"), "NotEqual");
    mb_graph_destroy(graph);
}
END_TEST

static mb_row_weights_t *weights_of(const mb_loss_t *loss, mb_source_t *source,
                                    mb_mask_values_t *mask)
{
    static const mb_class_weights_t none;
    static const int64_t batch[] = {0, 1};
    mb_row_weights_t *weights = NULL;
    mask->inputs[0].field = 0;
    ck_assert_int_eq(mb_row_weights_create(loss, source, 1, -1, &none, mask, &weights), MB_OK);
    ck_assert_int_eq(mb_row_weights_begin(weights, batch, 2), MB_OK);
    return weights;
}

/* Of eight values five count: each has 8 / 5 of the mean over all, or 1 of the sum. */
START_TEST(a_mask_multiplies_weights_and_divides_by_what_counts)
{
    static const int32_t ids[2][4] = {{1, 0, 2, 0}, {3, 4, 0, 1}}, labels[2][4] = {{0}};
    mb_array_t arrays[] = {{"x", {.rank = 1, .dim = {4}}, MB_I32, ids},
                           {"y", {.rank = 1, .dim = {4}}, MB_I32, labels}};
    mb_source_t *source = NULL;
    mb_mask_values_t *mask = NULL;
    mb_graph_t *graph =
        graph_of(MODEL(IDS TABLE("x", "e") LAYER("Dense", "y", ", 'units': 2", T("e"), ""), ONE));
    ck_assert_int_eq(mb_source_from_arrays(arrays, 2, 2, &source), MB_OK);
    ck_assert_int_eq(mb_mask_values_create(graph, 0, &mask), MB_OK);
    for (int sums = 0; sums < 2; sums++) {
        mb_loss_t loss = {.sparse = true, .sum = sums == 1, .rows = 4, .merged = 1, .columns = 2};
        mb_row_weights_t *weights = weights_of(&loss, source, mask);
        for (int i = 0; i < 2; i++) {
            float found[4];
            const void *inputs[] = {ids[i]};
            mb_row_weights_of(weights, labels[i], NULL, mb_mask_values_of(mask, inputs), found);
            for (int j = 0; j < 4; j++)
                ck_assert_float_eq(found[j], ids[i][j] == 0 ? 0.0F : sums ? 1.0F : 1.6F);
        }
        mb_row_weights_destroy(weights);
    }
    mb_mask_values_destroy(mask);
    mb_source_close(source);
    mb_graph_destroy(graph);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("masks");
    TCase *t = tcase_create("masks");
    tcase_add_test(t, a_mask_goes_through_layers_to_the_one_that_takes_it);
    tcase_add_test(t, a_layer_that_knows_no_masks_drops_them);
    tcase_add_test(t, a_written_mask_that_says_the_same_is_dropped_with_its_operations);
    tcase_add_test(t, a_written_mask_that_says_something_else_is_obeyed);
    tcase_add_test(t, masks_are_joined_as_their_tensors_are);
    tcase_add_test(t, a_loss_has_no_mask_that_only_the_model_knows);
    tcase_add_test(t, attention_takes_the_masks_of_its_arguments_away);
    tcase_add_test(t, a_mask_of_before_that_a_file_writes_is_taken);
    tcase_add_test(t, a_mask_multiplies_weights_and_divides_by_what_counts);
    suite_add_tcase(s, t);
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
