/* Intersection over union of classes: of those whose label or prediction is the class, the share of
 * which both are. Source: keras/src/metrics/iou_metrics.py. */
#include <string.h>

#include "model/metrics/class.h"

#define EPSILON 1e-7 /* Keras' */

typedef enum { IOU, MEAN, BINARY, ONE_HOT, ONE_HOT_MEAN } kind_t;

/* Where x says a class by its value, each element is a row of its own. */
static mb_status_t run(const mb_metric_t *metric, mb_exec_t *exec, const mb_metric_batch_t *batch,
                       double *states)
{
    const mb_metric_classes_t *of = &metric->of.classes;
    int64_t apart = of->x_is == MB_CLASS_LARGEST ? 1 : metric->columns;
    mb_class_counts_args_t args = {.type = batch->type,
                                   .rows = batch->samples * metric->rows * apart,
                                   .valid = batch->valid * metric->rows * apart,
                                   .columns = metric->columns / apart,
                                   .classes = of->classes,
                                   .x_is = of->x_is,
                                   .label_is = of->label_is,
                                   .whole = of->whole,
                                   .has_ignore = of->has_ignore,
                                   .ignore_label = of->ignore_label,
                                   .threshold = of->threshold,
                                   .per_weight = apart,
                                   .x = batch->x,
                                   .labels = mb_metric_labels(metric, batch),
                                   .weights = batch->weights,
                                   .counts = states};
    args.labels.columns /= apart;
    return mb_run_class_counts(exec, &args);
}

static const mb_metric_family_t family = {.run = run};

static void finish(const mb_metric_t *metric, const double *states, double *values)
{
    const mb_metric_classes_t *of = &metric->of.classes;
    double sum = 0.0, there = 0.0;
    for (int i = 0; i < of->n_targets; i++) {
        int64_t c = of->targets[i];
        double both = states[2 * of->classes + c];
        double either = states[c] + states[of->classes + c] - both;
        if (!(either > 1e-9))
            continue;
        sum += both / (either + EPSILON);
        there += 1.0;
    }
    values[0] = sum / (there + EPSILON);
}

/* Keras' default is an integer type, which cuts what it counts. */
static mb_status_t take_dtype(mb_config_t *config, mb_metric_t *metric)
{
    const json_t *value = mb_config_take(config, "dtype");
    const json_t *policy = json_object_get(json_object_get(value, "config"), "name");
    const char *name = json_string_value(json_is_object(value) ? policy : value);
    bool absent = value == NULL || json_is_null(value);
    bool whole = absent || (name != NULL && strncmp(name, "int", 3) == 0);
    if (!whole && (name == NULL || strcmp(name, "float32") != 0))
        return mb_error_set(MB_ERR_UNSUPPORTED, "%s: key 'dtype' must be float32 or an int",
                            config->where);
    metric->of.classes.whole = whole;
    return MB_OK;
}

static mb_status_t needs_pairs(const mb_config_t *config, const mb_metric_t *metric)
{
    const mb_metric_classes_t *of = &metric->of.classes;
    int64_t found = of->x_is == MB_CLASS_LARGEST ? 1 : metric->columns;
    int64_t right = of->label_is == MB_CLASS_LARGEST ? 1 : metric->label_columns;
    if (found == right)
        return MB_OK;
    return mb_metric_refuse(config, "a row has another number of labels than of classes found; see "
                                    "sparse_y_true and sparse_y_pred");
}

static mb_status_t take_forms(mb_config_t *config, bool one_hot, mb_metric_t *metric)
{
    bool sparse_true = !one_hot, sparse_pred = !one_hot;
    if (!one_hot)
        MB_TRY(mb_config_bool_or(config, "sparse_y_true", true, &sparse_true));
    MB_TRY(mb_config_bool_or(config, "sparse_y_pred", sparse_pred, &sparse_pred));
    metric->of.classes.label_is = sparse_true ? MB_CLASS_VALUE : MB_CLASS_LARGEST;
    metric->of.classes.x_is = sparse_pred ? MB_CLASS_VALUE : MB_CLASS_LARGEST;
    MB_TRY(mb_metric_take_axis(config, metric));
    MB_TRY(mb_metric_take_ignore(config, &metric->of.classes.has_ignore,
                                 &metric->of.classes.ignore_label));
    return mb_config_int(config, "num_classes", 1, INT32_MAX / 8, &metric->of.classes.classes);
}

/* GIVEN [n]; NULL: all classes. */
static mb_status_t set_targets(const mb_config_t *config, mb_arena_t *arena, int64_t n,
                               const double *given, mb_metric_t *metric)
{
    mb_metric_classes_t *of = &metric->of.classes;
    int64_t *targets = MB_ARENA_ARRAY(arena, int64_t, n);
    if (targets == NULL)
        return mb_error_memory("a metric's classes", (size_t)n * sizeof *targets);
    for (int64_t i = 0; i < n; i++) {
        double target = given == NULL ? (double)i : given[i];
        if (!(target >= 0.0 && target < (double)of->classes))
            return mb_error_set(MB_ERR_ARGUMENT,
                                "%s: key 'target_class_ids' has %g, classes are 0 to %lld",
                                config->where, target, (long long)of->classes - 1);
        targets[i] = (int64_t)target;
    }
    of->n_targets = (int)n;
    of->targets = targets;
    metric->states = 3 * of->classes;
    metric->n_values = 1;
    return MB_OK;
}

static mb_status_t take_targets(mb_config_t *config, mb_arena_t *arena, bool required,
                                mb_metric_t *metric)
{
    int64_t n = metric->of.classes.classes;
    double *given;
    MB_TRY(mb_metric_take_reals(config, "target_class_ids", arena, &n, &given));
    if (n < 1 || (given == NULL && required))
        return mb_error_set(MB_ERR_FORMAT, "%s: key 'target_class_ids' is missing or empty",
                            config->where);
    return set_targets(config, arena, n, given, metric);
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, mb_metric_t *metric)
{
    kind_t kind = (kind_t)metric->class_->kind;
    MB_TRY(take_dtype(config, metric));
    MB_TRY(take_forms(config, kind == ONE_HOT || kind == ONE_HOT_MEAN, metric));
    MB_TRY(needs_pairs(config, metric));
    if (kind == MEAN || kind == ONE_HOT_MEAN)
        return set_targets(config, arena, metric->of.classes.classes, NULL, metric);
    return take_targets(config, arena, true, metric);
}

static mb_status_t parse_binary(mb_config_t *config, mb_arena_t *arena, mb_metric_t *metric)
{
    mb_metric_classes_t *of = &metric->of.classes;
    double threshold;
    of->classes = 2;
    of->x_is = MB_CLASS_ABOVE;
    MB_TRY(take_dtype(config, metric));
    MB_TRY(needs_pairs(config, metric));
    MB_TRY(mb_config_real_or(config, "threshold", 0.5, &threshold));
    of->threshold = (float)threshold;
    return take_targets(config, arena, false, metric);
}

#define CLASSES(CLASS, NAME, PARSE, KIND)                                                          \
    {                                                                                              \
        .size = sizeof(mb_metric_class_t), .class_name = CLASS, .name = NAME, .names = {NAME},     \
        .family = &family, .parse = PARSE, .finish = finish, .kind = KIND, .any_type_counts = true \
    }

const mb_metric_class_t mb_metric_iou_classes[] = {
    CLASSES("IoU", "io_u", parse, IOU),
    CLASSES("MeanIoU", "mean_io_u", parse, MEAN),
    CLASSES("BinaryIoU", "binary_io_u", parse_binary, BINARY),
    CLASSES("OneHotIoU", "one_hot_io_u", parse, ONE_HOT),
    CLASSES("OneHotMeanIoU", "one_hot_mean_io_u", parse, ONE_HOT_MEAN),
    {.class_name = NULL},
};
