/* What ranks, and a run that goes on, compare: which parts of two signatures differ. */
#include <check.h>
#include <string.h>

#include "device/device.h"
#include "engine/signature.h"

static const struct {
    const char *a, *b, *unlike;
} cases[] = {
    {"mbrun 1, cpu AVX2, caches 32/1024/0 KiB", "mbrun 1, cpu AVX2, caches 32/1024/0 KiB", ""},
    {"mbrun 1, cpu AVX2, caches 32/1024/0 KiB", "mbrun 1, cpu AVX2, caches 32/512/0 KiB",
     "caches 32/1024/0 KiB"},
    {"mbrun 1, cpu AVX2, glibc 2.36", "mbrun 2, cpu AVX2, glibc 2.37", "mbrun 1, glibc 2.36"},
    {"mbrun 1, cpu AVX2, glibc 2.36", "mbrun 1, cpu AVX2", "glibc 2.36"},
    {"mbrun 1", "mbrun 1, cpu AVX2", ""},
};

START_TEST(what_differs_is_named)
{
    char text[MB_SIGNATURE_TEXT];
    mb_signature_unlike(cases[_i].a, cases[_i].b, text, sizeof text);
    ck_assert_str_eq(text, cases[_i].unlike);
}
END_TEST

START_TEST(what_has_no_room_is_left_out_whole)
{
    char text[12];
    mb_signature_unlike("mbrun 1, cpu AVX2, x", "", text, sizeof text);
    ck_assert_str_eq(text, "mbrun 1, x");
}
END_TEST

/* Bits follow the sizes of caches (oneDNN's blocks), the kind of processor and libm. */
START_TEST(processor_caches_and_libraries_are_in_it)
{
    char text[MB_SIGNATURE_TEXT];
    mb_device_options_t options = {.size = sizeof options, .threads = 1};
    mb_device_t *device = NULL;
    ck_assert_int_eq(mb_device_open("cpu", &options, &device), MB_OK);
    mb_signature_make(device, text, sizeof text);
    mb_device_close(device);
    ck_assert_uint_lt(strlen(text), sizeof text - 1);
    ck_assert_ptr_nonnull(strstr(text, "oneDNN "));
    ck_assert_ptr_nonnull(strstr(text, "caches "));
    ck_assert_ptr_nonnull(strstr(text, "libc"));
#if defined(__x86_64__)
    ck_assert_ptr_nonnull(strstr(text, " family "));
#endif
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("signature");
    TCase *t = tcase_create("signature");
    tcase_add_loop_test(t, what_differs_is_named, 0, sizeof cases / sizeof cases[0]);
    tcase_add_test(t, what_has_no_room_is_left_out_whole);
    tcase_add_test(t, processor_caches_and_libraries_are_in_it);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
