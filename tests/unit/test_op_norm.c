/* Batch and layer normalization against plain formulas in double, and their gradients against
 * finite differences of those. */
#include <string.h>
#include "base/number.h"
#include "support/op_check.h"

/* y = (x - mean) / sqrt(var + eps) gamma + beta over columns of `valid` rows (batch) or over rows
 * (layer), all in double; the objective is sum of dy y. */
typedef struct {
    int64_t rows, valid, columns;
    bool batch, rms;
    double epsilon;
    const double *x, *gamma, *beta;
    const float *dy;
    double *y;
} norm_t;

static void normalise_line(const norm_t *n, const double *x, int64_t first, int64_t stride,
                           int64_t counted, int64_t all)
{
    double mean = 0.0, variance = 0.0;
    for (int64_t i = 0; i < counted && !n->rms; i++)
        mean += x[first + i * stride] / (double)counted;
    for (int64_t i = 0; i < counted; i++)
        variance += pow(x[first + i * stride] - mean, 2) / (double)counted;
    for (int64_t i = 0; i < all; i++) {
        int64_t at = first + i * stride, c = at % n->columns;
        double gamma = n->gamma != NULL ? n->gamma[c] : 1.0;
        double beta = n->beta != NULL ? n->beta[c] : 0.0;
        n->y[at] = (x[at] - mean) / sqrt(variance + n->epsilon) * gamma + beta;
    }
}

static void normalise(const norm_t *n, const double *x)
{
    if (n->batch)
        for (int64_t c = 0; c < n->columns; c++)
            normalise_line(n, x, c, n->columns, n->valid, n->rows);
    else
        for (int64_t r = 0; r < n->rows; r++)
            normalise_line(n, x, r * n->columns, 1, n->columns, n->columns);
}

static double of_x(const double *x, void *context)
{
    norm_t *n = context;
    double sum = 0.0;
    normalise(n, x);
    for (int64_t i = 0; i < n->valid * n->columns; i++)
        sum += (double)n->dy[i] * n->y[i];
    return sum;
}

static double of_gamma(const double *gamma, void *context)
{
    norm_t n = *(norm_t *)context;
    n.gamma = gamma;
    return of_x(n.x, &n);
}

/* Values have a deviation near one, so the result errs by a few eps of the input's size over the
 * deviation; gradients by a few eps of dy's, growing with the sums in double not at all. */
#define TOLERANCE (40 * OP_EPSILON)

typedef struct {
    float *x, *gamma, *beta, *y, *dy, *dx, *mean, *rstd, *dgamma, *dbeta;
    double *wide_x, *wide_gamma, *wide_beta, *want;
} memory_t;

static memory_t take_memory(op_t *op, int64_t rows, int64_t columns, int64_t statistics,
                            bool affine)
{
    memory_t m = {.x = op_random(op, rows * columns, -2, 3),
                  .y = op_floats(op, rows * columns),
                  .dy = op_random(op, rows * columns, -1, 1),
                  .dx = op_random(op, rows * columns, -1, 1),
                  .mean = op_floats(op, statistics),
                  .rstd = op_floats(op, statistics),
                  .dgamma = op_floats(op, columns),
                  .dbeta = op_floats(op, columns)};
    m.wide_x = op_widen(m.x, rows * columns);
    m.want = op_widen(m.x, rows * columns);
    if (affine) {
        m.gamma = op_random(op, columns, 0.5, 1.5);
        m.beta = op_random(op, columns, -1, 1);
        m.wide_gamma = op_widen(m.gamma, columns);
        m.wide_beta = op_widen(m.beta, columns);
    } else {
        m.wide_gamma = malloc(sizeof(double) * (size_t)columns);
        for (int64_t c = 0; c < columns; c++)
            m.wide_gamma[c] = 1.0;
    }
    return m;
}

static void free_memory(memory_t *m)
{
    free(m->wide_x);
    free(m->wide_gamma);
    free(m->wide_beta);
    free(m->want);
}

static void check_weights(norm_t *n, const memory_t *m, double times)
{
    double *gradient = malloc(sizeof(double) * (size_t)n->columns);
    op_differences(of_gamma, n, m->wide_gamma, n->columns, gradient);
    double sum = (double)n->rows;
    for (int64_t c = 0; c < n->columns; c++)
        gradient[c] *= times;
    op_near("dgamma", m->dgamma, gradient, n->columns, TOLERANCE, TOLERANCE * sqrt(sum) + 1e-7);
    for (int64_t c = 0; c < n->columns; c++) {
        gradient[c] = 0.0;
        for (int64_t r = 0; r < n->valid; r++)
            gradient[c] += times * (double)m->dy[r * n->columns + c];
    }
    op_near("dbeta", m->dbeta, gradient, n->columns, TOLERANCE, 1e-12);
    free(gradient);
}

START_TEST(batch_normalization_and_gradients_match_the_truth)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    int64_t rows = op_integer(&op, 4, 40), columns = op_integer(&op, 1, 40);
    int64_t valid = rows - (_i % 2) * op_integer(&op, 1, 2);
    memory_t m = take_memory(&op, rows, columns, columns, _i % 4 < 2);
    double *sums = op_doubles(&op, 2 * columns);
    norm_t n = {.rows = rows, .valid = valid, .columns = columns, .batch = true, .epsilon = 1e-3};
    n.x = m.wide_x;
    n.gamma = m.wide_gamma;
    n.beta = m.wide_beta;
    n.dy = m.dy;
    n.y = m.want;
    mb_batchnorm_forward_args_t forward = {.rows = rows,
                                           .valid = valid,
                                           .channels = columns,
                                           .training = true,
                                           .epsilon = 1e-3f,
                                           .x = m.x,
                                           .gamma = m.gamma,
                                           .beta = m.beta,
                                           .y = m.y,
                                           .mean = m.mean,
                                           .rstd = m.rstd,
                                           .sums = sums};
    OP_RUN(&op, BATCHNORM_FORWARD, &forward);
    normalise(&n, m.wide_x);
    op_near("y", m.y, m.want, rows * columns, TOLERANCE, TOLERANCE);
    for (int64_t c = 0; c < columns; c++) {
        double sum = 0.0, square = 0.0;
        for (int64_t r = 0; r < valid; r++) {
            sum += m.wide_x[r * columns + c];
            square += pow(m.wide_x[r * columns + c], 2);
        }
        ck_assert_double_eq_tol(sums[c], sum, 1e-12);
        ck_assert_double_eq_tol(sums[columns + c], square, 1e-12);
    }
    mb_batchnorm_backward_input_args_t input = {.type = MB_F32,
                                                .rows = rows,
                                                .valid = valid,
                                                .channels = columns,
                                                .training = true,
                                                .x = m.x,
                                                .dy = m.dy,
                                                .gamma = m.gamma,
                                                .mean = m.mean,
                                                .rstd = m.rstd,
                                                .dx = m.dx};
    OP_RUN(&op, BATCHNORM_BACKWARD_INPUT, &input);
    double *gradient = malloc(sizeof(double) * (size_t)(rows * columns));
    op_differences(of_x, &n, m.wide_x, valid * columns, gradient);
    op_near("dx", m.dx, gradient, valid * columns, TOLERANCE, TOLERANCE * 2 + 1e-7);
    for (int64_t i = valid * columns; i < rows * columns; i++)
        ck_assert_float_eq(m.dx[i], 0.0f);
    mb_batchnorm_backward_weights_args_t weights = {
        MB_F32, rows, valid, columns, false, m.x, m.dy, m.mean, m.rstd, m.dgamma, m.dbeta, NULL};
    OP_RUN(&op, BATCHNORM_BACKWARD_WEIGHTS, &weights);
    check_weights(&n, &m, 1.0);
    weights.accumulate = true;
    OP_RUN(&op, BATCHNORM_BACKWARD_WEIGHTS, &weights);
    check_weights(&n, &m, 2.0);
    free(gradient);
    free_memory(&m);
    op_close(&op);
}
END_TEST

START_TEST(frozen_batch_normalization_uses_the_moving_statistics)
{
    op_t op;
    op_open(&op, 1, 1);
    const int64_t rows = 7, columns = 3;
    memory_t m = take_memory(&op, rows, columns, columns, true);
    float *mean = op_random(&op, columns, -1, 1), *variance = op_random(&op, columns, 0.5, 2);
    mb_batchnorm_forward_args_t forward = {.rows = rows,
                                           .valid = rows,
                                           .channels = columns,
                                           .epsilon = 1e-3f,
                                           .x = m.x,
                                           .gamma = m.gamma,
                                           .beta = m.beta,
                                           .moving_mean = mean,
                                           .moving_variance = variance,
                                           .y = m.y,
                                           .mean = m.mean,
                                           .rstd = m.rstd};
    OP_RUN(&op, BATCHNORM_FORWARD, &forward);
    mb_batchnorm_backward_input_args_t input = {.type = MB_F32,
                                                .rows = rows,
                                                .valid = rows,
                                                .channels = columns,
                                                .training = false,
                                                .x = m.x,
                                                .dy = m.dy,
                                                .gamma = m.gamma,
                                                .mean = m.mean,
                                                .rstd = m.rstd,
                                                .dx = m.dx};
    OP_RUN(&op, BATCHNORM_BACKWARD_INPUT, &input);
    for (int64_t i = 0; i < rows * columns; i++) {
        int64_t c = i % columns;
        double rstd = 1.0 / sqrt((double)variance[c] + 1e-3);
        double y = (m.wide_x[i] - (double)mean[c]) * rstd * m.wide_gamma[c] + m.wide_beta[c];
        double dx = (double)m.dy[i] * rstd * m.wide_gamma[c];
        op_near("y", &m.y[i], &y, 1, TOLERANCE, TOLERANCE);
        op_near("dx", &m.dx[i], &dx, 1, TOLERANCE, 0.0);
    }
    free_memory(&m);
    op_close(&op);
}
END_TEST

START_TEST(moving_statistics_follow_the_whole_batch)
{
    op_t op;
    op_open(&op, 1, 1);
    float *mean = op_floats(&op, 2), *variance = op_floats(&op, 2);
    double *sums = op_doubles(&op, 4);
    sums[0] = 6.0, sums[1] = -3.0, sums[2] = 30.0, sums[3] = 27.0;
    variance[0] = variance[1] = 1.0f;
    mb_batchnorm_update_args_t args = {.channels = 2,
                                       .count = 3.0,
                                       .momentum = 0.99,
                                       .sums = sums,
                                       .moving_mean = mean,
                                       .moving_variance = variance};
    OP_RUN(&op, BATCHNORM_UPDATE, &args);
    const double want[] = {0.02, -0.01, 0.99 + 0.01 * 6.0, 0.99 + 0.01 * 8.0};
    op_near("moving mean", mean, want, 2, 4 * OP_EPSILON, 0.0);
    op_near("moving variance", variance, want + 2, 2, 4 * OP_EPSILON, 0.0);
    args.count = 0.0;
    OP_RUN(&op, BATCHNORM_UPDATE, &args);
    op_near("unchanged mean", mean, want, 2, 4 * OP_EPSILON, 0.0);
    op_close(&op);
}
END_TEST

START_TEST(moving_statistics_are_of_what_the_mask_left)
{
    op_t op;
    op_open(&op, 1, 1);
    float *mean = op_floats(&op, 2), *variance = op_floats(&op, 2);
    double *sums = op_doubles(&op, 6);
    sums[0] = 6.0, sums[2] = 30.0, sums[4] = 3.0; /* nothing is left of the second */
    mean[1] = 1.0f;
    variance[0] = variance[1] = 1.0f;
    mb_batchnorm_update_args_t args = {.channels = 2,
                                       .count = 9.0,
                                       .momentum = 0.99,
                                       .sums = sums,
                                       .moving_mean = mean,
                                       .moving_variance = variance,
                                       .masked = true};
    OP_RUN(&op, BATCHNORM_UPDATE, &args);
    /* Keras divides by 1e-7 more than the count: 3e-8 of each. */
    const double want[] = {0.02, 0.99, 0.99 + 0.01 * 6.0, 0.99};
    op_near("moving mean", mean, want, 2, 4 * OP_EPSILON, 1e-9);
    op_near("moving variance", variance, want + 2, 2, 4 * OP_EPSILON, 1e-8);
    op_close(&op);
}
END_TEST

START_TEST(layer_normalization_and_gradients_match_the_truth)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    int64_t rows = op_integer(&op, 1, 9), columns = op_integer(&op, 2, 37);
    bool rms = _i % 2 == 1;
    memory_t m = take_memory(&op, rows, columns, rows, _i % 4 < 2);
    norm_t n = {.rows = rows, .valid = rows, .columns = columns, .rms = rms, .epsilon = 1e-3};
    n.x = m.wide_x;
    n.gamma = m.wide_gamma;
    n.beta = m.wide_beta;
    n.dy = m.dy;
    n.y = m.want;
    mb_layernorm_forward_args_t forward = {.rows = rows,
                                           .columns = columns,
                                           .rms = rms,
                                           .epsilon = 1e-3f,
                                           .x = m.x,
                                           .gamma = m.gamma,
                                           .beta = m.beta,
                                           .y = m.y,
                                           .mean = m.mean,
                                           .rstd = m.rstd};
    OP_RUN(&op, LAYERNORM_FORWARD, &forward);
    normalise(&n, m.wide_x);
    op_near("y", m.y, m.want, rows * columns, TOLERANCE, TOLERANCE);
    mb_layernorm_backward_input_args_t input = {MB_F32, rows,    columns, rms,    m.x,
                                                m.dy,   m.gamma, m.mean,  m.rstd, m.dx};
    OP_RUN(&op, LAYERNORM_BACKWARD_INPUT, &input);
    double *gradient = malloc(sizeof(double) * (size_t)(rows * columns));
    op_differences(of_x, &n, m.wide_x, rows * columns, gradient);
    op_near("dx", m.dx, gradient, rows * columns, TOLERANCE, 2 * TOLERANCE + 1e-7);
    mb_layernorm_backward_weights_args_t weights = {MB_F32, rows,   columns, rms,      false,  m.x,
                                                    m.dy,   m.mean, m.rstd,  m.dgamma, m.dbeta};
    OP_RUN(&op, LAYERNORM_BACKWARD_WEIGHTS, &weights);
    check_weights(&n, &m, 1.0);
    weights.accumulate = true;
    OP_RUN(&op, LAYERNORM_BACKWARD_WEIGHTS, &weights);
    check_weights(&n, &m, 2.0);
    free(gradient);
    free_memory(&m);
    op_close(&op);
}
END_TEST

/* What is written by one operation or by two. */
typedef struct {
    void *sum, *y;
    float *mean, *rstd;
} written_t;

static written_t take_written(op_t *op, int64_t rows, size_t bytes)
{
    return (written_t){op_memory(op, bytes), op_memory(op, bytes), op_floats(op, rows),
                       op_floats(op, rows)};
}

static void put(mb_layernorm_forward_args_t *args, const written_t *written)
{
    args->sum = written->sum;
    args->y = written->y;
    args->mean = written->mean;
    args->rstd = written->rstd;
}

static void *in_type(op_t *op, mb_dtype_t type, int64_t count)
{
    void *elements = op_memory(op, (size_t)count * mb_dtype_bytes(type));
    mb_number_encode(mb_number_of(type), 0, op_random(op, count, -2, 3), count, elements);
    return elements;
}

static void run_in_two(op_t *op, mb_layernorm_forward_args_t args)
{
    mb_add_args_t add = {.type = args.type,
                         .count = args.rows * args.columns,
                         .a = args.x,
                         .b = args.residual,
                         .y = args.sum};
    args.adds = false;
    args.x = args.sum;
    args.residual = args.sum = NULL;
    OP_RUN(op, ADD, &add);
    OP_RUN(op, LAYERNORM_FORWARD, &args);
}

START_TEST(a_normalized_sum_has_the_bits_of_two_operations)
{
    static const mb_dtype_t types[] = {MB_F32, MB_BF16, MB_F16};
    op_t op;
    op_open_emulating(&op, 1 + _i % 4, (uint64_t)_i + 1);
    int64_t rows = op_integer(&op, 1, 700), columns = op_integer(&op, 1, 150);
    mb_layernorm_forward_args_t args = {.type = types[_i % 3],
                                        .rows = rows,
                                        .columns = columns,
                                        .rms = _i / 3 % 2,
                                        .adds = true,
                                        .epsilon = 1e-3f,
                                        .x = in_type(&op, types[_i % 3], rows * columns),
                                        .residual = in_type(&op, types[_i % 3], rows * columns)};
    args.gamma = _i / 6 % 2 ? op_random(&op, columns, 0.5, 1.5) : NULL;
    args.beta = _i / 12 % 2 ? op_random(&op, columns, -1, 1) : NULL;
    size_t bytes = (size_t)(rows * columns) * mb_dtype_bytes(args.type);
    written_t one = take_written(&op, rows, bytes), two = take_written(&op, rows, bytes);
    put(&args, &one);
    OP_RUN(&op, LAYERNORM_FORWARD, &args);
    put(&args, &two);
    run_in_two(&op, args);
    ck_assert_mem_eq(one.sum, two.sum, bytes);
    ck_assert_mem_eq(one.y, two.y, bytes);
    ck_assert_mem_eq(one.mean, two.mean, sizeof(float) * (size_t)rows);
    ck_assert_mem_eq(one.rstd, two.rstd, sizeof(float) * (size_t)rows);
    op_close(&op);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op_norm");
    TCase *t = tcase_create("norm");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, batch_normalization_and_gradients_match_the_truth, 0, 12);
    tcase_add_test(t, frozen_batch_normalization_uses_the_moving_statistics);
    tcase_add_test(t, moving_statistics_follow_the_whole_batch);
    tcase_add_test(t, moving_statistics_are_of_what_the_mask_left);
    tcase_add_loop_test(t, layer_normalization_and_gradients_match_the_truth, 0, 12);
    tcase_add_loop_test(t, a_normalized_sum_has_the_bits_of_two_operations, 0, 24);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
