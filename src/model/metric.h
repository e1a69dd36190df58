/* Metrics of a compiled model, from Keras' training_config.
 *
 * A metric is a number of doubles, its states, to which an operation of the device adds for each
 * micro-batch, and a value made of them in the end. So it is exact over the whole set: states are
 * summed over micro-batches, replicas and steps like losses, and no mean of means is taken. */
#ifndef MB_MODEL_METRIC_H
#define MB_MODEL_METRIC_H

#include "device/device.h"

struct mb_metric_class;

typedef struct { /* means of rows' values */
    mb_row_kind_t kind;
    bool root;
    int64_t k;
    float threshold, label_smoothing;
    bool has_ignore;
    int32_t ignore_label;
} mb_metric_rows_t;

typedef enum { MB_CURVE_ROC = 0, MB_CURVE_PR, MB_CURVE_PRGAIN } mb_curve_t;
typedef enum { MB_AREA_INTERPOLATION = 0, MB_AREA_MAJORING, MB_AREA_MINORING } mb_area_t;

typedef struct { /* confusion at thresholds */
    int64_t n;   /* thresholds */
    bool even, above_first, apart, logits;
    bool weighs_columns; /* column weights follow the thresholds among the constants */
    int64_t column, top_k;
    const int64_t *place; /* [n] where each threshold, as given, stands among the sorted ones */
    double wanted;        /* recall, precision ... that must be reached */
    mb_curve_t curve;
    mb_area_t area;
    const float *label_weights; /* [columns] of the areas; NULL: all alike */
} mb_metric_counts_t;

typedef enum {
    MB_AVERAGE_NONE = 0,
    MB_AVERAGE_UNIFORM,
    MB_AVERAGE_WEIGHTED,
    MB_AVERAGE_MICRO
} mb_average_t;

typedef struct { /* sums by column */
    mb_column_kind_t kind;
    mb_average_t average;
    float threshold;
    double beta;
    int64_t regressors;
} mb_metric_columns_t;

typedef struct { /* classes found and right */
    int64_t classes;
    mb_class_of_t x_is, label_is;
    bool whole, has_ignore;
    int32_t ignore_label;
    float threshold;
    int n_targets;
    const int64_t *targets; /* classes whose mean is taken */
} mb_metric_classes_t;

typedef struct {
    const struct mb_metric_class *class_;
    const char *name; /* Keras' */
    const char *key;  /* its name in logs: among several outputs with the output's, and unique */
    bool weighted;    /* of weighted_metrics */
    bool masked;      /* the output's mask says which rows count */
    bool counted;     /* the accuracy that the loss counts anyway: no states of its own */
    int axes;         /* of a sample of the output */
    int64_t rows, columns, label_columns; /* rows: of a sample */
    bool whole_labels;
    int64_t states;
    int64_t n_values;
    bool listed; /* Keras says a list, of however many values */
    int64_t n_constants;
    const float *constants; /* what the operation reads beside its arguments */
    union {
        mb_metric_rows_t rows;
        mb_metric_counts_t counts;
        mb_metric_columns_t columns;
        mb_metric_classes_t classes;
    } of;
} mb_metric_t;

typedef struct { /* of one output, in the order that training_config has them */
    int n;
    mb_metric_t *list;
    int64_t states, constants; /* of all together */
} mb_metrics_t;

typedef struct {
    mb_dtype_t type;
    int64_t samples, valid;
    const void *x, *labels;
    const float *weights; /* [samples * rows of a sample]; NULL: all one. Of weighted ones alone */
    const float *mask;    /* the same of the output's mask, where it has one */
    const float *constants; /* the metrics', in device memory, one after the other */
} mb_metric_batch_t;

typedef struct {      /* what a metric says, for reports */
    const char *name; /* the metric's key */
    int64_t n;
    bool listed;
    bool told;            /* the accuracy under its own name, which stands in every report anyway */
    const double *values; /* [n] */
} mb_metric_value_t;

/* Adds what the batch gives to STATES (device memory), where the metrics' stand one after the
 * other.
 */
mb_status_t mb_metrics_run(const mb_metrics_t *metrics, mb_exec_t *exec,
                           const mb_metric_batch_t *batch, double *states);
/* The n_values of one metric from its own states (host memory). */
void mb_metric_finish(const mb_metric_t *metric, const double *states, double *values);
/* All constants of the metrics, one after the other: [metrics->constants]. */
void mb_metrics_constants(const mb_metrics_t *metrics, float *out);

#endif
