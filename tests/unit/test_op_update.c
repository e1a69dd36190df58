/* Optimizer steps, regularizers, constraints and norms against their formulas in double. */
#include <string.h>
#include "support/op_check.h"

typedef struct {
    double w, s0, s1, s2;
} state_t;

static state_t truth(const mb_update_args_t *a, state_t s, double g)
{
    double lr = (double)a->lr, momentum = (double)a->momentum, epsilon = (double)a->epsilon;
    g *= (double)a->grad_scale;
    if (a->clip_value > 0)
        g = fmin(fmax(g, -(double)a->clip_value), (double)a->clip_value);
    s.w -= (double)a->weight_decay * lr * s.w;
    if (a->rule == MB_RULE_SGD) {
        if (momentum != 0.0)
            s.s0 = momentum * s.s0 - lr * g;
        s.w += momentum == 0.0 ? -lr * g : a->nesterov ? momentum * s.s0 - lr * g : s.s0;
    } else if (a->rule == MB_RULE_RMSPROP) {
        s.s0 = a->rho * s.s0 + (1 - a->rho) * g * g;
        if (a->centered)
            s.s1 = a->rho * s.s1 + (1 - a->rho) * g;
        double step = lr * g / sqrt(s.s0 - (a->centered ? s.s1 * s.s1 : 0.0) + epsilon);
        if (momentum != 0.0)
            step = s.s2 = momentum * s.s2 + step;
        s.w -= step;
    } else {
        s.s0 += (g - s.s0) * (1 - a->beta1);
        s.s1 += (g * g - s.s1) * (1 - a->beta2);
        if (a->amsgrad)
            s.s2 = fmax(s.s2, s.s1);
        s.w -= s.s0 * (double)a->alpha / (sqrt(a->amsgrad ? s.s2 : s.s1) + epsilon);
    }
    return s;
}

static mb_update_args_t variant(int i)
{
    mb_update_args_t a = {.rule = (mb_rule_t)(i % 3),
                          .nesterov = i & 4,
                          .centered = i & 8,
                          .amsgrad = i & 4,
                          .count = 40003,
                          .lr = 0.01f,
                          .momentum = i & 16 ? 0.9f : 0.0f,
                          .epsilon = 1e-7f,
                          .rho = 0.9,
                          .beta1 = 0.9,
                          .beta2 = 0.999,
                          .alpha = 0.003f,
                          .weight_decay = i & 32 ? 0.04f : 0.0f,
                          .clip_value = i & 8 ? 0.5f : 0.0f,
                          .grad_scale = i & 16 ? 0.25f : 1.0f};
    return a;
}

/* Some ten correctly rounded operations on numbers below about one. The centered variance loses
 * half of the digits where it nearly vanishes, hence velocities well above the squared mean. */
START_TEST(a_step_matches_the_rule)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    mb_update_args_t a = variant(_i);
    float *w = op_random(&op, a.count, -1, 1), *g = op_random(&op, a.count, -1, 1);
    float *s0 = op_random(&op, a.count, a.rule == MB_RULE_RMSPROP ? 0.2 : -0.1, 0.3);
    float *s1 = op_random(&op, a.count, 0.01, 0.3), *s2 = op_random(&op, a.count, 0.01, 0.3);
    a.w = w, a.g = g, a.s0 = s0, a.s1 = s1, a.s2 = s2;
    state_t *want = malloc(sizeof *want * (size_t)a.count);
    for (int64_t i = 0; i < a.count; i++)
        want[i] = truth(&a, (state_t){(double)w[i], (double)s0[i], (double)s1[i], (double)s2[i]},
                        (double)g[i]);
    OP_RUN(&op, UPDATE, &a);
    for (int64_t i = 0; i < a.count; i++) {
        op_near("w", &w[i], &want[i].w, 1, 4 * OP_EPSILON, 4 * OP_EPSILON);
        op_near("s0", &s0[i], &want[i].s0, 1, 4 * OP_EPSILON, 4 * OP_EPSILON);
        op_near("s1", &s1[i], &want[i].s1, 1, 4 * OP_EPSILON, 4 * OP_EPSILON);
        op_near("s2", &s2[i], &want[i].s2, 1, 4 * OP_EPSILON, 4 * OP_EPSILON);
    }
    free(want);
    op_close(&op);
}
END_TEST

/* 1 - beta2 in float would be off by 1.3e-5. */
START_TEST(small_decay_rates_are_exact)
{
    op_t op;
    op_open(&op, 1, 1);
    float *w = op_floats(&op, 1), *g = op_floats(&op, 1), *s0 = op_floats(&op, 1);
    float *s1 = op_floats(&op, 1);
    g[0] = 1.0f;
    mb_update_args_t a = variant(2);
    a.count = 1, a.w = w, a.g = g, a.s0 = s0, a.s1 = s1;
    OP_RUN(&op, UPDATE, &a);
    ck_assert_float_eq(s1[0], 0.001f);
    ck_assert_float_eq(s0[0], 0.1f);
    op_close(&op);
}
END_TEST

/* ZeRO updates shards of a parameter. */
START_TEST(a_part_gets_the_bits_of_the_whole)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    mb_update_args_t a = variant(_i);
    float *base = op_random(&op, 5 * a.count, 0.1, 0.3), *copy = op_floats(&op, 5 * a.count);
    memcpy(copy, base, sizeof(float) * (size_t)(5 * a.count));
    a.w = base, a.g = base + a.count, a.s0 = base + 2 * a.count, a.s1 = base + 3 * a.count;
    a.s2 = base + 4 * a.count;
    OP_RUN(&op, UPDATE, &a);
    const int64_t cuts[] = {0, 1001, 17777, a.count};
    for (int i = 0; i < 3; i++) {
        mb_update_args_t part = a;
        part.count = cuts[i + 1] - cuts[i];
        part.w = copy + cuts[i];
        part.g = part.w + a.count;
        part.s0 = part.w + 2 * a.count;
        part.s1 = part.w + 3 * a.count;
        part.s2 = part.w + 4 * a.count;
        OP_RUN(&op, UPDATE, &part);
    }
    ck_assert_mem_eq(base, copy, sizeof(float) * (size_t)(5 * a.count));
    op_close(&op);
}
END_TEST

START_TEST(regularizers_add_their_gradient)
{
    op_t op;
    op_open(&op, 2, 1);
    const int64_t count = 20001;
    float *w = op_random(&op, count, -1, 1), *g = op_random(&op, count, -1, 1);
    double *want = op_widen(g, count);
    w[5] = 0.0f;
    mb_regularize_args_t args = {MB_F32, count, 0.01f, 0.02f, w, g};
    OP_RUN(&op, REGULARIZE, &args);
    for (int64_t i = 0; i < count; i++)
        want[i] +=
            (double)args.l1 * ((w[i] > 0) - (w[i] < 0)) + 2.0 * (double)args.l2 * (double)w[i];
    op_near("regularized", g, want, count, 2 * OP_EPSILON, 2 * OP_EPSILON);
    free(want);
    op_close(&op);
}
END_TEST

static double factor_of(const mb_constrain_args_t *a, double n)
{
    double tiny = 1e-7, low = (double)a->low, high = (double)a->high, rate = (double)a->rate;
    if (a->limit == MB_LIMIT_MAXNORM)
        return fmin(fmax(n, 0.0), high) / (tiny + n);
    if (a->limit == MB_LIMIT_UNITNORM)
        return 1.0 / (tiny + n);
    return (rate * fmin(fmax(n, low), high) + (1.0 - rate) * n) / (tiny + n);
}

START_TEST(constraints_match_their_formulas)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    mb_constrain_args_t a = {
        .limit = (mb_limit_t)(_i % 4), .low = 0.5f, .high = 1.5f, .rate = 0.7f};
    a.outer = op_integer(&op, 1, 9), a.axis = op_integer(&op, 1, 50);
    a.inner = op_integer(&op, 1, 30);
    a.w = op_random(&op, a.outer * a.axis * a.inner, -1, 1);
    double *want = op_widen(a.w, a.outer * a.axis * a.inner);
    OP_RUN(&op, CONSTRAIN, &a);
    for (int64_t v = 0; v < a.outer * a.inner; v++) {
        double *w = want + v / a.inner * a.axis * a.inner + v % a.inner, sum = 0.0;
        for (int64_t i = 0; i < a.axis; i++)
            sum += w[i * a.inner] * w[i * a.inner];
        for (int64_t i = 0; i < a.axis; i++)
            w[i * a.inner] = a.limit == MB_LIMIT_NONNEG ? fmax(w[i * a.inner], 0.0)
                                                        : w[i * a.inner] * factor_of(&a, sqrt(sum));
    }
    op_near("constrained", a.w, want, a.outer * a.axis * a.inner, 8 * OP_EPSILON, 0.0);
    free(want);
    op_close(&op);
}
END_TEST

START_TEST(sums_match_and_parts_chain_to_the_same_bits)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    bool absolute = _i % 2 == 1;
    const int64_t count = 3 * 65536 + 771;
    float *x = op_random(&op, count, -1, 1);
    double *out = op_doubles(&op, 2), want = 0.0;
    mb_sum_args_t args = {MB_F32, count, absolute, false, x, &out[0]};
    OP_RUN(&op, SUM, &args);
    for (int64_t i = 0; i < count; i++)
        want += absolute ? fabs((double)x[i]) : (double)x[i] * (double)x[i];
    ck_assert_double_eq_tol(out[0], want, 1e-10 * want);
    for (int64_t begin = 0; begin < count; begin += 65536) {
        mb_sum_args_t part = {MB_F32,    count - begin < 65536 ? count - begin : 65536,
                              absolute,  begin > 0,
                              x + begin, &out[1]};
        OP_RUN(&op, SUM, &part);
    }
    ck_assert_mem_eq(&out[0], &out[1], sizeof(double));
    op_close(&op);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op_update");
    TCase *t = tcase_create("update");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, a_step_matches_the_rule, 0, 64);
    tcase_add_test(t, small_decay_rates_are_exact);
    tcase_add_loop_test(t, a_part_gets_the_bits_of_the_whole, 0, 32);
    tcase_add_test(t, regularizers_add_their_gradient);
    tcase_add_loop_test(t, constraints_match_their_formulas, 0, 12);
    tcase_add_loop_test(t, sums_match_and_parts_chain_to_the_same_bits, 0, 2);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
