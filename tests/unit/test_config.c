/* JSON and configurations: what is refused, and with which words. */
#include "base/config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static json_t *parse(const char *text)
{
    json_t *json = NULL;
    ck_assert_msg(mb_json_parse(text, strlen(text), "model_config", &json) == MB_OK, "%s",
                  mb_error_get());
    return json;
}

static void check_says(const char *part)
{
    ck_assert_msg(strstr(mb_error_get(), part) != NULL, "'%s' lacks '%s'", mb_error_get(), part);
}

static void check_refused(const char *text, const char *part)
{
    json_t *json = NULL;
    ck_assert_int_eq(mb_json_parse(text, strlen(text), "model_config", &json), MB_ERR_FORMAT);
    ck_assert_ptr_null(json);
    check_says("model_config");
    check_says(part);
}

START_TEST(malformed_text_is_refused_with_line_and_column)
{
    check_refused("", "line 1");
    check_refused("{\"a\": 1,\n \"b\": }", "line 2, column");
    check_refused("{\"a\": 1} x", "line 1");
    check_refused("{\"a\": \"unterminated", "line 1");
    check_refused("{\"a\": \"\\", "line 1");
    check_refused("[1, 2", "line 1");
    check_refused("{\"a\": \"\x80\"}", "line 1");
    check_refused("}{", "line 1");
}
END_TEST

START_TEST(a_key_given_twice_is_refused)
{
    check_refused("{\"units\": 1, \"units\": 2}", "duplicate");
}
END_TEST

START_TEST(python_s_nan_and_infinity_are_refused_with_line_and_column)
{
    check_refused("{\"rate\":\n NaN}", "line 2, column 2: NaN is not a JSON value");
    check_refused("{\"rate\": Infinity}", "column 10: Infinity");
    check_refused("{\"rate\": -Infinity}", "Infinity is not a JSON value");
    json_decref(parse("{\"note\": \"NaN and \\\"Infinity\\\" in a text\"}"));
}
END_TEST

START_TEST(an_absurdly_deep_text_is_refused_without_recursion)
{
    size_t depth = 5000000;
    char *text = malloc(depth + 1);
    memset(text, '[', depth);
    text[depth] = '\0';
    check_refused(text, "200 deep");
    free(text);
}
END_TEST

START_TEST(brackets_inside_strings_do_not_count_as_nesting)
{
    char text[600];
    memset(text, '[', sizeof(text));
    memcpy(text, "[\"", 2);
    memcpy(text + sizeof(text) - 3, "\"]", 3);
    json_decref(parse(text));
}
END_TEST

START_TEST(depth_of_two_hundred_is_read)
{
    char text[401];
    memset(text, '[', 200);
    memset(text + 200, ']', 200);
    text[400] = '\0';
    json_decref(parse(text));
}
END_TEST

START_TEST(typed_keys_are_read)
{
    json_t *json = parse("{\"units\": 64, \"rate\": 0.5, \"whole\": 2, \"name\": \"d\","
                         " \"bias\": false, \"kernel\": [3, 5], \"pool\": 2, \"none\": null}");
    mb_config_t c;
    int64_t units, pair[2], pool[2], other;
    double rate, whole;
    const char *name;
    bool bias;
    ck_assert_int_eq(mb_config_open(&c, json, "layer '%s'", "d"), MB_OK);
    ck_assert_int_eq(mb_config_int(&c, "units", 1, INT64_MAX, &units), MB_OK);
    ck_assert_int_eq(mb_config_real(&c, "rate", &rate), MB_OK);
    ck_assert_int_eq(mb_config_real(&c, "whole", &whole), MB_OK);
    ck_assert_int_eq(mb_config_string(&c, "name", &name), MB_OK);
    ck_assert_int_eq(mb_config_bool(&c, "bias", &bias), MB_OK);
    ck_assert_int_eq(mb_config_ints(&c, "kernel", 2, 1, pair), MB_OK);
    ck_assert_int_eq(mb_config_ints(&c, "pool", 2, 1, pool), MB_OK);
    ck_assert_int_eq(mb_config_int_or(&c, "none", 0, 9, 7, &other), MB_OK);
    ck_assert(units == 64 && rate == 0.5 && whole == 2.0 && !bias && other == 7);
    ck_assert_str_eq(name, "d");
    ck_assert(pair[0] == 3 && pair[1] == 5 && pool[0] == 2 && pool[1] == 2);
    ck_assert(mb_config_has(&c, "units") && !mb_config_has(&c, "none"));
    ck_assert_int_eq(mb_config_finish(&c), MB_OK);
    json_decref(json);
}
END_TEST

START_TEST(absent_keys_take_what_stands_for_them)
{
    json_t *json = parse("{}");
    mb_config_t c;
    double real;
    const char *text;
    bool flag;
    mb_config_open(&c, json, "here");
    ck_assert_int_eq(mb_config_real_or(&c, "a", 0.25, &real), MB_OK);
    ck_assert_int_eq(mb_config_string_or(&c, "b", "valid", &text), MB_OK);
    ck_assert_int_eq(mb_config_bool_or(&c, "c", true, &flag), MB_OK);
    ck_assert(real == 0.25 && flag);
    ck_assert_str_eq(text, "valid");
    json_decref(json);
}
END_TEST

START_TEST(wrong_types_missing_keys_and_ranges_are_named_with_their_place)
{
    json_t *json =
        parse("{\"units\": \"many\", \"size\": 0, \"kernel\": [1, 2, 3], \"k2\": [1, 0]}");
    mb_config_t c;
    int64_t out[2];
    bool flag;
    mb_config_open(&c, json, "layer 'dense_1' (Dense)");
    ck_assert_int_eq(mb_config_int(&c, "units", 1, 9, out), MB_ERR_FORMAT);
    check_says("layer 'dense_1' (Dense): key 'units' must be an integer, found \"many\"");
    ck_assert_int_eq(mb_config_bool(&c, "absent", &flag), MB_ERR_FORMAT);
    check_says("key 'absent' is missing");
    ck_assert_int_eq(mb_config_int(&c, "size", 1, INT64_MAX, out), MB_ERR_ARGUMENT);
    check_says("key 'size' is 0, it must be at least 1");
    ck_assert_int_eq(mb_config_int(&c, "size", 1, 5, out), MB_ERR_ARGUMENT);
    check_says("from 1 to 5");
    ck_assert_int_eq(mb_config_ints(&c, "kernel", 2, 1, out), MB_ERR_FORMAT);
    check_says("a list of 2 integers, found [1,2,3]");
    ck_assert_int_eq(mb_config_ints(&c, "k2", 2, 1, out), MB_ERR_ARGUMENT);
    json_decref(json);
}
END_TEST

START_TEST(a_key_nobody_took_is_refused_with_the_nearest_known_one)
{
    json_t *json = parse("{\"unitz\": 3, \"name\": \"d\"}");
    mb_config_t c;
    int64_t units;
    mb_config_open(&c, json, "layer 'd'");
    mb_config_ignore(&c, "name");
    ck_assert_int_eq(mb_config_int_or(&c, "units", 1, 9, 5, &units), MB_OK);
    ck_assert_int_eq(mb_config_finish(&c), MB_ERR_UNSUPPORTED);
    check_says("layer 'd': key 'unitz' is not known; the nearest one is 'units'");
    json_decref(json);
}
END_TEST

START_TEST(the_one_value_that_is_obeyed_may_be_absent_or_null_but_not_another)
{
    json_t *json = parse("{\"a\": false, \"b\": 1, \"c\": null, \"d\": \"channels_first\"}");
    mb_config_t c;
    mb_config_open(&c, json, "layer 'd'");
    ck_assert_int_eq(mb_config_only(&c, "a", "false"), MB_OK);
    ck_assert_int_eq(mb_config_only(&c, "b", "1.0"), MB_OK);
    ck_assert_int_eq(mb_config_only(&c, "c", "true"), MB_OK);
    ck_assert_int_eq(mb_config_only(&c, "e", "3"), MB_OK);
    ck_assert_int_eq(mb_config_only(&c, "d", "\"channels_last\""), MB_ERR_UNSUPPORTED);
    check_says("key 'd' is \"channels_first\"; this build obeys only \"channels_last\"");
    json_decref(json);
}
END_TEST

START_TEST(what_is_no_object_is_refused)
{
    json_t *json = parse("[1, 2]");
    mb_config_t c;
    ck_assert_int_eq(mb_config_open(&c, json, "layer %d", 4), MB_ERR_FORMAT);
    check_says("layer 4: the configuration must be a JSON object, found [1,2]");
    ck_assert_int_eq(mb_config_open(&c, NULL, "layer %d", 4), MB_ERR_FORMAT);
    json_decref(json);
}
END_TEST

START_TEST(serialized_objects_are_read_in_each_form)
{
    json_t *json = parse("{\"a\": {\"module\": \"keras\", \"class_name\": \"Zeros\", \"config\":"
                         " {\"x\": 1}, \"registered_name\": null}, \"b\": \"relu\","
                         " \"c\": {\"class_name\": \"function\", \"config\": \"mse\"},"
                         " \"d\": {\"class_name\": \"L2\", \"config\": [1]}, \"e\": 5}");
    const char *name;
    const json_t *config;
    ck_assert_int_eq(mb_config_object(json_object_get(json, "a"), "w", &name, &config), MB_OK);
    ck_assert_str_eq(name, "Zeros");
    ck_assert(json_is_object(config));
    ck_assert_int_eq(mb_config_object(json_object_get(json, "b"), "w", &name, &config), MB_OK);
    ck_assert_str_eq(name, "relu");
    ck_assert_ptr_null(config);
    ck_assert_int_eq(mb_config_object(json_object_get(json, "c"), "w", &name, &config), MB_OK);
    ck_assert_str_eq(name, "mse");
    ck_assert_int_eq(mb_config_object(json_object_get(json, "d"), "w", &name, &config),
                     MB_ERR_FORMAT);
    ck_assert_int_eq(mb_config_object(json_object_get(json, "e"), "w", &name, &config),
                     MB_ERR_FORMAT);
    check_says("found 5");
    ck_assert_int_eq(mb_config_object(NULL, "w", &name, &config), MB_ERR_FORMAT);
    json_decref(json);
}
END_TEST

START_TEST(long_values_are_shortened_in_messages_at_a_character_s_end)
{
    char text[2048] = "{\"a\": \"";
    for (int i = 0; i < 300; i++)
        strcat(text, "\xC3\xA9");
    strcat(text, "\"}");
    json_t *json = parse(text);
    mb_config_t c;
    int64_t value;
    mb_config_open(&c, json, "here");
    ck_assert_int_eq(mb_config_int(&c, "a", 0, 1, &value), MB_ERR_FORMAT);
    check_says("\xC3\xA9...");
    json_decref(json);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("config");
    TCase *t = tcase_create("config");
    tcase_add_test(t, malformed_text_is_refused_with_line_and_column);
    tcase_add_test(t, a_key_given_twice_is_refused);
    tcase_add_test(t, python_s_nan_and_infinity_are_refused_with_line_and_column);
    tcase_add_test(t, an_absurdly_deep_text_is_refused_without_recursion);
    tcase_add_test(t, brackets_inside_strings_do_not_count_as_nesting);
    tcase_add_test(t, depth_of_two_hundred_is_read);
    tcase_add_test(t, typed_keys_are_read);
    tcase_add_test(t, absent_keys_take_what_stands_for_them);
    tcase_add_test(t, wrong_types_missing_keys_and_ranges_are_named_with_their_place);
    tcase_add_test(t, a_key_nobody_took_is_refused_with_the_nearest_known_one);
    tcase_add_test(t, the_one_value_that_is_obeyed_may_be_absent_or_null_but_not_another);
    tcase_add_test(t, what_is_no_object_is_refused);
    tcase_add_test(t, serialized_objects_are_read_in_each_form);
    tcase_add_test(t, long_values_are_shortened_in_messages_at_a_character_s_end);
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
