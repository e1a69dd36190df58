/* Sums, products, copies, fills, softmax and embedding. */
#include <string.h>
#include "support/op_check.h"

START_TEST(sums_and_products_are_correctly_rounded)
{
    op_t op;
    op_open(&op, 3, 1);
    const int64_t count = 40009;
    float *a = op_random(&op, count, -3, 3), *b = op_random(&op, count, -3, 3);
    float *sum = op_floats(&op, count), *product = op_floats(&op, count);
    double *x = op_doubles(&op, count), *y = op_doubles(&op, count);
    mb_add_args_t add = {MB_F32, count, a, b, sum};
    mb_multiply_args_t multiply = {MB_F32, count, a, b, product};
    for (int64_t i = 0; i < count; i++) {
        x[i] = (double)a[i];
        y[i] = (double)b[i] * 1e-9;
    }
    mb_add_f64_args_t add_f64 = {count, x, y, y};
    OP_RUN(&op, ADD, &add);
    OP_RUN(&op, MULTIPLY, &multiply);
    OP_RUN(&op, ADD_F64, &add_f64);
    for (int64_t i = 0; i < count; i++) {
        ck_assert_float_eq(sum[i], a[i] + b[i]);
        ck_assert_float_eq(product[i], a[i] * b[i]);
        ck_assert_double_eq(y[i], (double)a[i] + (double)b[i] * 1e-9);
    }
    op_close(&op);
}
END_TEST

START_TEST(copied_rows_keep_their_neighbours)
{
    op_t op;
    op_open(&op, 2, 1);
    static const int64_t columns[] = {1, 7, 40000};
    for (int c = 0; c < 3; c++) {
        int64_t rows = 5, from_ld = columns[c] + 3, to_ld = columns[c] + 2;
        float *from = op_random(&op, rows * from_ld, -1, 1);
        float *to = op_random(&op, rows * to_ld, 2, 3);
        mb_copy_rows_args_t args = {MB_F32, rows, columns[c], from_ld, to_ld, from, to};
        OP_RUN(&op, COPY_ROWS, &args);
        for (int64_t i = 0; i < rows; i++) {
            ck_assert_mem_eq(to + i * to_ld, from + i * from_ld, 4 * (size_t)columns[c]);
            ck_assert(to[i * to_ld + columns[c]] >= 2.0f && to[i * to_ld + columns[c] + 1] >= 2.0f);
        }
    }
    op_close(&op);
}
END_TEST

START_TEST(fill_and_zero_write_exactly_their_range)
{
    op_t op;
    op_open(&op, 2, 1);
    const int64_t count = 70001;
    float *y = op_random(&op, count + 1, 1, 2);
    mb_fill_args_t fill = {MB_F32, count, -2.5f, y};
    OP_RUN(&op, FILL, &fill);
    for (int64_t i = 0; i < count; i++)
        ck_assert_float_eq(y[i], -2.5f);
    ck_assert_float_gt(y[count], 0.5f);
    mb_zero_args_t zero = {4 * count, y};
    OP_RUN(&op, ZERO, &zero);
    for (int64_t i = 0; i < count; i++)
        ck_assert_float_eq(y[i], 0.0f);
    ck_assert_float_gt(y[count], 0.5f);
    op_close(&op);
}
END_TEST

/* exp errs by 6 eps, the sum is in double, and the division rounds once. */
START_TEST(softmax_and_its_gradient_match_the_truth)
{
    static const int64_t columns[] = {1, 3, 10, 17, 65, 1009};
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    int64_t n = columns[_i], rows = 37;
    float *x = op_random(&op, rows * n, -20, 20), *y = op_floats(&op, rows * n);
    float *dy = op_random(&op, rows * n, -1, 1), *dx = op_floats(&op, rows * n);
    mb_softmax_forward_args_t forward = {MB_F32, rows, n, x, y, false};
    mb_softmax_backward_args_t backward = {MB_F32, rows, n, y, dy, dx, false};
    OP_RUN(&op, SOFTMAX_FORWARD, &forward);
    OP_RUN(&op, SOFTMAX_BACKWARD, &backward);
    double *p = calloc((size_t)n, sizeof(double));
    for (int64_t i = 0; i < rows; i++) {
        double largest = -INFINITY, sum = 0.0, dot = 0.0;
        for (int64_t j = 0; j < n; j++)
            largest = fmax(largest, (double)x[i * n + j]);
        for (int64_t j = 0; j < n; j++)
            sum += p[j] = exp((double)x[i * n + j] - largest);
        for (int64_t j = 0; j < n; j++) {
            p[j] /= sum;
            dot += p[j] * (double)dy[i * n + j];
        }
        /* x - largest rounds by eps times up to 40 */
        op_near("softmax", y + i * n, p, n, 60 * OP_EPSILON, 1e-37);
        for (int64_t j = 0; j < n; j++)
            p[j] *= (double)dy[i * n + j] - dot;
        op_near("softmax gradient", dx + i * n, p, n, 100 * OP_EPSILON, 100 * OP_EPSILON);
    }
    free(p);
    op_close(&op);
}
END_TEST

/* x - largest, of up to 40, and the logarithm are rounded, and their difference is; its exp errs by
 * that and 6 eps, times a sum of N numbers up to 1. */
START_TEST(the_logarithm_of_softmax_and_its_gradient_match_the_truth)
{
    static const int64_t columns[] = {1, 3, 10, 17, 65, 1009};
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    int64_t n = columns[_i], rows = 37;
    float *x = op_random(&op, rows * n, -20, 20), *y = op_floats(&op, rows * n);
    float *dy = op_random(&op, rows * n, -1, 1), *dx = op_floats(&op, rows * n);
    mb_softmax_forward_args_t forward = {MB_F32, rows, n, x, y, true};
    mb_softmax_backward_args_t backward = {MB_F32, rows, n, y, dy, dx, true};
    OP_RUN(&op, SOFTMAX_FORWARD, &forward);
    OP_RUN(&op, SOFTMAX_BACKWARD, &backward);
    for (int64_t i = 0; i < rows; i++) {
        double largest = -INFINITY, sum = 0.0, total = 0.0;
        for (int64_t j = i * n; j < i * n + n; j++)
            largest = fmax(largest, (double)x[j]);
        for (int64_t j = i * n; j < i * n + n; j++) {
            sum += exp((double)x[j] - largest);
            total += (double)dy[j];
        }
        for (int64_t j = i * n; j < i * n + n; j++) {
            double want = (double)x[j] - largest - log(sum), p = exp(want);
            op_near("logarithm", &y[j], &want, 1, 2 * OP_EPSILON, 60 * OP_EPSILON);
            want = (double)dy[j] - p * total;
            op_near("its gradient", &dx[j], &want, 1, 2 * OP_EPSILON,
                    120 * OP_EPSILON * p * fabs(total) + 4 * OP_EPSILON);
        }
    }
    op_close(&op);
}
END_TEST

START_TEST(embedding_takes_rows_and_adds_gradients_in_order)
{
    op_t op;
    op_open(&op, 2, 1);
    const int64_t count = 301;
    const int32_t vocabulary = 23;
    for (int64_t width = 1; width < 200; width += 66) {
        int32_t *ids = op_labels(&op, count, vocabulary);
        float *table = op_random(&op, vocabulary * width, -1, 1);
        float *y = op_floats(&op, count * width), *dy = op_random(&op, count * width, -1, 1);
        float *dtable = op_random(&op, vocabulary * width, -1, 1);
        float *want = op_floats(&op, vocabulary * width);
        mb_embedding_forward_args_t forward = {MB_F32, count, vocabulary, width, ids, table, y};
        mb_embedding_backward_args_t backward = {MB_F32, count, vocabulary, width,
                                                 false,  ids,   dy,         dtable};
        OP_RUN(&op, EMBEDDING_FORWARD, &forward);
        for (int64_t i = 0; i < count; i++)
            ck_assert_mem_eq(y + i * width, table + ids[i] * width, 4 * (size_t)width);
        for (int twice = 0; twice < 2; twice++) {
            backward.accumulate = twice == 1;
            OP_RUN(&op, EMBEDDING_BACKWARD, &backward);
            for (int64_t i = 0; i < count; i++)
                for (int64_t j = 0; j < width; j++)
                    want[ids[i] * width + j] += dy[i * width + j];
            ck_assert_mem_eq(dtable, want, 4 * (size_t)(vocabulary * width));
        }
    }
    op_close(&op);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op_elementwise");
    TCase *t = tcase_create("elementwise");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, sums_and_products_are_correctly_rounded);
    tcase_add_test(t, copied_rows_keep_their_neighbours);
    tcase_add_test(t, fill_and_zero_write_exactly_their_range);
    tcase_add_loop_test(t, softmax_and_its_gradient_match_the_truth, 0, 6);
    tcase_add_loop_test(t, the_logarithm_of_softmax_and_its_gradient_match_the_truth, 0, 6);
    tcase_add_test(t, embedding_takes_rows_and_adds_gradients_in_order);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
