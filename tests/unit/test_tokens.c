/* Streams and rows of tokens, cut into windows whose targets are shifted by one. */
#include "support/data_files.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { STREAM = 103, LENGTH = 10 };

static const mb_shape_t ten = {1, {LENGTH}};
static uint8_t stream[STREAM];

static void make_stream(void)
{
    for (int i = 0; i < STREAM; i++)
        stream[i] = (uint8_t)(i * 7);
}

static void write_tokens(int rank, hsize_t first, hsize_t second, hsize_t chunk)
{
    make_stream();
    const test_dataset_t dataset = {
        "tokens", H5T_STD_U8LE, H5T_NATIVE_UINT8, rank, {first, second}, stream, chunk, 0, 0, 0};
    test_hdf5_write(test_path("tokens.h5"), &dataset, 1, 0);
}

static mb_status_t open_tokens(const char *input, const mb_shape_t *shape, int n_outputs,
                               mb_source_t **out)
{
    mb_source_wants_t wants = test_wants(input, shape, n_outputs);
    *out = NULL;
    return mb_source_open(test_path("tokens.h5"), &wants, out);
}

/* Samples begin STRIDE tokens apart. */
static void check_windows(mb_source_t *source, const char *input, int64_t samples, int64_t stride)
{
    mb_source_wants_t wants = test_wants(input, &ten, 1);
    int fx, fy;
    const int64_t indices[] = {4, 5, 6, 0, 2};
    int32_t x[5][LENGTH], y[5][LENGTH];
    ck_assert_int_eq(source->samples, samples);
    ck_assert_msg(mb_source_match(source, &wants, &fx, &fy) == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(source->class_->read(source, fx, indices, 5, true, x), MB_OK);
    ck_assert_int_eq(source->class_->read(source, fy, indices, 5, true, y), MB_OK);
    for (int i = 0; i < 5; i++) {
        for (int j = 0; j < LENGTH; j++) {
            ck_assert_int_eq(x[i][j], stream[indices[i] * stride + j]);
            ck_assert_int_eq(y[i][j], stream[indices[i] * stride + j + 1]);
        }
    }
}

START_TEST(a_stream_is_cut_into_windows_of_the_model_s_length)
{
    for (hsize_t chunk = 0; chunk < 40; chunk += 13) {
        mb_source_t *source;
        write_tokens(1, STREAM, 0, chunk);
        ck_assert_msg(open_tokens("ids", &ten, 1, &source) == MB_OK, "%s", mb_error_get());
        ck_assert_int_eq(source->class_->thread_ok, chunk == 0);
        check_windows(source, "ids", 10, LENGTH);
        mb_source_close(source);
    }
}
END_TEST

START_TEST(the_last_window_needs_one_token_more_for_its_target)
{
    for (hsize_t tokens = 100; tokens < 103; tokens++) {
        mb_source_t *source;
        write_tokens(1, tokens, 0, 0);
        ck_assert_int_eq(open_tokens("ids", &ten, 1, &source), MB_OK);
        ck_assert_int_eq(source->samples, tokens == 100 ? 9 : 10);
        mb_source_close(source);
    }
}
END_TEST

START_TEST(rows_hold_a_window_and_its_last_target)
{
    for (hsize_t chunk = 0; chunk < 5; chunk += 4) {
        mb_source_t *source;
        write_tokens(2, 9, LENGTH + 1, chunk);
        ck_assert_msg(open_tokens("tokens", &ten, 1, &source) == MB_OK, "%s", mb_error_get());
        check_windows(source, "tokens", 9, LENGTH + 1);
        mb_source_close(source);
    }
}
END_TEST

START_TEST(rows_give_their_length_to_a_model_that_leaves_it_open)
{
    const mb_shape_t open = {1, {MB_OPEN}};
    mb_source_t *source;
    write_tokens(2, 9, LENGTH + 1, 0);
    ck_assert_int_eq(open_tokens("ids", &open, 1, &source), MB_OK);
    ck_assert_int_eq(source->fields[0].shape.dim[0], LENGTH);
    mb_source_close(source);
    write_tokens(1, STREAM, 0, 0);
    ck_assert_int_eq(open_tokens("ids", &open, 1, &source), MB_ERR_DATA);
    test_message_has("the model leaves its length open");
}
END_TEST

START_TEST(rows_of_the_model_s_length_are_inputs_for_prediction)
{
    mb_source_t *source;
    write_tokens(2, 9, LENGTH, 0);
    ck_assert_msg(open_tokens("tokens", &ten, 0, &source) == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(source->n_fields, 1);
    ck_assert_int_eq(source->samples, 9);
    mb_source_close(source);
    ck_assert_int_eq(open_tokens("tokens", &ten, 1, &source), MB_ERR_SHAPE);
    test_message_has("rows of 10 tokens, but a model of length 10 wants 11");
}
END_TEST

START_TEST(a_dataset_of_targets_makes_tokens_an_ordinary_input_beside_positions)
{
    const char *const inputs[] = {"tokens", "positions"};
    const char *const outputs[] = {"head"};
    const mb_shape_t shapes[] = {ten, ten};
    const mb_source_wants_t wants = {2, 1, inputs, outputs, shapes, {NULL}};
    make_stream();
    const test_dataset_t datasets[] = {
        {"tokens", H5T_STD_U8LE, H5T_NATIVE_UINT8, 2, {9, LENGTH}, stream, 0, 0, 0, 0},
        {"y", H5T_STD_U8LE, H5T_NATIVE_UINT8, 2, {9, LENGTH}, stream, 0, 0, 0, 0}};
    test_hdf5_write(test_path("tokens.h5"), datasets, 2, 0);
    mb_source_t *source;
    int in[2], out;
    ck_assert_msg(mb_source_open(test_path("tokens.h5"), &wants, &source) == MB_OK, "%s",
                  mb_error_get());
    ck_assert_int_eq(mb_source_match(source, &wants, in, &out), MB_OK);
    ck_assert(in[0] == 0 && in[1] == -1 && out == 1);
    mb_source_close(source);
}
END_TEST

START_TEST(tokens_that_cannot_serve_are_refused)
{
    const mb_shape_t image = {2, {5, 2}};
    mb_source_t *source;
    write_tokens(1, LENGTH, 0, 0);
    ck_assert_int_eq(open_tokens("ids", &ten, 1, &source), MB_ERR_DATA);
    test_message_has("shorter than one window");
    ck_assert_int_eq(open_tokens("ids", &image, 1, &source), MB_ERR_SHAPE);
    test_message_has("takes samples of shape (5, 2)");
    const test_dataset_t cube = {
        "tokens", H5T_STD_U8LE, H5T_NATIVE_UINT8, 3, {2, 5, 10}, stream, 0, 0, 0, 0};
    test_hdf5_write(test_path("tokens.h5"), &cube, 1, 0);
    ck_assert_int_eq(open_tokens("ids", &ten, 1, &source), MB_ERR_DATA);
    test_message_has("one axis (a stream) or two");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tokens");
    TCase *t = tcase_create("tokens");
    tcase_add_checked_fixture(t, NULL, test_remove_folder);
    tcase_add_test(t, a_stream_is_cut_into_windows_of_the_model_s_length);
    tcase_add_test(t, the_last_window_needs_one_token_more_for_its_target);
    tcase_add_test(t, rows_hold_a_window_and_its_last_target);
    tcase_add_test(t, rows_give_their_length_to_a_model_that_leaves_it_open);
    tcase_add_test(t, rows_of_the_model_s_length_are_inputs_for_prediction);
    tcase_add_test(t, a_dataset_of_targets_makes_tokens_an_ordinary_input_beside_positions);
    tcase_add_test(t, tokens_that_cannot_serve_are_refused);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
