/* See narrow_elements.h. A block is widened onto the stack, computed there in float32, and what it
 * gives is rounded once: nothing but the operands themselves goes through memory. */
#include "device/cpu/narrow_elements.h"

#include "device/cpu/activation.h"
#include "device/cpu/simd.h"
#include "device/cpu/widen.h"
#include "device/operands.h"

enum { BLOCK = 2048 };

typedef struct {
    mb_op_t op;
    mb_number_t number;
    int64_t count;
    mb_function_t act;
    const uint16_t *a, *b; /* b: NULL where the operation takes one operand */
    uint16_t *y;
} elements_t;

MB_MULTIVERSION
static void add(float *a, const float *b, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        a[i] = a[i] + b[i];
}

MB_MULTIVERSION
static void multiply(float *a, const float *b, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        a[i] = a[i] * b[i];
}

/* A becomes what the operation gives. */
static void compute(const elements_t *e, float *a, const float *b, int64_t count)
{
    if (e->op == MB_OP_ADD)
        add(a, b, count);
    else if (e->op == MB_OP_MULTIPLY)
        multiply(a, b, count);
    else if (e->op == MB_OP_ACT_FORWARD)
        mb_cpu_act_run(&e->act, a, a, count);
    else
        mb_cpu_act_run_back(&e->act, b, a, count);
}

static void elements_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const elements_t *e = context;
    mb_span_t all = mb_span(tile, mb_elements_block(e->count), e->count);
    float a[BLOCK], b[BLOCK];
    for (int64_t i = all.begin; i < all.end; i += BLOCK) {
        int64_t count = mb_min_i64(BLOCK, all.end - i);
        mb_cpu_widen(e->number, e->a + i, count, a);
        if (e->b != NULL)
            mb_cpu_widen(e->number, e->b + i, count, b);
        compute(e, a, b, count);
        mb_cpu_round(e->number, a, count, e->y + i);
    }
}

static elements_t of_sum(const mb_add_args_t *a)
{
    return (elements_t){.count = a->count, .a = a->a, .b = a->b, .y = a->y};
}

static elements_t of_product(const mb_multiply_args_t *a)
{
    return (elements_t){.count = a->count, .a = a->a, .b = a->b, .y = a->y};
}

static elements_t of_function(const mb_act_forward_args_t *a)
{
    return (elements_t){
        .count = a->count, .act = {a->act, a->p0, a->p1, a->p2}, .a = a->x, .y = a->y};
}

static elements_t of_slope(const mb_act_backward_args_t *a)
{
    return (elements_t){.count = a->count,
                        .act = {a->act, a->p0, a->p1, a->p2},
                        .a = a->dy,
                        .b = mb_act_from_value(a->act) ? a->y : a->x,
                        .y = a->dx};
}

/* A function that does not exist, and a slope without its value, are refused as in float32. */
bool mb_cpu_has_narrow_elements(mb_op_t op, const void *args)
{
    const mb_act_forward_args_t *forward = args;
    const mb_act_backward_args_t *backward = args;
    if (op == MB_OP_ACT_FORWARD)
        return forward->act != MB_ACT_LINEAR && (unsigned)forward->act < MB_ACT_COUNT;
    if (op == MB_OP_ACT_BACKWARD)
        return backward->act != MB_ACT_LINEAR && (unsigned)backward->act < MB_ACT_COUNT &&
               (mb_act_from_value(backward->act) ? backward->y : backward->x) != NULL;
    return op == MB_OP_ADD || op == MB_OP_MULTIPLY;
}

mb_status_t mb_cpu_narrow_elements(mb_exec_t *exec, mb_op_t op, const void *args)
{
    elements_t e = op == MB_OP_ADD           ? of_sum(args)
                   : op == MB_OP_MULTIPLY    ? of_product(args)
                   : op == MB_OP_ACT_FORWARD ? of_function(args)
                                             : of_slope(args);
    MB_CPU_CHECK(op, e.count >= 0, "negative count");
    e.op = op;
    e.number = mb_number_of(mb_op_type(op, args));
    if (!exec->planning)
        mb_cpu_tiles(exec, mb_ceil_div(e.count, mb_elements_block(e.count)), elements_tile, &e);
    return MB_OK;
}
