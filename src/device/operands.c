/* See operands.h. Every typed operation's arguments begin with the type. An operation that has
 * neither OPERANDS nor NO_OPERANDS here does not compile: the table names them all. */
#include "device/operands.h"

#include <string.h>

typedef struct {
    mb_operand_t *operands;
    int n;
} list_t;

static void add(list_t *list, size_t at, mb_operand_use_t use, int64_t count)
{
    list->operands[list->n++] = (mb_operand_t){at, use, count};
}

#define READ(op, member, count)                                                                    \
    add(list, offsetof(mb_##op##_args_t, member), MB_OPERAND_READ, (count))
#define WRITTEN(op, member, count)                                                                 \
    add(list, offsetof(mb_##op##_args_t, member), MB_OPERAND_WRITTEN, (count))
#define BOTH(op, member, count)                                                                    \
    add(list, offsetof(mb_##op##_args_t, member), MB_OPERAND_BOTH, (count))
#define OPERANDS(op)                                                                               \
    _Static_assert(offsetof(mb_##op##_args_t, type) == 0, #op " begins with its type");            \
    static void operands_of_##op(const mb_##op##_args_t *a, list_t *list);                         \
    static void any_##op(const void *args, list_t *list)                                           \
    {                                                                                              \
        operands_of_##op(args, list);                                                              \
    }                                                                                              \
    static void operands_of_##op(const mb_##op##_args_t *a, list_t *list)
/* A null pointer in the table. */
#define NO_OPERANDS(op) enum { any_##op = 0 }

/* Elements from the first to the last of ROWS rows that stand LD apart. */
static int64_t spanned(int64_t rows, int64_t columns, int64_t ld)
{
    return rows == 0 || columns == 0 ? 0 : (rows - 1) * ld + columns;
}

static int64_t inputs_of(const mb_window_t *w)
{
    return w->samples * mb_window_in(w) * w->channels_in;
}

static int64_t outputs_of(const mb_window_t *w)
{
    return w->samples * mb_window_out(w) * w->channels_out;
}

static int64_t weights_of(const mb_window_t *w)
{
    return mb_window_taps(w) * (w->channels_in / w->groups) * w->channels_out;
}

/* What lies between the rows of a wider matrix is not the operation's to write. */
OPERANDS(gemm)
{
    READ(gemm, a, a->transpose_a ? spanned(a->k, a->m, a->lda) : spanned(a->m, a->k, a->lda));
    READ(gemm, b, a->transpose_b ? spanned(a->n, a->k, a->ldb) : spanned(a->k, a->n, a->ldb));
    if (a->wide)
        return;
    READ(gemm, bias, a->n);
    if (a->accumulate || a->ldc > a->n)
        BOTH(gemm, c, spanned(a->m, a->n, a->ldc));
    else
        WRITTEN(gemm, c, spanned(a->m, a->n, a->ldc));
    if (a->act != MB_ACT_LINEAR)
        WRITTEN(gemm, pre, a->m * a->n);
}

OPERANDS(conv_forward)
{
    READ(conv_forward, x, inputs_of(&a->window));
    READ(conv_forward, w, weights_of(&a->window));
    READ(conv_forward, bias, a->window.channels_out);
    WRITTEN(conv_forward, y, outputs_of(&a->window));
    if (a->act.act != MB_ACT_LINEAR)
        WRITTEN(conv_forward, pre, outputs_of(&a->window));
}

OPERANDS(conv_backward_input)
{
    READ(conv_backward_input, dy, outputs_of(&a->window));
    READ(conv_backward_input, w, weights_of(&a->window));
    READ(conv_backward_input, bias, a->window.channels_in);
    READ(conv_backward_input, cut, inputs_of(&a->window));
    WRITTEN(conv_backward_input, dx, inputs_of(&a->window));
}

OPERANDS(conv_backward_weights)
{
    READ(conv_backward_weights, x, inputs_of(&a->window));
    READ(conv_backward_weights, dy, outputs_of(&a->window));
}

OPERANDS(pool_forward)
{
    READ(pool_forward, x, inputs_of(&a->window));
    WRITTEN(pool_forward, y, outputs_of(&a->window));
}

OPERANDS(pool_backward)
{
    READ(pool_backward, x, inputs_of(&a->window));
    READ(pool_backward, y, outputs_of(&a->window));
    READ(pool_backward, dy, outputs_of(&a->window));
    WRITTEN(pool_backward, dx, inputs_of(&a->window));
}

OPERANDS(global_pool_forward)
{
    READ(global_pool_forward, x, a->samples * a->positions * a->channels);
    WRITTEN(global_pool_forward, y, a->samples * a->channels);
}

OPERANDS(global_pool_backward)
{
    READ(global_pool_backward, x, a->samples * a->positions * a->channels);
    READ(global_pool_backward, y, a->samples * a->channels);
    READ(global_pool_backward, dy, a->samples * a->channels);
    WRITTEN(global_pool_backward, dx, a->samples * a->positions * a->channels);
}

OPERANDS(region_pool_forward)
{
    READ(region_pool_forward, x, a->outer * a->in * a->inner);
    WRITTEN(region_pool_forward, y, a->outer * a->out * a->inner);
}

OPERANDS(region_pool_backward)
{
    READ(region_pool_backward, x, a->outer * a->in * a->inner);
    READ(region_pool_backward, y, a->outer * a->out * a->inner);
    READ(region_pool_backward, dy, a->outer * a->out * a->inner);
    WRITTEN(region_pool_backward, dx, a->outer * a->in * a->inner);
}

OPERANDS(resample)
{
    READ(resample, x, a->outer * (a->transposed ? a->out : a->in) * a->inner);
    WRITTEN(resample, y, a->outer * (a->transposed ? a->in : a->out) * a->inner);
}

OPERANDS(act_forward)
{
    READ(act_forward, x, a->count);
    WRITTEN(act_forward, y, a->count);
}

OPERANDS(act_backward)
{
    READ(act_backward, x, a->count);
    READ(act_backward, y, a->count);
    READ(act_backward, dy, a->count);
    WRITTEN(act_backward, dx, a->count);
}

OPERANDS(softmax_forward)
{
    READ(softmax_forward, x, a->rows * a->columns);
    WRITTEN(softmax_forward, y, a->rows * a->columns);
}

OPERANDS(softmax_backward)
{
    READ(softmax_backward, y, a->rows * a->columns);
    READ(softmax_backward, dy, a->rows * a->columns);
    WRITTEN(softmax_backward, dx, a->rows * a->columns);
}

OPERANDS(add)
{
    READ(add, a, a->count);
    READ(add, b, a->count);
    WRITTEN(add, y, a->count);
}

OPERANDS(multiply)
{
    READ(multiply, a, a->count);
    READ(multiply, b, a->count);
    WRITTEN(multiply, y, a->count);
}

OPERANDS(fill)
{
    WRITTEN(fill, y, a->count);
}

OPERANDS(column_sum)
{
    READ(column_sum, a, a->rows * a->columns);
}

OPERANDS(batchnorm_forward)
{
    READ(batchnorm_forward, x, a->rows * a->channels);
    WRITTEN(batchnorm_forward, y, a->rows * a->channels);
    if (a->masks > 0)
        READ(batchnorm_forward, mask, a->rows * a->masks);
    if (a->residual != NULL)
        READ(batchnorm_forward, residual, a->rows * a->channels);
}

OPERANDS(batchnorm_backward_input)
{
    READ(batchnorm_backward_input, x, a->rows * a->channels);
    READ(batchnorm_backward_input, dy, a->rows * a->channels);
    WRITTEN(batchnorm_backward_input, dx, a->rows * a->channels);
    if (a->masks > 0)
        READ(batchnorm_backward_input, mask, a->rows * a->masks);
}

OPERANDS(batchnorm_backward_weights)
{
    READ(batchnorm_backward_weights, x, a->rows * a->channels);
    READ(batchnorm_backward_weights, dy, a->rows * a->channels);
}

OPERANDS(layernorm_forward)
{
    READ(layernorm_forward, x, a->rows * a->columns);
    WRITTEN(layernorm_forward, y, a->rows * a->columns);
    if (!a->adds)
        return;
    READ(layernorm_forward, residual, a->rows * a->columns);
    WRITTEN(layernorm_forward, sum, a->rows * a->columns);
}

OPERANDS(layernorm_backward_input)
{
    READ(layernorm_backward_input, x, a->rows * a->columns);
    READ(layernorm_backward_input, dy, a->rows * a->columns);
    WRITTEN(layernorm_backward_input, dx, a->rows * a->columns);
}

OPERANDS(layernorm_backward_weights)
{
    READ(layernorm_backward_weights, x, a->rows * a->columns);
    READ(layernorm_backward_weights, dy, a->rows * a->columns);
}

OPERANDS(embedding_forward)
{
    WRITTEN(embedding_forward, y, a->count * a->width);
}

OPERANDS(embedding_backward)
{
    READ(embedding_backward, dy, a->count * a->width);
}

OPERANDS(attention_forward)
{
    int64_t queries = a->samples * a->tq * a->heads, keys = a->samples * a->tk * a->heads;
    READ(attention_forward, q, queries * a->d);
    READ(attention_forward, k, keys * a->d);
    READ(attention_forward, v, keys * a->dv);
    if (a->masks > 0)
        READ(attention_forward, mask, a->samples * a->masks * a->tq * a->tk);
    WRITTEN(attention_forward, out, queries * a->dv);
}

OPERANDS(attention_backward)
{
    int64_t queries = a->samples * a->tq * a->heads, keys = a->samples * a->tk * a->heads;
    READ(attention_backward, q, queries * a->d);
    READ(attention_backward, k, keys * a->d);
    READ(attention_backward, v, keys * a->dv);
    READ(attention_backward, out, queries * a->dv);
    READ(attention_backward, dout, queries * a->dv);
    if (a->masks > 0)
        READ(attention_backward, mask, a->samples * a->masks * a->tq * a->tk);
    WRITTEN(attention_backward, dq, queries * a->d);
    WRITTEN(attention_backward, dk, keys * a->d);
    WRITTEN(attention_backward, dv_, keys * a->dv);
}

OPERANDS(dropout)
{
    READ(dropout, x, mb_dropout_runs(a) * a->elements);
    WRITTEN(dropout, y, mb_dropout_runs(a) * a->elements);
}

OPERANDS(normal)
{
    WRITTEN(normal, y, a->samples * a->elements);
}

OPERANDS(rnn_forward)
{
    const mb_rnn_t *r = &a->rnn;
    int64_t positions = r->samples * r->steps;
    int64_t y = spanned(mb_rnn_rows(r), r->units, r->ldy);
    READ(rnn_forward, u, mb_rnn_gates(r->cell) * r->units * r->units);
    if (a->rnn.skips)
        READ(rnn_forward, present, positions);
    WRITTEN(rnn_forward, previous, mb_rnn_parts(r) * positions * r->units);
    for (int i = 0; i < 2; i++) {
        READ(rnn_forward, before[i], r->samples * r->units);
        WRITTEN(rnn_forward, after[i], r->samples * r->units);
    }
    if (r->ldy > r->units)
        BOTH(rnn_forward, y, y);
    else
        WRITTEN(rnn_forward, y, y);
}

OPERANDS(rnn_backward)
{
    const mb_rnn_t *r = &a->rnn;
    int64_t gates = mb_rnn_gates(r->cell) * r->units;
    READ(rnn_backward, u, gates * r->units);
    if (a->rnn.skips)
        READ(rnn_backward, present, r->samples * r->steps);
    READ(rnn_backward, dy, spanned(mb_rnn_rows(r), r->units, r->ldy));
    WRITTEN(rnn_backward, dgates, r->samples * r->steps * gates);
    for (int i = 0; i < 2; i++) {
        READ(rnn_backward, before[i], r->samples * r->units);
        READ(rnn_backward, dafter[i], r->samples * r->units);
        WRITTEN(rnn_backward, dbefore[i], r->samples * r->units);
    }
    if (r->cell == MB_CELL_GRU)
        WRITTEN(rnn_backward, drecurrent, r->samples * r->steps * gates);
}

/* Of the arrays of all steps one step reads and writes a part. */
OPERANDS(lstm_step_forward)
{
    const mb_lstm_step_t *s = &a->step;
    int64_t states = s->samples * s->places * s->units, factors = mb_lstm_factors(s);
    for (int i = 0; i < 2; i++)
        READ(lstm_step_forward, before[i], states);
    READ(lstm_step_forward, product, 4 * states);
    BOTH(lstm_step_forward, gates, 4 * states * s->steps);
    BOTH(lstm_step_forward, previous, factors * states * s->steps);
    WRITTEN(lstm_step_forward, factor, factors * states);
    BOTH(lstm_step_forward, h, spanned(s->samples, s->places * s->units, a->ldh));
    WRITTEN(lstm_step_forward, c, states);
    if (!s->skips)
        return;
    READ(lstm_step_forward, present, s->samples * s->steps);
    BOTH(lstm_step_forward, held, states);
}

OPERANDS(lstm_step_backward)
{
    const mb_lstm_step_t *s = &a->step;
    int64_t states = s->samples * s->places * s->units, factors = mb_lstm_factors(s);
    for (int i = 0; i < 2; i++) {
        READ(lstm_step_backward, before[i], states);
        WRITTEN(lstm_step_backward, dbefore[i], states);
    }
    READ(lstm_step_backward, dfactor, factors * states);
    READ(lstm_step_backward, dh, spanned(s->samples, s->places * s->units, a->ldh));
    READ(lstm_step_backward, dc, states);
    READ(lstm_step_backward, dlast, states);
    if (s->skips)
        READ(lstm_step_backward, present, s->samples * s->steps);
    READ(lstm_step_backward, gates, 4 * states * s->steps);
    BOTH(lstm_step_backward, dgates, 4 * states * s->steps);
    WRITTEN(lstm_step_backward, dproduct, 4 * states);
}

OPERANDS(loss)
{
    READ(loss, x, a->rows * a->columns);
    WRITTEN(loss, dx, a->rows * a->columns);
}

OPERANDS(circle)
{
    READ(circle, x, a->rows * a->columns);
    WRITTEN(circle, dx, a->rows * a->columns);
}

OPERANDS(accuracy)
{
    READ(accuracy, x, a->rows * a->columns);
}

OPERANDS(row_metric)
{
    READ(row_metric, x, a->rows * a->columns);
}

OPERANDS(threshold_counts)
{
    READ(threshold_counts, x, a->rows * a->columns);
}

OPERANDS(column_metric)
{
    READ(column_metric, x, a->rows * a->columns);
}

OPERANDS(class_counts)
{
    READ(class_counts, x, a->rows * a->columns);
}

OPERANDS(sum)
{
    READ(sum, x, a->count);
}

OPERANDS(divide)
{
    BOTH(divide, x, a->count);
}

OPERANDS(regularize)
{
    READ(regularize, w, a->count);
    BOTH(regularize, g, a->count);
}

OPERANDS(stored_gemm)
{
    READ(stored_gemm, a, spanned(a->m, a->b.rows, a->lda));
    if (a->ldc > a->b.columns)
        BOTH(stored_gemm, c, spanned(a->m, a->b.columns, a->ldc));
    else
        WRITTEN(stored_gemm, c, spanned(a->m, a->b.columns, a->ldc));
}

OPERANDS(stored_conv)
{
    READ(stored_conv, x, inputs_of(&a->window));
    WRITTEN(stored_conv, y, outputs_of(&a->window));
}

OPERANDS(stored_lookup)
{
    WRITTEN(stored_lookup, y, a->count * a->table.columns);
}

OPERANDS(fake_quantize)
{
    WRITTEN(fake_quantize, y, a->format.rows * a->format.columns);
}

/* Elements from the first to the last that an operand touches. */
static int64_t reached(int axes, const int64_t *dim, const int64_t *stride)
{
    int64_t last = 0;
    for (int d = 0; d < axes; d++) {
        if (dim[d] == 0)
            return 0;
        last += (dim[d] - 1) * stride[d];
    }
    return last + 1;
}

OPERANDS(map)
{
    int kept = a->axes - a->reduced;
    int64_t results = reached(kept, a->dim, a->y_stride);
    for (int i = 0; i < mb_map_inputs(a->function); i++) {
        if (!((a->constants | a->wide) >> i & 1))
            READ(map, x[i], reached(a->axes, a->dim, a->stride[i]));
    }
    if (a->wide & MB_MAP_WIDE_Y)
        return;
    if (a->accumulate || results > mb_map_kept(a))
        BOTH(map, y, results);
    else
        WRITTEN(map, y, results);
}

OPERANDS(digitize)
{
    READ(digitize, x, a->count);
}

OPERANDS(encode)
{
    WRITTEN(encode, y, a->rows * a->depth);
}

OPERANDS(draw)
{
    if (a->draw == MB_DRAW_NUMBER)
        WRITTEN(draw, y, a->samples);
}

OPERANDS(affine)
{
    const int64_t *from = a->transposed ? a->out : a->in, *to = a->transposed ? a->in : a->out;
    int64_t images = a->samples * a->planes * a->inner;
    READ(affine, x, images * from[0] * from[1]);
    WRITTEN(affine, y, images * to[0] * to[1]);
}

OPERANDS(host)
{
    for (int i = 0; i < a->n_reads; i++) {
        if (a->read_columns[i] > 0 && !(a->wide >> i & 1))
            READ(host, reads[i], a->rows * a->read_columns[i]);
    }
    for (int i = 0; i < a->n_writes; i++)
        WRITTEN(host, writes[i], a->rows * a->write_columns[i]);
}

NO_OPERANDS(add_f64);
NO_OPERANDS(copy_rows);
NO_OPERANDS(copy_view);
NO_OPERANDS(convert);
NO_OPERANDS(zero);
NO_OPERANDS(batchnorm_update);
NO_OPERANDS(norms);
NO_OPERANDS(clip);
NO_OPERANDS(update);
NO_OPERANDS(trust);
NO_OPERANDS(factor);
NO_OPERANDS(combine);
NO_OPERANDS(constrain);
NO_OPERANDS(patches);
NO_OPERANDS(lookup);

typedef void (*lister_t)(const void *args, list_t *list);
static const lister_t operands_of[MB_OP_COUNT] = {
#define ENTRY(NAME, name) [MB_OP_##NAME] = (lister_t)any_##name,
    MB_OP_LIST(ENTRY)
#undef ENTRY
};

mb_dtype_t mb_op_type(mb_op_t op, const void *args)
{
    mb_dtype_t type = MB_F32;
    if (operands_of[op] != NULL)
        memcpy(&type, args, sizeof type);
    return type;
}

void mb_op_set_type(mb_op_t op, void *args, mb_dtype_t type)
{
    if (operands_of[op] != NULL)
        memcpy(args, &type, sizeof type);
}

int mb_op_operands(mb_op_t op, const void *args, mb_operand_t operands[MB_MOST_OPERANDS])
{
    list_t list = {.operands = operands};
    if (operands_of[op] != NULL)
        operands_of[op](args, &list);
    return list.n;
}

bool mb_op_draws(mb_op_t op, const void *args)
{
    if (op == MB_OP_DRAW)
        return true;
    if (op == MB_OP_DROPOUT)
        return ((const mb_dropout_args_t *)args)->rate > 0;
    if (op == MB_OP_NORMAL)
        return ((const mb_normal_args_t *)args)->deviation > 0;
    if (op == MB_OP_ATTENTION_FORWARD)
        return ((const mb_attention_forward_args_t *)args)->dropout_rate > 0;
    if (op == MB_OP_ATTENTION_BACKWARD)
        return ((const mb_attention_backward_args_t *)args)->dropout_rate > 0;
    return false;
}
