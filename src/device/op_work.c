/* See op_work.h. */
#include "device/op_work.h"

#include "device/operands.h"

/* ---- products */

static double product(double m, double n, double k)
{
    return 2 * m * n * k;
}

static double window_product(const mb_window_t *w)
{
    double outputs = (double)w->samples * (double)mb_window_out(w) * (double)w->channels_out;
    return 2 * outputs * (double)mb_window_taps(w) * (double)w->channels_in / (double)w->groups;
}

/* Pairs of a query and a key that it sees. A mask may hide more. */
static double pairs(int64_t samples, int64_t heads, int64_t tq, int64_t tk, bool causal)
{
    double q = (double)tq, k = (double)tk, all = q * k;
    if (causal)
        all = q <= k ? q * (q + 1) / 2 : k * (k + 1) / 2 + (q - k) * k;
    return (double)samples * (double)heads * all;
}

static double recurrent(const mb_rnn_t *r)
{
    double rows = (double)r->samples * (double)r->steps, units = (double)r->units;
    return product(rows, (double)mb_rnn_gates(r->cell) * units, units);
}

/* Backward computes the scores again, and gradients of both products. */
static double attention(mb_op_t op, const void *args)
{
    if (op == MB_OP_ATTENTION_FORWARD) {
        const mb_attention_forward_args_t *a = args;
        return 2 * pairs(a->samples, a->heads, a->tq, a->tk, a->causal) * (double)(a->d + a->dv);
    }
    const mb_attention_backward_args_t *a = args;
    return 2 * pairs(a->samples, a->heads, a->tq, a->tk, a->causal) *
           (double)(3 * a->d + 2 * a->dv);
}

static double flops_of(mb_op_t op, const void *args)
{
    const mb_gemm_args_t *gemm = args;
    const mb_stored_gemm_args_t *stored = args;
    switch (op) {
    case MB_OP_GEMM:
        return product((double)gemm->m, (double)gemm->n, (double)gemm->k);
    case MB_OP_STORED_GEMM:
        return product((double)stored->m, (double)stored->b.rows, (double)stored->b.columns);
    case MB_OP_CONV_FORWARD:
        return window_product(&((const mb_conv_forward_args_t *)args)->window);
    case MB_OP_CONV_BACKWARD_INPUT:
        return window_product(&((const mb_conv_backward_input_args_t *)args)->window);
    case MB_OP_CONV_BACKWARD_WEIGHTS:
        return window_product(&((const mb_conv_backward_weights_args_t *)args)->window);
    case MB_OP_STORED_CONV:
        return window_product(&((const mb_stored_conv_args_t *)args)->window);
    case MB_OP_RNN_FORWARD:
        return recurrent(&((const mb_rnn_forward_args_t *)args)->rnn);
    case MB_OP_RNN_BACKWARD:
        return recurrent(&((const mb_rnn_backward_args_t *)args)->rnn);
    case MB_OP_ATTENTION_FORWARD:
    case MB_OP_ATTENTION_BACKWARD:
        return attention(op, args);
    default:
        return 0;
    }
}

/* ---- bytes */

static double elements_of(const mb_table_t *table)
{
    double count = 0;
    for (int64_t i = 0; i < table->n; i++)
        count += (double)table->tensors[i].count;
    return count;
}

/* Gradients are read, weights and moments are read and written. */
static double update_bytes(const mb_table_t *table)
{
    double bytes = 0;
    for (int64_t i = 0; i < table->n; i++) {
        const mb_tensor_t *t = &table->tensors[i];
        int moments = (t->s0 != NULL) + (t->s1 != NULL) + (t->s2 != NULL);
        bytes += (double)t->count * (double)sizeof(float) * (3 + 2 * moments);
    }
    return bytes;
}

static double view_bytes(const mb_copy_view_args_t *a)
{
    double count = 1;
    for (int d = 0; d < MB_VIEW_AXES; d++)
        count *= (double)a->size[d];
    return 2 * count * (double)mb_dtype_bytes(a->type);
}

static double table_bytes(mb_op_t op, const void *args)
{
    if (op == MB_OP_UPDATE)
        return update_bytes(&((const mb_update_args_t *)args)->table);
    if (op == MB_OP_NORMS)
        return (double)sizeof(float) * elements_of(&((const mb_norms_args_t *)args)->table);
    return 0;
}

/* Of those without operands of a type of their own. */
static double plain_bytes(mb_op_t op, const void *args)
{
    const mb_copy_rows_args_t *rows = args;
    const mb_convert_args_t *convert = args;
    const mb_combine_args_t *combine = args;
    switch (op) {
    case MB_OP_ADD_F64:
        return 3 * (double)sizeof(double) * (double)((const mb_add_f64_args_t *)args)->count;
    case MB_OP_COPY_ROWS:
        return 2 * (double)rows->rows * (double)rows->columns * (double)mb_dtype_bytes(rows->type);
    case MB_OP_COPY_VIEW:
        return view_bytes(args);
    case MB_OP_CONVERT:
        return (double)convert->count *
               (double)(mb_dtype_bytes(convert->type) + mb_dtype_bytes(convert->from));
    case MB_OP_ZERO:
        return (double)((const mb_zero_args_t *)args)->bytes;
    case MB_OP_COMBINE:
        return (double)combine->count * (double)sizeof(float) * (combine->b == NULL ? 2 : 3);
    default:
        return 0;
    }
}

static const void *pointer_at(const void *args, size_t at)
{
    return *(const void *const *)(const void *)((const char *)args + at);
}

/* Operands that are not given take no time. */
static double operand_bytes(mb_op_t op, const void *args)
{
    mb_operand_t operands[MB_MOST_OPERANDS];
    double size = (double)mb_dtype_bytes(mb_op_type(op, args)), bytes = 0;
    int n = mb_op_operands(op, args, operands);
    for (int i = 0; i < n; i++) {
        int times = operands[i].use == MB_OPERAND_BOTH ? 2 : 1;
        if (pointer_at(args, operands[i].at) != NULL)
            bytes += times * size * (double)operands[i].count;
    }
    return bytes;
}

mb_work_t mb_op_work(mb_op_t op, const void *args, bool visible)
{
    mb_work_t work = {.flops = flops_of(op, args)};
    if (op == MB_OP_UPDATE || op == MB_OP_NORMS)
        work.bytes = visible ? table_bytes(op, args) : 0;
    else
        work.bytes = operand_bytes(op, args) + plain_bytes(op, args);
    return work;
}
