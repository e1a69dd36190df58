/* Pooling against plain loops, and its gradients against finite differences. */
#include <string.h>
#include "support/op_check.h"

static mb_window_t random_window(op_t *op)
{
    mb_window_t w = {.samples = op_integer(op, 1, 3), .groups = 1};
    w.channels_in = w.channels_out = op_integer(op, 1, 3) * op_integer(op, 1, 30);
    for (int i = 0; i < 2; i++) {
        w.kernel[i] = op_integer(op, 1, 3);
        w.stride[i] = op_integer(op, 1, 3);
        w.dilation[i] = 1;
        w.pad_before[i] = op_integer(op, 0, w.kernel[i] - 1);
        w.pad_after[i] = op_integer(op, 0, w.kernel[i] - 1);
        w.in[i] = op_integer(op, 4, 7);
        w.out[i] = (w.in[i] + w.pad_before[i] + w.pad_after[i] - w.kernel[i]) / w.stride[i] + 1;
    }
    return w;
}

/* Windows that tile the image, as nearly all models have them. */
static mb_window_t tiling_window(op_t *op)
{
    mb_window_t w = random_window(op);
    for (int i = 0; i < 2; i++) {
        w.stride[i] = w.kernel[i];
        w.pad_before[i] = w.pad_after[i] = 0;
        w.out[i] = op_integer(op, 1, 3);
        w.in[i] = w.out[i] * w.stride[i];
    }
    return w;
}

static double pool_one(const mb_window_t *w, bool average, const double *image, int64_t oh,
                       int64_t ow, int64_t c)
{
    double sum = 0.0, largest = -INFINITY;
    int64_t n = 0;
    for (int64_t kh = 0; kh < w->kernel[0]; kh++) {
        for (int64_t kw = 0; kw < w->kernel[1]; kw++) {
            int64_t ih = oh * w->stride[0] - w->pad_before[0] + kh;
            int64_t iw = ow * w->stride[1] - w->pad_before[1] + kw;
            if (ih < 0 || ih >= w->in[0] || iw < 0 || iw >= w->in[1])
                continue;
            double value = image[(ih * w->in[1] + iw) * w->channels_in + c];
            sum += value;
            largest = value > largest ? value : largest;
            n++;
        }
    }
    return average ? sum / (double)n : largest;
}

static void pool(const mb_window_t *w, bool average, const double *x, double *y)
{
    int64_t at = 0;
    for (int64_t s = 0; s < w->samples; s++)
        for (int64_t oh = 0; oh < w->out[0]; oh++)
            for (int64_t ow = 0; ow < w->out[1]; ow++)
                for (int64_t c = 0; c < w->channels_in; c++)
                    y[at++] = pool_one(w, average, x + s * w->in[0] * w->in[1] * w->channels_in, oh,
                                       ow, c);
}

/* A quantity to differentiate: sum of dy y(x). */
typedef struct {
    mb_window_t w;
    bool average;
    int64_t n_y;
    const float *dy;
    double *y;
} context_t;

static double objective(const double *x, void *context)
{
    context_t *c = context;
    double sum = 0.0;
    pool(&c->w, c->average, x, c->y);
    for (int64_t i = 0; i < c->n_y; i++)
        sum += (double)c->dy[i] * c->y[i];
    return sum;
}

static void check_window(op_t *op, bool average, bool tiling)
{
    context_t c = {.w = tiling ? tiling_window(op) : random_window(op), .average = average};
    int64_t n_x = c.w.samples * c.w.in[0] * c.w.in[1] * c.w.channels_in;
    c.n_y = c.w.samples * c.w.out[0] * c.w.out[1] * c.w.channels_in;
    c.y = malloc(sizeof(double) * (size_t)c.n_y);
    double *gradient = malloc(sizeof(double) * (size_t)n_x);
    float *x = op_random(op, n_x, -1, 1), *y = op_floats(op, c.n_y);
    float *dx = op_random(op, n_x, -1, 1);
    c.dy = op_random(op, c.n_y, -1, 1);
    double *wide = op_widen(x, n_x);
    mb_pool_forward_args_t forward = {MB_F32, c.w, average, x, y};
    OP_RUN(op, POOL_FORWARD, &forward);
    pool(&c.w, average, wide, c.y);
    op_near("pool", y, c.y, c.n_y, 2 * OP_EPSILON, average ? op_sum_bound(9) : 0.0);
    mb_pool_backward_args_t backward = {MB_F32, c.w, average, x, y, c.dy, dx, false};
    OP_RUN(op, POOL_BACKWARD, &backward);
    op_differences(objective, &c, wide, n_x, gradient);
    op_near("pool gradient", dx, gradient, n_x, 2 * OP_EPSILON, op_sum_bound(9) + 1e-7);
    free(c.y);
    free(gradient);
    free(wide);
}

START_TEST(pooling_and_its_gradient_match_the_truth)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    check_window(&op, _i % 2 == 1, _i % 4 >= 2);
    op_close(&op);
}
END_TEST

START_TEST(equal_largest_values_give_the_gradient_to_the_first)
{
    op_t op;
    op_open(&op, 1, 1);
    float *x = op_floats(&op, 4), *y = op_floats(&op, 1), *dy = op_floats(&op, 1);
    float *dx = op_floats(&op, 4);
    dy[0] = 3.0f;
    mb_window_t w = {1, 1, 1, 1, {2, 2}, {1, 1}, {2, 2}, {2, 2}, {1, 1}, {0, 0}, {0, 0}, {0}};
    mb_pool_backward_args_t args = {MB_F32, w, false, x, y, dy, dx, false};
    OP_RUN(&op, POOL_BACKWARD, &args);
    ck_assert_float_eq(dx[0], 3.0f);
    ck_assert_float_eq(dx[1] + dx[2] + dx[3], 0.0f);
    op_close(&op);
}
END_TEST

START_TEST(global_pooling_and_its_gradient_match_the_truth)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    bool average = _i % 2 == 1;
    int64_t samples = op_integer(&op, 1, 9), positions = op_integer(&op, 1, 60);
    int64_t channels = op_integer(&op, 1, 200), rows = samples * channels;
    float *x = op_random(&op, rows * positions, -1, 1), *y = op_floats(&op, rows);
    float *dy = op_random(&op, rows, -1, 1), *dx = op_floats(&op, rows * positions);
    /* ties share the gradient */
    for (int64_t i = 0; i < rows * positions; i++)
        x[i] = floorf(x[i] * 8.0f);
    mb_global_pool_forward_args_t forward = {MB_F32, samples, positions, channels, average, x, y};
    mb_global_pool_backward_args_t backward = {MB_F32, samples, positions, channels, average,
                                               x,      y,       dy,        dx};
    OP_RUN(&op, GLOBAL_POOL_FORWARD, &forward);
    OP_RUN(&op, GLOBAL_POOL_BACKWARD, &backward);
    for (int64_t row = 0; row < rows; row++) {
        const float *first = x + row / channels * positions * channels + row % channels;
        const float *gradient = dx + (first - x);
        double sum = 0.0, largest = -INFINITY, ties = 0.0;
        for (int64_t p = 0; p < positions; p++) {
            double value = (double)first[p * channels];
            sum += value;
            ties = value > largest ? 1.0 : ties + (value == largest ? 1.0 : 0.0);
            largest = fmax(largest, value);
        }
        double want = average ? sum / (double)positions : largest;
        op_near("global pool", &y[row], &want, 1, 2 * OP_EPSILON, 0.0);
        for (int64_t p = 0; p < positions; p++) {
            double share = average                                  ? 1.0 / (double)positions
                           : (double)first[p * channels] == largest ? 1.0 / ties
                                                                    : 0.0;
            want = (double)dy[row] * share;
            op_near("global pool gradient", &gradient[p * channels], &want, 1, 2 * OP_EPSILON, 0.0);
        }
    }
    op_close(&op);
}
END_TEST

/* Row I of the input takes what region J gives it. */
static double region_share(const float *column, int64_t inner, int64_t begin, int64_t end,
                           bool average, int64_t i)
{
    if (average)
        return 1.0 / (double)(end - begin);
    int64_t first = begin;
    for (int64_t k = begin; k < end; k++)
        if (column[k * inner] > column[first * inner])
            first = k;
    return i == first ? 1.0 : 0.0;
}

static void check_regions(const mb_region_pool_backward_args_t *a)
{
    int64_t columns = a->outer * a->inner;
    for (int64_t at = 0; at < columns; at++) {
        int64_t x_at = at / a->inner * a->in * a->inner + at % a->inner;
        int64_t y_at = at / a->inner * a->out * a->inner + at % a->inner;
        const float *x = (const float *)a->x + x_at, *y = (const float *)a->y + y_at;
        const float *dy = (const float *)a->dy + y_at, *dx = (const float *)a->dx + x_at;
        double *want = calloc((size_t)a->in, sizeof(double));
        for (int64_t j = 0; j < a->out; j++) {
            int64_t begin = j * a->in / a->out, end = ((j + 1) * a->in + a->out - 1) / a->out;
            double sum = 0.0, largest = -INFINITY;
            for (int64_t i = begin; i < end; i++) {
                sum += (double)x[i * a->inner];
                largest = fmax(largest, (double)x[i * a->inner]);
                want[i] +=
                    (double)dy[j * a->inner] * region_share(x, a->inner, begin, end, a->average, i);
            }
            double value = a->average ? sum / (double)(end - begin) : largest;
            op_near("region", &y[j * a->inner], &value, 1, 2 * OP_EPSILON,
                    a->average ? op_sum_bound(end - begin) : 0.0);
        }
        for (int64_t i = 0; i < a->in; i++)
            op_near("region gradient", &dx[i * a->inner], &want[i], 1, 2 * OP_EPSILON,
                    op_sum_bound(2 + a->out / a->in));
        free(want);
    }
}

/* Fewer regions than rows, as many, and more; numbers that are often equal. */
START_TEST(regions_and_their_gradient_match_the_truth)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    mb_region_pool_backward_args_t a = {.outer = op_integer(&op, 1, 4),
                                        .in = op_integer(&op, 1, 20),
                                        .out = op_integer(&op, 1, 24),
                                        .inner = op_integer(&op, 1, 90),
                                        .average = _i % 2 == 1};
    int64_t n_x = a.outer * a.in * a.inner, n_y = a.outer * a.out * a.inner;
    float *x = op_random(&op, n_x, -1, 1), *y = op_floats(&op, n_y);
    for (int64_t i = 0; i < n_x; i++)
        x[i] = floorf(x[i] * 4.0f);
    a.x = x;
    a.y = y;
    a.dy = op_random(&op, n_y, -1, 1);
    a.dx = op_random(&op, n_x, -1, 1);
    mb_region_pool_forward_args_t forward = {.outer = a.outer,
                                             .in = a.in,
                                             .out = a.out,
                                             .inner = a.inner,
                                             .average = a.average,
                                             .x = x,
                                             .y = y};
    OP_RUN(&op, REGION_POOL_FORWARD, &forward);
    OP_RUN(&op, REGION_POOL_BACKWARD, &a);
    check_regions(&a);
    op_close(&op);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op_pool");
    TCase *t = tcase_create("pool");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, pooling_and_its_gradient_match_the_truth, 0, 24);
    tcase_add_test(t, equal_largest_values_give_the_gradient_to_the_first);
    tcase_add_loop_test(t, global_pooling_and_its_gradient_match_the_truth, 0, 8);
    tcase_add_loop_test(t, regions_and_their_gradient_match_the_truth, 0, 30);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
