/* See narrow.h. Each typed operand gets its place as float32 in front of the operation's own
 * workspace; two operands at one address (an operation in place) get two. The operation then rounds
 * each element it writes exactly once, as a kernel for the type would. */
#include "device/cpu/narrow.h"

#include <string.h>

#include "device/cpu/narrow_elements.h"
#include "device/cpu/widen.h"
#include "device/operands.h"

enum { MOST_ARGS_BYTES = 512 };

typedef struct {
    mb_exec_t *exec;
    mb_number_t number;
    mb_operand_t operands[MB_MOST_OPERANDS];
    int n;
    size_t bytes;
    _Alignas(16) char args[MOST_ARGS_BYTES]; /* the operation's, as float32 */
} narrow_t;

typedef struct {
    mb_number_t number;
    int64_t count;
    const void *from;
    void *to;
} convert_t;

static void widen_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const convert_t *c = context;
    mb_span_t s = mb_span(tile, mb_elements_block(c->count), c->count);
    mb_cpu_widen(c->number, (const uint16_t *)c->from + s.begin, s.end - s.begin,
                 (float *)c->to + s.begin);
}

static void round_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const convert_t *c = context;
    mb_span_t s = mb_span(tile, mb_elements_block(c->count), c->count);
    mb_cpu_round(c->number, (const float *)c->from + s.begin, s.end - s.begin,
                 (uint16_t *)c->to + s.begin);
}

static void convert(const narrow_t *narrow, int64_t count, const void *from, void *to,
                    mb_tile_fn_t tile)
{
    convert_t c = {narrow->number, count, from, to};
    mb_cpu_tiles(narrow->exec, mb_ceil_div(count, mb_elements_block(count)), tile, &c);
}

static size_t float_bytes(const mb_operand_t *operand)
{
    return mb_round_64((size_t)operand->count * sizeof(float));
}

static void *pointer_at(const void *args, const mb_operand_t *operand)
{
    void *pointer;
    memcpy(&pointer, (const char *)args + operand->at, sizeof pointer);
    return pointer;
}

/* Puts the float32 places into the arguments, filled where they are read. */
static void widen(narrow_t *narrow, const void *args)
{
    char *place = narrow->exec->workspace;
    for (int i = 0; i < narrow->n; i++) {
        const mb_operand_t *operand = &narrow->operands[i];
        void *given = pointer_at(args, operand), *wide = place;
        place += float_bytes(operand);
        if (given == NULL)
            continue;
        if (operand->use & MB_OPERAND_READ)
            convert(narrow, operand->count, given, wide, widen_tile);
        memcpy(narrow->args + operand->at, &wide, sizeof wide);
    }
}

static void round_written(const narrow_t *narrow, const void *args)
{
    for (int i = 0; i < narrow->n; i++) {
        const mb_operand_t *operand = &narrow->operands[i];
        void *given = pointer_at(args, operand);
        if (given != NULL && (operand->use & MB_OPERAND_WRITTEN))
            convert(narrow, operand->count, pointer_at(narrow->args, operand), given, round_tile);
    }
}

/* The operation's own view of the stream: its workspace begins behind the places. */
static mb_exec_t behind(const mb_exec_t *exec, size_t bytes)
{
    mb_exec_t inner = *exec;
    inner.workspace_needed = 0;
    if (exec->workspace != NULL)
        inner.workspace = (char *)exec->workspace + bytes;
    inner.workspace_bytes = exec->workspace_bytes < bytes ? 0 : exec->workspace_bytes - bytes;
    return inner;
}

static bool is_native(const mb_exec_t *exec, mb_dtype_t type)
{
    return type == MB_BF16 && !mb_cpu_of(exec)->emulates && mb_dnnl_has_bf16();
}

bool mb_cpu_takes_narrow(const mb_exec_t *exec, mb_op_t op, const void *args)
{
    return op == MB_OP_GEMM && is_native(exec, mb_op_type(op, args)) &&
           ((const mb_gemm_args_t *)args)->wide;
}

/* A and B stay as they are, C and the bias are float32. */
static void leave_factors(narrow_t *narrow)
{
    mb_gemm_args_t *args = (mb_gemm_args_t *)(void *)narrow->args;
    int kept = 0;
    args->type = MB_BF16;
    args->wide = true;
    for (int i = 0; i < narrow->n; i++) {
        size_t at = narrow->operands[i].at;
        if (at != offsetof(mb_gemm_args_t, a) && at != offsetof(mb_gemm_args_t, b))
            narrow->operands[kept++] = narrow->operands[i];
    }
    narrow->n = kept;
}

static mb_status_t check_type(const mb_exec_t *exec, mb_op_t op, mb_dtype_t type)
{
    MB_CPU_CHECK(op, type == MB_BF16 || type == MB_F16,
                 "elements of a type it does not compute in");
    if (mb_cpu_of(exec)->emulates || is_native(exec, type))
        return MB_OK;
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "this processor does not multiply %s (%s); use --dtype fp32, or --emulate, "
                        "which rounds alike and is slow",
                        mb_dtype_name(type),
                        type == MB_BF16 ? "that needs AVX512_BF16 or AMX" : "no CPU path does");
}

static mb_status_t prepare(narrow_t *narrow, mb_op_t op, const void *args, size_t args_bytes)
{
    mb_workspace_t workspace;
    MB_CPU_CHECK(op, args_bytes <= sizeof narrow->args, "too many arguments");
    memcpy(narrow->args, args, args_bytes);
    mb_op_set_type(op, narrow->args, MB_F32);
    narrow->n = mb_op_operands(op, args, narrow->operands);
    if (op == MB_OP_GEMM && is_native(narrow->exec, mb_op_type(op, args)))
        leave_factors(narrow);
    for (int i = 0; i < narrow->n; i++) {
        MB_CPU_CHECK(op, narrow->operands[i].count >= 0, "negative size");
        narrow->bytes += float_bytes(&narrow->operands[i]);
    }
    return mb_cpu_workspace(narrow->exec, op, narrow->bytes, 0, &workspace);
}

/* What is normalised has been rounded on the way: two operations. */
static mb_status_t add_and_normalise(mb_exec_t *exec, const mb_layernorm_forward_args_t *args)
{
    mb_add_args_t add = {.type = args->type,
                         .count = args->rows * args->columns,
                         .a = args->x,
                         .b = args->residual,
                         .y = args->sum};
    mb_layernorm_forward_args_t norm = *args;
    norm.adds = false;
    norm.x = args->sum;
    MB_TRY(mb_run_add(exec, &add));
    return mb_run_layernorm_forward(exec, &norm);
}

/* What is added to, and what relu takes, has been rounded on the way: an operation for each. */
static mb_status_t normalise_with_tail(mb_exec_t *exec, const mb_batchnorm_forward_args_t *args)
{
    int64_t count = args->rows * args->channels;
    mb_batchnorm_forward_args_t norm = *args;
    mb_add_args_t add = {args->type, count, args->y, args->residual, args->y};
    mb_act_forward_args_t act = {
        .type = args->type, .count = count, .act = args->act, .x = args->y, .y = args->y};
    norm.residual = NULL;
    norm.act = MB_ACT_LINEAR;
    MB_TRY(mb_run_batchnorm_forward(exec, &norm));
    if (args->residual != NULL)
        MB_TRY(mb_run_add(exec, &add));
    return args->act == MB_ACT_LINEAR ? MB_OK : mb_run_act_forward(exec, &act);
}

static bool has_tail(const mb_batchnorm_forward_args_t *args)
{
    return args->residual != NULL || args->act != MB_ACT_LINEAR;
}

mb_status_t mb_cpu_narrow(mb_exec_t *exec, mb_op_t op, const void *args, size_t args_bytes,
                          mb_status_t (*run)(mb_exec_t *exec, const void *args))
{
    mb_dtype_t type = mb_op_type(op, args);
    MB_TRY(check_type(exec, op, type));
    if (mb_cpu_has_narrow_elements(op, args))
        return mb_cpu_narrow_elements(exec, op, args);
    if (op == MB_OP_LAYERNORM_FORWARD && ((const mb_layernorm_forward_args_t *)args)->adds)
        return add_and_normalise(exec, args);
    if (op == MB_OP_BATCHNORM_FORWARD && has_tail(args))
        return normalise_with_tail(exec, args);
    narrow_t narrow = {.exec = exec, .number = mb_number_of(type)};
    MB_TRY(prepare(&narrow, op, args, args_bytes));
    mb_exec_t inner = behind(exec, narrow.bytes);
    if (!exec->planning)
        widen(&narrow, args);
    MB_TRY(run(&inner, narrow.args));
    if (exec->planning && narrow.bytes + inner.workspace_needed > exec->workspace_needed)
        exec->workspace_needed = narrow.bytes + inner.workspace_needed;
    if (!exec->planning)
        round_written(&narrow, args);
    return MB_OK;
}
