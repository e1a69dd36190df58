/* Functions of strided operands and their reductions against plain loops in double. */
#include <string.h>
#include "support/op_check.h"
#include "support/sanitized.h"

#define MB_OF_ABS fabs
#define MB_OF_SIGN(x) ((x) > 0 ? 1.0 : (x) < 0 ? -1.0 : 0.0)
#define MB_OF_SQRT sqrt
#define MB_OF_EXP exp
#define MB_OF_EXPM1 expm1
#define MB_OF_LOG log
#define MB_OF_LOG1P log1p
#define MB_OF_LOG2 log2
#define MB_OF_LOG10 log10
#define MB_OF_SIN sin
#define MB_OF_COS cos
#define MB_OF_TAN tan
#define MB_OF_SINH sinh
#define MB_OF_COSH cosh
#define MB_OF_TANH tanh
#define MB_OF_ATAN atan
#define MB_OF_ERF erf
#define MB_OF_FLOOR floor
#define MB_OF_ROUND rint
#define MB_OF_MOD(x, y) ((x) - (y)*floor((x) / (y)))
#define MB_OF_POW pow

static double truth(mb_map_t function, double a, double b, double c)
{
    switch (function) {
#define CASE(NAME, inputs, value)                                                                  \
    case MB_MAP_##NAME:                                                                            \
        return (double)(value);
        MB_MAP_LIST(CASE)
#undef CASE
    default:
        ck_abort_msg("no such function");
    }
}

/* Elements of each operand's memory. */
static int64_t most = 1 << 15;

static int64_t place(const mb_map_args_t *a, const int64_t *stride, int axes, int from,
                     int64_t index)
{
    int64_t at = 0;
    for (int d = axes - 1; d >= from; d--) {
        at += index % a->dim[d] * stride[d];
        index /= a->dim[d];
    }
    return at;
}

static double input(const mb_map_args_t *a, int i, int64_t k, int64_t r)
{
    int kept = a->axes - a->reduced;
    if (i >= mb_map_inputs(a->function))
        return 0;
    if (a->constants >> i & 1)
        return (double)a->constant[i];
    int64_t at = place(a, a->stride[i], kept, 0, k) + place(a, a->stride[i], a->axes, kept, r);
    return (double)((const float *)a->x[i])[at];
}

static double combine(mb_reduction_t reduction, double x, double y)
{
    return reduction == MB_REDUCE_SUM       ? x + y
           : reduction == MB_REDUCE_PRODUCT ? x * y
           : reduction == MB_REDUCE_MAX     ? fmax(x, y)
                                            : fmin(x, y);
}

static double result(const mb_map_args_t *a, int64_t k, double *sum_of_sizes)
{
    double sum = 0;
    *sum_of_sizes = 0;
    for (int64_t r = 0; r < mb_map_reduced(a); r++) {
        double value = truth(a->function, input(a, 0, k, r), input(a, 1, k, r), input(a, 2, k, r));
        sum = r == 0 ? value : combine(a->reduction, sum, value);
        *sum_of_sizes += fabs(value);
    }
    return sum * a->scale;
}

/* A function is of at most four roundings and two elementary functions of 3 ulp, of values up to 8
 * times the result, or up to 4 where they cancel; each value of a sum or product brings that along,
 * and the sum is in double. A product of VALUES has their relative errors. */
static void check(op_t *op, const mb_map_args_t *args)
{
    int kept_axes = args->axes - args->reduced;
    int64_t kept = mb_map_kept(args), reduced = mb_map_reduced(args);
    const float *y = args->y;
    double *before = op_widen(y, most);
    OP_RUN(op, MAP, args);
    for (int64_t k = 0; k < kept; k++) {
        int64_t at = place(args, args->y_stride, kept_axes, 0, k);
        double sizes, want = result(args, k, &sizes);
        double of = args->reduction == MB_REDUCE_PRODUCT ? fabs(want) * (double)reduced
                                                         : sizes * fabs(args->scale);
        want += args->accumulate ? before[at] : 0;
        double allowed = 80 * OP_EPSILON * (of + 4 * (double)reduced) +
                         2 * OP_EPSILON * (fabs(want) + fabs(before[at]));
        ck_assert_msg(fabs((double)y[at] - want) <= allowed + 1e-30, "%s: %g, not %g +- %g at %lld",
                      mb_map_name(args->function), (double)y[at], want, allowed, (long long)k);
        before[at] = (double)y[at];
    }
    for (int64_t i = 0; i < most; i++)
        ck_assert_msg(fabs(before[i] - (double)y[i]) <= 0, "%s writes where no result lies",
                      mb_map_name(args->function));
    free(before);
}

/* Strides of axes in a random order, with a gap now and then; 0 for some where REPEATS. */
static void lay(op_t *op, const mb_map_args_t *a, int axes, bool repeats, int64_t *stride)
{
    int order[MB_MAP_AXES];
    int64_t step = op_integer(op, 0, 4) == 0 ? 2 : 1;
    for (int d = 0; d < axes; d++)
        order[d] = d;
    for (int d = axes - 1; d > 0 && op_integer(op, 0, 1); d--) {
        int other = (int)op_integer(op, 0, d), kept = order[d];
        order[d] = order[other];
        order[other] = kept;
    }
    for (int i = axes - 1; i >= 0; i--) {
        bool repeated = repeats && op_integer(op, 0, 3) == 0;
        stride[order[i]] = repeated ? 0 : step;
        step *= repeated ? 1 : a->dim[order[i]];
    }
}

static void random_sizes(op_t *op, mb_map_args_t *a)
{
    static const int64_t largest[] = {1, 4000, 90, 20, 9, 6};
    a->axes = (int32_t)op_integer(op, 1, 5);
    a->reduced = (int32_t)op_integer(op, 0, a->axes);
    for (int d = 0; d < a->axes; d++)
        a->dim[d] = op_integer(op, 1, largest[a->axes]);
}

static void random_operands(op_t *op, mb_map_args_t *a)
{
    for (int i = 0; i < mb_map_inputs(a->function); i++) {
        lay(op, a, a->axes, true, a->stride[i]);
        if (op_integer(op, 0, 5) == 0) {
            a->constants |= (uint8_t)(1 << i);
            a->constant[i] = (float)op_uniform(op, 0.5, 2);
        } else {
            a->x[i] = op_random(op, most, 0.5, 2);
        }
    }
    lay(op, a, a->axes - a->reduced, false, a->y_stride);
    a->y = op_random(op, most, -1, 1);
}

START_TEST(every_function_over_random_strides_is_its_value)
{
    for (int f = 0; f < MB_MAP_COUNT; f++) {
        op_t op;
        op_open(&op, 2, (uint64_t)f + 1);
        mb_map_args_t args = {.function = (mb_map_t)f, .scale = 1};
        random_sizes(&op, &args);
        args.reduced = 0;
        random_operands(&op, &args);
        check(&op, &args);
        op_close(&op);
    }
}
END_TEST

START_TEST(reductions_of_random_shapes_are_those_of_plain_loops)
{
    for (int i = 0; i < 60; i += TEST_EVERY) {
        op_t op;
        op_open(&op, 2, (uint64_t)i + 100);
        mb_map_args_t args = {.function = (mb_map_t)op_integer(&op, 0, MB_MAP_COUNT - 1)};
        args.reduction = (mb_reduction_t)op_integer(&op, 0, 3);
        args.scale = args.reduction == MB_REDUCE_SUM ? op_uniform(&op, 0.1, 2) : 1;
        args.accumulate = op_integer(&op, 0, 1);
        random_sizes(&op, &args);
        if (args.reduction == MB_REDUCE_PRODUCT)
            args.dim[args.axes - 1] = op_integer(&op, 1, 3);
        random_operands(&op, &args);
        check(&op, &args);
        op_close(&op);
    }
}
END_TEST

/* Sizes at which the work is cut in other ways: few results of many elements, and pieces. */
START_TEST(long_reductions_are_those_of_plain_loops)
{
    static const int64_t sizes[][2] = {
        {1, 200000}, {3, 70001}, {31, 4000}, {33, 5000}, {1500, 150}};
    most = 1 << 18;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (int order = 0; order < 2; order += TEST_EVERY) {
            op_t op;
            op_open(&op, 2, i + 1);
            int64_t kept = sizes[i][0], reduced = sizes[i][1];
            mb_map_args_t args = {.function = MB_MAP_SQUARE, .axes = 2, .reduced = 1, .scale = 1};
            args.dim[0] = kept, args.dim[1] = reduced;
            args.stride[0][0] = order ? 1 : reduced, args.stride[0][1] = order ? kept : 1;
            args.y_stride[0] = 1;
            args.x[0] = op_random(&op, most, 0.5, 2);
            args.y = op_random(&op, most, -1, 1);
            check(&op, &args);
            op_close(&op);
        }
    }
}
END_TEST

START_TEST(a_copy_passes_any_four_bytes)
{
    op_t op;
    op_open(&op, 1, 1);
    mb_map_args_t args = {.function = MB_MAP_COPY, .axes = 2, .scale = 1, .dim = {3, 5}};
    int32_t *x = op_labels(&op, 15, 100), *y = op_labels(&op, 15, 100);
    x[7] = 0x7F800001; /* as a float, a NaN that speaks */
    memcpy(args.stride[0], (int64_t[]){1, 3}, 2 * sizeof(int64_t));
    memcpy(args.y_stride, (int64_t[]){5, 1}, 2 * sizeof(int64_t));
    args.x[0] = x, args.y = y;
    OP_RUN(&op, MAP, &args);
    for (int i = 0; i < 15; i++)
        ck_assert_int_eq(y[i], x[i % 5 * 3 + i / 5]);
    op_close(&op);
}
END_TEST

START_TEST(what_makes_no_sense_is_refused)
{
    op_t op;
    op_open(&op, 1, 1);
    mb_map_args_t args = {.function = MB_MAP_COUNT, .scale = 1};
    ck_assert_int_ne(op_try(&op, MB_OP_MAP, &args, sizeof args), MB_OK);
    args = (mb_map_args_t){.axes = MB_MAP_AXES + 1, .scale = 1};
    ck_assert_int_ne(op_try(&op, MB_OP_MAP, &args, sizeof args), MB_OK);
    args = (mb_map_args_t){.axes = 1, .dim = {2}, .stride = {{-1}}, .scale = 1};
    ck_assert_int_ne(op_try(&op, MB_OP_MAP, &args, sizeof args), MB_OK);
    args = (mb_map_args_t){.axes = 1, .reduced = 1, .dim = {0}, .scale = 1};
    ck_assert_int_ne(op_try(&op, MB_OP_MAP, &args, sizeof args), MB_OK);
    op_close(&op);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op_map");
    TCase *t = tcase_create("map");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, every_function_over_random_strides_is_its_value);
    tcase_add_test(t, reductions_of_random_shapes_are_those_of_plain_loops);
    tcase_add_test(t, long_reductions_are_those_of_plain_loops);
    tcase_add_test(t, a_copy_passes_any_four_bytes);
    tcase_add_test(t, what_makes_no_sense_is_refused);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
