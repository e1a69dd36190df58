/* Tensors in small formats: what is written is what every way of reading gives back. Files that
 * are damaged: test_encoded_damaged.c. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "quant/moments.h"
#include "store/edit.h"
#include "store/number_type.h"
#include "store/seal.h"
#include "support/encoded_files.h"
#include "support/rewrite_model.h"
#include "support/store_files.h"

static encoded_sample_t sample;

static void set_up(void)
{
    scratch_create();
    encoded_sample_create(&sample);
}

static void tear_down(void)
{
    encoded_sample_free(&sample);
    scratch_remove();
}

static mb_model_file_t *must_open(const char *path)
{
    mb_model_file_t *file = NULL;
    mb_status_t status = mb_model_file_open(path, false, true, &file);
    ck_assert_msg(status == MB_OK, "%s", mb_error_get());
    return file;
}

static void must_write(const char *path)
{
    mb_status_t status = encoded_sample_write(&sample, path);
    ck_assert_msg(status == MB_OK, "%s", mb_error_get());
}

static void must_hold_values(const mb_model_file_t *file, const mb_stored_tensor_t *tensor,
                             const float *expected)
{
    size_t bytes = (size_t)tensor->elements * sizeof(float);
    float *values = malloc(bytes);
    mb_status_t status = mb_stored_tensor_read(file, tensor, values);
    ck_assert_msg(status == MB_OK, "%s", mb_error_get());
    ck_assert_msg(memcmp(values, expected, bytes) == 0, "'%s' differs", tensor->name);
    free(values);
}

START_TEST(every_format_and_shape_is_read_as_it_was_encoded)
{
    must_write(scratch("a.h5"));
    mb_model_file_t *file = must_open(scratch("a.h5"));
    ck_assert_int_eq(file->seal, MB_SEAL_HOLDS);
    ck_assert_str_eq(file->quantized, "mixed: max-drop 1%");
    ck_assert_int_eq(file->n_moments, ENCODED_MOMENTS);
    for (int i = 0; i < ENCODED_TENSORS; i++) {
        const mb_stored_tensor_t *tensor = encoded_sample_tensor(file, i);
        ck_assert_str_eq(tensor->name, sample.names[i]);
        ck_assert(mb_shape_equal(&tensor->shape, &sample.tensors[i].shape));
        must_hold_values(file, tensor, sample.decoded[i]);
    }
    mb_model_file_close(file);
}
END_TEST

static void must_equal_encoding(const mb_encoding_t *found, const mb_encoding_t *expected)
{
    const mb_matrix_t *a = &found->layout, *b = &expected->layout;
    ck_assert(mb_format_equal(&found->format, &expected->format));
    ck_assert_int_eq(found->method, expected->method);
    ck_assert_int_eq(found->view.rows, expected->view.rows);
    ck_assert_int_eq(found->view.columns, expected->view.columns);
    ck_assert_int_eq(found->view.lookup, expected->view.lookup);
    ck_assert_int_eq(a->number, b->number);
    ck_assert_int_eq(a->bias, b->bias);
    ck_assert_int_eq(a->block_rows, b->block_rows);
    ck_assert_int_eq(a->block_columns, b->block_columns);
    ck_assert_int_eq(a->scale_number, b->scale_number);
    ck_assert_int_eq(a->squared, b->squared);
    ck_assert_int_eq(a->has_zeros, b->has_zeros);
    ck_assert_int_eq(a->has_row_scales, b->has_row_scales);
    ck_assert_int_eq(a->has_column_sums, b->has_column_sums);
    for (mb_part_t part = 0; part < MB_PART_COUNT; part++)
        ck_assert_int_eq(found->bytes[part], expected->bytes[part]);
    ck_assert_uint_eq(found->crc, expected->crc);
    ck_assert(memcmp(&found->loss, &expected->loss, sizeof(found->loss)) == 0);
}

static void must_hold_parts(const mb_model_file_t *file, const mb_stored_tensor_t *tensor,
                            const mb_encoded_t *expected)
{
    for (mb_part_t part = 0; part < MB_PART_COUNT; part++) {
        int64_t bytes = expected->encoding.bytes[part];
        char *found = malloc((size_t)bytes + 1);
        ck_assert_int_eq(mb_stored_tensor_read_part(file, tensor, part, 0, bytes, found), MB_OK);
        ck_assert(bytes == 0 || memcmp(found, expected->parts[part], (size_t)bytes) == 0);
        if (bytes > 2) {
            ck_assert_int_eq(mb_stored_tensor_read_part(file, tensor, part, 2, 1, found), MB_OK);
            ck_assert_int_eq(found[0], ((const char *)expected->parts[part])[2]);
        }
        ck_assert_int_eq(mb_stored_tensor_read_part(file, tensor, part, bytes, 1, found),
                         MB_ERR_INTERNAL);
        free(found);
    }
}

START_TEST(what_says_how_a_tensor_is_encoded_comes_back_with_its_parts)
{
    must_write(scratch("a.h5"));
    mb_model_file_t *file = must_open(scratch("a.h5"));
    for (int i = 0; i < ENCODED_TENSORS; i++) {
        const mb_stored_tensor_t *tensor = encoded_sample_tensor(file, i);
        const mb_encoded_t *expected = &sample.encoded[i];
        bool plain = sample.pieces[i].encoded == NULL ||
                     (expected->encoding.format.number == MB_NUMBER_F32 &&
                      expected->encoding.format.kept_bits == 0);
        bool packed = !plain && expected->encoding.format.kept_bits > 0;
        ck_assert_int_eq(tensor->offset >= 0, plain);
        ck_assert_int_eq(tensor->encoding != NULL, !plain && !packed);
        ck_assert_int_eq(tensor->packed != NULL, packed);
        ck_assert_int_eq(tensor->has_crc, !plain);
        ck_assert_int_eq(mb_stored_tensor_check(file, tensor), MB_OK);
        if (packed)
            ck_assert_uint_eq(tensor->packed->crc, expected->encoding.crc);
        if (tensor->encoding == NULL)
            continue;
        must_equal_encoding(tensor->encoding, &expected->encoding);
        must_hold_parts(file, tensor, expected);
    }
    mb_model_file_close(file);
}
END_TEST

START_TEST(the_report_comes_back)
{
    must_write(scratch("a.h5"));
    mb_model_file_t *file = must_open(scratch("a.h5"));
    const mb_report_t *r = file->report;
    ck_assert_ptr_nonnull(r);
    ck_assert_str_eq(r->format, "mixed: max-drop 1%");
    ck_assert_str_eq(r->method, "mse");
    ck_assert_str_eq(r->parent_digest, "0123456789abcdef");
    ck_assert_str_eq(r->data, "held.h5");
    ck_assert_int_eq(r->bytes_before, 9252);
    ck_assert_int_eq(r->bytes_after, 4622);
    ck_assert_int_eq(r->samples, 1000);
    ck_assert_int_eq(r->compared, 4000);
    ck_assert_double_eq(r->loss_after, 1.625);
    ck_assert_double_eq(r->agreement, 0.75);
    ck_assert_double_nan(r->accuracy_after);
    ck_assert_int_eq(r->n_lines, 2);
    ck_assert_str_eq(r->lines[1].tensor, "layer/\xc3\xa9");
    ck_assert_str_eq(r->lines[1].format, "int4:block=64,offset");
    ck_assert_str_eq(r->lines[0].method, "nearest");
    ck_assert_int_eq(r->lines[0].elements, 2310);
    ck_assert_int_eq(r->lines[0].bytes_after, 4620);
    ck_assert_double_eq(r->lines[0].sqnr_db, 72.5);
    ck_assert_double_infinite(r->lines[1].sqnr_db);
    ck_assert_double_nan(r->lines[1].max_rel_err);
    mb_model_file_close(file);
}
END_TEST

START_TEST(a_file_without_a_report_has_none)
{
    sample.layout.report = NULL;
    sample.layout.quantized = NULL;
    must_write(scratch("a.h5"));
    mb_model_file_t *file = must_open(scratch("a.h5"));
    ck_assert_ptr_null(file->report);
    ck_assert_ptr_null(file->quantized);
    mb_model_file_close(file);
}
END_TEST

START_TEST(the_same_content_gives_the_same_bytes)
{
    must_write(scratch("a.h5"));
    must_write(scratch("b.h5"));
    ck_assert(files_equal(scratch("a.h5"), scratch("b.h5")));
}
END_TEST

static mb_digest_t digest_of(const char *path)
{
    mb_digest_t digest;
    mb_model_file_t *file = must_open(path);
    ck_assert_int_eq(mb_model_file_digest(file, &digest), MB_OK);
    mb_model_file_close(file);
    return digest;
}

/* PATH again with all its tensors in float32. */
static void write_decoded(const char *path, const char *decoded)
{
    rewrite_t rewrite;
    ck_assert_int_eq(rewrite_read(path, &rewrite), MB_OK);
    ck_assert_int_eq(rewrite_write(&rewrite, decoded), MB_OK);
    rewrite_free(&rewrite);
}

START_TEST(the_digest_is_that_of_the_decoded_values)
{
    must_write(scratch("a.h5"));
    write_decoded(scratch("a.h5"), scratch("b.h5"));
    mb_digest_t encoded = digest_of(scratch("a.h5")), decoded = digest_of(scratch("b.h5"));
    ck_assert_uint_eq(encoded.weights, decoded.weights);
    ck_assert_uint_eq(encoded.full, decoded.full);
}
END_TEST

/* One weight of the given shape alone in a file. */
static void write_one(const char *path, const mb_shape_t *shape, const mb_encoded_t *encoded)
{
    static const int index = 0;
    const mb_tensor_spec_t tensor = {
        .name = "a/b", .shape = *shape, .encoding = &encoded->encoding};
    const mb_layer_spec_t layer = {"a", 1, &index};
    const mb_checkpoint_layout_t layout = {
        .model_config = "{}", .n_layers = 1, .layers = &layer, .n_weights = 1, .tensors = &tensor};
    const mb_piece_t piece = {.tensor = 0, .encoded = encoded};
    mb_status_t status = mb_checkpoint_write(NULL, path, &layout, &piece, 1);
    ck_assert_msg(status == MB_OK, "%s", mb_error_get());
}

/* Larger than what is decoded at a time: pieces begin inside the matrix, at odd elements. */
static const struct {
    const char *format;
    mb_view_t view;
} large[] = {
    {"fp16", {999, 701, false}},
    {"e3m4", {1, 700001, false}},
    {"int8", {999, 701, false}},
    {"int8:block=32", {999, 701, false}},
    {"int8:tensor", {1, 700001, false}},
    {"int8:block=64", {1, 700001, true}},
    {"int4", {2001, 355, false}},
    {"int4:offset", {2001, 355, true}},
    {"int4:offset", {1, 700001, true}},
    {"int8", {701, 999, true}},
    {"int4:block=256,offset", {999, 701, false}},
};

START_TEST(a_tensor_that_is_decoded_in_pieces_is_what_it_is_as_a_whole)
{
    const mb_view_t *view = &large[_i].view;
    const mb_shape_t shape = {2, {view->rows, view->columns}};
    int64_t count = view->rows * view->columns;
    float *values = malloc((size_t)count * sizeof(float));
    for (int64_t i = 0; i < count; i++)
        values[i] = sinf((float)i * 0.7f);
    mb_format_t format;
    mb_encoded_t encoded;
    ck_assert_int_eq(mb_format_parse(large[_i].format, &format), MB_OK);
    ck_assert_int_eq(mb_encode(&format, MB_METHOD_NEAREST, view, values, NULL, "large", &encoded),
                     MB_OK);
    mb_matrix_decode(&encoded.matrix, values);
    write_one(scratch("a.h5"), &shape, &encoded);
    mb_model_file_t *file = must_open(scratch("a.h5"));
    must_hold_values(file, &file->layers[0].weights[0], values);
    mb_model_file_close(file);
    write_decoded(scratch("a.h5"), scratch("b.h5"));
    ck_assert_uint_eq(digest_of(scratch("a.h5")).full, digest_of(scratch("b.h5")).full);
    mb_encoded_free(&encoded);
    free(values);
}
END_TEST

START_TEST(settings_are_changed_beside_encoded_tensors)
{
    must_write(scratch("a.h5"));
    const mb_setting_t setting = {"data", "elsewhere.h5"};
    mb_status_t status = mb_model_file_set_settings(scratch("a.h5"), NULL, 1, &setting);
    ck_assert_msg(status == MB_OK, "%s", mb_error_get());
    mb_model_file_t *file = must_open(scratch("a.h5"));
    ck_assert_int_eq(file->seal, MB_SEAL_HOLDS);
    ck_assert_str_eq(mb_model_file_setting(file, "data"), "elsewhere.h5");
    ck_assert_ptr_nonnull(file->report);
    for (int i = 0; i < ENCODED_TENSORS; i++) {
        must_hold_values(file, encoded_sample_tensor(file, i), sample.decoded[i]);
        ck_assert_int_eq(mb_stored_tensor_check(file, encoded_sample_tensor(file, i)), MB_OK);
    }
    mb_model_file_close(file);
}
END_TEST

static void must_fail(const mb_piece_t *pieces, int n, mb_status_t expected, const char *part)
{
    mb_status_t status = mb_checkpoint_write(NULL, scratch("a.h5"), &sample.layout, pieces, n);
    ck_assert_int_eq(status, expected);
    ck_assert(message_has(part));
    ck_assert_int_eq(scratch_count(".h5"), 0);
}

START_TEST(an_encoded_tensor_is_given_once_and_as_it_was_announced)
{
    static mb_piece_t pieces[ENCODED_TENSORS + 1];
    memcpy(pieces, sample.pieces, sizeof(sample.pieces));
    pieces[ENCODED_TENSORS] = pieces[8];
    must_fail(pieces, ENCODED_TENSORS + 1, MB_ERR_INTERNAL, sample.names[8]);
    must_fail(pieces + 1, ENCODED_TENSORS - 1, MB_ERR_INTERNAL, sample.names[0]);
    pieces[8].encoded = &sample.encoded[9];
    must_fail(pieces, ENCODED_TENSORS, MB_ERR_INTERNAL, "not encoded as the tensor is");
    pieces[8] = (mb_piece_t){.tensor = 8, .count = 1, .values = sample.decoded[8]};
    must_fail(pieces, ENCODED_TENSORS, MB_ERR_INTERNAL, "not encoded as the tensor is");
    memcpy(pieces, sample.pieces, sizeof(sample.pieces));
    sample.tensors[8].shape.dim[0]++;
    must_fail(pieces, ENCODED_TENSORS, MB_ERR_INTERNAL, "not of its shape");
}
END_TEST

START_TEST(moments_in_8_bits_are_refused_in_keras_place)
{
    sample.layout.keras_optimizer = true;
    must_fail(sample.pieces, ENCODED_TENSORS, MB_ERR_ARGUMENT, "Keras' own place");
}
END_TEST

/* A file of somebody else's with one dataset of float16. */
static void put_halves(const char *path, H5T_order_t order, bool chunked)
{
    const hsize_t dims[] = {2, 3};
    hid_t file = put_keras_model(path, TEXT_VARIABLE_UTF8);
    ck_assert_int_ge(H5Ldelete(file, "model_weights/dense/dense/kernel:0", H5P_DEFAULT), 0);
    hid_t group = H5Gopen2(file, "model_weights/dense/dense", H5P_DEFAULT);
    hid_t type = mb_number_type_create(MB_NUMBER_F16, 0), list = H5Pcreate(H5P_DATASET_CREATE);
    H5Tset_order(type, order);
    if (chunked)
        H5Pset_chunk(list, 2, dims);
    put_dataset(group, "kernel:0", type, list, 2, dims);
    H5Pclose(list);
    H5Tclose(type);
    H5Gclose(group);
    H5Fclose(file);
}

START_TEST(float16_of_others_is_known_without_a_checksum)
{
    const float expected[] = {1, 2, 3, 4, 5, 6};
    put_halves(scratch("a.h5"), H5T_ORDER_LE, false);
    mb_model_file_t *file = must_open(scratch("a.h5"));
    const mb_stored_tensor_t *tensor = &file->layers[0].weights[0];
    ck_assert_ptr_nonnull(tensor->encoding);
    ck_assert_int_eq(tensor->encoding->format.number, MB_NUMBER_F16);
    ck_assert_int_eq(tensor->encoding->view.rows, 2);
    ck_assert_int_eq(tensor->encoding->view.columns, 3);
    ck_assert_double_nan(tensor->encoding->loss.sqnr_db);
    ck_assert(!tensor->has_crc);
    ck_assert_int_eq(mb_stored_tensor_check(file, tensor), MB_OK);
    must_hold_values(file, tensor, expected);
    mb_model_file_close(file);
}
END_TEST

START_TEST(float16_that_is_chunked_or_big_endian_is_left_to_hdf5)
{
    const float expected[] = {1, 2, 3, 4, 5, 6};
    put_halves(scratch("a.h5"), _i == 0 ? H5T_ORDER_LE : H5T_ORDER_BE, _i == 0);
    mb_model_file_t *file = must_open(scratch("a.h5"));
    const mb_stored_tensor_t *tensor = &file->layers[0].weights[0];
    ck_assert_ptr_null(tensor->encoding);
    ck_assert_int_eq(tensor->offset, -1);
    must_hold_values(file, tensor, expected);
    mb_model_file_close(file);
}
END_TEST

/* All metadata of an encoded tensor together: what int4 saves must not go into attributes. */
START_TEST(an_encoded_tensor_costs_little_beside_its_values)
{
    mb_view_t view = {64, 64, false};
    const mb_shape_t shape = {2, {64, 64}};
    static float values[64 * 64] = {1};
    mb_format_t format;
    mb_encoded_t encoded;
    ck_assert_int_eq(mb_format_parse("int4", &format), MB_OK);
    ck_assert_int_eq(mb_encode(&format, 0, &view, values, NULL, "small", &encoded), MB_OK);
    write_one(scratch("a.h5"), &shape, &encoded);
    ck_assert_int_lt(file_size(scratch("a.h5")), 64 * 64 / 2 + 2 * 64 * 2 + 6000);
    mb_encoded_free(&encoded);
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("encoded file");
    TCase *cases = tcase_create("one process");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_set_timeout(cases, 120);
    tcase_add_test(cases, every_format_and_shape_is_read_as_it_was_encoded);
    tcase_add_test(cases, what_says_how_a_tensor_is_encoded_comes_back_with_its_parts);
    tcase_add_test(cases, the_report_comes_back);
    tcase_add_test(cases, a_file_without_a_report_has_none);
    tcase_add_test(cases, the_same_content_gives_the_same_bytes);
    tcase_add_test(cases, the_digest_is_that_of_the_decoded_values);
    tcase_add_loop_test(cases, a_tensor_that_is_decoded_in_pieces_is_what_it_is_as_a_whole, 0,
                        (int)(sizeof(large) / sizeof(large[0])));
    tcase_add_test(cases, settings_are_changed_beside_encoded_tensors);
    tcase_add_test(cases, an_encoded_tensor_is_given_once_and_as_it_was_announced);
    tcase_add_test(cases, moments_in_8_bits_are_refused_in_keras_place);
    tcase_add_test(cases, float16_of_others_is_known_without_a_checksum);
    tcase_add_loop_test(cases, float16_that_is_chunked_or_big_endian_is_left_to_hdf5, 0, 2);
    tcase_add_test(cases, an_encoded_tensor_costs_little_beside_its_values);
    suite_add_tcase(suite, cases);
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
