/* How the loss scale moves, and that it goes on from a checkpoint where it stood. */
#include "train/loss_scale.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static mb_loss_scale_t begin(double initial, int64_t growth, bool fixed)
{
    mb_loss_scale_t scale;
    mb_optimizer_t optimizer = {.scales_loss = true,
                                .fixed_scale = fixed,
                                .initial_scale = initial,
                                .growth_steps = growth};
    mb_loss_scale_begin(&scale, &optimizer);
    return scale;
}

static void count(mb_loss_scale_t *scale, const char *steps)
{
    for (; *steps != '\0'; steps++)
        ck_assert_int_eq(mb_loss_scale_count(scale, *steps == '+'), MB_OK);
}

START_TEST(finite_steps_in_a_row_double_it_and_others_halve_it)
{
    mb_loss_scale_t scale = begin(8.0, 3, false);
    count(&scale, "++");
    ck_assert_float_eq(scale.scale, 8.0F);
    count(&scale, "+");
    ck_assert_float_eq(scale.scale, 16.0F);
    count(&scale, "++-++");
    ck_assert_float_eq(scale.scale, 8.0F);
    count(&scale, "+");
    ck_assert_float_eq(scale.scale, 16.0F);
    ck_assert_int_eq(scale.skipped, 1);
}
END_TEST

START_TEST(without_a_wrapper_it_is_one_and_stays)
{
    mb_loss_scale_t scale;
    mb_optimizer_t optimizer = {.scales_loss = false};
    mb_loss_scale_begin(&scale, &optimizer);
    count(&scale, "+-+");
    ck_assert(!scale.on);
    ck_assert_float_eq(scale.scale, 1.0F);
}
END_TEST

START_TEST(a_fixed_one_stays)
{
    mb_loss_scale_t scale = begin(8.0, 1, true);
    count(&scale, "+-+");
    ck_assert_float_eq(scale.scale, 8.0F);
    ck_assert_int_eq(scale.skipped, 0);
}
END_TEST

START_TEST(gradients_that_are_never_finite_are_an_error)
{
    mb_loss_scale_t scale = begin(8.0, 3, false);
    mb_status_t status = MB_OK;
    for (int i = 0; i < 200 && status == MB_OK; i++)
        status = mb_loss_scale_count(&scale, false);
    ck_assert_int_eq(status, MB_ERR_NUMERIC);
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "not finite at any loss scale"));
}
END_TEST

START_TEST(a_checkpoint_has_all_of_it)
{
    mb_loss_scale_t scale = begin(8.0, 3, false), again = begin(8.0, 3, false);
    mb_model_file_t file = {.state = {.present = true}};
    count(&scale, "--++");
    mb_loss_scale_write(&scale, &file.state);
    ck_assert_int_eq(mb_loss_scale_read(&again, &file), MB_OK);
    ck_assert_float_eq(again.scale, 2.0F);
    ck_assert_int_eq(again.skipped, 2);
    count(&again, "+");
    ck_assert_float_eq(again.scale, 4.0F);
}
END_TEST

/* As of a run that had no loss scale. */
START_TEST(a_checkpoint_without_it_begins_anew)
{
    mb_loss_scale_t scale = begin(8.0, 3, false);
    mb_model_file_t file = {.state = {.present = true}};
    ck_assert_int_eq(mb_loss_scale_read(&scale, &file), MB_OK);
    ck_assert_float_eq(scale.scale, 8.0F);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("loss_scale");
    TCase *t = tcase_create("loss_scale");
    tcase_add_test(t, finite_steps_in_a_row_double_it_and_others_halve_it);
    tcase_add_test(t, without_a_wrapper_it_is_one_and_stays);
    tcase_add_test(t, a_fixed_one_stays);
    tcase_add_test(t, gradients_that_are_never_finite_are_an_error);
    tcase_add_test(t, a_checkpoint_has_all_of_it);
    tcase_add_test(t, a_checkpoint_without_it_begins_anew);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
