/* Recurrent cells against their formulas in double, their gradients against finite differences. */
#include <string.h>
#include "support/op_check.h"

/* What the differences run over: the inputs of the gates, U and GRU's bias, one behind the other.
 */
typedef struct {
    mb_rnn_forward_args_t args;
    int64_t n_inputs, n_u, n_bias, n_y;
    const float *dy;
    double *y; /* with the gaps between its rows */
} problem_t;

static double apply(const mb_function_t *f, double x)
{
    switch (f->act) {
    case MB_ACT_TANH:
        return tanh(x);
    case MB_ACT_SIGMOID:
        return 1.0 / (1.0 + exp(-x));
    case MB_ACT_SILU:
        return x / (1.0 + exp(-x));
    case MB_ACT_HARD_SIGMOID:
        return fmin(fmax((double)f->p0 * x + 0.5, 0.0), 1.0);
    case MB_ACT_LINEAR:
        return x;
    default:
        ck_abort_msg("no truth for function %d", f->act);
    }
}

typedef struct {
    const problem_t *p;
    const double *x;
    int64_t sample, step;
    const double *h; /* before the step */
} step_t;

static double input_of(const step_t *s, int64_t gate, int64_t j)
{
    const mb_rnn_t *r = &s->p->args.rnn;
    int64_t row = s->sample * r->steps + mb_rnn_position(r, s->step);
    return s->x[(row * mb_rnn_gates(r->cell) + gate) * r->units + j];
}

/* FACTOR: by which h is multiplied first; NULL: by nothing. */
static double product_of(const step_t *s, int64_t gate, int64_t j, const double *factor)
{
    const mb_rnn_t *r = &s->p->args.rnn;
    int64_t n = r->units, gates = mb_rnn_gates(r->cell);
    const double *u = s->x + s->p->n_inputs, *bias = u + s->p->n_u;
    double sum = s->p->n_bias > 0 ? bias[gate * n + j] : 0.0;
    for (int64_t k = 0; k < n; k++) {
        double h = s->h[k] * (factor == NULL ? 1.0 : factor[k]);
        if (r->masked)
            h *= (double)s->p->args.masks[(s->sample * gates + gate) * n + k];
        sum += h * u[k * gates * n + gate * n + j];
    }
    return sum;
}

static double whole(const step_t *s, int64_t gate, int64_t j)
{
    return input_of(s, gate, j) + product_of(s, gate, j, NULL);
}

static double lstm(const step_t *s, int64_t j, double *c)
{
    const mb_rnn_t *r = &s->p->args.rnn;
    double i = apply(&r->gate, whole(s, 0, j)), f = apply(&r->gate, whole(s, 1, j));
    double o = apply(&r->gate, whole(s, 3, j));
    *c = f * *c + i * apply(&r->act, whole(s, 2, j));
    return o * apply(&r->act, *c);
}

static double gru(const step_t *s, int64_t j, const double *reset)
{
    const mb_rnn_t *r = &s->p->args.rnn;
    double update = apply(&r->gate, whole(s, 0, j));
    double inner =
        r->cell == MB_CELL_GRU ? reset[j] * product_of(s, 2, j, NULL) : product_of(s, 2, j, reset);
    double candidate = apply(&r->act, input_of(s, 2, j) + inner);
    return update * s->h[j] + (1.0 - update) * candidate;
}

static bool is_present(const problem_t *p, int64_t sample, int64_t step)
{
    const mb_rnn_t *r = &p->args.rnn;
    const float *present = p->args.present;
    return !r->skips || present[sample * r->steps + mb_rnn_position(r, step)] != 0.0f;
}

static void run_sample(const problem_t *p, const double *x, int64_t sample)
{
    const mb_rnn_t *r = &p->args.rnn;
    double h[16] = {0}, c[16] = {0}, after[16], reset[16];
    for (int64_t step = 0; step < r->steps; step++) {
        step_t s = {p, x, sample, step, h};
        bool present = is_present(p, sample, step);
        memcpy(after, h, sizeof h);
        for (int64_t j = 0; j < r->units; j++)
            reset[j] = r->cell >= MB_CELL_GRU ? apply(&r->gate, whole(&s, 1, j)) : 0.0;
        for (int64_t j = 0; j < r->units && present; j++)
            after[j] = r->cell == MB_CELL_SIMPLE ? apply(&r->act, whole(&s, 0, j))
                       : r->cell == MB_CELL_LSTM ? lstm(&s, j, &c[j])
                                                 : gru(&s, j, reset);
        memcpy(h, after, sizeof h);
        int64_t row = mb_rnn_row(r, sample, step);
        for (int64_t j = 0; j < r->units && (!r->last_only || step == r->steps - 1); j++)
            p->y[row * r->ldy + j] = present || !r->blank ? h[j] : 0.0;
    }
}

static double objective(const double *x, void *context)
{
    problem_t *p = context;
    const mb_rnn_t *r = &p->args.rnn;
    double sum = 0.0;
    for (int64_t s = 0; s < r->samples; s++)
        run_sample(p, x, s);
    for (int64_t i = 0; i < p->n_y; i++)
        sum += i % r->ldy < r->units ? (double)p->dy[i] * p->y[i] : 0.0;
    return sum;
}

static mb_rnn_t some_shape(op_t *op, mb_cell_t cell, bool masked)
{
    static const mb_function_t acts[] = {
        {MB_ACT_TANH, 0, 0, 0}, {MB_ACT_LINEAR, 0, 0, 0}, {MB_ACT_SILU, 0, 0, 0}};
    static const mb_function_t gates[] = {
        {MB_ACT_SIGMOID, 0, 0, 0}, {MB_ACT_HARD_SIGMOID, 0.2f, 0, 0}, {MB_ACT_SILU, 0, 0, 0}};
    mb_rnn_t r = {.cell = cell, .masked = masked};
    r.samples = op_integer(op, 1, 11);
    r.steps = op_integer(op, 1, 5);
    r.units = op_integer(op, 1, 7);
    r.backwards = op_integer(op, 0, 1);
    r.last_only = op_integer(op, 0, 1);
    r.reversed = op_integer(op, 0, 1);
    r.ldy = r.units + op_integer(op, 0, 2);
    r.skips = op_integer(op, 0, 1);
    r.blank = op_integer(op, 0, 1);
    r.act = acts[op_integer(op, 0, 2)];
    r.gate = gates[op_integer(op, 0, 2)];
    return r;
}

/* Every step makes a sum of `units` products and some 20 roundings of numbers below two, and hands
 * its error on: by less than it came where |U| < 1 / units. */
static double tolerance(const mb_rnn_t *r)
{
    return (double)r->steps * (2 * op_sum_bound(r->units) + 40 * OP_EPSILON);
}

/* Where the arrays of a problem stand on the device. */
typedef struct {
    float *inputs, *u, *bias, *dgates, *drecurrent;
} arrays_t;

static arrays_t arrange(op_t *op, problem_t *p)
{
    mb_rnn_forward_args_t *a = &p->args;
    const mb_rnn_t *r = &a->rnn;
    int64_t gates = mb_rnn_gates(r->cell), kept = mb_rnn_kept(r->cell);
    int64_t positions = r->samples * r->steps;
    arrays_t arrays = {
        op_random(op, positions * gates * r->units, -1, 1),
        op_random(op, r->units * gates * r->units, -1.0 / (double)r->units, 1.0 / (double)r->units),
        op_random(op, gates * r->units, -1, 1), op_floats(op, positions * gates * r->units),
        op_floats(op, positions * gates * r->units)};
    p->n_inputs = positions * gates * r->units;
    p->n_u = gates * r->units * r->units;
    p->n_bias = r->cell == MB_CELL_GRU ? gates * r->units : 0;
    p->n_y = (mb_rnn_rows(r) - 1) * r->ldy + r->units;
    a->u = arrays.u;
    a->bias = p->n_bias > 0 ? arrays.bias : NULL;
    a->masks = op_random(op, r->samples * gates * r->units, 0, 2);
    float *present = op_floats(op, positions);
    for (int64_t i = 0; i < positions; i++)
        present[i] = (float)op_integer(op, 0, 1);
    a->present = r->skips ? present : NULL;
    a->gates = op_floats(op, positions * kept * r->units);
    a->states = op_floats(op, positions * r->units);
    a->previous = op_floats(op, mb_rnn_parts(r) * positions * r->units);
    a->y = op_random(op, p->n_y, -1, 1);
    p->dy = op_random(op, p->n_y, -1, 1);
    for (int64_t i = 0; i < positions; i++)
        memcpy(a->gates + i * kept * r->units, arrays.inputs + i * gates * r->units,
               sizeof(float) * (size_t)(gates * r->units));
    return arrays;
}

static void check_output(const problem_t *p, const float *before)
{
    const mb_rnn_t *r = &p->args.rnn;
    const float *y = p->args.y;
    for (int64_t i = 0; i < p->n_y; i++) {
        if (i % r->ldy < r->units)
            op_near("output", &y[i], &p->y[i], 1, 0, tolerance(r));
        else
            ck_assert_float_eq(y[i], before[i]);
    }
}

/* dU = previous^T drecurrent, part by part; the bias has the sums of drecurrent. */
static void check_weights(const problem_t *p, const float *drecurrent, const double *want)
{
    const mb_rnn_t *r = &p->args.rnn;
    int64_t n = r->units, gates = mb_rnn_gates(r->cell), rows = r->samples * r->steps;
    const float *previous = p->args.previous;
    double bound = (double)rows * tolerance(r);
    for (int64_t k = 0; k <= n; k++) { /* the last one is the bias */
        for (int64_t column = 0; column < gates * n && (k < n || p->n_bias > 0); column++) {
            int64_t part = 0;
            while (column / n >= mb_rnn_part_first(r, part) + mb_rnn_part_gates(r, part))
                part++;
            double sum = 0.0;
            for (int64_t row = 0; row < rows; row++)
                sum += (k < n ? (double)previous[(part * rows + row) * n + k] : 1.0) *
                       (double)drecurrent[row * gates * n + column];
            float got = (float)sum;
            op_near("gradient of U", &got, &want[k * gates * n + column], 1, 0, bound);
        }
    }
}

static void check_gradients(op_t *op, problem_t *p, const arrays_t *arrays)
{
    const mb_rnn_forward_args_t *f = &p->args;
    int64_t all = p->n_inputs + p->n_u + p->n_bias;
    double *x = calloc((size_t)all, sizeof(double)), *want = calloc((size_t)all, sizeof(double));
    for (int64_t i = 0; i < all; i++)
        x[i] = (double)(i < p->n_inputs            ? arrays->inputs[i]
                        : i < p->n_inputs + p->n_u ? arrays->u[i - p->n_inputs]
                                                   : arrays->bias[i - p->n_inputs - p->n_u]);
    op_differences(objective, p, x, all, want);
    objective(x, p);
    mb_rnn_backward_args_t back = {.rnn = f->rnn,
                                   .u = f->u,
                                   .masks = f->masks,
                                   .gates = f->gates,
                                   .states = f->states,
                                   .present = f->present,
                                   .dy = p->dy,
                                   .dgates = arrays->dgates,
                                   .drecurrent = arrays->drecurrent};
    OP_RUN(op, RNN_BACKWARD, &back);
    bool same = f->rnn.cell != MB_CELL_GRU;
    op_near("gradient of the gates", arrays->dgates, want, p->n_inputs, 0, 4 * tolerance(&f->rnn));
    check_weights(p, same ? arrays->dgates : arrays->drecurrent, want + p->n_inputs);
    free(x);
    free(want);
}

static void check_cell(mb_cell_t cell, bool masked, uint64_t seed)
{
    op_t op;
    op_open(&op, 1 + (int)(seed % 3), seed);
    problem_t p = {.args = {.rnn = some_shape(&op, cell, masked)}};
    arrays_t arrays = arrange(&op, &p);
    float *before = malloc(sizeof(float) * (size_t)p.n_y);
    memcpy(before, p.args.y, sizeof(float) * (size_t)p.n_y);
    p.y = calloc((size_t)p.n_y, sizeof(double));
    OP_RUN(&op, RNN_FORWARD, &p.args);
    check_gradients(&op, &p, &arrays);
    check_output(&p, before);
    free(before);
    free(p.y);
    op_close(&op);
}

START_TEST(cells_and_their_gradients_match_the_formulas)
{
    for (uint64_t seed = 0; seed < 40; seed++)
        check_cell((mb_cell_t)_i, seed % 2, 100 * (uint64_t)_i + seed);
}
END_TEST

START_TEST(senseless_shapes_are_refused)
{
    op_t op;
    op_open(&op, 1, 1);
    mb_rnn_t good = {.samples = 1, .steps = 1, .units = 4, .ldy = 4}, bad[4];
    for (int i = 0; i < 4; i++)
        bad[i] = good;
    bad[0].units = 0;
    bad[1].steps = 0;
    bad[2].ldy = 3;
    bad[3].cell = (mb_cell_t)9;
    for (int i = 0; i < 4; i++) {
        mb_rnn_forward_args_t forward = {.rnn = bad[i]};
        mb_rnn_backward_args_t backward = {.rnn = bad[i]};
        ck_assert_int_eq(op_try(&op, MB_OP_RNN_FORWARD, &forward, sizeof forward), MB_ERR_INTERNAL);
        ck_assert_int_eq(op_try(&op, MB_OP_RNN_BACKWARD, &backward, sizeof backward),
                         MB_ERR_INTERNAL);
    }
    op_close(&op);
}
END_TEST

START_TEST(senseless_steps_are_refused)
{
    op_t op;
    op_open(&op, 1, 1);
    mb_lstm_step_t good = {.samples = 1, .steps = 2, .places = 3, .units = 4}, bad[4];
    for (int i = 0; i < 4; i++)
        bad[i] = good;
    bad[0].units = 0;
    bad[1].places = 0;
    bad[2].later = 2;
    bad[3].samples = -1;
    for (int i = 0; i < 5; i++) {
        mb_lstm_step_forward_args_t forward = {.step = i < 4 ? bad[i] : good,
                                               .ldh = i < 4 ? 12 : 11};
        mb_lstm_step_backward_args_t backward = {.step = forward.step, .ldh = forward.ldh};
        ck_assert_int_eq(op_try(&op, MB_OP_LSTM_STEP_FORWARD, &forward, sizeof forward),
                         MB_ERR_INTERNAL);
        ck_assert_int_eq(op_try(&op, MB_OP_LSTM_STEP_BACKWARD, &backward, sizeof backward),
                         MB_ERR_INTERNAL);
    }
    op_close(&op);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op_recurrent");
    TCase *t = tcase_create("recurrent");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, cells_and_their_gradients_match_the_formulas, MB_CELL_SIMPLE,
                        MB_CELL_GRU_BEFORE + 1);
    tcase_add_test(t, senseless_shapes_are_refused);
    tcase_add_test(t, senseless_steps_are_refused);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
