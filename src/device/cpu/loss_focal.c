/* The focal cross-entropy of classes: sum of -p1 t (1 - q)^p0 log(q) over a row of probabilities q,
 * which are divided by their sum and clipped as those of the plain one are; from logits they are a
 * softmax, whose own division is the one. Source: keras/src/losses/losses.py,
 * categorical_focal_crossentropy. */
#include "device/cpu/loss.h"

#include <math.h>

typedef struct {
    double loss, slope; /* by q */
} term_t;

static inline term_t term_of(const mb_loss_args_t *a, double q, float label)
{
    double t = (double)mb_loss_smoothed(a, label, 1.0f / (float)a->columns) * (double)a->p1;
    double least = (double)MB_LOSS_TINY, most = (double)MB_LOSS_NEARLY_ONE, gamma = (double)a->p0;
    double p = q < least ? least : q > most ? most : q, factor = pow(1.0 - p, gamma);
    bool inside = q >= least && q <= most;
    double bend = a->p0 == 0.0f ? 0.0 : gamma * pow(1.0 - p, gamma - 1.0) * log(p);
    return (term_t){-t * factor * log(p), inside ? t * (bend - factor / p) : 0.0};
}

double mb_cpu_loss_focal_probability(const mb_loss_row_t *r)
{
    const mb_loss_args_t *a = r->args;
    double all = 0.0, loss = 0.0, shared = 0.0;
    for (int64_t j = 0; j < a->columns; j++)
        all += (double)r->x[j];
    float sum = (float)all;
    for (int64_t j = 0; j < a->columns; j++) {
        double q = (double)(r->x[j] / sum);
        term_t term = term_of(a, q, r->labels[j]);
        loss += term.loss;
        shared += term.slope * q;
    }
    for (int64_t j = 0; j < a->columns && r->dx != NULL; j++) {
        term_t term = term_of(a, (double)(r->x[j] / sum), r->labels[j]);
        r->dx[j] = (float)((double)r->scale * (term.slope - shared) / (double)sum);
    }
    return loss;
}

double mb_cpu_loss_focal_logits(const mb_loss_row_t *r)
{
    const mb_loss_args_t *a = r->args;
    float largest = r->x[0];
    double sum = 0.0, loss = 0.0, shared = 0.0;
    for (int64_t j = 1; j < a->columns; j++)
        largest = r->x[j] > largest ? r->x[j] : largest;
    for (int64_t j = 0; j < a->columns; j++)
        sum += exp((double)r->x[j] - (double)largest);
    for (int64_t j = 0; j < a->columns; j++) {
        double q = exp((double)r->x[j] - (double)largest) / sum;
        term_t term = term_of(a, q, r->labels[j]);
        loss += term.loss;
        shared += term.slope * q;
    }
    for (int64_t j = 0; j < a->columns && r->dx != NULL; j++) {
        double q = exp((double)r->x[j] - (double)largest) / sum;
        term_t term = term_of(a, q, r->labels[j]);
        r->dx[j] = (float)((double)r->scale * q * (term.slope - shared));
    }
    return loss;
}
