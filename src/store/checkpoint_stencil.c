/* What a layout has but for the numbers of /mbrun/state is written down as a text; equal texts,
 * equal objects at equal places. HDF5 takes 50 us an object, which a step would wait for. */
#include "store/checkpoint_stencil.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "store/checkpoint_layout.h"

struct mb_stencil {
    mb_h5_image_t *image; /* NULL: none yet */
    mb_str_t text;
    int64_t *numbers;
};

mb_stencil_t *mb_stencil_create(void)
{
    return calloc(1, sizeof(mb_stencil_t));
}

static void forget(mb_stencil_t *stencil)
{
    mb_h5_image_free(stencil->image);
    mb_str_free(&stencil->text);
    free(stencil->numbers);
    *stencil = (mb_stencil_t){0};
}

void mb_stencil_destroy(mb_stencil_t *stencil)
{
    if (stencil == NULL)
        return;
    forget(stencil);
    free(stencil);
}

/* With its length, so that no two lists of texts read alike. */
static void add_text(mb_str_t *to, const char *text)
{
    mb_str_addf(to, "%zu:", text == NULL ? (size_t)0 : strlen(text) + 1);
    mb_str_add(to, text == NULL ? "" : text);
}

static void add_tensor(mb_str_t *to, const mb_tensor_spec_t *tensor)
{
    add_text(to, tensor->name);
    for (int i = 0; i < tensor->shape.rank; i++)
        mb_str_addf(to, "%s%" PRId64, i == 0 ? "" : "x", tensor->shape.dim[i]);
}

static void add_layer(mb_str_t *to, const mb_layer_spec_t *layer)
{
    add_text(to, layer->name);
    for (int i = 0; i < layer->n_weights; i++)
        mb_str_addf(to, " %d", layer->weights[i]);
}

/* Which numbers there are. */
static void add_state(mb_str_t *to, const mb_run_state_t *state)
{
    mb_str_addf(to, "\n%d %d %d %d %" PRId64, state->loss_scale > 0, state->skipped_steps != 0,
                state->callbacks.present, state->averaged != 0, state->n_metrics);
}

static void describe(mb_str_t *to, const mb_checkpoint_layout_t *layout)
{
    const char *const texts[] = {layout->model_config, layout->training_config,
                                 layout->keras_version, layout->backend};
    int n_tensors = layout->n_weights + layout->n_moments + layout->n_states;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        add_text(to, texts[i]);
    mb_str_addf(to, "\n%d %d %d %d %d", layout->n_layers, layout->n_weights, layout->n_moments,
                layout->n_states, layout->n_settings);
    for (int i = 0; i < layout->n_layers; i++)
        add_layer(to, &layout->layers[i]);
    for (int i = 0; i < n_tensors; i++)
        add_tensor(to, &layout->tensors[i]);
    for (int i = 0; i < layout->n_settings; i++) {
        add_text(to, layout->settings[i].key);
        add_text(to, layout->settings[i].value);
    }
    add_state(to, &layout->state);
}

/* Encodings, reports and Keras' own place for moments have numbers elsewhere. */
static bool is_plain(const mb_checkpoint_layout_t *layout)
{
    int n_tensors = layout->n_weights + layout->n_moments + layout->n_states;
    bool plain = layout->state.present && !layout->keras_optimizer && layout->report == NULL &&
                 layout->quantized == NULL;
    for (int i = 0; i < n_tensors; i++)
        plain = plain && layout->tensors[i].encoding == NULL && !layout->tensors[i].codes_only;
    return plain;
}

mb_h5_image_t *mb_stencil_take(const mb_checkpoint_layout_t *layout, int64_t *numbers)
{
    mb_stencil_t *stencil = layout->stencil;
    mb_str_t text = {0};
    mb_h5_image_t *image = NULL;
    if (stencil == NULL || stencil->image == NULL || !is_plain(layout))
        return NULL;
    describe(&text, layout);
    if (!text.failed && text.length == stencil->text.length &&
        memcmp(text.text, stencil->text.text, text.length) == 0) {
        image = stencil->image;
        stencil->image = NULL;
        memcpy(numbers, stencil->numbers, mb_checkpoint_numbers(layout) * sizeof *numbers);
    }
    mb_str_free(&text);
    return image;
}

static bool keep(mb_stencil_t *stencil, const mb_checkpoint_layout_t *layout,
                 const int64_t *numbers)
{
    size_t n = mb_checkpoint_numbers(layout);
    forget(stencil);
    stencil->numbers = malloc(n * sizeof *numbers);
    describe(&stencil->text, layout);
    if (stencil->numbers == NULL || stencil->text.failed)
        return false;
    memcpy(stencil->numbers, numbers, n * sizeof *numbers);
    return true;
}

void mb_stencil_put(const mb_checkpoint_layout_t *layout, const int64_t *numbers,
                    mb_h5_image_t *image)
{
    mb_stencil_t *stencil = layout->stencil;
    bool kept =
        image != NULL && stencil != NULL && is_plain(layout) && keep(stencil, layout, numbers);
    if (kept)
        stencil->image = image;
    else
        mb_h5_image_free(image);
}
