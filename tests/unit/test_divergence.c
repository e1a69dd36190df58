/* Distances of outputs, against the definition in double. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "compress/divergence.h"

enum { CLASSES = 3 };

static mb_divergence_t of(mb_loss_kind_t kind, const float *p, const float *q, int64_t rows,
                          int64_t columns)
{
    mb_divergence_t sums = {0};
    mb_loss_t loss = {.kind = kind, .rows = 1, .columns = columns};
    mb_divergence_add(&loss, p, q, rows, &sums);
    return sums;
}

/* The sums are of three terms below 1 in double, but for expf's error of an ulp of float. */
static const double tolerance = 3 * 6e-8;

START_TEST(probabilities_diverge_as_defined)
{
    const float p[] = {0.5f, 0.25f, 0.25f}, q[] = {0.25f, 0.5f, 0.25f};
    mb_divergence_t sums = of(MB_LOSS_SPARSE_PROBABILITY, p, q, 1, CLASSES);
    ck_assert_int_eq(sums.rows, 1);
    ck_assert_int_eq(sums.agreeing, 0);
    ck_assert_double_eq_tol(sums.kl, 0.25 * log(2.0), tolerance);
}
END_TEST

START_TEST(logits_diverge_as_their_softmax_does)
{
    const float p[] = {logf(0.5f) + 7, logf(0.25f) + 7, logf(0.25f) + 7};
    const float q[] = {logf(0.5f) - 3, logf(0.125f) - 3, logf(0.375f) - 3};
    mb_divergence_t sums = of(MB_LOSS_SPARSE_SOFTMAX, p, q, 1, CLASSES);
    ck_assert_int_eq(sums.agreeing, 1);
    /* The logits are rounded to float: an ulp of 8 is 1e-6. */
    ck_assert_double_eq_tol(sums.kl, 0.25 * (log(2.0) + log(2.0 / 3)), 1e-6);
}
END_TEST

START_TEST(equal_rows_do_not_diverge_and_sums_add_up)
{
    const float p[] = {1, 2, 3, 3, 2, 1}, q[] = {1, 2, 3, 1, 2, 3};
    mb_divergence_t sums = of(MB_LOSS_SOFTMAX, p, q, 2, CLASSES);
    ck_assert_int_eq(sums.rows, 2);
    ck_assert_int_eq(sums.agreeing, 1);
    ck_assert_double_eq(sums.kl, sums.max_kl);
    ck_assert_double_eq_tol(of(MB_LOSS_SOFTMAX, p, p, 2, CLASSES).kl, 0, tolerance);
}
END_TEST

START_TEST(a_yes_or_no_is_two_classes)
{
    const float p[] = {0.75f, 0.25f}, q[] = {0.5f, 0.25f};
    mb_divergence_t sums = of(MB_LOSS_BINARY_PROBABILITY, p, q, 1, 2);
    ck_assert_int_eq(sums.rows, 2);
    ck_assert_double_eq_tol(sums.kl, 0.75 * log(1.5) + 0.25 * log(0.5), tolerance);
}
END_TEST

START_TEST(a_sure_zero_is_finite)
{
    const float p[] = {1, 0, 0}, q[] = {0, 1, 0};
    mb_divergence_t sums = of(MB_LOSS_PROBABILITY, p, q, 1, CLASSES);
    ck_assert(isfinite(sums.kl));
    ck_assert_double_gt(sums.kl, 10);
}
END_TEST

START_TEST(distances_of_numbers_are_not_defined)
{
    ck_assert(!mb_divergence_is_defined(&(mb_loss_t){.kind = MB_LOSS_SQUARED}));
    ck_assert(!mb_divergence_is_defined(&(mb_loss_t){.kind = MB_LOSS_ABSOLUTE}));
    ck_assert(mb_divergence_is_defined(&(mb_loss_t){.kind = MB_LOSS_BINARY_LOGITS}));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("divergence");
    TCase *tests = tcase_create("divergence");
    tcase_add_test(tests, probabilities_diverge_as_defined);
    tcase_add_test(tests, logits_diverge_as_their_softmax_does);
    tcase_add_test(tests, equal_rows_do_not_diverge_and_sums_add_up);
    tcase_add_test(tests, a_yes_or_no_is_two_classes);
    tcase_add_test(tests, a_sure_zero_is_finite);
    tcase_add_test(tests, distances_of_numbers_are_not_defined);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
