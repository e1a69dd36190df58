/* See hinge_labels.h. A sample adds 1 for a label that is 0, and 2^32 for one that is neither 0 nor
 * 1: a batch has fewer samples than that. */
#include "engine/hinge_labels.h"

#include <math.h>
#include <stdlib.h>

#define OTHERS 4294967296.0

struct mb_hinge_labels {
    int64_t elements; /* of a sample */
    mb_source_t *source;
    int field;
    mb_batch_sums_t *sums;
};

static double sides_of(const void *user, const void *labels, const float *weights,
                       const void *const *inputs)
{
    const mb_hinge_labels_t *hinge = user;
    const float *label = labels;
    bool zero = false, other = false;
    (void)weights;
    (void)inputs;
    for (int64_t i = 0; i < hinge->elements; i++) {
        zero = zero || label[i] == 0.0F;
        other = other || !(label[i] == 0.0F || label[i] == 1.0F);
    }
    return (zero ? 1.0 : 0.0) + (other ? OTHERS : 0.0);
}

mb_status_t mb_hinge_labels_create(const mb_loss_t *loss, mb_source_t *source, int labels,
                                   mb_hinge_labels_t **out)
{
    *out = NULL;
    if (loss->kind != MB_LOSS_HINGE && loss->kind != MB_LOSS_SQUARED_HINGE)
        return MB_OK;
    mb_hinge_labels_t *hinge = calloc(1, sizeof *hinge);
    if (hinge == NULL)
        return mb_error_memory("the labels of a hinge loss", sizeof *hinge);
    *hinge = (mb_hinge_labels_t){.source = source,
                                 .field = labels,
                                 .elements = mb_shape_elements(&source->fields[labels].shape)};
    mb_batch_sums_options_t options = {
        .source = source, .labels = labels, .weights = -1, .user = hinge, .of_sample = sides_of};
    mb_status_t status = mb_batch_sums_create(&options, &hinge->sums);
    if (status != MB_OK)
        free(hinge);
    else
        *out = hinge;
    return status;
}

void mb_hinge_labels_destroy(mb_hinge_labels_t *labels)
{
    if (labels != NULL)
        mb_batch_sums_destroy(labels->sums);
    free(labels);
}

mb_status_t mb_hinge_labels_check(mb_hinge_labels_t *labels, const int64_t *indices, int64_t count)
{
    double sides;
    if (labels == NULL)
        return MB_OK;
    MB_TRY(mb_batch_sums_of(labels->sums, indices, count, &sides));
    if (sides < OTHERS || !(fmod(sides, OTHERS) > 0))
        return MB_OK;
    return mb_error_set(
        MB_ERR_DATA,
        "%s: dataset '%s': a batch holds labels 0 beside others than 0 and 1: Keras "
        "takes 0 for -1 only in batches of nothing but 0 and 1; write the labels "
        "of a hinge loss as -1 and 1",
        labels->source->path, labels->source->fields[labels->field].name);
}
