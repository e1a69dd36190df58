/* Counts elements by whether their label is positive and by how many thresholds they exceed: all
 * confusion matrices of Keras' metrics are sums over these cells. Where thresholds are evenly
 * apart, Keras multiplies instead of comparing, and so does this
 * (keras/src/metrics/metrics_utils.py). */
#include <math.h>
#include "device/cpu/cells.h"
#include "device/cpu/labels.h"

/* Of the row's elements in descending order, the first of equal ones first. */
typedef struct {
    float value;
    int64_t at;
} ranked_t;

static bool precedes(ranked_t a, ranked_t b)
{
    return a.value > b.value || (a.value == b.value && a.at < b.at);
}

/* The k-th in that order. */
static ranked_t kth_largest(const float *x, int64_t columns, int64_t k)
{
    ranked_t last = {INFINITY, -1};
    for (; k > 0; k--) {
        ranked_t next = {-INFINITY, columns};
        for (int64_t j = 0; j < columns; j++) {
            ranked_t own = {x[j], j};
            if (precedes(last, own) && precedes(own, next))
                next = own;
        }
        last = next;
    }
    return last;
}

static int64_t exceeded_evenly(const mb_threshold_counts_args_t *a, float x)
{
    float inside = x < 0.0f ? 0.0f : x > 1.0f ? 1.0f : x;
    int64_t exceeded = x == x ? (int64_t)ceilf(inside * (float)(a->n - 1)) : 0;
    return a->above_first && exceeded < 1 ? 1 : exceeded;
}

/* How many of the sorted thresholds lie below x: by halving. */
static int64_t exceeded(const mb_threshold_counts_args_t *a, float x)
{
    int64_t low = 0, high = a->n;
    if (a->even)
        return exceeded_evenly(a, x);
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (x > a->thresholds[middle])
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static double weight_of(const mb_threshold_counts_args_t *a, int64_t row, int64_t j)
{
    float column = a->column_weights == NULL ? 1.0f : a->column_weights[j];
    return (double)((float)mb_weight_at(a->weights, row) * column);
}

static void add_row(const mb_cells_t *cells, int64_t row, double *sums)
{
    const mb_threshold_counts_args_t *a = cells->args;
    const float *x = mb_in(a->x) + row * a->columns;
    int64_t first = a->column < 0 ? 0 : a->column, end = a->column < 0 ? a->columns : first + 1;
    ranked_t least = {-INFINITY, a->columns};
    if (a->top_k > 0)
        least = kth_largest(x, a->columns, a->top_k);
    for (int64_t j = first; j < end; j++) {
        bool positive = mb_label_at(&a->labels, row, j) != 0.0f;
        float value = a->logits ? 1.0f / (1.0f + expf(-x[j])) : x[j];
        bool counts = !precedes(least, (ranked_t){x[j], j});
        int64_t cell = (a->apart ? 2 * j : 0) + positive;
        sums[cell * (a->n + 1) + (counts ? exceeded(a, value) : 0)] += weight_of(a, row, j);
    }
}

static bool is_sound(const mb_threshold_counts_args_t *a)
{
    return a->valid >= 0 && a->valid <= a->rows && a->columns >= 1 &&
           a->labels.columns == a->columns && a->column < a->columns && a->top_k <= a->columns &&
           a->n >= 1;
}

mb_status_t mb_cpu_threshold_counts(mb_exec_t *exec, const mb_threshold_counts_args_t *args)
{
    MB_CPU_CHECK(MB_OP_THRESHOLD_COUNTS, is_sound(args),
                 "labels, a column or thresholds that do not fit the rows");
    mb_cells_t cells = {.args = args,
                        .add = add_row,
                        .rows = args->rows,
                        .valid = args->valid,
                        .columns = args->columns,
                        .count = (args->apart ? args->columns : 1) * 2 * (args->n + 1)};
    return mb_cells_run(exec, MB_OP_THRESHOLD_COUNTS, &cells, args->counts);
}
