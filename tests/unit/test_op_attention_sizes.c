/* Attention on sizes that fill no block, and on many blocks, against its formulas in double; and
 * the same bits however heads are cut for the threads. */
#include <string.h>
#include "support/op_check.h"

typedef struct {
    mb_attention_forward_args_t f;
    mb_attention_backward_args_t b;
    int64_t n_q, n_k, n_v, n_out;
} case_t;

typedef struct {
    int64_t samples, heads, tq, tk, d, dv;
    bool causal, drops;
    int64_t masks; /* of the heads: 0, 1 or -1 for all */
    mb_blind_t blind;
    float scale;
} sizes_t;

static const sizes_t sizes[] = {
    {1, 2, 65, 65, 17, 17, true, false, 0, MB_BLIND_NOTHING, 0.3f},
    {1, 1, 130, 197, 20, 33, true, true, 0, MB_BLIND_NOTHING, 0.3f},
    {2, 1, 197, 67, 16, 48, true, false, 0, MB_BLIND_NOTHING, -0.3f},
    {1, 3, 1, 300, 64, 64, false, false, 0, MB_BLIND_NOTHING, 0.125f},
    {1, 1, 300, 1, 3, 130, false, true, 0, MB_BLIND_NOTHING, 0.3f},
    {1, 1, 63, 129, 130, 16, false, false, 0, MB_BLIND_NOTHING, 0.09f},
    {2, 2, 70, 131, 32, 32, false, false, 1, MB_BLIND_CONSTANT, 0.2f},
    {2, 2, 131, 131, 9, 16, true, true, 1, MB_BLIND_NOTHING, 0.3f},
    {1, 3, 131, 70, 16, 5, true, true, -1, MB_BLIND_LEVEL, 0.3f},
    {1, 2, 70, 131, 16, 80, true, false, -1, MB_BLIND_CONSTANT, 0.3f},
    {1, 1, 16, 16, 16, 16, false, true, 0, MB_BLIND_NOTHING, 0.3f},
    {1, 1, 129, 129, 128, 128, true, false, 0, MB_BLIND_NOTHING, 0.1f},
};
#define N_SIZES ((int)(sizeof sizes / sizeof *sizes))

/* Keys at the end are padding, as of a short sample; some others are hidden from some queries, and
 * some queries see none. */
static float *some_mask(op_t *op, const mb_attention_forward_args_t *a)
{
    int64_t rows = a->samples * a->masks * a->tq;
    float *mask = op_floats(op, rows * a->tk);
    for (int64_t i = 0; i < rows; i++) {
        bool blind = op_integer(op, 0, 9) == 0;
        for (int64_t j = 0; j < a->tk; j++)
            mask[i * a->tk + j] = !blind && j < a->tk - 5 && op_integer(op, 0, 7) > 0 ? 1.0f : 0.0f;
    }
    return mask;
}

static void make_forward(op_t *op, const sizes_t *size, case_t *c)
{
    c->f = (mb_attention_forward_args_t){.samples = size->samples,
                                         .heads = size->heads,
                                         .tq = size->tq,
                                         .tk = size->tk,
                                         .d = size->d,
                                         .dv = size->dv,
                                         .scale = size->scale,
                                         .dropout_rate = size->drops ? 0.25f : 0.0f,
                                         .causal = size->causal,
                                         .random = {9, MB_RANDOM_ATTENTION_DROPOUT, 4, 50, 2},
                                         .masks = size->masks < 0 ? size->heads : size->masks,
                                         .blind = size->blind};
    mb_attention_forward_args_t *f = &c->f;
    c->n_q = f->samples * f->tq * f->heads * f->d;
    c->n_k = f->samples * f->tk * f->heads * f->d;
    c->n_v = f->samples * f->tk * f->heads * f->dv;
    c->n_out = f->samples * f->tq * f->heads * f->dv;
    f->q = op_random(op, c->n_q, -1, 1);
    f->k = op_random(op, c->n_k, -1, 1);
    f->v = op_random(op, c->n_v, -1, 1);
    f->mask = f->masks > 0 ? some_mask(op, f) : NULL;
    f->out = op_floats(op, c->n_out);
    f->log_sum = op_floats(op, f->samples * f->heads * f->tq);
}

static void make(op_t *op, const sizes_t *size, case_t *c)
{
    make_forward(op, size, c);
    const mb_attention_forward_args_t *f = &c->f;
    c->b = (mb_attention_backward_args_t){.samples = f->samples,
                                          .heads = f->heads,
                                          .tq = f->tq,
                                          .tk = f->tk,
                                          .d = f->d,
                                          .dv = f->dv,
                                          .scale = f->scale,
                                          .dropout_rate = f->dropout_rate,
                                          .causal = f->causal,
                                          .random = f->random,
                                          .mask = f->mask,
                                          .masks = f->masks,
                                          .blind = f->blind,
                                          .q = f->q,
                                          .k = f->k,
                                          .v = f->v,
                                          .out = f->out,
                                          .log_sum = f->log_sum,
                                          .dout = op_random(op, c->n_out, -1, 1),
                                          .dq = op_random(op, c->n_q, -1, 1),
                                          .dk = op_random(op, c->n_k, -1, 1),
                                          .dv_ = op_random(op, c->n_v, -1, 1)};
}

/* The truth of one query of one head: its scores' probabilities, and what dropout leaves. */
typedef struct {
    double *prob, *factor; /* of each key */
    double log_sum;
    bool moves; /* with its scores */
} row_t;

static bool sees(const mb_attention_forward_args_t *a, int64_t s, int64_t h, int64_t i, int64_t j)
{
    const float *mask = a->mask;
    int64_t at = ((s * a->masks + (a->masks > 1 ? h : 0)) * a->tq + i) * a->tk + j;
    return (!a->causal || j <= i) && (mask == NULL || mask[at] != 0.0f);
}

static double score(const mb_attention_forward_args_t *a, int64_t s, int64_t h, int64_t i,
                    int64_t j)
{
    const float *q = (const float *)a->q + ((s * a->tq + i) * a->heads + h) * a->d;
    const float *k = (const float *)a->k + ((s * a->tk + j) * a->heads + h) * a->d;
    double sum = 0.0;
    for (int64_t c = 0; c < a->d; c++)
        sum += (double)q[c] * (double)k[c];
    return sum * (double)a->scale;
}

static double factor_of(const mb_attention_forward_args_t *a, int64_t s, int64_t h, int64_t i,
                        int64_t j)
{
    uint32_t element = (uint32_t)((h * a->tq + i) * a->tk + j);
    if (a->dropout_rate == 0.0f)
        return 1.0;
    float unit = mb_random_unit(mb_random_word(&a->random, (uint32_t)s, element));
    return unit >= a->dropout_rate ? (double)(1.0f / (1.0f - a->dropout_rate)) : 0.0;
}

static void find_row(const mb_attention_forward_args_t *a, int64_t s, int64_t h, int64_t i,
                     row_t *row)
{
    double sum = 0.0;
    for (int64_t j = 0; j < a->tk; j++) {
        row->factor[j] = factor_of(a, s, h, i, j);
        row->prob[j] = sees(a, s, h, i, j) ? exp(score(a, s, h, i, j)) : 0.0;
        sum += row->prob[j];
    }
    row->moves = sum > 0.0 || a->blind == MB_BLIND_LEVEL;
    row->log_sum = sum > 0.0 ? log(sum) : a->blind == MB_BLIND_NOTHING ? INFINITY : -INFINITY;
    for (int64_t j = 0; j < a->tk; j++) {
        double alike = a->blind == MB_BLIND_NOTHING ? 0.0 : 1.0 / (double)a->tk;
        row->prob[j] = sum > 0.0 ? row->prob[j] / sum : alike;
    }
}

typedef struct {
    double *out, *log_sum, *dq, *dk, *dv;
} truth_t;

static void add_pair(const case_t *c, const row_t *row, int64_t s, int64_t h, int64_t i, int64_t j,
                     double mean, truth_t *t)
{
    const mb_attention_forward_args_t *a = &c->f;
    int64_t at_q = ((s * a->tq + i) * a->heads + h) * a->d;
    int64_t at_k = ((s * a->tk + j) * a->heads + h) * a->d;
    int64_t at_o = ((s * a->tq + i) * a->heads + h) * a->dv;
    int64_t at_v = ((s * a->tk + j) * a->heads + h) * a->dv;
    const float *dout = c->b.dout, *v = a->v, *q = a->q, *k = a->k;
    double dp = 0.0;
    for (int64_t x = 0; x < a->dv; x++) {
        dp += (double)dout[at_o + x] * (double)v[at_v + x];
        t->dv[at_v + x] += row->prob[j] * row->factor[j] * (double)dout[at_o + x];
    }
    double ds = row->moves ? row->prob[j] * (dp * row->factor[j] - mean) * (double)a->scale : 0.0;
    for (int64_t x = 0; x < a->d; x++) {
        t->dq[at_q + x] += ds * (double)k[at_k + x];
        t->dk[at_k + x] += ds * (double)q[at_q + x];
    }
}

static void add_query(const case_t *c, int64_t s, int64_t h, int64_t i, row_t *row, truth_t *t)
{
    const mb_attention_forward_args_t *a = &c->f;
    int64_t at_o = ((s * a->tq + i) * a->heads + h) * a->dv;
    double mean = 0.0;
    find_row(a, s, h, i, row);
    t->log_sum[(s * a->heads + h) * a->tq + i] = row->log_sum;
    for (int64_t x = 0; x < a->dv; x++) {
        for (int64_t j = 0; j < a->tk; j++) {
            int64_t at_v = ((s * a->tk + j) * a->heads + h) * a->dv;
            t->out[at_o + x] +=
                row->prob[j] * row->factor[j] * (double)((const float *)a->v)[at_v + x];
        }
        mean += t->out[at_o + x] * (double)((const float *)c->b.dout)[at_o + x];
    }
    for (int64_t j = 0; j < a->tk; j++)
        add_pair(c, row, s, h, i, j, mean, t);
}

/* Scores are sums of d products, gradients of probabilities sums of dv: their errors move
 * probabilities, which add to 1 for a query, by that relative amount. Out, dq and dk are means or
 * differences of means by these over keys; dk and dv sum one for each query, each below 1 / tk or
 * so but for the first keys of a causal mask: a sum of at most tq numbers below one. Dropout makes
 * numbers a third larger. */
static double tolerance(const mb_attention_forward_args_t *a)
{
    double sums = op_sum_bound(a->d) + op_sum_bound(a->dv) + op_sum_bound(a->tk + a->tq);
    return 1.5 * (sums + 40 * OP_EPSILON);
}

static void check_log_sums(const case_t *c, const truth_t *t)
{
    const mb_attention_forward_args_t *a = &c->f;
    for (int64_t i = 0; i < a->samples * a->heads * a->tq; i++) {
        if (isinf(t->log_sum[i]))
            ck_assert(isinf(a->log_sum[i]) && (a->log_sum[i] > 0.0f) == (t->log_sum[i] > 0.0));
        else
            op_near("logarithm of sums", &a->log_sum[i], &t->log_sum[i], 1, tolerance(a),
                    tolerance(a));
    }
}

static void check_against_truth(const case_t *c)
{
    const mb_attention_forward_args_t *a = &c->f;
    truth_t t = {.out = calloc((size_t)c->n_out, sizeof(double)),
                 .log_sum = calloc((size_t)(a->samples * a->heads * a->tq), sizeof(double)),
                 .dq = calloc((size_t)c->n_q, sizeof(double)),
                 .dk = calloc((size_t)c->n_k, sizeof(double)),
                 .dv = calloc((size_t)c->n_v, sizeof(double))};
    row_t row = {.prob = calloc((size_t)a->tk, sizeof(double)),
                 .factor = calloc((size_t)a->tk, sizeof(double))};
    for (int64_t s = 0; s < a->samples; s++)
        for (int64_t h = 0; h < a->heads; h++)
            for (int64_t i = 0; i < a->tq; i++)
                add_query(c, s, h, i, &row, &t);
    op_near("attention", a->out, t.out, c->n_out, tolerance(a), tolerance(a));
    op_near("gradient of queries", c->b.dq, t.dq, c->n_q, tolerance(a), tolerance(a));
    op_near("gradient of keys", c->b.dk, t.dk, c->n_k, tolerance(a), tolerance(a));
    op_near("gradient of values", c->b.dv_, t.dv, c->n_v, tolerance(a), tolerance(a));
    check_log_sums(c, &t);
    double *all[] = {t.out, t.log_sum, t.dq, t.dk, t.dv, row.prob, row.factor};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

START_TEST(odd_sizes_and_many_blocks_match_the_truth)
{
    op_t op;
    case_t c;
    op_open(&op, 2, (uint64_t)_i + 1);
    make(&op, &sizes[_i], &c);
    OP_RUN(&op, ATTENTION_FORWARD, &c.f);
    OP_RUN(&op, ATTENTION_BACKWARD, &c.b);
    check_against_truth(&c);
    op_close(&op);
}
END_TEST

static uint64_t digest_with(int threads, const sizes_t *size)
{
    op_t op;
    case_t c;
    op_open(&op, threads, 1);
    make(&op, size, &c);
    OP_RUN(&op, ATTENTION_FORWARD, &c.f);
    OP_RUN(&op, ATTENTION_BACKWARD, &c.b);
    uint64_t digest = op_digest(&op);
    op_close(&op);
    return digest;
}

static void check_cut(int threads, const sizes_t *size, uint64_t one)
{
    ck_assert_msg(digest_with(threads, size) == one, "%d threads differ from one", threads);
}

/* One thread takes whole heads; seven, with fewer heads than that, take blocks or halves of them.
 */
START_TEST(any_cut_of_the_heads_gives_the_same_bits)
{
    uint64_t one = digest_with(1, &sizes[_i]);
    check_cut(2, &sizes[_i], one);
    check_cut(3, &sizes[_i], one);
    check_cut(7, &sizes[_i], one);
}
END_TEST

/* Gradients of scores are kept for eight heads at a time of the first, for none of the second. */
START_TEST(heads_in_turns_give_the_same_bits)
{
    static const sizes_t turns = {1, 10, 700, 700, 16, 16, true, false, 0, MB_BLIND_NOTHING, 0.2f};
    static const sizes_t again = {1, 1, 2100, 2100, 16, 16, true, false, 0, MB_BLIND_NOTHING, 0.2f};
    check_cut(64, &turns, digest_with(1, &turns));
    check_cut(7, &again, digest_with(1, &again));
}
END_TEST

/* What is not a number is seen, and scores too large for the exponential are not too large for the
 * softmax. */
START_TEST(large_scores_and_what_is_no_number_come_through)
{
    op_t op;
    case_t c;
    op_open(&op, 1, 1);
    static const sizes_t size = {1, 1, 80, 80, 16, 16, true, false, 0, MB_BLIND_NOTHING, 50};
    make(&op, &size, &c);
    OP_RUN(&op, ATTENTION_FORWARD, &c.f);
    for (int64_t i = 0; i < c.n_out; i++)
        ck_assert(fabsf(((const float *)c.f.out)[i]) <= 1.0f + 1e-5f);
    ((float *)(uintptr_t)c.f.k)[70 * 16] = NAN;
    OP_RUN(&op, ATTENTION_FORWARD, &c.f);
    ck_assert(!isnan(((const float *)c.f.out)[69 * 16]));
    ck_assert(isnan(((const float *)c.f.out)[70 * 16]) && isnan(((const float *)c.f.out)[79 * 16]));
    op_close(&op);
}
END_TEST

static size_t workspace_of(int threads, int64_t tokens)
{
    op_t op;
    op_open(&op, threads, 1);
    mb_attention_backward_args_t b = {
        .samples = 1, .heads = 1, .tq = tokens, .tk = tokens, .d = 64, .dv = 64};
    op.exec.planning = true;
    ck_assert(op.device->class_->run(&op.exec, MB_OP_ATTENTION_BACKWARD, &b, sizeof b) == MB_OK);
    size_t needed = op.exec.workspace_needed;
    op_close(&op);
    return needed;
}

/* Blocks stand in a thread's workspace; gradients of all scores between two passes only up to 16
 * MiB. */
START_TEST(workspace_does_not_grow_with_tokens)
{
    size_t one = workspace_of(1, 128), two = workspace_of(2, 1 << 20);
    ck_assert_uint_gt(one, 0);
    ck_assert_uint_eq(workspace_of(1, 1 << 20), one);
    ck_assert_uint_eq(two, 2 * one);
    for (int64_t tokens = 64; tokens < 1 << 13; tokens *= 2)
        ck_assert_uint_le(workspace_of(2, tokens), two + (16 << 20));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("op_attention_sizes");
    TCase *t = tcase_create("sizes");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, odd_sizes_and_many_blocks_match_the_truth, 0, N_SIZES);
    tcase_add_loop_test(t, any_cut_of_the_heads_gives_the_same_bits, 0, N_SIZES);
    tcase_add_test(t, heads_in_turns_give_the_same_bits);
    tcase_add_test(t, large_scores_and_what_is_no_number_come_through);
    tcase_add_test(t, workspace_does_not_grow_with_tokens);
    suite_add_tcase(s, t);
    return op_main(s);
}
