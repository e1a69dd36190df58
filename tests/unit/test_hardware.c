/* Hardware files: what is written is read, and what is wrong is named. */
#include "pipeline/hardware.h"
#include "support/data_files.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static mb_status_t read_text(const char *text, mb_hardware_t *out)
{
    test_file_write(test_path("h.json"), text, strlen(text));
    return mb_hardware_read(test_path("h.json"), out);
}

START_TEST(what_is_written_is_read)
{
    mb_hardware_t before = mb_hardware_default(), after;
    before.inside.latency = 1.25e-6;
    before.cache = 12345;
    before.memory = ((int64_t)80 << 30) + 3;
    char *text = mb_hardware_text(&before);
    ck_assert_int_eq(read_text(text, &after), MB_OK);
    ck_assert_str_eq(after.name, before.name);
    ck_assert_int_eq(after.devices_per_node, before.devices_per_node);
    ck_assert_int_eq(after.memory, before.memory);
    ck_assert_double_eq(after.flops, before.flops);
    ck_assert_double_eq(after.memory_bandwidth, before.memory_bandwidth);
    ck_assert_double_eq(after.overhead, before.overhead);
    ck_assert_double_eq(after.cache, before.cache);
    ck_assert_double_eq(after.inside.latency, before.inside.latency);
    ck_assert_double_eq(after.inside.bandwidth, before.inside.bandwidth);
    ck_assert_double_eq(after.between.latency, before.between.latency);
    ck_assert_double_eq(after.between.bandwidth, before.between.bandwidth);
    free(text);
}
END_TEST

static const struct {
    const char *find, *replace, *message;
} faults[] = {{"\"flops\": 1e10", "\"flops\": 0", "flops is 0, but must be more than 0"},
              {"\"flops\": 1e10", "\"flips\": 1e10", "flops"},
              {"\"overhead\": 0", "\"overhead\": -1", "overhead is -1, but must be 0 or more"},
              {"\"memory\": 5", "\"memory\": \"5\"", "memory"},
              {"\"latency\": 0,", "", "inside"},
              {"\"between\"", "\"betwixt\"", "between"},
              {"\"name\": \"x\",", "\"name\": \"x\", \"colour\": 1,", "'colour'"},
              {"}}", "}", "h.json"}};

START_TEST(what_is_wrong_is_named)
{
    static const char good[] = "{\"name\": \"x\", \"devices_per_node\": 8, \"flops\": 1e10, "
                               "\"memory_bandwidth\": 1e9, \"overhead\": 0, \"memory\": 5, "
                               "\"inside\": {\"latency\": 0, \"bandwidth\": 1e9}, "
                               "\"between\": {\"latency\": 0, \"bandwidth\": 1e9}}";
    char text[1024];
    mb_hardware_t hardware;
    ck_assert_int_eq(read_text(good, &hardware), MB_OK);
    const char *at = strstr(good, faults[_i].find);
    ck_assert_ptr_nonnull(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, faults[_i].replace,
             at + strlen(faults[_i].find));
    ck_assert_int_ne(read_text(text, &hardware), MB_OK);
    ck_assert_msg(strstr(mb_error_get(), "h.json") != NULL, "%s", mb_error_get());
    ck_assert_msg(strstr(mb_error_get(), faults[_i].message) != NULL, "%s", mb_error_get());
}
END_TEST

START_TEST(a_file_that_is_not_there_is_named)
{
    mb_hardware_t hardware;
    ck_assert_int_eq(mb_hardware_read("nowhere.json", &hardware), MB_ERR_IO);
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "nowhere.json"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("hardware");
    TCase *c = tcase_create("hardware");
    tcase_add_test(c, what_is_written_is_read);
    tcase_add_loop_test(c, what_is_wrong_is_named, 0, sizeof faults / sizeof faults[0]);
    tcase_add_test(c, a_file_that_is_not_there_is_named);
    tcase_add_checked_fixture(c, NULL, test_remove_folder);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
