/* Philox against the published vectors of Random123 (kat_vectors), and what is made of its words.
 */
#include "base/philox.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static void check_vector(const uint32_t counter[4], const uint32_t key[2],
                         const uint32_t expected[4])
{
    uint32_t out[4];
    mb_philox(counter, key, out);
    ck_assert_mem_eq(out, expected, sizeof(out));
}

START_TEST(philox_gives_the_published_vectors)
{
    check_vector((const uint32_t[4]){0, 0, 0, 0}, (const uint32_t[2]){0, 0},
                 (const uint32_t[4]){0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    check_vector((const uint32_t[4]){0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
                 (const uint32_t[2]){0xffffffff, 0xffffffff},
                 (const uint32_t[4]){0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    check_vector((const uint32_t[4]){0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                 (const uint32_t[2]){0xa4093822, 0x299f31d0},
                 (const uint32_t[4]){0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}
END_TEST

START_TEST(a_word_depends_on_the_position_and_not_on_who_starts_counting)
{
    mb_random_key_t from_zero = {.seed = 7, .purpose = MB_RANDOM_DROPOUT, .step = 3, .node = 5};
    mb_random_key_t from_ten = from_zero;
    from_ten.position = 10;
    for (uint32_t element = 0; element < 9; element++)
        ck_assert_uint_eq(mb_random_word(&from_zero, 12, element),
                          mb_random_word(&from_ten, 2, element));
}
END_TEST

START_TEST(purposes_steps_nodes_and_seeds_give_different_words)
{
    const mb_random_key_t key = {.seed = 1, .purpose = 1, .step = 1, .position = 1, .node = 1};
    mb_random_key_t others[5] = {key, key, key, key, key};
    others[0].seed = 2;
    others[1].seed = UINT64_C(1) << 32 | 1;
    others[2].purpose = 2;
    others[3].step = 2;
    others[4].node = 2;
    for (int i = 0; i < 5; i++)
        ck_assert_uint_ne(mb_random_word(&key, 0, 0), mb_random_word(&others[i], 0, 0));
}
END_TEST

START_TEST(unit_numbers_stay_in_their_half_open_intervals)
{
    ck_assert(mb_random_unit(0) >= 0.0f && mb_random_unit(0) <= 0.0f);
    ck_assert(mb_random_unit(UINT32_MAX) < 1.0f);
    ck_assert(mb_random_open_unit(0) > 0.0);
    ck_assert(mb_random_open_unit(UINT32_MAX) <= 1.0);
}
END_TEST

START_TEST(names_hash_apart)
{
    ck_assert_uint_ne(mb_hash_name("dense"), mb_hash_name("dense_1"));
    ck_assert_uint_ne(mb_hash_name(""), mb_hash_name("a"));
    ck_assert_uint_eq(mb_hash_name("kernel"), mb_hash_name("kernel"));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("random");
    TCase *t = tcase_create("random");
    tcase_add_test(t, philox_gives_the_published_vectors);
    tcase_add_test(t, a_word_depends_on_the_position_and_not_on_who_starts_counting);
    tcase_add_test(t, purposes_steps_nodes_and_seeds_give_different_words);
    tcase_add_test(t, unit_numbers_stay_in_their_half_open_intervals);
    tcase_add_test(t, names_hash_apart);
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
