/* Where the time goes: parts add up to the whole, and operations know what they have to do. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include "base/log.h"
#include "device/account.h"
#include "device/op_work.h"
#include "support/op_check.h"

static void pass(double seconds)
{
    double end = mb_time_seconds() + seconds;
    while (mb_time_seconds() < end)
        continue;
}

static double total(const mb_account_t *account)
{
    double seconds = 0;
    for (int a = 0; a < MB_ACCOUNT_ACTIVITIES; a++) {
        for (int p = 0; p < MB_ACCOUNT_PLACES; p++)
            seconds += account->cells[a][p].seconds;
    }
    return seconds;
}

START_TEST(parts_add_up_to_the_whole)
{
    mb_account_t account;
    mb_account_start(&account, 0);
    pass(1e-3);
    int before = mb_account_begin(&account, 3);
    pass(2e-3);
    int at = mb_account_wait_begin(&account);
    pass(4e-3);
    mb_account_wait_end(&account, at);
    ck_assert_int_eq(mb_account_enter(&account, before), 3);
    mb_account_stop(&account);
    pass(1e-3);
    mb_account_enter(&account, 5); /* it has stopped: nothing */
    ck_assert(fabs(total(&account) - account.seconds) < 1e-9);
    ck_assert(account.cells[0][MB_ACCOUNT_NEITHER].seconds >= 1e-3);
    ck_assert(account.cells[3][MB_ACCOUNT_NEITHER].seconds >= 2e-3);
    ck_assert(account.cells[3][MB_ACCOUNT_WAIT].seconds >= 4e-3);
    ck_assert_int_eq((int)account.cells[3][MB_ACCOUNT_NEITHER].count, 1);
    ck_assert_int_eq((int)account.cells[3][MB_ACCOUNT_WAIT].count, 1);
    ck_assert(account.cells[5][MB_ACCOUNT_NEITHER].seconds <= 0);
}
END_TEST

START_TEST(without_an_account_nothing_happens)
{
    mb_account_start(NULL, 1);
    ck_assert_int_eq(mb_account_begin(NULL, 2), 0);
    mb_account_wait_end(NULL, mb_account_wait_begin(NULL));
    mb_account_stop(NULL);
}
END_TEST

START_TEST(operations_are_counted_where_they_run)
{
    float x[64] = {1}, y[64];
    mb_device_t *device;
    mb_exec_t exec;
    mb_account_t account;
    mb_device_options_t options = {.size = sizeof options, .threads = 1};
    mb_add_args_t add = {.count = 64, .a = x, .b = x, .y = y};
    ck_assert_int_eq(mb_device_open("cpu", &options, &device), MB_OK);
    ck_assert_int_eq(mb_exec_create(device, &exec), MB_OK);
    exec.account = &account;
    mb_account_start(&account, 4);
    ck_assert_int_eq(mb_run_add(&exec, &add), MB_OK); /* planned */
    ck_assert_int_eq(mb_exec_allocate(&exec), MB_OK);
    ck_assert_int_eq(mb_run_add(&exec, &add), MB_OK);
    mb_account_stop(&account);
    const mb_account_cell_t *cell = &account.cells[4][MB_OP_ADD];
    ck_assert(fabsf(y[0] - 2) < 1e-6F);
    ck_assert_int_eq((int)cell->count, 1);
    ck_assert_int_eq((int)cell->bytes, 3 * 64 * 4);
    ck_assert(cell->seconds > 0 && fabs(total(&account) - account.seconds) < 1e-9);
    mb_exec_destroy(&exec);
    mb_device_close(device);
}
END_TEST

START_TEST(work_is_that_of_the_formulas)
{
    float some;
    mb_gemm_args_t gemm = {.m = 3, .n = 5, .k = 7, .lda = 7, .ldb = 5, .ldc = 5};
    gemm.a = gemm.b = &some;
    gemm.c = &some;
    mb_work_t work = mb_op_work(MB_OP_GEMM, &gemm, true);
    ck_assert_int_eq((int)work.flops, 2 * 3 * 5 * 7);
    ck_assert_int_eq((int)work.bytes, 4 * (21 + 35 + 15));
    mb_attention_forward_args_t attention = {
        .samples = 2, .heads = 3, .tq = 4, .tk = 4, .d = 8, .dv = 8};
    ck_assert_int_eq((int)mb_op_work(MB_OP_ATTENTION_FORWARD, &attention, true).flops,
                     2 * 2 * 3 * 16 * 16);
    attention.causal = true;
    ck_assert_int_eq((int)mb_op_work(MB_OP_ATTENTION_FORWARD, &attention, true).flops,
                     2 * 2 * 3 * 10 * 16);
    mb_tensor_t tensor = {.w = &some, .g = &some, .s0 = &some, .s1 = &some, .count = 10};
    mb_update_args_t update = {.rule = MB_RULE_ADAM, .table = {&tensor, 1, 1}};
    ck_assert_int_eq((int)mb_op_work(MB_OP_UPDATE, &update, true).bytes, 10 * 4 * 7);
    ck_assert_int_eq((int)mb_op_work(MB_OP_UPDATE, &update, false).bytes, 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("account");
    TCase *t = tcase_create("account");
    tcase_add_test(t, parts_add_up_to_the_whole);
    tcase_add_test(t, without_an_account_nothing_happens);
    tcase_add_test(t, operations_are_counted_where_they_run);
    tcase_add_test(t, work_is_that_of_the_formulas);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
