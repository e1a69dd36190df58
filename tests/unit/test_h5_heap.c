/* Texts of variable length out of whole and damaged global heaps. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "store/h5.h"
#include "support/store_files.h"

static const char *const words[] = {"first", "", "a longer third text"};
enum { WORDS = 3 };

/* A file of one list of texts; returns its bytes. */
static unsigned char *make_file(const char *path, hsize_t user_block, size_t *bytes)
{
    hid_t plist = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_userblock(plist, user_block);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, plist, H5P_DEFAULT);
    put_text(file, "words", TEXT_VARIABLE_UTF8, WORDS, words);
    H5Fclose(file);
    H5Pclose(plist);
    return file_read(path, bytes);
}

static mb_status_t read_words(const char *path, mb_arena_t *arena, mb_h5_names_t *names)
{
    bool present = false;
    mb_h5_reader_t reader = {.path = path, .bytes = file_size(path), .arena = arena};
    reader.file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    ck_assert_int_ge(reader.file, 0);
    mb_status_t status = mb_h5_read_names(&reader, reader.file, "/", "words", names, &present);
    H5Fclose(reader.file);
    ck_assert(present || status != MB_OK);
    return status;
}

static unsigned char *heap_in(unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i + 4 <= count; i++) {
        if (memcmp(bytes + i, "GCOL", 4) == 0)
            return bytes + i;
    }
    ck_abort_msg("no global heap in the file");
    return NULL;
}

START_TEST(texts_are_found_behind_a_user_block_of_any_size)
{
    const char *path = scratch("texts.h5");
    size_t bytes = 0;
    mb_h5_names_t names;
    mb_arena_t *arena = mb_arena_create();
    free(make_file(path, _i == 0 ? 0 : (hsize_t)512 << _i, &bytes));
    ck_assert_msg(read_words(path, arena, &names) == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(names.count, WORDS);
    for (int i = 0; i < WORDS; i++)
        ck_assert_str_eq(names.items[i], words[i]);
    mb_arena_destroy(arena);
}
END_TEST

/* Of a collection: signature 4, version 1, reserved 3, size 8; then the first object: index 2,
 * count 2, reserved 4, size 8. */
START_TEST(a_damaged_heap_is_said_to_be_damaged)
{
    static const struct {
        size_t at;
        unsigned char value;
    } faults[] = {{0, 'X'}, {4, 9},  {8, 7},  {14, 1},  {16, 77},
                  {17, 1},  {24, 1}, {28, 1}, {31, 255}};
    const char *path = scratch("damaged.h5");
    size_t bytes = 0;
    mb_h5_names_t names;
    mb_arena_t *arena = mb_arena_create();
    unsigned char *file = make_file(path, 0, &bytes), *heap = heap_in(file, bytes);
    heap[faults[_i].at] = faults[_i].value;
    file_write(path, file, bytes);
    ck_assert_int_eq(read_words(path, arena, &names), MB_ERR_FORMAT);
    ck_assert(message_has("the text of attribute 'words'"));
    free(file);
    mb_arena_destroy(arena);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("global heap");
    TCase *tc = tcase_create("texts");
    tcase_add_checked_fixture(tc, scratch_create, scratch_remove);
    tcase_add_loop_test(tc, texts_are_found_behind_a_user_block_of_any_size, 0, 3);
    tcase_add_loop_test(tc, a_damaged_heap_is_said_to_be_damaged, 0, 9);
    suite_add_tcase(s, tc);
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
