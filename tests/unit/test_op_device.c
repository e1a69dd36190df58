/* The device as an object: names, planning, workspace, refusals, progress, the host's OpenMP
 * setting. */
#include <omp.h>
#include <string.h>
#include "support/op_check.h"

START_TEST(unknown_device_is_refused_with_the_names_there_are)
{
    mb_device_options_t options = {.size = sizeof options, .threads = 1};
    mb_device_t *device = NULL;
    ck_assert_int_eq(mb_device_open("abacus", &options, &device), MB_ERR_UNSUPPORTED);
    ck_assert_ptr_null(device);
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "abacus"));
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "cpu"));
    ck_assert_int_eq(mb_device_open(NULL, &options, &device), MB_OK);
    ck_assert_str_eq(device->class_->name, "cpu");
    mb_device_close(device);
}
END_TEST

START_TEST(device_describes_itself)
{
    op_t op;
    char text[128];
    op_open(&op, 3, 1);
    op.device->class_->describe(op.device, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "3 threads"));
    ck_assert_ptr_nonnull(strstr(text, "oneDNN"));
    op.device->class_->signature(op.device, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "cpu"));
    op_close(&op);
}
END_TEST

START_TEST(memory_is_aligned)
{
    op_t op;
    op_open(&op, 1, 1);
    for (size_t bytes = 0; bytes < 300; bytes += 37)
        ck_assert_uint_eq((uintptr_t)op_memory(&op, bytes) % 64, 0);
    op_close(&op);
}
END_TEST

START_TEST(every_operation_has_a_name_and_is_there)
{
    op_t op;
    op_open(&op, 1, 1);
    for (int i = 0; i < MB_OP_COUNT; i++) {
        ck_assert(op.device->class_->has_op(op.device, (mb_op_t)i));
        ck_assert_uint_gt(strlen(mb_op_name((mb_op_t)i)), 1);
    }
    ck_assert_str_eq(mb_op_name(MB_OP_GEMM), "gemm");
    ck_assert(!op.device->class_->has_op(op.device, MB_OP_COUNT));
    op_close(&op);
}
END_TEST

START_TEST(missing_operation_is_an_error_while_planning)
{
    op_t op;
    op_open(&op, 1, 1);
    int nothing = 0;
    ck_assert_int_eq(op.device->class_->run(&op.exec, MB_OP_COUNT, &nothing, sizeof nothing),
                     MB_ERR_UNSUPPORTED);
    op_close(&op);
}
END_TEST

START_TEST(arguments_of_another_size_are_refused)
{
    op_t op;
    op_open(&op, 1, 1);
    mb_add_args_t args = {.count = 0};
    ck_assert_int_eq(op.device->class_->run(&op.exec, MB_OP_ADD, &args, sizeof args - 1),
                     MB_ERR_INTERNAL);
    op_close(&op);
}
END_TEST

static mb_gemm_args_t product(op_t *op, int64_t size)
{
    mb_gemm_args_t args = {.m = size, .n = size, .k = size, .lda = size, .ldb = size, .ldc = size};
    args.a = op_random(op, size * size, -1, 1);
    args.b = op_random(op, size * size, -1, 1);
    args.c = op_random(op, size * size, 2, 3);
    return args;
}

START_TEST(planning_computes_nothing)
{
    op_t op;
    op_open(&op, 2, 1);
    mb_gemm_args_t args = product(&op, 100);
    mb_sum_args_t sum = {MB_F32, 10000, false, false, args.a, op_doubles(&op, 1)};
    uint64_t before = op_digest(&op);
    ck_assert(op.exec.planning);
    ck_assert_int_eq(mb_run_gemm(&op.exec, &args), MB_OK);
    ck_assert_int_eq(mb_run_sum(&op.exec, &sum), MB_OK);
    ck_assert_uint_gt(op.exec.workspace_needed, 0);
    args.a = args.b = NULL;
    args.c = NULL;
    ck_assert_int_eq(mb_run_gemm(&op.exec, &args), MB_OK);
    ck_assert(op_digest(&op) == before);
    op_close(&op);
}
END_TEST

START_TEST(operation_that_was_not_planned_is_refused)
{
    op_t op;
    op_open(&op, 2, 1);
    float *x = op_random(&op, 1000, -1, 1);
    mb_sum_args_t args = {MB_F32, 1000, false, false, x, op_doubles(&op, 1)};
    ck_assert_int_eq(mb_exec_allocate(&op.exec), MB_OK);
    ck_assert_int_eq(mb_run_sum(&op.exec, &args), MB_ERR_INTERNAL);
    op_close(&op);
}
END_TEST

START_TEST(copies_do_nothing_while_planning)
{
    op_t op;
    op_open(&op, 1, 1);
    float *x = op_random(&op, 10, 1, 2), *y = op_floats(&op, 10);
    ck_assert_int_eq(mb_exec_copy(&op.exec, y, x, 40, MB_COPY_ON_DEVICE), MB_OK);
    ck_assert_float_eq(y[0], 0.0f);
    ck_assert_int_eq(mb_exec_allocate(&op.exec), MB_OK);
    ck_assert_int_eq(mb_exec_copy(&op.exec, y, x, 40, MB_COPY_ON_DEVICE), MB_OK);
    ck_assert_mem_eq(x, y, 40);
    op_close(&op);
}
END_TEST

START_TEST(host_setting_of_threads_is_left_as_it_was)
{
    omp_set_num_threads(3);
    for (int threads = 1; threads <= 2; threads++) {
        op_t op;
        op_open(&op, threads, 1);
        mb_gemm_args_t args = product(&op, 300);
        OP_RUN(&op, GEMM, &args);
        op_close(&op);
        ck_assert_int_eq(omp_get_max_threads(), 3);
    }
}
END_TEST

static void count_calls(void *user)
{
    ++*(int *)user;
}

START_TEST(progress_is_reached_between_tiles)
{
    for (int threads = 1; threads <= 2; threads++) {
        op_t op;
        int calls = 0;
        op_open(&op, threads, 1);
        op.device->class_->set_progress(op.device, count_calls, &calls);
        mb_fill_args_t args = {MB_F32, 1000000, 1.0f, op_floats(&op, 1000000)};
        OP_RUN(&op, FILL, &args);
        if (threads == 1)
            ck_assert_int_gt(calls, 10);
        op.device->class_->set_progress(op.device, NULL, NULL);
        int before = calls;
        OP_RUN(&op, FILL, &args);
        ck_assert_int_eq(calls, before);
        op_close(&op);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op_device");
    TCase *t = tcase_create("device");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, unknown_device_is_refused_with_the_names_there_are);
    tcase_add_test(t, device_describes_itself);
    tcase_add_test(t, memory_is_aligned);
    tcase_add_test(t, every_operation_has_a_name_and_is_there);
    tcase_add_test(t, missing_operation_is_an_error_while_planning);
    tcase_add_test(t, arguments_of_another_size_are_refused);
    tcase_add_test(t, planning_computes_nothing);
    tcase_add_test(t, operation_that_was_not_planned_is_refused);
    tcase_add_test(t, copies_do_nothing_while_planning);
    tcase_add_test(t, host_setting_of_threads_is_left_as_it_was);
    tcase_add_test(t, progress_is_reached_between_tiles);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
