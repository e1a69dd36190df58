/* The ONNX node test vectors of what the device computes. Those that this product has no use for
 * are listed at the end with the reason. */
#include <stdio.h>
#include <string.h>
#include "support/onnx.h"
#include "support/op_check.h"

/* The vectors' results are float32 of another summation order: a few eps of the sum of magnitudes,
 * which is at most about a hundred here. */
#define RELATIVE (8 * OP_EPSILON)
#define ABSOLUTE (32 * OP_EPSILON)

typedef struct {
    op_t op;
    onnx_vector_t vector;
} run_t;

typedef struct {
    const char *name;
    void (*check)(run_t *run);
} case_t;

static float *put(run_t *run, const onnx_tensor_t *tensor)
{
    float *memory = op_floats(&run->op, tensor->count);
    for (int64_t i = 0; i < tensor->count; i++)
        memory[i] = (float)tensor->value[i];
    return memory;
}

static const onnx_tensor_t *input(const run_t *run, int i)
{
    ck_assert_int_lt(i, run->vector.n_inputs);
    return &run->vector.input[i];
}

static const onnx_tensor_t *output(const run_t *run, int i)
{
    ck_assert_int_lt(i, run->vector.n_outputs);
    return &run->vector.output[i];
}

static void near_output(const run_t *run, int i, const float *got)
{
    op_near(run->vector.operation, got, output(run, i)->value, output(run, i)->count, RELATIVE,
            ABSOLUTE);
}

/* Elements before, at and behind the channel axis (1) of N C ... */
typedef struct {
    int64_t samples, channels, positions;
} blocks_t;

static blocks_t blocks_of(const onnx_tensor_t *t)
{
    blocks_t b = {t->dim[0], t->dim[1], 1};
    for (int i = 2; i < t->rank; i++)
        b.positions *= t->dim[i];
    return b;
}

/* N C positions -> N positions C */
static float *put_last(run_t *run, const onnx_tensor_t *tensor)
{
    blocks_t b = blocks_of(tensor);
    float *memory = op_floats(&run->op, tensor->count);
    for (int64_t s = 0; s < b.samples; s++)
        for (int64_t c = 0; c < b.channels; c++)
            for (int64_t p = 0; p < b.positions; p++)
                memory[(s * b.positions + p) * b.channels + c] =
                    (float)tensor->value[(s * b.channels + c) * b.positions + p];
    return memory;
}

static void near_output_last(const run_t *run, int i, const float *got)
{
    blocks_t b = blocks_of(output(run, i));
    for (int64_t s = 0; s < b.samples; s++)
        for (int64_t c = 0; c < b.channels; c++)
            for (int64_t p = 0; p < b.positions; p++)
                op_near(run->vector.operation, &got[(s * b.positions + p) * b.channels + c],
                        &output(run, i)->value[(s * b.channels + c) * b.positions + p], 1, RELATIVE,
                        ABSOLUTE);
}

static void activation(run_t *run)
{
    static const struct {
        const char *operation;
        mb_act_t act;
        const char *p0;
        double otherwise;
    } functions[] = {
        {"Relu", MB_ACT_RELU, "", 0},
        {"Tanh", MB_ACT_TANH, "", 0},
        {"Sigmoid", MB_ACT_SIGMOID, "", 0},
        {"Elu", MB_ACT_ELU, "alpha", 1},
        {"Selu", MB_ACT_SELU, "", 0},
        {"Softplus", MB_ACT_SOFTPLUS, "", 0},
        {"Softsign", MB_ACT_SOFTSIGN, "", 0},
        {"Exp", MB_ACT_EXPONENTIAL, "", 0},
        {"LeakyRelu", MB_ACT_RELU_GENERAL, "alpha", 0.01},
        {"ThresholdedRelu", MB_ACT_RELU_GENERAL, "", 0},
    };
    size_t i = 0;
    while (strcmp(functions[i].operation, run->vector.operation) != 0)
        i++;
    bool threshold = strcmp(run->vector.operation, "ThresholdedRelu") == 0;
    mb_act_forward_args_t args = {.count = input(run, 0)->count, .act = functions[i].act};
    args.p0 = (float)onnx_number(&run->vector, functions[i].p0, functions[i].otherwise);
    args.p1 = INFINITY;
    args.p2 = threshold ? (float)onnx_number(&run->vector, "alpha", 1.0) : 0.0f;
    args.x = put(run, input(run, 0));
    args.y = op_floats(&run->op, args.count);
    OP_RUN(&run->op, ACT_FORWARD, &args);
    near_output(run, 0, args.y);
}

static void elementwise(run_t *run)
{
    bool product = strcmp(run->vector.operation, "Mul") == 0;
    int64_t count = input(run, 0)->count;
    float *y = put(run, input(run, 0));
    for (int i = 1; i < run->vector.n_inputs; i++) {
        mb_add_args_t add = {MB_F32, count, y, put(run, input(run, i)), y};
        mb_multiply_args_t multiply = {MB_F32, count, y, add.b, y};
        if (product)
            OP_RUN(&run->op, MULTIPLY, &multiply);
        else
            OP_RUN(&run->op, ADD, &add);
    }
    near_output(run, 0, y);
}

static void softmax(run_t *run)
{
    const onnx_tensor_t *x = input(run, 0);
    int64_t columns = x->dim[x->rank - 1];
    float *y = op_floats(&run->op, x->count);
    mb_softmax_forward_args_t args = {MB_F32, x->count / columns, columns, put(run, x), y, false};
    OP_RUN(&run->op, SOFTMAX_FORWARD, &args);
    near_output(run, 0, y);
}

/* Joined along an axis: rows of what lies behind the axis. */
static void concat(run_t *run)
{
    const onnx_tensor_t *out = output(run, 0);
    int axis = (int)onnx_number(&run->vector, "axis", 0);
    axis += axis < 0 ? out->rank : 0;
    int64_t rows = 1, width = out->count, offset = 0;
    for (int i = 0; i < axis; i++)
        rows *= out->dim[i];
    width /= rows;
    float *y = op_floats(&run->op, out->count);
    for (int i = 0; i < run->vector.n_inputs; i++) {
        int64_t columns = input(run, i)->count / rows;
        mb_copy_rows_args_t args = {
            MB_F32, rows, columns, columns, width, put(run, input(run, i)), y + offset};
        OP_RUN(&run->op, COPY_ROWS, &args);
        offset += columns;
    }
    near_output(run, 0, y);
}

/* alpha and beta are given as a scaled A and bias; a bias of any shape is spread over C first. */
static void gemm(run_t *run)
{
    const onnx_tensor_t *c = output(run, 0);
    const onnx_tensor_t *bias = run->vector.n_inputs > 2 ? input(run, 2) : NULL;
    float *a = put(run, input(run, 0)), *b = put(run, input(run, 1));
    float *y = op_floats(&run->op, c->count);
    double alpha = onnx_number(&run->vector, "alpha", 1),
           beta = onnx_number(&run->vector, "beta", 1);
    bool ta = onnx_number(&run->vector, "transA", 0) != 0;
    bool tb = onnx_number(&run->vector, "transB", 0) != 0;
    for (int64_t i = 0; i < input(run, 0)->count; i++)
        a[i] *= (float)alpha;
    for (int64_t i = 0; i < c->count && bias != NULL; i++)
        y[i] = (float)(beta * bias->value[i % bias->count]);
    mb_gemm_args_t args = {.m = c->dim[0],
                           .n = c->dim[1],
                           .k = input(run, 0)->dim[ta ? 0 : 1],
                           .transpose_a = ta,
                           .transpose_b = tb,
                           .accumulate = bias != NULL,
                           .lda = input(run, 0)->dim[1],
                           .ldb = input(run, 1)->dim[1],
                           .ldc = c->dim[1],
                           .a = a,
                           .b = b,
                           .c = y};
    OP_RUN(&run->op, GEMM, &args);
    near_output(run, 0, y);
}

/* Window attributes; a missing spatial dimension has size one and comes first. */
static mb_window_t window_of(const run_t *run, const onnx_tensor_t *x, const onnx_tensor_t *y)
{
    const onnx_vector_t *v = &run->vector;
    const onnx_attribute_t *kernel = onnx_attribute(v, "kernel_shape");
    const onnx_attribute_t *stride = onnx_attribute(v, "strides");
    const onnx_attribute_t *dilation = onnx_attribute(v, "dilations");
    const onnx_attribute_t *pads = onnx_attribute(v, "pads");
    const onnx_attribute_t *same = onnx_attribute(v, "auto_pad");
    int spatial = x->rank - 2;
    mb_window_t w = {.samples = x->dim[0],
                     .channels_in = x->dim[1],
                     .channels_out = y->dim[1],
                     .groups = 1,
                     .in = {1, 1},
                     .out = {1, 1},
                     .kernel = {1, 1},
                     .stride = {1, 1},
                     .dilation = {1, 1}};
    for (int i = 0; i < spatial; i++) {
        int to = i + 2 - spatial;
        w.in[to] = x->dim[i + 2];
        w.out[to] = y->dim[i + 2];
        w.kernel[to] = kernel->integer[i];
        w.stride[to] = stride != NULL ? stride->integer[i] : 1;
        w.dilation[to] = dilation != NULL ? dilation->integer[i] : 1;
        w.pad_before[to] = pads != NULL ? pads->integer[i] : 0;
        int64_t reach = (w.kernel[to] - 1) * w.dilation[to] + 1;
        int64_t need = (w.out[to] - 1) * w.stride[to] + reach - w.in[to];
        need = need > 0 ? need : 0;
        if (same != NULL)
            w.pad_before[to] = strcmp(same->text, "SAME_LOWER") == 0 ? (need + 1) / 2 : need / 2;
        w.pad_after[to] = need > w.pad_before[to] ? need - w.pad_before[to] : 0;
    }
    return w;
}

static void conv(run_t *run)
{
    const onnx_tensor_t *k = input(run, 1);
    mb_window_t w = window_of(run, input(run, 0), output(run, 0));
    float *kernel = op_floats(&run->op, k->count);
    int64_t area = w.kernel[0] * w.kernel[1];
    for (int64_t o = 0; o < w.channels_out; o++)
        for (int64_t c = 0; c < w.channels_in; c++)
            for (int64_t p = 0; p < area; p++)
                kernel[(p * w.channels_in + c) * w.channels_out + o] =
                    (float)k->value[(o * w.channels_in + c) * area + p];
    mb_conv_forward_args_t args = {.window = w, .x = put_last(run, input(run, 0)), .w = kernel};
    args.y = op_floats(&run->op, output(run, 0)->count);
    OP_RUN(&run->op, CONV_FORWARD, &args);
    near_output_last(run, 0, args.y);
}

static void pool(run_t *run)
{
    mb_pool_forward_args_t args = {.window = window_of(run, input(run, 0), output(run, 0)),
                                   .average = strcmp(run->vector.operation, "AveragePool") == 0,
                                   .x = put_last(run, input(run, 0)),
                                   .y = op_floats(&run->op, output(run, 0)->count)};
    OP_RUN(&run->op, POOL_FORWARD, &args);
    near_output_last(run, 0, args.y);
}

static void global_pool(run_t *run)
{
    blocks_t b = blocks_of(input(run, 0));
    mb_global_pool_forward_args_t args = {
        .samples = b.samples,
        .positions = b.positions,
        .channels = b.channels,
        .average = strcmp(run->vector.operation, "GlobalAveragePool") == 0,
        .x = put_last(run, input(run, 0)),
        .y = op_floats(&run->op, output(run, 0)->count)};
    OP_RUN(&run->op, GLOBAL_POOL_FORWARD, &args);
    near_output_last(run, 0, args.y);
}

static void layer_norm(run_t *run)
{
    const onnx_tensor_t *x = input(run, 0);
    int axis = (int)onnx_number(&run->vector, "axis", -1);
    int64_t columns = 1;
    for (int i = axis < 0 ? axis + x->rank : axis; i < x->rank; i++)
        columns *= x->dim[i];
    int64_t rows = x->count / columns;
    mb_layernorm_forward_args_t args = {.rows = rows,
                                        .columns = columns,
                                        .epsilon =
                                            (float)onnx_number(&run->vector, "epsilon", 1e-5),
                                        .x = put(run, x),
                                        .gamma = put(run, input(run, 1)),
                                        .beta = put(run, input(run, 2)),
                                        .y = op_floats(&run->op, x->count),
                                        .mean = op_floats(&run->op, rows),
                                        .rstd = op_floats(&run->op, rows)};
    OP_RUN(&run->op, LAYERNORM_FORWARD, &args);
    near_output(run, 0, args.y);
    near_output(run, 1, args.mean);
    near_output(run, 2, args.rstd);
}

static void batch_norm(run_t *run)
{
    const onnx_tensor_t *x = input(run, 0);
    blocks_t b = blocks_of(x);
    bool training = onnx_number(&run->vector, "training_mode", 0) != 0;
    int64_t rows = b.samples * b.positions;
    float *mean = put(run, input(run, 3)), *variance = put(run, input(run, 4));
    mb_batchnorm_forward_args_t args = {.rows = rows,
                                        .valid = rows,
                                        .channels = b.channels,
                                        .training = training,
                                        .epsilon =
                                            (float)onnx_number(&run->vector, "epsilon", 1e-5),
                                        .x = put_last(run, x),
                                        .gamma = put(run, input(run, 1)),
                                        .beta = put(run, input(run, 2)),
                                        .moving_mean = mean,
                                        .moving_variance = variance,
                                        .y = op_floats(&run->op, x->count),
                                        .mean = op_floats(&run->op, b.channels),
                                        .rstd = op_floats(&run->op, b.channels),
                                        .sums = op_doubles(&run->op, 2 * b.channels)};
    OP_RUN(&run->op, BATCHNORM_FORWARD, &args);
    near_output_last(run, 0, args.y);
    if (!training)
        return;
    mb_batchnorm_update_args_t moving = {
        b.channels, (double)rows, onnx_number(&run->vector, "momentum", 0.9),
        args.sums,  mean,         variance};
    OP_RUN(&run->op, BATCHNORM_UPDATE, &moving);
    near_output(run, 1, mean);
    near_output(run, 2, variance);
}

/* Rows of the first axis by number; negative numbers count from the end. */
static void gather(run_t *run)
{
    const onnx_tensor_t *table = input(run, 0), *ids = input(run, 1);
    mb_embedding_forward_args_t args = {.count = ids->count,
                                        .vocabulary = table->dim[0],
                                        .width = table->count / table->dim[0],
                                        .table = put(run, table)};
    int32_t *numbers = op_labels(&run->op, ids->count, 1);
    for (int64_t i = 0; i < ids->count; i++)
        numbers[i] = (int32_t)(ids->value[i] + (ids->value[i] < 0 ? (double)table->dim[0] : 0));
    args.ids = numbers;
    args.y = op_floats(&run->op, output(run, 0)->count);
    OP_RUN(&run->op, EMBEDDING_FORWARD, &args);
    near_output(run, 0, args.y);
}

/* Rows are the positions of every sample; "none" wants the loss of each. */
static void cross_entropy(run_t *run)
{
    const onnx_tensor_t *x = input(run, 0), *labels = input(run, 1);
    const onnx_attribute_t *ignore = onnx_attribute(&run->vector, "ignore_index");
    const char *reduction = onnx_attribute(&run->vector, "reduction")->text;
    blocks_t b = blocks_of(x);
    double *sum = op_doubles(&run->op, 1), counted = 0.0;
    int32_t *numbers = op_labels(&run->op, labels->count, 1);
    for (int64_t i = 0; i < labels->count; i++) {
        numbers[i] = (int32_t)labels->value[i];
        counted += ignore != NULL && labels->value[i] == ignore->number ? 0.0 : 1.0;
    }
    bool each = strcmp(reduction, "none") == 0;
    int64_t rows = each ? 1 : labels->count;
    mb_loss_args_t args = {.kind = MB_LOSS_SPARSE_SOFTMAX,
                           .rows = rows,
                           .valid = rows,
                           .columns = b.channels,
                           .has_ignore = ignore != NULL,
                           .ignore_label = ignore != NULL ? (int32_t)ignore->number : 0,
                           .x = put_last(run, x),
                           .labels = numbers,
                           .sum = sum};
    for (int64_t i = 0; i < output(run, 0)->count; i++) {
        sum[0] = 0.0;
        OP_RUN(&run->op, LOSS, &args);
        float got = (float)(strcmp(reduction, "mean") == 0 ? sum[0] / counted : sum[0]);
        op_near("SoftmaxCrossEntropyLoss", &got, &output(run, 0)->value[i], 1, RELATIVE, ABSOLUTE);
        args.x = (const float *)args.x + b.channels;
        args.labels = ++numbers;
    }
}

/* g += coefficient w */
static void regularize(run_t *run, int64_t count, const float *w, float *g)
{
    float coefficient = (float)onnx_number(&run->vector, "norm_coefficient", 0);
    mb_regularize_args_t args = {MB_F32, count, 0.0f, 0.5f * coefficient, w, g};
    OP_RUN(&run->op, REGULARIZE, &args);
}

static void adam(run_t *run)
{
    int n = (run->vector.n_inputs - 2) / 4;
    double beta1 = onnx_number(&run->vector, "alpha", 0.9);
    double beta2 = onnx_number(&run->vector, "beta", 0.999);
    double rate = input(run, 0)->value[0], step = input(run, 1)->value[0];
    double alpha = step > 0 ? rate * sqrt(1 - pow(beta2, step)) / (1 - pow(beta1, step)) : rate;
    for (int i = 0; i < n; i++) {
        float *g = put(run, input(run, 2 + n + i));
        mb_tensor_t at = {.w = put(run, input(run, 2 + i)),
                          .g = g,
                          .s0 = put(run, input(run, 2 + 2 * n + i)),
                          .s1 = put(run, input(run, 2 + 3 * n + i)),
                          .count = input(run, 2 + i)->count};
        mb_update_args_t args = {.rule = MB_RULE_ADAM,
                                 .epsilon = (float)onnx_number(&run->vector, "epsilon", 1e-6),
                                 .beta1 = beta1,
                                 .beta2 = beta2,
                                 .alpha = (float)alpha,
                                 .table = op_table(&run->op, &at, 1)};
        regularize(run, at.count, at.w, g);
        OP_RUN(&run->op, UPDATE, &args);
        near_output(run, i, at.w);
        near_output(run, n + i, at.s0);
        near_output(run, 2 * n + i, at.s1);
    }
}

/* Keras keeps -rate times ONNX's momentum. */
static void momentum(run_t *run)
{
    int n = (run->vector.n_inputs - 2) / 3;
    double rate = input(run, 0)->value[0], step = input(run, 1)->value[0];
    double beta = step > 0 ? onnx_number(&run->vector, "beta", 1) : 1.0;
    const char *mode = onnx_attribute(&run->vector, "mode")->text;
    for (int i = 0; i < n; i++) {
        float *g = put(run, input(run, 2 + n + i)), *v = put(run, input(run, 2 + 2 * n + i));
        mb_tensor_t at = {
            .w = put(run, input(run, 2 + i)), .g = g, .s0 = v, .count = input(run, 2 + i)->count};
        mb_update_args_t args = {.rule = MB_RULE_SGD,
                                 .nesterov = strcmp(mode, "nesterov") == 0,
                                 .lr = (float)(rate * beta),
                                 .momentum = (float)onnx_number(&run->vector, "alpha", 0),
                                 .table = op_table(&run->op, &at, 1)};
        for (int64_t j = 0; j < at.count; j++)
            v[j] *= (float)-rate;
        regularize(run, at.count, at.w, g);
        OP_RUN(&run->op, UPDATE, &args);
        for (int64_t j = 0; j < at.count; j++)
            v[j] /= (float)-rate;
        near_output(run, i, at.w);
        near_output(run, n + i, v);
    }
}

static const case_t cases[] = {
#include "onnx/cases.inc"
};
#define N_CASES ((int)(sizeof cases / sizeof *cases))

START_TEST(vector_is_reproduced)
{
    run_t run;
    op_open(&run.op, 2, 1);
    ck_assert_msg(onnx_load(cases[_i].name, &run.vector), "%s cannot be read", cases[_i].name);
    cases[_i].check(&run);
    onnx_free(&run.vector);
    op_close(&run.op);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("onnx");
    TCase *t = tcase_create("vectors");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, vector_is_reproduced, 0, N_CASES);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    if (!onnx_is_there()) {
        puts("1..0 # SKIP no ONNX test vectors: install libonnx-testdata");
        return 0;
    }
    return op_main(suite());
}
