/* See batch_sums.h. */
#include "engine/batch_sums.h"

#include <math.h>
#include <stdlib.h>

#define PIECE_BYTES (INT64_C(1) << 22) /* that are read together */

struct mb_batch_sums {
    mb_batch_sums_options_t options;
    int64_t label_elements, weight_elements; /* of a sample */
    int64_t piece;                           /* samples */
    double *of_samples;                      /* NaN: not read yet */
    int64_t *wanted;                         /* [piece] */
    void *labels;
    float *weights;
    void *inputs[MB_MAX_INPUTS]; /* that the mask follows from */
};

static int64_t elements_of(const mb_source_t *source, int field)
{
    return field < 0 ? 0 : mb_shape_elements(&source->fields[field].shape);
}

static int n_inputs(const mb_batch_sums_t *sums)
{
    return sums->options.mask == NULL ? 0 : sums->options.mask->n;
}

static mb_status_t allocate_inputs(mb_batch_sums_t *sums)
{
    for (int i = 0; i < n_inputs(sums); i++) {
        size_t bytes = (size_t)(sums->piece * sums->options.mask->inputs[i].elements) * 4 + 4;
        sums->inputs[i] = malloc(bytes);
        if (sums->inputs[i] == NULL)
            return mb_error_memory("sums over batches", bytes);
    }
    return MB_OK;
}

static int64_t elements_of_sample(const mb_batch_sums_t *sums)
{
    int64_t elements = sums->label_elements + sums->weight_elements;
    for (int i = 0; i < n_inputs(sums); i++)
        elements += sums->options.mask->inputs[i].elements;
    return elements;
}

mb_status_t mb_batch_sums_create(const mb_batch_sums_options_t *options, mb_batch_sums_t **out)
{
    mb_batch_sums_t *sums = calloc(1, sizeof *sums);
    int64_t samples = options->source->samples;
    if (sums == NULL)
        return mb_error_memory("sums over batches", sizeof *sums);
    sums->options = *options;
    sums->label_elements = elements_of(options->source, options->labels);
    sums->weight_elements = elements_of(options->source, options->weights);
    sums->piece = PIECE_BYTES / (4 * elements_of_sample(sums) + 4) + 1;
    size_t piece = (size_t)sums->piece;
    sums->of_samples = malloc((size_t)samples * sizeof(double));
    sums->wanted = malloc(piece * sizeof(int64_t));
    sums->labels = malloc(piece * (size_t)sums->label_elements * 4 + 4);
    sums->weights = malloc(piece * (size_t)sums->weight_elements * sizeof(float) + 4);
    if (sums->of_samples == NULL || sums->wanted == NULL || sums->labels == NULL ||
        sums->weights == NULL) {
        mb_batch_sums_destroy(sums);
        return mb_error_memory("sums over batches", (size_t)samples * sizeof(double));
    }
    for (int64_t i = 0; i < samples; i++)
        sums->of_samples[i] = NAN;
    mb_status_t status = allocate_inputs(sums);
    if (status != MB_OK)
        mb_batch_sums_destroy(sums);
    else
        *out = sums;
    return status;
}

void mb_batch_sums_destroy(mb_batch_sums_t *sums)
{
    if (sums == NULL)
        return;
    free(sums->of_samples);
    free(sums->wanted);
    free(sums->labels);
    free(sums->weights);
    for (int i = 0; i < MB_MAX_INPUTS; i++)
        free(sums->inputs[i]);
    free(sums);
}

static mb_status_t read_field(const mb_batch_sums_t *sums, int field, int64_t count, bool as_int,
                              void *to)
{
    mb_source_t *source = sums->options.source;
    return field < 0 ? MB_OK : source->class_->read(source, field, sums->wanted, count, as_int, to);
}

static mb_status_t read_inputs(mb_batch_sums_t *sums, int64_t count)
{
    for (int i = 0; i < n_inputs(sums); i++) {
        const mb_mask_input_t *input = &sums->options.mask->inputs[i];
        MB_TRY(read_field(sums, input->field, count, input->as_int, sums->inputs[i]));
    }
    return MB_OK;
}

static double of_sample(const mb_batch_sums_t *sums, int64_t i)
{
    const mb_batch_sums_options_t *o = &sums->options;
    const char *labels = (const char *)sums->labels + 4 * i * sums->label_elements;
    const float *weights = sums->weights + i * sums->weight_elements;
    const void *inputs[MB_MAX_INPUTS];
    for (int k = 0; k < n_inputs(sums); k++)
        inputs[k] = (const char *)sums->inputs[k] + 4 * i * o->mask->inputs[k].elements;
    return o->of_sample(o->user, labels, o->weights < 0 ? NULL : weights, inputs);
}

/* What COUNT wanted samples add. */
static mb_status_t read_wanted(mb_batch_sums_t *sums, int64_t count)
{
    const mb_batch_sums_options_t *o = &sums->options;
    MB_TRY(read_field(sums, o->labels, count, o->as_int, sums->labels));
    MB_TRY(read_field(sums, o->weights, count, false, sums->weights));
    MB_TRY(read_inputs(sums, count));
    for (int64_t i = 0; i < count; i++)
        sums->of_samples[sums->wanted[i]] = of_sample(sums, i);
    return MB_OK;
}

mb_status_t mb_batch_sums_of(mb_batch_sums_t *sums, const int64_t *indices, int64_t count,
                             double *out)
{
    int64_t wanted = 0;
    for (int64_t i = 0; i < count; i++) {
        if (indices[i] >= 0 && isnan(sums->of_samples[indices[i]]))
            sums->wanted[wanted++] = indices[i];
        if (wanted == sums->piece || (i == count - 1 && wanted > 0)) {
            MB_TRY(read_wanted(sums, wanted));
            wanted = 0;
        }
    }
    *out = 0;
    for (int64_t i = 0; i < count; i++)
        *out += indices[i] < 0 ? 0 : sums->of_samples[indices[i]];
    return MB_OK;
}
