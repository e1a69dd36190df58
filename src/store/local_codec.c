/* A checkpoint's layout as bytes and back: one description serves both directions. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "store/callback_numbers.h"
#include "store/local_set.h"

enum { PADDED = 8 }; /* bytes come in whole numbers of these */

typedef struct {
    mb_arena_t *arena; /* NULL: writes */
    unsigned char *bytes;
    const unsigned char *from;
    size_t length, at;
    bool failed, no_memory;
} codec_t;

static bool grow(codec_t *c, size_t bytes)
{
    size_t length = 2 * c->length + bytes + 4096;
    unsigned char *larger = realloc(c->bytes, length);
    c->no_memory = c->no_memory || larger == NULL;
    c->failed = c->failed || larger == NULL;
    if (larger == NULL)
        return false;
    c->bytes = larger;
    c->length = length;
    return true;
}

static void raw(codec_t *c, void *data, size_t bytes)
{
    if (c->failed || bytes == 0)
        return;
    bool fits = bytes <= c->length - c->at;
    if (c->arena != NULL && !fits)
        c->failed = true;
    else if (c->arena != NULL)
        memcpy(data, c->from + c->at, bytes);
    else if (fits || grow(c, bytes))
        memcpy(c->bytes + c->at, data, bytes);
    if (!c->failed)
        c->at += bytes;
}

static void count(codec_t *c, int64_t *value)
{
    raw(c, value, sizeof *value);
}

static void integer(codec_t *c, int *value)
{
    int64_t wide = *value;
    count(c, &wide);
    if (wide < 0 || wide > INT32_MAX)
        c->failed = true;
    else
        *value = (int)wide;
}

static void flag(codec_t *c, bool *value)
{
    int wide = *value;
    integer(c, &wide);
    *value = wide != 0;
}

static void real(codec_t *c, double *value)
{
    raw(c, value, sizeof *value);
}

/* Memory for what is read, which takes at least EACH bytes in the file a piece; when writing, what
 * is there. */
static void *array(codec_t *c, const void *there, int64_t n, size_t bytes, size_t each)
{
    if (c->arena == NULL)
        return (void *)(uintptr_t)there;
    if (c->failed || n < 0 || (uint64_t)n > (c->length - c->at) / each) {
        c->failed = true;
        return NULL;
    }
    void *made = mb_arena_alloc(c->arena, (size_t)n * bytes);
    c->no_memory = c->no_memory || made == NULL;
    c->failed = c->failed || made == NULL;
    return made;
}

static void text(codec_t *c, const char **value)
{
    int64_t length = c->arena != NULL || *value == NULL ? -1 : (int64_t)strlen(*value);
    count(c, &length);
    if (c->arena != NULL && !c->failed && length >= 0) {
        /* Zeroed, and one byte longer than what is read. */
        char *made = array(c, NULL, length, 1, 1);
        made = made == NULL ? NULL : mb_arena_alloc(c->arena, (size_t)length + 1);
        c->failed = c->failed || made == NULL;
        *value = made;
    }
    if (!c->failed && length > 0)
        raw(c, (char *)(uintptr_t)*value, (size_t)length);
}

static void shape(codec_t *c, mb_shape_t *value)
{
    integer(c, &value->rank);
    if (value->rank > MB_MAX_RANK)
        c->failed = true;
    for (int d = 0; d < value->rank && !c->failed; d++) {
        count(c, &value->dim[d]);
        if (value->dim[d] < 0 || value->dim[d] > INT64_MAX / 64)
            c->failed = true;
    }
}

/* What is written may stand where nothing can be changed. */
static void weights(codec_t *c, mb_layer_spec_t *layer)
{
    integer(c, &layer->n_weights);
    int *list = array(c, layer->weights, layer->n_weights, sizeof *list, sizeof(int64_t));
    for (int w = 0; w < layer->n_weights && !c->failed; w++) {
        int weight = c->arena == NULL ? layer->weights[w] : 0;
        integer(c, &weight);
        if (c->arena != NULL && !c->failed)
            list[w] = weight;
    }
    layer->weights = list;
}

static void layers(codec_t *c, mb_checkpoint_layout_t *layout)
{
    integer(c, &layout->n_layers);
    mb_layer_spec_t *list =
        array(c, layout->layers, layout->n_layers, sizeof *list, 2 * sizeof(int64_t));
    layout->layers = list;
    for (int l = 0; l < layout->n_layers && !c->failed; l++) {
        mb_layer_spec_t layer = list[l];
        text(c, &layer.name);
        weights(c, &layer);
        if (c->arena != NULL && !c->failed)
            list[l] = layer;
    }
}

static void tensors(codec_t *c, mb_checkpoint_layout_t *layout)
{
    integer(c, &layout->n_weights);
    integer(c, &layout->n_moments);
    integer(c, &layout->n_states);
    int64_t n = (int64_t)layout->n_weights + layout->n_moments + layout->n_states;
    mb_tensor_spec_t *list = array(c, layout->tensors, n, sizeof *list, 2 * sizeof(int64_t));
    layout->tensors = list;
    for (int64_t t = 0; t < n && !c->failed; t++) {
        mb_tensor_spec_t tensor = {.name = c->arena == NULL ? list[t].name : NULL};
        if (c->arena == NULL)
            tensor.shape = list[t].shape;
        text(c, &tensor.name);
        shape(c, &tensor.shape);
        if (c->arena != NULL && !c->failed)
            list[t] = tensor;
    }
}

static void settings(codec_t *c, mb_checkpoint_layout_t *layout)
{
    integer(c, &layout->n_settings);
    mb_setting_t *list =
        array(c, layout->settings, layout->n_settings, sizeof *list, 2 * sizeof(int64_t));
    layout->settings = list;
    for (int i = 0; i < layout->n_settings && !c->failed; i++) {
        mb_setting_t setting = list[i];
        text(c, &setting.key);
        text(c, &setting.value);
        if (c->arena != NULL)
            list[i] = setting;
    }
}

static void callbacks(codec_t *c, mb_callback_state_t *state)
{
    flag(c, &state->present);
    mb_callback_numbers_t numbers = mb_callback_numbers(state);
    for (int i = 0; i < numbers.n_integers; i++)
        count(c, numbers.integers[i].value);
    for (int i = 0; i < numbers.n_reals; i++)
        real(c, numbers.reals[i].value);
}

static void state(codec_t *c, mb_run_state_t *value)
{
    int64_t *const counts[] = {&value->step,          &value->epoch,      &value->step_in_epoch,
                               &value->best_step,     &value->iterations, &value->loss_scale_steps,
                               &value->skipped_steps, &value->averaged};
    flag(c, &value->present);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        count(c, counts[i]);
    real(c, &value->best_metric);
    real(c, &value->loss_scale);
    count(c, &value->n_metrics);
    double *metrics = array(c, value->metrics, value->n_metrics, sizeof *metrics, sizeof *metrics);
    if (!c->failed && value->n_metrics > 0)
        raw(c, metrics, (size_t)value->n_metrics * sizeof *metrics);
    value->metrics = metrics;
    callbacks(c, &value->callbacks);
}

static void describe(codec_t *c, mb_checkpoint_layout_t *layout)
{
    text(c, &layout->model_config);
    text(c, &layout->training_config);
    text(c, &layout->keras_version);
    text(c, &layout->backend);
    text(c, &layout->optimizer_name);
    text(c, &layout->keras_scalar);
    real(c, &layout->learning_rate);
    real(c, &layout->keras_scalar_value);
    flag(c, &layout->keras_optimizer);
    layers(c, layout);
    tensors(c, layout);
    settings(c, layout);
    state(c, &layout->state);
}

static bool is_sound(const mb_checkpoint_layout_t *layout)
{
    bool sound = layout->model_config != NULL;
    for (int l = 0; l < layout->n_layers && sound; l++) {
        const mb_layer_spec_t *layer = &layout->layers[l];
        sound = layer->name != NULL;
        for (int w = 0; w < layer->n_weights && sound; w++)
            sound = layer->weights[w] < layout->n_weights;
    }
    for (int t = 0; t < layout->n_weights + layout->n_moments + layout->n_states && sound; t++)
        sound = layout->tensors[t].name != NULL;
    for (int i = 0; i < layout->n_settings && sound; i++)
        sound = layout->settings[i].key != NULL && layout->settings[i].value != NULL;
    return sound;
}

mb_status_t mb_local_layout_read(const unsigned char *bytes, size_t length, mb_arena_t *arena,
                                 mb_checkpoint_layout_t *layout)
{
    codec_t c = {.arena = arena, .from = bytes, .length = length};
    *layout = (mb_checkpoint_layout_t){.learning_rate = NAN};
    describe(&c, layout);
    if (c.no_memory)
        return mb_error_memory("a local checkpoint's layout", length);
    if (c.failed || length % PADDED != 0 || length - c.at >= PADDED || !is_sound(layout))
        return mb_error_set(MB_ERR_FORMAT, "a local checkpoint's layout cannot be read");
    return MB_OK;
}

mb_status_t mb_local_layout_bytes(const mb_checkpoint_layout_t *layout, unsigned char **bytes,
                                  size_t *length)
{
    codec_t c = {.arena = NULL};
    mb_checkpoint_layout_t copy = *layout;
    char zeros[PADDED] = {0};
    describe(&c, &copy);
    raw(&c, zeros, (PADDED - c.at % PADDED) % PADDED);
    if (c.failed) {
        free(c.bytes);
        return mb_error_memory("a local checkpoint's layout", c.length);
    }
    *bytes = c.bytes;
    *length = c.at;
    return MB_OK;
}
