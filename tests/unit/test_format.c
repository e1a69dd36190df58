/* Formats by name, and the layouts that they make of matrices. */
#include "quant/format.h"

#include <check.h>
#include <string.h>

static mb_format_t parsed(const char *text)
{
    mb_format_t format;
    ck_assert_msg(mb_format_parse(text, &format) == MB_OK, "%s", mb_error_get());
    return format;
}

START_TEST(a_format_prints_as_the_shortest_text_that_gives_it)
{
    static const char *const pairs[][2] = {
        {"fp32", "fp32"},
        {"fp16", "fp16"},
        {"bf16", "bf16"},
        {"e3m4", "e3m4"},
        {"int8:channel", "int8"},
        {"int8", "int8"},
        {"int8:tensor", "int8:tensor"},
        {"int8:block=32", "int8:block=32"},
        {"int8:block=256", "int8:block=256"},
        {"int4", "int4"},
        {"int4:block=32", "int4"},
        {"int4:block=32,offset", "int4:offset"},
        {"int4:offset", "int4:offset"},
        {"int4:offset,block=64", "int4:block=64,offset"},
        {"rounded:bits=9", "rounded"},
        {"rounded:bits=22", "rounded:bits=22"},
        {"uint8:block=128,squared", "uint8:block=128,squared"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char text[MB_FORMAT_TEXT];
        mb_format_t format = parsed(pairs[i][0]), again;
        ck_assert_str_eq(mb_format_text(&format, text, sizeof text), pairs[i][1]);
        again = parsed(text);
        ck_assert(mb_format_equal(&format, &again));
    }
}
END_TEST

START_TEST(what_is_no_format_is_refused_with_what_there_is)
{
    static const char *const wrong[][2] = {
        {"int7", "did you mean int8?"},
        {"", "no such format"},
        {"uint8", "no such format"},
        {"int8:block=33", "32, 64, 128 or 256"},
        {"int8:block=", "does not take"},
        {"int8:block=32x", "does not take"},
        {"int8:offset", "does not take"},
        {"int4:channel", "does not take"},
        {"int4:", "does not take"},
        {"fp16:block=32", "does not take"},
        {"fp32:bits=9", "does not take"},
        {"rounded:bits=0", "1 to 22"},
        {"rounded:bits=23", "1 to 22"},
        {"a format of which the name is longer than any that there is", "no such format"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        mb_format_t format;
        ck_assert_msg(mb_format_parse(wrong[i][0], &format) == MB_ERR_ARGUMENT, "%s", wrong[i][0]);
        ck_assert_msg(strstr(mb_error_get(), wrong[i][1]) != NULL, "%s", mb_error_get());
        ck_assert_ptr_nonnull(strstr(mb_error_get(), "int8:block=32"));
    }
}
END_TEST

static void check_blocks(const char *text, mb_view_t view, int64_t rows, int64_t columns,
                         mb_number_t scales, bool sums)
{
    mb_format_t format = parsed(text);
    mb_matrix_t m = mb_format_matrix(&format, &view);
    ck_assert_int_eq(m.block_rows, rows);
    ck_assert_int_eq(m.block_columns, columns);
    ck_assert_int_eq(m.scale_number, scales);
    ck_assert_int_eq(m.has_column_sums, sums);
}

START_TEST(blocks_run_along_what_a_product_sums_over)
{
    const mb_view_t kernel = {100, 7, false}, table = {100, 70, true};
    check_blocks("int8:tensor", kernel, 100, 7, MB_NUMBER_F32, true);
    check_blocks("int8", kernel, 100, 1, MB_NUMBER_F32, true);
    check_blocks("int8:block=32", kernel, 32, 1, MB_NUMBER_BF16, false);
    check_blocks("int8:block=128", kernel, 100, 1, MB_NUMBER_BF16, true);
    check_blocks("int4:block=64", kernel, 64, 1, MB_NUMBER_BF16, false);
    check_blocks("int8:tensor", table, 100, 70, MB_NUMBER_F32, false);
    check_blocks("int8", table, 1, 70, MB_NUMBER_F32, false);
    check_blocks("int8:block=32", table, 1, 32, MB_NUMBER_BF16, false);
    check_blocks("int4:block=128", table, 1, 70, MB_NUMBER_BF16, false);
    check_blocks("fp16", kernel, 0, 0, MB_NUMBER_F32, false);
}
END_TEST

START_TEST(bytes_count_values_scales_and_packed_zeros)
{
    const mb_view_t odd = {33, 5, false}, table = {3, 65, true};
    const struct {
        const char *format;
        int64_t odd, table;
    } expected[] = {
        {"fp32", 33 * 5 * 4, 3 * 65 * 4},
        {"bf16", 33 * 5 * 2, 3 * 65 * 2},
        {"e3m4", 33 * 5, 3 * 65},
        {"int8", 33 * 5 + 5 * 4, 3 * 65 + 3 * 4},
        {"int8:tensor", 33 * 5 + 4, 3 * 65 + 4},
        {"int8:block=32", 33 * 5 + 2 * 5 * 2, 3 * 65 + 3 * 3 * 2},
        {"int4", 33 * 3 + 2 * 5 * 2, 3 * 33 + 3 * 3 * 2},
        {"int4:offset", 33 * 3 + 2 * 5 * 2 + 2 * 3, 3 * 33 + 3 * 3 * 2 + 3 * 2},
        {"rounded", 33 * 5 * 4, 3 * 65 * 4},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        mb_format_t format = parsed(expected[i].format);
        ck_assert_int_eq(mb_format_bytes(&format, &odd), expected[i].odd);
        ck_assert_int_eq(mb_format_bytes(&format, &table), expected[i].table);
    }
}
END_TEST

START_TEST(formats_without_scales_are_numbers_to_any_reader)
{
    static const char *const floats[] = {"fp32", "fp16", "bf16", "e3m4", "rounded"};
    static const char *const scaled[] = {"int8", "int8:tensor", "int8:block=32", "int4"};
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        ck_assert(mb_format_is_float(&(mb_format_t[]){parsed(floats[i])}[0]));
    for (size_t i = 0; i < sizeof scaled / sizeof *scaled; i++)
        ck_assert(!mb_format_is_float(&(mb_format_t[]){parsed(scaled[i])}[0]));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("format");
    TCase *t = tcase_create("format");
    tcase_add_test(t, a_format_prints_as_the_shortest_text_that_gives_it);
    tcase_add_test(t, what_is_no_format_is_refused_with_what_there_is);
    tcase_add_test(t, blocks_run_along_what_a_product_sums_over);
    tcase_add_test(t, bytes_count_values_scales_and_packed_zeros);
    tcase_add_test(t, formats_without_scales_are_numbers_to_any_reader);
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
