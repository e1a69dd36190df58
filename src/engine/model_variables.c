/* See model_variables.h. */
#include "engine/model_variables.h"

#include <string.h>

#include "engine/model.h"
#include "engine/optimizer_variables.h"
#include "store/variables.h"

static mb_status_t no_memory(void)
{
    return mb_error_memory("a model's weights", 0);
}

/* PATH with each FROM, a whole part of it, replaced. */
static const char *replace(mb_arena_t *arena, const char *path, const char *from, const char *to)
{
    const char *rest = path;
    char *out = mb_arena_format(arena, "%s", "");
    while (out != NULL && *rest != '\0') {
        size_t length = strcspn(rest, "/");
        bool same = strlen(from) == length && memcmp(rest, from, length) == 0;
        out = mb_arena_format(arena, "%s%.*s%s", out, (int)(same ? strlen(to) : length),
                              same ? to : rest, rest[length] == '/' ? "/" : "");
        rest += length + (rest[length] == '/');
    }
    return out;
}

/* Up to 3.4 an attention's parts had no public names. */
static const char *with_private_parts(mb_arena_t *arena, const char *path)
{
    static const char *const parts[][2] = {{"query_dense", "_query_dense"},
                                           {"key_dense", "_key_dense"},
                                           {"value_dense", "_value_dense"},
                                           {"output_dense", "_output_dense"}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && path != NULL; i++)
        path = replace(arena, path, parts[i][0], parts[i][1]);
    return path;
}

static const mb_stored_variable_t *find_either(const mb_model_file_t *file, mb_arena_t *arena,
                                               const char *path)
{
    const mb_stored_variable_t *found = path == NULL ? NULL : mb_variables_find(file, path);
    if (found != NULL || path == NULL)
        return found;
    path = with_private_parts(arena, path);
    return path == NULL ? NULL : mb_variables_find(file, path);
}

/* Up to 2.13 a model's layers had another name. */
const mb_stored_variable_t *mb_variables_of_param(const mb_model_file_t *file, mb_arena_t *arena,
                                                  const mb_param_t *param)
{
    const mb_stored_variable_t *found = find_either(file, arena, param->variable);
    if (found != NULL)
        return found;
    return find_either(file, arena,
                       replace(arena, param->variable, "layers", "_layer_checkpoint_dependencies"));
}

bool mb_variables_is_weight(const mb_stored_variable_t *variable)
{
    return strncmp(variable->path, "optimizer/", 10) != 0 &&
           strstr(variable->path, "seed_generator/") == NULL;
}

typedef struct {
    mb_model_file_t *file;
    const mb_graph_t *graph;
    mb_arena_t *arena; /* the file's */
    bool *used;        /* [n_variables] */
} arranger_t;

static mb_status_t take_weight(arranger_t *a, const mb_param_t *param, mb_stored_tensor_t *out)
{
    const mb_stored_variable_t *variable = mb_variables_of_param(a->file, a->arena, param);
    if (variable == NULL)
        return mb_error_set(MB_ERR_FORMAT,
                            "%s: has no variable '%s', where weight '%s' of its model would be; "
                            "save the model again",
                            a->file->path, param->variable, param->path);
    a->used[variable - a->file->variables] = true;
    *out = variable->tensor;
    out->name = mb_arena_strdup(a->arena, param->path);
    return out->name == NULL ? no_memory() : MB_OK;
}

static mb_status_t take_layer(arranger_t *a, int index, mb_stored_layer_t *layer)
{
    int count = a->graph->file_layer_n_params[index];
    *layer = (mb_stored_layer_t){.name = mb_arena_strdup(a->arena, a->graph->file_layers[index]),
                                 .n_weights = count,
                                 .weights = MB_ARENA_ARRAY(a->arena, mb_stored_tensor_t, count)};
    if (layer->name == NULL || layer->weights == NULL)
        return no_memory();
    for (int k = 0; k < count; k++)
        MB_TRY(take_weight(a, &a->graph->params[a->graph->file_layer_params[index][k]],
                           &layer->weights[k]));
    return MB_OK;
}

static mb_status_t refuse_left(const arranger_t *a)
{
    char shape[MB_SHAPE_TEXT];
    for (int i = 0; i < a->file->n_variables; i++) {
        const mb_stored_variable_t *variable = &a->file->variables[i];
        if (!a->used[i] && mb_variables_is_weight(variable))
            return mb_error_set(MB_ERR_FORMAT,
                                "%s: variable '%s'%s%s of shape %s is none of its model's weights; "
                                "save the model again",
                                a->file->path, variable->path,
                                variable->owner != NULL ? " of " : "",
                                variable->owner != NULL ? variable->owner : "",
                                mb_shape_text(&variable->tensor.shape, shape, sizeof shape));
    }
    return MB_OK;
}

static mb_status_t arrange_layers(arranger_t *a)
{
    int count = a->graph->n_file_layers;
    mb_stored_layer_t *layers = MB_ARENA_ARRAY(a->arena, mb_stored_layer_t, count + 1);
    a->used = MB_ARENA_ARRAY(a->arena, bool, a->file->n_variables + 1);
    if (layers == NULL || a->used == NULL)
        return no_memory();
    for (int i = 0; i < count; i++)
        MB_TRY(take_layer(a, i, &layers[i]));
    MB_TRY(refuse_left(a));
    a->file->layers = layers;
    a->file->n_layers = count;
    return MB_OK;
}

mb_status_t mb_variables_arrange(mb_model_file_t *file, const mb_graph_t *graph,
                                 const json_t *training)
{
    arranger_t arranger = {.file = file, .graph = graph, .arena = mb_model_file_arena(file)};
    if (file->n_layers > 0 || file->n_variables == 0)
        return MB_OK;
    MB_TRY(arrange_layers(&arranger));
    return mb_variables_name_optimizer(file, graph, training);
}

mb_status_t mb_model_file_open_arranged(const char *path, mb_model_file_t **out)
{
    mb_model_t *model = NULL;
    MB_TRY(mb_model_file_open(path, false, false, out));
    if ((*out)->n_variables == 0 || (*out)->model_config == NULL)
        return MB_OK;
    mb_status_t status = mb_model_open(path, &model);
    if (status == MB_OK)
        status = mb_model_bind_without_data(model);
    if (status == MB_OK) {
        mb_model_file_close(*out);
        *out = model->file;
        model->file = NULL;
    }
    mb_model_close(model);
    return MB_OK;
}
