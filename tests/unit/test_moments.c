/* Moments in 8 bits: how far they move, and what must not happen to what is divided by. */
#include "quant/moments.h"

#include <check.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"

#define LARGEST 1000

/* A scale is rounded up to a bfloat16 (8 bits), and once more where 255 codes would not reach. */
#define SCALE_ROOM (1 + 0x1p-6)

typedef struct {
    int64_t count;
    float values[LARGEST], decoded[LARGEST];
    mb_encoded_t encoded;
} moment_t;

static moment_t first, second;

/* The logarithms of sizes are spread over DECADES; one value in eight is zero. */
static void draw(float *values, int64_t count, uint64_t seed, double decades)
{
    for (int64_t i = 0; i < count; i++) {
        mb_random_key_t key = {.seed = seed};
        double power = decades * (double)mb_random_unit(mb_random_word(&key, 0, (uint32_t)i));
        uint32_t word = mb_random_word(&key, 1, (uint32_t)i);
        float size = (float)pow(10, -3 - power);
        values[i] = word % 8 == 0 ? 0 : word % 16 < 8 ? size : -size;
    }
}

static void draw_squares(float *values, int64_t count, uint64_t seed, double decades)
{
    draw(values, count, seed, decades);
    for (int64_t i = 0; i < count; i++)
        values[i] *= values[i];
}

static void encode(moment_t *moment, mb_moment_kind_t kind, const float *divisor)
{
    ck_assert_int_eq(
        mb_moment_encode(kind, moment->values, divisor, moment->count, "m", &moment->encoded),
        MB_OK);
    mb_matrix_decode(&moment->encoded.matrix, moment->decoded);
}

static double largest_of_block(const moment_t *moment, int64_t i)
{
    double largest = 0;
    int64_t begin = i / MB_MOMENT_BLOCK * MB_MOMENT_BLOCK;
    for (int64_t k = begin; k < begin + MB_MOMENT_BLOCK && k < moment->count; k++)
        largest = fmax(largest, fabs((double)moment->values[k]));
    return largest;
}

static const int64_t counts[] = {1, 2, 127, 128, 129, LARGEST};

START_TEST(signed_moments_move_by_half_a_code_at_most)
{
    first.count = counts[_i];
    draw(first.values, first.count, 1, 4);
    encode(&first, MB_MOMENT_SIGNED, NULL);
    for (int64_t i = 0; i < first.count; i++) {
        double half = largest_of_block(&first, i) / 127 / 2 * SCALE_ROOM;
        /* the quotient and the product are rounded: 127 codes times eps each */
        double rounding = largest_of_block(&first, i) * 2 * (double)FLT_EPSILON;
        ck_assert_double_le(fabs((double)first.decoded[i] - (double)first.values[i]),
                            half + rounding);
    }
    mb_encoded_free(&first.encoded);
}
END_TEST

START_TEST(roots_of_squares_move_by_one_code_at_most)
{
    first.count = counts[_i];
    draw_squares(first.values, first.count, 2, 4);
    encode(&first, MB_MOMENT_SQUARE, NULL);
    for (int64_t i = 0; i < first.count; i++) {
        double code = sqrt(largest_of_block(&first, i)) / 255 * SCALE_ROOM;
        double root = sqrt((double)first.values[i]), found = sqrt((double)first.decoded[i]);
        double allowed = root < code / 2 ? code : code / 2;
        ck_assert_double_le(fabs(found - root), allowed + found * 4 * (double)FLT_EPSILON);
    }
    mb_encoded_free(&first.encoded);
}
END_TEST

/* Down to squares that are the smallest numbers there are. */
START_TEST(a_square_is_zero_exactly_where_it_was)
{
    first.count = LARGEST;
    draw_squares(first.values, LARGEST, (uint64_t)_i, 6);
    for (int64_t i = 0; i < LARGEST; i++)
        first.values[i] *= powf(10, -5.0f * (float)_i);
    first.values[LARGEST / 2] = FLT_TRUE_MIN;
    encode(&first, MB_MOMENT_SQUARE, NULL);
    for (int64_t i = 0; i < LARGEST; i++) {
        ck_assert_int_eq(first.decoded[i] == 0, first.values[i] == 0);
        ck_assert(first.values[i] == 0 || first.decoded[i] >= FLT_MIN);
    }
    mb_encoded_free(&first.encoded);
}
END_TEST

START_TEST(an_average_is_zero_wherever_its_square_is)
{
    first.count = second.count = LARGEST;
    draw(first.values, LARGEST, 3, 6);
    draw_squares(second.values, LARGEST, 4, 6);
    encode(&second, MB_MOMENT_SQUARE, NULL);
    encode(&first, MB_MOMENT_SIGNED, second.values);
    int kept = 0;
    for (int64_t i = 0; i < LARGEST; i++) {
        if (first.decoded[i] != 0)
            ck_assert_float_gt(second.decoded[i], 0);
        if (first.values[i] == 0)
            ck_assert_float_eq(first.decoded[i], 0);
        kept += first.decoded[i] != 0;
    }
    ck_assert_int_gt(kept, LARGEST / 8);
    mb_encoded_free(&first.encoded);
    mb_encoded_free(&second.encoded);
}
END_TEST

/* RMSprop, centered: sqrt(v - a^2 + epsilon). */
START_TEST(an_average_square_stays_above_the_square_of_its_average)
{
    first.count = second.count = LARGEST;
    draw(first.values, LARGEST, (uint64_t)_i, 5);
    for (int64_t i = 0; i < LARGEST; i++)
        second.values[i] = first.values[i] * first.values[i];
    encode(&first, MB_MOMENT_SIGNED_INWARD, second.values);
    encode(&second, MB_MOMENT_SQUARE_OUTWARD, NULL);
    for (int64_t i = 0; i < LARGEST; i++) {
        ck_assert_float_le(fabsf(first.decoded[i]), fabsf(first.values[i]));
        ck_assert_float_ge(second.decoded[i], second.values[i]);
        ck_assert_float_ge(second.decoded[i] - first.decoded[i] * first.decoded[i], 0);
    }
    mb_encoded_free(&first.encoded);
    mb_encoded_free(&second.encoded);
}
END_TEST

START_TEST(the_largest_and_the_smallest_numbers_stay_finite)
{
    static const float values[] = {FLT_MAX, FLT_MIN, FLT_TRUE_MIN, 0, 1};
    for (int kind = MB_MOMENT_SIGNED; kind <= MB_MOMENT_SQUARE; kind++) {
        first.count = 5;
        memcpy(first.values, values, sizeof values);
        encode(&first, (mb_moment_kind_t)kind, NULL);
        for (int64_t i = 0; i < first.count; i++)
            ck_assert_float_finite(first.decoded[i]);
        ck_assert_float_ge(first.decoded[0], FLT_MAX / 1.02f);
        mb_encoded_free(&first.encoded);
    }
}
END_TEST

START_TEST(one_byte_a_value_and_two_for_each_block)
{
    first.count = LARGEST;
    draw_squares(first.values, LARGEST, 5, 3);
    encode(&first, MB_MOMENT_SQUARE, NULL);
    const mb_encoding_t *encoding = &first.encoded.encoding;
    ck_assert_int_eq(encoding->bytes[MB_PART_VALUES], LARGEST);
    ck_assert_int_eq(encoding->bytes[MB_PART_SCALES], 2 * 8); /* 1000 values are 8 blocks of 128 */
    ck_assert_int_eq(encoding->layout.number, MB_NUMBER_U8);
    ck_assert(encoding->layout.squared);
    ck_assert_double_gt(encoding->loss.sqnr_db, 30);
    mb_encoded_free(&first.encoded);
}
END_TEST

START_TEST(what_8_bits_cannot_hold_is_refused_by_name_and_place)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY, -1};
    first.count = 10;
    memset(first.values, 0, sizeof first.values);
    first.values[7] = bad[_i];
    ck_assert_int_eq(mb_moment_encode(MB_MOMENT_SQUARE, first.values, NULL, first.count,
                                      "a.h5: moment 'velocity/w'", &first.encoded),
                     MB_ERR_NUMERIC);
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "a.h5: moment 'velocity/w'"));
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "value 7"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("moments");
    TCase *tests = tcase_create("8 bits");
    int sizes = (int)(sizeof counts / sizeof counts[0]);
    tcase_add_loop_test(tests, signed_moments_move_by_half_a_code_at_most, 0, sizes);
    tcase_add_loop_test(tests, roots_of_squares_move_by_one_code_at_most, 0, sizes);
    tcase_add_loop_test(tests, a_square_is_zero_exactly_where_it_was, 0, 8);
    tcase_add_test(tests, an_average_is_zero_wherever_its_square_is);
    tcase_add_loop_test(tests, an_average_square_stays_above_the_square_of_its_average, 0, 4);
    tcase_add_test(tests, the_largest_and_the_smallest_numbers_stay_finite);
    tcase_add_test(tests, one_byte_a_value_and_two_for_each_block);
    tcase_add_loop_test(tests, what_8_bits_cannot_hold_is_refused_by_name_and_place, 0, 4);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
