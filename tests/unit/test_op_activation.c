/* Activation functions against the C library in double, their derivatives against finite
 * differences, and the elementary functions' errors in ulp. */
#include "device/cpu/activation_kernels.h"
#include "device/cpu/vmath.h"
#include "support/op_check.h"

typedef struct {
    mb_act_t act;
    double p0, p1, p2;
} function_t;

static double truth(const function_t *f, double x)
{
    const double alpha = 1.6732632423543772, scale = 1.0507009873554805;
    switch (f->act) {
    case MB_ACT_RELU:
        return fmax(x, 0.0);
    case MB_ACT_RELU_GENERAL:
        return x >= f->p1 ? f->p1 : x > f->p2 ? x : f->p0 * (x - f->p2);
    case MB_ACT_TANH:
        return tanh(x);
    case MB_ACT_SIGMOID:
        return 1.0 / (1.0 + exp(-x));
    case MB_ACT_GELU:
        return 0.5 * x * (1.0 + erf(x / sqrt(2.0)));
    case MB_ACT_GELU_TANH:
        return 0.5 * x * (1.0 + tanh(sqrt(2.0 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case MB_ACT_SILU:
        return x / (1.0 + exp(-x));
    case MB_ACT_ELU:
        return x > 0.0 ? x : f->p0 * expm1(x);
    case MB_ACT_SELU:
        return scale * (x > 0.0 ? x : alpha * expm1(x));
    case MB_ACT_SOFTPLUS:
        return log1p(exp(-fabs(x))) + fmax(x, 0.0);
    case MB_ACT_SOFTSIGN:
        return x / (1.0 + fabs(x));
    case MB_ACT_EXPONENTIAL:
        return exp(x);
    case MB_ACT_HARD_SIGMOID:
        return fmin(fmax(f->p0 * x + 0.5, 0.0), 1.0);
    case MB_ACT_HARD_SILU:
        return x * fmin(fmax(x / 6.0 + 0.5, 0.0), 1.0);
    case MB_ACT_HARD_TANH:
        return fmin(fmax(x, -1.0), 1.0);
    case MB_ACT_CELU:
        return fmax(x, 0.0) + f->p0 * expm1(fmin(x, 0.0) / f->p0);
    case MB_ACT_SQUAREPLUS:
        return (x + sqrt(x * x + f->p0)) / 2.0;
    case MB_ACT_SPARSE_PLUS:
        return x <= -1.0 ? 0.0 : x >= 1.0 ? x : (x + 1.0) * (x + 1.0) / 4.0;
    case MB_ACT_MISH:
        return x * tanh(log1p(exp(-fabs(x))) + fmax(x, 0.0));
    case MB_ACT_LOG_SIGMOID:
        return -log1p(exp(-fabs(x))) - fmax(-x, 0.0);
    case MB_ACT_TANH_SHRINK:
        return x - tanh(x);
    case MB_ACT_SOFT_SHRINK:
        return x > f->p0 ? x - f->p0 : x < -f->p0 ? x + f->p0 : 0.0;
    case MB_ACT_HARD_SHRINK:
        return fabs(x) > f->p0 ? x : 0.0;
    case MB_ACT_THRESHOLD:
        return x > f->p0 ? x : f->p1;
    case MB_ACT_LINEAR:
    case MB_ACT_COUNT:
        break;
    }
    return x;
}

/* Whether there is a kink, or a step, within H of X. */
static bool bends(const function_t *f, double x, double h)
{
    const double at[] = {0.0,  f->p1, f->p2, f->p0,       -f->p0,      1.0,
                         -1.0, 3.0,   -3.0,  0.5 / f->p0, -0.5 / f->p0};
    bool near = false;
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++)
        near = near || fabs(x - at[i]) < h;
    return near;
}

/* Elementary functions err by 3 ulp = 6 eps of their value, which formulas like 1 + erf carry over
 * as an absolute error of the argument's size; a handful of roundings come on top. */
static void check_function(op_t *op, const function_t *f)
{
    const int64_t count = 20011;
    float *x = op_random(op, count, -9, 9), *y = op_floats(op, count);
    float *dy = op_random(op, count, -1, 1), *dx = op_floats(op, count);
    mb_act_forward_args_t forward = {MB_F32,       count,        f->act, (float)f->p0,
                                     (float)f->p1, (float)f->p2, x,      y};
    OP_RUN(op, ACT_FORWARD, &forward);
    mb_act_backward_args_t backward = {MB_F32,       count, f->act, (float)f->p0, (float)f->p1,
                                       (float)f->p2, x,     y,      dy,           dx};
    OP_RUN(op, ACT_BACKWARD, &backward);
    for (int64_t i = 0; i < count; i++) {
        double at = (double)x[i], h = 1e-5, want = truth(f, at);
        op_near("activation", &y[i], &want, 1, 10 * OP_EPSILON, 8 * OP_EPSILON * fabs(at));
        if (bends(f, at, 2 * h))
            continue;
        want = (double)dy[i] * (truth(f, at + h) - truth(f, at - h)) / (2 * h);
        op_near("derivative", &dx[i], &want, 1, 16 * OP_EPSILON,
                16 * OP_EPSILON * (1 + fabs(at)) + 1e-8);
    }
}

START_TEST(activations_and_derivatives_match_the_truth)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    function_t f = {(mb_act_t)_i, 0.75, _i == MB_ACT_THRESHOLD ? -2.0 : INFINITY, 0.0};
    check_function(&op, &f);
    op_close(&op);
}
END_TEST

/* Those without fused sums against the truth, and those with them, which are the operations' on
 * most machines, against each other. */
START_TEST(instruction_sets_agree)
{
    enum { COUNT = 5003 };
    const mb_activation_parameters_t p = {0.75f, INFINITY, 0.0f};
    const mb_cpu_runs_t run = {0, 1, COUNT, 0};
    const function_t f = {(mb_act_t)_i, 0.75, INFINITY, 0.0};
    const mb_activation_kernels_t *plain = mb_activation_kernels_plain();
    const mb_activation_kernels_t *few = mb_activation_kernels_avx2();
    const mb_activation_kernels_t *many = mb_activation_kernels_avx512();
    op_t op;
    op_open(&op, 1, (uint64_t)_i);
    float *x = op_random(&op, COUNT, -9, 9), *dy = op_random(&op, COUNT, -1, 1);
    float *y = op_floats(&op, COUNT), *z = op_floats(&op, COUNT);
    plain[_i].forward(x, y, &run, &p);
    for (int i = 0; i < COUNT && f.act != MB_ACT_THRESHOLD; i++) {
        double want = truth(&f, (double)x[i]);
        op_near("plain", &y[i], &want, 1, 10 * OP_EPSILON, 8 * OP_EPSILON * fabs((double)x[i]));
    }
    if (few != NULL && many != NULL) {
        few[_i].forward(x, y, &run, &p);
        many[_i].forward(x, z, &run, &p);
        ck_assert_mem_eq(y, z, COUNT * sizeof(float));
        few[_i].backward(x, dy, y, COUNT, &p);
        many[_i].backward(x, dy, z, COUNT, &p);
        ck_assert_mem_eq(y, z, COUNT * sizeof(float));
    }
    op_close(&op);
}
END_TEST

START_TEST(general_relu_obeys_slope_maximum_and_threshold)
{
    op_t op;
    op_open(&op, 1, 1);
    function_t f = {MB_ACT_RELU_GENERAL, 0.25, 6.0, 1.5};
    check_function(&op, &f);
    op_close(&op);
}
END_TEST

/* What Keras 3.15.1 gives; of leaky_relu at 0, on torch and TensorFlow. */
START_TEST(general_relu_has_keras_derivatives_where_its_pieces_meet)
{
    static const struct {
        float slope, maximum, threshold, x, derivative;
    } cases[] = {
        {0.25f, INFINITY, 0.0f, 0.0f, 0.25f}, {0.25f, INFINITY, 0.0f, -0.0f, 0.25f},
        {0.0f, INFINITY, 0.0f, 0.0f, 0.0f},   {0.25f, INFINITY, 0.5f, 0.5f, 0.0f},
        {0.25f, 2.0f, 0.0f, 0.0f, 0.0f},      {0.25f, 2.0f, 0.0f, 2.0f, 0.5f},
        {0.25f, 2.0f, 0.5f, 0.5f, 0.0f},      {0.25f, 6.0f, 0.0f, 6.0f, 0.0f},
        {0.25f, 6.0f, 0.5f, 6.0f, 0.5f},      {0.0f, 6.0f, 0.0f, 6.0f, 0.0f},
    };
    op_t op;
    op_open(&op, 1, 1);
    float *x = op_floats(&op, 1), *dy = op_floats(&op, 1), *dx = op_floats(&op, 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        x[0] = cases[i].x;
        dy[0] = 2.0f;
        mb_act_backward_args_t args = {MB_F32,
                                       1,
                                       MB_ACT_RELU_GENERAL,
                                       cases[i].slope,
                                       cases[i].maximum,
                                       cases[i].threshold,
                                       x,
                                       NULL,
                                       dy,
                                       dx};
        OP_RUN(&op, ACT_BACKWARD, &args);
        ck_assert_msg(dx[0] == 2.0f * cases[i].derivative, "case %zu gives %g", i, (double)dx[0]);
    }
    op_close(&op);
}
END_TEST

START_TEST(activation_in_place_gives_the_same_bits)
{
    op_t op;
    op_open(&op, 1, 1);
    const int64_t count = 1003;
    for (int act = 0; act < MB_ACT_COUNT; act++) {
        float *x = op_random(&op, count, -4, 4), *y = op_floats(&op, count);
        mb_act_forward_args_t args = {MB_F32, count, (mb_act_t)act, 1.0f, INFINITY, 0.0f, x, y};
        OP_RUN(&op, ACT_FORWARD, &args);
        args.y = x;
        OP_RUN(&op, ACT_FORWARD, &args);
        for (int64_t i = 0; i < count; i++)
            ck_assert_float_eq(x[i], y[i]);
    }
    op_close(&op);
}
END_TEST

START_TEST(not_a_number_stays_one)
{
    op_t op;
    op_open(&op, 1, 1);
    for (int act = 0; act < MB_ACT_COUNT; act++) {
        float *x = op_floats(&op, 1);
        x[0] = NAN;
        mb_act_forward_args_t args = {MB_F32, 1, (mb_act_t)act, 1.0f, INFINITY, 0.0f, x, x};
        OP_RUN(&op, ACT_FORWARD, &args);
        ck_assert_msg(x[0] != x[0], "activation %d loses a NaN", act);
    }
    op_close(&op);
}
END_TEST

/* Error in units of the last place of the true value (at least of the smallest normal number). */
static double ulps(float got, double want)
{
    int exponent;
    frexp(fabs(want), &exponent);
    double ulp = ldexp(1.0, (exponent < -125 ? -125 : exponent) - 24);
    return fabs((double)got - want) / ulp;
}

START_TEST(elementary_functions_are_within_three_ulp)
{
    double worst[9] = {0};
    for (int i = -400000; i <= 400000; i++) {
        float x = (float)i * 2.5e-4f; /* -100 to 100 */
        float s = (float)i * 2.5e-5f; /* -10 to 10 */
        float u = fabsf((float)i) * 2.5e-6f;
        if (x < 88.0f && x > -87.0f)
            worst[0] = fmax(worst[0], ulps(mb_v_exp(x), exp((double)x)));
        worst[1] = fmax(worst[1], ulps(mb_v_tanh(s), tanh((double)s)));
        worst[2] = fmax(worst[2], ulps(mb_v_erf(s), erf((double)s)));
        worst[3] = fmax(worst[3], ulps(mb_v_log1p(u), log1p((double)u)));
        if (s <= 0.0f)
            worst[4] = fmax(worst[4], ulps(mb_v_expm1(s), expm1((double)s)));
        worst[5] = fmax(worst[5], ulps(mb_v_sigmoid(s), 1.0 / (1.0 + exp(-(double)s))));
        float quarter = s * 0.05f; /* -1/2 to 1/2 */
        worst[6] =
            fmax(worst[6], ulps(mb_v_log(mb_v_exp(x * 0.8f)), log((double)mb_v_exp(x * 0.8f))));
        worst[7] =
            fmax(worst[7], ulps(mb_v_sin_quarter(quarter), sin(acos(0.0) * (double)quarter)));
        worst[8] =
            fmax(worst[8], ulps(mb_v_cos_quarter(quarter), cos(acos(0.0) * (double)quarter)));
    }
    for (int i = 0; i < 9; i++)
        ck_assert_msg(worst[i] <= 3.0, "function %d errs by %.2f ulp", i, worst[i]);
}
END_TEST

START_TEST(exponential_has_the_right_ends)
{
    ck_assert_float_eq(mb_v_exp(0.0f), 1.0f);
    ck_assert(isinf(mb_v_exp(89.5f)) && isinf(mb_v_exp(INFINITY)));
    ck_assert_float_eq(mb_v_exp(-INFINITY), 0.0f);
    ck_assert_float_eq(mb_v_exp(-200.0f), 0.0f);
    ck_assert(isnan(mb_v_exp(NAN)));
    ck_assert_float_eq(mb_v_tanh(50.0f), 1.0f);
    ck_assert_float_eq(mb_v_tanh(-50.0f), -1.0f);
    ck_assert_float_eq(mb_v_erf(-50.0f), -1.0f);
    /* a subnormal result */
    ck_assert_double_eq_tol((double)mb_v_exp(-100.0f), exp(-100.0), 0x1p-148);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op_activation");
    TCase *t = tcase_create("activation");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, activations_and_derivatives_match_the_truth, 0, MB_ACT_COUNT);
    tcase_add_loop_test(t, instruction_sets_agree, MB_ACT_RELU, MB_ACT_COUNT);
    tcase_add_test(t, general_relu_obeys_slope_maximum_and_threshold);
    tcase_add_test(t, general_relu_has_keras_derivatives_where_its_pieces_meet);
    tcase_add_test(t, activation_in_place_gives_the_same_bits);
    tcase_add_test(t, not_a_number_stays_one);
    tcase_add_test(t, elementary_functions_are_within_three_ulp);
    tcase_add_test(t, exponential_has_the_right_ends);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
