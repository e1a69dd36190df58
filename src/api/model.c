/* What a model says of itself. mb_model_t is the inner floors' own model. */
#include "api/api.h"
#include "api/model_own.h"

mb_status_t mb_model_load(const char *path, mb_model_t **out)
{
    mb_model_t *model = NULL;
    MB_NEED(path);
    MB_TRY(mb_api_need(out, __func__, "model"));
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = mb_model_open(path, &model);
    if (status == MB_OK && mb_api_open_input(model->graph) < 0)
        status = mb_model_bind(model, NULL);
    if (status == MB_OK)
        status = mb_api_own_create(&model->own);
    mb_api_leave(&kept);
    if (status == MB_OK)
        *out = model;
    else
        mb_model_close(model);
    return status;
}

mb_status_t mb_model_count_inputs(const mb_model_t *model, int *count)
{
    const mb_graph_t *graph;
    MB_NEED(model);
    MB_NEED(count);
    MB_TRY(mb_api_model_graph(model, &graph));
    *count = graph->n_inputs;
    return MB_OK;
}

mb_status_t mb_model_count_outputs(const mb_model_t *model, int *count)
{
    const mb_graph_t *graph;
    MB_NEED(model);
    MB_NEED(count);
    MB_TRY(mb_api_model_graph(model, &graph));
    *count = graph->n_outputs;
    return MB_OK;
}

static int64_t count_stored(const mb_model_file_t *file)
{
    int64_t sum = 0;
    for (int i = 0; i < file->n_layers; i++) {
        for (int k = 0; k < file->layers[i].n_weights; k++)
            sum += file->layers[i].weights[k].elements;
    }
    return sum;
}

mb_status_t mb_model_count_parameters(const mb_model_t *model, int64_t *count)
{
    mb_api_weights_t weights;
    int64_t sum = 0;
    MB_NEED(model);
    MB_NEED(count);
    if (model->file != NULL) {
        *count = count_stored(model->file);
        return MB_OK;
    }
    MB_TRY(mb_api_model_weights(model, &weights));
    for (int i = 0; i < weights.graph->n_params; i++)
        sum += weights.graph->params[i].elements;
    *count = sum;
    return MB_OK;
}

static mb_status_t check_place(const char *function, int index, int count, const char *what)
{
    if (index >= 0 && index < count)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "%s: there is no %s %d; the model has %d, from 0",
                        function, what, index, count);
}

static void give_shape(const mb_shape_t *from, int *rank, int64_t *shape)
{
    *rank = from->rank;
    for (int i = 0; i < from->rank; i++)
        shape[i] = from->dim[i];
}

mb_status_t mb_model_describe_input(const mb_model_t *model, int index, const char **name,
                                    int *rank, int64_t *shape)
{
    MB_NEED(model);
    MB_NEED(name);
    MB_NEED(rank);
    MB_NEED(shape);
    const mb_graph_t *graph;
    MB_TRY(mb_api_model_graph(model, &graph));
    MB_TRY(check_place(__func__, index, graph->n_inputs, "input"));
    *name = graph->input_names[index];
    give_shape(&graph->nodes[graph->inputs[index]].call.output, rank, shape);
    return MB_OK;
}

mb_status_t mb_model_describe_output(const mb_model_t *model, int index, const char **name,
                                     int *rank, int64_t *shape)
{
    MB_NEED(model);
    MB_NEED(name);
    MB_NEED(rank);
    MB_NEED(shape);
    const mb_graph_t *graph;
    MB_TRY(mb_api_model_graph(model, &graph));
    MB_TRY(check_place(__func__, index, graph->n_outputs, "output"));
    int open = mb_api_open_input(graph);
    if (open >= 0)
        return mb_error_set(MB_ERR_SHAPE,
                            "%s: the shape of output '%s' depends on the data: input '%s' leaves "
                            "a size open",
                            mb_api_model_name(model), graph->outputs[index].name,
                            graph->input_names[open]);
    *name = graph->outputs[index].name;
    give_shape(&graph->nodes[graph->outputs[index].node].call.output, rank, shape);
    return MB_OK;
}

mb_status_t mb_model_destroy(mb_model_t *model)
{
    if (model == NULL)
        return MB_OK;
    mb_api_own_destroy(model->own);
    mb_model_close(model);
    return MB_OK;
}
