/* Keras' own int8 form: which weights become what, in which order, and what model_config says. That
 * Keras loads it: tests/keras/int8.sh. */
#include <check.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "store/keras_int8.h"
#include "support/store_files.h"

enum { TOKENS = 5, WIDTH = 3, UNITS = 4, TENSORS = 6 };

static const char model_config[] =
    "{\"class_name\": \"Functional\", \"config\": {\"name\": \"m\", \"layers\": ["
    "{\"class_name\": \"InputLayer\", \"config\": {\"name\": \"in\", \"dtype\": \"int32\"}},"
    "{\"class_name\": \"Embedding\", \"config\": {\"name\": \"words\", \"dtype\": \"float32\"}},"
    "{\"class_name\": \"Conv1D\", \"config\": {\"name\": \"conv\", \"dtype\": \"float32\"}},"
    "{\"class_name\": \"Dense\", \"config\": {\"name\": \"dense\", \"dtype\": \"float32\","
    " \"rate\": 0.1}},"
    "{\"class_name\": \"Dense\", \"config\": {\"name\": \"last\", \"dtype\": \"float32\"}}]}}";

/* Weights of words, conv, dense (two) and last (two), the kernels of words and dense encoded. */
typedef struct {
    mb_arena_t *arena;
    mb_keras_int8_t *keras;
    mb_tensor_spec_t tensors[TENSORS];
    int weights[TENSORS];
    mb_layer_spec_t layers[5];
    float values[TENSORS][TOKENS * UNITS * WIDTH];
    mb_encoded_t encoded[TENSORS];
    mb_piece_t pieces[TENSORS];
    mb_checkpoint_layout_t layout;
} fixture_t;

static fixture_t f;

static void encode(int tensor, const char *format, bool lookup)
{
    const mb_shape_t *shape = &f.tensors[tensor].shape;
    const mb_view_t view = {shape->dim[0], shape->dim[1], lookup};
    mb_format_t parsed;
    mb_encoded_free(&f.encoded[tensor]);
    ck_assert_int_eq(mb_format_parse(format, &parsed), MB_OK);
    ck_assert_int_eq(
        mb_encode(&parsed, MB_METHOD_MSE, &view, f.values[tensor], NULL, "w", &f.encoded[tensor]),
        MB_OK);
    f.tensors[tensor].encoding = &f.encoded[tensor].encoding;
    f.pieces[tensor].encoded = &f.encoded[tensor];
}

static void set_up(void)
{
    static const mb_tensor_spec_t tensors[TENSORS] = {
        {.name = "words/embeddings", .shape = {.rank = 2, .dim = {TOKENS, WIDTH}}},
        {.name = "conv/kernel", .shape = {.rank = 3, .dim = {1, WIDTH, WIDTH}}},
        {.name = "dense/kernel:0", .shape = {.rank = 2, .dim = {WIDTH, UNITS}}},
        {.name = "dense/bias:0", .shape = {.rank = 1, .dim = {UNITS}}},
        {.name = "last/kernel", .shape = {.rank = 2, .dim = {UNITS, 2}}},
        {.name = "last/bias", .shape = {.rank = 1, .dim = {2}}}};
    scratch_create();
    f = (fixture_t){.arena = mb_arena_create()};
    memcpy(f.tensors, tensors, sizeof tensors);
    for (int t = 0; t < TENSORS; t++) {
        int64_t count = mb_shape_elements(&tensors[t].shape);
        f.weights[t] = t;
        for (int64_t i = 0; i < count; i++)
            f.values[t][i] = (float)((7 * i + 3 * t) % 11) / 11.0f - 0.4f;
        f.pieces[t] = (mb_piece_t){.tensor = t, .count = count, .values = f.values[t]};
    }
    f.layers[0] = (mb_layer_spec_t){"in", 0, f.weights};
    f.layers[1] = (mb_layer_spec_t){"words", 1, f.weights};
    f.layers[2] = (mb_layer_spec_t){"conv", 1, f.weights + 1};
    f.layers[3] = (mb_layer_spec_t){"dense", 2, f.weights + 2};
    f.layers[4] = (mb_layer_spec_t){"last", 2, f.weights + 4};
    f.layout = (mb_checkpoint_layout_t){.model_config = model_config,
                                        .n_layers = 5,
                                        .layers = f.layers,
                                        .n_weights = TENSORS,
                                        .tensors = f.tensors,
                                        .learning_rate = NAN};
    ck_assert_int_eq(mb_keras_int8_open(model_config, "m.h5", f.arena, &f.keras), MB_OK);
}

static void tear_down(void)
{
    for (int t = 0; t < TENSORS; t++)
        mb_encoded_free(&f.encoded[t]);
    mb_arena_destroy(f.arena);
    scratch_remove();
}

static mb_status_t convert(const mb_piece_t **pieces, int *n_pieces)
{
    *pieces = f.pieces;
    *n_pieces = TENSORS;
    return mb_keras_int8_convert(f.keras, f.arena, &f.layout, pieces, n_pieces);
}

static mb_model_file_t *written(void)
{
    const mb_piece_t *pieces;
    int n_pieces;
    mb_model_file_t *file = NULL;
    const char *path = scratch("k.h5");
    ck_assert_int_eq(convert(&pieces, &n_pieces), MB_OK);
    ck_assert_int_eq(mb_checkpoint_write(NULL, path, &f.layout, pieces, n_pieces), MB_OK);
    ck_assert_msg(mb_model_file_open(path, true, true, &file) == MB_OK, "%s", mb_error_get());
    return file;
}

static const char *policy_of(const char *config, size_t layer)
{
    static char found[64];
    json_t *model = json_loads(config, 0, NULL);
    const json_t *list = json_object_get(json_object_get(model, "config"), "layers");
    const json_t *dtype =
        json_object_get(json_object_get(json_array_get(list, layer), "config"), "dtype");
    const char *name = json_is_string(dtype)
                           ? json_string_value(dtype)
                           : json_string_value(json_object_get(dtype, "class_name"));
    strncpy(found, name, sizeof found - 1);
    json_decref(model);
    return found;
}

/* What the file's codes and scales stand for is what the encoding stands for, but for the rounding
 * of a reciprocal and a quotient. */
static void check_values(const mb_model_file_t *file, const mb_stored_tensor_t *codes,
                         const mb_stored_tensor_t *scales, int tensor)
{
    const mb_matrix_t *m = &f.encoded[tensor].matrix;
    float code[TOKENS * UNITS * WIDTH], scale[TOKENS + UNITS];
    ck_assert_int_eq(scales->elements, mb_matrix_scales(m));
    ck_assert_int_eq(mb_stored_tensor_read(file, codes, code), MB_OK);
    ck_assert_int_eq(mb_stored_tensor_read(file, scales, scale), MB_OK);
    for (int64_t r = 0; r < m->rows; r++)
        for (int64_t c = 0; c < m->columns; c++) {
            float given = code[r * m->columns + c];
            float value = given / scale[m->block_rows == 1 ? r : c];
            ck_assert_float_eq(given, mb_matrix_code(m, r, c));
            ck_assert_float_eq_tol(value, mb_matrix_value(m, r, c), 2e-7f * fabsf(value));
        }
}

START_TEST(kernels_and_tables_become_codes_with_reciprocal_scales)
{
    encode(0, "int8", true);
    encode(2, "int8", false);
    mb_model_file_t *file = written();
    const mb_stored_layer_t *words = &file->layers[1], *dense = &file->layers[3];
    ck_assert_int_eq(words->n_weights, 2);
    ck_assert_str_eq(words->weights[0].name, "words/embeddings");
    ck_assert_str_eq(words->weights[1].name, "words/embeddings_scale");
    check_values(file, &words->weights[0], &words->weights[1], 0);
    ck_assert_int_eq(dense->n_weights, 3);
    ck_assert_str_eq(dense->weights[0].name, "dense/bias:0");
    ck_assert_str_eq(dense->weights[1].name, "dense/kernel:0");
    ck_assert_str_eq(dense->weights[2].name, "dense/kernel_scale:0");
    check_values(file, &dense->weights[1], &dense->weights[2], 2);
    mb_model_file_close(file);
}
END_TEST

START_TEST(only_layers_with_codes_get_the_quantized_policy)
{
    encode(2, "int8", false);
    mb_model_file_t *file = written();
    for (size_t i = 1; i < 5; i++)
        ck_assert_str_eq(policy_of(file->model_config, i),
                         i == 3 ? "QuantizedDTypePolicy" : "float32");
    ck_assert_ptr_nonnull(strstr(file->model_config, "\"rate\": 0.1"));
    ck_assert_str_eq(file->layers[4].weights[0].name, "last/kernel");
    ck_assert_int_eq(file->layers[4].n_weights, 2);
    mb_model_file_close(file);
}
END_TEST

START_TEST(codes_are_8_bit_integers_for_any_reader)
{
    encode(2, "int8", false);
    mb_model_file_close(written());
    hid_t file = H5Fopen(scratch("k.h5"), H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t dataset = H5Dopen2(file, "/model_weights/dense/dense/kernel:0", H5P_DEFAULT);
    hid_t type = H5Dget_type(dataset);
    ck_assert(H5Tequal(type, H5T_STD_I8LE) > 0);
    H5Tclose(type);
    H5Dclose(dataset);
    H5Fclose(file);
}
END_TEST

START_TEST(a_column_of_zeros_has_a_scale_that_divides)
{
    for (int64_t r = 0; r < WIDTH; r++)
        f.values[2][r * UNITS + 1] = 0.0f;
    encode(2, "int8", false);
    mb_model_file_t *file = written();
    float scale[UNITS];
    ck_assert_int_eq(mb_stored_tensor_read(file, &file->layers[3].weights[2], scale), MB_OK);
    ck_assert_float_eq(scale[1], 1.0f);
    mb_model_file_close(file);
}
END_TEST

START_TEST(it_knows_which_weights_keras_takes)
{
    ck_assert(mb_keras_int8_takes(f.keras, "words", "words/embeddings"));
    ck_assert(mb_keras_int8_takes(f.keras, "dense", "dense/kernel:0"));
    ck_assert(!mb_keras_int8_takes(f.keras, "dense", "dense/bias:0"));
    ck_assert(!mb_keras_int8_takes(f.keras, "dense", "dense/kernel_scale"));
    ck_assert(!mb_keras_int8_takes(f.keras, "conv", "conv/kernel"));
    ck_assert(!mb_keras_int8_takes(f.keras, "elsewhere", "dense/kernel"));
}
END_TEST

START_TEST(other_formats_with_scales_are_refused_by_name)
{
    const mb_piece_t *pieces;
    int n_pieces;
    static const char *const formats[] = {"int4", "int8:tensor", "int8:block=32"};
    encode(2, formats[_i], false);
    ck_assert_int_eq(convert(&pieces, &n_pieces), MB_ERR_ARGUMENT);
    ck_assert(message_has("dense/kernel:0"));
    ck_assert(message_has("int8 kernels"));
}
END_TEST

START_TEST(float_formats_stay_where_they_are)
{
    encode(2, "bf16", false);
    mb_model_file_t *file = written();
    ck_assert_str_eq(policy_of(file->model_config, 3), "float32");
    ck_assert_str_eq(file->layers[3].weights[0].name, "dense/kernel:0");
    ck_assert_ptr_nonnull(file->layers[3].weights[0].encoding);
    mb_model_file_close(file);
}
END_TEST

START_TEST(row_scales_are_refused)
{
    const mb_piece_t *pieces;
    int n_pieces;
    encode(2, "int8", false);
    f.encoded[2].encoding.layout.has_row_scales = true;
    ck_assert_int_eq(convert(&pieces, &n_pieces), MB_ERR_ARGUMENT);
    ck_assert(message_has("awq"));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("keras_int8");
    TCase *t = tcase_create("keras_int8");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, kernels_and_tables_become_codes_with_reciprocal_scales);
    tcase_add_test(t, only_layers_with_codes_get_the_quantized_policy);
    tcase_add_test(t, codes_are_8_bit_integers_for_any_reader);
    tcase_add_test(t, a_column_of_zeros_has_a_scale_that_divides);
    tcase_add_test(t, it_knows_which_weights_keras_takes);
    tcase_add_loop_test(t, other_formats_with_scales_are_refused_by_name, 0, 3);
    tcase_add_test(t, float_formats_stay_where_they_are);
    tcase_add_test(t, row_scales_are_refused);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
