/* See confusion.h. Source: keras/src/metrics/metrics_utils.py. */
#include "model/metrics/confusion.h"

#include <math.h>
#include <stdlib.h>

static mb_status_t run(const mb_metric_t *metric, mb_exec_t *exec, const mb_metric_batch_t *batch,
                       double *states)
{
    const mb_metric_counts_t *of = &metric->of.counts;
    int64_t listed = of->even ? 0 : of->n;
    mb_threshold_counts_args_t args = {.type = batch->type,
                                       .rows = batch->samples * metric->rows,
                                       .valid = batch->valid * metric->rows,
                                       .columns = metric->columns,
                                       .apart = of->apart,
                                       .logits = of->logits,
                                       .even = of->even,
                                       .above_first = of->above_first,
                                       .column = of->column,
                                       .top_k = of->top_k,
                                       .n = of->n,
                                       .thresholds = of->even ? NULL : batch->constants,
                                       .column_weights =
                                           of->weighs_columns ? batch->constants + listed : NULL,
                                       .x = batch->x,
                                       .labels = mb_metric_labels(metric, batch),
                                       .weights = batch->weights,
                                       .counts = states};
    return mb_run_threshold_counts(exec, &args);
}

const mb_metric_family_t mb_metric_counts_family = {.run = run};

mb_confusions_t mb_confusions_start(const mb_metric_t *metric, const double *states, int64_t group)
{
    int64_t n = metric->of.counts.n;
    mb_confusions_t c = {.negative = states + 2 * group * (n + 1), .at = n};
    c.positive = c.negative + n + 1;
    for (int64_t b = 0; b <= n; b++) {
        c.now.tn += c.negative[b];
        c.now.fn += c.positive[b];
    }
    return c;
}

void mb_confusions_step(mb_confusions_t *confusions)
{
    double positive = confusions->positive[confusions->at];
    double negative = confusions->negative[confusions->at];
    confusions->now.tp += positive;
    confusions->now.fn -= positive;
    confusions->now.fp += negative;
    confusions->now.tn -= negative;
    confusions->at--;
}

mb_confusion_t mb_confusion_at(const mb_metric_t *metric, const double *states, int64_t place)
{
    mb_confusions_t c = mb_confusions_start(metric, states, 0);
    while (c.at > place)
        mb_confusions_step(&c);
    return c.now;
}

bool mb_thresholds_are_even(const double *values, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double even = n > 1 ? (double)((float)i / (float)(n - 1)) : 0.0;
        if (!(fabs(values[i] - even) <= 1e-7 + 1e-5 * even)) /* numpy.allclose */
            return false;
    }
    return n >= 3;
}

static int compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Where each threshold stands among the sorted ones; equal ones share a place. */
static void find_places(const double *values, const float *sorted, int64_t n, int64_t *place)
{
    for (int64_t i = 0; i < n; i++) {
        float own = (float)values[i];
        const float *found = bsearch(&own, sorted, (size_t)n, sizeof own, compare);
        place[i] = found - sorted;
    }
}

mb_status_t mb_metric_set_thresholds(mb_metric_t *metric, mb_arena_t *arena, int64_t n,
                                     const double *values, int64_t groups)
{
    mb_metric_counts_t *of = &metric->of.counts;
    int64_t *place = MB_ARENA_ARRAY(arena, int64_t, n);
    float *sorted = MB_ARENA_ARRAY(arena, float, n);
    if (place == NULL || sorted == NULL)
        return mb_error_memory("a metric's thresholds", (size_t)n * sizeof *place);
    of->n = n;
    of->even = values == NULL || mb_thresholds_are_even(values, n);
    of->place = place;
    metric->states = groups * 2 * (n + 1);
    for (int64_t i = 0; i < n; i++) {
        place[i] = i;
        sorted[i] = of->even ? 0.0f : (float)values[i];
    }
    if (of->even)
        return MB_OK;
    qsort(sorted, (size_t)n, sizeof *sorted, compare);
    find_places(values, sorted, n, place);
    metric->constants = sorted;
    metric->n_constants = n;
    return MB_OK;
}

mb_status_t mb_metric_take_class_id(mb_config_t *config, mb_metric_t *metric)
{
    return mb_config_int_or(config, "class_id", 0, metric->columns - 1, -1,
                            &metric->of.counts.column);
}
