/* Optimizer steps, norms, clipping, regularizers and constraints against their formulas in double.
 */
#include <string.h>
#include "support/op_check.h"

typedef struct {
    double w, g, s0, s1, s2;
} state_t;

static void momentum_truth(const mb_update_args_t *a, state_t *s)
{
    double lr = (double)a->lr, momentum = (double)a->momentum, sum;
    switch (a->rule) {
    case MB_RULE_LION:
        sum = a->beta1 * s->s0 + (1 - a->beta1) * s->g;
        s->w -= lr * ((sum > 0) - (sum < 0));
        s->s0 = a->beta2 * s->s0 + (1 - a->beta2) * s->g;
        break;
    case MB_RULE_MUON:
        s->s0 = a->rho * s->s0 + s->g;
        s->g = a->nesterov ? s->g + a->rho * s->s0 : s->s0;
        break;
    default:
        if (momentum != 0.0)
            s->s0 = momentum * s->s0 - lr * s->g;
        s->w += momentum == 0.0 ? -lr * s->g : a->nesterov ? momentum * s->s0 - lr * s->g : s->s0;
    }
}

static void squares_truth(const mb_update_args_t *a, state_t *s)
{
    double lr = (double)a->lr, epsilon = (double)a->epsilon, step;
    switch (a->rule) {
    case MB_RULE_ADAGRAD:
        s->s0 += s->g * s->g;
        s->w -= lr * s->g / sqrt(s->s0 + epsilon);
        break;
    case MB_RULE_ADADELTA:
        s->s0 = a->rho * s->s0 + (1 - a->rho) * s->g * s->g;
        step = s->g * sqrt(s->s1 + epsilon) / sqrt(s->s0 + epsilon);
        s->s1 = a->rho * s->s1 + (1 - a->rho) * step * step;
        s->w -= lr * step;
        break;
    case MB_RULE_ADAFACTOR:
        s->s2 = a->rho * s->s2 + (1 - a->rho) * (s->g * s->g + epsilon);
        s->g /= sqrt(s->s2);
        break;
    default:
        s->s0 = a->rho * s->s0 + (1 - a->rho) * s->g * s->g;
        if (a->centered)
            s->s1 = a->rho * s->s1 + (1 - a->rho) * s->g;
        step = lr * s->g / sqrt(s->s0 - (a->centered ? s->s1 * s->s1 : 0.0) + epsilon);
        if (a->momentum != 0.0f)
            step = s->s2 = (double)a->momentum * s->s2 + step;
        s->w -= step;
    }
}

static void adam_truth(const mb_update_args_t *a, state_t *s)
{
    double lr = (double)a->lr, epsilon = (double)a->epsilon, c1 = (double)a->correction1;
    s->s0 += (s->g - s->s0) * (1 - a->beta1);
    if (a->rule == MB_RULE_ADAMAX) {
        s->s1 = fmax(a->beta2 * s->s1, fabs(s->g));
        s->w -= lr * s->s0 / (c1 * (s->s1 + epsilon));
        return;
    }
    s->s1 += (s->g * s->g - s->s1) * (1 - a->beta2);
    double root = sqrt(s->s1 / (double)a->correction2) + epsilon;
    if (a->rule == MB_RULE_LAMB)
        s->g = s->s0 / c1 / root;
    else if (a->rule == MB_RULE_NADAM)
        s->w -= lr *
                ((double)a->ahead * s->s0 / c1 + (double)a->now * s->g / (double)a->correction0) /
                root;
    if (a->rule != MB_RULE_ADAM)
        return;
    if (a->amsgrad)
        s->s2 = fmax(s->s2, s->s1);
    s->w -= s->s0 * (double)a->alpha / (sqrt(a->amsgrad ? s->s2 : s->s1) + epsilon);
}

static void schedule_free_truth(const mb_update_args_t *a, state_t *s)
{
    double mean = (s->w - (1 - a->beta1) * s->s0) / a->beta1;
    s->s1 = a->beta2 * s->s1 + (1 - a->beta2) * s->g * s->g;
    s->s0 -= (double)a->alpha * s->g / (sqrt(s->s1 / (double)a->correction2) + (double)a->epsilon);
    mean = (double)a->ahead * mean + (double)a->now * s->s0;
    s->w = (1 - a->beta1) * s->s0 + a->beta1 * mean;
}

static void ftrl_truth(const mb_update_args_t *a, state_t *s)
{
    double lr = (double)a->lr, l1 = (double)a->l1, power = (double)a->power;
    double squares = s->s0 + s->g * s->g;
    double moved = (pow(squares, power) - pow(s->s0, power)) / lr * s->w;
    s->s1 += s->g + 2 * (double)a->shrinkage * s->w - moved;
    s->w = (fmin(fmax(s->s1, -l1), l1) - s->s1) / (pow(squares, power) / lr + (double)a->l2);
    s->s0 = squares;
}

static void around_truth(const mb_update_args_t *a, state_t *s)
{
    switch (a->rule) {
    case MB_RULE_STEP:
        s->w -= s->g;
        break;
    case MB_RULE_ACCUMULATE:
        s->s0 += s->g;
        break;
    case MB_RULE_RELEASE:
        s->g = (s->g + s->s0) / (double)a->alpha;
        s->s0 = 0;
        break;
    case MB_RULE_AVERAGE:
        s->s0 = a->rho * s->s0 + (1 - a->rho) * s->w;
        s->w = a->overwrites ? s->s0 : s->w;
        break;
    default:
        break;
    }
}

/* g stays what it was where the rule leaves no direction there. */
static bool directs(mb_rule_t rule)
{
    return rule == MB_RULE_LAMB || rule == MB_RULE_ADAFACTOR || rule == MB_RULE_MUON ||
           rule == MB_RULE_PLAIN || rule == MB_RULE_RELEASE;
}

static void apply_truth(const mb_update_args_t *a, state_t *s)
{
    switch (a->rule) {
    case MB_RULE_SGD:
    case MB_RULE_LION:
    case MB_RULE_MUON:
        momentum_truth(a, s);
        break;
    case MB_RULE_RMSPROP:
    case MB_RULE_ADAGRAD:
    case MB_RULE_ADADELTA:
    case MB_RULE_ADAFACTOR:
        squares_truth(a, s);
        break;
    case MB_RULE_FTRL:
        ftrl_truth(a, s);
        break;
    case MB_RULE_SCHEDULE_FREE:
        schedule_free_truth(a, s);
        break;
    case MB_RULE_ADAM:
    case MB_RULE_ADAMAX:
    case MB_RULE_NADAM:
    case MB_RULE_LAMB:
        adam_truth(a, s);
        break;
    default:
        around_truth(a, s);
    }
}

static state_t truth(const mb_update_args_t *a, double decay, double scale, state_t s)
{
    double g = s.g;
    s.g *= scale;
    if (a->clip_value > 0)
        s.g = fmin(fmax(s.g, -(double)a->clip_value), (double)a->clip_value);
    if (a->rule < MB_RULE_STEP)
        s.w -= decay * (double)a->lr * s.w;
    apply_truth(a, &s);
    if (!directs(a->rule))
        s.g = g;
    return s;
}

/* Tensors that end inside a tile and a block, at their ends, and empty ones. */
enum { TENSORS = 7 };
static const int64_t counts[TENSORS] = {0, 40003, 0, 1, 65536, 16384 + 7, 70001};

static mb_update_args_t variant(int i)
{
    int way = i / MB_RULE_COUNT;
    mb_update_args_t a = {.rule = (mb_rule_t)(i % MB_RULE_COUNT),
                          .nesterov = way & 1,
                          .centered = way & 2,
                          .amsgrad = way & 1,
                          .overwrites = way & 1,
                          .lr = 0.01f,
                          .momentum = way & 4 ? 0.9f : 0.0f,
                          .epsilon = 1e-7f,
                          .rho = 0.9,
                          .beta1 = 0.9,
                          .beta2 = 0.999,
                          .alpha = i % MB_RULE_COUNT == MB_RULE_RELEASE ? 3.0f : 0.003f,
                          .correction0 = 0.7f,
                          .correction1 = 0.5f,
                          .correction2 = 0.4f,
                          .ahead = 0.8f,
                          .now = 0.3f,
                          .power = way & 1 ? 0.5f : 0.3f,
                          .l1 = 0.2f,
                          .l2 = 0.1f,
                          .shrinkage = 0.05f,
                          .clip_value = way & 2 ? 0.5f : 0.0f};
    return a;
}

/* Velocities of RMSprop lie well above the squared mean; what is divided by is not near zero. */
static bool is_square(mb_rule_t rule)
{
    return rule == MB_RULE_RMSPROP || rule == MB_RULE_ADAGRAD || rule == MB_RULE_ADADELTA ||
           rule == MB_RULE_FTRL;
}

static mb_tensor_t tensor_of(op_t *op, const mb_update_args_t *a, int64_t count)
{
    return (mb_tensor_t){.w = op_random(op, count, -1, 1),
                         .g = op_random(op, count, -1, 1),
                         .s0 = op_random(op, count, is_square(a->rule) ? 0.2 : -0.1, 0.3),
                         .s1 = op_random(op, count, 0.01, 0.3),
                         .s2 = op_random(op, count, 0.01, 0.3),
                         .count = count};
}

static state_t *truths(const mb_update_args_t *a, const mb_tensor_t *t, double scale)
{
    state_t *want = malloc(sizeof *want * (size_t)(t->count + 1));
    for (int64_t i = 0; i < t->count; i++) {
        state_t before = {(double)t->w[i], (double)t->g[i], (double)t->s0[i], (double)t->s1[i],
                          (double)t->s2[i]};
        want[i] = truth(a, (double)t->weight_decay, scale, before);
    }
    return want;
}

static bool is_near(float got, double want, double factor)
{
    return fabs((double)got - want) <= factor * OP_EPSILON * (fabs(want) + 1.0);
}

/* Ftrl divides a difference of roots by the rate, 0.01. What it is of, at most sqrt(1.3), is
 * rounded a few times, and multiplies a weight below one: an error in s1 of some 3 eps sqrt(1.3) /
 * 0.01, which the weight gets divided by at least sqrt(0.2) / 0.01. */
static double factor_of_rule(mb_rule_t rule)
{
    return rule == MB_RULE_FTRL ? 400.0 : 4.0;
}

static int count_wrong(mb_rule_t rule, const mb_tensor_t *t, const state_t *want)
{
    int wrong = 0;
    double factor = factor_of_rule(rule);
    for (int64_t i = 0; i < t->count; i++)
        wrong += !is_near(t->w[i], want[i].w, 4) || !is_near(t->s0[i], want[i].s0, 4) ||
                 !is_near(t->s1[i], want[i].s1, factor) || !is_near(t->s2[i], want[i].s2, 4) ||
                 !is_near(t->g[i], want[i].g, 4);
    return wrong;
}

/* Some ten correctly rounded operations on numbers below about one. The centered variance loses
 * half of the digits where it nearly vanishes, hence velocities well above the squared mean. */
START_TEST(a_step_over_all_tensors_matches_the_rule)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    mb_update_args_t a = variant(_i);
    mb_tensor_t tensors[TENSORS];
    state_t *want[TENSORS];
    float *scale = op_random(&op, TENSORS, 0.1, 1);
    a.scale = (_i / MB_RULE_COUNT) & 4 ? scale : NULL;
    for (int t = 0; t < TENSORS; t++) {
        tensors[t] = tensor_of(&op, &a, counts[t]);
        tensors[t].weight_decay = t % 2 == 1 ? 0.04f : 0.0f;
        tensors[t].place = TENSORS - 1 - t;
        want[t] = truths(&a, &tensors[t], a.scale == NULL ? 1.0 : (double)scale[tensors[t].place]);
    }
    a.table = op_table(&op, tensors, TENSORS);
    OP_RUN(&op, UPDATE, &a);
    for (int t = 0; t < TENSORS; t++) {
        ck_assert_int_eq(count_wrong(a.rule, &tensors[t], want[t]), 0);
        free(want[t]);
    }
    op_close(&op);
}
END_TEST

/* 1 - beta2 in float would be off by 1.3e-5. */
START_TEST(small_decay_rates_are_exact)
{
    op_t op;
    op_open(&op, 1, 1);
    mb_update_args_t a = variant(MB_RULE_ADAM);
    mb_tensor_t tensor = {.w = op_floats(&op, 1),
                          .g = op_floats(&op, 1),
                          .s0 = op_floats(&op, 1),
                          .s1 = op_floats(&op, 1),
                          .count = 1};
    tensor.g[0] = 1.0f;
    a.table = op_table(&op, &tensor, 1);
    OP_RUN(&op, UPDATE, &a);
    ck_assert_float_eq(tensor.s1[0], 0.001f);
    ck_assert_float_eq(tensor.s0[0], 0.1f);
    op_close(&op);
}
END_TEST

static mb_tensor_t part_of(float *base, int64_t stride, int64_t begin, int64_t end)
{
    return (mb_tensor_t){.w = base + begin,
                         .g = base + begin + stride,
                         .s0 = base + begin + 2 * stride,
                         .s1 = base + begin + 3 * stride,
                         .s2 = base + begin + 4 * stride,
                         .count = end - begin};
}

/* ZeRO updates shards of a parameter, at any address. */
START_TEST(a_part_gets_the_bits_of_the_whole)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    const int64_t count = 140003, cuts[] = {0, 1001, 17777, count};
    mb_update_args_t a = variant(_i);
    float *base = op_random(&op, 5 * count, 0.1, 0.3), *copy = op_floats(&op, 5 * count);
    memcpy(copy, base, sizeof(float) * (size_t)(5 * count));
    mb_tensor_t whole = part_of(base, count, 0, count), parts[3];
    a.table = op_table(&op, &whole, 1);
    OP_RUN(&op, UPDATE, &a);
    for (int i = 0; i < 3; i++)
        parts[i] = part_of(copy, count, cuts[i], cuts[i + 1]);
    a.table = op_table(&op, parts, 3);
    OP_RUN(&op, UPDATE, &a);
    ck_assert_mem_eq(base, copy, sizeof(float) * (size_t)(5 * count));
    op_close(&op);
}
END_TEST

static bool holds(const float *copy, const float *values, int64_t count)
{
    return copy == NULL || memcmp(copy, values, sizeof *copy * (size_t)count) == 0;
}

/* Those of tensor 4 are left out, and of tensor 3 all but the weight. */
START_TEST(a_step_copies_what_it_leaves_and_sees_what_is_not_finite)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    mb_update_args_t a = variant(MB_RULE_ADAM + _i * MB_RULE_COUNT);
    mb_tensor_t tensors[TENSORS];
    mb_tensor_copy_t copies[TENSORS] = {{0}};
    for (int t = 0; t < TENSORS; t++) {
        tensors[t] = tensor_of(&op, &a, counts[t]);
        int place = tensors[t].place = TENSORS - 1 - t;
        copies[place].w = t == 4 ? NULL : op_floats(&op, counts[t]);
        copies[place].s0 = t == 4 || t == 3 ? NULL : op_floats(&op, counts[t]);
        copies[place].s1 = t == 4 || t == 3 ? NULL : op_floats(&op, counts[t]);
    }
    tensors[4].g[5] = NAN;
    tensors[5].g[counts[5] - 1] = _i == 0 ? NAN : INFINITY;
    a.copies = copies;
    a.table = op_table(&op, tensors, TENSORS);
    OP_RUN(&op, UPDATE, &a);
    for (int t = 0; t < TENSORS; t++) {
        const mb_tensor_copy_t *copy = &copies[TENSORS - 1 - t];
        ck_assert(holds(copy->w, tensors[t].w, counts[t]));
        ck_assert(holds(copy->s0, tensors[t].s0, counts[t]));
        ck_assert(holds(copy->s1, tensors[t].s1, counts[t]));
        ck_assert_int_eq(copy->not_finite, t == 5);
    }
    op_close(&op);
}
END_TEST

/* Into the places the table says, and nowhere else. */
START_TEST(norms_of_a_table_have_the_bits_of_single_sums)
{
    op_t op;
    op_open(&op, 2, 1);
    mb_tensor_t tensors[TENSORS];
    double *out = op_doubles(&op, 2 * TENSORS), *alone = op_doubles(&op, 1);
    for (int t = 0; t < TENSORS; t++)
        tensors[t] = (mb_tensor_t){
            .g = op_random(&op, counts[t], -1, 1), .count = counts[t], .place = 2 * t};
    for (int t = 0; t < TENSORS; t++)
        out[2 * t] = out[2 * t + 1] = -1.0;
    mb_norms_args_t args = {op_table(&op, tensors, TENSORS), out};
    OP_RUN(&op, NORMS, &args);
    for (int t = 0; t < TENSORS; t++) {
        mb_sum_args_t sum = {MB_F32, counts[t], false, false, tensors[t].g, alone};
        OP_RUN(&op, SUM, &sum);
        ck_assert_mem_eq(&out[2 * t], alone, sizeof(double));
        ck_assert_double_eq(out[2 * t + 1], -1.0);
    }
    op_close(&op);
}
END_TEST

START_TEST(a_norm_is_finite_exactly_when_all_elements_are)
{
    op_t op;
    op_open(&op, 1, 1);
    double *out = op_doubles(&op, 1);
    mb_tensor_t tensor = {.g = op_floats(&op, 70001), .count = 70001};
    mb_norms_args_t args = {op_table(&op, &tensor, 1), out};
    for (int64_t i = 0; i < tensor.count; i++)
        tensor.g[i] = 3.4028234e38f;
    OP_RUN(&op, NORMS, &args);
    ck_assert(isfinite(out[0]));
    const float others[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        tensor.g[70000] = others[i];
        OP_RUN(&op, NORMS, &args);
        ck_assert(!isfinite(out[0]));
    }
    op_close(&op);
}
END_TEST

static void clip(op_t *op, bool global, float to, const double squares[2], float scale[2])
{
    double *in = op_doubles(op, 2);
    float *out = op_floats(op, 2);
    memcpy(in, squares, 2 * sizeof *in);
    mb_clip_args_t args = {2, global, to, in, out};
    OP_RUN(op, CLIP, &args);
    memcpy(scale, out, 2 * sizeof *out);
}

START_TEST(clipping_scales_by_own_or_by_global_norms_as_keras)
{
    op_t op;
    float scale[2];
    op_open(&op, 1, 1);
    clip(&op, false, 0.5f, (const double[]){4.0, 0.01}, scale);
    ck_assert_float_eq(scale[0], 0.25f);
    ck_assert_float_eq(scale[1], 1.0f);
    clip(&op, false, 0.5f, (const double[]){(double)INFINITY, (double)NAN}, scale);
    ck_assert_float_eq(scale[0], 0.0f);
    ck_assert_float_eq(scale[1], 1.0f); /* the gradient is NaN itself */
    clip(&op, true, 0.5f, (const double[]){0.0, 0.0}, scale);
    ck_assert_float_eq(scale[0], 1.0f);
    clip(&op, true, 0.5f, (const double[]){0.0, 4.0}, scale);
    ck_assert_float_eq(scale[0], 0.25f);
    ck_assert_float_eq(scale[1], 0.25f);
    clip(&op, true, 0.5f, (const double[]){(double)INFINITY, 4.0}, scale);
    ck_assert(isnan(scale[0]) && isnan(scale[1]));
    op_close(&op);
}
END_TEST

START_TEST(division_reaches_every_element)
{
    op_t op;
    op_open(&op, 2, 1);
    const int64_t count = 20001;
    float *x = op_random(&op, count, -1, 1);
    double *want = op_widen(x, count);
    mb_divide_args_t args = {MB_F32, count, 0.3f, x};
    OP_RUN(&op, DIVIDE, &args);
    for (int64_t i = 0; i < count; i++)
        want[i] /= (double)0.3f;
    op_near("divided", x, want, count, OP_EPSILON, 0.0);
    free(want);
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
    tcase_add_loop_test(t, a_step_over_all_tensors_matches_the_rule, 0, 8 * MB_RULE_COUNT);
    tcase_add_test(t, small_decay_rates_are_exact);
    tcase_add_loop_test(t, a_part_gets_the_bits_of_the_whole, 0, 8 * MB_RULE_COUNT);
    tcase_add_loop_test(t, a_step_copies_what_it_leaves_and_sees_what_is_not_finite, 0, 2);
    tcase_add_test(t, norms_of_a_table_have_the_bits_of_single_sums);
    tcase_add_test(t, a_norm_is_finite_exactly_when_all_elements_are);
    tcase_add_test(t, clipping_scales_by_own_or_by_global_norms_as_keras);
    tcase_add_test(t, division_reaches_every_element);
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
