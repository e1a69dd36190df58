/* The arena, strings, shapes, messages and the log. */
#include "base/arena.h"
#include "base/error.h"
#include "base/log.h"
#include "base/str.h"
#include "base/types.h"

#include <check.h>
#include <stdlib.h>
#include <pthread.h>
#include <string.h>

START_TEST(arena_memory_is_zeroed_aligned_and_apart)
{
    mb_arena_t *arena = mb_arena_create();
    unsigned char *pieces[200];
    for (size_t i = 0; i < 200; i++) {
        size_t bytes = i * 37 % 5000;
        pieces[i] = mb_arena_alloc(arena, bytes);
        ck_assert_ptr_nonnull(pieces[i]);
        ck_assert_uint_eq((uintptr_t)pieces[i] % 16, 0);
        for (size_t j = 0; j < bytes; j++)
            ck_assert_uint_eq(pieces[i][j], 0);
        memset(pieces[i], (int)i, bytes);
    }
    for (size_t i = 0; i < 200; i++) {
        for (size_t j = 0; j < i * 37 % 5000; j++)
            ck_assert_uint_eq(pieces[i][j], i);
    }
    mb_arena_destroy(arena);
}
END_TEST

START_TEST(arena_takes_blocks_larger_than_its_chunks_and_refuses_absurd_ones)
{
    mb_arena_t *arena = mb_arena_create();
    char *large = mb_arena_alloc(arena, 5u << 20);
    ck_assert_ptr_nonnull(large);
    large[(5u << 20) - 1] = 1;
    ck_assert_ptr_null(mb_arena_alloc(arena, SIZE_MAX));
    ck_assert_ptr_null(mb_arena_alloc(arena, SIZE_MAX / 2 + 1));
    ck_assert_ptr_null(MB_ARENA_ARRAY(arena, double, (SIZE_MAX >> 3) + 2)); /* 8 bytes, wrapped */
    ck_assert_ptr_null(MB_ARENA_ARRAY(arena, double, -1));
    mb_arena_destroy(arena);
    mb_arena_destroy(NULL);
}
END_TEST

START_TEST(arena_copies_and_formats_text)
{
    mb_arena_t *arena = mb_arena_create();
    ck_assert_str_eq(mb_arena_strdup(arena, "dense_1"), "dense_1");
    ck_assert_str_eq(mb_arena_strdup(arena, ""), "");
    ck_assert_str_eq(mb_arena_format(arena, "%s/%d", "kernel", 42), "kernel/42");
    mb_arena_destroy(arena);
}
END_TEST

START_TEST(a_prefix_goes_before_the_message_and_may_quote_it)
{
    ck_assert_int_eq(mb_error_set(MB_ERR_IO, "cannot read %d", 5), MB_ERR_IO);
    ck_assert_int_eq(mb_error_prefix(MB_ERR_IO, "file '%s': ", "a.h5"), MB_ERR_IO);
    ck_assert_str_eq(mb_error_get(), "file 'a.h5': cannot read 5");
    mb_error_set(MB_ERR_IO, "again: %s", mb_error_get());
    ck_assert_str_eq(mb_error_get(), "again: file 'a.h5': cannot read 5");
}
END_TEST

START_TEST(a_message_that_is_too_long_is_cut)
{
    char long_text[5000];
    memset(long_text, 'x', sizeof(long_text));
    long_text[sizeof(long_text) - 1] = '\0';
    mb_error_set(MB_ERR_IO, "%s", long_text);
    mb_error_prefix(MB_ERR_IO, "%s", long_text);
    ck_assert_uint_lt(strlen(mb_error_get()), 4096);
}
END_TEST

static void *set_other(void *unused)
{
    (void)unused;
    mb_error_set(MB_ERR_DATA, "other");
    return NULL;
}

START_TEST(each_thread_keeps_its_own_message)
{
    pthread_t other;
    mb_error_set(MB_ERR_IO, "mine");
    pthread_create(&other, NULL, set_other, NULL);
    pthread_join(other, NULL);
    ck_assert_str_eq(mb_error_get(), "mine");
}
END_TEST

START_TEST(shapes_print_as_keras_prints_them)
{
    char text[MB_SHAPE_TEXT];
    mb_shape_t image = {3, {28, 28, 1}}, one = {1, {10}}, none = {0, {0}}, open = {2, {MB_OPEN, 4}};
    ck_assert_str_eq(mb_shape_text(&image, text, sizeof(text)), "(28, 28, 1)");
    ck_assert_str_eq(mb_shape_text(&one, text, sizeof(text)), "(10,)");
    ck_assert_str_eq(mb_shape_text(&none, text, sizeof(text)), "()");
    ck_assert_str_eq(mb_shape_text(&open, text, sizeof(text)), "(?, 4)");
    ck_assert(mb_shape_is_open(&open) && !mb_shape_is_open(&image));
    ck_assert_int_eq(mb_shape_elements(&image), 784);
    ck_assert_int_eq(mb_shape_elements(&none), 1);
    mb_shape_text(&image, text, 5);
    ck_assert_str_eq(text, "(28,");
}
END_TEST

START_TEST(the_nearest_spelling_is_found_and_far_ones_are_not)
{
    static const char *const words[] = {"--batch", "--micro-batch", "--epochs", "--steps"};
    ck_assert_str_eq(mb_str_nearest("--epoch", words, 4), "--epochs");
    ck_assert_str_eq(mb_str_nearest("--bacth", words, 4), "--batch");
    ck_assert_str_eq(mb_str_nearest("--microbatch", words, 4), "--micro-batch");
    ck_assert_ptr_null(mb_str_nearest("--zebra-crossing", words, 4));
    ck_assert_ptr_null(mb_str_nearest("x", words, 4));
    ck_assert_ptr_null(mb_str_nearest("", words, 4));
}
END_TEST

START_TEST(a_string_grows_by_pieces)
{
    mb_str_t str = {0};
    for (int i = 0; i < 1000; i++)
        mb_str_addf(&str, "%03d,", i);
    mb_str_add(&str, "end");
    ck_assert_uint_eq(str.length, 4003);
    ck_assert_uint_eq(strlen(str.text), 4003);
    ck_assert_str_eq(str.text + 3996, "999,end");
    mb_str_free(&str);
    ck_assert_ptr_null(str.text);
}
END_TEST

START_TEST(sizes_and_times_are_written_for_people)
{
    char text[32];
    ck_assert_str_eq(mb_str_bytes(0, text, sizeof(text)), "0 B");
    ck_assert_str_eq(mb_str_bytes(1023, text, sizeof(text)), "1023 B");
    ck_assert_str_eq(mb_str_bytes(1024, text, sizeof(text)), "1 KiB");
    ck_assert_str_eq(mb_str_bytes(312.0 * 1024, text, sizeof(text)), "312 KiB");
    ck_assert_str_eq(mb_str_bytes(1.5 * 1073741824.0, text, sizeof(text)), "1.5 GiB");
    ck_assert_str_eq(mb_str_seconds(0.0123, text, sizeof(text)), "12.3 ms");
    ck_assert_str_eq(mb_str_seconds(3.2, text, sizeof(text)), "3.2 s");
    ck_assert_str_eq(mb_str_seconds(59.99, text, sizeof(text)), "1m00s");
    ck_assert_str_eq(mb_str_seconds(3725, text, sizeof(text)), "1h02m");
    ck_assert_str_eq(mb_str_seconds(200000, text, sizeof(text)), "2d07h");
}
END_TEST

static void keep_line(void *user, mb_log_level_t level, const char *message)
{
    (void)level;
    strcpy(user, message);
}

START_TEST(the_log_passes_lines_of_the_wanted_level_on)
{
    char line[64] = "";
    const mb_log_t log = {keep_line, line, MB_LOG_INFO};
    mb_log(&log, MB_LOG_DEBUG, "not %d", 1);
    ck_assert_str_eq(line, "");
    mb_log(&log, MB_LOG_WARNING, "step %d", 7);
    ck_assert_str_eq(line, "step 7");
    mb_log(NULL, MB_LOG_WARNING, "nobody listens");
    ck_assert(mb_time_seconds() <= mb_time_seconds());
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("base");
    TCase *t = tcase_create("base");
    tcase_add_test(t, arena_memory_is_zeroed_aligned_and_apart);
    tcase_add_test(t, arena_takes_blocks_larger_than_its_chunks_and_refuses_absurd_ones);
    tcase_add_test(t, arena_copies_and_formats_text);
    tcase_add_test(t, a_prefix_goes_before_the_message_and_may_quote_it);
    tcase_add_test(t, a_message_that_is_too_long_is_cut);
    tcase_add_test(t, each_thread_keeps_its_own_message);
    tcase_add_test(t, shapes_print_as_keras_prints_them);
    tcase_add_test(t, the_nearest_spelling_is_found_and_far_ones_are_not);
    tcase_add_test(t, a_string_grows_by_pieces);
    tcase_add_test(t, sizes_and_times_are_written_for_people);
    tcase_add_test(t, the_log_passes_lines_of_the_wanted_level_on);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
