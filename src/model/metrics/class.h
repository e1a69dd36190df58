/* The metric class: one of Keras' metrics, read from its serialized form into an mb_metric_t. Those
 * that need the same operation are a family. */
#ifndef MB_MODEL_METRICS_CLASS_H
#define MB_MODEL_METRICS_CLASS_H

#include "model/known.h"
#include "model/loss.h"

typedef struct {
    mb_status_t (*run)(const mb_metric_t *metric, mb_exec_t *exec, const mb_metric_batch_t *batch,
                       double *states);
} mb_metric_family_t;

typedef struct mb_metric_class {
    size_t size;
    const char *class_name;
    const char *name;     /* what Keras calls an instance */
    const char *names[5]; /* strings that choose it; ends with NULL */
    const mb_metric_family_t *family;
    /* Reads the keys of its own and sets states, values and constants; the output's shape is set.
     * Those that all metrics share are taken around it. */
    mb_status_t (*parse)(mb_config_t *config, mb_arena_t *arena, mb_metric_t *metric);
    void (*finish)(const mb_metric_t *metric, const double *states, double *values);
    int kind;             /* of the family, for its parse */
    bool any_type_counts; /* "dtype" is read by parse: it changes what is counted */
} mb_metric_class_t;

/* Tables that end with an entry without a name. */
extern const mb_metric_class_t mb_metric_row_classes[], mb_metric_confusion_classes[],
    mb_metric_reaching_classes[], mb_metric_auc[], mb_metric_column_classes[],
    mb_metric_iou_classes[];
extern const mb_metric_family_t mb_metric_counts_family;

/* By the class' name, or by one of the strings; NULL: none. */
const mb_metric_class_t *mb_metric_find(const char *name);

/* One metric from its serialized form. AS: another string that says which (NULL: its own). */
mb_status_t mb_metric_parse(const json_t *value, const char *as, const char *where,
                            const mb_loss_t *loss, mb_arena_t *arena, mb_metric_t *metric);
/* Its class' name, and the name that the log gives it. */
mb_status_t mb_metric_names(const json_t *value, const char *where, const char **name,
                            const char **label);

/* Whether Keras looks at the output's mask for it. */
bool mb_metric_heeds_mask(const mb_metric_t *metric);
/* "WHERE: ..." about the output that a metric was given for. */
mb_status_t mb_metric_refuse(const mb_config_t *config, const char *why);
/* The metric's labels are of as many columns as the output. */
mb_status_t mb_metric_needs_alike(const mb_config_t *config, const mb_metric_t *metric);
/* The output has one axis. */
mb_status_t mb_metric_needs_vector(const mb_config_t *config, const mb_metric_t *metric);
/* A number, or a list of N of them; *out is NULL where the key is absent or null. */
mb_status_t mb_metric_take_reals(mb_config_t *config, const char *key, mb_arena_t *arena,
                                 int64_t *n, double **out);
mb_status_t mb_metric_take_axis(mb_config_t *config, const mb_metric_t *metric);
mb_status_t mb_metric_take_ignore(mb_config_t *config, bool *has, int32_t *label);

static inline mb_labels_t mb_metric_labels(const mb_metric_t *metric,
                                           const mb_metric_batch_t *batch)
{
    return (mb_labels_t){
        .values = batch->labels, .columns = metric->label_columns, .whole = metric->whole_labels};
}

/* Keras' divide_no_nan. */
static inline double mb_metric_share(double part, double whole)
{
    return whole < 0 || whole > 0 ? part / whole : 0.0;
}

#endif
