/* What convolution, pooling and batch normalization take along has the bits of operations of its
 * own: activations, slopes of relus, sums. */
#include <string.h>
#include "support/op_check.h"

static void same(const char *what, const void *got, const void *want, int64_t floats)
{
    ck_assert_msg(memcmp(got, want, sizeof(float) * (size_t)floats) == 0, "%s differs", what);
}

static mb_window_t window_of(op_t *op, int64_t in, int64_t out)
{
    int64_t size = op_integer(op, 5, 9);
    return (mb_window_t){.samples = op_integer(op, 1, 40),
                         .channels_in = in,
                         .channels_out = out,
                         .groups = 1,
                         .in = {size, size},
                         .out = {size, size},
                         .kernel = {3, 3},
                         .stride = {1, 1},
                         .dilation = {1, 1},
                         .pad_before = {1, 1},
                         .pad_after = {1, 1}};
}

static int64_t count_in(const mb_window_t *w)
{
    return w->samples * mb_window_in(w) * w->channels_in;
}

static int64_t count_out(const mb_window_t *w)
{
    return w->samples * mb_window_out(w) * w->channels_out;
}

START_TEST(convolution_takes_activations_along)
{
    op_t op;
    op_open(&op, 3, (uint64_t)_i + 1);
    mb_window_t w = window_of(&op, op_integer(&op, 1, 20), op_integer(&op, 1, 20));
    int64_t n = count_out(&w);
    bool keeps = _i % 2 == 1;
    mb_conv_forward_args_t conv = {.window = w,
                                   .x = op_random(&op, count_in(&w), -1, 1),
                                   .w = op_random(&op, 9 * w.channels_in * w.channels_out, -1, 1),
                                   .bias = op_random(&op, w.channels_out, -1, 1),
                                   .y = op_floats(&op, n)};
    mb_conv_forward_args_t with = conv;
    with.y = op_floats(&op, n);
    with.act.act = keeps ? MB_ACT_GELU : MB_ACT_RELU;
    with.pre = keeps ? op_floats(&op, n) : NULL;
    mb_act_forward_args_t act = {
        .count = n, .act = with.act.act, .x = conv.y, .y = op_floats(&op, n)};
    OP_RUN(&op, CONV_FORWARD, &conv);
    OP_RUN(&op, ACT_FORWARD, &act);
    OP_RUN(&op, CONV_FORWARD, &with);
    same("y", with.y, act.y, n);
    if (keeps)
        same("what act is applied to", with.pre, conv.y, n);
    op_close(&op);
}
END_TEST

/* A relu's output, with its zeros. */
static float *relu_of(op_t *op, int64_t count)
{
    float *x = op_random(op, count, -1, 1);
    for (int64_t i = 0; i < count; i++)
        x[i] = x[i] > 0.0f ? x[i] : 0.0f;
    return x;
}

static float *cut(op_t *op, int64_t count, const float *x, const float *gradient)
{
    mb_act_backward_args_t back = {
        .count = count, .act = MB_ACT_RELU, .y = x, .dy = gradient, .dx = op_floats(op, count)};
    OP_RUN(op, ACT_BACKWARD, &back);
    return back.dx;
}

START_TEST(gradients_of_convolutions_and_pooling_are_cut)
{
    op_t op;
    op_open(&op, 3, (uint64_t)_i + 1);
    mb_window_t w = window_of(&op, op_integer(&op, 1, 20), op_integer(&op, 1, 20));
    int64_t n = count_in(&w);
    float *x = relu_of(&op, n), *dy = op_random(&op, count_out(&w), -1, 1);
    mb_conv_backward_input_args_t conv = {
        .window = w,
        .dy = dy,
        .w = op_random(&op, 9 * w.channels_in * w.channels_out, -1, 1),
        .dx = op_floats(&op, n)};
    OP_RUN(&op, CONV_BACKWARD_INPUT, &conv);
    const float *want = cut(&op, n, x, conv.dx);
    conv.cut = x;
    OP_RUN(&op, CONV_BACKWARD_INPUT, &conv);
    same("dx of a convolution", conv.dx, want, n);
    w.channels_out = w.channels_in;
    float *y = op_floats(&op, n);
    dy = op_random(&op, n, -1, 1);
    mb_pool_forward_args_t forward = {.window = w, .x = x, .y = y};
    mb_pool_backward_args_t pool = {.window = w, .x = x, .y = y, .dy = dy, .dx = op_floats(&op, n)};
    OP_RUN(&op, POOL_FORWARD, &forward);
    OP_RUN(&op, POOL_BACKWARD, &pool);
    want = cut(&op, n, x, pool.dx);
    pool.cuts = true;
    OP_RUN(&op, POOL_BACKWARD, &pool);
    for (int64_t i = 0; i < n; i++)
        ck_assert_float_eq(((float *)pool.dx)[i], want[i]);
    op_close(&op);
}
END_TEST

START_TEST(batch_normalization_takes_a_sum_and_a_relu_along)
{
    op_t op;
    op_open(&op, 3, (uint64_t)_i + 1);
    int64_t rows = op_integer(&op, 1, 3000), channels = op_integer(&op, 1, 40);
    int64_t n = rows * channels;
    bool adds = _i & 1, cuts = _i & 2;
    mb_batchnorm_forward_args_t norm = {.rows = rows,
                                        .valid = rows,
                                        .channels = channels,
                                        .training = (_i & 4) == 0,
                                        .epsilon = 1e-3f,
                                        .x = op_random(&op, n, -1, 1),
                                        .gamma = op_random(&op, channels, -1, 1),
                                        .beta = _i & 8 ? NULL : op_random(&op, channels, -1, 1),
                                        .moving_mean = op_random(&op, channels, -1, 1),
                                        .moving_variance = op_random(&op, channels, 0.5, 1),
                                        .y = op_floats(&op, n),
                                        .mean = op_floats(&op, channels),
                                        .rstd = op_floats(&op, channels)};
    mb_batchnorm_forward_args_t with = norm;
    mb_add_args_t add = {MB_F32, n, norm.y, op_random(&op, n, -1, 1), norm.y};
    mb_act_forward_args_t act = {.count = n, .act = MB_ACT_RELU, .x = norm.y, .y = norm.y};
    with.y = op_floats(&op, n);
    with.residual = adds ? add.b : NULL;
    with.act = cuts ? MB_ACT_RELU : MB_ACT_LINEAR;
    OP_RUN(&op, BATCHNORM_FORWARD, &norm);
    if (adds)
        OP_RUN(&op, ADD, &add);
    if (cuts)
        OP_RUN(&op, ACT_FORWARD, &act);
    OP_RUN(&op, BATCHNORM_FORWARD, &with);
    same("y", with.y, norm.y, n);
    op_close(&op);
}
END_TEST

START_TEST(sums_of_backward_are_carried_to_the_weights)
{
    op_t op;
    op_open(&op, 3, (uint64_t)_i + 1);
    int64_t rows = op_integer(&op, 1, 3000), channels = op_integer(&op, 1, 40);
    mb_batchnorm_backward_input_args_t input = {.rows = rows,
                                                .valid = rows,
                                                .channels = channels,
                                                .training = true,
                                                .x = op_random(&op, rows * channels, -1, 1),
                                                .dy = op_random(&op, rows * channels, -1, 1),
                                                .mean = op_random(&op, channels, -1, 1),
                                                .rstd = op_random(&op, channels, 1, 2),
                                                .sums = op_doubles(&op, 2 * channels)};
    mb_batchnorm_backward_weights_args_t apart = {.rows = rows,
                                                  .valid = rows,
                                                  .channels = channels,
                                                  .x = input.x,
                                                  .dy = input.dy,
                                                  .mean = input.mean,
                                                  .rstd = input.rstd,
                                                  .dgamma = op_floats(&op, channels),
                                                  .dbeta = op_floats(&op, channels)};
    mb_batchnorm_backward_weights_args_t carried = apart;
    carried.sums = input.sums;
    carried.dgamma = op_floats(&op, channels);
    carried.dbeta = op_floats(&op, channels);
    OP_RUN(&op, BATCHNORM_BACKWARD_WEIGHTS, &apart);
    OP_RUN(&op, BATCHNORM_BACKWARD_INPUT, &input);
    OP_RUN(&op, BATCHNORM_BACKWARD_WEIGHTS, &carried);
    same("dgamma", carried.dgamma, apart.dgamma, channels);
    same("dbeta", carried.dbeta, apart.dbeta, channels);
    op_close(&op);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op_along");
    TCase *t = tcase_create("along");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, convolution_takes_activations_along, 0, 12);
    tcase_add_loop_test(t, gradients_of_convolutions_and_pooling_are_cut, 0, 12);
    tcase_add_loop_test(t, batch_normalization_takes_a_sum_and_a_relu_along, 0, 16);
    tcase_add_loop_test(t, sums_of_backward_are_carried_to_the_weights, 0, 8);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
