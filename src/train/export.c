/* See export.h. */
#include "train/export.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/edit.h"
#include "train/export_private.h"
#include "train/state.h"

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length > tail && strcmp(text + length - tail, end) == 0;
}

mb_form_t mb_form_of(const char *path)
{
    if (ends_with(path, ".keras"))
        return MB_FORM_ARCHIVE;
    return ends_with(path, ".weights.h5") ? MB_FORM_WEIGHTS : MB_FORM_HDF5;
}

const mb_stored_tensor_t *mb_export_moment(const mb_export_t *job, int slot,
                                           const mb_param_t *param, int ordinal)
{
    return mb_moment_find(job->model->file, job->optimizer->slot_names[slot], param->path, ordinal);
}

static mb_status_t check_moment(const mb_export_t *job, const mb_stored_tensor_t *moment,
                                const mb_param_t *param)
{
    char found[MB_SHAPE_TEXT], wanted[MB_SHAPE_TEXT];
    if (mb_shape_equal(&moment->shape, &param->shape))
        return MB_OK;
    return mb_error_set(MB_ERR_SHAPE,
                        "%s: moment '%s' has shape %s where weight '%s' has %s; the optimizer's "
                        "state does not belong to this model",
                        job->model->file->path, moment->name,
                        mb_shape_text(&moment->shape, found, sizeof found), param->path,
                        mb_shape_text(&param->shape, wanted, sizeof wanted));
}

/* All moments or none: a part of them is the state of another optimizer. */
static mb_status_t look_for_moments(mb_export_t *job)
{
    const mb_graph_t *graph = job->model->graph;
    int ordinal = 0, found = 0, wanted = 0;
    for (int p = 0; p < graph->n_params; p++) {
        for (int s = 0; s < job->optimizer->n_slots && graph->params[p].trainable; s++, wanted++) {
            const mb_stored_tensor_t *moment = mb_export_moment(job, s, &graph->params[p], ordinal);
            if (moment != NULL)
                MB_TRY(check_moment(job, moment, &graph->params[p]));
            found += moment != NULL;
        }
        ordinal += graph->params[p].trainable;
    }
    job->has_moments = found == wanted;
    return MB_OK;
}

static mb_status_t take_optimizer(mb_export_t *job)
{
    const mb_model_t *model = job->model;
    const json_t *config = json_object_get(model->training, "optimizer_config");
    if (config == NULL)
        return MB_OK;
    MB_TRY(mb_optimizer_create(config, NULL, model->file->path, job->arena, &job->optimizer));
    if (model->other != NULL)
        return MB_OK;
    MB_TRY(mb_moments_iterations(model->file, &job->iterations));
    return look_for_moments(job);
}

static mb_status_t check_places(const char *from, const char *to)
{
    struct stat a, b;
    if (stat(from, &a) == 0 && stat(to, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: the output is the input", to);
    return MB_OK;
}

static mb_status_t export(mb_export_t *job, const char *from, const mb_weights_request_t *weights,
                          const mb_log_t *log)
{
    if (job->arena == NULL)
        return mb_error_memory("a model in another form", 0);
    MB_TRY(check_places(from, job->to));
    MB_TRY(mb_model_open(from, &job->model));
    if (job->model->file->quantized != NULL)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: its weights are quantized (%s), and Keras' forms hold exact ones: "
                            "expand them first with mbrun quantize %s --format fp32 -o NEW.h5",
                            from, job->model->file->quantized, from);
    MB_TRY(mb_model_bind_without_data(job->model));
    MB_TRY(mb_model_take_weights(job->model, weights, log));
    MB_TRY(take_optimizer(job));
    mb_form_t form = mb_form_of(job->to);
    return form == MB_FORM_HDF5 ? mb_export_hdf5(job)
                                : mb_export_keras(job, form == MB_FORM_ARCHIVE);
}

mb_status_t mb_export(const char *from, const char *to, const mb_weights_request_t *weights,
                      const mb_log_t *log)
{
    mb_export_t job = {.arena = mb_arena_create(), .to = to};
    mb_status_t status = export(&job, from, weights, log);
    if (job.optimizer != NULL)
        mb_optimizer_destroy(job.optimizer);
    mb_model_close(job.model);
    mb_arena_destroy(job.arena);
    return status;
}

/* A copy in another form is made first, and gone again when it cannot be changed. */
mb_status_t mb_export_settings(const char *path, const char *output, int n,
                               const mb_setting_t *settings)
{
    if (output == NULL || mb_form_of(path) == mb_form_of(output))
        return mb_model_file_set_settings(path, output, n, settings);
    if (mb_form_of(output) == MB_FORM_WEIGHTS)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: weights alone are no model to record settings in; name it .keras "
                            "or .h5",
                            output);
    MB_TRY(mb_export(path, output, NULL, NULL));
    mb_status_t status = mb_model_file_set_settings(output, NULL, n, settings);
    if (status != MB_OK)
        unlink(output);
    return status;
}
