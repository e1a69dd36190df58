/* The same bits for any number of threads: every operation over random shapes, compared by a hash
 * over all memory it was given. */
#include <string.h>
#include "support/op_check.h"

/* A mask. */
static const float *some_of(op_t *op, int64_t count)
{
    float *mask = op_floats(op, count);
    for (int64_t i = 0; i < count; i++)
        mask[i] = op_integer(op, 0, 2) > 0 ? 1.0f : 0.0f;
    return mask;
}

static void gemm(op_t *op)
{
    mb_gemm_args_t a = {.m = op_integer(op, 1, 400), .n = op_integer(op, 1, 600)};
    a.k = op_integer(op, 1, 900);
    a.transpose_a = op_integer(op, 0, 1);
    a.transpose_b = op_integer(op, 0, 1);
    a.accumulate = op_integer(op, 0, 1);
    a.lda = a.transpose_a ? a.m : a.k;
    a.ldb = a.transpose_b ? a.k : a.n;
    a.ldc = a.n;
    a.a = op_random(op, a.m * a.k, -1, 1);
    a.b = op_random(op, a.n * a.k, -1, 1);
    a.c = op_random(op, a.m * a.n, -1, 1);
    a.bias = a.accumulate ? NULL : op_random(op, a.n, -1, 1);
    OP_RUN(op, GEMM, &a);
    a.bias = NULL;
    a.wide = true;
    a.dbias = a.transpose_b ? NULL : op_random(op, a.n, -1, 1);
    OP_RUN(op, GEMM, &a);
    a.wide = a.accumulate = false;
    a.dbias = NULL;
    a.act = (mb_act_t)op_integer(op, MB_ACT_RELU, MB_ACT_COUNT - 1);
    a.p0 = 0.5f, a.p1 = 6.0f, a.p2 = 0.1f;
    a.pre = op_integer(op, 0, 1) ? op_floats(op, a.m * a.n) : NULL;
    OP_RUN(op, GEMM, &a);
}

static mb_window_t window(op_t *op, bool pool)
{
    static const int64_t channels[] = {1, 3, 16, 32};
    mb_window_t w = {.samples = op_integer(op, 1, 70), .groups = 1};
    w.channels_in = channels[op_integer(op, 0, 3)];
    w.channels_out = pool ? w.channels_in : channels[op_integer(op, 0, 3)];
    for (int i = 0; i < 2; i++) {
        w.kernel[i] = op_integer(op, 1, 3);
        w.stride[i] = op_integer(op, 1, 2);
        w.dilation[i] = 1;
        w.pad_before[i] = w.pad_after[i] = w.kernel[i] / 2;
        w.in[i] = op_integer(op, 4, 15);
        w.out[i] = (w.in[i] + 2 * w.pad_before[i] - w.kernel[i]) / w.stride[i] + 1;
    }
    return w;
}

static int64_t in_count(const mb_window_t *w)
{
    return w->samples * mb_window_in(w) * w->channels_in;
}
static int64_t out_count(const mb_window_t *w)
{
    return w->samples * mb_window_out(w) * w->channels_out;
}

static void convolve(op_t *op, mb_window_t w)
{
    int64_t weights = mb_window_taps(&w) * w.channels_in * w.channels_out;
    float *x = op_random(op, in_count(&w), -1, 1), *dy = op_random(op, out_count(&w), -1, 1);
    float *k = op_random(op, weights, -1, 1), *bias = op_random(op, w.channels_out, -1, 1);
    mb_conv_forward_args_t forward = {MB_F32, w,   x, k, bias, op_floats(op, out_count(&w)),
                                      {0},    NULL};
    mb_conv_backward_input_args_t input = {.window = w,
                                           .dy = dy,
                                           .w = k,
                                           .dx = op_floats(op, in_count(&w)),
                                           .bias = op_random(op, w.channels_in, -1, 1)};
    mb_conv_backward_weights_args_t gradient = {MB_F32,
                                                w,
                                                op_integer(op, 0, 1),
                                                x,
                                                dy,
                                                op_floats(op, weights),
                                                op_floats(op, w.channels_out)};
    OP_RUN(op, CONV_FORWARD, &forward);
    OP_RUN(op, CONV_BACKWARD_INPUT, &input);
    forward.act.act = MB_ACT_RELU;
    input.cut = x;
    OP_RUN(op, CONV_FORWARD, &forward);
    OP_RUN(op, CONV_BACKWARD_INPUT, &input);
    OP_RUN(op, CONV_BACKWARD_WEIGHTS, &gradient);
}

static void conv(op_t *op)
{
    convolve(op, window(op, false));
}

static void conv_of_volumes(op_t *op)
{
    mb_window_t w = window(op, false);
    w.samples = op_integer(op, 1, 12);
    w.depth = (mb_window_axis_t){op_integer(op, 3, 5), 0, 3, 1, 1, 1, 1};
    w.depth.out = w.depth.in;
    convolve(op, w);
}

static void pool(op_t *op)
{
    mb_window_t w = window(op, true);
    bool average = op_integer(op, 0, 1);
    float *x = op_random(op, in_count(&w), -1, 1), *y = op_floats(op, out_count(&w));
    float *dy = op_random(op, out_count(&w), -1, 1), *dx = op_floats(op, in_count(&w));
    mb_pool_forward_args_t forward = {MB_F32, w, average, x, y};
    mb_pool_backward_args_t backward = {MB_F32, w, average, x, y, dy, dx, false};
    OP_RUN(op, POOL_FORWARD, &forward);
    OP_RUN(op, POOL_BACKWARD, &backward);
    int64_t positions = w.in[0] * w.in[1], all = w.samples * w.channels_in;
    float *mean = op_floats(op, all);
    mb_global_pool_forward_args_t global = {MB_F32,  w.samples, positions, w.channels_in,
                                            average, x,         mean};
    mb_global_pool_backward_args_t back = {MB_F32, w.samples, positions, w.channels_in, average, x,
                                           mean,   dy,        dx};
    OP_RUN(op, GLOBAL_POOL_FORWARD, &global);
    if (out_count(&w) >= all)
        OP_RUN(op, GLOBAL_POOL_BACKWARD, &back);
}

static void axes(op_t *op)
{
    int64_t outer = op_integer(op, 1, 9), in = op_integer(op, 1, 40), out = op_integer(op, 1, 60);
    int64_t inner = op_integer(op, 1, 200), n_x = outer * in * inner, n_y = outer * out * inner;
    float *x = op_random(op, n_x, -1, 1), *y = op_floats(op, n_y);
    float *dy = op_random(op, n_y, -1, 1), *dx = op_floats(op, n_x);
    bool average = op_integer(op, 0, 1);
    mb_region_pool_forward_args_t pool = {MB_F32, outer, in, out, inner, average, x, y};
    mb_region_pool_backward_args_t back = {MB_F32, outer, in, out, inner, average, x, y, dy, dx};
    mb_filter_t filter = (mb_filter_t)op_integer(op, 0, MB_FILTER_COUNT - 1);
    mb_resample_args_t resample = {MB_F32, filter, true, true, outer, in, out, inner, dy, dx};
    mb_copy_view_args_t view = {.type = MB_F32,
                                .size = {1, 1, outer, inner, in},
                                .from_stride = {0, 0, in * inner, 1, inner},
                                .to_stride = {0, 0, in * inner, in, 1},
                                .from = dx,
                                .to = x};
    mb_affine_args_t affine = {.samples = outer,
                               .planes = 1,
                               .in = {1, in},
                               .out = {1, out},
                               .inner = inner,
                               .transforms = op_random(op, outer * MB_TRANSFORM, -1, 1),
                               .x = x,
                               .y = y};
    OP_RUN(op, AFFINE, &affine);
    affine.transposed = true;
    affine.x = dy;
    affine.y = dx;
    OP_RUN(op, AFFINE, &affine);
    OP_RUN(op, REGION_POOL_FORWARD, &pool);
    OP_RUN(op, REGION_POOL_BACKWARD, &back);
    OP_RUN(op, RESAMPLE, &resample);
    OP_RUN(op, COPY_VIEW, &view);
}

static void elementwise(op_t *op)
{
    int64_t n = op_integer(op, 1, 100000);
    float *a = op_random(op, n, -3, 3), *b = op_random(op, n, -3, 3), *y = op_floats(op, n);
    mb_add_args_t add = {MB_F32, n, a, b, y};
    mb_multiply_args_t multiply = {MB_F32, n, y, b, y};
    mb_fill_args_t fill = {MB_F32, n, 2.0f, b};
    mb_zero_args_t zero = {4 * n, b};
    double *d = op_doubles(op, n);
    mb_add_f64_args_t add_f64 = {n, d, d, d};
    mb_copy_rows_args_t copy = {MB_F32, 1, n, n, n, y, a};
    mb_dropout_args_t dropout = {MB_F32, 1, n, 0.4f, {9, MB_RANDOM_DROPOUT, 1, 2, 3}, y, y, 0};
    OP_RUN(op, ADD, &add);
    OP_RUN(op, MULTIPLY, &multiply);
    OP_RUN(op, DROPOUT, &dropout);
    mb_normal_args_t normal = {MB_F32,          1, n, 0.5f, 2.0f, {9, MB_RANDOM_NOISE, 1, 2, 3},
                               op_floats(op, n)};
    OP_RUN(op, NORMAL, &normal);
    OP_RUN(op, COPY_ROWS, &copy);
    OP_RUN(op, ADD_F64, &add_f64);
    OP_RUN(op, FILL, &fill);
    for (int act = 0; act < MB_ACT_COUNT; act++) {
        mb_act_forward_args_t forward = {MB_F32, n, (mb_act_t)act, 0.5f, 6.0f, 0.1f, a, y};
        mb_act_backward_args_t backward = {MB_F32, n, (mb_act_t)act, 0.5f, 6.0f, 0.1f, a, y, b, a};
        OP_RUN(op, ACT_FORWARD, &forward);
        OP_RUN(op, ACT_BACKWARD, &backward);
    }
    OP_RUN(op, ZERO, &zero);
}

static void rows(op_t *op)
{
    int64_t m = op_integer(op, 1, 3000), n = op_integer(op, 1, 90);
    float *x = op_random(op, m * n, -3, 3), *y = op_floats(op, m * n);
    float *dy = op_random(op, m * n, -1, 1), *dx = op_floats(op, m * n);
    float *gamma = op_random(op, n, -1, 1), *beta = op_random(op, n, -1, 1);
    float *mean = op_floats(op, m + n), *rstd = op_floats(op, m + n);
    bool logarithm = op_integer(op, 0, 1);
    mb_softmax_forward_args_t softmax = {MB_F32, m, n, x, y, logarithm};
    mb_softmax_backward_args_t back = {MB_F32, m, n, y, dy, dx, logarithm};
    mb_column_sum_args_t sum = {MB_F32, m, n, true, x, op_floats(op, n)};
    OP_RUN(op, SOFTMAX_FORWARD, &softmax);
    OP_RUN(op, SOFTMAX_BACKWARD, &back);
    OP_RUN(op, COLUMN_SUM, &sum);
    mb_layernorm_forward_args_t layer = {.rows = m,
                                         .columns = n,
                                         .adds = true,
                                         .epsilon = 1e-3f,
                                         .x = x,
                                         .residual = dy,
                                         .gamma = gamma,
                                         .beta = beta,
                                         .sum = op_floats(op, m * n),
                                         .y = y,
                                         .mean = mean,
                                         .rstd = rstd};
    mb_layernorm_backward_input_args_t layer_input = {MB_F32, m,     n,    false, x,
                                                      dy,     gamma, mean, rstd,  dx};
    mb_layernorm_backward_weights_args_t layer_weights = {MB_F32, m,    n,    false, true, x,
                                                          dy,     mean, rstd, gamma, beta};
    OP_RUN(op, LAYERNORM_FORWARD, &layer);
    OP_RUN(op, LAYERNORM_BACKWARD_INPUT, &layer_input);
    OP_RUN(op, LAYERNORM_BACKWARD_WEIGHTS, &layer_weights);
    int64_t valid = m - op_integer(op, 0, 1);
    mb_batchnorm_forward_args_t batch = {.rows = m,
                                         .valid = valid,
                                         .channels = n,
                                         .training = true,
                                         .epsilon = 1e-3f,
                                         .x = x,
                                         .gamma = gamma,
                                         .beta = beta,
                                         .y = y,
                                         .mean = mean,
                                         .rstd = rstd,
                                         .sums = op_doubles(op, 2 * n)};
    mb_batchnorm_backward_input_args_t batch_input = {.type = MB_F32,
                                                      .rows = m,
                                                      .valid = valid,
                                                      .channels = n,
                                                      .training = true,
                                                      .x = x,
                                                      .dy = dy,
                                                      .gamma = gamma,
                                                      .mean = mean,
                                                      .rstd = rstd,
                                                      .dx = dx};
    mb_batchnorm_backward_weights_args_t batch_weights = {MB_F32, m,    valid, n,     true, x,
                                                          dy,     mean, rstd,  gamma, beta, NULL};
    mb_batchnorm_update_args_t moving = {.channels = n,
                                         .count = 7.0,
                                         .momentum = 0.9,
                                         .sums = batch.sums,
                                         .moving_mean = gamma,
                                         .moving_variance = beta};
    OP_RUN(op, BATCHNORM_FORWARD, &batch);
    OP_RUN(op, BATCHNORM_BACKWARD_INPUT, &batch_input);
    OP_RUN(op, BATCHNORM_BACKWARD_WEIGHTS, &batch_weights);
    OP_RUN(op, BATCHNORM_UPDATE, &moving);
    batch.residual = dy;
    batch.act = MB_ACT_RELU;
    OP_RUN(op, BATCHNORM_FORWARD, &batch);
    batch.residual = NULL;
    batch.act = MB_ACT_LINEAR;
    batch.masks = batch_input.masks = 1;
    batch.mask = batch_input.mask = some_of(op, m);
    batch.counts = op_floats(op, n);
    batch_input.counts = batch.counts;
    batch.sums = op_doubles(op, 3 * n);
    OP_RUN(op, BATCHNORM_FORWARD, &batch);
    OP_RUN(op, BATCHNORM_BACKWARD_INPUT, &batch_input);
}

static void attention(op_t *op)
{
    mb_attention_forward_args_t f = {.samples = op_integer(op, 1, 3),
                                     .heads = op_integer(op, 1, 4)};
    f.tq = op_integer(op, 1, 150);
    f.tk = op_integer(op, 0, 1) ? f.tq : op_integer(op, 1, 150);
    f.d = op_integer(op, 1, 40);
    f.dv = op_integer(op, 1, 40);
    f.scale = 0.3f;
    f.causal = op_integer(op, 0, 1);
    f.dropout_rate = op_integer(op, 0, 1) ? 0.2f : 0.0f;
    f.random = (mb_random_key_t){5, MB_RANDOM_ATTENTION_DROPOUT, 6, 7, 8};
    int64_t nq = f.samples * f.heads * f.tq, nk = f.samples * f.heads * f.tk;
    f.q = op_random(op, nq * f.d, -1, 1);
    f.k = op_random(op, nk * f.d, -1, 1);
    f.v = op_random(op, nk * f.dv, -1, 1);
    f.out = op_floats(op, nq * f.dv);
    f.log_sum = op_floats(op, nq);
    mb_attention_backward_args_t b = {.samples = f.samples,
                                      .heads = f.heads,
                                      .tq = f.tq,
                                      .tk = f.tk,
                                      .d = f.d,
                                      .dv = f.dv,
                                      .scale = f.scale,
                                      .dropout_rate = f.dropout_rate,
                                      .causal = f.causal,
                                      .random = f.random,
                                      .q = f.q,
                                      .k = f.k,
                                      .v = f.v,
                                      .out = f.out,
                                      .log_sum = f.log_sum};
    b.dout = op_random(op, nq * f.dv, -1, 1);
    b.dq = op_floats(op, nq * f.d);
    b.dk = op_floats(op, nk * f.d);
    b.dv_ = op_floats(op, nk * f.dv);
    OP_RUN(op, ATTENTION_FORWARD, &f);
    OP_RUN(op, ATTENTION_BACKWARD, &b);
}

static void recurrent(op_t *op)
{
    for (int cell = MB_CELL_SIMPLE; cell <= MB_CELL_GRU_BEFORE; cell++) {
        mb_rnn_forward_args_t f = {.rnn = {.cell = (mb_cell_t)cell}};
        mb_rnn_t *r = &f.rnn;
        r->samples = op_integer(op, 1, 150);
        r->steps = op_integer(op, 1, 9);
        r->units = r->ldy = op_integer(op, 1, 70);
        r->masked = op_integer(op, 0, 1);
        r->act = (mb_function_t){MB_ACT_TANH, 0, 0, 0};
        r->gate = (mb_function_t){MB_ACT_SIGMOID, 0, 0, 0};
        int64_t states = r->samples * r->steps * r->units, gates = mb_rnn_gates(r->cell);
        f.u = op_random(op, gates * r->units * r->units, -0.1, 0.1);
        f.masks = op_random(op, r->samples * gates * r->units, 0, 2);
        f.gates = op_random(op, mb_rnn_kept(r->cell) * states, -1, 1);
        f.states = op_floats(op, states);
        f.previous = op_floats(op, mb_rnn_parts(r) * states);
        f.y = op_floats(op, states);
        for (int i = 0; i < (cell == MB_CELL_LSTM ? 2 : 1); i++) {
            f.before[i] = op_random(op, r->samples * r->units, -1, 1);
            f.after[i] = op_floats(op, r->samples * r->units);
        }
        mb_rnn_backward_args_t b = {.rnn = f.rnn,
                                    .u = f.u,
                                    .masks = f.masks,
                                    .gates = f.gates,
                                    .states = f.states,
                                    .dy = op_random(op, states, -1, 1),
                                    .dgates = op_floats(op, gates * states),
                                    .drecurrent = op_floats(op, gates * states),
                                    .before = {f.before[0], f.before[1]},
                                    .dafter = {f.after[0], f.after[1]},
                                    .dbefore = {op_floats(op, r->samples * r->units)}};
        OP_RUN(op, RNN_FORWARD, &f);
        OP_RUN(op, RNN_BACKWARD, &b);
    }
}

static void lstm_step(op_t *op)
{
    mb_lstm_step_t s = {.samples = op_integer(op, 1, 20), .steps = 2, .earlier = -1, .later = 1};
    s.places = op_integer(op, 1, 300);
    s.units = op_integer(op, 1, 20);
    s.act = (mb_function_t){MB_ACT_TANH, 0, 0, 0};
    s.gate = (mb_function_t){MB_ACT_SIGMOID, 0, 0, 0};
    int64_t n = s.samples * s.places * s.units;
    float *gates = op_random(op, 8 * n, -1, 1), *states = op_floats(op, 2 * n);
    float *dgates = op_floats(op, 8 * n);
    const float *before[2] = {op_random(op, n, -1, 1), op_random(op, n, -1, 1)};
    mb_lstm_step_forward_args_t f = {.step = s,
                                     .before = {before[0], before[1]},
                                     .product = op_random(op, 4 * n, -1, 1),
                                     .gates = gates,
                                     .states = states,
                                     .previous = op_floats(op, 2 * n),
                                     .factor = op_floats(op, n),
                                     .h = op_floats(op, n),
                                     .ldh = s.places * s.units};
    mb_lstm_step_backward_args_t b = {.step = s,
                                      .before = {before[0], before[1]},
                                      .dfactor = op_random(op, n, -1, 1),
                                      .dh = op_random(op, n, -1, 1),
                                      .ldh = s.places * s.units,
                                      .gates = gates,
                                      .states = states,
                                      .carried = op_random(op, n, -1, 1),
                                      .dgates = dgates,
                                      .dproduct = op_floats(op, 4 * n)};
    OP_RUN(op, LSTM_STEP_FORWARD, &f);
    OP_RUN(op, LSTM_STEP_BACKWARD, &b);
    f.step.skips = b.step.skips = true;
    f.present = b.present = some_of(op, 2 * s.samples);
    f.held = op_floats(op, n);
    b.dheld = op_random(op, n, -1, 1);
    OP_RUN(op, LSTM_STEP_FORWARD, &f);
    OP_RUN(op, LSTM_STEP_BACKWARD, &b);
}

static void embedding(op_t *op)
{
    int64_t count = op_integer(op, 1, 2000), width = op_integer(op, 1, 300);
    int32_t *ids = op_labels(op, count, 50);
    float *table = op_random(op, 50 * width, -1, 1), *y = op_floats(op, count * width);
    mb_embedding_forward_args_t forward = {MB_F32, count, 50, width, ids, table, y};
    mb_embedding_backward_args_t backward = {MB_F32, count, 50, width, true, ids, y, table};
    OP_RUN(op, EMBEDDING_FORWARD, &forward);
    OP_RUN(op, EMBEDDING_BACKWARD, &backward);
}

static void loss(op_t *op)
{
    for (int kind = 0; kind < MB_LOSS_COUNT; kind++) {
        int64_t m = op_integer(op, 1, 900), n = op_integer(op, 2, 70);
        bool sparse = mb_loss_is_sparse((mb_loss_kind_t)kind);
        const void *labels =
            sparse ? (const void *)op_labels(op, m, (int32_t)n) : op_random(op, m * n, 0, 1);
        mb_loss_args_t a = {.kind = (mb_loss_kind_t)kind,
                            .rows = m,
                            .valid = m,
                            .columns = n,
                            .scale = 0.1f,
                            .p0 = 0.5f,
                            .p1 = 0.3f,
                            .p2 = 0.7f,
                            .weights = op_random(op, m, 0, 2),
                            .x = op_random(op, m * n, 0.01, 0.99),
                            .labels = labels,
                            .dx = op_floats(op, m * n),
                            .sum = op_doubles(op, 1)};
        mb_accuracy_args_t accuracy = {MB_F32, m, m, n, sparse, false, 0.5f, a.x, labels, a.sum};
        OP_RUN(op, LOSS, &a);
        OP_RUN(op, ACCURACY, &accuracy);
    }
}

static void circle(op_t *op)
{
    int64_t m = op_integer(op, 2, 150), n = op_integer(op, 1, 70);
    mb_circle_args_t a = {.rows = m,
                          .valid = m - 1,
                          .columns = n,
                          .scale = 0.1f,
                          .gamma = 80.0f,
                          .margin = 0.4f,
                          .averages = true,
                          .x = op_random(op, m * n, -0.2, 0.2),
                          .labels = op_labels(op, m, 5),
                          .dx = op_floats(op, m * n),
                          .sum = op_doubles(op, 1)};
    OP_RUN(op, CIRCLE, &a);
}

static void update(op_t *op)
{
    int64_t n = op_integer(op, 1, 200000);
    float *w = op_random(op, n, -1, 1), *g = op_random(op, n, -1, 1);
    float *s0 = op_floats(op, n), *s1 = op_floats(op, n), *s2 = op_floats(op, n);
    mb_tensor_t tensor = {.w = w, .g = g, .s0 = s0, .s1 = s1, .s2 = s2, .count = n};
    mb_norms_args_t norms = {op_table(op, &tensor, 1), op_doubles(op, 1)};
    for (int rule = 0; rule < MB_RULE_COUNT; rule++) {
        mb_update_args_t a = {.rule = (mb_rule_t)rule,
                              .lr = 0.1f,
                              .momentum = 0.9f,
                              .epsilon = 1e-7f,
                              .rho = 0.9,
                              .beta1 = 0.9,
                              .beta2 = 0.99,
                              .alpha = 0.1f,
                              .correction0 = 0.1f,
                              .correction1 = 0.2f,
                              .correction2 = 0.3f,
                              .power = 0.5f,
                              .table = norms.table};
        OP_RUN(op, UPDATE, &a);
    }
    mb_sum_args_t sum = {MB_F32, n, false, true, g, op_doubles(op, 1)};
    mb_regularize_args_t regularize = {MB_F32, n, 0.1f, 0.2f, g, w};
    OP_RUN(op, SUM, &sum);
    OP_RUN(op, NORMS, &norms);
    OP_RUN(op, REGULARIZE, &regularize);
    mb_constrain_args_t constrain = {MB_LIMIT_MINMAX, 1, n / 7, 7, 0.1f, 0.5f, 0.3f, g};
    OP_RUN(op, CONSTRAIN, &constrain);
    constrain.limit = MB_LIMIT_NONNEG;
    OP_RUN(op, CONSTRAIN, &constrain);
}

/* One result of many elements, many of few, and what lies between. */
static void strided(op_t *op)
{
    mb_map_args_t a = {.function = MB_MAP_MULTIPLY, .axes = 3, .scale = 1};
    a.reduced = (int32_t)op_integer(op, 0, 2);
    for (int d = 0; d < 3; d++)
        a.dim[d] = op_integer(op, 1, d == 0 ? 90 : 60);
    int64_t elements = a.dim[0] * a.dim[1] * a.dim[2];
    for (int i = 0; i < 2; i++) {
        a.stride[i][0] = i == 0 ? a.dim[1] * a.dim[2] : 1;
        a.stride[i][1] = i == 0 ? a.dim[2] : a.dim[0];
        a.stride[i][2] = i == 0 ? 1 : a.dim[0] * a.dim[1];
        a.x[i] = op_random(op, elements, -1, 1);
    }
    for (int d = 2 - a.reduced, step = 1; d >= 0; step *= (int)a.dim[d--])
        a.y_stride[d] = step;
    a.y = op_floats(op, elements);
    OP_RUN(op, MAP, &a);
}

static void (*const cases[])(op_t *) = {strided, gemm,        conv,      conv_of_volumes, pool,
                                        axes,    elementwise, rows,      attention,       embedding,
                                        loss,    circle,      recurrent, lstm_step,       update};
#define N_CASES ((int)(sizeof cases / sizeof *cases))

static uint64_t digest_with(int threads, int which, uint64_t seed)
{
    op_t op;
    op_open(&op, threads, seed);
    cases[which](&op);
    uint64_t digest = op_digest(&op);
    op_close(&op);
    return digest;
}

START_TEST(any_number_of_threads_gives_the_same_bits)
{
    static const int threads[] = {2, 3, 5};
    for (uint64_t seed = 1; seed <= 6; seed++) {
        uint64_t one = digest_with(1, _i, seed);
        for (int i = 0; i < 3; i++)
            ck_assert_msg(digest_with(threads[i], _i, seed) == one,
                          "case %d, seed %d: %d threads differ from one", _i, (int)seed,
                          threads[i]);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op_threads");
    TCase *t = tcase_create("threads");
    tcase_set_timeout(t, 300);
    tcase_add_loop_test(t, any_number_of_threads_gives_the_same_bits, 0, N_CASES);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
