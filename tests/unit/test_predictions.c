/* Prediction files: samples in any order, visible when complete. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "store/predictions.h"
#include "support/store_files.h"

#define SAMPLES 10

static const mb_tensor_spec_t outputs[] = {{.name = "value", .shape = {1, {3}}},
                                           {.name = "kind/of", .shape = {2, {2, 2}}}};

static void fill(float *values, int64_t first, int64_t count, int64_t elements)
{
    for (int64_t i = 0; i < count * elements; i++)
        values[i] = (float)(first * elements + i);
}

static void write_samples(mb_predictions_t *predictions, int64_t first, int64_t count)
{
    float values[SAMPLES * 4];
    fill(values, first, count, 3);
    ck_assert_int_eq(mb_predictions_write(predictions, 0, first, count, values), MB_OK);
    fill(values, first, count, 4);
    ck_assert_int_eq(mb_predictions_write(predictions, 1, first, count, values), MB_OK);
}

static mb_predictions_t *must_create(const char *path)
{
    mb_predictions_t *predictions = NULL;
    ck_assert_int_eq(mb_predictions_create(NULL, path, 2, outputs, SAMPLES, &predictions), MB_OK);
    return predictions;
}

static void dataset_counts(const char *path, const char *name, int rank, const hsize_t *dims)
{
    float values[SAMPLES * 4];
    hsize_t found[4];
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT), type = H5Dget_type(dataset);
    hid_t space = H5Dget_space(dataset);
    ck_assert_int_gt(H5Tequal(type, H5T_IEEE_F32LE), 0);
    ck_assert_int_eq(H5Sget_simple_extent_dims(space, found, NULL), rank);
    ck_assert_mem_eq(found, dims, (size_t)rank * sizeof(*dims));
    ck_assert_int_ge(H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), 0);
    hssize_t elements = H5Sget_simple_extent_npoints(space);
    for (hssize_t i = 0; i < elements; i++)
        ck_assert_float_eq(values[i], (float)i);
    H5Sclose(space);
    H5Tclose(type);
    H5Dclose(dataset);
    H5Fclose(file);
}

START_TEST(samples_written_in_any_order_stand_in_their_places)
{
    const char *path = scratch("p.h5");
    mb_predictions_t *predictions = must_create(path);
    write_samples(predictions, 7, 3);
    write_samples(predictions, 0, 4);
    ck_assert(!file_exists(path));
    write_samples(predictions, 4, 3);
    ck_assert_int_eq(mb_predictions_commit(predictions, MB_OK), MB_OK);
    dataset_counts(path, "value", 2, (const hsize_t[]){SAMPLES, 3});
    dataset_counts(path, "kind/of", 3, (const hsize_t[]){SAMPLES, 2, 2});
    ck_assert_int_eq(scratch_count(".tmp-"), 0);
}
END_TEST

START_TEST(a_failure_leaves_no_file)
{
    mb_predictions_t *predictions = must_create(scratch("p.h5"));
    write_samples(predictions, 0, 4);
    mb_error_set(MB_ERR_DATA, "bad sample");
    ck_assert_int_eq(mb_predictions_commit(predictions, MB_ERR_DATA), MB_ERR_DATA);
    ck_assert(message_has("bad sample"));
    ck_assert_int_eq(scratch_count("p.h5"), 0);
    predictions = must_create(scratch("p.h5"));
    mb_predictions_discard(predictions);
    ck_assert_int_eq(scratch_count("p.h5"), 0);
}
END_TEST

START_TEST(samples_beyond_the_end_are_refused)
{
    const float values[12] = {0};
    mb_predictions_t *predictions = must_create(scratch("p.h5"));
    ck_assert_int_eq(mb_predictions_write(predictions, 0, 9, 2, values), MB_ERR_INTERNAL);
    ck_assert_int_eq(mb_predictions_write(predictions, 0, -1, 1, values), MB_ERR_INTERNAL);
    ck_assert_int_eq(mb_predictions_write(predictions, 2, 0, 1, values), MB_ERR_INTERNAL);
    ck_assert_int_eq(mb_predictions_write(predictions, 0, 10, 0, values), MB_OK);
    mb_predictions_discard(predictions);
}
END_TEST

START_TEST(no_samples_make_an_empty_file)
{
    mb_predictions_t *predictions = NULL;
    const char *path = scratch("p.h5");
    ck_assert_int_eq(mb_predictions_create(NULL, path, 2, outputs, 0, &predictions), MB_OK);
    ck_assert_int_eq(mb_predictions_commit(predictions, MB_OK), MB_OK);
    dataset_counts(path, "value", 2, (const hsize_t[]){0, 3});
}
END_TEST

START_TEST(a_place_that_cannot_be_written_is_refused)
{
    mb_predictions_t *predictions = NULL;
    const char *path = scratch("no/such/p.h5");
    ck_assert_int_eq(mb_predictions_create(NULL, path, 2, outputs, 3, &predictions), MB_ERR_IO);
    ck_assert(message_has(path));
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("predictions");
    TCase *cases = tcase_create("predictions");
    tcase_add_checked_fixture(cases, scratch_create, scratch_remove);
    tcase_add_test(cases, samples_written_in_any_order_stand_in_their_places);
    tcase_add_test(cases, a_failure_leaves_no_file);
    tcase_add_test(cases, samples_beyond_the_end_are_refused);
    tcase_add_test(cases, no_samples_make_an_empty_file);
    tcase_add_test(cases, a_place_that_cannot_be_written_is_refused);
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
