/* Attention and AdditiveAttention without masks, written plainly. */
#include <math.h>
#include <stdlib.h>

#include "unit/layer_reference.h"

typedef struct {
    const truth_t *t;
    const layer_fixture_t *f;
    double *const *w;
    int64_t queries, keys, width, values;
} scores_t;

static double score(const scores_t *s, const double *q, const double *k)
{
    const truth_t *t = s->t;
    double sum = 0;
    for (int64_t d = 0; d < s->width; d++) {
        double scale = t->no_scale ? 1 : s->w[0][t->scores == TRUE_ADDITIVE ? d : 0];
        sum += t->scores == TRUE_DOT      ? scale * q[d] * k[d]
               : t->scores == TRUE_CONCAT ? tanh(scale * (q[d] + k[d]))
                                          : scale * tanh(q[d] + k[d]);
    }
    return t->scores == TRUE_CONCAT ? sum * s->w[t->no_scale ? 0 : 1][0] : sum;
}

/* One query of one sample. */
static void attend(const scores_t *s, double *const *x, int64_t sample, int64_t i, double *out)
{
    int64_t keys = s->t->causal && i + 1 < s->keys ? i + 1 : s->keys;
    const double *q = x[0] + (sample * s->queries + i) * s->width;
    const double *k = x[s->f->call->n_inputs - 1] + sample * s->keys * s->width;
    const double *v = x[1] + sample * s->keys * s->values;
    double *p = calloc((size_t)keys, sizeof *p), sum = 0;
    for (int64_t j = 0; j < keys; j++)
        sum += p[j] = exp(score(s, q, k + j * s->width));
    for (int64_t d = 0; d < s->values; d++)
        out[d] = 0;
    for (int64_t j = 0; j < keys; j++) {
        double weight = p[j] / sum;
        if (s->t->dropout > 0)
            weight *= reference_keep(s->f, MB_RANDOM_ATTENTION_DROPOUT, s->t->dropout, sample,
                                     i * s->keys + j);
        for (int64_t d = 0; d < s->values; d++)
            out[d] += weight * v[j * s->values + d];
    }
    free(p);
}

void true_scores(const truth_t *t, const layer_fixture_t *f, double *const *x, double *const *w,
                 double *y)
{
    const mb_call_t *call = f->call;
    scores_t s = {.t = t,
                  .f = f,
                  .w = w,
                  .queries = call->inputs[0].dim[0],
                  .keys = call->inputs[1].dim[0],
                  .width = call->inputs[0].dim[1],
                  .values = call->inputs[1].dim[1]};
    for (int64_t i = 0; i < f->samples * s.queries; i++)
        attend(&s, x, i / s.queries, i % s.queries, y + i * s.values);
}
