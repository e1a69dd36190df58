/* See fresh.h. */
#include "train/fresh.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/io.h"
#include "train/export.h"
#include "train/state.h"

typedef struct {
    mb_arena_t *arena;
    const mb_fresh_t *fresh;
    mb_checkpoint_layout_t layout;
    mb_tensor_spec_t *tensors;
    mb_piece_t *pieces;
} writer_t;

static mb_status_t make_values(writer_t *writer)
{
    const mb_graph_t *graph = writer->fresh->graph;
    writer->tensors = MB_ARENA_ARRAY(writer->arena, mb_tensor_spec_t, graph->n_params + 1);
    writer->pieces = MB_ARENA_ARRAY(writer->arena, mb_piece_t, graph->n_params + 1);
    if (writer->tensors == NULL || writer->pieces == NULL)
        return mb_error_memory("a model's layout", 0);
    for (int p = 0; p < graph->n_params; p++) {
        const mb_param_t *param = &graph->params[p];
        float *values = MB_ARENA_ARRAY(writer->arena, float, param->elements);
        if (values == NULL)
            return mb_error_memory("initial values", (size_t)param->elements * sizeof(float));
        MB_TRY(writer->fresh->values(writer->fresh->user, param, values));
        writer->tensors[p] = (mb_tensor_spec_t){.name = param->path, .shape = param->shape};
        writer->pieces[p] = (mb_piece_t){.tensor = p, .count = param->elements, .values = values};
    }
    writer->layout.n_weights = graph->n_params;
    writer->layout.tensors = writer->tensors;
    return MB_OK;
}

static mb_status_t write_hdf5(writer_t *writer, const char *path)
{
    if (writer->arena == NULL)
        return mb_error_memory("a model's layout", 0);
    MB_TRY(mb_state_list_layers(writer->fresh->graph, writer->arena, &writer->layout));
    MB_TRY(make_values(writer));
    return mb_checkpoint_write(NULL, path, &writer->layout, writer->pieces,
                               writer->layout.n_weights);
}

/* Other forms are made from an HDF5 file beside. */
static mb_status_t write_beside(writer_t *writer, const char *path)
{
    char *temporary = mb_io_temporary_name(path);
    if (temporary == NULL)
        return mb_error_memory("a path", strlen(path));
    mb_status_t status = write_hdf5(writer, temporary);
    if (status == MB_OK)
        status = mb_export(temporary, path, NULL, NULL);
    unlink(temporary);
    free(temporary);
    return status;
}

mb_status_t mb_fresh_write_values(const mb_fresh_t *fresh, const char *path)
{
    writer_t writer = {.arena = mb_arena_create(),
                       .fresh = fresh,
                       .layout = {.model_config = fresh->model,
                                  .training_config = fresh->training,
                                  .n_settings = fresh->n_settings,
                                  .settings = fresh->settings,
                                  .learning_rate = NAN}};
    mb_status_t status =
        mb_form_of(path) == MB_FORM_HDF5 ? write_hdf5(&writer, path) : write_beside(&writer, path);
    if (writer.arena != NULL)
        mb_arena_destroy(writer.arena);
    return status;
}

typedef struct {
    uint64_t seed;
    int64_t elements;
} initial_t;

static mb_status_t initialize(void *user, const mb_param_t *param, float *values)
{
    initial_t *initial = user;
    initial->elements += param->elements;
    return mb_param_initialize(param, initial->seed, values);
}

static mb_status_t write_texts(const char *model, const char *training, initial_t *initial,
                               const char *path)
{
    mb_graph_t *graph = NULL;
    if (model == NULL || training == NULL)
        return mb_error_memory("a model's configuration", 0);
    mb_status_t status = mb_graph_create(model, path, &graph);
    if (status == MB_OK)
        status = mb_graph_bind(graph, NULL);
    mb_fresh_t fresh = {.graph = graph,
                        .model = model,
                        .training = training,
                        .values = initialize,
                        .user = initial};
    if (status == MB_OK)
        status = mb_fresh_write_values(&fresh, path);
    mb_graph_destroy(graph);
    return status;
}

mb_status_t mb_fresh_write(const json_t *model_config, const json_t *training_config, uint64_t seed,
                           const char *path, int64_t *parameters)
{
    initial_t initial = {.seed = seed};
    char *model = json_dumps(model_config, JSON_REAL_PRECISION(17));
    char *training = json_dumps(training_config, JSON_REAL_PRECISION(17));
    mb_status_t status = write_texts(model, training, &initial, path);
    free(model);
    free(training);
    if (status == MB_OK && parameters != NULL)
        *parameters = initial.elements;
    return status;
}
