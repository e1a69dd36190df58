/* The keyed permutation and the order of samples. */
#include "data/sampler.h"

#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

START_TEST(the_permutation_hits_every_index_once_for_every_small_n)
{
    for (int64_t n = 1; n <= 300; n++) {
        bool seen[300] = {false};
        for (int64_t i = 0; i < n; i++) {
            int64_t image = mb_permute(42, 3, n, i);
            ck_assert(image >= 0 && image < n);
            ck_assert(!seen[image]);
            seen[image] = true;
        }
    }
}
END_TEST

START_TEST(large_ranges_stay_inside_and_do_not_collide)
{
    const int64_t n = INT64_C(5000000000);
    for (int64_t i = 0; i < 1000; i++) {
        int64_t image = mb_permute(1, 0, n, n - 1 - i);
        ck_assert(image >= 0 && image < n);
        ck_assert_int_ne(image, mb_permute(1, 0, n, i));
    }
}
END_TEST

/* All 6 orders of 3 over 6000 keys: chi-square with 5 degrees of freedom is below 20.5 in 999 of
 * 1000 fair draws. */
START_TEST(every_order_of_three_is_equally_likely)
{
    int counts[27] = {0};
    for (uint64_t epoch = 0; epoch < 6000; epoch++)
        counts[mb_permute(9, epoch, 3, 0) * 9 + mb_permute(9, epoch, 3, 1) * 3 +
               mb_permute(9, epoch, 3, 2)]++;
    double chi_square = 0;
    int orders = 0;
    for (int i = 0; i < 27; i++) {
        if (counts[i] == 0)
            continue;
        orders++;
        chi_square += (counts[i] - 1000.0) * (counts[i] - 1000.0) / 1000.0;
    }
    ck_assert_int_eq(orders, 6);
    ck_assert_double_lt(chi_square, 20.5);
}
END_TEST

/* Where each of N indices goes over many keys. The statistic has (n - 1)^2 degrees of freedom; its
 * mean is that and its variance twice that, so five deviations are allowed. */
static void check_uniform(int n, int draws)
{
    int *counts = calloc((size_t)(n * n), sizeof(int));
    for (int draw = 0; draw < draws; draw++) {
        for (int i = 0; i < n; i++)
            counts[i * n + (int)mb_permute((uint64_t)draw, 1, n, i)]++;
    }
    double expected = (double)draws / n, chi_square = 0;
    for (int i = 0; i < n * n; i++)
        chi_square += (counts[i] - expected) * (counts[i] - expected) / expected;
    free(counts);
    double freedom = (n - 1.0) * (n - 1.0);
    ck_assert_double_lt((chi_square - freedom) * (chi_square - freedom), 25.0 * 2.0 * freedom);
}

START_TEST(every_index_goes_everywhere_equally_often)
{
    check_uniform(2, 4000);
    check_uniform(5, 4000);
    check_uniform(16, 4000);
    check_uniform(50, 4000);
}
END_TEST

START_TEST(seeds_and_epochs_give_different_orders)
{
    int same_epoch = 0, same_seed = 0;
    for (int64_t i = 0; i < 1000; i++) {
        same_epoch += mb_permute(1, 0, 1000, i) == mb_permute(1, 1, 1000, i);
        same_seed += mb_permute(1, 0, 1000, i) == mb_permute(2, 0, 1000, i);
    }
    ck_assert_int_lt(same_epoch, 10);
    ck_assert_int_lt(same_seed, 10);
}
END_TEST

/* All indices of an epoch, in order; fails on one that occurs twice. */
static void epoch_order(const mb_sampler_t *s, int64_t epoch, int64_t *order)
{
    int64_t at = 0;
    bool *seen = calloc((size_t)s->samples, sizeof(bool));
    for (int64_t step = 0; step < mb_sampler_steps(s); step++) {
        int64_t count = mb_sampler_batch(s, step);
        mb_sampler_indices(s, epoch, step, 0, count, order + at);
        for (int64_t i = 0; i < count; i++) {
            ck_assert(order[at + i] >= 0 && order[at + i] < s->samples);
            ck_assert(!seen[order[at + i]]);
            seen[order[at + i]] = true;
        }
        at += count;
    }
    ck_assert_int_eq(at, s->samples);
    free(seen);
}

START_TEST(an_epoch_covers_every_sample_once_in_every_mode)
{
    int64_t order[1000];
    for (int mode = MB_SHUFFLE_NONE; mode <= MB_SHUFFLE_BLOCK; mode++) {
        for (int64_t samples = 1; samples < 1000; samples += 83) {
            for (int64_t batch = 1; batch < 100; batch += 13) {
                mb_sampler_t s = {(mb_shuffle_t)mode, 16, samples, batch, 5};
                epoch_order(&s, 2, order);
            }
        }
    }
}
END_TEST

START_TEST(without_shuffling_the_order_is_the_file_s)
{
    mb_sampler_t s = {MB_SHUFFLE_NONE, 0, 10, 4, 5};
    int64_t order[10];
    epoch_order(&s, 7, order);
    for (int64_t i = 0; i < 10; i++)
        ck_assert_int_eq(order[i], i);
}
END_TEST

START_TEST(the_last_batch_is_short_and_its_free_positions_are_marked)
{
    mb_sampler_t s = {MB_SHUFFLE_FULL, 0, 10, 4, 5};
    int64_t indices[6];
    ck_assert_int_eq(mb_sampler_steps(&s), 3);
    ck_assert_int_eq(mb_sampler_batch(&s, 1), 4);
    ck_assert_int_eq(mb_sampler_batch(&s, 2), 2);
    mb_sampler_indices(&s, 0, 2, 1, 5, indices);
    ck_assert_int_ge(indices[0], 0);
    for (int i = 1; i < 5; i++)
        ck_assert_int_eq(indices[i], -1);
    mb_sampler_indices(&s, 0, 1, 0, 6, indices);
    ck_assert_int_ge(indices[3], 0);
    ck_assert_int_eq(indices[4], -1);
    mb_sampler_t wide = {MB_SHUFFLE_FULL, 0, 3, 100, 5};
    ck_assert_int_eq(mb_sampler_steps(&wide), 1);
    ck_assert_int_eq(mb_sampler_batch(&wide, 0), 3);
}
END_TEST

START_TEST(any_rank_can_ask_for_any_part_of_a_batch)
{
    mb_sampler_t s = {MB_SHUFFLE_BLOCK, 7, 100, 32, 5};
    int64_t whole[32], part[5];
    mb_sampler_indices(&s, 1, 1, 0, 32, whole);
    mb_sampler_indices(&s, 1, 1, 11, 5, part);
    ck_assert_mem_eq(part, whole + 11, sizeof(part));
}
END_TEST

/* Runs of samples from one block have the block's length, the last block's its own. */
START_TEST(block_shuffling_keeps_blocks_together_and_shuffles_inside)
{
    enum { SAMPLES = 103, BLOCK = 10 };
    for (int64_t epoch = 0; epoch < 50; epoch++) {
        mb_sampler_t s = {MB_SHUFFLE_BLOCK, BLOCK, SAMPLES, 9, 5};
        int64_t order[SAMPLES], changes = 0, inside = 0;
        epoch_order(&s, epoch, order);
        for (int64_t i = 1; i < SAMPLES; i++) {
            changes += order[i] / BLOCK != order[i - 1] / BLOCK;
            inside += order[i] == order[i - 1] + 1;
        }
        ck_assert_int_eq(changes, 10);
        ck_assert_int_lt(inside, SAMPLES / 2);
    }
}
END_TEST

START_TEST(the_short_block_comes_at_any_place)
{
    bool first = false, last = false;
    for (int64_t epoch = 0; epoch < 100; epoch++) {
        mb_sampler_t s = {MB_SHUFFLE_BLOCK, 10, 33, 33, 5};
        int64_t order[33];
        epoch_order(&s, epoch, order);
        first = first || order[0] >= 30;
        last = last || order[32] >= 30;
    }
    ck_assert(first && last);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("sampler");
    TCase *t = tcase_create("sampler");
    tcase_add_test(t, the_permutation_hits_every_index_once_for_every_small_n);
    tcase_add_test(t, large_ranges_stay_inside_and_do_not_collide);
    tcase_add_test(t, every_order_of_three_is_equally_likely);
    tcase_add_test(t, every_index_goes_everywhere_equally_often);
    tcase_add_test(t, seeds_and_epochs_give_different_orders);
    tcase_add_test(t, an_epoch_covers_every_sample_once_in_every_mode);
    tcase_add_test(t, without_shuffling_the_order_is_the_file_s);
    tcase_add_test(t, the_last_batch_is_short_and_its_free_positions_are_marked);
    tcase_add_test(t, any_rank_can_ask_for_any_part_of_a_batch);
    tcase_add_test(t, block_shuffling_keeps_blocks_together_and_shuffles_inside);
    tcase_add_test(t, the_short_block_comes_at_any_place);
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
