/* Losses and metrics of a compiled model, from Keras' training_config.
 *
 * The loss of a step is sum over outputs of weight * (sum of row losses) / rows, where rows counts
 * every position of the whole global batch: the divisor is known before the first backward. Where
 * Keras divides by something else (labels that are not ignored, the sum of the sample weights), the
 * weights of the rows carry what makes that of it: see engine/row_weights.h. */
#ifndef MB_MODEL_LOSS_H
#define MB_MODEL_LOSS_H

#include <mb/plugin.h>

#include "model/graph.h"
#include "model/metric.h"

typedef struct {
    mb_loss_kind_t kind;
    const mb_plugin_loss_t *plugin; /* computes it instead; the kind tells the form of its labels */
    const void *settings;           /* the plugin's own */
    mb_arena_t *arena;              /* for what lives as long as the loss */
    float p0, p1, p2;               /* as the kind says: device/ops.h */
    bool sum;                       /* reduction "sum": no divisor. Default: sum_over_batch_size */
    bool by_weight; /* reduction "mean_with_sample_weight": divided by the sum of the weights */
    float label_smoothing;
    bool has_ignore;
    int32_t ignore_label;
    int n_axes; /* 0: all, the batch's too */
    int axes[MB_MAX_RANK];
    bool weighted; /* rows have weights: of the data, of classes, of labels that are ignored, of a
                      mask */
    bool masked;   /* the output has a mask: one of a value of the loss counts or not */
    float weight;  /* loss_weights */
    const char *name; /* Keras' name, for messages and files */
    bool accuracy;    /* a match is counted: asked for, or a classification loss */
    const char
        *accuracy_name; /* its name in Keras' logs: "accuracy" where not asked for otherwise */
    bool binary;        /* accuracy compares against a threshold */
    float threshold;
    bool sparse; /* labels are int32 [rows] */
    /* from the output's shape: */
    int64_t rows;           /* of a sample: all its axes but the last */
    int64_t columns;        /* the last axis */
    int64_t merged;         /* rows that one value of the loss spans: 1 where it is over the last
                               axis */
    bool whole;             /* one value of all rows of a batch */
    bool compares;          /* a sample's value is of all samples of the batch: Circle */
    mb_shape_t label_shape; /* of one sample */
    mb_metrics_t metrics;   /* those asked for */
} mb_loss_t;

/* One loss per model output, in graph->outputs order. training_config may be NULL (an uncompiled
 * model): then LOSS_NAME (or NULL: refused with a hint to --loss) serves every output. A LOSS_NAME
 * beside a training_config replaces the losses of the file and keeps the rest. LOSS_NAME may carry
 * settings: "sparse_categorical_crossentropy:from_logits=true". Accuracy is always computed where
 * it makes sense (classification losses). Bound graph needed. Allocated in the graph's arena.
 *
 * Refused: reduction "none"; an output without a loss. */
mb_status_t mb_losses_create(const mb_graph_t *graph, const json_t *training_config,
                             const char *loss_name, const char *where, mb_loss_t **out);

/* Values of the loss a sample has, which sample weights weigh and the mean is taken over. */
int64_t mb_loss_values(const mb_loss_t *loss);

/* Whether both compute the same of a row. */
bool mb_loss_is_same(const mb_loss_t *a, const mb_loss_t *b);

/* A loss that is one value of a whole batch, or whose values are of all of its samples, can be had
 * only where a micro-batch holds it: MB_ERR_UNSUPPORTED, with what to do, otherwise. OUTPUT: its
 * name. */
mb_status_t mb_loss_check_micro(const mb_loss_t *loss, const char *output, int64_t batch,
                                int64_t micro_batch);

/* Whether labels of this shape (one sample) fit: label_shape, or the same with one axis of length 1
 * more or less behind, as Keras allows. The elements and their order are the same. */
bool mb_loss_accepts_labels(const mb_loss_t *loss, const mb_shape_t *sample);

/* Adds this micro-batch's row losses, without the output's weight, to *sum and writes the gradient
 * of (weight / divisor) * loss into dx (NULL: none). The output's part of the step's loss is weight
 * * *sum / divisor. divisor: values of the global batch (1 for "sum"). weights: of the samples'
 * values; NULL: all one. correct: += matches; NULL: not wanted. The accuracy is *correct / rows. */
mb_status_t mb_loss_run(const mb_loss_t *loss, mb_exec_t *exec, mb_dtype_t type, int64_t samples,
                        int64_t valid, double divisor, const void *x, const void *labels,
                        const float *weights, void *dx, double *sum, double *correct);

#endif
