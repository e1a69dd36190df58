/* See strict_shape.h. Of each operation the fields that a device's choice of kernels, and with it
 * the workspace, may depend on. Not among them: addresses, and numbers that change from step to
 * step (rates, keys of random numbers, how many rows count). */
#include "support/strict_shape.h"

#include <stddef.h>
#include <string.h>

typedef struct {
    size_t offset, bytes;
    bool at_most; /* an int64_t of which a plan serves smaller ones too: ops.h says so */
} field_t;

enum { MOST_FIELDS = 18 };

#define FIELD(name, field)                                                                         \
    {                                                                                              \
        offsetof(mb_##name##_args_t, field), sizeof(((mb_##name##_args_t *)0)->field), false       \
    }
#define AT_MOST(name, field)                                                                       \
    {                                                                                              \
        offsetof(mb_##name##_args_t, field), sizeof(int64_t), true                                 \
    }
#define MATRIX(name, m)                                                                            \
    FIELD(name, m.number), FIELD(name, m.rows), FIELD(name, m.columns), FIELD(name, m.block_rows), \
        FIELD(name, m.block_columns), FIELD(name, m.scale_number), FIELD(name, m.squared),         \
        FIELD(name, m.has_zeros), FIELD(name, m.has_row_scales)

static const field_t fields[MB_OP_COUNT][MOST_FIELDS] = {
    [MB_OP_GEMM] = {FIELD(gemm, type), FIELD(gemm, wide), FIELD(gemm, m), FIELD(gemm, n),
                    FIELD(gemm, k), FIELD(gemm, transpose_a), FIELD(gemm, transpose_b),
                    FIELD(gemm, accumulate), FIELD(gemm, lda), FIELD(gemm, ldb), FIELD(gemm, ldc),
                    FIELD(gemm, act), FIELD(gemm, inside)},
    [MB_OP_CONV_FORWARD] = {FIELD(conv_forward, type), FIELD(conv_forward, window)},
    [MB_OP_CONV_BACKWARD_INPUT] = {FIELD(conv_backward_input, type),
                                   FIELD(conv_backward_input, window)},
    [MB_OP_CONV_BACKWARD_WEIGHTS] = {FIELD(conv_backward_weights, type),
                                     FIELD(conv_backward_weights, window),
                                     FIELD(conv_backward_weights, accumulate)},
    [MB_OP_POOL_FORWARD] = {FIELD(pool_forward, type), FIELD(pool_forward, window),
                            FIELD(pool_forward, average)},
    [MB_OP_POOL_BACKWARD] = {FIELD(pool_backward, type), FIELD(pool_backward, window),
                             FIELD(pool_backward, average)},
    [MB_OP_GLOBAL_POOL_FORWARD] = {FIELD(global_pool_forward, type),
                                   FIELD(global_pool_forward, samples),
                                   FIELD(global_pool_forward, positions),
                                   FIELD(global_pool_forward, channels),
                                   FIELD(global_pool_forward, average)},
    [MB_OP_GLOBAL_POOL_BACKWARD] = {FIELD(global_pool_backward, type),
                                    FIELD(global_pool_backward, samples),
                                    FIELD(global_pool_backward, positions),
                                    FIELD(global_pool_backward, channels),
                                    FIELD(global_pool_backward, average)},
    [MB_OP_REGION_POOL_FORWARD] = {FIELD(region_pool_forward, type),
                                   FIELD(region_pool_forward, outer),
                                   FIELD(region_pool_forward, in), FIELD(region_pool_forward, out),
                                   FIELD(region_pool_forward, inner),
                                   FIELD(region_pool_forward, average)},
    [MB_OP_REGION_POOL_BACKWARD] = {FIELD(region_pool_backward, type),
                                    FIELD(region_pool_backward, outer),
                                    FIELD(region_pool_backward, in),
                                    FIELD(region_pool_backward, out),
                                    FIELD(region_pool_backward, inner),
                                    FIELD(region_pool_backward, average)},
    [MB_OP_RESAMPLE] = {FIELD(resample, type), FIELD(resample, filter), FIELD(resample, antialias),
                        FIELD(resample, transposed), FIELD(resample, outer), FIELD(resample, in),
                        FIELD(resample, out), FIELD(resample, inner)},
    [MB_OP_ACT_FORWARD] = {FIELD(act_forward, type), FIELD(act_forward, count),
                           FIELD(act_forward, act)},
    [MB_OP_ACT_BACKWARD] = {FIELD(act_backward, type), FIELD(act_backward, count),
                            FIELD(act_backward, act)},
    [MB_OP_SOFTMAX_FORWARD] = {FIELD(softmax_forward, type), FIELD(softmax_forward, rows),
                               FIELD(softmax_forward, columns), FIELD(softmax_forward, logarithm)},
    [MB_OP_SOFTMAX_BACKWARD] = {FIELD(softmax_backward, type), FIELD(softmax_backward, rows),
                                FIELD(softmax_backward, columns),
                                FIELD(softmax_backward, logarithm)},
    [MB_OP_ADD] = {FIELD(add, type), FIELD(add, count)},
    [MB_OP_MULTIPLY] = {FIELD(multiply, type), FIELD(multiply, count)},
    [MB_OP_ADD_F64] = {FIELD(add_f64, count)},
    [MB_OP_COPY_ROWS] = {FIELD(copy_rows, type), FIELD(copy_rows, rows), FIELD(copy_rows, columns),
                         FIELD(copy_rows, ld_from), FIELD(copy_rows, ld_to)},
    [MB_OP_COPY_VIEW] = {FIELD(copy_view, type), FIELD(copy_view, size),
                         FIELD(copy_view, from_stride), FIELD(copy_view, to_stride)},
    [MB_OP_CONVERT] = {FIELD(convert, type), FIELD(convert, from), FIELD(convert, count)},
    [MB_OP_COMBINE] = {FIELD(combine, count)},
    [MB_OP_FILL] = {FIELD(fill, type), FIELD(fill, count)},
    [MB_OP_ZERO] = {FIELD(zero, bytes)},
    [MB_OP_COLUMN_SUM] = {FIELD(column_sum, type), FIELD(column_sum, rows),
                          FIELD(column_sum, columns), FIELD(column_sum, accumulate)},
    [MB_OP_BATCHNORM_FORWARD] = {FIELD(batchnorm_forward, type), FIELD(batchnorm_forward, rows),
                                 FIELD(batchnorm_forward, channels),
                                 FIELD(batchnorm_forward, training),
                                 FIELD(batchnorm_forward, masks)},
    [MB_OP_BATCHNORM_BACKWARD_INPUT] = {FIELD(batchnorm_backward_input, type),
                                        FIELD(batchnorm_backward_input, rows),
                                        FIELD(batchnorm_backward_input, channels),
                                        FIELD(batchnorm_backward_input, training),
                                        FIELD(batchnorm_backward_input, masks)},
    [MB_OP_BATCHNORM_BACKWARD_WEIGHTS] = {FIELD(batchnorm_backward_weights, type),
                                          FIELD(batchnorm_backward_weights, rows),
                                          FIELD(batchnorm_backward_weights, channels),
                                          FIELD(batchnorm_backward_weights, accumulate)},
    [MB_OP_BATCHNORM_UPDATE] = {FIELD(batchnorm_update, channels)},
    [MB_OP_LAYERNORM_FORWARD] = {FIELD(layernorm_forward, type), FIELD(layernorm_forward, rows),
                                 FIELD(layernorm_forward, columns), FIELD(layernorm_forward, rms),
                                 FIELD(layernorm_forward, adds)},
    [MB_OP_LAYERNORM_BACKWARD_INPUT] = {FIELD(layernorm_backward_input, type),
                                        FIELD(layernorm_backward_input, rows),
                                        FIELD(layernorm_backward_input, columns),
                                        FIELD(layernorm_backward_input, rms)},
    [MB_OP_LAYERNORM_BACKWARD_WEIGHTS] = {FIELD(layernorm_backward_weights, type),
                                          FIELD(layernorm_backward_weights, rows),
                                          FIELD(layernorm_backward_weights, columns),
                                          FIELD(layernorm_backward_weights, rms),
                                          FIELD(layernorm_backward_weights, accumulate)},
    [MB_OP_EMBEDDING_FORWARD] = {FIELD(embedding_forward, type), FIELD(embedding_forward, count),
                                 FIELD(embedding_forward, vocabulary),
                                 FIELD(embedding_forward, width)},
    [MB_OP_EMBEDDING_BACKWARD] = {FIELD(embedding_backward, type), FIELD(embedding_backward, count),
                                  FIELD(embedding_backward, vocabulary),
                                  FIELD(embedding_backward, width),
                                  FIELD(embedding_backward, accumulate)},
    [MB_OP_ATTENTION_FORWARD] = {FIELD(attention_forward, type), FIELD(attention_forward, samples),
                                 FIELD(attention_forward, heads), FIELD(attention_forward, tq),
                                 FIELD(attention_forward, tk), FIELD(attention_forward, d),
                                 FIELD(attention_forward, dv),
                                 FIELD(attention_forward, dropout_rate),
                                 FIELD(attention_forward, causal), FIELD(attention_forward, masks)},
    [MB_OP_ATTENTION_BACKWARD] = {FIELD(attention_backward, type),
                                  FIELD(attention_backward, samples),
                                  FIELD(attention_backward, heads), FIELD(attention_backward, tq),
                                  FIELD(attention_backward, tk), FIELD(attention_backward, d),
                                  FIELD(attention_backward, dv),
                                  FIELD(attention_backward, dropout_rate),
                                  FIELD(attention_backward, causal),
                                  FIELD(attention_backward, masks)},
    [MB_OP_DROPOUT] = {FIELD(dropout, type), FIELD(dropout, samples), FIELD(dropout, elements),
                       FIELD(dropout, repeats)},
    [MB_OP_NORMAL] = {FIELD(normal, type), FIELD(normal, samples), FIELD(normal, elements)},
    [MB_OP_RNN_FORWARD] = {FIELD(rnn_forward, type), FIELD(rnn_forward, rnn.cell),
                           FIELD(rnn_forward, rnn.samples), FIELD(rnn_forward, rnn.steps),
                           FIELD(rnn_forward, rnn.units), FIELD(rnn_forward, rnn.ldy),
                           FIELD(rnn_forward, rnn.last_only), FIELD(rnn_forward, rnn.masked),
                           FIELD(rnn_forward, rnn.skips)},
    [MB_OP_RNN_BACKWARD] = {FIELD(rnn_backward, type), FIELD(rnn_backward, rnn.cell),
                            FIELD(rnn_backward, rnn.samples), FIELD(rnn_backward, rnn.steps),
                            FIELD(rnn_backward, rnn.units), FIELD(rnn_backward, rnn.ldy),
                            FIELD(rnn_backward, rnn.last_only), FIELD(rnn_backward, rnn.masked),
                            FIELD(rnn_backward, rnn.skips)},
    [MB_OP_LSTM_STEP_FORWARD] = {FIELD(lstm_step_forward, type),
                                 FIELD(lstm_step_forward, step.samples),
                                 FIELD(lstm_step_forward, step.places),
                                 FIELD(lstm_step_forward, step.units),
                                 FIELD(lstm_step_forward, step.masked),
                                 FIELD(lstm_step_forward, step.skips)},
    [MB_OP_LSTM_STEP_BACKWARD] = {FIELD(lstm_step_backward, type),
                                  FIELD(lstm_step_backward, step.samples),
                                  FIELD(lstm_step_backward, step.places),
                                  FIELD(lstm_step_backward, step.units),
                                  FIELD(lstm_step_backward, step.masked),
                                  FIELD(lstm_step_backward, step.skips)},
    [MB_OP_LOSS] = {FIELD(loss, type), FIELD(loss, kind), FIELD(loss, rows), FIELD(loss, columns)},
    [MB_OP_CIRCLE] = {FIELD(circle, type), FIELD(circle, rows), FIELD(circle, columns)},
    [MB_OP_ACCURACY] = {FIELD(accuracy, type), FIELD(accuracy, rows), FIELD(accuracy, columns),
                        FIELD(accuracy, sparse), FIELD(accuracy, binary)},
    [MB_OP_ROW_METRIC] = {FIELD(row_metric, type), FIELD(row_metric, kind), FIELD(row_metric, rows),
                          FIELD(row_metric, columns)},
    [MB_OP_THRESHOLD_COUNTS] = {FIELD(threshold_counts, type), FIELD(threshold_counts, rows),
                                FIELD(threshold_counts, columns), FIELD(threshold_counts, apart),
                                FIELD(threshold_counts, column), FIELD(threshold_counts, top_k),
                                FIELD(threshold_counts, n)},
    [MB_OP_COLUMN_METRIC] = {FIELD(column_metric, type), FIELD(column_metric, kind),
                             FIELD(column_metric, rows), FIELD(column_metric, columns)},
    [MB_OP_CLASS_COUNTS] = {FIELD(class_counts, type), FIELD(class_counts, rows),
                            FIELD(class_counts, columns), FIELD(class_counts, classes),
                            FIELD(class_counts, x_is), FIELD(class_counts, label_is)},
    [MB_OP_SUM] = {FIELD(sum, type), AT_MOST(sum, count), FIELD(sum, absolute),
                   FIELD(sum, accumulate)},
    [MB_OP_REGULARIZE] = {FIELD(regularize, type), AT_MOST(regularize, count)},
    [MB_OP_NORMS] = {FIELD(norms, table.n), FIELD(norms, table.tiles)},
    [MB_OP_CLIP] = {FIELD(clip, n), FIELD(clip, global)},
    [MB_OP_DIVIDE] = {FIELD(divide, type), FIELD(divide, count)},
    [MB_OP_UPDATE] = {FIELD(update, rule), FIELD(update, table.n), FIELD(update, table.tiles)},
    [MB_OP_CONSTRAIN] = {FIELD(constrain, limit), FIELD(constrain, outer), FIELD(constrain, axis),
                         FIELD(constrain, inner)},
    [MB_OP_STORED_GEMM] = {FIELD(stored_gemm, type), FIELD(stored_gemm, m), FIELD(stored_gemm, lda),
                           FIELD(stored_gemm, ldc), FIELD(stored_gemm, integer),
                           MATRIX(stored_gemm, b)},
    [MB_OP_STORED_CONV] = {FIELD(stored_conv, type), FIELD(stored_conv, window),
                           FIELD(stored_conv, integer), MATRIX(stored_conv, w)},
    [MB_OP_STORED_LOOKUP] = {FIELD(stored_lookup, type), FIELD(stored_lookup, count),
                             MATRIX(stored_lookup, table)},
    [MB_OP_FAKE_QUANTIZE] = {FIELD(fake_quantize, type), MATRIX(fake_quantize, format)},
    [MB_OP_PATCHES] = {FIELD(patches, window)},
    [MB_OP_MAP] = {FIELD(map, type), FIELD(map, function), FIELD(map, reduction),
                   FIELD(map, accumulate), FIELD(map, constants), FIELD(map, wide),
                   FIELD(map, axes), FIELD(map, reduced), FIELD(map, dim), FIELD(map, y_stride),
                   FIELD(map, stride)},
    [MB_OP_DIGITIZE] = {FIELD(digitize, type), FIELD(digitize, count), FIELD(digitize, n)},
    [MB_OP_LOOKUP] = {FIELD(lookup, count), FIELD(lookup, n), FIELD(lookup, rule)},
    [MB_OP_ENCODE] = {FIELD(encode, type), FIELD(encode, rows), FIELD(encode, columns),
                      FIELD(encode, depth), FIELD(encode, counts)},
    [MB_OP_DRAW] = {FIELD(draw, type), FIELD(draw, draw), FIELD(draw, samples), FIELD(draw, in),
                    FIELD(draw, out)},
    [MB_OP_AFFINE] = {FIELD(affine, type), FIELD(affine, outside), FIELD(affine, nearest),
                      FIELD(affine, transposed), FIELD(affine, samples), FIELD(affine, planes),
                      FIELD(affine, in), FIELD(affine, out), FIELD(affine, inner)},
    [MB_OP_HOST] = {FIELD(host, type), FIELD(host, function), FIELD(host, rows),
                    FIELD(host, n_reads), FIELD(host, n_writes), FIELD(host, n_sums),
                    FIELD(host, read_columns), FIELD(host, write_columns),
                    FIELD(host, sum_columns)},
};

bool strict_shape_is_known(mb_op_t op)
{
    return fields[op][0].bytes > 0;
}

static bool serves(const field_t *field, const void *planned, const void *wanted)
{
    const char *a = (const char *)planned + field->offset,
               *b = (const char *)wanted + field->offset;
    int64_t most, count;
    if (!field->at_most)
        return memcmp(a, b, field->bytes) == 0;
    memcpy(&most, a, sizeof most);
    memcpy(&count, b, sizeof count);
    return count <= most;
}

bool strict_shape_serves(mb_op_t op, const void *planned, const void *wanted)
{
    for (int i = 0; i < MOST_FIELDS && fields[op][i].bytes > 0; i++) {
        if (!serves(&fields[op][i], planned, wanted))
            return false;
    }
    return true;
}
