/* Model files through mb_model_file_open and mb_checkpoint_write. */
#include "support/rewrite_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int count_weights(const mb_model_file_t *file)
{
    int count = 0;
    for (int i = 0; i < file->n_layers; i++)
        count += file->layers[i].n_weights;
    return count;
}

static mb_status_t add(rewrite_t *r, const char *name, const mb_stored_tensor_t *from)
{
    float *values = calloc((size_t)from->elements + 1, sizeof(*values));
    r->tensors[r->n_tensors] = (mb_tensor_spec_t){.name = name, .shape = from->shape};
    r->values[r->n_tensors++] = values;
    return mb_stored_tensor_read(r->file, from, values);
}

static mb_status_t add_weights(rewrite_t *r)
{
    for (int i = 0; i < r->file->n_layers; i++) {
        const mb_stored_layer_t *layer = &r->file->layers[i];
        r->layers[i] = (mb_layer_spec_t){layer->name, layer->n_weights, r->indices + r->n_tensors};
        for (int k = 0; k < layer->n_weights; k++) {
            r->indices[r->n_tensors] = r->n_tensors;
            MB_TRY(add(r, layer->weights[k].name, &layer->weights[k]));
        }
    }
    r->layout.n_weights = r->n_tensors;
    return MB_OK;
}

/* "adam/a_b_kernel_momentum" for weight k, as "momentum/<name of weight k>". */
static mb_status_t add_keras_moments(rewrite_t *r)
{
    static const char *const slots[] = {"momentum", "velocity"};
    for (int slot = 0; slot < 2; slot++) {
        int weight = 0;
        for (int i = 0; i < r->file->n_optimizer; i++) {
            const char *end = strrchr(r->file->optimizer[i].name, '_');
            if (end == NULL || strcmp(end + 1, slots[slot]) != 0)
                continue;
            size_t bytes = strlen(r->tensors[weight].name) + 16;
            char *name = malloc(bytes);
            snprintf(name, bytes, "%s/%s", slots[slot], r->tensors[weight++].name);
            r->names[r->n_tensors] = name;
            MB_TRY(add(r, name, &r->file->optimizer[i]));
        }
    }
    return MB_OK;
}

static mb_status_t add_moments(rewrite_t *r)
{
    for (int i = 0; i < r->file->n_moments; i++)
        MB_TRY(add(r, r->file->moments[i].name, &r->file->moments[i]));
    if (r->file->n_moments == 0)
        MB_TRY(add_keras_moments(r));
    r->layout.n_moments = r->n_tensors - r->layout.n_weights;
    return MB_OK;
}

static void fill_layout(rewrite_t *r)
{
    mb_checkpoint_layout_t *layout = &r->layout;
    layout->model_config = r->file->model_config;
    layout->training_config = r->file->training_config;
    layout->n_layers = r->file->n_layers;
    layout->layers = r->layers;
    layout->tensors = r->tensors;
    layout->optimizer_name = "adam";
    layout->learning_rate = NAN;
    layout->settings = r->file->settings;
    layout->n_settings = r->file->n_settings;
    layout->state = r->file->state;
}

mb_status_t rewrite_read(const char *path, rewrite_t *r)
{
    *r = (rewrite_t){0};
    MB_TRY(mb_model_file_open(path, true, false, &r->file));
    size_t most = (size_t)(count_weights(r->file) + r->file->n_moments + r->file->n_optimizer) + 1;
    r->layers = calloc((size_t)r->file->n_layers + 1, sizeof(*r->layers));
    r->tensors = calloc(most, sizeof(*r->tensors));
    r->indices = calloc(most, sizeof(*r->indices));
    r->values = calloc(most, sizeof(*r->values));
    r->names = calloc(most, sizeof(*r->names));
    fill_layout(r);
    MB_TRY(add_weights(r));
    return add_moments(r);
}

mb_status_t rewrite_write(const rewrite_t *r, const char *path)
{
    mb_piece_t *pieces = calloc((size_t)r->n_tensors + 1, sizeof(*pieces));
    for (int i = 0; i < r->n_tensors; i++)
        pieces[i] = (mb_piece_t){
            .tensor = i, .count = mb_shape_elements(&r->tensors[i].shape), .values = r->values[i]};
    mb_status_t status = mb_checkpoint_write(NULL, path, &r->layout, pieces, r->n_tensors);
    free(pieces);
    return status;
}

void rewrite_free(rewrite_t *r)
{
    for (int i = 0; i < r->n_tensors; i++) {
        free(r->values[i]);
        free(r->names[i]);
    }
    free(r->layers);
    free(r->tensors);
    free(r->indices);
    free(r->values);
    free(r->names);
    mb_model_file_close(r->file);
    *r = (rewrite_t){0};
}
