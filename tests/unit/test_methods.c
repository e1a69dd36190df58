/* Error feedback and activation-aware scales: what the outputs lose, trace(D^T H D), against plain
 * rounding on inputs made for the purpose, and the linear algebra underneath. */
#include "base/philox.h"
#include "quant/encode.h"
#include "quant/methods.h"

#include <check.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Weights [rows, columns] and the covariance of SAMPLES inputs. */
typedef struct {
    int64_t rows, columns, samples;
    float *weights, *inputs, *covariance;
    mb_calibration_t calibration;
} problem_t;

static float uniform(uint32_t stream, int64_t i)
{
    mb_random_key_t key = {.seed = 7, .purpose = MB_RANDOM_INITIAL, .node = stream};
    return 2.0f * mb_random_unit(mb_random_word(&key, 0, (uint32_t)i)) - 1.0f;
}

static void fill(uint32_t stream, int64_t count, float *values)
{
    for (int64_t i = 0; i < count; i++)
        values[i] = uniform(stream, i);
}

static float *room(int64_t count)
{
    float *values = calloc((size_t)count, sizeof *values);
    ck_assert_ptr_nonnull(values);
    return values;
}

static void problem_open(problem_t *p, int64_t rows, int64_t columns, int64_t samples)
{
    *p = (problem_t){rows,
                     columns,
                     samples,
                     room(rows * columns),
                     room(samples * rows),
                     room(rows * rows),
                     {samples, NULL}};
    p->calibration.covariance = p->covariance;
    fill(1, rows * columns, p->weights);
    fill(2, samples * rows, p->inputs);
}

/* Only the lower triangle; the rest must not be looked at. */
static void make_covariance(problem_t *p)
{
    for (int64_t i = 0; i < p->rows; i++) {
        for (int64_t j = 0; j <= i; j++) {
            double sum = 0.0;
            for (int64_t s = 0; s < p->samples; s++)
                sum += (double)p->inputs[s * p->rows + i] * (double)p->inputs[s * p->rows + j];
            p->covariance[i * p->rows + j] = (float)sum;
        }
        for (int64_t j = i + 1; j < p->rows; j++)
            p->covariance[i * p->rows + j] = NAN;
    }
}

/* Inputs that are mixtures of SOURCES others, with a tenth of noise. */
static void correlate(problem_t *p, int64_t sources, float noise)
{
    float *mixing = room(sources * p->rows), *mixed = room(p->samples * p->rows);
    fill(3, sources * p->rows, mixing);
    for (int64_t s = 0; s < p->samples; s++)
        for (int64_t i = 0; i < p->rows; i++) {
            float *to = &mixed[s * p->rows + i];
            *to = noise * p->inputs[s * p->rows + i];
            for (int64_t k = 0; k < sources; k++)
                *to += uniform(4, s * sources + k) * mixing[k * p->rows + i];
        }
    memcpy(p->inputs, mixed, (size_t)(p->samples * p->rows) * sizeof *mixed);
    free(mixing);
    free(mixed);
    make_covariance(p);
}

static void problem_close(problem_t *p)
{
    free(p->weights);
    free(p->inputs);
    free(p->covariance);
}

static void encode(const problem_t *p, const char *format, mb_method_t method, mb_encoded_t *out)
{
    mb_format_t parsed;
    const mb_view_t view = {p->rows, p->columns, false};
    ck_assert_int_eq(mb_format_parse(format, &parsed), MB_OK);
    ck_assert_int_eq(
        mb_encode(&parsed, method, &view, p->weights, &p->calibration, "a weight", out), MB_OK);
}

/* Of the outputs themselves: sum (x D)^2. */
static double output_loss(const problem_t *p, const mb_encoded_t *e)
{
    float *decoded = room(p->rows * p->columns);
    mb_matrix_decode(&e->matrix, decoded);
    double loss = 0.0;
    for (int64_t s = 0; s < p->samples; s++)
        for (int64_t c = 0; c < p->columns; c++) {
            double sum = 0.0;
            for (int64_t r = 0; r < p->rows; r++) {
                int64_t at = r * p->columns + c;
                sum += (double)p->inputs[s * p->rows + r] *
                       ((double)decoded[at] - (double)p->weights[at]);
            }
            loss += sum * sum;
        }
    free(decoded);
    return loss;
}

static double loss_of(const problem_t *p, const char *format, mb_method_t method, mb_method_t used)
{
    mb_encoded_t e;
    encode(p, format, method, &e);
    ck_assert_int_eq(e.encoding.method, used);
    double loss = output_loss(p, &e);
    ck_assert(isfinite(loss));
    mb_encoded_free(&e);
    return loss;
}

static void ck_assert_same_codes(const problem_t *p, const char *format, mb_method_t a,
                                 mb_method_t b)
{
    mb_encoded_t left, right;
    encode(p, format, a, &left);
    encode(p, format, b, &right);
    for (int part = 0; part < MB_PART_COUNT; part++) {
        ck_assert_int_eq(left.encoding.bytes[part], right.encoding.bytes[part]);
        if (left.parts[part] != NULL)
            ck_assert_mem_eq(left.parts[part], right.parts[part],
                             (size_t)left.encoding.bytes[part]);
    }
    ck_assert_int_eq(left.encoding.method, right.encoding.method);
    mb_encoded_free(&left);
    mb_encoded_free(&right);
}

/* A = B B^T + I, below the diagonal; NaN above. */
static double *positive_definite(int64_t n)
{
    double *a = malloc((size_t)(n * n) * sizeof *a);
    ck_assert_ptr_nonnull(a);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = i == j ? 1.0 : 0.0;
            for (int64_t k = 0; k < 8; k++)
                sum += (double)uniform(5, i * 8 + k) * (double)uniform(5, j * 8 + k);
            a[i * n + j] = j <= i ? sum : (double)NAN;
        }
    return a;
}

/* |A - L L^T| is at most (n + 1) eps sum |l_ik| |l_jk| (Higham, "Accuracy and stability of
 * numerical algorithms", theorem 10.3), and that sum at most the root of a_ii a_jj, but for higher
 * orders. */
START_TEST(cholesky_gives_a_factor_whose_square_is_the_matrix)
{
    const int64_t sizes[] = {1, 2, 7, 63, 64, 65, 130};
    int64_t n = sizes[_i];
    double *a = positive_definite(n), *factor = positive_definite(n);
    ck_assert_int_eq(mb_cholesky(factor, n), MB_OK);
    for (int64_t i = 0; i < n; i++) {
        ck_assert(factor[i * n + i] > 0.0);
        for (int64_t j = 0; j <= i; j++) {
            double sum = 0.0;
            for (int64_t k = 0; k <= j; k++)
                sum += factor[i * n + k] * factor[j * n + k];
            double bound = 2.0 * (double)(n + 1) * DBL_EPSILON * sqrt(a[i * n + i] * a[j * n + j]);
            ck_assert_double_le(fabs(sum - a[i * n + j]), bound);
        }
        for (int64_t j = i + 1; j < n; j++)
            ck_assert(isnan(factor[i * n + j]));
    }
    free(a);
    free(factor);
}
END_TEST

START_TEST(cholesky_refuses_what_is_not_positive_definite)
{
    const int64_t n = 100, places[] = {0, 40, 90};
    const double diagonals[] = {0.0, -1.0, (double)NAN, (double)INFINITY};
    for (int i = 0; i < 4; i++) {
        double *a = positive_definite(n);
        a[places[_i] * n + places[_i]] = diagonals[i];
        ck_assert_int_eq(mb_cholesky(a, n), MB_ERR_NUMERIC);
        free(a);
    }
}
END_TEST

static const char *const formats[] = {"int8",          "int8:tensor",   "int8:block=32",
                                      "int4",          "int4:block=64", "int4:block=32,offset",
                                      "int4:block=256"};
enum { FORMATS = sizeof formats / sizeof *formats };

/* Inputs made of 8 sources and a tenth of noise hold in a row what most others hold: what is left
 * to lose is near the noise's share, a hundredth of the variance and then some. A fifth leaves room
 * for damping and for blocks. */
START_TEST(feedback_loses_much_less_on_correlated_inputs)
{
    problem_t p;
    problem_open(&p, 96, 20, 300);
    correlate(&p, 8, 0.1f);
    double mse = loss_of(&p, formats[_i], MB_METHOD_MSE, MB_METHOD_MSE);
    double nearest = loss_of(&p, formats[_i], MB_METHOD_NEAREST, MB_METHOD_NEAREST);
    double gptq = loss_of(&p, formats[_i], MB_METHOD_GPTQ, MB_METHOD_GPTQ);
    ck_assert_double_lt(gptq, 0.2 * mse);
    ck_assert_double_lt(gptq, 0.2 * nearest);
    problem_close(&p);
}
END_TEST

START_TEST(feedback_of_independent_inputs_is_plain_rounding)
{
    problem_t p;
    problem_open(&p, 70, 9, 1);
    memset(p.covariance, 0, (size_t)(p.rows * p.rows) * sizeof *p.covariance);
    for (int64_t i = 0; i < p.rows; i++)
        p.covariance[i * p.rows + i] = 1.0f + (float)(i % 5);
    ck_assert_same_codes(&p, formats[_i], MB_METHOD_GPTQ, MB_METHOD_MSE);
    problem_close(&p);
}
END_TEST

/* Sizes about those of blocks, of steps of rows and of panels of columns. */
START_TEST(feedback_never_loses_more_whatever_the_size)
{
    const int64_t sizes[][2] = {{1, 5},  {5, 1},  {1, 1},   {31, 3},   {33, 2},  {64, 65},
                                {65, 2}, {66, 3}, {129, 7}, {63, 129}, {258, 3}, {2, 64}};
    const int64_t rows = sizes[_i][0], columns = sizes[_i][1];
    problem_t p;
    problem_open(&p, rows, columns, 100);
    correlate(&p, 3, 0.2f);
    for (int f = 0; f < FORMATS; f++) {
        mb_encoded_t plain, fed;
        encode(&p, formats[f], MB_METHOD_MSE, &plain);
        encode(&p, formats[f], MB_METHOD_GPTQ, &fed);
        /* The covariance is rounded to float: what the two say may differ by so much. */
        double before = output_loss(&p, &plain), after = output_loss(&p, &fed);
        ck_assert_double_le(after, before * (1.0 + 1e-5));
        mb_encoded_free(&plain);
        mb_encoded_free(&fed);
    }
    problem_close(&p);
}
END_TEST

/* Three sources and no noise: the covariance has rank 3. */
START_TEST(a_singular_covariance_is_damped)
{
    problem_t p;
    problem_open(&p, 80, 6, 50);
    correlate(&p, 3, 0.0f);
    double mse = loss_of(&p, formats[_i], MB_METHOD_MSE, MB_METHOD_MSE);
    ck_assert_double_lt(loss_of(&p, formats[_i], MB_METHOD_GPTQ, MB_METHOD_GPTQ), 0.2 * mse);
    problem_close(&p);
}
END_TEST

START_TEST(weights_of_inputs_that_are_always_0_are_rounded_to_the_nearest)
{
    const int64_t dead = 5;
    problem_t p;
    problem_open(&p, 40, 4, 100);
    for (int64_t s = 0; s < p.samples; s++)
        p.inputs[s * p.rows + dead] = 0.0f;
    correlate(&p, 4, 0.1f);
    for (int64_t j = 0; j < p.rows; j++)
        p.covariance[j > dead ? j * p.rows + dead : dead * p.rows + j] = 0.0f;
    mb_encoded_t e;
    encode(&p, "int8", MB_METHOD_GPTQ, &e);
    ck_assert_int_eq(e.encoding.method, MB_METHOD_GPTQ);
    const float *scales = e.matrix.scales;
    for (int64_t c = 0; c < p.columns; c++) {
        double weight = (double)p.weights[dead * p.columns + c];
        double clip = 127.0 * (double)scales[c], half = 0.5 * (double)scales[c];
        double nearest = fmax(fmin(weight, clip), -clip);
        ck_assert_double_le(fabs((double)mb_matrix_value(&e.matrix, dead, c) - nearest),
                            half * (1.0 + 1e-5));
    }
    mb_encoded_free(&e);
    problem_close(&p);
}
END_TEST

START_TEST(a_covariance_of_no_use_leaves_the_smallest_squared_error)
{
    const float diagonals[] = {0.0f, NAN, INFINITY, -1.0f};
    problem_t p;
    problem_open(&p, 40, 4, 100);
    for (int64_t i = 0; i < p.rows * p.rows; i++)
        p.covariance[i] = diagonals[_i];
    ck_assert_same_codes(&p, "int8", MB_METHOD_GPTQ, MB_METHOD_MSE);
    ck_assert_same_codes(&p, "int4", MB_METHOD_AWQ, MB_METHOD_MSE);
    problem_close(&p);
}
END_TEST

/* Every sixteenth input is 30 times as large and its weights a tenth: the rows' shares of the loss
 * are 900 to 15. Scaled up tenfold, which their block has room for, they lose a hundredth. */
START_TEST(row_scales_help_where_some_inputs_are_large)
{
    problem_t p;
    problem_open(&p, 96, 150, 200);
    for (int64_t s = 0; s < p.samples; s++)
        for (int64_t r = 0; r < p.rows; r += 16)
            p.inputs[s * p.rows + r] *= 30.0f;
    for (int64_t r = 0; r < p.rows; r += 16)
        for (int64_t c = 0; c < p.columns; c++)
            p.weights[r * p.columns + c] *= 0.1f;
    make_covariance(&p);
    double mse = loss_of(&p, formats[_i], MB_METHOD_MSE, MB_METHOD_MSE);
    ck_assert_double_lt(loss_of(&p, formats[_i], MB_METHOD_AWQ, MB_METHOD_AWQ), 0.1 * mse);
    problem_close(&p);
}
END_TEST

START_TEST(row_scales_that_do_not_help_are_not_stored)
{
    problem_t p;
    problem_open(&p, 64, 8, 1);
    memset(p.covariance, 0, (size_t)(p.rows * p.rows) * sizeof *p.covariance);
    for (int64_t i = 0; i < p.rows; i++)
        p.covariance[i * p.rows + i] = 3.0f;
    ck_assert_same_codes(&p, formats[_i], MB_METHOD_AWQ, MB_METHOD_MSE);
    problem_close(&p);
}
END_TEST

START_TEST(the_same_weights_give_the_same_bytes)
{
    problem_t p;
    problem_open(&p, 70, 11, 90);
    correlate(&p, 5, 0.1f);
    ck_assert_same_codes(&p, formats[_i], MB_METHOD_GPTQ, MB_METHOD_GPTQ);
    ck_assert_same_codes(&p, formats[_i], MB_METHOD_AWQ, MB_METHOD_AWQ);
    problem_close(&p);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("methods");
    TCase *t = tcase_create("methods");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, cholesky_gives_a_factor_whose_square_is_the_matrix, 0, 7);
    tcase_add_loop_test(t, cholesky_refuses_what_is_not_positive_definite, 0, 3);
    tcase_add_loop_test(t, feedback_loses_much_less_on_correlated_inputs, 0, FORMATS);
    tcase_add_loop_test(t, feedback_of_independent_inputs_is_plain_rounding, 0, FORMATS);
    tcase_add_loop_test(t, feedback_never_loses_more_whatever_the_size, 0, 12);
    tcase_add_loop_test(t, a_singular_covariance_is_damped, 0, FORMATS);
    tcase_add_test(t, weights_of_inputs_that_are_always_0_are_rounded_to_the_nearest);
    tcase_add_loop_test(t, a_covariance_of_no_use_leaves_the_smallest_squared_error, 0, 4);
    tcase_add_loop_test(t, row_scales_help_where_some_inputs_are_large, 0, FORMATS);
    tcase_add_loop_test(t, row_scales_that_do_not_help_are_not_stored, 0, FORMATS);
    tcase_add_loop_test(t, the_same_weights_give_the_same_bytes, 0, FORMATS);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
