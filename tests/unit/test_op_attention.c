/* Attention against its formula in double, its gradients against finite differences, and dropout's
 * numbers against their definition. */
#include <string.h>
#include "support/op_check.h"

/* Inputs q, k, v follow each other in one array so that one difference covers all. */
typedef struct {
    mb_attention_forward_args_t shape;
    int64_t n_q, n_k, n_v, n_out;
    const float *dout;
    const double *at; /* the inputs that gradients are taken at */
    double *out;
} attention_t;

static bool sees(const mb_attention_forward_args_t *a, int64_t s, int64_t h, int64_t i, int64_t j)
{
    const float *mask = a->mask;
    int64_t at = ((s * a->masks + (a->masks > 1 ? h : 0)) * a->tq + i) * a->tk + j;
    return (!a->causal || j <= i) && (mask == NULL || mask[at] != 0.0f);
}

static bool is_blind(const mb_attention_forward_args_t *a, int64_t s, int64_t h, int64_t i)
{
    for (int64_t j = 0; j < a->tk; j++) {
        if (sees(a, s, h, i, j))
            return false;
    }
    return true;
}

static double score_of(const attention_t *t, const double *x, int64_t s, int64_t h, int64_t i,
                       int64_t j)
{
    const mb_attention_forward_args_t *a = &t->shape;
    const double *q = x + ((s * a->tq + i) * a->heads + h) * a->d;
    const double *k = x + t->n_q + ((s * a->tk + j) * a->heads + h) * a->d;
    double score = 0.0;
    for (int64_t c = 0; c < a->d; c++)
        score += q[c] * k[c];
    return score * (double)a->scale;
}

/* What is in a sum of exponentials. One of a blind query has scores that count from where they are:
 * all alike there, but with their slopes. */
static double share_of(const attention_t *t, const double *x, int64_t s, int64_t h, int64_t i,
                       int64_t j, bool blind)
{
    if (!blind)
        return sees(&t->shape, s, h, i, j) ? exp(score_of(t, x, s, h, i, j)) : 0.0;
    if (t->shape.blind == MB_BLIND_LEVEL)
        return exp(score_of(t, x, s, h, i, j) - score_of(t, t->at, s, h, i, j));
    return t->shape.blind == MB_BLIND_CONSTANT ? 1.0 : 0.0;
}

static double keep_factor(const mb_attention_forward_args_t *a, int64_t s, int64_t h, int64_t i,
                          int64_t j)
{
    if (a->dropout_rate == 0.0f)
        return 1.0;
    uint32_t element = (uint32_t)((h * a->tq + i) * a->tk + j);
    float unit = mb_random_unit(mb_random_word(&a->random, (uint32_t)s, element));
    return unit >= a->dropout_rate ? (double)(1.0f / (1.0f - a->dropout_rate)) : 0.0;
}

static void attend(const attention_t *t, const double *x, int64_t s, int64_t h, int64_t i)
{
    const mb_attention_forward_args_t *a = &t->shape;
    const double *v = x + t->n_q + t->n_k + (s * a->tk * a->heads + h) * a->dv;
    double *out = t->out + ((s * a->tq + i) * a->heads + h) * a->dv;
    bool blind = is_blind(a, s, h, i);
    double sum = 0.0;
    memset(out, 0, sizeof(double) * (size_t)a->dv);
    for (int64_t j = 0; j < a->tk; j++) {
        double e = share_of(t, x, s, h, i, j, blind);
        sum += e;
        for (int64_t c = 0; c < a->dv; c++)
            out[c] += e * keep_factor(a, s, h, i, j) * v[j * a->heads * a->dv + c];
    }
    for (int64_t c = 0; c < a->dv && sum > 0.0; c++)
        out[c] /= sum;
}

static double objective(const double *x, void *context)
{
    attention_t *t = context;
    double sum = 0.0;
    for (int64_t s = 0; s < t->shape.samples; s++)
        for (int64_t h = 0; h < t->shape.heads; h++)
            for (int64_t i = 0; i < t->shape.tq; i++)
                attend(t, x, s, h, i);
    for (int64_t i = 0; i < t->n_out; i++)
        sum += (double)t->dout[i] * t->out[i];
    return sum;
}

/* Scores are sums of d products; their error, times the scale, moves probabilities by that relative
 * amount; sums over keys add theirs. Numbers are below one. */
static double tolerance(const mb_attention_forward_args_t *a)
{
    return op_sum_bound(a->d) + op_sum_bound(a->tk + a->tq) + 40 * OP_EPSILON;
}

static void check_attention(op_t *op, const mb_attention_forward_args_t *shape)
{
    attention_t t = {.shape = *shape};
    mb_attention_forward_args_t *a = &t.shape;
    t.n_q = a->samples * a->tq * a->heads * a->d;
    t.n_k = a->samples * a->tk * a->heads * a->d;
    t.n_v = a->samples * a->tk * a->heads * a->dv;
    t.n_out = a->samples * a->tq * a->heads * a->dv;
    int64_t all = t.n_q + t.n_k + t.n_v;
    float *x = op_random(op, all, -1, 1), *dx = op_random(op, all, -1, 1);
    float *out = op_floats(op, t.n_out), *dout = op_random(op, t.n_out, -1, 1);
    t.dout = dout;
    t.out = calloc((size_t)t.n_out, sizeof(double));
    double *wide = op_widen(x, all), *want = op_widen(x, all), *at = op_widen(x, all);
    t.at = at;
    a->q = x;
    a->k = x + t.n_q;
    a->v = x + t.n_q + t.n_k;
    a->out = out;
    a->log_sum = op_floats(op, a->samples * a->heads * a->tq);
    OP_RUN(op, ATTENTION_FORWARD, a);
    objective(wide, &t);
    op_near("attention", out, t.out, t.n_out, tolerance(a), tolerance(a));
    mb_attention_backward_args_t b = {.samples = a->samples,
                                      .heads = a->heads,
                                      .tq = a->tq,
                                      .tk = a->tk,
                                      .d = a->d,
                                      .dv = a->dv,
                                      .scale = a->scale,
                                      .dropout_rate = a->dropout_rate,
                                      .causal = a->causal,
                                      .random = a->random,
                                      .mask = a->mask,
                                      .masks = a->masks,
                                      .blind = a->blind,
                                      .q = a->q,
                                      .k = a->k,
                                      .v = a->v,
                                      .out = out,
                                      .log_sum = a->log_sum,
                                      .dout = dout,
                                      .dq = dx,
                                      .dk = dx + t.n_q,
                                      .dv_ = dx + t.n_q + t.n_k};
    OP_RUN(op, ATTENTION_BACKWARD, &b);
    op_differences(objective, &t, wide, all, want);
    op_near("attention gradient", dx, want, all, tolerance(a), tolerance(a) + 1e-7);
    free(t.out);
    free(wide);
    free(want);
    free(at);
}

START_TEST(attention_and_gradients_match_the_truth)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    mb_attention_forward_args_t a = {.samples = op_integer(&op, 1, 2),
                                     .heads = op_integer(&op, 1, 3),
                                     .tq = op_integer(&op, 1, 7),
                                     .d = op_integer(&op, 1, 5),
                                     .dv = op_integer(&op, 1, 5),
                                     .scale = 0.7f,
                                     .causal = _i % 2 == 1};
    a.tk = _i % 3 == 0 ? a.tq : op_integer(&op, 1, 9);
    if (_i % 4 >= 2) {
        a.dropout_rate = 0.3f;
        a.random = (mb_random_key_t){12345, MB_RANDOM_ATTENTION_DROPOUT, 7, 100, 3};
    }
    check_attention(&op, &a);
    op_close(&op);
}
END_TEST

/* Some keys are hidden from all queries, some from one; some queries see none. */
static float *some_mask(op_t *op, const mb_attention_forward_args_t *a)
{
    int64_t rows = a->samples * a->masks * a->tq;
    float *mask = op_floats(op, rows * a->tk);
    for (int64_t i = 0; i < rows; i++) {
        bool blind = op_integer(op, 0, 3) == 0;
        for (int64_t j = 0; j < a->tk; j++)
            mask[i * a->tk + j] = blind || op_integer(op, 0, 2) == 0 ? 0.0f : 1.0f;
    }
    return mask;
}

START_TEST(masked_attention_and_gradients_match_the_truth)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    mb_attention_forward_args_t a = {.samples = op_integer(&op, 1, 2),
                                     .heads = op_integer(&op, 1, 3),
                                     .tq = _i % 8 == 7 ? 70 : op_integer(&op, 1, 7),
                                     .tk = op_integer(&op, 1, 9),
                                     .d = op_integer(&op, 1, 3),
                                     .dv = op_integer(&op, 1, 3),
                                     .scale = _i % 5 == 4 ? -0.7f : 0.7f,
                                     .causal = _i % 2 == 1,
                                     .blind = (mb_blind_t)(_i % 3)};
    a.masks = _i % 4 == 1 ? a.heads : 1;
    a.mask = some_mask(&op, &a);
    if (_i % 4 >= 2) {
        a.dropout_rate = 0.3f;
        a.random = (mb_random_key_t){12345, MB_RANDOM_ATTENTION_DROPOUT, 7, 100, 3};
    }
    check_attention(&op, &a);
    op_close(&op);
}
END_TEST

/* More queries than a block: the sums over blocks. */
START_TEST(attention_over_many_blocks_matches_the_truth)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    mb_attention_forward_args_t a = {.samples = 1,
                                     .heads = 1,
                                     .tq = 131,
                                     .tk = _i % 3 == 2 ? 150 : 131,
                                     .d = 2,
                                     .dv = 1,
                                     .scale = 0.5f,
                                     .causal = _i % 2 == 1};
    check_attention(&op, &a);
    op_close(&op);
}
END_TEST

START_TEST(dropout_takes_the_numbers_of_its_elements)
{
    op_t op;
    op_open(&op, 2, 1);
    static const int64_t elements[] = {1, 3, 64, 4099};
    for (int i = 0; i < 8; i++) {
        int64_t samples = 3, n = elements[i / 2], repeats = i % 2 ? 5 : 1;
        int64_t count = samples * repeats * n;
        float *x = op_random(&op, count, 1, 2), *y = op_floats(&op, count);
        mb_dropout_args_t args = {MB_F32,
                                  samples,
                                  n,
                                  0.25f,
                                  {77, MB_RANDOM_DROPOUT, 5, 1000, 9},
                                  x,
                                  y,
                                  i % 2 ? repeats : 0};
        OP_RUN(&op, DROPOUT, &args);
        for (int64_t e = 0; e < count; e++) {
            uint32_t sample = (uint32_t)(e / n / repeats);
            uint32_t word = mb_random_word(&args.random, sample, (uint32_t)(e % n));
            float factor = mb_random_unit(word) >= 0.25f ? 1.0f / 0.75f : 0.0f;
            ck_assert_float_eq(y[e], x[e] * factor);
        }
    }
    op_close(&op);
}
END_TEST

START_TEST(dropout_of_everything_is_zero)
{
    op_t op;
    op_open(&op, 1, 1);
    float *x = op_random(&op, 100, 1, 2);
    mb_dropout_args_t args = {MB_F32, 4, 25, 1.0f, {1, MB_RANDOM_DROPOUT, 0, 0, 0}, x, x, 0};
    OP_RUN(&op, DROPOUT, &args);
    for (int i = 0; i < 100; i++)
        ck_assert_float_eq(x[i], 0.0f);
    op_close(&op);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op_attention");
    TCase *t = tcase_create("attention");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, attention_and_gradients_match_the_truth, 0, 24);
    tcase_add_loop_test(t, masked_attention_and_gradients_match_the_truth, 0, 36);
    tcase_add_loop_test(t, attention_over_many_blocks_matches_the_truth, 0, 4);
    tcase_add_test(t, dropout_takes_the_numbers_of_its_elements);
    tcase_add_test(t, dropout_of_everything_is_zero);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
