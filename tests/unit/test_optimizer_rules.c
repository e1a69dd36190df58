/* Every optimizer over twenty steps against its rule as the paper has it, in plain loops of double
 * over whole tensors: vectors, matrices of either shape, a convolution's kernel, an embedding.
 *
 * Both begin with the same float weights and gradients. After n steps a weight has been rounded
 * twice a step, n 2 eps |w|, and a step's own terms carry up to 16 roundings relative to
 * themselves. What is more, in the units of the latter: powers that float32 takes 1 - beta^t of (4
 * / (1 - beta) at the first step); the roots that Ftrl makes its weight of (16 of the weight a
 * step); the mean that ScheduleFreeAdamW takes out of its weight and puts back (6 of the weight a
 * step); what Muon's iteration multiplies a matrix' error by, |a| a round, where sums of up to 54
 * products err by some sqrt(54) eps, 16 with what else is rounded. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "model/optimizer.h"

#define EPS 0x1p-23
enum { STEPS = 20, PARAMS = 6, MOST = 200 };

static const struct {
    const char *path;
    mb_shape_t shape;
} kinds[PARAMS] = {{"dense/kernel", {2, {9, 6}}},    {"out/kernel", {2, {4, 11}}},
                   {"words/embedding", {2, {7, 5}}}, {"conv/kernel", {4, {2, 3, 4, 5}}},
                   {"dense/bias", {1, {8}}},         {"scale", {0, {0}}}};

typedef struct {
    int64_t count;
    double w[MOST], g[MOST], s0[MOST], s1[MOST], s2[MOST];
    double moved[MOST], largest[MOST];
} truth_t;

typedef struct {
    const mb_optimizer_t *optimizer;
    const mb_param_t *param;
    int64_t updates;
    double lr;
} step_t;

typedef void (*rule_t)(const step_t *step, truth_t *t);

static double correction(double beta, int64_t updates)
{
    return 1.0 - pow(beta, (double)(updates + 1));
}

static void adagrad(const step_t *s, truth_t *t)
{
    for (int64_t i = 0; i < t->count; i++) {
        t->s0[i] += t->g[i] * t->g[i];
        t->w[i] -= s->lr * t->g[i] / sqrt(t->s0[i] + s->optimizer->epsilon);
    }
}

static void adadelta(const step_t *s, truth_t *t)
{
    double rho = s->optimizer->rho, epsilon = s->optimizer->epsilon;
    for (int64_t i = 0; i < t->count; i++) {
        t->s0[i] = rho * t->s0[i] + (1 - rho) * t->g[i] * t->g[i];
        double step = t->g[i] * sqrt(t->s1[i] + epsilon) / sqrt(t->s0[i] + epsilon);
        t->s1[i] = rho * t->s1[i] + (1 - rho) * step * step;
        t->w[i] -= s->lr * step;
    }
}

static void average(const step_t *s, truth_t *t, int64_t i)
{
    double beta1 = s->optimizer->beta1, beta2 = s->optimizer->beta2;
    t->s0[i] = beta1 * t->s0[i] + (1 - beta1) * t->g[i];
    t->s1[i] = beta2 * t->s1[i] + (1 - beta2) * t->g[i] * t->g[i];
}

/* The form in front of section 2.1 of Kingma and Ba. */
static void adam(const step_t *s, truth_t *t)
{
    const mb_optimizer_t *o = s->optimizer;
    double alpha =
        s->lr * sqrt(correction(o->beta2, s->updates)) / correction(o->beta1, s->updates);
    for (int64_t i = 0; i < t->count; i++) {
        average(s, t, i);
        t->s2[i] = fmax(t->s2[i], t->s1[i]);
        t->w[i] -= alpha * t->s0[i] / (sqrt(o->amsgrad ? t->s2[i] : t->s1[i]) + o->epsilon);
    }
}

static void adamax(const step_t *s, truth_t *t)
{
    const mb_optimizer_t *o = s->optimizer;
    for (int64_t i = 0; i < t->count; i++) {
        t->s0[i] = o->beta1 * t->s0[i] + (1 - o->beta1) * t->g[i];
        t->s1[i] = fmax(o->beta2 * t->s1[i], fabs(t->g[i]));
        t->w[i] -= s->lr / correction(o->beta1, s->updates) * t->s0[i] / (t->s1[i] + o->epsilon);
    }
}

static double nadam_momentum(double beta, int64_t update)
{
    return beta * (1 - 0.5 * pow(0.96, (double)update));
}

static void nadam(const step_t *s, truth_t *t)
{
    const mb_optimizer_t *o = s->optimizer;
    double product = 1, now = nadam_momentum(o->beta1, s->updates + 1),
           next = nadam_momentum(o->beta1, s->updates + 2);
    for (int64_t k = 1; k <= s->updates + 1; k++)
        product *= nadam_momentum(o->beta1, k);
    for (int64_t i = 0; i < t->count; i++) {
        average(s, t, i);
        double mean = next * t->s0[i] / (1 - product * next) + (1 - now) * t->g[i] / (1 - product);
        double v = t->s1[i] / correction(o->beta2, s->updates);
        t->w[i] -= s->lr * mean / (sqrt(v) + o->epsilon);
    }
}

/* x by itself, the mean of all that s0 was. */
static void schedule_free(const step_t *s, truth_t *t)
{
    const mb_optimizer_t *o = s->optimizer;
    double now = 1 / (double)(s->updates + 1);
    for (int64_t i = 0; i < t->count; i++) {
        double mean = (t->w[i] - (1 - o->beta1) * t->s0[i]) / o->beta1;
        t->s1[i] = o->beta2 * t->s1[i] + (1 - o->beta2) * t->g[i] * t->g[i];
        double root = sqrt(t->s1[i] / correction(o->beta2, s->updates));
        double warm = o->warmup_steps > 0 ? fmin(1 / (now * o->warmup_steps), 1) : 1;
        t->s0[i] -= s->lr * warm * t->g[i] / (root + o->epsilon);
        mean += now * (t->s0[i] - mean);
        t->w[i] = (1 - o->beta1) * t->s0[i] + o->beta1 * mean;
    }
}

static void lion(const step_t *s, truth_t *t)
{
    double beta1 = s->optimizer->beta1, beta2 = s->optimizer->beta2;
    for (int64_t i = 0; i < t->count; i++) {
        double sum = beta1 * t->s0[i] + (1 - beta1) * t->g[i];
        t->w[i] -= s->lr * ((sum > 0) - (sum < 0));
        t->s0[i] = beta2 * t->s0[i] + (1 - beta2) * t->g[i];
    }
}

static void ftrl(const step_t *s, truth_t *t)
{
    const mb_ftrl_t *f = &s->optimizer->ftrl;
    double l2 = f->l2 + f->beta / (2 * s->lr);
    for (int64_t i = 0; i < t->count; i++) {
        double before = pow(t->s0[i], f->power);
        t->s0[i] += t->g[i] * t->g[i];
        double after = pow(t->s0[i], f->power);
        t->s1[i] += t->g[i] + 2 * f->shrinkage * t->w[i] - (after - before) / s->lr * t->w[i];
        double bounded = fmin(fmax(t->s1[i], -f->l1), f->l1);
        t->w[i] = (bounded - t->s1[i]) / (after / s->lr + 2 * l2);
    }
}

static double norm(const double *x, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += x[i] * x[i];
    return sqrt(sum);
}

static void lamb(const step_t *s, truth_t *t)
{
    const mb_optimizer_t *o = s->optimizer;
    for (int64_t i = 0; i < t->count; i++) {
        average(s, t, i);
        t->g[i] = t->s0[i] / correction(o->beta1, s->updates) /
                  (sqrt(t->s1[i] / correction(o->beta2, s->updates)) + o->epsilon);
    }
    double w = norm(t->w, t->count), u = norm(t->g, t->count);
    for (int64_t i = 0; i < t->count; i++)
        t->w[i] -= s->lr * (w > 0 && u > 0 ? w / u : 1) * t->g[i];
}

static double mean_of_squares(const truth_t *t, int64_t first, int64_t stride, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += t->g[first + i * stride] * t->g[first + i * stride] + 1e-30;
    return sum / (double)count;
}

/* Rows and columns of one matrix of the last two axes; row and column are kept where they begin. */
static void factor(truth_t *t, int64_t first, int64_t rows, int64_t columns, double beta)
{
    double *row = t->s0 + first, *column = t->s1 + first, mean = 0;
    for (int64_t r = 0; r < rows; r++) {
        double now = mean_of_squares(t, first + r * columns, 1, columns);
        row[r] = beta * row[r] + (1 - beta) * now;
        mean += row[r] / (double)rows;
    }
    for (int64_t c = 0; c < columns; c++)
        column[c] = beta * column[c] + (1 - beta) * mean_of_squares(t, first + c, columns, rows);
    for (int64_t i = 0; i < rows * columns; i++)
        t->g[first + i] /= sqrt(row[i / columns] / mean * column[i % columns]);
}

static void factor_all(const step_t *s, truth_t *t, double beta)
{
    const mb_shape_t *shape = &s->param->shape;
    if (shape->rank >= 2) {
        int64_t rows = shape->dim[shape->rank - 2], columns = shape->dim[shape->rank - 1];
        for (int64_t first = 0; first < t->count; first += rows * columns)
            factor(t, first, rows, columns, beta);
        return;
    }
    for (int64_t i = 0; i < t->count; i++) {
        t->s2[i] = beta * t->s2[i] + (1 - beta) * (t->g[i] * t->g[i] + 1e-30);
        t->g[i] /= sqrt(t->s2[i]);
    }
}

static void adafactor(const step_t *s, truth_t *t)
{
    const mb_adafactor_t *a = &s->optimizer->adafactor;
    double now = (double)(s->updates + 1), count = (double)t->count;
    factor_all(s, t, 1 - pow(now, a->beta2_decay));
    double rms_w = norm(t->w, t->count) / sqrt(count), rms_u = norm(t->g, t->count) / sqrt(count);
    double rate = fmax(a->epsilon2, rms_w) * fmin(s->lr, 1 / sqrt(now));
    for (int64_t i = 0; i < t->count; i++)
        t->w[i] -= rate * t->g[i] / fmax(1, rms_u / a->threshold);
}

/* c[m,n] = a[m,k] b, b read transposed or not. */
static void multiply(const double *a, const double *b, bool transposed, int64_t m, int64_t n,
                     int64_t k, double *c)
{
    for (int64_t i = 0; i < m * n; i++) {
        c[i] = 0;
        for (int64_t j = 0; j < k; j++)
            c[i] += a[i / n * k + j] * (transposed ? b[i % n * k + j] : b[j * n + i % n]);
    }
}

static void transpose(const double *from, int64_t rows, int64_t columns, double *to)
{
    for (int64_t i = 0; i < rows * columns; i++)
        to[i % columns * rows + i / columns] = from[i];
}

static void iterate(const mb_muon_t *muon, double *x, int64_t rows, int64_t columns)
{
    double a[MOST], b[MOST], product[MOST];
    multiply(x, x, true, rows, rows, columns, a);
    multiply(a, a, false, rows, rows, rows, b);
    for (int64_t i = 0; i < rows * rows; i++)
        b[i] = muon->b * a[i] + muon->c * b[i];
    multiply(b, x, false, rows, columns, rows, product);
    for (int64_t i = 0; i < rows * columns; i++)
        x[i] = muon->a * x[i] + product[i];
}

static void go_matrix(const step_t *s, truth_t *t)
{
    const mb_muon_t *muon = &s->optimizer->muon;
    int64_t rows = s->param->shape.dim[0], columns = s->param->shape.dim[1];
    bool tall = rows > columns;
    double x[MOST], length = norm(t->g, t->count) + 1e-7;
    for (int64_t i = 0; i < t->count; i++)
        t->g[i] /= length;
    memcpy(x, t->g, sizeof x);
    if (tall)
        transpose(t->g, rows, columns, x);
    for (int64_t k = 0; k < muon->steps; k++)
        iterate(muon, x, tall ? columns : rows, tall ? rows : columns);
    memcpy(t->g, x, sizeof x);
    if (tall)
        transpose(x, columns, rows, t->g);
    for (int64_t i = 0; i < t->count; i++)
        t->w[i] -= s->lr * sqrt((double)(tall ? rows : columns)) * muon->rms_rate * t->g[i];
}

static void muon(const step_t *s, truth_t *t)
{
    double momentum = s->optimizer->momentum;
    if (s->param->shape.rank != 2 || strstr(s->param->path, "embedding") != NULL) {
        adam(s, t);
        return;
    }
    for (int64_t i = 0; i < t->count; i++) {
        t->s0[i] = momentum * t->s0[i] + t->g[i];
        t->g[i] = s->optimizer->nesterov ? t->g[i] + momentum * t->s0[i] : t->s0[i];
    }
    go_matrix(s, t);
}

typedef struct {
    const char *spec;
    rule_t rule;
    double of_step, of_weight; /* roundings, as above */
} case_t;

static const case_t cases[] = {
    {"adagrad:lr=0.1,initial_accumulator_value=0.01", adagrad, 16, 2},
    {"adagrad:lr=0.1,clipvalue=0.3,weight_decay=0.2,epsilon=0.01", adagrad, 16, 2},
    {"adadelta:lr=1,rho=0.9,epsilon=0.0001", adadelta, 16, 2},
    {"adam:lr=0.01,amsgrad=true,beta_2=0.8", adam, 16 + 4 * 15, 2},
    {"adamax:lr=0.01,beta_2=0.95", adamax, 16 + 4 * 10, 2},
    {"nadam:lr=0.01,beta_2=0.99", nadam, 16 + 4 * 110, 2},
    {"ftrl:lr=0.1,l1_regularization_strength=0.01,beta=0.2", ftrl, 16, 18},
    {"ftrl:lr=0.1,learning_rate_power=-0.3,l2_regularization_strength=0.1,"
     "l2_shrinkage_regularization_strength=0.05",
     ftrl, 16, 18},
    {"lion:lr=0.01,weight_decay=0.1", lion, 16, 2},
    {"schedulefreeadamw:lr=0.01,beta_2=0.99,weight_decay=0.1", schedule_free, 16 + 4 * 110, 8},
    {"schedulefreeadamw:lr=0.03,beta_1=0.6,warmup_steps=7", schedule_free, 16 + 4 * 1010, 8},
    {"lamb:lr=0.01,beta_2=0.99,weight_decay=0.1", lamb, 16 + 4 * 110, 2},
    {"adafactor:lr=0.05,clip_threshold=0.7", adafactor, 32, 2},
    {"muon:lr=0.01,adam_beta_2=0.99", muon, 16 + 4 * 110, 2},
    {"muon:lr=0.01,nesterov=false,ns_steps=3,rms_rate=0.3", muon, 16 + 4 * 1010, 2},
};
enum { CASES = sizeof cases / sizeof cases[0] };

typedef struct {
    mb_device_t *device;
    mb_exec_t exec;
    mb_arena_t *arena;
    mb_optimizer_t *optimizer;
    mb_param_t params[PARAMS];
    mb_trained_t trained[PARAMS];
    mb_stepper_t *stepper;
    truth_t truths[PARAMS];
    float memory[PARAMS][2 + MB_MAX_SLOTS][MOST]; /* the CPU's device memory is the host's */
    uint64_t state;
} run_t;

/* Uniform in (-1, 1): Marsaglia's xorshift. */
static float some(run_t *run)
{
    run->state ^= run->state << 13;
    run->state ^= run->state >> 7;
    run->state ^= run->state << 17;
    return (float)((double)(run->state >> 11) * 0x1p-52 - 1.0);
}

static void open_param(run_t *run, int p)
{
    mb_param_t *param = &run->params[p];
    mb_trained_t *trained = &run->trained[p];
    truth_t *truth = &run->truths[p];
    *param =
        (mb_param_t){.path = kinds[p].path, .shape = kinds[p].shape, .index = p, .trainable = true};
    param->elements = truth->count = mb_shape_elements(&param->shape);
    *trained = (mb_trained_t){.param = param, .w = run->memory[p][0], .g = run->memory[p][1]};
    for (int64_t i = 0; i < truth->count; i++) {
        truth->w[i] = (double)(trained->w[i] = some(run));
        truth->largest[i] = fabs(truth->w[i]);
        truth->s0[i] = run->optimizer->slot_copies[0]
                           ? truth->w[i]
                           : (double)(float)run->optimizer->initial_accumulator;
    }
    for (int s = 0; s < run->optimizer->n_slots; s++) {
        trained->slots[s] = run->memory[p][2 + s];
        for (int64_t i = 0; i < MOST; i++)
            trained->slots[s][i] = run->optimizer->slot_copies[s]
                                       ? trained->w[i]
                                       : (float)run->optimizer->slot_initial[s];
    }
}

static run_t *open_run(const char *spec)
{
    mb_device_options_t options = {.size = sizeof options, .threads = 2};
    run_t *run = calloc(1, sizeof *run);
    run->state = 88172645463325252U;
    run->arena = mb_arena_create();
    ck_assert_int_eq(mb_device_open("cpu", &options, &run->device), MB_OK);
    ck_assert_int_eq(mb_exec_create(run->device, &run->exec), MB_OK);
    ck_assert_msg(mb_optimizer_create(NULL, spec, "test", run->arena, &run->optimizer) == MB_OK,
                  "%s", mb_error_get());
    for (int p = 0; p < PARAMS; p++)
        open_param(run, p);
    run->exec.planning = false; /* tables are made at once */
    ck_assert_int_eq(
        mb_stepper_create(run->optimizer, &run->exec, run->trained, PARAMS, PARAMS, &run->stepper),
        MB_OK);
    return run;
}

static void close_run(run_t *run)
{
    mb_stepper_destroy(run->stepper);
    mb_optimizer_destroy(run->optimizer);
    mb_exec_destroy(&run->exec);
    mb_device_close(run->device);
    mb_arena_destroy(run->arena);
    free(run);
}

/* The same gradients for both, of sizes from 0.01 to 1. */
static void draw(run_t *run)
{
    for (int p = 0; p < PARAMS; p++) {
        for (int64_t i = 0; i < run->params[p].elements; i++) {
            float g = some(run) * powf(0.01f, (float)(i % 7) / 7.0f);
            run->trained[p].g[i] = g;
            run->truths[p].g[i] = (double)g;
        }
    }
}

static void step_truth(run_t *run, rule_t rule, int64_t updates)
{
    const mb_optimizer_t *o = run->optimizer;
    double lr = (double)mb_optimizer_lr(o, updates);
    for (int p = 0; p < PARAMS; p++) {
        truth_t *t = &run->truths[p];
        bool adam_decays = rule == muon && (run->params[p].shape.rank != 2 || p == 2);
        double before[MOST], decay = adam_decays ? o->muon.adam_decay : o->weight_decay;
        memcpy(before, t->w, sizeof before);
        for (int64_t i = 0; i < t->count; i++) {
            t->w[i] -= t->w[i] * decay * lr;
            if (o->clipvalue > 0)
                t->g[i] = fmin(fmax(t->g[i], -o->clipvalue), o->clipvalue);
        }
        rule(&(step_t){o, &run->params[p], updates, lr}, t);
        for (int64_t i = 0; i < t->count; i++) {
            t->moved[i] += fabs(t->w[i] - before[i]);
            t->largest[i] = fmax(t->largest[i], fabs(t->w[i]));
        }
    }
}

static mb_status_t plan_and_step(run_t *run, int64_t updates)
{
    float lr = mb_optimizer_lr(run->optimizer, updates);
    run->exec.planning = true;
    MB_TRY(mb_stepper_step(run->stepper, updates, lr, NULL));
    MB_TRY(mb_exec_allocate(&run->exec));
    MB_TRY(mb_stepper_step(run->stepper, updates, lr, NULL));
    return mb_exec_sync(&run->exec);
}

/* The largest part of an element's distance that rounding does not explain. */
static double worst_of(const run_t *run, const case_t *c, int p, int64_t steps)
{
    const truth_t *t = &run->truths[p];
    const mb_muon_t *m = &run->optimizer->muon;
    double worst = 0, most = 0;
    for (int64_t i = 0; i < t->count; i++)
        most = fmax(most, t->moved[i]);
    double iteration = c->rule == muon ? pow(m->a, (double)m->steps) * 16 * most : 0;
    for (int64_t i = 0; i < t->count; i++) {
        double allowed = EPS * ((double)steps * c->of_weight * t->largest[i] +
                                c->of_step * t->moved[i] + iteration);
        worst = fmax(worst, fabs((double)run->trained[p].w[i] - t->w[i]) / allowed);
    }
    return worst;
}

START_TEST(twenty_steps_follow_the_rule)
{
    const case_t *c = &cases[_i];
    run_t *run = open_run(c->spec);
    for (int64_t step = 0; step < STEPS; step++) {
        draw(run);
        step_truth(run, c->rule, step);
        ck_assert_msg(plan_and_step(run, step) == MB_OK, "%s", mb_error_get());
        for (int p = 0; p < PARAMS; p++) {
            double worst = worst_of(run, c, p, step + 1);
            ck_assert_msg(worst <= 1.0, "%s: %s is %g times what rounding explains off in step %d",
                          c->spec, kinds[p].path, worst, (int)step);
        }
    }
    close_run(run);
}
END_TEST

/* Sums over three steps, and the average of the weights that takes their place in every second
 * update: against the same arithmetic spelled out. */
START_TEST(accumulation_and_averages_follow_keras)
{
    run_t *run = open_run("sgd:lr=0.1,gradient_accumulation_steps=3,use_ema=true,"
                          "ema_momentum=0.7,ema_overwrite_frequency=2");
    truth_t *t = &run->truths[0];
    double sum[MOST] = {0}, average_[MOST] = {0};
    const mb_optimizer_t *o = run->optimizer;
    for (int64_t step = 0; step < STEPS; step++) {
        int64_t updates = mb_optimizer_updates(o, step);
        bool applies = mb_optimizer_applies(o, step);
        double momentum = step < 3 ? 0 : (double)0.7f;
        ck_assert_int_eq(updates, step / 3);
        ck_assert(applies == (step % 3 == 2));
        draw(run);
        ck_assert_int_eq(mb_stepper_accumulate(run->stepper, applies), MB_OK);
        if (applies)
            ck_assert_int_eq(plan_and_step(run, updates), MB_OK);
        ck_assert_int_eq(mb_stepper_average(run->stepper, updates), MB_OK);
        for (int64_t i = 0; i < t->count; i++) {
            sum[i] += t->g[i];
            t->w[i] -= applies ? 0.1 * sum[i] / 3 : 0;
            sum[i] = applies ? 0 : sum[i];
            average_[i] = momentum * average_[i] + (1 - momentum) * t->w[i];
            t->w[i] = (updates + 1) % 2 == 0 ? average_[i] : t->w[i];
            ck_assert_double_eq_tol((double)run->trained[0].w[i], t->w[i], EPS * 8 * 20);
            ck_assert_double_eq_tol((double)run->trained[0].slots[0][i], average_[i], EPS * 8 * 20);
        }
    }
    close_run(run);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("optimizer_rules");
    TCase *t = tcase_create("rules");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, twenty_steps_follow_the_rule, 0, CASES);
    tcase_add_test(t, accumulation_and_averages_follow_keras);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *r = srunner_create(suite());
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
