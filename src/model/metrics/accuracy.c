/* The accuracy that an output shows even where no metric is asked for, and which of Keras'
 * accuracies and cross-entropies "accuracy" and "crossentropy" mean: that follows from the output
 * and its labels. Source: keras/src/trainers/compile_utils.py, get_metric. */
#include <string.h>
#include <strings.h>

#include "model/losses/compile.h"
#include "model/metrics/accuracy.h"

static const char *choose(const mb_loss_t *loss, const char *binary, const char *sparse,
                          const char *categorical)
{
    if (loss->columns == 1)
        return binary;
    return loss->sparse ? sparse : categorical;
}

const char *mb_metric_meant(const json_t *value, const mb_loss_t *loss)
{
    const char *name = json_string_value(value);
    if (name == NULL)
        return NULL;
    if (strcasecmp(name, "accuracy") == 0 || strcasecmp(name, "acc") == 0)
        return choose(loss, "binary_accuracy", "sparse_categorical_accuracy",
                      "categorical_accuracy");
    if (strcmp(name, "crossentropy") == 0 || strcmp(name, "ce") == 0)
        return choose(loss, "binary_crossentropy", "sparse_categorical_crossentropy",
                      "categorical_crossentropy");
    return NULL;
}

static bool same_threshold(const mb_loss_t *loss, const mb_metric_t *metric)
{
    float threshold = metric->of.rows.threshold;
    return !loss->binary || !(threshold < loss->threshold || threshold > loss->threshold);
}

/* The device's ACCURACY reads bits as float, and classes as what they are. */
static bool is_accuracy(const mb_metric_t *metric, bool *binary)
{
    const char *name = metric->class_->class_name;
    *binary = strcmp(name, "BinaryAccuracy") == 0;
    return (*binary && !metric->whole_labels) || strcmp(name, "CategoricalAccuracy") == 0 ||
           strcmp(name, "SparseCategoricalAccuracy") == 0;
}

void mb_accuracy_take(mb_metric_t *metric, mb_loss_t *loss)
{
    bool binary;
    if (!is_accuracy(metric, &binary) || loss->masked)
        return;
    if (!loss->accuracy) {
        loss->accuracy = true;
        loss->accuracy_name = metric->name;
        loss->binary = binary;
        loss->threshold = binary ? metric->of.rows.threshold : 0.5f;
    }
    metric->counted = !metric->weighted && loss->binary == binary && same_threshold(loss, metric);
    metric->states = metric->counted ? 0 : metric->states;
}

void mb_metrics_default(const mb_loss_class_t *class_, mb_loss_t *loss)
{
    if (loss->accuracy || loss->masked || !class_->classifies)
        return; /* the device counts all rows */
    loss->accuracy = true;
    loss->accuracy_name = "accuracy";
    bool logits = loss->kind == MB_LOSS_BINARY_LOGITS || loss->kind == MB_LOSS_BINARY_FOCAL_LOGITS;
    loss->binary = !loss->sparse && class_->binary;
    loss->threshold = logits ? 0.0f : 0.5f;
}
