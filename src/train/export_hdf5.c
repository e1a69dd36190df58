/* The form of Keras' HDF5 files, with the moments where Keras reads them. */
#include <math.h>
#include <stdlib.h>

#include "store/checkpoint.h"
#include "train/export_private.h"
#include "train/state.h"

typedef struct {
    const mb_export_t *job;
    mb_checkpoint_layout_t layout;
    mb_tensor_spec_t *tensors;
    mb_piece_t *pieces;
    int n;
} writer_t;

static mb_status_t add(writer_t *w, const char *name, const mb_param_t *param,
                       const mb_model_file_t *file, const mb_stored_tensor_t *stored)
{
    size_t bytes = (size_t)param->elements * sizeof(float);
    float *values = malloc(bytes + 1);
    if (values == NULL || name == NULL) {
        free(values);
        return mb_error_memory("a tensor on its way to the file", bytes);
    }
    w->tensors[w->n] = (mb_tensor_spec_t){.name = name, .shape = param->shape};
    w->pieces[w->n] = (mb_piece_t){.tensor = w->n, .count = param->elements, .values = values};
    w->n++;
    return mb_stored_tensor_read(file, stored, values);
}

static mb_status_t add_weights(writer_t *w)
{
    const mb_model_t *model = w->job->model;
    for (int p = 0; p < model->graph->n_params; p++)
        MB_TRY(add(w, model->stored[p]->name, &model->graph->params[p], model->sources[p],
                   model->stored[p]));
    w->layout.n_weights = w->n;
    return MB_OK;
}

static mb_status_t add_moments(writer_t *w)
{
    const mb_model_t *model = w->job->model;
    const mb_optimizer_t *optimizer = w->job->optimizer;
    int ordinal = 0;
    for (int p = 0; p < model->graph->n_params; p++) {
        const mb_param_t *param = &model->graph->params[p];
        for (int s = 0; s < optimizer->n_slots && param->trainable; s++)
            MB_TRY(add(
                w, mb_arena_format(w->job->arena, "%s/%s", optimizer->slot_names[s], param->path),
                param, model->file, mb_export_moment(w->job, s, param, ordinal)));
        ordinal += param->trainable;
    }
    w->layout.n_moments = w->n - w->layout.n_weights;
    w->layout.keras_optimizer = !optimizer->scales_loss;
    w->layout.optimizer_name = optimizer->name;
    w->layout.learning_rate = optimizer->schedule == NULL ? optimizer->learning_rate : NAN;
    w->layout.state = w->job->model->file->state;
    w->layout.state.iterations = w->job->iterations;
    w->layout.state.present = false;
    return MB_OK;
}

static mb_status_t fill(writer_t *w)
{
    const mb_model_file_t *file = w->job->model->file;
    const mb_graph_t *graph = w->job->model->graph;
    int slots = w->job->optimizer == NULL ? 0 : w->job->optimizer->n_slots;
    size_t most = (size_t)graph->n_params * (size_t)(1 + slots) + 1;
    w->layout = (mb_checkpoint_layout_t){.model_config = file->model_config,
                                         .training_config = file->training_config,
                                         .keras_version = file->keras_version,
                                         .backend = file->backend,
                                         .learning_rate = NAN,
                                         .n_settings = file->n_settings,
                                         .settings = file->settings};
    w->tensors = MB_ARENA_ARRAY(w->job->arena, mb_tensor_spec_t, most);
    w->pieces = MB_ARENA_ARRAY(w->job->arena, mb_piece_t, most);
    if (w->tensors == NULL || w->pieces == NULL)
        return mb_error_memory("a model's layout", 0);
    w->layout.tensors = w->tensors;
    MB_TRY(mb_state_list_layers(graph, w->job->arena, &w->layout));
    MB_TRY(add_weights(w));
    return w->job->has_moments ? add_moments(w) : MB_OK;
}

mb_status_t mb_export_hdf5(mb_export_t *job)
{
    writer_t w = {.job = job};
    mb_status_t status = fill(&w);
    if (status == MB_OK)
        status = mb_checkpoint_write(NULL, job->to, &w.layout, w.pieces, w.n);
    for (int i = 0; i < w.n; i++)
        free((void *)(uintptr_t)w.pieces[i].values);
    return status;
}
