/* Keras 3's weights by paths (store/variables.h), alone or in an archive with the configuration.
 * HDF5 lays the file out beside its place; the values follow tensor by tensor; then it is put into
 * the archive, or gets its name. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "engine/optimizer_variables.h"
#include "store/h5_write.h"
#include "store/io.h"
#include "store/keras_archive.h"
#include "store/keras_config.h"
#include "store/zip_write.h"
#include "train/export_private.h"
#include "train/loss_scale.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0"
#endif

/* A tensor and where its values go. */
typedef struct {
    const mb_model_file_t *file;
    const mb_stored_tensor_t *stored;
    int64_t offset, elements;
} place_t;

typedef struct {
    mb_export_t *job;
    mb_h5_writer_t h5;
    place_t *places;
    int n;
} writer_t;

static mb_status_t no_memory(void)
{
    return mb_error_memory("a model in another form", 0);
}

/* The group `vars` of an owner. */
static mb_status_t name_owner(const writer_t *w, const char *owner, const char *name)
{
    hid_t group = H5I_INVALID_HID;
    const char *path = mb_arena_format(w->job->arena, "%s/vars", owner);
    if (path == NULL)
        return no_memory();
    MB_TRY(mb_h5_make_group(&w->h5, path, &group));
    mb_status_t status = mb_h5_write_text(&w->h5, group, "name", name);
    H5Gclose(group);
    return status;
}

static int count_parts(const char *path)
{
    int parts = 1;
    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/'))
        parts++;
    return parts;
}

/* The models and layers above a variable: "layers/functional/layers/dense/vars/0" lies below those
 * that "tower/dense" names, unless Keras 2 put a slash into a name. */
static mb_status_t name_owners(const writer_t *w, const mb_param_t *param)
{
    const char *name = w->job->model->graph->layers[param->layer]->path;
    const char *variable = param->variable, *at = variable;
    int modules = 0;
    for (const char *l = variable; strncmp(l, "layers/", 7) == 0; modules++)
        l += 7 + strcspn(l + 7, "/") + 1;
    bool known = modules == count_parts(name);
    for (int i = 0; i < modules; i++) {
        size_t length = known ? strcspn(name, "/") : strlen(name);
        at += 7 + strcspn(at + 7, "/");
        const char *owner = mb_arena_format(w->job->arena, "/%.*s", (int)(at - variable), variable);
        const char *own = mb_arena_format(w->job->arena, "%.*s", (int)length, name);
        if (owner == NULL || own == NULL)
            return no_memory();
        if (known || i + 1 == modules)
            MB_TRY(name_owner(w, owner, known ? own : param->owner));
        at++;
        name += known && name[length] == '/' ? length + 1 : 0;
    }
    return MB_OK;
}

static mb_status_t add(writer_t *w, const char *path, const mb_shape_t *shape,
                       const mb_model_file_t *file, const mb_stored_tensor_t *stored)
{
    place_t *place = &w->places[w->n++];
    *place = (place_t){.file = file, .stored = stored, .elements = mb_shape_elements(shape)};
    if (path == NULL)
        return no_memory();
    return mb_h5_make_dataset(&w->h5, path, H5T_IEEE_F32LE, shape, &place->offset);
}

static mb_status_t add_weights(writer_t *w)
{
    const mb_model_t *model = w->job->model;
    for (int p = 0; p < model->graph->n_params; p++) {
        const mb_param_t *param = &model->graph->params[p];
        const char *path = mb_arena_format(w->job->arena, "/%s", param->variable);
        MB_TRY(name_owners(w, param));
        MB_TRY(add(w, path, &param->shape, model->sources[p], model->stored[p]));
        if (strchr(param->name, '/') == NULL)
            continue;
        const char *vars = strstr(path, "/vars/");
        const char *owner = mb_arena_format(w->job->arena, "%.*s", (int)(vars - path), path);
        if (owner == NULL)
            return no_memory();
        MB_TRY(name_owner(w, owner, param->owner));
    }
    return MB_OK;
}

static mb_status_t write_whole(const writer_t *w, const char *group, int number, int64_t value)
{
    const char *path = mb_arena_format(w->job->arena, "%s/vars/%d", group, number);
    if (path == NULL)
        return no_memory();
    hid_t type = value > INT32_MAX ? H5T_STD_I64LE : H5T_STD_I32LE;
    return mb_h5_write_scalar(&w->h5, path, type, H5T_NATIVE_INT64, &value);
}

static mb_status_t write_real(const writer_t *w, const char *group, int number, double value)
{
    const char *path = mb_arena_format(w->job->arena, "%s/vars/%d", group, number);
    if (path == NULL)
        return no_memory();
    return mb_h5_write_scalar(&w->h5, path, H5T_IEEE_F32LE, H5T_NATIVE_DOUBLE, &value);
}

/* Slot and ordinal of each moment, counted as mb_optimizer_name_variables does. */
static mb_status_t add_moments(writer_t *w, const char *group, int first,
                               const mb_keras_optimizer_t *names)
{
    const mb_graph_t *graph = w->job->model->graph;
    const mb_stored_tensor_t **moments =
        MB_ARENA_ARRAY(w->job->arena, const mb_stored_tensor_t *, names->count + 1);
    int n = 0, ordinal = 0;
    if (moments == NULL)
        return no_memory();
    for (int p = 0; p < graph->n_params; p++) {
        for (int s = 0; s < w->job->optimizer->n_slots && graph->params[p].trainable; s++)
            moments[n++] = mb_export_moment(w->job, s, &graph->params[p], ordinal);
        ordinal += graph->params[p].trainable;
    }
    for (int i = 0; i < names->count; i++) {
        if (names->tensors[i] < 0)
            continue;
        const mb_stored_tensor_t *moment = moments[names->tensors[i]];
        MB_TRY(add(w, mb_arena_format(w->job->arena, "%s/vars/%d", group, first + i),
                   &moment->shape, w->job->model->file, moment));
    }
    return MB_OK;
}

/* One that never made a step has its counters alone, as in Keras before the first fit. */
static mb_status_t add_variables(writer_t *w, const char *group, int first)
{
    const mb_optimizer_t *optimizer = w->job->optimizer;
    mb_keras_optimizer_t names;
    MB_TRY(mb_optimizer_name_variables(w->job->model->graph, optimizer, w->job->arena, &names));
    MB_TRY(write_whole(w, group, first, w->job->iterations));
    if (optimizer->schedule == NULL)
        MB_TRY(write_real(w, group, first + 1, optimizer->learning_rate));
    return w->job->has_moments ? add_moments(w, group, first, &names) : MB_OK;
}

/* The four variables in front of those of the optimizer inside, which Keras writes twice. */
static mb_status_t add_scaled(writer_t *w)
{
    mb_loss_scale_t scale;
    mb_loss_scale_begin(&scale, w->job->optimizer);
    if (w->job->model->other == NULL)
        MB_TRY(mb_loss_scale_read(&scale, w->job->model->file));
    MB_TRY(write_whole(w, "/optimizer", 0, 0));
    MB_TRY(write_real(w, "/optimizer", 1, 0));
    MB_TRY(write_whole(w, "/optimizer", 2, scale.steps));
    MB_TRY(write_real(w, "/optimizer", 3, (double)scale.scale));
    MB_TRY(add_variables(w, "/optimizer", 4));
    return add_variables(w, "/optimizer/inner_optimizer", 0);
}

static mb_status_t add_optimizer(writer_t *w)
{
    const mb_optimizer_t *optimizer = w->job->optimizer;
    if (optimizer == NULL)
        return MB_OK;
    MB_TRY(name_owner(w, "/optimizer", optimizer->name));
    return optimizer->scales_loss ? add_scaled(w) : add_variables(w, "/optimizer", 0);
}

static mb_status_t write_settings(const writer_t *w)
{
    const mb_model_file_t *file = w->job->model->file;
    hid_t group = H5I_INVALID_HID;
    if (file->n_settings == 0)
        return MB_OK;
    MB_TRY(mb_h5_make_group(&w->h5, "/mbrun/run", &group));
    mb_status_t status = MB_OK;
    for (int i = 0; i < file->n_settings && status == MB_OK; i++)
        status = mb_h5_write_text(&w->h5, group, file->settings[i].key, file->settings[i].value);
    H5Gclose(group);
    return status;
}

static mb_status_t lay_out(writer_t *w)
{
    hid_t root = H5Gopen2(w->h5.file, "/", H5P_DEFAULT);
    if (root < 0)
        return mb_h5_error(MB_ERR_IO, w->job->to, "open", "the root group");
    mb_status_t status = mb_h5_write_text(&w->h5, root, "mbrun_version", PACKAGE_VERSION);
    H5Gclose(root);
    MB_TRY(status);
    MB_TRY(name_owner(w, "", w->job->model->graph->name));
    MB_TRY(add_weights(w));
    MB_TRY(add_optimizer(w));
    return write_settings(w);
}

static mb_status_t make_layout(writer_t *w, const char *temporary)
{
    mb_h5_quiet_t quiet;
    mb_h5_quiet_begin(&quiet);
    mb_status_t status = mb_h5_writer_create(temporary, w->job->to, &w->h5);
    if (status == MB_OK) {
        status = lay_out(w);
        status = mb_h5_writer_finish(&w->h5, status);
    }
    mb_h5_quiet_end(&quiet);
    return status;
}

static mb_status_t write_place(const writer_t *w, int fd, const place_t *place)
{
    size_t bytes = (size_t)place->elements * sizeof(float);
    float *values = malloc(bytes + 1);
    if (values == NULL)
        return mb_error_memory("a tensor on its way to the file", bytes);
    mb_status_t status = mb_stored_tensor_read(place->file, place->stored, values);
    if (status == MB_OK && bytes > 0)
        status = mb_io_write(fd, values, bytes, place->offset, w->job->to);
    free(values);
    return status;
}

static mb_status_t write_values(const writer_t *w, const char *temporary)
{
    int fd = -1;
    MB_TRY(mb_io_open_update(temporary, &fd));
    mb_status_t status = MB_OK;
    for (int i = 0; i < w->n && status == MB_OK; i++)
        status = write_place(w, fd, &w->places[i]);
    if (status == MB_OK)
        status = mb_io_sync(fd, temporary);
    mb_status_t closed = mb_io_close(&fd, temporary);
    return status == MB_OK ? closed : status;
}

static mb_status_t write_archive(const writer_t *w, const char *weights)
{
    const mb_model_file_t *file = w->job->model->file;
    char *config = NULL;
    const char *version = file->keras_version != NULL && file->keras_version[0] == '3'
                              ? file->keras_version
                              : "3.8.0";
    const char *metadata = mb_arena_format(w->job->arena, "{\"keras_version\": \"%s\"}", version);
    if (metadata == NULL)
        return no_memory();
    MB_TRY(mb_keras_config_join(file->model_config, file->training_config, file->path, &config));
    const mb_zip_source_t members[] = {
        {.name = MB_ARCHIVE_METADATA, .data = metadata, .bytes = strlen(metadata)},
        {.name = MB_ARCHIVE_CONFIG, .data = config, .bytes = strlen(config)},
        {.name = MB_ARCHIVE_WEIGHTS, .path = weights}};
    mb_status_t status = mb_zip_write(w->job->to, members, sizeof members / sizeof members[0]);
    free(config);
    return status;
}

static mb_status_t name_weights(const writer_t *w, const char *temporary)
{
    if (rename(temporary, w->job->to) != 0)
        return mb_io_error("replace", w->job->to);
    return mb_io_sync_parent(w->job->to);
}

static mb_status_t write_all(writer_t *w, const char *temporary, bool archive)
{
    int slots = w->job->optimizer == NULL ? 0 : 2 * w->job->optimizer->n_slots;
    w->places =
        MB_ARENA_ARRAY(w->job->arena, place_t, w->job->model->graph->n_params * (1 + slots) + 1);
    if (w->places == NULL)
        return no_memory();
    MB_TRY(make_layout(w, temporary));
    MB_TRY(write_values(w, temporary));
    return archive ? write_archive(w, temporary) : name_weights(w, temporary);
}

mb_status_t mb_export_keras(mb_export_t *job, bool archive)
{
    writer_t w = {.job = job};
    char *temporary = mb_io_temporary_name(job->to);
    if (temporary == NULL)
        return no_memory();
    mb_status_t status = write_all(&w, temporary, archive);
    unlink(temporary);
    free(temporary);
    return status;
}
