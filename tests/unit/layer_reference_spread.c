/* MultiHeadAttention over some axes of an image's rows and columns, position by position. See
 * layer_reference.h. */
#include "unit/layer_reference.h"

#include <math.h>

enum { MOST = 16 }; /* keys, and numbers of a head */

typedef struct {
    const truth_t *t;
    const layer_fixture_t *f;
    double *const *x, *const *w;
    int64_t sample;
} image_t;

/* Number J of head HEAD at a position of the sample, projected by weight WHICH from input INPUT. */
static double projected(const image_t *im, int input, int which, int64_t position, int64_t head,
                        int64_t j)
{
    const mb_shape_t *shape = &im->f->call->inputs[input];
    int64_t width = shape->dim[2], size = which == 2 ? im->t->value_dim : im->t->key_dim;
    int64_t row = im->sample * shape->dim[0] * shape->dim[1] + position;
    int64_t column = head * size + j;
    double sum = im->w[2 * which + 1][column];
    for (int64_t i = 0; i < width; i++)
        sum += im->x[input][row * width + i] * im->w[2 * which][i * im->t->heads * size + column];
    return sum;
}

/* Whether a query sees a key: their places along what is not attended are the same. */
static bool sees(const image_t *im, int64_t query, int64_t key)
{
    int64_t q = im->f->call->inputs[0].dim[1], k = im->f->call->inputs[1].dim[1];
    return (im->t->noise[0] == 1 || query / q == key / k) &&
           (im->t->noise[1] == 1 || query % q == key % k);
}

static int64_t keys_of(const image_t *im, int64_t query, int64_t *keys)
{
    const mb_shape_t *shape = &im->f->call->inputs[1];
    int64_t n = 0;
    for (int64_t k = 0; k < shape->dim[0] * shape->dim[1]; k++)
        if (sees(im, query, k))
            keys[n++] = k;
    return n;
}

/* What a head has from the values at a position. */
static void attend(const image_t *im, int64_t query, int64_t head, double *context)
{
    double probability[MOST], sum = 0;
    int64_t keys[MOST], n = keys_of(im, query, keys), size = im->t->key_dim;
    for (int64_t k = 0; k < n; k++) {
        double score = 0;
        for (int64_t j = 0; j < size; j++)
            score += projected(im, 0, 0, query, head, j) * projected(im, 1, 1, keys[k], head, j);
        probability[k] = exp(score / sqrt((double)size));
        sum += probability[k];
    }
    for (int64_t j = 0; j < im->t->value_dim; j++) {
        context[j] = 0;
        for (int64_t k = 0; k < n; k++)
            context[j] += probability[k] / sum * projected(im, 1, 2, keys[k], head, j);
    }
}

void true_attention_axes(const truth_t *t, const layer_fixture_t *f, double *const *x,
                         double *const *w, double *y)
{
    image_t im = {t, f, x, w, 0};
    const mb_shape_t *shape = &f->call->inputs[0];
    int64_t positions = shape->dim[0] * shape->dim[1], out = f->call->output.dim[2];
    for (int64_t i = 0; i < f->samples * positions; i++) {
        double context[MOST];
        im.sample = i / positions;
        for (int64_t o = 0; o < out; o++)
            y[i * out + o] = w[7][o];
        for (int64_t head = 0; head < t->heads; head++) {
            attend(&im, i % positions, head, context);
            for (int64_t j = 0; j < t->value_dim; j++)
                for (int64_t o = 0; o < out; o++)
                    y[i * out + o] += context[j] * w[6][(head * t->value_dim + j) * out + o];
        }
    }
}
