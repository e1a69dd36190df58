/* Numbers that stand for something: ranges, lists of what is known, hashes of the rest, and rows of
 * them as counts, each against a plain loop. */
#include <string.h>
#include "device/naming.h"
#include "support/op_check.h"

static int32_t *integers(op_t *op, int64_t count, int64_t low, int64_t high)
{
    int32_t *values = op_memory(op, (size_t)count * sizeof *values + 4);
    for (int64_t i = 0; i < count; i++)
        values[i] = (int32_t)op_integer(op, low, high);
    return values;
}

START_TEST(a_number_falls_behind_the_boundaries_that_are_at_most_it)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    mb_digitize_args_t a = {.count = op_integer(&op, 0, 40000), .n = op_integer(&op, 0, 30)};
    float *x = op_random(&op, a.count + 1, -4, 4), *boundaries = op_floats(&op, a.n + 1);
    int32_t *y = op_memory(&op, (size_t)a.count * 4 + 4);
    for (int64_t i = 0; i < a.n; i++)
        boundaries[i] = (i == 0 ? -3.0f : boundaries[i - 1]) + (float)op_integer(&op, 0, 2);
    for (int64_t i = 0; i < a.count; i++)
        x[i] = i % 3 == 0 ? rintf(x[i]) : i % 101 == 0 ? NAN : x[i];
    a.x = x;
    a.boundaries = boundaries;
    a.y = y;
    OP_RUN(&op, DIGITIZE, &a);
    for (int64_t i = 0; i < a.count; i++) {
        int32_t want = 0;
        for (int64_t k = 0; k < a.n; k++)
            want += isnan(x[i]) || boundaries[k] <= x[i];
        ck_assert_int_eq(y[i], want);
    }
    op_close(&op);
}
END_TEST

START_TEST(what_is_listed_has_its_value_and_the_rest_a_place_by_the_rule)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    mb_lookup_args_t a = {.count = op_integer(&op, 0, 40000),
                          .n = op_integer(&op, 0, 20),
                          .rule = (mb_others_t)(_i % 4),
                          .first = (int32_t)op_integer(&op, 0, 3),
                          .others = (int32_t)op_integer(&op, 1, 5),
                          .salt = {133, 137}};
    int32_t *keys = integers(&op, a.n, 0, 0), *values = integers(&op, a.n, 0, 99);
    for (int64_t i = 0; i < a.n; i++)
        keys[i] = (i == 0 ? -20 : keys[i - 1]) + (int32_t)op_integer(&op, 1, 5);
    int32_t *x = integers(&op, a.count, -30, 60), *y = integers(&op, a.count, 0, 0);
    a.keys = keys;
    a.values = values;
    a.x = x;
    a.y = y;
    OP_RUN(&op, LOOKUP, &a);
    for (int64_t i = 0; i < a.count; i++) {
        int64_t k = 0;
        while (k < a.n && keys[k] != x[i])
            k++;
        if (k < a.n)
            ck_assert_int_eq(y[i], values[k]);
        else if (a.rule == MB_OTHERS_ONE)
            ck_assert_int_eq(y[i], a.first);
        else if (a.rule == MB_OTHERS_MODULO)
            ck_assert_int_eq(y[i], a.first + (x[i] + 30 * a.others) % a.others);
        else
            ck_assert(y[i] >= a.first && y[i] < a.first + a.others);
    }
    op_close(&op);
}
END_TEST

/* tf.strings.to_hash_bucket_fast and to_hash_bucket_strong with the key [133, 137], of
 * tf.strings.as_string of these, among 2^31 - 1 places. */
static const int32_t hashed[] = {0,        7,         -3,         12,       104,
                                 -981,     4711,      12345,      -65536,   1234567,
                                 99999999, 123456789, 2147483647, INT32_MIN};
static const int32_t farm[] = {1633463888, 1080489176, 1968597216, 1832549722, 917924152,
                               1190193540, 1074185451, 1572853542, 454204966,  2014225347,
                               1754181939, 1684752350, 1331686642, 1508909984};
static const int32_t sip[] = {1001881600, 658132350,  456261717,  1868366724, 1580079992,
                              1080007295, 2138651789, 224612651,  975069692,  1921248812,
                              1825026336, 1608954729, 1175549775, 348738320};
enum { HASHED = sizeof hashed / sizeof hashed[0] };

START_TEST(hashes_are_those_of_tensorflow)
{
    op_t op;
    op_open(&op, 1, 1);
    int32_t *x = integers(&op, HASHED, 0, 0), *y = integers(&op, HASHED, 0, 0);
    memcpy(x, hashed, sizeof hashed);
    mb_lookup_args_t a = {.count = HASHED,
                          .rule = _i == 0 ? MB_OTHERS_HASH : MB_OTHERS_KEYED,
                          .others = INT32_MAX,
                          .salt = {133, 137},
                          .x = x,
                          .y = y};
    OP_RUN(&op, LOOKUP, &a);
    for (int i = 0; i < HASHED; i++)
        ck_assert_msg(y[i] == (_i == 0 ? farm : sip)[i], "of %d", x[i]);
    op_close(&op);
}
END_TEST

START_TEST(rows_are_counted_or_marked)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    mb_encode_args_t a = {.rows = op_integer(&op, 0, 300),
                          .columns = op_integer(&op, 0, 9),
                          .depth = op_integer(&op, 1, 200),
                          .counts = _i % 2 == 0};
    int32_t *x = integers(&op, a.rows * a.columns, -2, a.depth + 1);
    float *y = op_random(&op, a.rows * a.depth + 1, 5, 6);
    a.x = x;
    a.y = y;
    OP_RUN(&op, ENCODE, &a);
    for (int64_t r = 0; r < a.rows; r++) {
        for (int64_t d = 0; d < a.depth; d++) {
            int want = 0;
            for (int64_t c = 0; c < a.columns; c++)
                want += x[r * a.columns + c] == d;
            want = !a.counts && want > 1 ? 1 : want;
            ck_assert(y[r * a.depth + d] == (float)want);
        }
    }
    op_close(&op);
}
END_TEST

START_TEST(no_places_for_what_is_not_listed_are_refused)
{
    op_t op;
    op_open(&op, 1, 1);
    mb_lookup_args_t a = {.rule = MB_OTHERS_HASH};
    ck_assert_int_eq(op_try(&op, MB_OP_LOOKUP, &a, sizeof a), MB_ERR_INTERNAL);
    op_close(&op);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op_categories");
    TCase *t = tcase_create("categories");
    tcase_add_loop_test(t, a_number_falls_behind_the_boundaries_that_are_at_most_it, 0, 10);
    tcase_add_loop_test(t, what_is_listed_has_its_value_and_the_rest_a_place_by_the_rule, 0, 16);
    tcase_add_loop_test(t, hashes_are_those_of_tensorflow, 0, 2);
    tcase_add_loop_test(t, rows_are_counted_or_marked, 0, 10);
    tcase_add_test(t, no_places_for_what_is_not_listed_are_refused);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
