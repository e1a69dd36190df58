/* What makes a direction of a whole tensor and how far it goes: Adafactor's means of rows and
 * columns, factors from norms, and sums of multiples; against plain loops in double. */
#include <string.h>
#include "support/op_check.h"

enum { PLACES = 5 };
static const int64_t counts[PLACES] = {1, 70, 0, 1000, 3};

static double wanted(const mb_trust_args_t *a, double u, double w, int64_t count)
{
    double n = count > 1 ? (double)count : 1.0;
    if (a->trust == MB_TRUST_LAMB)
        return u > 0 && w > 0 ? (double)a->lr * sqrt(w) / sqrt(u) : (double)a->lr;
    if (a->trust == MB_TRUST_ADAFACTOR)
        return (double)a->lr * fmax((double)a->epsilon, sqrt(w / n)) /
               fmax(1.0, sqrt(u / n) / (double)a->threshold);
    return 1.0 / (sqrt(u) + (double)a->epsilon);
}

/* Places are not in the table's order, and those it does not name stay. Norms are zero, small and
 * large, so that either bound holds somewhere. Five roundings each. */
START_TEST(a_factor_comes_from_the_norms_of_a_tensors_place)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    mb_tensor_t tensors[PLACES];
    mb_trust_args_t a = {.trust = (mb_trust_t)_i, .lr = 0.3f, .epsilon = 1e-3f, .threshold = 0.9f};
    double *u = op_doubles(&op, 2 * PLACES), *w = op_doubles(&op, 2 * PLACES);
    a.scale = op_floats(&op, 2 * PLACES);
    a.directions = u;
    a.weights = w;
    for (int i = 0; i < 2 * PLACES; i++) {
        u[i] = i % 5 == 1 ? 0 : op_uniform(&op, 0, i % 2 == 0 ? 4 : 4000);
        w[i] = i % 5 == 3 ? 0 : op_uniform(&op, 0, i % 4 == 0 ? 1e-7 : 5);
        a.scale[i] = -1.0f;
    }
    for (int t = 0; t < PLACES; t++)
        tensors[t] = (mb_tensor_t){.count = counts[t], .place = 2 * (PLACES - 1 - t)};
    a.table = op_table(&op, tensors, PLACES);
    OP_RUN(&op, TRUST, &a);
    for (int t = 0; t < PLACES; t++) {
        int at = tensors[t].place;
        double want = wanted(&a, u[at], w[at], counts[t]);
        ck_assert_double_eq_tol((double)a.scale[at], want, 5 * OP_EPSILON * want);
        ck_assert_float_eq(a.scale[at + 1], -1.0f);
    }
    op_close(&op);
}
END_TEST

typedef struct {
    double *row, *column, *g, *velocity;
} factored_t;

static double square(const mb_factor_args_t *a, int64_t matrix, int64_t r, int64_t c)
{
    double g = (double)a->g[(matrix * a->rows + r) * a->columns + c];
    return g * g + (double)a->epsilon;
}

static void average(const mb_factor_args_t *a, int64_t m, const factored_t *want)
{
    double rho = (double)a->rho;
    for (int64_t r = 0; r < a->rows; r++) {
        double sum = 0.0, *row = &want->row[m * a->rows + r];
        for (int64_t c = 0; c < a->columns; c++)
            sum += square(a, m, r, c);
        *row = rho * *row + (1 - rho) * sum / (double)a->columns;
    }
    for (int64_t c = 0; c < a->columns; c++) {
        double sum = 0.0, *column = &want->column[m * a->columns + c];
        for (int64_t r = 0; r < a->rows; r++)
            sum += square(a, m, r, c);
        *column = rho * *column + (1 - rho) * sum / (double)a->rows;
    }
}

static void direct(const mb_factor_args_t *a, int64_t m, const factored_t *want)
{
    double mean = 0.0;
    for (int64_t r = 0; r < a->rows; r++)
        mean += want->row[m * a->rows + r] / (double)a->rows;
    for (int64_t i = 0; i < a->rows * a->columns; i++) {
        int64_t at = m * a->rows * a->columns + i;
        want->velocity[at] = want->row[m * a->rows + i / a->columns] / mean *
                             want->column[m * a->columns + i % a->columns];
        want->g[at] = (double)a->g[at] / sqrt(want->velocity[at]);
    }
}

static mb_factor_args_t factor_args(op_t *op)
{
    mb_factor_args_t a = {.matrices = op_integer(op, 1, 5),
                          .rows = op_integer(op, 1, 60),
                          .columns = op_integer(op, 1, 600),
                          .rho = 0.7f,
                          .epsilon = 1e-30f};
    a.g = op_random(op, a.matrices * a.rows * a.columns, -1, 1);
    a.velocity = op_floats(op, a.matrices * a.rows * a.columns);
    a.row = op_random(op, a.matrices * a.rows, 0.1, 1);
    a.column = op_random(op, a.matrices * a.columns, 0.1, 1);
    return a;
}

/* Squares are rounded once and means thrice: 4 eps in row and column, 3 of each and 2 more in
 * velocity, half of that and 2 more in the direction. */
START_TEST(adafactors_direction_matches_plain_loops)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    mb_factor_args_t a = factor_args(&op);
    int64_t rows = a.matrices * a.rows, columns = a.matrices * a.columns, all = rows * a.columns;
    factored_t want = {op_widen(a.row, rows), op_widen(a.column, columns), op_widen(a.g, all),
                       op_widen(a.velocity, all)};
    for (int64_t m = 0; m < a.matrices; m++) {
        average(&a, m, &want);
        direct(&a, m, &want);
    }
    OP_RUN(&op, FACTOR, &a);
    op_near("rows", a.row, want.row, rows, 4 * OP_EPSILON, 0);
    op_near("columns", a.column, want.column, columns, 4 * OP_EPSILON, 0);
    op_near("velocity", a.velocity, want.velocity, all, 14 * OP_EPSILON, 0);
    op_near("directions", a.g, want.g, all, 9 * OP_EPSILON, 0);
    free(want.row);
    free(want.column);
    free(want.g);
    free(want.velocity);
    op_close(&op);
}
END_TEST

/* Inputs that are always zero, before units that are dead. */
START_TEST(adafactor_leaves_what_has_no_gradient_alone)
{
    op_t op;
    op_open(&op, 1, 1);
    mb_factor_args_t a = factor_args(&op);
    for (int64_t i = 0; i < a.matrices * a.rows * a.columns; i++)
        a.g[i] = i / a.columns % a.rows == 0 || i % a.columns == 0 ? 0.0f : a.g[i];
    for (int step = 0; step < 100; step++)
        OP_RUN(&op, FACTOR, &a);
    for (int64_t i = 0; i < a.matrices * a.rows * a.columns; i++)
        ck_assert(i / a.columns % a.rows == 0 || i % a.columns == 0 ? a.g[i] == 0.0f
                                                                    : isfinite(a.g[i]));
    op_close(&op);
}
END_TEST

static uint64_t factor_digest(int threads, uint64_t seed)
{
    op_t op;
    op_open(&op, threads, seed);
    mb_factor_args_t a = factor_args(&op);
    OP_RUN(&op, FACTOR, &a);
    uint64_t digest = op_digest(&op);
    op_close(&op);
    return digest;
}

START_TEST(adafactors_direction_has_the_same_bits_on_any_number_of_threads)
{
    ck_assert_uint_eq(factor_digest(1, (uint64_t)_i + 1), factor_digest(3, (uint64_t)_i + 1));
}
END_TEST

START_TEST(multiples_are_added)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    int64_t count = 40001;
    mb_combine_args_t a = {.count = count,
                           .p = 1.7f,
                           .q = -0.6f,
                           .a = op_random(&op, count, -1, 1),
                           .b = op_random(&op, count, -1, 1)};
    float *scale = op_floats(&op, 1);
    *scale = 0.3f;
    a.scale = _i & 1 ? scale : NULL;
    a.y = _i & 2 ? (float *)a.b : op_floats(&op, count);
    if (_i & 4)
        a.b = NULL;
    double *want = op_widen(a.a, count);
    for (int64_t i = 0; i < count; i++)
        want[i] = want[i] * (double)a.p * (a.scale == NULL ? 1.0 : (double)*scale) +
                  (a.b == NULL ? 0.0 : (double)a.q * (double)a.b[i]);
    OP_RUN(&op, COMBINE, &a);
    op_near("combined", a.y, want, count, 0, 4 * OP_EPSILON * 2.3);
    free(want);
    op_close(&op);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op_direction");
    TCase *t = tcase_create("direction");
    tcase_add_loop_test(t, a_factor_comes_from_the_norms_of_a_tensors_place, 0, 3);
    tcase_add_loop_test(t, adafactors_direction_matches_plain_loops, 0, 20);
    tcase_add_loop_test(t, adafactors_direction_has_the_same_bits_on_any_number_of_threads, 0, 6);
    tcase_add_test(t, adafactor_leaves_what_has_no_gradient_alone);
    tcase_add_loop_test(t, multiples_are_added, 0, 8);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
