/* The public quantizer, on one rank. */
#include "unit/api_ring.h"

#include <math.h>
#include <unistd.h>

static double number(const mb_quantizer_t *quantizer, const char *name)
{
    double value = NAN;
    OK(mb_quantizer_get(quantizer, name, &value));
    return value;
}

static mb_quantizer_t *quantizer_of(const char *path)
{
    mb_quantizer_t *quantizer;
    OK(mb_quantizer_create(ring_context, path, &quantizer));
    return quantizer;
}

START_TEST(a_quantized_file_is_smaller_and_a_model)
{
    mb_model_t *model;
    int64_t count = 0;
    mb_quantizer_t *quantizer = quantizer_of("ring.h5");
    OK(mb_quantizer_set(quantizer, "format", "fp16"));
    OK(mb_quantizer_set(quantizer, "rule", "dense_1/kernel=fp32"));
    OK(mb_quantizer_run(quantizer, "small.h5"));
    /* 2 x 8 + 8 + 8 x 2 + 2 numbers, the first matrix of them in two bytes. */
    ck_assert(number(quantizer, "bytes_before") == 4 * 42);
    ck_assert(number(quantizer, "bytes_after") == 4 * 42 - 2 * 16);
    ck_assert(isnan(number(quantizer, "loss_after")));
    OK(mb_model_load("small.h5", &model));
    OK(mb_model_count_parameters(model, &count));
    ck_assert_int_eq(count, 42);
    OK(mb_model_destroy(model));
    OK(mb_quantizer_destroy(quantizer));
}
END_TEST

START_TEST(data_tell_what_it_costs)
{
    mb_quantizer_t *quantizer = quantizer_of("ring.h5");
    ring_write_data("data.h5");
    OK(mb_quantizer_set(quantizer, "format", "e3m4"));
    OK(mb_quantizer_set(quantizer, "data", "data.h5"));
    OK(mb_quantizer_run(quantizer, NULL));
    ck_assert(access("small.h5", F_OK) != 0);
    ck_assert(number(quantizer, "loss_before") > 0);
    ck_assert(number(quantizer, "mean_kl") >= 0);
    ck_assert(number(quantizer, "agreement") <= 1);
    OK(mb_quantizer_destroy(quantizer));
}
END_TEST

START_TEST(what_cannot_be_done_is_refused)
{
    double value;
    mb_quantizer_t *quantizer = quantizer_of("ring.h5");
    REFUSED(mb_quantizer_get(quantizer, "loss_after", &value), MB_ERR_ARGUMENT, "nothing was");
    REFUSED(mb_quantizer_run(quantizer, "q.h5"), MB_ERR_ARGUMENT, "no format");
    REFUSED(mb_quantizer_set(quantizer, "format", "int9"), MB_ERR_ARGUMENT, "int9");
    REFUSED(mb_quantizer_set(quantizer, "frmat", "int8"), MB_ERR_ARGUMENT, "frmat");
    REFUSED(mb_quantizer_set(quantizer, "again", "perhaps"), MB_ERR_ARGUMENT, "perhaps");
    OK(mb_quantizer_set(quantizer, "format", "int8"));
    REFUSED(mb_quantizer_run(quantizer, "ring.h5"), MB_ERR_ARGUMENT, "one of the inputs");
    OK(mb_quantizer_run(quantizer, "q.h5"));
    REFUSED(mb_quantizer_get(quantizer, "bits", &value), MB_ERR_ARGUMENT, "bits");
    OK(mb_quantizer_destroy(quantizer));
    quantizer = quantizer_of("q.h5");
    OK(mb_quantizer_set(quantizer, "format", "int4"));
    REFUSED(mb_quantizer_run(quantizer, "r.h5"), MB_ERR_ARGUMENT, "quantized already");
    OK(mb_quantizer_destroy(quantizer));
    OK(mb_quantizer_destroy(NULL));
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("quantizer");
    TCase *tests = tcase_create("quantizer");
    tcase_add_checked_fixture(tests, ring_begin, ring_end);
    tcase_add_test(tests, a_quantized_file_is_smaller_and_a_model);
    tcase_add_test(tests, data_tell_what_it_costs);
    tcase_add_test(tests, what_cannot_be_done_is_refused);
    suite_add_tcase(suite, tests);
    return ring_main(argc, argv, suite);
}
