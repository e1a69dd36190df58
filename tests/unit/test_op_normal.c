/* Normally distributed numbers: the transform of the words that belong to them, and their moments.
 */
#include "support/op_check.h"

static const mb_random_key_t key = {77, MB_RANDOM_NOISE, 3, 10, 5};

/* Box and Muller in double, of words as ops.h says. */
static double truth(uint32_t sample, uint32_t element)
{
    uint32_t pair = element & ~UINT32_C(1);
    double u = ((double)(mb_random_word(&key, sample, pair) >> 8) + 1.0) * 0x1p-24;
    double turns = (double)(mb_random_word(&key, sample, pair + 1) >> 8) * 0x1p-24;
    double radius = sqrt(-2.0 * log(u)), angle = 4.0 * acos(0.0) * turns;
    return radius * (element == pair ? cos(angle) : sin(angle));
}

/* The logarithm, the sine and the cosine err by 6 eps, the radius by half of the first and a
 * rounding; the largest is 5.8. */
START_TEST(numbers_are_the_transform_of_their_words)
{
    op_t op;
    op_open(&op, 2, 1);
    static const int64_t elements[] = {1, 2, 3, 63, 4096, 9001};
    for (int k = 0; k < 6; k++) {
        int64_t n = elements[k];
        mb_normal_args_t args = {MB_F32, 3, n, 0.5f, 2.0f, key, op_floats(&op, 3 * n)};
        const float *y = args.y;
        OP_RUN(&op, NORMAL, &args);
        for (int64_t i = 0; i < 3 * n; i++) {
            double want = 0.5 + 2.0 * truth((uint32_t)(i / n), (uint32_t)(i % n));
            op_near("normal", &y[i], &want, 1, OP_EPSILON, 2.0 * 5.8 * 12 * OP_EPSILON);
        }
    }
    op_close(&op);
}
END_TEST

START_TEST(numbers_follow_the_sample_and_not_where_a_batch_begins)
{
    op_t op;
    op_open(&op, 2, 1);
    const int64_t n = 501;
    float *all = op_floats(&op, 4 * n), *rest = op_floats(&op, 2 * n);
    mb_normal_args_t args = {MB_F32, 4, n, 0.0f, 1.0f, key, all};
    OP_RUN(&op, NORMAL, &args);
    args.samples = 2, args.y = rest;
    args.random.position += 2;
    OP_RUN(&op, NORMAL, &args);
    ck_assert_mem_eq(all + 2 * n, rest, sizeof(float) * 2 * (size_t)n);
    op_close(&op);
}
END_TEST

/* Of N draws the k-th moment deviates by sqrt(var(z^k) / N), with variances 1, 2, 15 and 96; five
 * of them. */
START_TEST(moments_are_those_of_the_normal_distribution)
{
    static const double moments[] = {0, 1, 0, 3}, variances[] = {1, 2, 15, 96};
    op_t op;
    op_open(&op, 2, 1);
    const int64_t n = 1000000;
    mb_normal_args_t args = {MB_F32, 1, n, 0.0f, 1.0f, key, op_floats(&op, n)};
    const float *y = args.y;
    OP_RUN(&op, NORMAL, &args);
    for (int k = 1; k <= 4; k++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++)
            sum += pow((double)y[i], k);
        ck_assert_double_eq_tol(sum / (double)n, moments[k - 1],
                                5 * sqrt(variances[k - 1] / (double)n));
    }
    op_close(&op);
}
END_TEST

START_TEST(what_has_no_numbers_is_refused)
{
    op_t op;
    op_open(&op, 1, 1);
    mb_normal_args_t args = {.samples = 1, .elements = (INT64_C(1) << 32) + 1};
    ck_assert_int_ne(op_try(&op, MB_OP_NORMAL, &args, sizeof args), MB_OK);
    args = (mb_normal_args_t){.samples = -1};
    ck_assert_int_ne(op_try(&op, MB_OP_NORMAL, &args, sizeof args), MB_OK);
    op_close(&op);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("op_normal");
    TCase *t = tcase_create("normal");
    tcase_add_test(t, numbers_are_the_transform_of_their_words);
    tcase_add_test(t, numbers_follow_the_sample_and_not_where_a_batch_begins);
    tcase_add_test(t, moments_are_those_of_the_normal_distribution);
    tcase_add_test(t, what_has_no_numbers_is_refused);
    suite_add_tcase(s, t);
    return op_main(s);
}
