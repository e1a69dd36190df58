/* See inspection.h. A file is worth a look even where its model cannot be trained here, so what the
 * graph refuses becomes a note. */
#include "engine/inspection.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/config.h"
#include "base/json_value.h"
#include "engine/model_variables.h"
#include "store/report_json.h"

#define UNKNOWN "?"

static int64_t stored_parameters(const mb_stored_layer_t *layer)
{
    int64_t sum = 0;
    for (int i = 0; i < layer->n_weights; i++)
        sum += layer->weights[i].elements;
    return sum;
}

/* How a tensor is stored, NULL: as numbers that HDF5 alone describes. */
static const mb_encoding_t *encoding_of(const mb_stored_tensor_t *tensor)
{
    return tensor->encoding != NULL ? tensor->encoding : tensor->packed;
}

static int64_t stored_bytes(const mb_stored_tensor_t *tensor)
{
    const mb_encoding_t *encoding = encoding_of(tensor);
    int64_t bytes = 0;
    if (encoding == NULL)
        return tensor->elements * (int64_t)sizeof(float);
    for (mb_part_t part = 0; part < MB_PART_COUNT; part++)
        bytes += encoding->bytes[part];
    return bytes;
}

static void add_storage(const mb_stored_tensor_t *tensors, int count, mb_storage_t *sum)
{
    for (int i = 0; i < count; i++) {
        sum->elements += tensors[i].elements;
        sum->bytes += stored_bytes(&tensors[i]);
        sum->plain_bytes += tensors[i].elements * (int64_t)sizeof(float);
    }
}

static void note_problem(mb_inspection_t *seen)
{
    if (seen->problem[0] == '\0')
        snprintf(seen->problem, sizeof seen->problem, "%s", mb_error_get());
}

static void open_graph(mb_inspection_t *seen)
{
    const mb_model_file_t *file = seen->file;
    if (file->model_config == NULL) {
        snprintf(seen->problem, sizeof seen->problem,
                 "the file has no model_config: it holds weights only");
        return;
    }
    if (mb_graph_create(file->model_config, file->path, &seen->graph) != MB_OK) {
        note_problem(seen);
        return;
    }
    seen->bound = mb_graph_bind(seen->graph, NULL) == MB_OK;
    if (!seen->bound)
        snprintf(seen->problem, sizeof seen->problem,
                 "the model leaves sizes open, which its data will give");
}

static const mb_stored_layer_t *stored_layer(const mb_model_file_t *file, const char *name)
{
    for (int i = 0; i < file->n_layers; i++) {
        if (strcmp(file->layers[i].name, name) == 0)
            return &file->layers[i];
    }
    return NULL;
}

static int64_t graph_parameters(const mb_inspection_t *seen, const mb_layer_t *layer)
{
    int64_t sum = 0;
    const mb_stored_layer_t *stored = stored_layer(seen->file, layer->name);
    for (int i = 0; i < layer->n_params && seen->bound; i++)
        sum += seen->graph->params[layer->params[i]].elements;
    if (!seen->bound && stored != NULL)
        sum = stored_parameters(stored);
    return sum;
}

/* The output of the layer's first call. */
static const char *graph_output(const mb_inspection_t *seen, int layer)
{
    char text[MB_SHAPE_TEXT];
    for (int i = 0; i < seen->graph->n_nodes && seen->bound; i++) {
        if (seen->graph->nodes[i].layer == layer)
            return mb_arena_strdup(
                seen->arena, mb_shape_text(&seen->graph->nodes[i].call.output, text, sizeof text));
    }
    return UNKNOWN;
}

static mb_status_t list_graph(mb_inspection_t *seen)
{
    const mb_graph_t *graph = seen->graph;
    seen->layers = MB_ARENA_ARRAY(seen->arena, mb_layer_line_t, graph->n_layers + 1);
    if (seen->layers == NULL)
        return mb_error_memory("a summary", 0);
    for (int i = 0; i < graph->n_layers; i++) {
        const mb_layer_t *layer = graph->layers[i];
        const char *output = graph_output(seen, i);
        if (layer->implied)
            continue;
        seen->layers[seen->n_layers++] =
            (mb_layer_line_t){.name = layer->path != NULL ? layer->path : layer->name,
                              .class_name = layer->class_->name,
                              .output = output != NULL ? output : UNKNOWN,
                              .parameters = graph_parameters(seen, layer)};
    }
    for (int p = 0; p < graph->n_params && seen->bound; p++)
        seen->trainable += graph->params[p].trainable ? graph->params[p].elements : 0;
    return MB_OK;
}

/* Weights by paths of a model that is not understood, or of none: those of one owner are a line. */
static mb_status_t list_variables(mb_inspection_t *seen)
{
    const mb_model_file_t *file = seen->file;
    const mb_stored_variable_t *last = NULL;
    seen->layers = MB_ARENA_ARRAY(seen->arena, mb_layer_line_t, file->n_variables + 1);
    if (seen->layers == NULL)
        return mb_error_memory("a summary", 0);
    for (int i = 0; i < file->n_variables; i++) {
        const mb_stored_variable_t *variable = &file->variables[i];
        bool same = last != NULL && last->group_length == variable->group_length &&
                    strncmp(last->path, variable->path, (size_t)last->group_length) == 0;
        if (!mb_variables_is_weight(variable))
            continue;
        if (!same) {
            const char *name =
                mb_arena_format(seen->arena, "%.*s", variable->group_length, variable->path);
            seen->layers[seen->n_layers++] = (mb_layer_line_t){
                .name = name != NULL ? name : UNKNOWN, .class_name = UNKNOWN, .output = UNKNOWN};
        }
        seen->layers[seen->n_layers - 1].parameters += variable->tensor.elements;
        last = variable;
    }
    return MB_OK;
}

static mb_status_t list_file(mb_inspection_t *seen)
{
    const mb_model_file_t *file = seen->file;
    if (file->n_layers == 0)
        return list_variables(seen);
    seen->layers = MB_ARENA_ARRAY(seen->arena, mb_layer_line_t, file->n_layers + 1);
    if (seen->layers == NULL)
        return mb_error_memory("a summary", 0);
    for (int i = 0; i < file->n_layers; i++)
        seen->layers[seen->n_layers++] =
            (mb_layer_line_t){.name = file->layers[i].name,
                              .class_name = UNKNOWN,
                              .output = UNKNOWN,
                              .parameters = stored_parameters(&file->layers[i])};
    return MB_OK;
}

static void find_optimizer(mb_inspection_t *seen)
{
    json_t *training = NULL;
    const char *text = seen->file->training_config, *name = NULL;
    seen->optimizer = "none (not compiled)";
    if (text == NULL)
        return;
    if (mb_json_parse(text, strlen(text), seen->file->path, &training) != MB_OK) {
        note_problem(seen);
        seen->optimizer = UNKNOWN;
        return;
    }
    name = json_string_value(
        json_object_get(json_object_get(training, "optimizer_config"), "class_name"));
    const char *copy = name == NULL ? NULL : mb_arena_strdup(seen->arena, name);
    seen->optimizer = copy != NULL ? copy : UNKNOWN;
    json_decref(training);
}

mb_status_t mb_inspect(const char *path, mb_inspection_t *out)
{
    *out = (mb_inspection_t){.arena = mb_arena_create(), .name = UNKNOWN};
    if (out->arena == NULL)
        return mb_error_memory("a summary", 0);
    MB_TRY(mb_model_file_open_arranged(path, &out->file));
    open_graph(out);
    find_optimizer(out);
    for (int i = 0; i < out->file->n_layers; i++)
        add_storage(out->file->layers[i].weights, out->file->layers[i].n_weights, &out->weights);
    add_storage(out->file->moments, out->file->n_moments, &out->moments);
    for (int i = 0; i < out->file->n_layers; i++)
        out->parameters += stored_parameters(&out->file->layers[i]);
    for (int i = 0; i < out->file->n_variables && out->file->n_layers == 0; i++) {
        if (!mb_variables_is_weight(&out->file->variables[i]))
            continue;
        add_storage(&out->file->variables[i].tensor, 1, &out->weights);
        out->parameters += out->file->variables[i].tensor.elements;
    }
    if (out->graph == NULL)
        return list_file(out);
    out->name = out->graph->name != NULL ? out->graph->name : UNKNOWN;
    return list_graph(out);
}

void mb_inspection_free(mb_inspection_t *seen)
{
    mb_graph_destroy(seen->graph);
    mb_model_file_close(seen->file);
    if (seen->arena != NULL)
        mb_arena_destroy(seen->arena);
}

static json_t *layers_json(const mb_inspection_t *seen)
{
    json_t *list = json_array();
    for (int i = 0; i < seen->n_layers; i++) {
        const mb_layer_line_t *line = &seen->layers[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:I}", "name", line->name, "class",
                                              line->class_name, "output", line->output,
                                              "parameters", (json_int_t)line->parameters));
    }
    return list;
}

static json_t *shape_json(const mb_shape_t *shape)
{
    json_t *list = json_array();
    for (int i = 0; i < shape->rank; i++)
        json_array_append_new(list, json_integer(shape->dim[i]));
    return list;
}

/* "fp32" of what is plain, and of what only HDF5 knows how to read. */
static json_t *weight_json(const char *layer, const mb_stored_tensor_t *tensor)
{
    char format[MB_FORMAT_TEXT] = "fp32";
    const mb_encoding_t *encoding = encoding_of(tensor);
    if (encoding != NULL)
        mb_format_text(&encoding->format, format, sizeof format);
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:o, s:s, s:I}", "layer", layer, "name", tensor->name, "path",
                  tensor->group, "shape", shape_json(&tensor->shape), "format", format, "bytes",
                  (json_int_t)stored_bytes(tensor));
    if (encoding == NULL || !tensor->has_crc)
        return object;
    char crc[16];
    snprintf(crc, sizeof crc, "%08" PRIx32, encoding->crc);
    json_t *more =
        json_pack("{s:s, s:o, s:o, s:o, s:o, s:s}", "method", mb_method_name(encoding->method),
                  "sqnr_db", mb_json_number(encoding->loss.sqnr_db), "max_abs_err",
                  mb_json_number(encoding->loss.max_abs), "max_rel_err",
                  mb_json_number(encoding->loss.max_relative), "rmse",
                  mb_json_number(encoding->loss.rmse), "crc32c", crc);
    json_object_update(object, more);
    json_decref(more);
    return object;
}

static json_t *weights_json(const mb_model_file_t *file)
{
    json_t *list = json_array();
    for (int i = 0; i < file->n_layers; i++) {
        for (int k = 0; k < file->layers[i].n_weights; k++) {
            json_array_append_new(list,
                                  weight_json(file->layers[i].name, &file->layers[i].weights[k]));
        }
    }
    for (int i = 0; i < file->n_variables && file->n_layers == 0; i++) {
        const mb_stored_variable_t *variable = &file->variables[i];
        if (mb_variables_is_weight(variable))
            json_array_append_new(list, weight_json(variable->owner != NULL ? variable->owner : "",
                                                    &variable->tensor));
    }
    return list;
}

static json_t *settings_json(const mb_model_file_t *file)
{
    json_t *object = json_object();
    for (int i = 0; i < file->n_settings; i++)
        json_object_set_new(object, file->settings[i].key, json_string(file->settings[i].value));
    return object;
}

static json_t *state_json(const mb_run_state_t *state)
{
    if (!state->present)
        return json_null();
    json_t *object =
        json_pack("{s:I, s:I, s:I, s:I, s:o, s:I}", "step", (json_int_t)state->step, "epoch",
                  (json_int_t)state->epoch, "step_in_epoch", (json_int_t)state->step_in_epoch,
                  "iterations", (json_int_t)state->iterations, "best_metric",
                  mb_json_number(state->best_metric), "best_step", (json_int_t)state->best_step);
    if (state->loss_scale > 0)
        json_object_set_new(object, "loss_scale", json_real(state->loss_scale));
    if (state->loss_scale > 0 || state->skipped_steps > 0)
        json_object_set_new(object, "skipped_steps", json_integer(state->skipped_steps));
    return object;
}

json_t *mb_inspection_json(const mb_inspection_t *seen)
{
    const mb_model_file_t *file = seen->file;
    json_t *trainable = seen->bound ? json_integer(seen->trainable) : json_null();
    json_t *object = json_pack(
        "{s:s, s:s, s:o, s:o, s:b, s:I, s:o, s:s, s:i, s:i, s:s}", "file", file->path, "model",
        seen->name, "keras_version", mb_json_text(file->keras_version), "backend",
        mb_json_text(file->backend), "from_mbrun", file->from_mbrun, "parameters",
        (json_int_t)seen->parameters, "trainable", trainable, "optimizer", seen->optimizer,
        "moments", file->n_moments, "keras_moments", file->n_optimizer, "seal",
        file->seal == MB_SEAL_NONE    ? "none"
        : file->seal == MB_SEAL_HOLDS ? "present"
                                      : "broken");
    json_t *more =
        json_pack("{s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "quantized",
                  mb_json_text(file->quantized), "weight_bytes", (json_int_t)seen->weights.bytes,
                  "moment_bytes", (json_int_t)seen->moments.bytes, "report",
                  file->report == NULL ? json_null() : mb_report_json(file->report), "state",
                  state_json(&file->state), "settings", settings_json(file), "layers",
                  layers_json(seen), "weights", weights_json(file), "problem",
                  mb_json_text(seen->problem[0] == '\0' ? NULL : seen->problem));
    json_object_set_new(more, "states", json_integer(file->n_states));
    json_object_update(object, more);
    json_decref(more);
    return object;
}
