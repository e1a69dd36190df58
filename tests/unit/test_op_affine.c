/* Images seen through transforms against plain loops in double, the other way round against the
 * same weights, and what random transforms are. */
#include <string.h>
#include "device/affine.h"
#include "support/op_check.h"

/* ---- a slow truth */

/* The value at a whole place. */
static double value_at(const mb_affine_args_t *a, const double *image, int64_t row, int64_t column,
                       int64_t *element)
{
    int64_t place[2] = {row, column};
    *element = -1;
    for (int d = 0; d < 2; d++) {
        int64_t n = a->in[d];
        while (a->outside != MB_OUTSIDE_VALUE && (place[d] < 0 || place[d] >= n)) {
            if (a->outside == MB_OUTSIDE_NEAREST)
                place[d] = place[d] < 0 ? 0 : n - 1;
            else if (a->outside == MB_OUTSIDE_WRAP)
                place[d] += place[d] < 0 ? n : -n;
            else
                place[d] = place[d] < 0 ? -1 - place[d] : 2 * n - 1 - place[d];
        }
        if (place[d] < 0 || place[d] >= n)
            return (double)a->value;
    }
    *element = place[0] * a->in[1] + place[1];
    return image[*element * a->inner];
}

/* One element of a result; WEIGHT gets how much each of the image's goes into it. */
static double seen(const mb_affine_args_t *a, const float *t, const double *image, int64_t y,
                   int64_t x, double *weight)
{
    double row = (double)t[3] * (double)x + (double)t[4] * (double)y + (double)t[5];
    double column = (double)t[0] * (double)x + (double)t[1] * (double)y + (double)t[2], sum = 0.0;
    for (int r = 0; r < 2; r++) {
        for (int c = 0; c < 2; c++) {
            double from_row = a->nearest ? round(row) : floor(row) + r;
            double from_column = a->nearest ? round(column) : floor(column) + c;
            double part =
                fmax(0.0, 1.0 - fabs(row - from_row)) * fmax(0.0, 1.0 - fabs(column - from_column));
            int64_t element;
            if (a->nearest)
                part = r + c == 0 ? 1.0 : 0.0;
            sum += part * value_at(a, image, (int64_t)from_row, (int64_t)from_column, &element);
            if (element >= 0)
                weight[element] += part;
        }
    }
    return sum;
}

static float *transforms(op_t *op, int64_t samples)
{
    float *t = op_floats(op, samples * MB_TRANSFORM);
    for (int64_t i = 0; i < samples * MB_TRANSFORM; i++)
        t[i] = (float)op_uniform(op, -1.5, 1.5) * (i % 3 == 2 ? 6.0f : 1.0f);
    return t;
}

static mb_affine_args_t some_images(op_t *op, int i)
{
    mb_affine_args_t a = {.outside = (mb_outside_t)(i % 4),
                          .nearest = i / 4 % 2 == 0,
                          .value = (float)op_uniform(op, -1, 1),
                          .samples = op_integer(op, 0, 3),
                          .planes = op_integer(op, 1, 3),
                          .in = {op_integer(op, 1, 9), op_integer(op, 1, 9)},
                          .out = {op_integer(op, 1, 9), op_integer(op, 1, 9)},
                          .inner = op_integer(op, 1, 20)};
    a.transforms = transforms(op, a.samples);
    return a;
}

/* Each of WANT's elements is a sum of four products; of GRADIENT's one of every element of the
 * result at most. */
static void check(op_t *op, mb_affine_args_t a)
{
    int64_t in = a.in[0] * a.in[1], out = a.out[0] * a.out[1];
    int64_t images = a.samples * a.planes;
    float *x = op_random(op, images * in * a.inner + 1, -1, 1);
    float *dy = op_random(op, images * out * a.inner + 1, -1, 1);
    float *y = op_floats(op, images * out * a.inner + 1);
    float *dx = op_random(op, images * in * a.inner + 1, 5, 6);
    double *wide = op_widen(x, images * in * a.inner),
           *want = calloc((size_t)(images * out * a.inner + 1), 8);
    double *gradient = calloc((size_t)(images * in * a.inner + 1), 8),
           *weight = calloc((size_t)in, 8);
    for (int64_t i = 0; i < images * out * a.inner; i++) {
        int64_t channel = i % a.inner, pixel = i / a.inner % out, image = i / a.inner / out;
        const float *t = a.transforms + image / a.planes * MB_TRANSFORM;
        memset(weight, 0, (size_t)in * sizeof *weight);
        want[i] = seen(&a, t, wide + image * in * a.inner + channel, pixel / a.out[1],
                       pixel % a.out[1], weight);
        for (int64_t e = 0; e < in; e++)
            gradient[(image * in + e) * a.inner + channel] += weight[e] * (double)dy[i];
    }
    a.x = x;
    a.y = y;
    OP_RUN(op, AFFINE, &a);
    op_near("y", y, want, images * out * a.inner, 0.0, 8 * OP_EPSILON);
    a.transposed = true;
    a.x = dy;
    a.y = dx;
    OP_RUN(op, AFFINE, &a);
    op_near("dx", dx, gradient, images * in * a.inner, 0.0, 4 * op_sum_bound(out));
    free(wide);
    free(want);
    free(gradient);
    free(weight);
}

START_TEST(images_are_seen_through_their_transforms_and_back)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    check(&op, some_images(&op, _i));
    op_close(&op);
}
END_TEST

/* ---- random transforms */

enum { MANY = 4000 };

static mb_draw_args_t draw_of(mb_draw_t draw)
{
    return (mb_draw_args_t){
        .draw = draw,
        .samples = MANY,
        .in = {7, 11},
        .out = {5, 8},
        .low = {-0.25f, 0.5f},
        .high = {0.75f, 1.5f},
        .flips = {true, true},
        .random = {.seed = 3, .purpose = MB_RANDOM_AUGMENT, .step = 4, .node = 5}};
}

/* The means of an element, and of its square, over all samples. */
static void moments(const float *t, int element, int stride, double *mean, double *square)
{
    *mean = *square = 0.0;
    for (int64_t s = 0; s < MANY; s++) {
        double x = (double)t[s * stride + element];
        *mean += x / MANY;
        *square += x * x / MANY;
    }
}

/* A mean of MANY independent numbers of deviation d misses by 5 d / sqrt(MANY) once in two million.
 */
static void expect_uniform(const float *t, int element, int stride, double low, double high)
{
    double mean, square, spread = high - low, sigma = spread / sqrt(12.0 * MANY);
    moments(t, element, stride, &mean, &square);
    ck_assert_msg(fabs(mean - 0.5 * (low + high)) < 5.0 * sigma, "mean %g", mean);
    double variance = square - mean * mean;
    ck_assert_msg(fabs(variance - spread * spread / 12.0) <
                      5.0 * spread * spread / sqrt(180.0 * MANY),
                  "variance %g", variance);
    for (int64_t s = 0; s < MANY; s++) {
        double x = (double)t[s * stride + element];
        ck_assert(x >= low - 1e-6 * spread && x <= high + 1e-6 * spread);
    }
}

static float *drawn(op_t *op, mb_draw_args_t *a)
{
    float *t = op_floats(op, MANY * MB_TRANSFORM);
    a->y = a->transforms = t;
    OP_RUN(op, DRAW, a);
    return t;
}

START_TEST(numbers_shifts_and_zooms_are_uniform)
{
    op_t op;
    op_open(&op, 1, 1);
    mb_draw_args_t number = draw_of(MB_DRAW_NUMBER), shift = draw_of(MB_DRAW_SHIFT),
                   zoom = draw_of(MB_DRAW_ZOOM), tied = draw_of(MB_DRAW_ZOOM);
    expect_uniform(drawn(&op, &number), 0, 1, -0.25, 0.75);
    float *t = drawn(&op, &shift);
    expect_uniform(t, 2, MB_TRANSFORM, -1.5 * 11.0, -0.5 * 11.0);
    expect_uniform(t, 5, MB_TRANSFORM, -0.75 * 7.0, 0.25 * 7.0);
    t = drawn(&op, &zoom);
    expect_uniform(t, 0, MB_TRANSFORM, 0.5, 1.5);
    expect_uniform(t, 4, MB_TRANSFORM, -0.25, 0.75);
    tied.tied = true;
    t = drawn(&op, &tied);
    for (int64_t s = 0; s < MANY; s++) {
        ck_assert(t[s * MB_TRANSFORM] == t[s * MB_TRANSFORM + 4]);
        ck_assert_double_eq_tol((double)t[s * MB_TRANSFORM + 2],
                                5.0 * (1.0 - (double)t[s * MB_TRANSFORM]), 1e-5);
    }
    op_close(&op);
}
END_TEST

START_TEST(turns_keep_the_middle_and_are_uniform)
{
    op_t op;
    op_open(&op, 1, 1);
    mb_draw_args_t turn = draw_of(MB_DRAW_TURN);
    turn.low[0] = -0.2f;
    turn.high[0] = 0.3f;
    float *t = drawn(&op, &turn), *angles = op_floats(&op, MANY);
    for (int64_t s = 0; s < MANY; s++, t += MB_TRANSFORM) {
        angles[s] = (float)(atan2((double)t[3], (double)t[0]) / (2.0 * M_PI));
        ck_assert_double_eq_tol((double)(t[0] * 5.0f + t[1] * 3.0f + t[2]), 5.0, 1e-5);
        ck_assert_double_eq_tol((double)(t[3] * 5.0f + t[4] * 3.0f + t[5]), 3.0, 1e-5);
        ck_assert(t[0] == t[4] && t[1] == -t[3]);
    }
    expect_uniform(angles, 0, 1, -0.2, 0.3);
    op_close(&op);
}
END_TEST

/* Half of them, within 5 deviations of a coin's. */
static void expect_half(int64_t count)
{
    ck_assert_msg(fabs((double)count - MANY / 2.0) < 2.5 * sqrt((double)MANY), "%d", (int)count);
}

START_TEST(flips_are_even_and_tied_only_where_asked)
{
    op_t op;
    op_open(&op, 1, 1);
    for (int tied = 0; tied < 2; tied++) {
        mb_draw_args_t flip = draw_of(MB_DRAW_FLIP);
        int64_t rows = 0, columns = 0, both = 0;
        flip.tied = tied;
        const float *t = drawn(&op, &flip);
        for (int64_t s = 0; s < MANY; s++, t += MB_TRANSFORM) {
            rows += t[4] < 0;
            columns += t[0] < 0;
            both += t[4] < 0 && t[0] < 0;
            ck_assert(t[5] == (t[4] < 0 ? 6.0f : 0.0f) && t[2] == (t[0] < 0 ? 10.0f : 0.0f));
        }
        expect_half(rows);
        expect_half(columns);
        expect_half(tied ? both : 2 * both);
    }
    op_close(&op);
}
END_TEST

START_TEST(windows_are_the_same_for_all_samples_and_reach_every_place)
{
    op_t op;
    op_open(&op, 1, 1);
    int seen_rows = 0, seen_columns = 0;
    mb_draw_args_t window = draw_of(MB_DRAW_WINDOW);
    float *t = drawn(&op, &window);
    for (int64_t s = 1; s < MANY; s++)
        ck_assert(memcmp(t, t + s * MB_TRANSFORM, MB_TRANSFORM * sizeof *t) == 0);
    for (window.random.step = 0; window.random.step < 200; window.random.step++) {
        OP_RUN(&op, DRAW, &window);
        ck_assert(t[5] >= 0 && t[5] <= 2 && t[2] >= 0 && t[2] <= 3);
        seen_rows |= 1 << (int)t[5];
        seen_columns |= 1 << (int)t[2];
    }
    ck_assert_int_eq(seen_rows, 7);
    ck_assert_int_eq(seen_columns, 15);
    op_close(&op);
}
END_TEST

/* What is drawn for a sample depends on its position in the batch, not on where a call begins. */
START_TEST(a_sample_has_its_own_numbers_wherever_a_call_begins)
{
    op_t op;
    op_open(&op, 1, 1);
    mb_draw_args_t all = draw_of(MB_DRAW_TURN), rest = draw_of(MB_DRAW_TURN);
    float *a = drawn(&op, &all);
    rest.samples = MANY - 100;
    rest.random.position = 100;
    float *b = drawn(&op, &rest);
    ck_assert(memcmp(a + 100 * MB_TRANSFORM, b, (MANY - 100) * MB_TRANSFORM * sizeof *a) == 0);
    op_close(&op);
}
END_TEST

START_TEST(images_without_elements_and_windows_that_are_too_large_are_refused)
{
    op_t op;
    op_open(&op, 1, 1);
    mb_affine_args_t affine = {.planes = 1, .in = {0, 1}, .out = {1, 1}, .inner = 1};
    mb_draw_args_t window = draw_of(MB_DRAW_WINDOW);
    window.out[0] = 8;
    ck_assert_int_eq(op_try(&op, MB_OP_AFFINE, &affine, sizeof affine), MB_ERR_INTERNAL);
    ck_assert_int_eq(op_try(&op, MB_OP_DRAW, &window, sizeof window), MB_ERR_INTERNAL);
    op_close(&op);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op_affine");
    TCase *t = tcase_create("affine");
    tcase_add_loop_test(t, images_are_seen_through_their_transforms_and_back, 0, 40);
    tcase_add_test(t, numbers_shifts_and_zooms_are_uniform);
    tcase_add_test(t, turns_keep_the_middle_and_are_uniform);
    tcase_add_test(t, flips_are_even_and_tied_only_where_asked);
    tcase_add_test(t, windows_are_the_same_for_all_samples_and_reach_every_place);
    tcase_add_test(t, a_sample_has_its_own_numbers_wherever_a_call_begins);
    tcase_add_test(t, images_without_elements_and_windows_that_are_too_large_are_refused);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
