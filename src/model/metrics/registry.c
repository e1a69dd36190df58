/* All metrics by name. */
#include <string.h>

#include "model/metrics/class.h"

static const mb_metric_class_t *const tables[] = {
    mb_metric_row_classes, mb_metric_confusion_classes, mb_metric_reaching_classes,
    mb_metric_auc,         mb_metric_column_classes,    mb_metric_iou_classes,
};
enum { N_TABLES = sizeof(tables) / sizeof(tables[0]) };

static const mb_metric_class_t *at(size_t index)
{
    for (size_t t = 0; t < N_TABLES; t++) {
        for (const mb_metric_class_t *c = tables[t]; c->class_name != NULL; c++) {
            if (index-- == 0)
                return c;
        }
    }
    return NULL;
}

static const char *metric_name(size_t index)
{
    const mb_metric_class_t *found = at(index);
    return found == NULL ? NULL : found->class_name;
}

const mb_known_t mb_known_metrics = {"metric", "metrics", metric_name};

static bool has_name(const mb_metric_class_t *class_, const char *name)
{
    bool found = strcmp(class_->class_name, name) == 0;
    for (const char *const *known = class_->names; *known != NULL && !found; known++)
        found = strcmp(*known, name) == 0;
    return found;
}

const mb_metric_class_t *mb_metric_find(const char *name)
{
    const mb_metric_class_t *class_ = at(0);
    for (size_t i = 0; class_ != NULL && !has_name(class_, name); i++)
        class_ = at(i + 1);
    return class_;
}
