/* Counts of what was right and wrong at thresholds: states are, for each group of columns, for
 * labels that are negative and positive, how many elements exceed 0, 1 ... n thresholds. */
#ifndef MB_MODEL_METRICS_CONFUSION_H
#define MB_MODEL_METRICS_CONFUSION_H

#include "model/metrics/class.h"

typedef struct {
    double tp, fp, tn, fn;
} mb_confusion_t;

/* At the sorted thresholds 0 ... n - 1 of a group: [n]. Whoever keeps sums over all thresholds
 * comes from the last one down, as counts of larger x are part of those of smaller ones. */
typedef struct {
    const double *negative, *positive; /* [n + 1] */
    int64_t at;
    mb_confusion_t now;
} mb_confusions_t;

/* Starts past the last threshold, which nothing exceeds. */
mb_confusions_t mb_confusions_start(const mb_metric_t *metric, const double *states, int64_t group);
/* The next smaller threshold. */
void mb_confusions_step(mb_confusions_t *confusions);
mb_confusion_t mb_confusion_at(const mb_metric_t *metric, const double *states, int64_t place);

/* Sets N thresholds, which Keras takes in one of two ways: VALUES, or, if these are evenly apart or
 * NULL, by multiplication. States for GROUPS groups. */
mb_status_t mb_metric_set_thresholds(mb_metric_t *metric, mb_arena_t *arena, int64_t n,
                                     const double *values, int64_t groups);
/* Whether Keras takes them for evenly apart: all near i / (n - 1), and at least three. */
bool mb_thresholds_are_even(const double *values, int64_t n);
mb_status_t mb_metric_take_class_id(mb_config_t *config, mb_metric_t *metric);

#endif
