/* Losses and metrics of a compiled model, from Keras' training_config.
 *
 * The loss of a step is sum over outputs of weight * (sum of row losses) / rows, where rows counts
 * every position of the whole global batch: the divisor is known before the first backward. */
#ifndef MB_MODEL_LOSS_H
#define MB_MODEL_LOSS_H

#include "model/graph.h"

typedef struct {
    mb_loss_kind_t kind;
    bool sum; /* reduction "sum": no divisor. Default: sum_over_batch_size */
    float label_smoothing;
    bool has_ignore; /* only with reduction "sum", see mb_losses_create */
    int32_t ignore_label;
    float weight;     /* loss_weights */
    const char *name; /* Keras' name, for messages and files */
    bool accuracy;    /* a match is counted: asked for, or a classification loss */
    const char
        *accuracy_name; /* its name in Keras' logs: "accuracy" where not asked for otherwise */
    bool binary;        /* accuracy compares against a threshold */
    float threshold;
    bool sparse; /* labels are int32 [rows] */
    /* from the output's shape: */
    int64_t rows; /* a sample has this many loss rows */
    int64_t columns;
    mb_shape_t label_shape; /* of one sample */
} mb_loss_t;

/* One loss per model output, in graph->outputs order. training_config may be NULL (an uncompiled
 * model): then LOSS_NAME (or NULL: refused with a hint to --loss) serves every output. A LOSS_NAME
 * beside a training_config replaces the losses of the file and keeps the rest. LOSS_NAME may carry
 * settings: "sparse_categorical_crossentropy:from_logits=true". Accuracy is always computed where
 * it makes sense (classification losses). Bound graph needed. Allocated in the graph's arena.
 *
 * Refused: ignore_class under a mean, because Keras leaves the ignored rows out of the divisor,
 * which then depends on the labels; reduction "none"; an output without a loss. */
mb_status_t mb_losses_create(const mb_graph_t *graph, const json_t *training_config,
                             const char *loss_name, const char *where, mb_loss_t **out);

/* Whether labels of this shape (one sample) fit: label_shape, or the same with one axis of length 1
 * more or less behind, as Keras allows. The elements and their order are the same. */
bool mb_loss_accepts_labels(const mb_loss_t *loss, const mb_shape_t *sample);

/* Adds this micro-batch's row losses, without the output's weight, to *sum and writes the gradient
 * of (weight / divisor) * loss into dx (NULL: none). The output's part of the step's loss is weight
 * * *sum / divisor. divisor: rows of the global batch (1 for "sum"). correct: += matches; NULL: not
 * wanted. The accuracy is *correct / rows. */
mb_status_t mb_loss_run(const mb_loss_t *loss, mb_exec_t *exec, mb_dtype_t type, int64_t samples,
                        int64_t valid, double divisor, const void *x, const void *labels, void *dx,
                        double *sum, double *correct);

#endif
