/* See kernels.h. Arrays are larger than caches where an operation only moves numbers, and hold
 * zeros. */
#include "engine/kernels.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/median.h"
#include "device/op_work.h"
#include "device/operands.h"
#include "device/table.h"

enum { ARRAYS = 4, LONG = 8 << 20, REPEATS = 9 };
enum { ROWS = 16384, WIDTH = 384, COUNT = ROWS * WIDTH };

typedef struct {
    mb_exec_t exec;
    void *array[ARRAYS];
    float *small; /* per-row and per-column numbers */
    mb_table_t table;
} bench_t;

typedef union {
    mb_gemm_args_t gemm;
    mb_conv_forward_args_t conv;
    mb_conv_backward_input_args_t conv_input;
    mb_conv_backward_weights_args_t conv_weights;
    mb_attention_forward_args_t attention;
    mb_attention_backward_args_t attention_back;
    mb_layernorm_forward_args_t norm;
    mb_layernorm_backward_input_args_t norm_back;
    mb_act_forward_args_t act;
    mb_act_backward_args_t act_back;
    mb_softmax_forward_args_t softmax;
    mb_add_args_t add;
    mb_convert_args_t convert;
    mb_update_args_t update;
    mb_norms_args_t norms;
} args_t;

/* Fills in what KIND of the operation it is; returns the size of its arguments. */
typedef size_t (*fill_t)(const bench_t *b, int kind, args_t *args);

/* ---- products */

static size_t fill_gemm(const bench_t *b, int kind, args_t *args)
{
    enum { M = 1024, N = 1152, K = 384 };
    static const mb_gemm_args_t shapes[] = {
        {.m = M, .n = N, .k = K, .lda = K, .ldb = N, .ldc = N},
        {.m = M, .n = K, .k = N, .transpose_b = true, .lda = N, .ldb = N, .ldc = K},
        {.m = K, .n = N, .k = M, .transpose_a = true, .lda = K, .ldb = N, .ldc = N, .wide = true},
        {.type = MB_BF16, .m = M, .n = N, .k = K, .lda = K, .ldb = N, .ldc = N}};
    args->gemm = shapes[kind];
    args->gemm.a = b->array[0];
    args->gemm.b = b->array[1];
    args->gemm.c = b->array[2];
    return sizeof args->gemm;
}

static size_t fill_conv(const bench_t *b, int kind, args_t *args)
{
    const mb_window_t w = {.samples = 32,
                           .channels_in = 32,
                           .channels_out = 32,
                           .groups = 1,
                           .in = {32, 32},
                           .out = {32, 32},
                           .kernel = {3, 3},
                           .stride = {1, 1},
                           .dilation = {1, 1},
                           .pad_before = {1, 1},
                           .pad_after = {1, 1}};
    float *x = b->array[0], *y = b->array[1], *k = b->array[2];
    if (kind == 0)
        args->conv =
            (mb_conv_forward_args_t){.window = w, .x = x, .w = k, .bias = b->small, .y = y};
    else if (kind == 1)
        args->conv_input = (mb_conv_backward_input_args_t){.window = w, .dy = y, .w = k, .dx = x};
    else
        args->conv_weights =
            (mb_conv_backward_weights_args_t){.window = w, .x = x, .dy = y, .dw = k};
    return kind == 0   ? sizeof args->conv
           : kind == 1 ? sizeof args->conv_input
                       : sizeof args->conv_weights;
}

static size_t fill_attention(const bench_t *b, int kind, args_t *args)
{
    enum { PART = 1 << 20 };
    float *x = b->array[0], *y = b->array[1];
    const mb_attention_forward_args_t forward = {.samples = 4,
                                                 .heads = 6,
                                                 .tq = 256,
                                                 .tk = 256,
                                                 .d = 64,
                                                 .dv = 64,
                                                 .scale = 0.125F,
                                                 .causal = true,
                                                 .q = x,
                                                 .k = x + PART,
                                                 .v = x + 2 * PART,
                                                 .out = x + 3 * PART,
                                                 .log_sum = b->small};
    if (kind == 0)
        args->attention = forward;
    else
        args->attention_back = (mb_attention_backward_args_t){.samples = 4,
                                                              .heads = 6,
                                                              .tq = 256,
                                                              .tk = 256,
                                                              .d = 64,
                                                              .dv = 64,
                                                              .scale = 0.125F,
                                                              .causal = true,
                                                              .q = x,
                                                              .k = x + PART,
                                                              .v = x + 2 * PART,
                                                              .out = x + 3 * PART,
                                                              .log_sum = b->small,
                                                              .dout = y,
                                                              .dq = y + PART,
                                                              .dk = y + 2 * PART,
                                                              .dv_ = y + 3 * PART};
    return kind == 0 ? sizeof args->attention : sizeof args->attention_back;
}

/* ---- what moves numbers */

static size_t fill_norm(const bench_t *b, int kind, args_t *args)
{
    float *rows = b->small, *columns = b->small + 2 * ROWS;
    if (kind == 0)
        args->norm = (mb_layernorm_forward_args_t){.rows = ROWS,
                                                   .columns = WIDTH,
                                                   .epsilon = 1e-3F,
                                                   .x = b->array[0],
                                                   .gamma = columns,
                                                   .beta = columns,
                                                   .y = b->array[1],
                                                   .mean = rows,
                                                   .rstd = rows + ROWS};
    else
        args->norm_back = (mb_layernorm_backward_input_args_t){.rows = ROWS,
                                                               .columns = WIDTH,
                                                               .x = b->array[0],
                                                               .dy = b->array[1],
                                                               .gamma = columns,
                                                               .mean = rows,
                                                               .rstd = rows + ROWS,
                                                               .dx = b->array[2]};
    return kind == 0 ? sizeof args->norm : sizeof args->norm_back;
}

static size_t fill_act(const bench_t *b, int kind, args_t *args)
{
    if (kind == 0)
        args->act = (mb_act_forward_args_t){
            .count = COUNT, .act = MB_ACT_GELU_TANH, .x = b->array[0], .y = b->array[1]};
    else
        args->act_back = (mb_act_backward_args_t){.count = COUNT,
                                                  .act = MB_ACT_GELU_TANH,
                                                  .x = b->array[0],
                                                  .dy = b->array[1],
                                                  .dx = b->array[2]};
    return kind == 0 ? sizeof args->act : sizeof args->act_back;
}

static size_t fill_softmax(const bench_t *b, int kind, args_t *args)
{
    (void)kind;
    args->softmax = (mb_softmax_forward_args_t){
        .rows = ROWS, .columns = WIDTH, .x = b->array[0], .y = b->array[1]};
    return sizeof args->softmax;
}

static size_t fill_add(const bench_t *b, int kind, args_t *args)
{
    (void)kind;
    args->add =
        (mb_add_args_t){.count = COUNT, .a = b->array[0], .b = b->array[1], .y = b->array[2]};
    return sizeof args->add;
}

static size_t fill_convert(const bench_t *b, int kind, args_t *args)
{
    (void)kind;
    args->convert = (mb_convert_args_t){
        .type = MB_BF16, .from = MB_F32, .count = COUNT, .x = b->array[0], .y = b->array[1]};
    return sizeof args->convert;
}

static size_t fill_update(const bench_t *b, int kind, args_t *args)
{
    (void)kind;
    args->update = (mb_update_args_t){.rule = MB_RULE_ADAM,
                                      .lr = 1e-3F,
                                      .epsilon = 1e-7F,
                                      .beta1 = 0.9,
                                      .beta2 = 0.999,
                                      .alpha = 1e-3F,
                                      .table = b->table};
    return sizeof args->update;
}

static size_t fill_norms(const bench_t *b, int kind, args_t *args)
{
    (void)kind;
    args->norms = (mb_norms_args_t){.table = b->table, .out = (double *)(void *)b->small};
    return sizeof args->norms;
}

static const struct {
    const char *name, *shape;
    mb_op_t op;
    fill_t fill;
    int kind;
} kernels[] = {
    {"product", "1024 x 384 x 1152", MB_OP_GEMM, fill_gemm, 0},
    {"product, by inputs", "1024 x 1152 x 384", MB_OP_GEMM, fill_gemm, 1},
    {"product, by weights", "384 x 1024 x 1152", MB_OP_GEMM, fill_gemm, 2},
    {"product, bfloat16", "1024 x 384 x 1152", MB_OP_GEMM, fill_gemm, 3},
    {"convolution 3 x 3", "32 x 32 x 32 x 32", MB_OP_CONV_FORWARD, fill_conv, 0},
    {"convolution, by inputs", "32 x 32 x 32 x 32", MB_OP_CONV_BACKWARD_INPUT, fill_conv, 1},
    {"convolution, by weights", "32 x 32 x 32 x 32", MB_OP_CONV_BACKWARD_WEIGHTS, fill_conv, 2},
    {"attention", "4 x 6 x 256 x 64", MB_OP_ATTENTION_FORWARD, fill_attention, 0},
    {"attention, backward", "4 x 6 x 256 x 64", MB_OP_ATTENTION_BACKWARD, fill_attention, 1},
    {"layer normalization", "16384 x 384", MB_OP_LAYERNORM_FORWARD, fill_norm, 0},
    {"normalization, backward", "16384 x 384", MB_OP_LAYERNORM_BACKWARD_INPUT, fill_norm, 1},
    {"gelu", "6.3 M", MB_OP_ACT_FORWARD, fill_act, 0},
    {"gelu, backward", "6.3 M", MB_OP_ACT_BACKWARD, fill_act, 1},
    {"softmax", "16384 x 384", MB_OP_SOFTMAX_FORWARD, fill_softmax, 0},
    {"sum", "6.3 M", MB_OP_ADD, fill_add, 0},
    {"conversion to bfloat16", "6.3 M", MB_OP_CONVERT, fill_convert, 0},
    {"Adam's update", "6.3 M", MB_OP_UPDATE, fill_update, 0},
    {"norms", "6.3 M", MB_OP_NORMS, fill_norms, 0}};

enum { KERNELS = sizeof kernels / sizeof kernels[0] };
_Static_assert(KERNELS <= MB_MOST_KERNELS, "there is room for all kernels");

/* ---- timing */

static mb_status_t take_memory(bench_t *b)
{
    void *memory;
    for (int i = 0; i <= ARRAYS; i++) {
        MB_TRY(mb_device_alloc(b->exec.device, LONG * sizeof(float), &memory));
        *(i < ARRAYS ? &b->array[i] : (void **)&b->small) = memory;
        mb_zero_args_t zero = {.bytes = LONG * (int64_t)sizeof(float), .y = memory};
        MB_TRY(mb_exec_run_alone(&b->exec, MB_OP_ZERO, &zero, sizeof zero));
    }
    mb_tensor_t tensor = {
        .w = b->array[0], .g = b->array[1], .s0 = b->array[2], .s1 = b->array[3], .count = COUNT};
    return mb_table_create(&b->exec, &tensor, 1, &b->table);
}

/* The median of some calls behind one that is not counted. */
static mb_status_t time_calls(bench_t *b, mb_op_t op, const args_t *args, size_t bytes,
                              double *seconds)
{
    double taken[REPEATS];
    MB_TRY(mb_exec_run_alone(&b->exec, op, args, bytes));
    for (int r = 0; r < REPEATS; r++) {
        MB_TRY(mb_exec_sync(&b->exec));
        double begun = mb_time_seconds();
        MB_TRY(b->exec.device->class_->run(&b->exec, op, args, bytes));
        MB_TRY(mb_exec_sync(&b->exec));
        taken[r] = mb_time_seconds() - begun;
    }
    *seconds = mb_median(taken, REPEATS);
    return MB_OK;
}

static mb_status_t time_kernel(bench_t *b, int number, mb_kernel_time_t *out, bool *there)
{
    args_t args;
    mb_op_t op = kernels[number].op;
    mb_device_t *device = b->exec.device;
    size_t bytes = kernels[number].fill(b, kernels[number].kind, &args);
    *out = (mb_kernel_time_t){.name = kernels[number].name, .shape = kernels[number].shape};
    *there = false;
    if (!device->class_->has_op(device, op))
        return MB_OK;
    mb_status_t status = time_calls(b, op, &args, bytes, &out->seconds);
    if (status == MB_ERR_UNSUPPORTED)
        return MB_OK;
    MB_TRY(status);
    mb_work_t work = mb_op_work(op, &args, device->class_->host_visible(device));
    out->flops = work.flops;
    out->bytes = work.bytes;
    out->narrow = work.flops > 0 && mb_op_type(op, &args) != MB_F32;
    *there = true;
    return MB_OK;
}

/* What an operation has reached is possible: the limits are the best of all. */
static void compare(mb_hardware_t *limits, mb_kernel_time_t *all, int n)
{
    double products = limits->flops, memory = limits->memory_bandwidth;
    for (int i = 0; i < n; i++) {
        double rate = all[i].flops / all[i].seconds, moved = all[i].bytes / all[i].seconds;
        products = !all[i].narrow && rate > products ? rate : products;
        memory = all[i].flops <= 0 && moved > memory ? moved : memory;
    }
    limits->flops = products;
    limits->memory_bandwidth = memory;
    for (int i = 0; i < n; i++) {
        double product = all[i].flops / products, moved = all[i].bytes / memory;
        all[i].allowed = all[i].narrow ? 0 : product > moved ? product : moved;
    }
}

static mb_status_t time_all(bench_t *b, mb_kernel_time_t *out, int *n)
{
    bool there;
    b->exec.planning = false;
    MB_TRY(take_memory(b));
    for (int i = 0; i < KERNELS; i++) {
        MB_TRY(time_kernel(b, i, &out[*n], &there));
        *n += there;
    }
    return MB_OK;
}

mb_status_t mb_kernels_measure(mb_machine_t *machine, mb_hardware_t *limits,
                               mb_kernel_time_t out[MB_MOST_KERNELS], int *n)
{
    bench_t b = {0};
    *n = 0;
    mb_comm_doing(machine->comm, "measuring operations");
    MB_TRY(mb_comm_agree(machine->comm, mb_exec_create(machine->device, &b.exec)));
    mb_status_t status = time_all(&b, out, n);
    compare(limits, out, *n);
    mb_table_destroy(machine->device, &b.table);
    for (int i = 0; i < ARRAYS; i++)
        mb_device_free(machine->device, b.array[i]);
    mb_device_free(machine->device, b.small);
    mb_exec_destroy(&b.exec);
    return mb_comm_agree(machine->comm, status);
}
