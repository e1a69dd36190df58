/* The area under a curve that thresholds trace: true over false positive rate, precision over
 * recall, or the gains of these. Source: keras/src/metrics/confusion_metrics.py, AUC; the
 * interpolation of precision: Davis, Goadrich, "The relationship between precision-recall and ROC
 * curves", 2006. */
#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include "model/metrics/confusion.h"

#define EPSILON 1e-7 /* Keras' */

typedef struct {
    double x, y;
} point_t;

/* Diverges where nothing is negative or nothing truly positive: Keras says what holds then. */
static point_t gain_point(const mb_confusion_t *c)
{
    double scale = mb_metric_share(c->tp + c->fn, c->tn + c->fp);
    if (!(c->tp > 0))
        return (point_t){0.0, 1.0};
    point_t p = {1.0 - scale * mb_metric_share(c->fn, c->tp),
                 1.0 - scale * mb_metric_share(c->fp, c->tp)};
    p.x = p.x < 0.0 ? 0.0 : p.x;
    return p;
}

static point_t point_of(mb_curve_t curve, const mb_confusion_t *c)
{
    double recall = mb_metric_share(c->tp, c->tp + c->fn);
    if (curve == MB_CURVE_PRGAIN)
        return gain_point(c);
    if (curve == MB_CURVE_PR)
        return (point_t){recall, mb_metric_share(c->tp, c->tp + c->fp)};
    return (point_t){mb_metric_share(c->fp, c->fp + c->tn), recall};
}

/* Between a threshold and the next larger one. */
static double strip(mb_area_t area, point_t own, point_t larger)
{
    double least = own.y < larger.y ? own.y : larger.y, most = own.y < larger.y ? larger.y : own.y;
    double height = area == MB_AREA_MINORING   ? least
                    : area == MB_AREA_MAJORING ? most
                                               : (own.y + larger.y) / 2.0;
    return (own.x - larger.x) * height;
}

/* Precision between two thresholds, where true positives grow in proportion to all positives. */
static double precision_strip(const mb_confusion_t *own, const mb_confusion_t *larger)
{
    double p = own->tp + own->fp, p_larger = larger->tp + larger->fp, dtp = own->tp - larger->tp;
    double dp = p - p_larger > 0 ? p - p_larger : 0.0, slope = mb_metric_share(dtp, dp);
    double intercept = larger->tp - slope * p_larger;
    double ratio = p > 0 && p_larger > 0 ? p / p_larger : 1.0;
    return mb_metric_share(slope * (dtp + intercept * log(ratio)), larger->tp + larger->fn);
}

static double area_of(const mb_metric_t *metric, const double *states, int64_t group)
{
    const mb_metric_counts_t *of = &metric->of.counts;
    bool by_precision = of->curve == MB_CURVE_PR && of->area == MB_AREA_INTERPOLATION;
    double area = 0.0;
    mb_confusions_t c = mb_confusions_start(metric, states, group);
    mb_confusions_step(&c);
    while (c.at > 0) {
        mb_confusion_t larger = c.now;
        mb_confusions_step(&c);
        area += by_precision
                    ? precision_strip(&c.now, &larger)
                    : strip(of->area, point_of(of->curve, &c.now), point_of(of->curve, &larger));
    }
    return area;
}

static void finish(const mb_metric_t *metric, const double *states, double *values)
{
    const mb_metric_counts_t *of = &metric->of.counts;
    double sum = 0.0, weights = 0.0;
    int64_t groups = of->apart ? metric->columns : 1;
    for (int64_t g = 0; g < groups; g++) {
        double weight = of->label_weights == NULL ? 1.0 : (double)of->label_weights[g];
        sum += weight * area_of(metric, states, g);
        weights += weight;
    }
    values[0] = mb_metric_share(sum, weights);
}

/* The place of the key's value among NAMES; its absence means the first. */
static mb_status_t take_choice(mb_config_t *config, const char *key, const char *const names[3],
                               int *out)
{
    const char *name;
    MB_TRY(mb_config_string_or(config, key, names[0], &name));
    for (*out = 0; *out < 3; ++*out) {
        if (strcasecmp(name, names[*out]) == 0)
            return MB_OK;
    }
    return mb_error_set(MB_ERR_UNSUPPORTED, "%s: key '%s' is '%s', it may be %s, %s or %s",
                        config->where, key, name, names[0], names[1], names[2]);
}

static mb_status_t take_curve(mb_config_t *config, mb_metric_t *metric)
{
    static const char *const curves[3] = {"ROC", "PR", "PRGAIN"};
    static const char *const areas[3] = {"interpolation", "majoring", "minoring"};
    int curve, area;
    MB_TRY(take_choice(config, "curve", curves, &curve));
    MB_TRY(take_choice(config, "summation_method", areas, &area));
    metric->of.counts.curve = (mb_curve_t)curve;
    metric->of.counts.area = (mb_area_t)area;
    return MB_OK;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* GIVEN between one threshold below zero and one above 1. Keras asks whether they are evenly apart
 * with 0 and 1 at the ends. */
static mb_status_t set_given(mb_metric_t *metric, mb_arena_t *arena, int64_t given,
                             const double *values, int64_t groups)
{
    int64_t n = given + 2;
    double *all = MB_ARENA_ARRAY(arena, double, n);
    if (all == NULL)
        return mb_error_memory("a metric's thresholds", (size_t)n * sizeof *all);
    for (int64_t i = 0; i < given; i++)
        all[i + 1] = values[i];
    qsort(all + 1, (size_t)given, sizeof *all, compare);
    all[n - 1] = 1.0;
    if (mb_thresholds_are_even(all, n))
        return mb_metric_set_thresholds(metric, arena, n, NULL, groups);
    all[0] = -EPSILON;
    all[n - 1] = 1.0 + EPSILON;
    return mb_metric_set_thresholds(metric, arena, n, all, groups);
}

static mb_status_t take_thresholds(mb_config_t *config, mb_arena_t *arena, mb_metric_t *metric)
{
    int64_t n, given = 0, groups = metric->of.counts.apart ? metric->columns : 1;
    double *values;
    MB_TRY(mb_config_int_or(config, "num_thresholds", 2, INT32_MAX / 2, 200, &n));
    MB_TRY(mb_metric_take_reals(config, "thresholds", arena, &given, &values));
    metric->of.counts.above_first = true;
    if (values != NULL)
        return set_given(metric, arena, given, values, groups);
    return mb_metric_set_thresholds(metric, arena, n, NULL, groups);
}

static mb_status_t take_labels(mb_config_t *config, mb_metric_t *metric)
{
    int64_t labels;
    MB_TRY(mb_config_bool_or(config, "multi_label", false, &metric->of.counts.apart));
    MB_TRY(mb_config_int_or(config, "num_labels", 0, INT32_MAX, 0, &labels));
    if (metric->of.counts.apart)
        MB_TRY(mb_metric_needs_vector(config, metric));
    else if (labels != 0)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: key 'num_labels' stands without multi_label",
                            config->where);
    if (labels != 0 && labels != metric->columns)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: key 'num_labels' is %lld, the output has %lld",
                            config->where, (long long)labels, (long long)metric->columns);
    return MB_OK;
}

/* Of the areas, or, where columns are not apart, of the elements: then the device reads them behind
 * the thresholds. */
static mb_status_t take_label_weights(mb_config_t *config, mb_arena_t *arena, mb_metric_t *metric)
{
    int64_t n = 0, listed = metric->n_constants;
    double *values;
    MB_TRY(mb_metric_take_reals(config, "label_weights", arena, &n, &values));
    if (values == NULL)
        return MB_OK;
    if (n != metric->columns)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: key 'label_weights' has %lld weights, the output %lld columns",
                            config->where, (long long)n, (long long)metric->columns);
    float *all = MB_ARENA_ARRAY(arena, float, listed + n);
    if (all == NULL)
        return mb_error_memory("a metric's weights", (size_t)n * sizeof *all);
    for (int64_t i = 0; i < listed; i++)
        all[i] = metric->constants[i];
    for (int64_t i = 0; i < n; i++)
        all[listed + i] = (float)values[i];
    if (metric->of.counts.apart) {
        metric->of.counts.label_weights = all + listed;
        return MB_OK;
    }
    metric->of.counts.weighs_columns = true;
    metric->constants = all;
    metric->n_constants = listed + n;
    return MB_OK;
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, mb_metric_t *metric)
{
    metric->of.counts.column = -1;
    metric->n_values = 1;
    MB_TRY(mb_metric_needs_alike(config, metric));
    MB_TRY(take_curve(config, metric));
    MB_TRY(take_labels(config, metric));
    MB_TRY(take_thresholds(config, arena, metric));
    MB_TRY(take_label_weights(config, arena, metric));
    return mb_config_bool_or(config, "from_logits", false, &metric->of.counts.logits);
}

const mb_metric_class_t mb_metric_auc[] = {
    {.size = sizeof(mb_metric_class_t),
     .class_name = "AUC",
     .name = "auc",
     .names = {"auc"},
     .family = &mb_metric_counts_family,
     .parse = parse,
     .finish = finish},
    {.class_name = NULL},
};
