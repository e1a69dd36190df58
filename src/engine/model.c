/* A model from its file: see model.h. */
#include "engine/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model_variables.h"

/* An open dimension where there is no data to say what it is. */
enum { OPEN_DIMENSION = 64 };

mb_status_t mb_model_open_file(mb_model_file_t *file, mb_model_t **out)
{
    mb_status_t status;
    mb_model_t *model = calloc(1, sizeof *model);
    if (model == NULL)
        return mb_error_memory("a model", sizeof *model);
    model->file = model->weights = file;
    model->borrows_file = true;
    MB_TRY_GOTO(mb_graph_create(file->model_config, file->path, &model->graph), status, err_model);
    const char *training = file->training_config;
    if (training != NULL)
        MB_TRY_GOTO(mb_json_parse(training, strlen(training), file->path, &model->training), status,
                    err_model);
    *out = model;
    return MB_OK;

err_model:
    mb_model_close(model);
    return status;
}

mb_status_t mb_model_open(const char *path, mb_model_t **out)
{
    mb_model_file_t *file;
    MB_TRY(mb_model_file_open(path, true, false, &file));
    mb_status_t status = mb_model_open_file(file, out);
    if (status == MB_OK)
        (*out)->borrows_file = false;
    else
        mb_model_file_close(file);
    return status;
}

void mb_model_close(mb_model_t *model)
{
    if (model == NULL)
        return;
    json_decref(model->training);
    mb_graph_destroy(model->graph);
    if (!model->borrows_file)
        mb_model_file_close(model->file);
    mb_model_file_close(model->other);
    free(model->stored);
    free(model->sources);
    free(model);
}

mb_status_t mb_model_refuse_quantized(const mb_model_file_t *file)
{
    char parent[64] = "";
    if (file->quantized == NULL)
        return MB_OK;
    if (file->report != NULL && file->report->parent_digest != NULL)
        snprintf(parent, sizeof parent, " (digest %s)", file->report->parent_digest);
    return mb_error_set(MB_ERR_ARGUMENT,
                        "%s: its weights are quantized (%s), and training needs exact ones: train "
                        "the float32 model it was made from%s, or expand what is left of the "
                        "weights with mbrun quantize %s --format fp32 -o NEW.h5",
                        file->path, file->quantized, parent, file->path);
}

mb_source_wants_t mb_model_wants(const mb_model_t *model, mb_shape_t shapes[MB_MAX_INPUTS])
{
    const mb_graph_t *graph = model->graph;
    static const char *const none[1] = {NULL};
    for (int i = 0; i < graph->n_inputs && i < MB_MAX_INPUTS; i++)
        shapes[i] = graph->nodes[graph->inputs[i]].call.output;
    return (mb_source_wants_t){.n_inputs = graph->n_inputs,
                               .n_outputs = 0,
                               .input_names = graph->input_names,
                               .output_names = none,
                               .input_shapes = shapes};
}

/* The stored layer of a name; NULL if the file has none. */
static const mb_stored_layer_t *stored_layer(const mb_model_file_t *file, const char *name)
{
    for (int i = 0; i < file->n_layers; i++) {
        if (strcmp(file->layers[i].name, name) == 0)
            return &file->layers[i];
    }
    return NULL;
}

/* How the tensor's values are used as they are stored: float formats whatever the shape of the
 * matrix, formats with scales where these lie as the layer's operation reads them. */
static mb_status_t keep_stored(mb_model_t *model, mb_param_t *param,
                               const mb_stored_tensor_t *tensor)
{
    int64_t rows, columns;
    const mb_encoding_t *encoding = tensor->encoding;
    param->stored = NULL;
    if (!model->keep_stored || encoding == NULL || param->view == MB_VIEW_VECTOR)
        return MB_OK;
    mb_param_matrix(param, &rows, &columns);
    bool fits = encoding->layout.rows == rows && encoding->layout.columns == columns &&
                encoding->view.lookup == (param->view == MB_VIEW_LOOKUP);
    if (encoding->layout.block_rows > 0 && !fits)
        return MB_OK;
    mb_matrix_t *layout = MB_ARENA_NEW(model->graph->arena, mb_matrix_t);
    if (layout == NULL)
        return mb_error_memory("a stored matrix", sizeof *layout);
    *layout = encoding->layout;
    layout->rows = rows;
    layout->columns = columns;
    param->stored = layout;
    return MB_OK;
}

mb_status_t mb_model_take_stored(mb_model_t *model, mb_param_t *param, const mb_model_file_t *file,
                                 const mb_stored_tensor_t *stored)
{
    model->stored[param->index] = stored;
    model->sources[param->index] = file;
    return keep_stored(model, param, stored);
}

static mb_status_t match_layer(mb_model_t *model, int index)
{
    const mb_graph_t *graph = model->graph;
    const char *name = graph->file_layers[index];
    int count = graph->file_layer_n_params[index];
    const mb_stored_layer_t *layer = stored_layer(model->weights, name);
    char wanted[MB_SHAPE_TEXT], found[MB_SHAPE_TEXT];
    if (count == 0)
        return MB_OK;
    if (layer == NULL)
        return mb_error_set(MB_ERR_FORMAT,
                            "%s: model_weights has no layer '%s' that model_config names; the file "
                            "is incomplete",
                            model->weights->path, name);
    if (layer->n_weights != count)
        return mb_error_set(
            MB_ERR_SHAPE, "%s: layer '%s' has %d weights in the file where its config asks for %d",
            model->weights->path, name, layer->n_weights, count);
    for (int k = 0; k < count; k++) {
        mb_param_t *param = &graph->params[graph->file_layer_params[index][k]];
        const mb_stored_tensor_t *tensor = &layer->weights[k];
        if (!mb_shape_equal(&param->shape, &tensor->shape))
            return mb_error_set(MB_ERR_SHAPE,
                                "%s: weight '%s' of layer '%s' has shape %s where its config asks "
                                "for %s",
                                model->weights->path, tensor->name, name,
                                mb_shape_text(&tensor->shape, found, sizeof found),
                                mb_shape_text(&param->shape, wanted, sizeof wanted));
        MB_TRY(mb_model_take_stored(model, param, model->weights, tensor));
    }
    return MB_OK;
}

static mb_status_t match_weights(mb_model_t *model)
{
    size_t n = (size_t)model->graph->n_params;
    MB_TRY(mb_variables_arrange(model->weights, model->graph, model->training));
    free(model->stored);
    free(model->sources);
    model->stored = calloc(n + 1, sizeof(const mb_stored_tensor_t *));
    model->sources = calloc(n + 1, sizeof(const mb_model_file_t *));
    if (model->stored == NULL || model->sources == NULL)
        return mb_error_memory("the places of the weights", n * sizeof(void *));
    for (int i = 0; i < model->graph->n_file_layers; i++)
        MB_TRY(match_layer(model, i));
    return MB_OK;
}

mb_status_t mb_model_use_weights(mb_model_t *model, mb_model_file_t *file)
{
    model->weights = file;
    return match_weights(model);
}

mb_status_t mb_model_bind(mb_model_t *model, const mb_source_t *source)
{
    const mb_graph_t *graph = model->graph;
    mb_shape_t shapes[MB_MAX_INPUTS], given[MB_MAX_INPUTS];
    int inputs[MB_MAX_INPUTS], outputs[1];
    if (source == NULL) {
        MB_TRY(mb_graph_bind(model->graph, NULL));
        return match_weights(model);
    }
    if (graph->n_inputs > MB_MAX_INPUTS)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: the model has %d inputs; at most %d can be fed", model->file->path,
                            graph->n_inputs, MB_MAX_INPUTS);
    mb_source_wants_t wants = mb_model_wants(model, shapes);
    MB_TRY(mb_source_match(source, &wants, inputs, outputs));
    for (int i = 0; i < graph->n_inputs; i++) {
        given[i] = inputs[i] >= 0 ? source->fields[inputs[i]].shape : shapes[i];
        if (given[i].rank != shapes[i].rank || inputs[i] < 0)
            given[i] = shapes[i];
        for (int d = 0; inputs[i] < 0 && d < given[i].rank; d++) {
            if (given[i].dim[d] == MB_OPEN && graph->n_inputs > 1)
                given[i].dim[d] = given[0].dim[d];
        }
    }
    MB_TRY(mb_graph_bind(model->graph, given));
    return match_weights(model);
}

mb_status_t mb_model_bind_without_data(mb_model_t *model)
{
    mb_shape_t shapes[MB_MAX_INPUTS];
    const mb_graph_t *graph = model->graph;
    bool open = false;
    for (int i = 0; i < graph->n_inputs && i < MB_MAX_INPUTS; i++) {
        shapes[i] = graph->nodes[graph->inputs[i]].call.output;
        open = open || mb_shape_is_open(&shapes[i]);
        for (int d = 0; d < shapes[i].rank; d++)
            shapes[i].dim[d] = shapes[i].dim[d] == MB_OPEN ? OPEN_DIMENSION : shapes[i].dim[d];
    }
    if (!open || graph->n_inputs > MB_MAX_INPUTS)
        return mb_model_bind(model, NULL);
    MB_TRY(mb_graph_bind(model->graph, shapes));
    return match_weights(model);
}

mb_status_t mb_model_compile(mb_model_t *model, const char *loss)
{
    return mb_losses_create(model->graph, model->training, loss, model->file->path, &model->losses);
}

mb_status_t mb_model_compute_in(mb_model_t *model, const char *text)
{
    static const struct {
        const char *name;
        mb_dtype_t type;
    } types[] = {{"fp32", MB_F32}, {"tf32", MB_F32}, {"bf16", MB_BF16}, {"fp16", MB_F16}};
    for (size_t i = 0; text != NULL && i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(text, types[i].name) != 0)
            continue;
        mb_graph_compute_in(model->graph, types[i].type);
        return MB_OK;
    }
    if (text == NULL)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "dtype=%s: there are fp32, tf32, bf16 and fp16", text);
}

mb_status_t mb_model_words(const mb_model_file_t *file, mb_vocabularies_t *words, bool *present)
{
    const char *text = mb_model_file_setting(file, MB_MODEL_WORDS);
    *words = (mb_vocabularies_t){NULL, 0};
    *present = text != NULL;
    return text == NULL ? MB_OK : mb_vocabularies_parse(text, file->path, words);
}

static mb_status_t open_data(const mb_model_t *model, const mb_model_data_t *data,
                             mb_source_wants_t *wants, mb_source_t **source)
{
    mb_vocabularies_t words;
    bool present;
    MB_TRY(mb_model_words(model->file, &words, &present));
    wants->form.label = data->label;
    wants->form.known = present ? &words : NULL;
    mb_status_t status = mb_source_open(data->path, wants, source);
    mb_vocabularies_free(&words);
    if (status == MB_OK && data->label_given && !mb_source_is_table(*source))
        return mb_source_refuse_label(data->path);
    return status;
}

static mb_status_t open_both(const mb_model_request_t *request, mb_model_t **model,
                             mb_source_t **source)
{
    mb_shape_t shapes[MB_MAX_INPUTS];
    const char *names[MB_MAX_INPUTS];
    MB_TRY(mb_model_open(request->path, model));
    if (request->purpose == MB_MODEL_TRAINS)
        MB_TRY(mb_model_refuse_quantized((*model)->file));
    (*model)->keep_stored = request->purpose != MB_MODEL_TRAINS;
    const mb_graph_t *graph = (*model)->graph;
    if (graph->n_inputs > MB_MAX_INPUTS || graph->n_outputs > MB_MAX_INPUTS)
        return mb_error_set(MB_ERR_UNSUPPORTED, "%s: more than %d inputs or outputs", request->path,
                            MB_MAX_INPUTS);
    mb_source_wants_t wants = mb_model_wants(*model, shapes);
    for (int o = 0; o < graph->n_outputs; o++)
        names[o] = graph->outputs[o].name;
    wants.output_names = names;
    wants.n_outputs = request->purpose != MB_MODEL_PREDICTS ? graph->n_outputs : 0;
    if (*source == NULL)
        MB_TRY(open_data(*model, &request->data, &wants, source));
    MB_TRY(mb_model_compute_in(*model, request->dtype));
    MB_TRY(mb_model_bind(*model, *source));
    return mb_model_take_weights(*model, request->weights, request->log);
}

mb_status_t mb_model_open_with_data(mb_comm_t *comm, const mb_model_request_t *request,
                                    mb_model_t **model, mb_source_t **source)
{
    mb_source_t *given = *source;
    mb_comm_doing(comm, "opening the model and its data");
    mb_status_t status = mb_comm_agree(comm, open_both(request, model, source));
    if (status != MB_OK) {
        mb_model_close(*model);
        if (given == NULL)
            mb_source_close(*source);
        *model = NULL;
        *source = given;
    }
    return status;
}
