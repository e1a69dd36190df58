/* Rounding while training gives exactly what the format would store and decode. */
#include <string.h>
#include "quant/encode.h"
#include "support/op_check.h"

static const char *const formats[] = {"int8",          "int8:tensor",   "int8:block=32",
                                      "int8:block=64", "int4:block=32", "int4:block=64",
                                      "int8:block=128"};
#define N_FORMATS ((int)(sizeof formats / sizeof *formats))

/* Magnitudes from 1e-30 to 1, a column of zeros, and ties between two codes. */
static float *weights(op_t *op, int64_t rows, int64_t columns)
{
    float *x = op_floats(op, rows * columns);
    double size = pow(10.0, op_uniform(op, -30, 0));
    for (int64_t i = 0; i < rows * columns; i++) {
        x[i] = (float)(size * op_uniform(op, -1, 1));
        if (i % columns == 3)
            x[i] = 0.0f;
        if (op_integer(op, 0, 15) == 0)
            x[i] = (float)(size * ((double)op_integer(op, -127, 127) + 0.5) / 127.0);
    }
    return x;
}

static void compare(op_t *op, const char *text, mb_view_t view, bool in_place)
{
    mb_format_t format;
    ck_assert_int_eq(mb_format_parse(text, &format), MB_OK);
    int64_t count = view.rows * view.columns;
    float *x = weights(op, view.rows, view.columns), *want = op_floats(op, count);
    mb_encoded_t encoded;
    ck_assert_int_eq(mb_encode(&format, MB_METHOD_NEAREST, &view, x, NULL, "test", &encoded),
                     MB_OK);
    mb_matrix_decode(&encoded.matrix, want);
    mb_encoded_free(&encoded);
    mb_fake_quantize_args_t args = {.format = mb_format_matrix(&format, &view), .x = x};
    args.y = in_place ? x : op_floats(op, count);
    OP_RUN(op, FAKE_QUANTIZE, &args);
    for (int64_t i = 0; i < count; i++)
        ck_assert_msg(memcmp(&((const float *)args.y)[i], &want[i], sizeof(float)) == 0,
                      "%s [%d, %d]%s: element %d is %.9g, stored it would be %.9g", text,
                      (int)view.rows, (int)view.columns, view.lookup ? " lookup" : "", (int)i,
                      (double)((const float *)args.y)[i], (double)want[i]);
}

START_TEST(rounds_as_the_format_stores)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    for (int round = 0; round < 8; round++) {
        mb_view_t view = {op_integer(&op, 1, 300), op_integer(&op, 1, 600), round % 2 == 1};
        compare(&op, formats[_i], view, round >= 4);
    }
    op_close(&op);
}
END_TEST

static uint64_t digest_with(int threads, const char *text)
{
    op_t op;
    op_open(&op, threads, 7);
    mb_format_t format;
    ck_assert_int_eq(mb_format_parse(text, &format), MB_OK);
    mb_view_t view = {333, 517, false};
    mb_fake_quantize_args_t args = {.format = mb_format_matrix(&format, &view)};
    args.x = weights(&op, view.rows, view.columns);
    args.y = op_floats(&op, view.rows * view.columns);
    OP_RUN(&op, FAKE_QUANTIZE, &args);
    uint64_t digest = op_digest(&op);
    op_close(&op);
    return digest;
}

START_TEST(any_number_of_threads_gives_the_same_bits)
{
    uint64_t one = digest_with(1, formats[_i]);
    ck_assert_uint_eq(digest_with(2, formats[_i]), one);
    ck_assert_uint_eq(digest_with(3, formats[_i]), one);
}
END_TEST

START_TEST(a_nan_stays_one)
{
    op_t op;
    op_open(&op, 1, 1);
    for (int f = 0; f < N_FORMATS; f++) {
        mb_format_t format;
        ck_assert_int_eq(mb_format_parse(formats[f], &format), MB_OK);
        mb_view_t view = {40, 5, false};
        mb_fake_quantize_args_t args = {.format = mb_format_matrix(&format, &view)};
        float *x = op_random(&op, 200, -1, 1);
        x[77] = NAN;
        args.x = x;
        args.y = op_floats(&op, 200);
        OP_RUN(&op, FAKE_QUANTIZE, &args);
        for (int i = 0; i < 200; i++)
            ck_assert_int_eq(isnan(((const float *)args.y)[i]) != 0, i == 77);
    }
    op_close(&op);
}
END_TEST

START_TEST(formats_that_cannot_be_rounded_to_are_refused)
{
    op_t op;
    op_open(&op, 1, 1);
    mb_fake_quantize_args_t args = {.format = {.number = MB_NUMBER_F16, .rows = 2, .columns = 2}};
    ck_assert_int_eq(mb_run_fake_quantize(&op.exec, &args), MB_ERR_INTERNAL);
    args.format.number = MB_NUMBER_I8;
    ck_assert_int_eq(mb_run_fake_quantize(&op.exec, &args), MB_ERR_INTERNAL);
    op_close(&op);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op_fake_quantize");
    TCase *t = tcase_create("rounding");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, rounds_as_the_format_stores, 0, N_FORMATS);
    tcase_add_loop_test(t, any_number_of_threads_gives_the_same_bits, 0, N_FORMATS);
    tcase_add_test(t, a_nan_stays_one);
    tcase_add_test(t, formats_that_cannot_be_rounded_to_are_refused);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
