/* Model files that are refused: with which status and which words. */
#include "support/graph_text.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static void check_says(const char *part)
{
    ck_assert_msg(strstr(mb_error_get(), part) != NULL, "'%s' lacks '%s'", mb_error_get(), part);
}

static void check_refused(const char *quoted, mb_status_t status, const char *part)
{
    char *config = json_quoted(quoted);
    mb_graph_t *graph = NULL;
    mb_status_t found = mb_graph_create(config, "model.h5", &graph);
    ck_assert_msg(found == status, "%d: %s", (int)found, mb_error_get());
    ck_assert_ptr_null(graph);
    ck_assert_msg(strncmp(mb_error_get(), "model.h5: ", 10) == 0, "%s", mb_error_get());
    check_says(part);
    free(config);
}

static void check_unbound(const char *quoted, mb_status_t status, const char *part)
{
    char *config = json_quoted(quoted);
    mb_graph_t *graph = NULL;
    ck_assert_msg(mb_graph_create(config, "model.h5", &graph) == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(mb_graph_bind(graph, NULL), status);
    ck_assert_msg(strncmp(mb_error_get(), "model.h5: ", 10) == 0, "%s", mb_error_get());
    check_says(part);
    mb_graph_destroy(graph);
    free(config);
}

#define INPUT(name)                                                                                \
    "{'class_name': 'InputLayer', 'name': '" name "', 'inbound_nodes': [], 'config': {'name': "    \
    "'" name "', 'batch_shape': [null, 3]}}"
#define CALL(class, name, keys, inbound)                                                           \
    "{'class_name': '" class "', 'name': '" name "', 'inbound_nodes': " inbound                    \
                             ", 'config': {'name': '" name "'" keys "}}"
#define DENSE(name, inbound) CALL("Dense", name, ", 'units': 3", inbound)
#define FUNCTIONAL(layers, inputs, outputs)                                                        \
    "{'class_name': 'Functional', 'config': {'name': 'f', 'layers': [" layers                      \
    "], 'input_layers': " inputs ", 'output_layers': " outputs "}}"
#define ONE_LAYER(layer) FUNCTIONAL(INPUT("x") ", " layer, "[['x', 0, 0]]", "[['d', 0, 0]]")
#define ONE_INPUT(keys)                                                                            \
    FUNCTIONAL("{'class_name': 'InputLayer', 'name': 'x', 'inbound_nodes': [], 'config': {'name':" \
               " 'x', " keys "}}, " DENSE("d", "[[['x', 0, 0]]]"),                                 \
               "['x', 0, 0]", "['d', 0, 0]")

START_TEST(text_that_is_no_model_is_refused)
{
    check_refused("", MB_ERR_FORMAT, "malformed JSON at line 1");
    check_refused("[1]", MB_ERR_FORMAT, "model_config: the configuration must be a JSON object");
    check_refused("{}", MB_ERR_FORMAT, "key 'class_name' must be a string");
    check_refused("{'class_name': 'Functional'}", MB_ERR_FORMAT, "a Functional without a name");
    check_refused("{'class_name': 'MyModel', 'config': {}}", MB_ERR_UNSUPPORTED,
                  "a model of class 'MyModel' cannot be rebuilt");
    check_refused("{'class_name': 'Sequential', 'config': {'name': 's', 'layers': []}}",
                  MB_ERR_FORMAT, "model 's' has 0 layers");
    check_refused("{'class_name': 'Sequential', 'config': {'name': 's', 'layers': 3}}",
                  MB_ERR_FORMAT, "'layers' must be a list");
    check_refused(
        "{'class_name': 'Sequential', 'config': {'name': 's', 'layers': [" INPUT("x") "]}}",
        MB_ERR_FORMAT, "no layers behind its input");
}
END_TEST

/* An operation of keras.ops, as the file of a model in Keras 3 has it. ARGS: what it is called
 * with. */
#define TENSOR                                                                                     \
    "{'class_name': '__keras_tensor__', 'config': {'shape': [null, 3], 'keras_history': ['x', 0, " \
    "0]}}"
#define ARRAY(values)                                                                              \
    "{'class_name': '__tensor__', 'config': {'value': " values ", 'dtype': 'float32'}}"
#define OPERATION(class, keys, args)                                                               \
    ONE_LAYER("{'class_name': '" class "', 'name': 'd', 'module': 'keras.src.ops.numpy', "         \
                                       "'inbound_nodes': [{'args': [" args                         \
                                       "], 'kwargs': {}}], 'config': {'name': 'd'" keys "}}")
#define SLICE(start, stop, step)                                                                   \
    "{'class_name': '__slice__', 'config': {'start': " start ", 'stop': " stop ", 'step': " step   \
    "}}"
#define WHOLE SLICE("null", "null", "null")

START_TEST(an_operation_that_cannot_be_is_refused_by_name)
{
    check_refused(OPERATION("Cumsum", ", 'axis': 1", TENSOR), MB_ERR_UNSUPPORTED,
                  "'d' is keras.ops' Cumsum, which is not known");
    check_refused(OPERATION("Mean", ", 'axis': 1, 'where': 2", TENSOR), MB_ERR_UNSUPPORTED,
                  "operation 'd' (Mean): key 'where' is not known");
    check_refused(OPERATION("Add", "", TENSOR), MB_ERR_UNSUPPORTED,
                  "argument 'x2' must be a tensor, a number or an array of numbers");
    check_refused(OPERATION("Add", "", TENSOR ", " ARRAY("[1.0, [2.0], 3.0]")), MB_ERR_UNSUPPORTED,
                  "argument 'x2' must be a tensor, a number or an array of numbers");
    check_unbound(OPERATION("Add", "", TENSOR ", " ARRAY("[1.0, 2.0]")), MB_ERR_SHAPE,
                  "an array of (2,) does not fit (3,) a sample");
    check_unbound(OPERATION("Add", "", TENSOR ", " ARRAY("[[1, 2, 3], [4, 5, 6]]")), MB_ERR_SHAPE,
                  "an array of (2, 3) does not fit (3,) a sample");
    check_refused(OPERATION("Add", "", "1.0, 2.0"), MB_ERR_FORMAT, "called without a tensor");
    check_refused(OPERATION("GetItem", "", TENSOR ", [" WHOLE ", " SLICE("null", "null", "-1") "]"),
                  MB_ERR_UNSUPPORTED, "steps backwards");
    check_refused(OPERATION("GetItem", "", TENSOR ", [" WHOLE ", [0, 1]]"), MB_ERR_UNSUPPORTED,
                  "holds something else");
    check_unbound(OPERATION("GetItem", "", TENSOR ", [0]"), MB_ERR_UNSUPPORTED,
                  "must begin with ':'");
    check_unbound(OPERATION("GetItem", "", TENSOR ", [" WHOLE ", 3]"), MB_ERR_SHAPE,
                  "index 3 lies outside of 3 elements");
    check_unbound(OPERATION("GetItem", "", TENSOR ", [" WHOLE ", " SLICE("3", "null", "null") "]"),
                  MB_ERR_SHAPE, "takes nothing of 3 elements");
    check_unbound(OPERATION("Sum", ", 'axis': null", TENSOR), MB_ERR_UNSUPPORTED,
                  "reduces over all axes");
    check_unbound(OPERATION("Sum", ", 'axis': [0, 1]", TENSOR), MB_ERR_UNSUPPORTED,
                  "axis 0 is that of the samples");
    check_unbound(OPERATION("Transpose", ", 'axes': [1, 0]", TENSOR), MB_ERR_UNSUPPORTED,
                  "leaves 0, the samples, first");
    check_unbound(OPERATION("Reshape", ", 'newshape': [3, -1]", TENSOR), MB_ERR_UNSUPPORTED,
                  "so that they stay apart");
    check_unbound(OPERATION("Flip", ", 'axis': 2", TENSOR), MB_ERR_SHAPE,
                  "axis 2 is none of the 2 axes");
    check_unbound(OPERATION("Split", ", 'indices_or_sections': 2, 'axis': 1", TENSOR), MB_ERR_SHAPE,
                  "3 elements cannot be divided into 2 parts");
    check_unbound(OPERATION("Split", ", 'indices_or_sections': [4], 'axis': 1", TENSOR),
                  MB_ERR_SHAPE, "part 0 takes nothing of the 3 elements");
    check_unbound(OPERATION("Unstack", ", 'num': 2, 'axis': 1", TENSOR), MB_ERR_SHAPE,
                  "there are 3 elements along the axis, not 2");
}
END_TEST

#define LAMBDA(function, keywords)                                                                 \
    ONE_LAYER(CALL("TFOpLambda", "d", ", 'function': '" function "', 'dtype': 'float32'",          \
                   "[['x', 0, 0, {" keywords "}]]"))

START_TEST(a_function_of_tensorflow_that_cannot_be_is_refused_by_name)
{
    check_refused(LAMBDA("math.cumsum", ""), MB_ERR_UNSUPPORTED,
                  "'d' calls TensorFlow's math.cumsum, which is not known");
    check_refused(LAMBDA("math.reduce_men", "'axis': 1"), MB_ERR_UNSUPPORTED,
                  "the nearest one is 'math.reduce_mean'");
    check_refused(LAMBDA("linalg.matmul", "'b': ['x', 0, 0], 'transpose_b': true"),
                  MB_ERR_UNSUPPORTED, "argument 'transpose_b' is not obeyed");
    check_unbound(LAMBDA("math.reduce_sum", "'name': null"), MB_ERR_UNSUPPORTED,
                  "reduces over all axes");
}
END_TEST

START_TEST(an_unknown_layer_is_named_with_the_nearest_class)
{
    check_refused(ONE_LAYER(CALL("Dens", "d", "", "[[['x', 0, 0]]]")), MB_ERR_UNSUPPORTED,
                  "layer 'd' is of class 'Dens', which is not known; the nearest one is 'Dense'; "
                  "doc/keras.md lists the layers");
    ck_assert_ptr_null(strstr(mb_error_get(), "Conv2D"));
}
END_TEST

START_TEST(where_no_class_is_near_none_is_suggested)
{
    check_refused(
        ONE_LAYER(CALL("Xylophone", "d", "", "[[['x', 0, 0]]]")), MB_ERR_UNSUPPORTED,
        "layer 'd' is of class 'Xylophone', which is not known, and none has a name near it; "
        "doc/keras.md lists the layers");
}
END_TEST

START_TEST(keys_that_nobody_obeys_are_refused_by_name)
{
    check_refused(ONE_LAYER(CALL("Dense", "d", ", 'units': 3, 'colour': 1", "[[['x', 0, 0]]]")),
                  MB_ERR_UNSUPPORTED, "layer 'd' (Dense): key 'colour' is not known");
    check_refused("{'class_name': 'Sequential', 'config': {'name': 's', 'trainabl': true, "
                  "'layers': []}}",
                  MB_ERR_UNSUPPORTED,
                  "model 's' (Sequential): key 'trainabl' is not known; the "
                  "nearest one is 'trainable'");
    check_refused("{'class_name': 'Sequential', 'extra': 1, 'config': {'name': 's'}}",
                  MB_ERR_UNSUPPORTED, "model_config: key 'extra' is not known");
    check_refused(ONE_LAYER(CALL("Dense", "d", ", 'units': 3, 'quantization_config': {'a': 1}",
                                 "[[['x', 0, 0]]]")),
                  MB_ERR_UNSUPPORTED, "key 'quantization_config'");
}
END_TEST

START_TEST(a_policy_whose_weights_are_not_float32_is_refused)
{
    check_refused(
        ONE_LAYER(CALL("Dense", "d", ", 'units': 3, 'dtype': 'bfloat16'", "[[['x', 0, 0]]]")),
        MB_ERR_UNSUPPORTED, "layer 'd' (Dense): dtype policy 'bfloat16'");
    check_refused(ONE_LAYER(CALL("Dense", "d",
                                 ", 'units': 3, 'dtype': {'module': 'keras', 'class_name': "
                                 "'DTypePolicy', 'config': {'name': 'float16'}}",
                                 "[[['x', 0, 0]]]")),
                  MB_ERR_UNSUPPORTED, "dtype policy 'float16' is not obeyed");
}
END_TEST

START_TEST(inputs_of_other_kinds_are_refused)
{
    check_refused(ONE_INPUT("'sparse': true"), MB_ERR_UNSUPPORTED, "key 'sparse' is true");
    check_refused(ONE_INPUT("'dtype': 'string'"), MB_ERR_UNSUPPORTED,
                  "an input of texts is not supported; mbrun data gives");
    check_refused(ONE_INPUT("'batch_shape': [null, 0]"), MB_ERR_FORMAT,
                  "dimension 0 of key 'batch_shape' must be null or a positive integer");
    check_refused(ONE_INPUT("'batch_shape': []"), MB_ERR_FORMAT, "must be a list of dimensions");
    check_refused(ONE_INPUT("'batch_shape': [null,1,1,1,1,1,1,1,1,1]"), MB_ERR_UNSUPPORTED,
                  "has 9 dimensions a sample");
    check_unbound(ONE_INPUT("'batch_shape': [null, 16777217, 16777217]"), MB_ERR_SHAPE,
                  "at most 2^48");
}
END_TEST

START_TEST(references_that_lead_nowhere_are_refused)
{
    check_refused(ONE_LAYER(DENSE("d", "[[['y', 0, 0]]]")), MB_ERR_FORMAT,
                  "d takes a tensor of layer 'y', which is not in the model");
    check_refused(ONE_LAYER(DENSE("d", "[[['x', 0, 1]]]")), MB_ERR_FORMAT,
                  "takes output 1 of layer 'x' (InputLayer), which has 1 output");
    check_refused(ONE_LAYER(DENSE("d", "[[['d', 1, 0]]]")), MB_ERR_FORMAT,
                  "takes call 1 of layer 'd', which is called 1 time");
    check_refused(ONE_LAYER(DENSE("d", "[[['x', 0, -1]]]")), MB_ERR_FORMAT, "names no output");
    check_refused(ONE_LAYER(DENSE("d", "[[['x', 9223372036854775807, 0]]]")), MB_ERR_FORMAT,
                  "names no output");
    check_refused(ONE_LAYER(DENSE("d", "[]")), MB_ERR_FORMAT,
                  "layer 'd' (Dense) is never called: its inbound_nodes are empty");
    check_refused(ONE_LAYER(DENSE("d", "7")), MB_ERR_FORMAT, "inbound_nodes are missing");
    check_refused(ONE_LAYER(DENSE("d", "[[]]")), MB_ERR_FORMAT, "called without a tensor");
    check_refused(ONE_LAYER(DENSE("d", "[[['_CONSTANT_VALUE', -1, 2.5, {}]]]")), MB_ERR_UNSUPPORTED,
                  "layer 'd' (Dense), call 0: a tensor [layer, call, output] is wanted");
}
END_TEST

START_TEST(cycles_and_layers_without_an_effect_are_refused)
{
    check_refused(ONE_LAYER(DENSE("d", "[[['d', 0, 0]]]")), MB_ERR_FORMAT,
                  "layer 'd' depends on its own output");
    check_refused(ONE_LAYER(DENSE("a", "[[['b', 0, 0]]]") ", " DENSE(
                      "b", "[[['a', 0, 0]]]") ", " DENSE("d", "[[['x', 0, 0]]]")),
                  MB_ERR_FORMAT, "depends on its own output (a cycle)");
    check_refused(ONE_LAYER(DENSE("a", "[[['x', 0, 0]]]") ", " DENSE("d", "[[['x', 0, 0]]]")),
                  MB_ERR_FORMAT, "no output of the model depends on call 0 of layer 'a'");
    check_refused(FUNCTIONAL(INPUT("x") ", " DENSE("d", "[[['x', 0, 0]]]"), "['x', 0, 0]",
                             "[['d', 0, 0], ['x', 0, 0]]"),
                  MB_ERR_UNSUPPORTED, "its output 'x' is one of its inputs");
}
END_TEST

START_TEST(names_are_there_once_and_can_be_paths)
{
    check_refused(ONE_LAYER(DENSE("d", "[[['x', 0, 0]]]") ", " DENSE("d", "[[['x', 0, 0]]]")),
                  MB_ERR_FORMAT, "model 'f' has two layers with the name 'd'");
    check_refused(ONE_LAYER(DENSE("", "[[['x', 0, 0]]]")), MB_ERR_FORMAT, "cannot name a Dense");
    check_refused(ONE_LAYER(DENSE("a//b", "[[['x', 0, 0]]]")), MB_ERR_FORMAT, "cannot name");
    check_refused(ONE_LAYER(DENSE("..", "[[['x', 0, 0]]]")), MB_ERR_FORMAT, "cannot name");
    check_refused(ONE_LAYER("{'class_name': 'Dense', 'name': 'd', 'inbound_nodes': [], 'config': "
                            "{'name': 'e', 'units': 1}}"),
                  MB_ERR_FORMAT, "a Dense is called 'd' and 'e' at once");
}
END_TEST

START_TEST(the_ends_of_a_functional_model_must_fit)
{
    const char *missing = "model 'f', output_layers: missing";
    check_refused("{'class_name': 'Functional', 'config': {'name': 'f', 'layers': [" INPUT(
                      "x") "], 'input_layers': ['x', 0, 0]}}",
                  MB_ERR_FORMAT, missing);
    check_refused(FUNCTIONAL(INPUT("x") ", " DENSE("d", "[[['x', 0, 0]]]"), "[]", "['d', 0, 0]"),
                  MB_ERR_FORMAT, "model 'f', input_layers: empty");
    check_refused(
        FUNCTIONAL(INPUT("x") ", " DENSE("d", "[[['x', 0, 0]]]"), "['d', 0, 0]", "['d', 0, 0]"),
        MB_ERR_FORMAT, "input_layers must name InputLayers");
    check_refused(FUNCTIONAL(INPUT("x") ", " INPUT("y") ", " DENSE("d", "[[['x', 0, 0]]]"),
                             "['x', 0, 0]", "['d', 0, 0]"),
                  MB_ERR_FORMAT, "the InputLayer 'y' is missing in input_layers");
    check_refused(FUNCTIONAL(INPUT("x") ", " DENSE("d", "[[['x', 0, 0]]]"),
                             "[['x', 0, 0], ['x', 0, 0]]", "['d', 0, 0]"),
                  MB_ERR_FORMAT, "'x' is there twice");
}
END_TEST

START_TEST(arguments_of_calls_are_obeyed_or_refused)
{
    check_refused(ONE_LAYER(DENSE("d", "[[['x', 0, 0, {'scale': 2}]]]")), MB_ERR_UNSUPPORTED,
                  "layer 'd' (Dense), call 0: key 'scale' is not known");
    check_refused(
        ONE_LAYER(CALL("RepeatVector", "d", ", 'n': 2", "[[['x', 0, 0, {'mask': ['x', 0, 0]}]]]")),
        MB_ERR_UNSUPPORTED, "a tensor as argument 'mask'");
    check_refused(ONE_LAYER(DENSE("d", "[[['x', 0, 0, 5]]]")), MB_ERR_FORMAT,
                  "the keyword arguments must be an object");
    check_refused(ONE_LAYER(DENSE("d", "[{'args': 1, 'kwargs': {}}]")), MB_ERR_FORMAT,
                  "'args' must be a list");
    check_refused(ONE_LAYER(DENSE("d", "[{'args': [1], 'kwargs': {}}]")), MB_ERR_UNSUPPORTED,
                  "a constant or another object");
    check_refused(ONE_LAYER(CALL("MultiHeadAttention", "d", ", 'num_heads': 1, 'key_dim': 2",
                                 "[[['x', 0, 0, {'key': ['x', 0, 0]}]]]")),
                  MB_ERR_UNSUPPORTED, "argument 'key' without 'value'");
    check_refused(ONE_LAYER(CALL("MultiHeadAttention", "d", ", 'num_heads': 1, 'key_dim': 2",
                                 "[[['x', 0, 0, {'query': ['x', 0, 0]}]]]")),
                  MB_ERR_FORMAT, "argument 'query' is given twice");
}
END_TEST

START_TEST(more_tensors_than_a_call_may_take_are_refused)
{
    mb_str_t text = {0};
    mb_str_add(&text, "[[");
    for (int i = 0; i < MB_MAX_INPUTS + 1; i++)
        mb_str_add(&text, i == 0 ? "['x', 0, 0]" : ", ['x', 0, 0]");
    mb_str_add(&text, "]]");
    mb_str_t model = {0};
    mb_str_addf(&model, ONE_LAYER(CALL("Add", "d", "", "%s")), text.text);
    check_refused(model.text, MB_ERR_UNSUPPORTED, "called with 17 tensors, at most 16");
    mb_str_free(&text);
    mb_str_free(&model);
}
END_TEST

/* Each model calls the one inside it twice: 2^20 calls out of a few kilobytes. */
START_TEST(models_that_double_each_other_are_refused)
{
    mb_str_t text = {0};
    const char *open = "{'name': 'm', 'input_layers': ['x', 0, 0], 'layers': [" INPUT("x") ", ";
    mb_str_add(&text, "{'class_name': 'Functional', 'config': ");
    for (int i = 0; i < 20; i++)
        mb_str_addf(&text,
                    "%s{'class_name': 'Functional', 'name': 'm', 'inbound_nodes': "
                    "[[['x', 0, 0]], [['m', 1, 0]]], 'config': ",
                    open);
    mb_str_addf(&text, "%s%s", open, DENSE("d", "[[['x', 0, 0]]]"));
    mb_str_add(&text, "], 'output_layers': ['d', 0, 0]}}");
    for (int i = 0; i < 20; i++)
        mb_str_add(&text, "], 'output_layers': ['m', 2, 0]}}");
    check_refused(text.text, MB_ERR_UNSUPPORTED, "opens into more than 65536 calls");
    mb_str_free(&text);
}
END_TEST

START_TEST(absurd_nesting_is_refused)
{
    mb_str_t text = {0};
    for (int i = 0; i < 40; i++)
        mb_str_addf(&text, "{'class_name': 'Sequential', 'config': {'name': 's%d', 'layers': [", i);
    mb_str_add(&text, "1");
    for (int i = 0; i < 40; i++)
        mb_str_add(&text, "]}}");
    check_refused(text.text, MB_ERR_UNSUPPORTED, "is nested more than 32 deep");
    mb_str_free(&text);
}
END_TEST

START_TEST(a_nested_model_must_get_what_its_inputs_declare)
{
    const char *model =
        "{'class_name': 'Sequential', 'config': {'name': 's', 'layers': [{'class_name': "
        "'InputLayer', 'config': {'name': 'i', 'batch_shape': [null, 5]}}, {'class_name': "
        "'Sequential', 'config': {'name': 'inner', 'layers': [{'class_name': 'InputLayer', "
        "'config': {'name': 'j', 'batch_shape': [null, 8]}}, {'class_name': 'Dense', 'config': "
        "{'name': 'd', 'units': 2}}]}}]}}";
    check_unbound(model, MB_ERR_SHAPE,
                  "model 'inner': its input 'j' takes (8,), but layer 'i' gives it (5,)");
}
END_TEST

/* A model whose input has steps of 3 numbers, and TimeDistributed around a model of one layer. */
#define DISTRIBUTED(shape, keys, inner)                                                            \
    "{'class_name': 'Sequential', 'config': {'name': 's', 'layers': [{'class_name': "              \
    "'InputLayer', 'config': {'name': 'i', 'batch_shape': " shape                                  \
    "}}, {'class_name': 'TimeDistributed', 'config': {'name': 'td'" keys                           \
    ", 'layer': {'class_name': 'Sequential', 'config': {'name': 'inner', 'layers': "               \
    "[{'class_name': 'InputLayer', 'config': {'name': 'j', 'batch_shape': [null, 3]}}, " inner     \
    "]}}}}]}}"

START_TEST(what_a_model_under_time_distributed_cannot_do_is_refused)
{
    const char *dense = "{'class_name': 'Dense', 'config': {'name': 'd', 'units': 2}}";
    char text[2048];
    snprintf(text, sizeof(text), DISTRIBUTED("[null, 5, 4]", "", "%s"), dense);
    check_unbound(text, MB_ERR_SHAPE,
                  "model 'td': its input 'j' takes (?, 3), but layer 'i' gives it (5, 4)");
    snprintf(text, sizeof(text), DISTRIBUTED("[null, 5, 3]", ", 'times': 2", "%s"), dense);
    check_refused(text, MB_ERR_UNSUPPORTED, "layer 'td' (TimeDistributed): key 'times'");
    check_unbound(
        DISTRIBUTED("[null, 5, 3]", "", "{'class_name': 'Masking', 'config': {'name': 'm'}}"),
        MB_ERR_UNSUPPORTED, "put it in front of TimeDistributed");
    check_unbound(DISTRIBUTED("[null, 5, 3]", "",
                              "{'class_name': 'Embedding', 'config': {'name': 'e', 'input_dim': 4, "
                              "'output_dim': 2, 'mask_zero': true}}"),
                  MB_ERR_UNSUPPORTED, "set mask_zero to false");
    check_refused(DISTRIBUTED("[null, 5, 3]", "",
                              "{'class_name': 'LSTM', 'config': {'name': 'l', 'units': 2, "
                              "'return_state': true}}"),
                  MB_ERR_UNSUPPORTED, "has several outputs");
    check_refused(DISTRIBUTED("[null, 5, 3]", "",
                              "{'class_name': 'Square', 'module': 'keras.src.ops.numpy', 'config': "
                              "{'name': 'o'}}"),
                  MB_ERR_UNSUPPORTED, "use a layer that does it there");
}
END_TEST

START_TEST(a_weight_that_follows_from_nothing_or_is_too_large_is_refused)
{
    check_unbound(ONE_INPUT("'batch_shape': [null, null]"), MB_ERR_SHAPE,
                  "input 'x': the model leaves its shape open: (?,)");
    check_unbound(
        FUNCTIONAL("{'class_name': 'InputLayer', 'name': 'x', 'inbound_nodes': [], 'config': "
                   "{'name': 'x', 'batch_shape': [null, 2000000000]}}, "
                   "{'class_name': 'Dense', 'name': 'd', 'inbound_nodes': [[['x', 0, 0]]], "
                   "'config': {'name': 'd', 'units': 2000000000}}",
                   "['x', 0, 0]", "['d', 0, 0]"),
        MB_ERR_SHAPE, "layer 'd' (Dense): its weight 'kernel' would have");
}
END_TEST

#define KEEPS ", 'units': 3, 'return_sequences': true, 'stateful': true"
#define BATCHES_OF(n)                                                                              \
    "{'class_name': 'InputLayer', 'name': 'x', 'inbound_nodes': [], 'config': {'name': 'x', "      \
    "'batch_shape': [" n ", 4, 3]}}, "

START_TEST(layers_that_keep_states_need_a_batch_and_one_call)
{
    check_unbound(FUNCTIONAL(BATCHES_OF("null") CALL("LSTM", "d", KEEPS, "[[['x', 0, 0]]]"),
                             "['x', 0, 0]", "['d', 0, 0]"),
                  MB_ERR_UNSUPPORTED, "layer 'd' (LSTM): key 'stateful' is true, but the model's");
    check_unbound(
        FUNCTIONAL(BATCHES_OF("8") CALL("GRU", "d", KEEPS, "[[['x', 0, 0]], [['d', 0, 0]]]"),
                   "['x', 0, 0]", "['d', 1, 0]"),
        MB_ERR_UNSUPPORTED, "layer 'd' (GRU): key 'stateful' is true and the layer is called");
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("graph refused");
    TCase *tests = tcase_create("refused");
    tcase_add_test(tests, text_that_is_no_model_is_refused);
    tcase_add_test(tests, an_unknown_layer_is_named_with_the_nearest_class);
    tcase_add_test(tests, an_operation_that_cannot_be_is_refused_by_name);
    tcase_add_test(tests, a_function_of_tensorflow_that_cannot_be_is_refused_by_name);
    tcase_add_test(tests, where_no_class_is_near_none_is_suggested);
    tcase_add_test(tests, keys_that_nobody_obeys_are_refused_by_name);
    tcase_add_test(tests, a_policy_whose_weights_are_not_float32_is_refused);
    tcase_add_test(tests, inputs_of_other_kinds_are_refused);
    tcase_add_test(tests, references_that_lead_nowhere_are_refused);
    tcase_add_test(tests, cycles_and_layers_without_an_effect_are_refused);
    tcase_add_test(tests, names_are_there_once_and_can_be_paths);
    tcase_add_test(tests, the_ends_of_a_functional_model_must_fit);
    tcase_add_test(tests, arguments_of_calls_are_obeyed_or_refused);
    tcase_add_test(tests, more_tensors_than_a_call_may_take_are_refused);
    tcase_add_test(tests, models_that_double_each_other_are_refused);
    tcase_add_test(tests, absurd_nesting_is_refused);
    tcase_add_test(tests, a_nested_model_must_get_what_its_inputs_declare);
    tcase_add_test(tests, what_a_model_under_time_distributed_cannot_do_is_refused);
    tcase_add_test(tests, a_weight_that_follows_from_nothing_or_is_too_large_is_refused);
    tcase_add_test(tests, layers_that_keep_states_need_a_batch_and_one_call);
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
