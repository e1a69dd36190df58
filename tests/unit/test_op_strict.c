/* The strict device sees what a processor may hide. */
#include <check.h>
#include <stdlib.h>

#include "device/device.h"

static mb_device_t *device;
static mb_exec_t exec;
static float numbers[64];
static double sum;

static void open_device(void)
{
    mb_device_options_t options = {.size = sizeof options, .threads = 1};
    ck_assert_int_eq(mb_device_open("strict", &options, &device), MB_OK);
    ck_assert_int_eq(mb_exec_create(device, &exec), MB_OK);
}

static void close_device(void)
{
    mb_exec_destroy(&exec);
    mb_device_close(device);
}

static mb_status_t add(int64_t count)
{
    mb_add_args_t args = {.count = count, .a = numbers, .b = numbers, .y = numbers};
    return mb_run_add(&exec, &args);
}

static mb_status_t square_sum(int64_t count)
{
    mb_sum_args_t args = {.count = count, .x = numbers, .out = &sum};
    return mb_run_sum(&exec, &args);
}

START_TEST(an_operation_without_workspace_is_refused_in_a_shape_that_was_not_planned)
{
    ck_assert_int_eq(add(16), MB_OK);
    ck_assert_int_eq(mb_exec_allocate(&exec), MB_OK);
    ck_assert_int_eq(add(16), MB_OK);
    ck_assert_int_eq(add(8), MB_ERR_INTERNAL);
    ck_assert_int_eq(square_sum(16), MB_ERR_INTERNAL);
}
END_TEST

START_TEST(a_sum_of_fewer_numbers_than_were_planned_runs)
{
    ck_assert_int_eq(square_sum(16), MB_OK);
    ck_assert_int_eq(mb_exec_allocate(&exec), MB_OK);
    ck_assert_int_eq(square_sum(5), MB_OK);
    ck_assert_int_eq(square_sum(17), MB_ERR_INTERNAL);
}
END_TEST

START_TEST(an_operation_that_runs_alone_is_planned_by_itself)
{
    mb_add_args_t args = {.count = 32, .a = numbers, .b = numbers, .y = numbers};
    ck_assert_int_eq(mb_exec_allocate(&exec), MB_OK);
    ck_assert_int_eq(mb_exec_run_alone(&exec, MB_OP_ADD, &args, sizeof args), MB_OK);
    ck_assert_int_eq(add(32), MB_OK);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("strict device");
    TCase *tc = tcase_create("plans");
    tcase_add_checked_fixture(tc, open_device, close_device);
    tcase_add_test(tc, an_operation_without_workspace_is_refused_in_a_shape_that_was_not_planned);
    tcase_add_test(tc, a_sum_of_fewer_numbers_than_were_planned_runs);
    tcase_add_test(tc, an_operation_that_runs_alone_is_planned_by_itself);
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
