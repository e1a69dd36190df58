/* The sums over rows and columns of a confusion matrix of classes, and its diagonal: what an
 * intersection over union needs of it (keras/src/metrics/iou_metrics.py). */
#include <math.h>
#include "device/cpu/cells.h"
#include "device/cpu/labels.h"

/* -1: no class. Without WHOLE Keras looks whether the number itself is inside, and cuts then. */
static int64_t class_of(const mb_class_counts_args_t *a, float value)
{
    float seen = a->whole ? truncf(value) : value;
    return seen >= 0.0f && seen < (float)a->classes ? (int64_t)seen : -1;
}

static int64_t class_of_x(const mb_class_counts_args_t *a, int64_t row)
{
    const float *x = mb_in(a->x) + row * a->columns;
    if (a->x_is == MB_CLASS_LARGEST) {
        int64_t largest = mb_first_largest(x, a->columns);
        return largest < a->classes ? largest : -1;
    }
    return class_of(a, a->x_is == MB_CLASS_ABOVE ? (x[0] >= a->threshold ? 1.0f : 0.0f) : x[0]);
}

/* The ignored label may lie outside the classes: it is looked for among the numbers themselves. */
static int64_t class_of_label(const mb_class_counts_args_t *a, int64_t row)
{
    float value = a->label_is == MB_CLASS_LARGEST ? (float)mb_first_largest_label(&a->labels, row)
                                                  : mb_label_at(&a->labels, row, 0);
    float seen = a->whole ? truncf(value) : value;
    return a->has_ignore && seen == (float)a->ignore_label ? -1 : class_of(a, value);
}

static void add_row(const mb_cells_t *cells, int64_t row, double *sums)
{
    const mb_class_counts_args_t *a = cells->args;
    int64_t found = class_of_x(a, row), right = class_of_label(a, row);
    double weight = mb_weight_at(a->weights, row / a->per_weight);
    if (found < 0 || right < 0)
        return;
    weight = a->whole ? trunc(weight) : weight;
    sums[right] += weight;
    sums[a->classes + found] += weight;
    sums[2 * a->classes + right] += found == right ? weight : 0.0;
}

static bool is_sound(const mb_class_counts_args_t *a)
{
    bool one_x = a->x_is == MB_CLASS_LARGEST || a->columns == 1;
    bool one_label = a->label_is == MB_CLASS_LARGEST || a->labels.columns == 1;
    return a->valid >= 0 && a->valid <= a->rows && a->columns >= 1 && a->classes >= 1 && one_x &&
           one_label && a->per_weight >= 1;
}

mb_status_t mb_cpu_class_counts(mb_exec_t *exec, const mb_class_counts_args_t *args)
{
    MB_CPU_CHECK(MB_OP_CLASS_COUNTS, is_sound(args), "rows that do not say one class each");
    mb_cells_t cells = {.args = args,
                        .add = add_row,
                        .rows = args->rows,
                        .valid = args->valid,
                        .columns = args->columns,
                        .count = 3 * args->classes};
    return mb_cells_run(exec, MB_OP_CLASS_COUNTS, &cells, args->counts);
}
