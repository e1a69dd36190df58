/* The objects of a checkpoint, in the order in which they are made; the seal is first, so that it
 * lies near the file's start. */
#include "store/checkpoint_layout.h"
#include "store/checkpoint_stencil.h"

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "store/callback_numbers.h"
#include "store/encoded_write.h"
#include "store/h5_write.h"
#include "store/keras_optimizer.h"
#include "store/report_file.h"
#include "store/seal.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0"
#endif

typedef struct {
    const mb_h5_writer_t *h5;
    const mb_checkpoint_layout_t *layout;
    mb_arena_t *arena;
    int64_t *offsets;
    bool again; /* the file is there but for the numbers of the state */
} maker_t;

static mb_status_t no_memory(void)
{
    return mb_error_set(MB_ERR_MEMORY, "out of memory while laying a checkpoint out");
}

static const char *or_else(const char *text, const char *otherwise)
{
    return text == NULL ? otherwise : text;
}

static int n_tensors(const mb_checkpoint_layout_t *layout)
{
    return layout->n_weights + layout->n_moments + layout->n_states;
}

size_t mb_checkpoint_numbers(const mb_checkpoint_layout_t *layout)
{
    return (size_t)n_tensors(layout) * MB_PART_COUNT + 1;
}

int64_t mb_checkpoint_part_bytes(const mb_tensor_spec_t *tensor, mb_part_t part)
{
    if (tensor->encoding != NULL)
        return tensor->encoding->bytes[part];
    return part == MB_PART_VALUES ? mb_shape_elements(&tensor->shape) * (int64_t)sizeof(float) : 0;
}

int64_t mb_checkpoint_data_bytes(const mb_checkpoint_layout_t *layout)
{
    int64_t bytes = 0;
    for (int i = 0; i < n_tensors(layout); i++)
        for (mb_part_t part = 0; part < MB_PART_COUNT; part++)
            bytes += mb_checkpoint_part_bytes(&layout->tensors[i], part);
    return bytes;
}

/* What HDF5 needs for the objects, roughly. */
static int64_t object_bytes(const mb_checkpoint_layout_t *layout)
{
    int64_t bytes = 512 * (int64_t)(n_tensors(layout) + layout->n_layers);
    for (int i = 0; i < n_tensors(layout); i++)
        bytes += layout->tensors[i].encoding != NULL ? 2048 : 0;
    return bytes + (layout->report != NULL ? 256 * (int64_t)layout->report->n_lines + 4096 : 0);
}

int64_t mb_checkpoint_file_bytes(const mb_checkpoint_layout_t *layout)
{
    const char *model = or_else(layout->model_config, "");
    const char *training = or_else(layout->training_config, "");
    size_t texts = strlen(model) + strlen(training);
    return mb_checkpoint_data_bytes(layout) + (int64_t)texts + object_bytes(layout) + 16384;
}

static int n_extents(const mb_checkpoint_layout_t *layout)
{
    int count = 0;
    for (int i = 0; i < n_tensors(layout); i++)
        for (mb_part_t part = 0; part < MB_PART_COUNT; part++)
            count += mb_checkpoint_part_bytes(&layout->tensors[i], part) > 0;
    return count;
}

static mb_status_t make_seal(const maker_t *m)
{
    int64_t bytes = mb_seal_bytes(n_extents(m->layout), mb_checkpoint_data_bytes(m->layout));
    const mb_shape_t shape = {.rank = 1, .dim = {bytes}};
    return mb_h5_make_dataset(m->h5, "/mbrun/seal", H5T_STD_U8LE, &shape,
                              &m->offsets[mb_checkpoint_numbers(m->layout) - 1]);
}

static mb_status_t write_versions(const maker_t *m, hid_t group)
{
    MB_TRY(mb_h5_write_text(m->h5, group, "keras_version",
                            or_else(m->layout->keras_version, "3.8.0")));
    return mb_h5_write_text(m->h5, group, "backend", or_else(m->layout->backend, "torch"));
}

static mb_status_t write_root(const maker_t *m, hid_t root)
{
    MB_TRY(write_versions(m, root));
    if (m->layout->model_config != NULL)
        MB_TRY(mb_h5_write_text(m->h5, root, "model_config", m->layout->model_config));
    if (m->layout->training_config != NULL)
        MB_TRY(mb_h5_write_text(m->h5, root, "training_config", m->layout->training_config));
    MB_TRY(mb_h5_write_text(m->h5, root, "mbrun_format", MB_MODEL_FILE_FORMAT));
    if (m->layout->quantized != NULL)
        MB_TRY(mb_h5_write_text(m->h5, root, "mbrun_quantized", m->layout->quantized));
    return mb_h5_write_text(m->h5, root, "mbrun_version", PACKAGE_VERSION);
}

/* QUANTIZED: the group below which tensors in formats with scales go. */
static mb_status_t make_tensor(const maker_t *m, int tensor, const char *group_path,
                               const char *quantized, const char *name)
{
    const mb_tensor_spec_t *spec = &m->layout->tensors[tensor];
    int64_t *offsets = m->offsets + (size_t)tensor * MB_PART_COUNT;
    const char *path = mb_arena_format(m->arena, "%s/%s", group_path, name);
    const char *encoded = mb_arena_format(m->arena, "%s/%s", quantized, name);
    if (path == NULL || encoded == NULL)
        return no_memory();
    if (spec->encoding != NULL)
        return mb_encoded_make(m->h5, spec, path, encoded, offsets);
    return mb_h5_make_dataset(m->h5, path, H5T_IEEE_F32LE, &spec->shape, offsets);
}

/* A dataset for each name, below GROUP_PATH, and the names as its weight_names. TENSORS says which
 * tensor each name is (-1: none, it exists already). */
static mb_status_t make_named(const maker_t *m, const char *group_path, const char *quantized,
                              const char *const *names, const int *tensors, int count)
{
    hid_t group = H5I_INVALID_HID;
    MB_TRY(mb_h5_make_group(m->h5, group_path, &group));
    mb_status_t status = mb_h5_write_names(m->h5, group, "weight_names", names, count);
    H5Gclose(group);
    for (int i = 0; i < count && status == MB_OK; i++) {
        if (tensors[i] >= 0)
            status = make_tensor(m, tensors[i], group_path, quantized, names[i]);
    }
    return status;
}

static mb_status_t make_layer(const maker_t *m, const mb_layer_spec_t *layer)
{
    const char *path = mb_arena_format(m->arena, "/model_weights/%s", layer->name);
    const char **names = MB_ARENA_ARRAY(m->arena, const char *, layer->n_weights);
    if (path == NULL || names == NULL)
        return no_memory();
    for (int i = 0; i < layer->n_weights; i++)
        names[i] = m->layout->tensors[layer->weights[i]].name;
    return make_named(m, path, "/quantized", names, layer->weights, layer->n_weights);
}

static mb_status_t make_weights(const maker_t *m)
{
    const mb_checkpoint_layout_t *layout = m->layout;
    const char **names = MB_ARENA_ARRAY(m->arena, const char *, layout->n_layers);
    if (names == NULL)
        return no_memory();
    for (int i = 0; i < layout->n_layers; i++)
        names[i] = layout->layers[i].name;
    hid_t group = H5I_INVALID_HID;
    MB_TRY(mb_h5_make_group(m->h5, "/model_weights", &group));
    mb_status_t status = mb_h5_write_names(m->h5, group, "layer_names", names, layout->n_layers);
    if (status == MB_OK)
        status = write_versions(m, group);
    H5Gclose(group);
    for (int i = 0; i < layout->n_layers && status == MB_OK; i++)
        status = make_layer(m, &layout->layers[i]);
    if (status == MB_OK)
        status =
            make_named(m, "/model_weights/top_level_model_weights", "/quantized", NULL, NULL, 0);
    return status;
}

/* COUNT tensors from FIRST on, in a group of their own. */
static mb_status_t make_group(const maker_t *m, const char *group_path, const char *quantized,
                              int first, int count)
{
    const mb_checkpoint_layout_t *layout = m->layout;
    const char **names = MB_ARENA_ARRAY(m->arena, const char *, count);
    int *tensors = MB_ARENA_ARRAY(m->arena, int, count);
    if (names == NULL || tensors == NULL)
        return no_memory();
    for (int i = 0; i < count; i++) {
        tensors[i] = first + i;
        names[i] = layout->tensors[tensors[i]].name;
    }
    return make_named(m, group_path, quantized, names, tensors, count);
}

static mb_status_t make_own_moments(const maker_t *m)
{
    return make_group(m, "/mbrun/optimizer", "/quantized/optimizer", m->layout->n_weights,
                      m->layout->n_moments);
}

static mb_status_t make_states(const maker_t *m)
{
    const mb_checkpoint_layout_t *layout = m->layout;
    return make_group(m, "/mbrun/states", "/quantized/states",
                      layout->n_weights + layout->n_moments, layout->n_states);
}

/* Keras numbers steps in 32 bits. */
static mb_status_t write_iteration(const maker_t *m, const char *path)
{
    int64_t iterations = m->layout->state.iterations;
    hid_t type = iterations > INT32_MAX ? H5T_STD_I64LE : H5T_STD_I32LE;
    return mb_h5_write_scalar(m->h5, path, type, H5T_NATIVE_INT64, &iterations);
}

static mb_status_t check_keras_moments(const maker_t *m)
{
    for (int i = m->layout->n_weights; i < m->layout->n_weights + m->layout->n_moments; i++) {
        const mb_encoding_t *encoding = m->layout->tensors[i].encoding;
        if (encoding != NULL && !mb_format_is_float(&encoding->format))
            return mb_error_set(MB_ERR_ARGUMENT,
                                "'%s': Keras' own place for moments takes no moments in 8 bits; "
                                "leave one of the two options out",
                                m->h5->path);
    }
    return MB_OK;
}

/* VALUE NULL: the iteration. */
static mb_status_t write_scalar(const maker_t *m, const char *name, const double *value)
{
    const char *path = mb_arena_format(m->arena, "/optimizer_weights/%s", name);
    if (path == NULL)
        return no_memory();
    if (value == NULL)
        return write_iteration(m, path);
    return mb_h5_write_scalar(m->h5, path, H5T_IEEE_F32LE, H5T_NATIVE_DOUBLE, value);
}

static mb_status_t make_keras_moments(const maker_t *m)
{
    MB_TRY(check_keras_moments(m));
    mb_keras_optimizer_t keras;
    MB_TRY(mb_keras_optimizer_name(m->layout, m->arena, &keras));
    MB_TRY(make_named(m, "/optimizer_weights", "/quantized/optimizer", keras.names, keras.tensors,
                      keras.count));
    const mb_checkpoint_layout_t *layout = m->layout;
    MB_TRY(write_scalar(m, keras.names[0], NULL));
    if (!isnan(layout->learning_rate))
        MB_TRY(write_scalar(m, keras.names[1], &layout->learning_rate));
    if (layout->keras_scalar == NULL)
        return MB_OK;
    return write_scalar(m, keras.names[keras.count - 1], &layout->keras_scalar_value);
}

static mb_status_t make_run(const maker_t *m)
{
    hid_t group = H5I_INVALID_HID;
    MB_TRY(mb_h5_make_group(m->h5, "/mbrun/run", &group));
    mb_status_t status = MB_OK;
    for (int i = 0; i < m->layout->n_settings && status == MB_OK; i++)
        status = mb_h5_write_text(m->h5, group, m->layout->settings[i].key,
                                  m->layout->settings[i].value);
    H5Gclose(group);
    return status;
}

static mb_status_t write_loss_scale(const maker_t *m, hid_t group)
{
    const mb_run_state_t *state = &m->layout->state;
    bool scales = state->loss_scale > 0;
    if (!scales && state->skipped_steps == 0)
        return MB_OK;
    if (!scales)
        return mb_h5_write_int(m->h5, group, "skipped_steps", state->skipped_steps);
    MB_TRY(mb_h5_write_real(m->h5, group, "loss_scale", state->loss_scale));
    MB_TRY(mb_h5_write_int(m->h5, group, "loss_scale_steps", state->loss_scale_steps));
    return mb_h5_write_int(m->h5, group, "skipped_steps", state->skipped_steps);
}

static mb_status_t write_metrics(const maker_t *m)
{
    const mb_run_state_t *state = &m->layout->state;
    mb_shape_t shape = {.rank = 1, .dim = {state->n_metrics}};
    if (state->n_metrics == 0)
        return MB_OK;
    if (m->again)
        return mb_h5_rewrite_array(m->h5, MB_STATE_METRICS, H5T_NATIVE_DOUBLE, state->metrics);
    return mb_h5_write_array(m->h5, MB_STATE_METRICS, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &shape,
                             state->metrics);
}

static mb_status_t write_callbacks(const maker_t *m, hid_t group, mb_callback_state_t state)
{
    mb_callback_numbers_t numbers = mb_callback_numbers(&state);
    MB_TRY(mb_h5_write_int(m->h5, group, "callbacks", 1));
    for (int i = 0; i < numbers.n_integers; i++)
        MB_TRY(mb_h5_write_int(m->h5, group, numbers.integers[i].name, *numbers.integers[i].value));
    for (int i = 0; i < numbers.n_reals; i++)
        MB_TRY(mb_h5_write_real(m->h5, group, numbers.reals[i].name, *numbers.reals[i].value));
    return MB_OK;
}

static mb_status_t make_state(const maker_t *m)
{
    const mb_run_state_t *state = &m->layout->state;
    const struct {
        const char *name;
        int64_t value;
    } integers[] = {
        {"step", state->step},
        {"epoch", state->epoch},
        {"step_in_epoch", state->step_in_epoch},
        {"best_step", state->best_step},
        {"iterations", state->iterations},
    };
    hid_t group = H5I_INVALID_HID;
    MB_TRY(mb_h5_make_group(m->h5, "/mbrun/state", &group));
    mb_status_t status = MB_OK;
    for (size_t i = 0; i < sizeof(integers) / sizeof(integers[0]) && status == MB_OK; i++)
        status = mb_h5_write_int(m->h5, group, integers[i].name, integers[i].value);
    if (status == MB_OK)
        status = mb_h5_write_real(m->h5, group, "best_metric", state->best_metric);
    if (status == MB_OK)
        status = write_loss_scale(m, group);
    if (status == MB_OK)
        status = write_metrics(m);
    if (status == MB_OK && state->callbacks.present)
        status = write_callbacks(m, group, state->callbacks);
    if (status == MB_OK && state->averaged != 0)
        status = mb_h5_write_int(m->h5, group, "averaged", state->averaged);
    H5Gclose(group);
    return status;
}

static mb_status_t make_all(const maker_t *m)
{
    MB_TRY(make_seal(m));
    hid_t root = H5Gopen2(m->h5->file, "/", H5P_DEFAULT);
    if (root < 0)
        return mb_h5_error(MB_ERR_IO, m->h5->path, "open", "the root group");
    mb_status_t status = write_root(m, root);
    H5Gclose(root);
    MB_TRY(status);
    MB_TRY(make_weights(m));
    if (m->layout->keras_optimizer)
        MB_TRY(make_keras_moments(m));
    else if (m->layout->n_moments > 0)
        MB_TRY(make_own_moments(m));
    if (m->layout->n_states > 0)
        MB_TRY(make_states(m));
    if (m->layout->n_settings > 0)
        MB_TRY(make_run(m));
    if (m->layout->report != NULL)
        MB_TRY(mb_report_write(m->h5, m->layout->report));
    return m->layout->state.present ? make_state(m) : MB_OK;
}

/* The image of the file, when that was made. */
static mb_status_t make_file(const char *create_at, const char *path,
                             const mb_checkpoint_layout_t *layout, mb_arena_t *arena,
                             int64_t *numbers, mb_h5_image_t **image)
{
    mb_h5_writer_t h5;
    MB_TRY(mb_h5_writer_create_spread(create_at, path, layout->align, &h5));
    for (size_t i = 0; i < mb_checkpoint_numbers(layout); i++)
        numbers[i] = -1;
    const maker_t maker = {&h5, layout, arena, numbers, false};
    return mb_h5_writer_keep(&h5, make_all(&maker), image);
}

static mb_status_t change_file(const char *create_at, const char *path,
                               const mb_checkpoint_layout_t *layout, mb_h5_image_t **image)
{
    mb_h5_writer_t h5;
    mb_status_t status = mb_h5_writer_reuse(*image, create_at, path, &h5);
    *image = NULL;
    MB_TRY(status);
    const maker_t maker = {&h5, layout, NULL, NULL, true};
    return mb_h5_writer_keep(&h5, make_state(&maker), image);
}

static mb_status_t lay_out(const char *create_at, const char *path,
                           const mb_checkpoint_layout_t *layout, int64_t *numbers)
{
    mb_h5_image_t *image = mb_stencil_take(layout, numbers);
    mb_arena_t *arena = mb_arena_create();
    mb_status_t status = MB_OK;
    if (arena == NULL)
        status = no_memory();
    else if (image != NULL)
        status = change_file(create_at, path, layout, &image);
    else
        status = make_file(create_at, path, layout, arena, numbers, &image);
    mb_arena_destroy(arena);
    mb_stencil_put(layout, numbers, image);
    return status;
}

mb_status_t mb_checkpoint_create(const char *create_at, const char *path,
                                 const mb_checkpoint_layout_t *layout, int64_t *numbers)
{
    mb_h5_quiet_t quiet;
    mb_h5_quiet_begin(&quiet);
    mb_status_t status = lay_out(create_at, path, layout, numbers);
    mb_h5_quiet_end(&quiet);
    return status;
}

void mb_checkpoint_foresee(const mb_checkpoint_layout_t *layout)
{
    int64_t *numbers = calloc(mb_checkpoint_numbers(layout), sizeof *numbers);
    if (numbers != NULL)
        mb_checkpoint_create(NULL, "a checkpoint to come", layout, numbers);
    free(numbers);
}
