/* Models: what a file says of one, and files made from presets. mb_model_t is the inner floors'
 * own model. */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/arena.h"
#include "engine/model.h"
#include "model/preset.h"
#include "train/fresh.h"

enum { MAX_PAIRS = 32 };

static bool input_is_open(const mb_graph_t *graph, int input)
{
    const mb_shape_t *shape = &graph->nodes[graph->inputs[input]].call.output;
    return shape->rank < 0 || mb_shape_is_open(shape);
}

/* The first input that leaves a size to the data; -1: none does, and the graph is bound. */
static int open_input(const mb_graph_t *graph)
{
    for (int i = 0; i < graph->n_inputs; i++) {
        if (input_is_open(graph, i))
            return i;
    }
    return -1;
}

mb_status_t mb_model_load(const char *path, mb_model_t **out)
{
    mb_model_t *model = NULL;
    MB_NEED(path);
    MB_TRY(mb_api_need(out, __func__, "model"));
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = mb_model_open(path, &model);
    if (status == MB_OK && open_input(model->graph) < 0)
        status = mb_model_bind(model, NULL);
    mb_api_leave(&kept);
    if (status == MB_OK)
        *out = model;
    else
        mb_model_close(model);
    return status;
}

mb_status_t mb_model_count_inputs(const mb_model_t *model, int *count)
{
    MB_NEED(model);
    MB_NEED(count);
    *count = model->graph->n_inputs;
    return MB_OK;
}

mb_status_t mb_model_count_outputs(const mb_model_t *model, int *count)
{
    MB_NEED(model);
    MB_NEED(count);
    *count = model->graph->n_outputs;
    return MB_OK;
}

mb_status_t mb_model_count_parameters(const mb_model_t *model, int64_t *count)
{
    MB_NEED(model);
    MB_NEED(count);
    int64_t sum = 0;
    for (int i = 0; i < model->file->n_layers; i++) {
        const mb_stored_layer_t *layer = &model->file->layers[i];
        for (int k = 0; k < layer->n_weights; k++)
            sum += layer->weights[k].elements;
    }
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
    const mb_graph_t *graph = model->graph;
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
    const mb_graph_t *graph = model->graph;
    MB_TRY(check_place(__func__, index, graph->n_outputs, "output"));
    int open = open_input(graph);
    if (open >= 0)
        return mb_error_set(MB_ERR_SHAPE,
                            "%s: the shape of output '%s' depends on the data: input '%s' leaves "
                            "a size open",
                            model->file->path, graph->outputs[index].name,
                            graph->input_names[open]);
    *name = graph->outputs[index].name;
    give_shape(&graph->nodes[graph->outputs[index].node].call.output, rank, shape);
    return MB_OK;
}

mb_status_t mb_model_destroy(mb_model_t *model)
{
    mb_model_close(model);
    return MB_OK;
}

typedef struct {
    uint64_t seed;
    int count;
    const char *pairs[MAX_PAIRS][2];
} preset_words_t;

static mb_status_t take_seed(const char *text, uint64_t *seed)
{
    char *end;
    *seed = strtoull(text, &end, 10);
    if (*end == '\0' && end != text && text[0] != '-')
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "seed=%s: a whole number of at least 0 is wanted", text);
}

/* Cuts TEXT, which is changed, into pairs. */
static mb_status_t take_words(char *text, preset_words_t *words)
{
    char *rest = NULL;
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        char *equals = strchr(word, '=');
        if (equals == NULL || equals == word || equals[1] == '\0')
            return mb_error_set(MB_ERR_ARGUMENT,
                                "'%s' is no setting of a preset: key=value, with spaces between "
                                "settings",
                                word);
        *equals = '\0';
        if (strcmp(word, "seed") == 0) {
            MB_TRY(take_seed(equals + 1, &words->seed));
            continue;
        }
        if (words->count == MAX_PAIRS)
            return mb_error_set(MB_ERR_ARGUMENT, "more than %d settings of a preset", MAX_PAIRS);
        words->pairs[words->count][0] = word;
        words->pairs[words->count++][1] = equals + 1;
    }
    return MB_OK;
}

static mb_status_t write_preset(const char *preset, char *settings, const char *path)
{
    json_t *model = NULL, *training = NULL;
    preset_words_t words = {.seed = 0};
    MB_TRY(take_words(settings, &words));
    MB_TRY(mb_preset_create(preset, (const char *const(*)[2])words.pairs, words.count, &model,
                            &training));
    mb_status_t status = mb_fresh_write(model, training, words.seed, path, NULL);
    json_decref(model);
    json_decref(training);
    return status;
}

static mb_status_t check_and_write(const char *preset, const char *settings, const char *path,
                                   bool writes)
{
    MB_TRY(mb_api_need(preset, "mb_model_create_preset", "preset"));
    MB_TRY(mb_api_need(path, "mb_model_create_preset", "path"));
    char *copy = writes ? strdup(settings == NULL ? "" : settings) : NULL;
    if (writes && copy == NULL)
        return mb_error_memory("a preset's settings", strlen(settings));
    mb_status_t status = writes ? write_preset(preset, copy, path) : MB_OK;
    free(copy);
    return status;
}

mb_status_t mb_model_create_preset(mb_context_t *context, const char *preset, const char *settings,
                                   const char *path)
{
    bool writes = context == NULL || mb_comm_rank(context->comm) == 0;
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = check_and_write(preset, settings, path, writes);
    mb_api_leave(&kept);
    return context == NULL ? status : mb_comm_agree(context->comm, status);
}
