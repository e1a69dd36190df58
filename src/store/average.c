/* See average.h. */
#include "store/average.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    const mb_model_file_t *const *files;
    int n;
} average_t;

static mb_status_t check_weight(const mb_model_file_t *file, const mb_stored_tensor_t *weight,
                                const mb_model_file_t *last, const mb_stored_tensor_t *other)
{
    char a[MB_SHAPE_TEXT], b[MB_SHAPE_TEXT];
    if (mb_shape_equal(&weight->shape, &other->shape) && strcmp(weight->name, other->name) == 0)
        return MB_OK;
    return mb_error_set(MB_ERR_SHAPE,
                        "%s: weight '%s' %s stands where %s has '%s' %s; only files of one "
                        "architecture have a mean",
                        file->path, weight->name, mb_shape_text(&weight->shape, a, sizeof a),
                        last->path, other->name, mb_shape_text(&other->shape, b, sizeof b));
}

static mb_status_t check_layer(const mb_model_file_t *file, const mb_model_file_t *last, int index)
{
    const mb_stored_layer_t *layer = &file->layers[index], *other = &last->layers[index];
    if (strcmp(layer->name, other->name) != 0 || layer->n_weights != other->n_weights)
        return mb_error_set(MB_ERR_FORMAT,
                            "%s: layer '%s' with %d weights stands where %s has '%s' with %d; only "
                            "files of one architecture have a mean",
                            file->path, layer->name, layer->n_weights, last->path, other->name,
                            other->n_weights);
    for (int w = 0; w < layer->n_weights; w++)
        MB_TRY(check_weight(file, &layer->weights[w], last, &other->weights[w]));
    return MB_OK;
}

static mb_status_t check_file(const mb_model_file_t *file, const mb_model_file_t *last)
{
    if (file->n_layers == 0)
        return mb_error_set(MB_ERR_FORMAT,
                            "%s: its weights go by paths and its model is not understood here, so "
                            "they have no layers to be matched by",
                            file->path);
    if (file->n_layers != last->n_layers)
        return mb_error_set(MB_ERR_FORMAT,
                            "%s has %d layers and %s has %d; only files of one architecture have a "
                            "mean",
                            file->path, file->n_layers, last->path, last->n_layers);
    for (int l = 0; l < file->n_layers; l++)
        MB_TRY(check_layer(file, last, l));
    return MB_OK;
}

/* The same place in another file of the same architecture. */
static const mb_stored_tensor_t *counterpart(const average_t *average, int index,
                                             const mb_stored_tensor_t *tensor)
{
    const mb_model_file_t *last = average->files[average->n - 1];
    for (int l = 0; l < last->n_layers; l++) {
        const mb_stored_layer_t *layer = &last->layers[l];
        for (int w = 0; w < layer->n_weights; w++) {
            if (&layer->weights[w] == tensor)
                return &average->files[index]->layers[l].weights[w];
        }
    }
    return NULL;
}

static mb_status_t add_file(const average_t *average, int index, const mb_stored_tensor_t *tensor,
                            float *values, double *sums)
{
    const mb_stored_tensor_t *own = counterpart(average, index, tensor);
    MB_TRY(mb_stored_tensor_read(average->files[index], own, values));
    for (int64_t i = 0; i < tensor->elements; i++)
        sums[i] += (double)values[i];
    return MB_OK;
}

static mb_status_t read_mean(void *user, const mb_stored_tensor_t *tensor, float *values)
{
    const average_t *average = user;
    double *sums = calloc((size_t)tensor->elements + 1, sizeof *sums);
    mb_status_t status = sums == NULL ? mb_error_memory("a mean", 0) : MB_OK;
    for (int i = 0; i < average->n && status == MB_OK; i++)
        status = add_file(average, i, tensor, values, sums);
    for (int64_t i = 0; i < tensor->elements && status == MB_OK; i++)
        values[i] = (float)(sums[i] / average->n);
    free(sums);
    return status;
}

mb_status_t mb_average(const mb_model_file_t *const *files, int n, const char *to,
                       mb_derived_t *derived)
{
    average_t average = {.files = files, .n = n};
    const mb_model_file_t *last = files[n - 1];
    for (int i = 0; i < n; i++)
        MB_TRY(check_file(files[i], last));
    const mb_derivation_t how = {
        .file = last, .weights = true, .read = read_mean, .user = &average};
    return mb_derive(&how, to, derived);
}
