/* Convolution and its gradients against one plain loop nest in double. */
#include <string.h>
#include "support/op_check.h"

static int64_t count_x(const mb_window_t *w)
{
    return w->samples * mb_window_in(w) * w->channels_in;
}
static int64_t count_y(const mb_window_t *w)
{
    return w->samples * mb_window_out(w) * w->channels_out;
}
static int64_t count_w(const mb_window_t *w)
{
    return mb_window_taps(w) * w->channels_in / w->groups * w->channels_out;
}

/* Every product x[i] w[j] that y[k] sums. */
typedef void (*visit_t)(void *context, int64_t i, int64_t j, int64_t k);

/* The depth that images have too. */
static mb_window_axis_t depth_of(const mb_window_t *w)
{
    return mb_window_is_volume(w) ? w->depth : (mb_window_axis_t){1, 1, 1, 1, 1, 0, 0};
}

/* Of output position (od, oh, ow), all that plane ID gives through plane KD of the kernel. */
static void visit_plane(const mb_window_t *w, const int64_t at[4], int64_t kd, int64_t id,
                        int64_t co, visit_t visit, void *context)
{
    int64_t ci_group = w->channels_in / w->groups, co_group = w->channels_out / w->groups;
    int64_t depth_in = depth_of(w).in, depth_out = depth_of(w).out;
    int64_t y = ((at[0] * depth_out + at[1]) * w->out[0] + at[2]) * w->out[1] + at[3];
    for (int64_t kh = 0; kh < w->kernel[0]; kh++) {
        for (int64_t kw = 0; kw < w->kernel[1]; kw++) {
            int64_t ih = at[2] * w->stride[0] - w->pad_before[0] + kh * w->dilation[0];
            int64_t iw = at[3] * w->stride[1] - w->pad_before[1] + kw * w->dilation[1];
            if (ih < 0 || ih >= w->in[0] || iw < 0 || iw >= w->in[1])
                continue;
            int64_t x = ((at[0] * depth_in + id) * w->in[0] + ih) * w->in[1] + iw;
            int64_t tap = (kd * w->kernel[0] + kh) * w->kernel[1] + kw;
            for (int64_t c = 0; c < ci_group; c++)
                visit(context, x * w->channels_in + co / co_group * ci_group + c,
                      (tap * ci_group + c) * w->channels_out + co, y * w->channels_out + co);
        }
    }
}

static void visit_window(const mb_window_t *w, const int64_t at[4], int64_t co, visit_t visit,
                         void *context)
{
    mb_window_axis_t depth = depth_of(w);
    for (int64_t kd = 0; kd < depth.kernel; kd++) {
        int64_t id = at[1] * depth.stride - depth.pad_before + kd * depth.dilation;
        if (id >= 0 && id < depth.in)
            visit_plane(w, at, kd, id, co, visit, context);
    }
}

static void visit_all(const mb_window_t *w, visit_t visit, void *context)
{
    int64_t at[4], positions = w->samples * mb_window_out(w);
    for (int64_t p = 0; p < positions; p++) {
        at[3] = p % w->out[1];
        at[2] = p / w->out[1] % w->out[0];
        at[1] = p / (w->out[0] * w->out[1]) % depth_of(w).out;
        at[0] = p / mb_window_out(w);
        for (int64_t co = 0; co < w->channels_out; co++)
            visit_window(w, at, co, visit, context);
    }
}

typedef struct {
    const float *x, *w, *dy;
    double *y, *dx, *dw;
} truth_t;

static void add_products(void *context, int64_t i, int64_t j, int64_t k)
{
    truth_t *t = context;
    t->y[k] += (double)t->x[i] * (double)t->w[j];
    t->dx[i] += (double)t->dy[k] * (double)t->w[j];
    t->dw[j] += (double)t->dy[k] * (double)t->x[i];
}

static int64_t size_out(int64_t in, int64_t kernel, int64_t stride, int64_t dilation, int64_t pads)
{
    return (in + pads - ((kernel - 1) * dilation + 1)) / stride + 1;
}

static mb_window_t random_window(op_t *op)
{
    static const int64_t channels[] = {1, 3, 7, 16, 17, 32};
    mb_window_t w = {.samples = op_integer(op, 1, 19), .groups = 1};
    w.channels_in = channels[op_integer(op, 0, 5)];
    w.channels_out = channels[op_integer(op, 0, 5)];
    if (op_integer(op, 0, 4) == 0) {
        w.groups = op_integer(op, 2, 3);
        w.channels_in *= w.groups;
        w.channels_out *= w.groups;
    }
    bool flat = op_integer(op, 0, 3) == 0; /* one-dimensional */
    for (int i = 0; i < 2; i++) {
        bool unit = flat && i == 0;
        w.kernel[i] = unit ? 1 : op_integer(op, 1, 4);
        w.stride[i] = unit ? 1 : op_integer(op, 1, 3);
        w.dilation[i] = unit ? 1 : op_integer(op, 1, 2);
        w.pad_before[i] = unit ? 0 : op_integer(op, 0, w.kernel[i] - 1);
        w.pad_after[i] = unit ? 0 : op_integer(op, 0, w.kernel[i] - 1);
        w.in[i] = unit ? 1 : op_integer(op, 7, 13);
        w.out[i] = size_out(w.in[i], w.kernel[i], w.stride[i], w.dilation[i],
                            w.pad_before[i] + w.pad_after[i]);
    }
    return w;
}

static mb_window_t random_volume(op_t *op)
{
    mb_window_t w = random_window(op);
    mb_window_axis_t *d = &w.depth;
    w.samples = op_integer(op, 1, 3);
    d->kernel = op_integer(op, 1, 3);
    d->stride = op_integer(op, 1, 3);
    d->dilation = op_integer(op, 1, 2);
    d->pad_before = op_integer(op, 0, d->kernel - 1);
    d->pad_after = op_integer(op, 0, d->kernel - 1);
    d->in = op_integer(op, 5, 7);
    d->out = size_out(d->in, d->kernel, d->stride, d->dilation, d->pad_before + d->pad_after);
    return w;
}

static void run_forward(op_t *op, const mb_window_t *w, const truth_t *t)
{
    float *bias = op_random(op, w->channels_out, -1, 1), *y = op_floats(op, count_y(w));
    int64_t sum = mb_window_taps(w) * w->channels_in / w->groups;
    mb_conv_forward_args_t args = {MB_F32, *w, t->x, t->w, NULL, y, {0}, NULL};
    OP_RUN(op, CONV_FORWARD, &args);
    op_near("y", y, t->y, count_y(w), 2 * OP_EPSILON, op_sum_bound(sum));
    args.bias = bias;
    OP_RUN(op, CONV_FORWARD, &args);
    for (int64_t i = 0; i < count_y(w); i++)
        t->y[i] += (double)bias[i % w->channels_out];
    op_near("y with bias", y, t->y, count_y(w), 2 * OP_EPSILON, op_sum_bound(sum + 1));
}

static void run_backward_input(op_t *op, const mb_window_t *w, const truth_t *t, float *dx)
{
    const float *bias = op_random(op, w->channels_in, -1, 1);
    int64_t sum = mb_window_taps(w) * w->channels_out;
    mb_conv_backward_input_args_t args = {MB_F32, *w, t->dy, t->w, dx, NULL, NULL};
    OP_RUN(op, CONV_BACKWARD_INPUT, &args);
    op_near("dx", dx, t->dx, count_x(w), 2 * OP_EPSILON, op_sum_bound(sum));
    args.bias = bias;
    OP_RUN(op, CONV_BACKWARD_INPUT, &args);
    for (int64_t i = 0; i < count_x(w); i++)
        t->dx[i] += (double)bias[i % w->channels_in];
    op_near("dx with bias", dx, t->dx, count_x(w), 2 * OP_EPSILON, op_sum_bound(sum + 1));
}

static void run_backward(op_t *op, const mb_window_t *w, truth_t *t)
{
    float *dx = op_random(op, count_x(w), -1, 1), *dw = op_random(op, count_w(w), -1, 1);
    float *dbias = op_random(op, w->channels_out, -1, 1);
    int64_t positions = w->samples * mb_window_out(w);
    run_backward_input(op, w, t, dx);
    mb_conv_backward_weights_args_t weights = {MB_F32, *w, false, t->x, t->dy, dw, dbias};
    OP_RUN(op, CONV_BACKWARD_WEIGHTS, &weights);
    op_near("dw", dw, t->dw, count_w(w), 2 * OP_EPSILON, op_sum_bound(positions));
    double *db = calloc((size_t)w->channels_out, sizeof(double));
    for (int64_t i = 0; i < count_y(w); i++)
        db[i % w->channels_out] += (double)t->dy[i];
    op_near("dbias", dbias, db, w->channels_out, 2 * OP_EPSILON, 1e-12);
    weights.accumulate = true;
    OP_RUN(op, CONV_BACKWARD_WEIGHTS, &weights);
    for (int64_t i = 0; i < count_w(w); i++)
        t->dw[i] *= 2;
    for (int64_t i = 0; i < w->channels_out; i++)
        db[i] *= 2;
    op_near("dw twice", dw, t->dw, count_w(w), 4 * OP_EPSILON, 3 * op_sum_bound(positions));
    op_near("dbias twice", dbias, db, w->channels_out, 4 * OP_EPSILON, 1e-11);
    free(db);
}

static void check_window(op_t *op, mb_window_t w)
{
    truth_t t = {.x = op_random(op, count_x(&w), -1, 1),
                 .w = op_random(op, count_w(&w), -1, 1),
                 .dy = op_random(op, count_y(&w), -1, 1),
                 .y = calloc((size_t)count_y(&w), sizeof(double)),
                 .dx = calloc((size_t)count_x(&w), sizeof(double)),
                 .dw = calloc((size_t)count_w(&w), sizeof(double))};
    visit_all(&w, add_products, &t);
    run_forward(op, &w, &t);
    run_backward(op, &w, &t);
    free(t.y);
    free(t.dx);
    free(t.dw);
}

START_TEST(convolution_and_gradients_match_plain_loops)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    check_window(&op, random_window(&op));
    op_close(&op);
}
END_TEST

START_TEST(convolution_of_volumes_and_gradients_match_plain_loops)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    check_window(&op, random_volume(&op));
    op_close(&op);
}
END_TEST

START_TEST(convolution_with_wrong_output_size_is_refused)
{
    op_t op;
    op_open(&op, 1, 1);
    mb_conv_forward_args_t args = {.window = {.samples = 1,
                                              .channels_in = 1,
                                              .channels_out = 1,
                                              .groups = 1,
                                              .in = {5, 5},
                                              .out = {4, 3},
                                              .kernel = {3, 3},
                                              .stride = {1, 1},
                                              .dilation = {1, 1}}};
    ck_assert_int_eq(op_try(&op, MB_OP_CONV_FORWARD, &args, sizeof args), MB_ERR_INTERNAL);
    op_close(&op);
}
END_TEST

START_TEST(volume_with_wrong_depth_is_refused)
{
    op_t op;
    op_open(&op, 1, 1);
    mb_conv_forward_args_t args = {.window = {.samples = 1,
                                              .channels_in = 1,
                                              .channels_out = 1,
                                              .groups = 1,
                                              .in = {5, 5},
                                              .out = {3, 3},
                                              .kernel = {3, 3},
                                              .stride = {1, 1},
                                              .dilation = {1, 1},
                                              .depth = {5, 4, 3, 1, 1, 0, 0}}};
    ck_assert_int_eq(op_try(&op, MB_OP_CONV_FORWARD, &args, sizeof args), MB_ERR_INTERNAL);
    op_close(&op);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op_conv");
    TCase *t = tcase_create("conv");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, convolution_and_gradients_match_plain_loops, 0, 40);
    tcase_add_loop_test(t, convolution_of_volumes_and_gradients_match_plain_loops, 0, 30);
    tcase_add_test(t, convolution_with_wrong_output_size_is_refused);
    tcase_add_test(t, volume_with_wrong_depth_is_refused);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
