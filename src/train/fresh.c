/* See fresh.h. */
#include "train/fresh.h"

#include <math.h>
#include <stdlib.h>

#include "model/graph.h"
#include "train/state.h"

typedef struct {
    mb_arena_t *arena;
    mb_graph_t *graph;
    mb_checkpoint_layout_t layout;
    mb_tensor_spec_t *tensors;
    mb_piece_t *pieces;
} writer_t;

static mb_status_t make_values(writer_t *writer, uint64_t seed, int64_t *parameters)
{
    const mb_graph_t *graph = writer->graph;
    writer->tensors = MB_ARENA_ARRAY(writer->arena, mb_tensor_spec_t, graph->n_params + 1);
    writer->pieces = MB_ARENA_ARRAY(writer->arena, mb_piece_t, graph->n_params + 1);
    if (writer->tensors == NULL || writer->pieces == NULL)
        return mb_error_memory("a model's layout", 0);
    for (int p = 0; p < graph->n_params; p++) {
        const mb_param_t *param = &graph->params[p];
        float *values = MB_ARENA_ARRAY(writer->arena, float, param->elements);
        if (values == NULL)
            return mb_error_memory("initial values", (size_t)param->elements * sizeof(float));
        MB_TRY(mb_param_initialize(param, seed, values));
        writer->tensors[p] = (mb_tensor_spec_t){.name = param->path, .shape = param->shape};
        writer->pieces[p] = (mb_piece_t){.tensor = p, .count = param->elements, .values = values};
        *parameters += param->elements;
    }
    writer->layout.n_weights = graph->n_params;
    writer->layout.tensors = writer->tensors;
    return MB_OK;
}

static mb_status_t write_model(writer_t *writer, uint64_t seed, const char *path,
                               int64_t *parameters)
{
    *parameters = 0;
    if (writer->arena == NULL || writer->layout.model_config == NULL ||
        writer->layout.training_config == NULL)
        return mb_error_memory("a model's configuration", 0);
    MB_TRY(mb_graph_create(writer->layout.model_config, path, &writer->graph));
    MB_TRY(mb_graph_bind(writer->graph, NULL));
    MB_TRY(mb_state_list_layers(writer->graph, writer->arena, &writer->layout));
    MB_TRY(make_values(writer, seed, parameters));
    return mb_checkpoint_write(NULL, path, &writer->layout, writer->pieces,
                               writer->layout.n_weights);
}

mb_status_t mb_fresh_write(const json_t *model_config, const json_t *training_config, uint64_t seed,
                           const char *path, int64_t *parameters)
{
    int64_t count;
    char *model = json_dumps(model_config, JSON_REAL_PRECISION(17));
    char *training = json_dumps(training_config, JSON_REAL_PRECISION(17));
    writer_t writer = {
        .arena = mb_arena_create(),
        .layout = {.model_config = model, .training_config = training, .learning_rate = NAN}};
    mb_status_t status = write_model(&writer, seed, path, &count);
    mb_graph_destroy(writer.graph);
    if (writer.arena != NULL)
        mb_arena_destroy(writer.arena);
    free(model);
    free(training);
    if (status == MB_OK && parameters != NULL)
        *parameters = count;
    return status;
}
