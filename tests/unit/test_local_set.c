/* Parts of local checkpoints: what was written makes the same file again, and nothing that is cut,
 * flipped or of another set is taken. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store/local_set.h"
#include "support/store_files.h"
#include "support/sanitized.h"

#define RUN 0xabcdef0123456789u
#define START 0x1122334455667788u

static mb_local_key_t key_of(int rank, int ranks)
{
    return (mb_local_key_t){.run = RUN, .start = START, .step = 7, .rank = rank, .ranks = ranks};
}

static char *folder(void)
{
    char *path = NULL;
    ck_assert_int_eq(mb_local_folder(scratch("."), RUN, &path), MB_OK);
    return path;
}

static void write_part(const char *where, const sample_t *sample, int rank, int first, int n)
{
    mb_local_image_t image;
    mb_local_key_t key = key_of(rank, 2);
    ck_assert_int_eq(mb_local_image_make(&key, rank == 0 ? &sample->layout : NULL,
                                         sample->pieces + first, n, &image),
                     MB_OK);
    ck_assert_int_eq(mb_local_write(where, &key, &image), MB_OK);
    mb_local_image_free(&image);
}

/* The file of the only part of the test's folder. */
static const char *part_path(const char *where, int rank)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/step-00000007-%016llx-%05dof00002.own", where,
             (unsigned long long)START, rank);
    return path;
}

START_TEST(parts_make_the_file_that_was_not_written)
{
    sample_t sample;
    mb_local_part_t parts[2];
    mb_piece_t pieces[SAMPLE_TENSORS];
    mb_checkpoint_layout_t layout;
    int n = 0;
    char *where = folder();
    mb_arena_t *arena = mb_arena_create();
    sample_create(&sample, 3, 1);
    ck_assert_int_eq(sample_write(&sample, scratch("a.h5")), MB_OK);
    write_part(where, &sample, 0, 0, 3);
    write_part(where, &sample, 1, 3, SAMPLE_TENSORS - 3);
    sample_free(&sample);
    for (int r = 0; r < 2; r++) {
        mb_local_key_t key = key_of(r, 2);
        ck_assert_int_eq(mb_local_read(where, &key, false, &parts[r]), MB_OK);
        for (int i = 0; i < parts[r].n_pieces; i++)
            pieces[n++] = parts[r].pieces[i];
    }
    ck_assert_int_eq(mb_local_layout_read(parts[0].layout, parts[0].layout_bytes, arena, &layout),
                     MB_OK);
    ck_assert_int_eq(mb_checkpoint_write(NULL, scratch("b.h5"), &layout, pieces, n), MB_OK);
    ck_assert(files_equal(scratch("a.h5"), scratch("b.h5")));
    mb_local_part_free(&parts[0]);
    mb_local_part_free(&parts[1]);
    mb_arena_destroy(arena);
    ck_assert_int_eq(mb_local_remove(where), MB_OK);
    ck_assert(!file_exists(where));
    free(where);
}
END_TEST

START_TEST(a_part_that_is_cut_or_flipped_is_refused)
{
    sample_t sample;
    mb_local_part_t part;
    char *where = folder();
    mb_local_key_t key = key_of(0, 2);
    size_t bytes;
    sample_create(&sample, 3, 1);
    write_part(where, &sample, 0, 0, SAMPLE_TENSORS);
    sample_free(&sample);
    unsigned char *data = file_read(part_path(where, 0), &bytes);
    for (size_t at = 0; at < bytes; at += TEST_EVERY) {
        data[at] ^= 4;
        file_write(part_path(where, 0), data, bytes);
        ck_assert_msg(mb_local_read(where, &key, false, &part) == MB_ERR_FORMAT, "byte %zu", at);
        data[at] ^= 4;
        file_write(part_path(where, 0), data, at);
        ck_assert_msg(mb_local_read(where, &key, false, &part) == MB_ERR_FORMAT, "cut at %zu", at);
    }
    file_write(part_path(where, 0), data, bytes);
    ck_assert_int_eq(mb_local_read(where, &key, false, &part), MB_OK);
    mb_local_part_free(&part);
    free(data);
    free(where);
}
END_TEST

START_TEST(a_part_under_another_name_is_refused)
{
    sample_t sample;
    mb_local_part_t part;
    char *where = folder(), other[4096];
    mb_local_key_t key = key_of(1, 2);
    sample_create(&sample, 3, 1);
    write_part(where, &sample, 0, 0, SAMPLE_TENSORS);
    sample_free(&sample);
    snprintf(other, sizeof other, "%s", part_path(where, 0));
    ck_assert_int_eq(rename(other, part_path(where, 1)), 0);
    ck_assert_int_eq(mb_local_read(where, &key, false, &part), MB_ERR_FORMAT);
    ck_assert_int_eq(symlink(part_path(where, 1), other), 0);
    key.rank = 0;
    ck_assert_int_eq(mb_local_read(where, &key, false, &part), MB_ERR_IO);
    free(where);
}
END_TEST

START_TEST(a_damaged_layout_is_an_error_and_no_crash)
{
    sample_t sample;
    unsigned char *bytes;
    size_t length;
    mb_checkpoint_layout_t layout;
    sample_create(&sample, 3, 1);
    ck_assert_int_eq(mb_local_layout_bytes(&sample.layout, &bytes, &length), MB_OK);
    sample_free(&sample);
    for (size_t at = 0; at < length; at += TEST_EVERY) {
        mb_arena_t *arena = mb_arena_create();
        bytes[at] ^= 0x90;
        mb_status_t status = mb_local_layout_read(bytes, length, arena, &layout);
        ck_assert(status == MB_OK || status == MB_ERR_FORMAT || status == MB_ERR_MEMORY);
        bytes[at] ^= 0x90;
        ck_assert_int_ne(mb_local_layout_read(bytes, at, arena, &layout), MB_OK);
        mb_arena_destroy(arena);
    }
    free(bytes);
}
END_TEST

START_TEST(only_the_two_newest_generations_of_a_start_stay)
{
    sample_t sample;
    mb_local_image_t image;
    mb_local_found_t *found;
    int count;
    char *where = folder();
    sample_create(&sample, 3, 1);
    for (int step = 1; step <= 4; step++) {
        mb_local_key_t key = key_of(0, 1);
        key.step = step;
        key.start += step == 4;
        ck_assert_int_eq(mb_local_image_make(&key, NULL, sample.pieces, 1, &image), MB_OK);
        ck_assert_int_eq(mb_local_write(where, &key, &image), MB_OK);
        mb_local_image_free(&image);
    }
    sample_free(&sample);
    ck_assert_int_eq(mb_local_prune(where, START, 2, INT64_MAX), MB_OK);
    ck_assert_int_eq(mb_local_list(where, RUN, &found, &count), MB_OK);
    ck_assert_int_eq(count, 2);
    ck_assert_int_eq(mb_local_sweep(where), MB_OK);
    for (int i = 0; i < count; i++)
        ck_assert(found[i].key.start == START && found[i].key.step >= 2 && !found[i].copy);
    free(found);
    free(where);
}
END_TEST

START_TEST(a_folder_that_others_may_write_is_refused)
{
    char *where = folder(), *again = NULL;
    ck_assert_int_eq(chmod(where, 0777), 0);
    ck_assert_int_eq(mb_local_folder(scratch("."), RUN, &again), MB_ERR_IO);
    ck_assert_int_eq(chmod(where, 0700), 0);
    ck_assert_int_eq(mb_local_folder(scratch("nowhere"), RUN, &again), MB_ERR_IO);
    free(where);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("local_set");
    TCase *tests = tcase_create("local_set");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, scratch_create, scratch_remove);
    tcase_add_test(tests, parts_make_the_file_that_was_not_written);
    tcase_add_test(tests, a_part_that_is_cut_or_flipped_is_refused);
    tcase_add_test(tests, a_part_under_another_name_is_refused);
    tcase_add_test(tests, a_damaged_layout_is_an_error_and_no_crash);
    tcase_add_test(tests, only_the_two_newest_generations_of_a_start_stay);
    tcase_add_test(tests, a_folder_that_others_may_write_is_refused);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
