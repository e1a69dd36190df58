/* See row_weights.h. */
#include "engine/row_weights.h"

#include <stdlib.h>

struct mb_row_weights {
    const mb_loss_t *loss;
    const mb_class_weights_t *classes;
    const mb_mask_values_t *mask;
    int64_t given_elements; /* weights of a sample in the data: 1, one a value, or none */
    mb_batch_sums_t *sums;  /* NULL: the factor is 1 */
    double factor;
};

/* The label, or by the output's mask. */
static bool is_ignored(const mb_loss_t *loss, const void *labels, const float *mask, int64_t value)
{
    return (loss->has_ignore && ((const int32_t *)labels)[value] == loss->ignore_label) ||
           (mask != NULL && mask[value] == 0.0F);
}

static float weight_of(const mb_row_weights_t *w, const void *labels, const float *given,
                       int64_t value)
{
    float weight = mb_class_weights_of(w->classes, w->loss, labels);
    return given == NULL ? weight : weight * given[w->given_elements == 1 ? 0 : value];
}

/* What a sample adds to Keras' divisor. A weight that is given once for several values counts once,
 * unless a mask spreads it over them. */
static double mass_of(const void *user, const void *labels, const float *given,
                      const void *const *inputs)
{
    const mb_row_weights_t *w = user;
    const mb_loss_t *loss = w->loss;
    const float *mask = w->mask == NULL ? NULL : mb_mask_values_of(w->mask, inputs);
    double mass = 0;
    bool once = !loss->has_ignore && mask == NULL && w->given_elements <= 1;
    int64_t values = once ? 1 : mb_loss_values(loss);
    for (int64_t i = 0; i < values; i++) {
        if (!is_ignored(loss, labels, mask, i))
            mass += loss->by_weight ? (double)weight_of(w, labels, given, i) : 1.0;
    }
    return mass;
}

static bool has_factor(const mb_row_weights_t *w)
{
    bool ignores = w->loss->has_ignore || w->mask != NULL;
    if (w->loss->by_weight)
        return ignores || w->given_elements > 0 || w->classes->n > 0;
    return ignores && !w->loss->sum;
}

mb_status_t mb_row_weights_create(const mb_loss_t *loss, mb_source_t *source, int labels,
                                  int weights, const mb_class_weights_t *classes,
                                  const mb_mask_values_t *mask, mb_row_weights_t **out)
{
    mb_row_weights_t *w = calloc(1, sizeof *w);
    if (w == NULL)
        return mb_error_memory("the weights of a loss", sizeof *w);
    *w = (mb_row_weights_t){.loss = loss, .classes = classes, .mask = mask, .factor = 1};
    if (weights >= 0)
        w->given_elements = mb_shape_elements(&source->fields[weights].shape);
    mb_batch_sums_options_t options = {.source = source,
                                       .labels = labels,
                                       .as_int = loss->sparse,
                                       .weights = weights,
                                       .mask = mask,
                                       .user = w,
                                       .of_sample = mass_of};
    mb_status_t status = has_factor(w) ? mb_batch_sums_create(&options, &w->sums) : MB_OK;
    if (status != MB_OK)
        free(w);
    else
        *out = w;
    return status;
}

void mb_row_weights_destroy(mb_row_weights_t *weights)
{
    if (weights != NULL)
        mb_batch_sums_destroy(weights->sums);
    free(weights);
}

mb_status_t mb_row_weights_begin(mb_row_weights_t *w, const int64_t *indices, int64_t count)
{
    double mass, samples = 0;
    if (w->sums == NULL)
        return MB_OK;
    MB_TRY(mb_batch_sums_of(w->sums, indices, count, &mass));
    for (int64_t i = 0; i < count; i++)
        samples += indices[i] >= 0;
    w->factor = mass > 0 || mass < 0 ? samples * (double)mb_loss_values(w->loss) / mass : 0;
    return MB_OK;
}

void mb_row_weights_of(const mb_row_weights_t *w, const void *labels, const float *given,
                       const float *mask, float *to)
{
    int64_t values = mb_loss_values(w->loss);
    for (int64_t i = 0; i < values; i++) {
        bool ignored = is_ignored(w->loss, labels, mask, i);
        to[i] = ignored ? 0.0F : (float)(w->factor * (double)weight_of(w, labels, given, i));
    }
}
