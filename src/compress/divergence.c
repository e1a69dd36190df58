/* See divergence.h. */
#include "compress/divergence.h"

#include <math.h>

/* Keras clips probabilities there before it takes their logarithm. */
#define LEAST_PROBABILITY 1e-7

typedef struct { /* log p(i) = scale(x(i)) - shift */
    bool logits;
    double shift;
    int64_t top;
} row_t;

static bool are_bits(const mb_loss_t *loss)
{
    return loss->kind == MB_LOSS_BINARY_LOGITS || loss->kind == MB_LOSS_BINARY_PROBABILITY ||
           loss->kind == MB_LOSS_BINARY_FOCAL_LOGITS ||
           loss->kind == MB_LOSS_BINARY_FOCAL_PROBABILITY;
}

bool mb_divergence_is_defined(const mb_loss_t *loss)
{
    if (loss->plugin != NULL)
        return false;
    switch (loss->kind) {
    case MB_LOSS_SPARSE_SOFTMAX:
    case MB_LOSS_SPARSE_PROBABILITY:
    case MB_LOSS_SOFTMAX:
    case MB_LOSS_PROBABILITY:
    case MB_LOSS_FOCAL_LOGITS:
    case MB_LOSS_FOCAL_PROBABILITY:
    case MB_LOSS_GENERALIZED:
    case MB_LOSS_DIVERGENCE:
        return true;
    default:
        return are_bits(loss);
    }
}

static bool are_logits(const mb_loss_t *loss)
{
    return loss->kind == MB_LOSS_SPARSE_SOFTMAX || loss->kind == MB_LOSS_SOFTMAX ||
           loss->kind == MB_LOSS_BINARY_LOGITS || loss->kind == MB_LOSS_FOCAL_LOGITS ||
           loss->kind == MB_LOSS_BINARY_FOCAL_LOGITS;
}

static double clipped(double probability)
{
    return probability > LEAST_PROBABILITY ? probability : LEAST_PROBABILITY;
}

static row_t look_at(const float *x, int64_t n, bool logits)
{
    row_t row = {.logits = logits};
    double sum = 0;
    for (int64_t i = 1; i < n; i++)
        row.top = x[i] > x[row.top] ? i : row.top;
    for (int64_t i = 0; i < n; i++)
        sum += logits ? (double)expf(x[i] - x[row.top]) : clipped((double)x[i]);
    row.shift = log(sum) + (logits ? (double)x[row.top] : 0);
    return row;
}

static double log_probability(const row_t *row, float x)
{
    return (row->logits ? (double)x : log(clipped((double)x))) - row->shift;
}

static void add(mb_divergence_t *sums, double kl, bool agrees)
{
    double positive = kl > 0 ? kl : 0; /* rounding may leave a little below zero */
    sums->rows++;
    sums->agreeing += agrees;
    sums->kl += positive;
    sums->max_kl = positive > sums->max_kl ? positive : sums->max_kl;
}

static void add_row(bool logits, const float *reference, const float *values, int64_t n,
                    mb_divergence_t *sums)
{
    row_t p = look_at(reference, n, logits), q = look_at(values, n, logits);
    double kl = 0;
    for (int64_t i = 0; i < n; i++) {
        double log_p = log_probability(&p, reference[i]);
        kl += exp(log_p) * (log_p - log_probability(&q, values[i]));
    }
    add(sums, kl, p.top == q.top);
}

/* A number that says yes or no, as the two classes it stands for. */
static void two_classes(bool logits, float x, float row[2])
{
    row[0] = logits ? 0.0f : 1.0f - x;
    row[1] = x;
}

void mb_divergence_add(const mb_loss_t *loss, const float *reference, const float *values,
                       int64_t rows, mb_divergence_t *sums)
{
    bool logits = are_logits(loss);
    bool binary = are_bits(loss);
    for (int64_t r = 0; r < rows && !binary; r++)
        add_row(logits, reference + r * loss->columns, values + r * loss->columns, loss->columns,
                sums);
    for (int64_t i = 0; i < rows * loss->columns && binary; i++) {
        float p[2], q[2];
        two_classes(logits, reference[i], p);
        two_classes(logits, values[i], q);
        add_row(logits, p, q, 2, sums);
    }
}
