/* The seal: any changed, missing or added byte is noticed, and nothing damaged makes reading crash.
 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "store/edit.h"
#include "store/seal.h"
#include "support/store_files.h"
#include "support/sanitized.h"

/* What opening with the seal's check says; an error counts as broken. */
static mb_seal_state_t verdict(const char *path)
{
    mb_model_file_t *file = NULL;
    if (mb_model_file_open(path, true, true, &file) != MB_OK)
        return MB_SEAL_BROKEN;
    mb_seal_state_t state = file->seal;
    mb_model_file_close(file);
    return state;
}

static mb_seal_state_t raw_verdict(const char *path)
{
    mb_seal_state_t state = MB_SEAL_NONE;
    int64_t step = -1;
    ck_assert_int_eq(mb_seal_check_file(path, &state, &step), MB_OK);
    return state;
}

static unsigned char *write_sample(const char *path, size_t *bytes)
{
    sample_t sample;
    sample_create(&sample, 3, 1);
    ck_assert_int_eq(sample_write(&sample, path), MB_OK);
    sample_free(&sample);
    return file_read(path, bytes);
}

START_TEST(a_file_as_written_has_a_seal_that_holds)
{
    const char *path = scratch("a.h5");
    size_t bytes;
    free(write_sample(path, &bytes));
    ck_assert_int_eq(verdict(path), MB_SEAL_HOLDS);
    mb_seal_state_t state;
    int64_t step = -1;
    ck_assert_int_eq(mb_seal_check_file(path, &state, &step), MB_OK);
    ck_assert_int_eq(state, MB_SEAL_HOLDS);
    ck_assert_int_eq(step, 7);
}
END_TEST

START_TEST(a_file_cut_at_any_byte_is_refused)
{
    const char *path = scratch("a.h5");
    size_t bytes;
    free(write_sample(path, &bytes));
    for (size_t length = bytes; length-- > 0;) {
        if (length % TEST_EVERY != 0)
            continue;
        ck_assert_int_eq(truncate(path, (off_t)length), 0);
        ck_assert_msg(verdict(path) == MB_SEAL_BROKEN, "cut at %zu of %zu", length, bytes);
        ck_assert_int_ne(raw_verdict(path), MB_SEAL_HOLDS);
    }
}
END_TEST

START_TEST(a_flipped_bit_in_any_byte_is_refused)
{
    const char *path = scratch("a.h5");
    size_t bytes;
    unsigned char *data = write_sample(path, &bytes);
    int fd = open(path, O_WRONLY);
    for (size_t at = 0; at < bytes; at += TEST_EVERY) {
        unsigned char flipped = data[at] ^ (unsigned char)(1u << (at * 5 + at / 8) % 8);
        ck_assert_int_eq(pwrite(fd, &flipped, 1, (off_t)at), 1);
        ck_assert_msg(verdict(path) == MB_SEAL_BROKEN, "bit flipped in byte %zu", at);
        ck_assert_int_ne(raw_verdict(path), MB_SEAL_HOLDS);
        ck_assert_int_eq(pwrite(fd, &data[at], 1, (off_t)at), 1);
    }
    close(fd);
    free(data);
    ck_assert_int_eq(verdict(path), MB_SEAL_HOLDS);
}
END_TEST

/* Texts of 64 KiB and more are kept outside the object they belong to. */
START_TEST(flipped_bits_in_a_file_with_long_texts_are_refused)
{
    const char *path = scratch("a.h5");
    char *text = malloc(150001);
    memset(text, 'x', 150000);
    text[150000] = '\0';
    sample_t sample;
    sample_create(&sample, 3, 1);
    sample.layout.model_config = text;
    ck_assert_int_eq(sample_write(&sample, path), MB_OK);
    sample_free(&sample);
    free(text);
    size_t bytes;
    unsigned char *data = file_read(path, &bytes);
    int fd = open(path, O_WRONLY);
    for (size_t at = 0; at < bytes;
         at += (size_t)(bytes - at > 9000 && at > 9000 ? 211 : 3) * TEST_EVERY) {
        unsigned char flipped = data[at] ^ (unsigned char)(1u << (at * 5 + at / 8) % 8);
        ck_assert_int_eq(pwrite(fd, &flipped, 1, (off_t)at), 1);
        ck_assert_msg(verdict(path) == MB_SEAL_BROKEN, "bit flipped in byte %zu", at);
        ck_assert_int_eq(pwrite(fd, &data[at], 1, (off_t)at), 1);
    }
    close(fd);
    free(data);
}
END_TEST

START_TEST(bytes_overwritten_at_random_are_refused)
{
    const char *path = scratch("a.h5"), *changed = scratch("changed.h5");
    size_t bytes;
    unsigned char *data = write_sample(path, &bytes), *copy = malloc(bytes);
    srand(20261);
    for (int trial = 0; trial < 1500; trial += TEST_EVERY) {
        memcpy(copy, data, bytes);
        for (int i = 0; i <= trial % 5; i++)
            copy[(size_t)rand() % bytes] = trial % 3 ? 0xFF : (unsigned char)rand();
        if (memcmp(copy, data, bytes) == 0)
            continue;
        file_write(changed, copy, bytes);
        ck_assert_msg(verdict(changed) == MB_SEAL_BROKEN, "trial %d", trial);
    }
    free(copy);
    free(data);
}
END_TEST

START_TEST(bytes_added_at_the_end_break_the_seal)
{
    const char *path = scratch("a.h5");
    size_t bytes;
    unsigned char *data = write_sample(path, &bytes);
    data = realloc(data, bytes + 1);
    data[bytes] = 0;
    file_write(path, data, bytes + 1);
    ck_assert_int_eq(verdict(path), MB_SEAL_BROKEN);
    free(data);
}
END_TEST

START_TEST(a_value_edited_through_hdf5_breaks_the_seal_but_opens)
{
    const char *path = scratch("a.h5");
    size_t bytes;
    free(write_sample(path, &bytes));
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t dataset = H5Dopen2(file, "/model_weights/dense/dense/bias", H5P_DEFAULT);
    const float values[7] = {1, 2, 3, 4, 5, 6, 7};
    ck_assert_int_ge(H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), 0);
    H5Dclose(dataset);
    H5Fclose(file);
    mb_model_file_t *open = NULL;
    ck_assert_int_eq(mb_model_file_open(path, true, true, &open), MB_OK);
    ck_assert_int_eq(open->seal, MB_SEAL_BROKEN);
    float read[7];
    ck_assert_int_eq(mb_stored_tensor_read(open, &open->layers[0].weights[1], read), MB_OK);
    ck_assert_mem_eq(read, values, sizeof(values));
    mb_model_file_close(open);
}
END_TEST

START_TEST(a_file_of_keras_has_no_seal)
{
    ck_assert_int_eq(verdict(fixture("mlp.h5")), MB_SEAL_NONE);
    ck_assert_int_eq(raw_verdict(fixture("mlp.h5")), MB_SEAL_NONE);
}
END_TEST

START_TEST(tensors_of_several_blocks_are_sealed_block_by_block)
{
    const char *path = scratch("large.h5");
    sample_t sample;
    sample_create(&sample, 840000, 3); /* three kernels of 22.4 MiB: two blocks */
    ck_assert_int_eq(sample_write(&sample, path), MB_OK);
    ck_assert(sample_is_in(&sample, path));
    sample_free(&sample);
    FILE *file = fopen(path, "r+b");
    ck_assert_int_eq(fseek(file, 66 << 20, SEEK_SET), 0);
    int old = fgetc(file);
    ck_assert_int_eq(fseek(file, 66 << 20, SEEK_SET), 0);
    fputc(old ^ 4, file);
    fclose(file);
    ck_assert_int_eq(raw_verdict(path), MB_SEAL_BROKEN);
}
END_TEST

START_TEST(changing_settings_keeps_a_seal_that_holds)
{
    const char *path = scratch("a.h5"), *out = scratch("b.h5");
    sample_t sample;
    sample_create(&sample, 5, 1);
    ck_assert_int_eq(sample_write(&sample, path), MB_OK);
    const mb_setting_t changes[] = {{"batch", "64"}, {"epochs", "3"}, {"data", NULL}};
    ck_assert_int_eq(mb_model_file_set_settings(path, out, 3, changes), MB_OK);
    ck_assert(sample_is_in(&sample, path));
    ck_assert(sample_is_in(&sample, out));
    ck_assert_int_eq(mb_model_file_set_settings(path, NULL, 3, changes), MB_OK);
    ck_assert(sample_is_in(&sample, path));
    mb_model_file_t *file = NULL;
    ck_assert_int_eq(mb_model_file_open(path, true, true, &file), MB_OK);
    ck_assert_int_eq(file->seal, MB_SEAL_HOLDS);
    ck_assert_str_eq(mb_model_file_setting(file, "batch"), "64");
    ck_assert_str_eq(mb_model_file_setting(file, "epochs"), "3");
    ck_assert_ptr_null(mb_model_file_setting(file, "data"));
    mb_model_file_close(file);
    sample_free(&sample);
    ck_assert_int_eq(scratch_count(".tmp-"), 0);
}
END_TEST

START_TEST(changing_settings_of_a_keras_file_keeps_its_model)
{
    const char *out = scratch("configured.h5");
    const mb_setting_t change = {"epochs", "3"};
    ck_assert_int_eq(mb_model_file_set_settings(fixture("mlp_warm.h5"), out, 1, &change), MB_OK);
    mb_model_file_t *before = NULL, *after = NULL;
    ck_assert_int_eq(mb_model_file_open(fixture("mlp_warm.h5"), true, true, &before), MB_OK);
    ck_assert_int_eq(mb_model_file_open(out, true, true, &after), MB_OK);
    mb_digest_t digest_before, digest_after;
    ck_assert_int_eq(mb_model_file_digest(before, &digest_before), MB_OK);
    ck_assert_int_eq(mb_model_file_digest(after, &digest_after), MB_OK);
    ck_assert_uint_eq(digest_before.full, digest_after.full);
    ck_assert_str_eq(before->model_config, after->model_config);
    ck_assert_str_eq(mb_model_file_setting(after, "epochs"), "3");
    ck_assert_int_eq(after->seal, MB_SEAL_NONE);
    ck_assert(!after->from_mbrun);
    mb_model_file_close(before);
    mb_model_file_close(after);
}
END_TEST

START_TEST(changing_settings_of_a_broken_file_does_not_mend_its_seal)
{
    const char *path = scratch("a.h5");
    size_t bytes;
    unsigned char *data = write_sample(path, &bytes);
    mb_model_file_t *file = NULL;
    ck_assert_int_eq(mb_model_file_open(path, true, true, &file), MB_OK);
    data[file->layers[0].weights[0].offset] ^= 1;
    mb_model_file_close(file);
    file_write(path, data, bytes);
    free(data);
    const mb_setting_t change = {"epochs", "3"};
    ck_assert_int_eq(mb_model_file_set_settings(path, NULL, 1, &change), MB_OK);
    ck_assert_int_eq(verdict(path), MB_SEAL_BROKEN);
}
END_TEST

START_TEST(changing_settings_fails_in_one_message_without_leftovers)
{
    const mb_setting_t change = {"epochs", "3"}, unnamed = {"", "x"};
    ck_assert_int_eq(mb_model_file_set_settings(scratch("none.h5"), NULL, 1, &change), MB_ERR_IO);
    ck_assert(message_has("none.h5"));
    ck_assert_int_eq(
        mb_model_file_set_settings(fixture("mlp.h5"), scratch("no/such/out.h5"), 1, &change),
        MB_ERR_IO);
    ck_assert(message_has("check the path"));
    ck_assert_int_eq(mb_model_file_set_settings(fixture("mlp.h5"), scratch("o.h5"), 1, &unnamed),
                     MB_ERR_ARGUMENT);
    ck_assert_int_eq(scratch_count(".h5"), 0);
}
END_TEST

/* HDF5 1.10 keeps part of a damaged file open, and says so at exit unless it is told to be quiet.
 */
static void set_up(void)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    scratch_create();
}

static Suite *suite(void)
{
    Suite *suite = suite_create("seal");
    TCase *cases = tcase_create("seal");
    tcase_add_checked_fixture(cases, set_up, scratch_remove);
    tcase_set_timeout(cases, 300);
    tcase_add_test(cases, a_file_as_written_has_a_seal_that_holds);
    tcase_add_test(cases, a_file_cut_at_any_byte_is_refused);
    tcase_add_test(cases, a_flipped_bit_in_any_byte_is_refused);
    tcase_add_test(cases, flipped_bits_in_a_file_with_long_texts_are_refused);
    tcase_add_test(cases, bytes_overwritten_at_random_are_refused);
    tcase_add_test(cases, bytes_added_at_the_end_break_the_seal);
    tcase_add_test(cases, a_value_edited_through_hdf5_breaks_the_seal_but_opens);
    tcase_add_test(cases, a_file_of_keras_has_no_seal);
    tcase_add_test(cases, tensors_of_several_blocks_are_sealed_block_by_block);
    tcase_add_test(cases, changing_settings_keeps_a_seal_that_holds);
    tcase_add_test(cases, changing_settings_of_a_keras_file_keeps_its_model);
    tcase_add_test(cases, changing_settings_of_a_broken_file_does_not_mend_its_seal);
    tcase_add_test(cases, changing_settings_fails_in_one_message_without_leftovers);
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
