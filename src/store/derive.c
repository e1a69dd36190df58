/* See derive.h. */
#include "store/derive.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "store/labels.h"

typedef struct {
    const mb_derivation_t *how;
    const char *to;
    mb_arena_t *arena;
    mb_checkpoint_layout_t layout;
    mb_tensor_spec_t *tensors;
    mb_piece_t *pieces;
    mb_encoded_t *encoded;
    int n;
    mb_layer_spec_t *layers;
    bool *used;
    bool changed; /* a weight is left out, or has another name */
} maker_t;

static mb_status_t no_memory(void)
{
    return mb_error_memory("a derived file", 0);
}

/* Vectors stay exact, as in mbrun quantize. */
static mb_status_t encode(maker_t *m, const mb_stored_tensor_t *tensor, const float *values)
{
    const mb_format_t *format = m->how->format;
    const mb_shape_t *shape = &tensor->shape;
    if (format == NULL || format->number == MB_NUMBER_F32 || shape->rank < 2 ||
        tensor->elements == 0)
        return MB_OK;
    int64_t columns = shape->dim[shape->rank - 1];
    const mb_view_t view = {.rows = tensor->elements / columns, .columns = columns};
    const char *where =
        mb_arena_format(m->arena, "%s: tensor '%s'", m->how->file->path, tensor->name);
    if (where == NULL)
        return no_memory();
    MB_TRY(mb_encode(format, MB_METHOD_NEAREST, &view, values, NULL, where, &m->encoded[m->n]));
    m->tensors[m->n].encoding = &m->encoded[m->n].encoding;
    m->pieces[m->n].encoded = &m->encoded[m->n];
    return MB_OK;
}

static mb_status_t add(maker_t *m, const mb_stored_tensor_t *tensor, const char *name)
{
    const mb_derivation_t *how = m->how;
    size_t bytes = (size_t)tensor->elements * sizeof(float);
    float *values = malloc(bytes + 1);
    if (values == NULL || name == NULL) {
        free(values);
        return mb_error_memory("a tensor on its way to the file", bytes);
    }
    m->tensors[m->n] = (mb_tensor_spec_t){.name = name, .shape = tensor->shape};
    m->pieces[m->n] = (mb_piece_t){.tensor = m->n, .count = tensor->elements, .values = values};
    mb_status_t status = how->read != NULL ? how->read(how->user, tensor, values)
                                           : mb_stored_tensor_read(how->file, tensor, values);
    if (status == MB_OK)
        status = encode(m, tensor, values);
    m->n++;
    return status;
}

static mb_status_t add_layer(maker_t *m, const mb_stored_layer_t *layer)
{
    mb_layer_spec_t *spec = &m->layers[m->layout.n_layers];
    int *weights = MB_ARENA_ARRAY(m->arena, int, layer->n_weights + 1);
    *spec = (mb_layer_spec_t){.name = mb_derive_name(m->how, m->arena, layer->name, m->used)};
    if (weights == NULL || spec->name == NULL)
        return no_memory();
    spec->weights = weights;
    for (int w = 0; w < layer->n_weights; w++) {
        const mb_stored_tensor_t *tensor = &layer->weights[w];
        const char *label = mb_tensor_label(m->arena, layer->name, tensor->name);
        if (label == NULL)
            return no_memory();
        if (!mb_derive_takes(m->how, label, layer->name, m->used)) {
            m->changed = true;
            continue;
        }
        const char *name = mb_derive_name(m->how, m->arena, tensor->name, m->used);
        m->changed = m->changed || name == NULL || strcmp(name, tensor->name) != 0;
        weights[spec->n_weights++] = m->n;
        MB_TRY(add(m, tensor, name));
    }
    m->changed = m->changed || strcmp(spec->name, layer->name) != 0;
    m->layout.n_layers += spec->n_weights > 0 || layer->n_weights == 0;
    return MB_OK;
}

static mb_status_t add_weights(maker_t *m)
{
    const mb_model_file_t *file = m->how->file;
    for (int l = 0; l < file->n_layers && m->how->weights; l++)
        MB_TRY(add_layer(m, &file->layers[l]));
    m->layout.n_weights = m->n;
    return MB_OK;
}

/* "velocity/dense/kernel" goes with its weight "dense/kernel". */
static mb_status_t add_moments(maker_t *m)
{
    const mb_model_file_t *file = m->how->file;
    for (int i = 0; i < file->n_moments && m->how->moments; i++) {
        const mb_stored_tensor_t *tensor = &file->moments[i];
        const char *label = mb_tensor_label(m->arena, "", tensor->name);
        if (label == NULL)
            return no_memory();
        const char *weight = strchr(label, '/');
        weight = weight == NULL ? label : weight + 1;
        if (mb_derive_takes(m->how, label, weight, m->used))
            MB_TRY(add(m, tensor, mb_derive_name(m->how, m->arena, tensor->name, m->used)));
    }
    m->layout.n_moments = m->n - m->layout.n_weights;
    return MB_OK;
}

static mb_status_t refuse_unused(const maker_t *m)
{
    const mb_derivation_t *how = m->how;
    const char *path = how->file->path;
    for (int i = 0; i < how->n_only + how->n_except; i++) {
        const char *pattern = i < how->n_only ? how->only[i] : how->except[i - how->n_only];
        if (!m->used[i])
            return mb_error_set(MB_ERR_ARGUMENT,
                                "%s: no tensor's name matches '%s'; mbrun inspect %s lists layers",
                                path, pattern, path);
    }
    for (int i = 0; i < how->n_renamings; i++) {
        if (!m->used[how->n_only + how->n_except + i])
            return mb_error_set(MB_ERR_ARGUMENT,
                                "%s: nothing is called '%s', so there is nothing to rename; "
                                "mbrun inspect %s lists layers",
                                path, how->renamings[i].from, path);
    }
    return MB_OK;
}

static mb_status_t refuse_twins(const maker_t *m)
{
    for (int a = 0; a < m->layout.n_layers; a++) {
        for (int b = a + 1; b < m->layout.n_layers; b++) {
            if (strcmp(m->layers[a].name, m->layers[b].name) == 0)
                return mb_error_set(MB_ERR_ARGUMENT,
                                    "%s: two layers would be called '%s'; rename one of them to "
                                    "something else",
                                    m->how->file->path, m->layers[a].name);
        }
    }
    return MB_OK;
}

static mb_status_t check(const maker_t *m)
{
    MB_TRY(refuse_unused(m));
    MB_TRY(refuse_twins(m));
    if (m->n > 0)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "%s: nothing is left to write%s", m->how->file->path,
                        m->how->moments && !m->how->weights ? ": the file has no moments of its own"
                                                            : "");
}

static mb_status_t fill_texts(maker_t *m)
{
    const mb_model_file_t *file = m->how->file;
    const mb_format_t *format = m->how->format;
    char text[MB_FORMAT_TEXT];
    bool model = m->how->weights && !m->changed;
    m->layout.layers = m->layers;
    m->layout.tensors = m->tensors;
    m->layout.keras_version = file->keras_version;
    m->layout.backend = file->backend;
    m->layout.learning_rate = NAN;
    if (format != NULL && format->number != MB_NUMBER_F32) {
        m->layout.quantized = mb_arena_strdup(m->arena, mb_format_text(format, text, sizeof text));
        if (m->layout.quantized == NULL)
            return no_memory();
    }
    if (!model)
        return MB_OK;
    m->layout.model_config = file->model_config;
    m->layout.training_config = file->training_config;
    m->layout.n_settings = file->n_settings;
    m->layout.settings = file->settings;
    return MB_OK;
}

static mb_status_t take_memory(maker_t *m)
{
    const mb_model_file_t *file = m->how->file;
    size_t most = (size_t)file->n_moments + 1;
    for (int l = 0; l < file->n_layers; l++)
        most += (size_t)file->layers[l].n_weights;
    m->arena = mb_arena_create();
    if (m->arena == NULL)
        return no_memory();
    m->tensors = MB_ARENA_ARRAY(m->arena, mb_tensor_spec_t, most);
    m->pieces = MB_ARENA_ARRAY(m->arena, mb_piece_t, most);
    m->encoded = MB_ARENA_ARRAY(m->arena, mb_encoded_t, most);
    m->layers = MB_ARENA_ARRAY(m->arena, mb_layer_spec_t, file->n_layers + 1);
    m->used =
        MB_ARENA_ARRAY(m->arena, bool, m->how->n_only + m->how->n_except + m->how->n_renamings + 1);
    return m->tensors == NULL || m->pieces == NULL || m->encoded == NULL || m->layers == NULL ||
                   m->used == NULL
               ? no_memory()
               : MB_OK;
}

static mb_status_t derive(maker_t *m, mb_derived_t *derived)
{
    MB_TRY(take_memory(m));
    MB_TRY(add_weights(m));
    MB_TRY(add_moments(m));
    MB_TRY(check(m));
    MB_TRY(fill_texts(m));
    *derived = (mb_derived_t){.weights = m->layout.n_weights,
                              .moments = m->layout.n_moments,
                              .is_model = m->layout.model_config != NULL};
    return mb_checkpoint_write(NULL, m->to, &m->layout, m->pieces, m->n);
}

mb_status_t mb_derive(const mb_derivation_t *how, const char *to, mb_derived_t *derived)
{
    maker_t m = {.how = how, .to = to};
    mb_status_t status = derive(&m, derived);
    for (int i = 0; i < m.n; i++) {
        mb_encoded_free(&m.encoded[i]);
        free((void *)(uintptr_t)m.pieces[i].values);
    }
    if (m.arena != NULL)
        mb_arena_destroy(m.arena);
    return status;
}
