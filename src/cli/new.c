/* mbrun new: a model file from a preset, with initial values. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/command.h"
#include "cli/say.h"
#include "model/graph.h"
#include "model/optimizer.h"
#include "model/preset.h"
#include "store/checkpoint.h"

#define MAX_PAIRS 32

typedef struct {
    mb_arena_t *arena;
    const char *output;
    uint64_t seed;
    json_t *model, *training;
    char *model_text, *training_text;
    mb_optimizer_t *optimizer;
    mb_graph_t *graph;
} maker_t;

static mb_status_t take_pairs(const mb_args_t *args, mb_arena_t *arena,
                              const char *pairs[MAX_PAIRS][2], int *count)
{
    for (int i = 1; i < args->n_words; i++) {
        char *key = mb_arena_strdup(arena, args->words[i]);
        char *equals = key == NULL ? NULL : strchr(key, '=');
        if (key == NULL)
            return mb_error_memory("the command line", 0);
        if (equals == NULL || equals == key || equals[1] == '\0')
            return mb_error_set(MB_ERR_ARGUMENT, "'%s' is no setting of a preset: KEY=VALUE", key);
        if (*count == MAX_PAIRS)
            return mb_error_set(MB_ERR_ARGUMENT, "more than %d settings of a preset", MAX_PAIRS);
        *equals = '\0';
        pairs[*count][0] = key;
        pairs[(*count)++][1] = equals + 1;
    }
    return MB_OK;
}

static mb_status_t create_preset(maker_t *maker, const mb_args_t *args)
{
    const char *pairs[MAX_PAIRS][2];
    int count = 0;
    MB_TRY(take_pairs(args, maker->arena, pairs, &count));
    return mb_preset_create(args->words[0], (const char *const(*)[2])pairs, count, &maker->model,
                            &maker->training);
}

static mb_status_t set_optimizer(maker_t *maker, const mb_settings_t *settings)
{
    static const struct {
        mb_setting_id_t id;
        const char *key;
    } keys[] = {{MB_SET_LR, "lr"},
                {MB_SET_LR_SCHEDULE, "lr_schedule"},
                {MB_SET_WEIGHT_DECAY, "weight_decay"},
                {MB_SET_CLIP, "clip"}};
    MB_TRY(mb_optimizer_create(json_object_get(maker->training, "optimizer_config"),
                               mb_settings_text(settings, MB_SET_OPTIMIZER), maker->output,
                               maker->arena, &maker->optimizer));
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (mb_settings_has(settings, keys[i].id))
            MB_TRY(mb_optimizer_set(maker->optimizer, keys[i].key,
                                    mb_settings_text(settings, keys[i].id), maker->arena));
    }
    if (json_object_set(maker->training, "optimizer_config", maker->optimizer->config) != 0)
        return mb_error_memory("training_config", 0);
    return MB_OK;
}

static mb_status_t make_texts(maker_t *maker)
{
    maker->model_text = json_dumps(maker->model, JSON_REAL_PRECISION(17));
    maker->training_text = json_dumps(maker->training, JSON_REAL_PRECISION(17));
    if (maker->model_text == NULL || maker->training_text == NULL)
        return mb_error_memory("a model's configuration", 0);
    return MB_OK;
}

static mb_status_t list_layers(const maker_t *maker, mb_checkpoint_layout_t *layout)
{
    const mb_graph_t *graph = maker->graph;
    mb_layer_spec_t *layers =
        MB_ARENA_ARRAY(maker->arena, mb_layer_spec_t, graph->n_file_layers + 1);
    if (layers == NULL)
        return mb_error_memory("a model's layout", 0);
    for (int i = 0; i < graph->n_file_layers; i++)
        layers[i] = (mb_layer_spec_t){.name = graph->file_layers[i],
                                      .n_weights = graph->file_layer_n_params[i],
                                      .weights = graph->file_layer_params[i]};
    layout->n_layers = graph->n_file_layers;
    layout->layers = layers;
    return MB_OK;
}

static mb_status_t list_tensors(const maker_t *maker, mb_checkpoint_layout_t *layout,
                                mb_piece_t **out)
{
    const mb_graph_t *graph = maker->graph;
    mb_tensor_spec_t *tensors = MB_ARENA_ARRAY(maker->arena, mb_tensor_spec_t, graph->n_params + 1);
    mb_piece_t *pieces = MB_ARENA_ARRAY(maker->arena, mb_piece_t, graph->n_params + 1);
    for (int p = 0; p < graph->n_params; p++) {
        const mb_param_t *param = &graph->params[p];
        float *values = MB_ARENA_ARRAY(maker->arena, float, param->elements);
        if (tensors == NULL || pieces == NULL || values == NULL)
            return mb_error_memory("initial values", (size_t)param->elements * sizeof(float));
        MB_TRY(mb_param_initialize(param, maker->seed, values));
        tensors[p] = (mb_tensor_spec_t){param->path, param->shape};
        pieces[p] = (mb_piece_t){.tensor = p, .count = param->elements, .values = values};
    }
    layout->n_weights = graph->n_params;
    layout->tensors = tensors;
    *out = pieces;
    return MB_OK;
}

static mb_status_t write_file(const maker_t *maker)
{
    const mb_optimizer_t *optimizer = maker->optimizer;
    mb_checkpoint_layout_t layout = {
        .model_config = maker->model_text,
        .training_config = maker->training_text,
        .optimizer_name = optimizer->name,
        .learning_rate = optimizer->schedule == NULL ? optimizer->learning_rate : NAN};
    mb_piece_t *pieces = NULL;
    MB_TRY(list_layers(maker, &layout));
    MB_TRY(list_tensors(maker, &layout, &pieces));
    return mb_checkpoint_write(NULL, maker->output, &layout, pieces, layout.n_weights);
}

static mb_status_t print_result(const maker_t *maker, const mb_args_t *args)
{
    int64_t parameters = 0;
    char count[MB_COUNT_TEXT];
    for (int p = 0; p < maker->graph->n_params; p++)
        parameters += maker->graph->params[p].elements;
    if (mb_args_has(args, "json"))
        return mb_say_json(json_pack("{s:s, s:s, s:I, s:s}", "output", maker->output, "preset",
                                     args->words[0], "parameters", (json_int_t)parameters,
                                     "optimizer", maker->optimizer->class_name));
    printf("%s: %s with %s parameters, to be trained with %s\n", maker->output, args->words[0],
           mb_say_count(parameters, count, sizeof count), maker->optimizer->class_name);
    return MB_OK;
}

static mb_status_t make(maker_t *maker, const mb_args_t *args)
{
    if (maker->output == NULL)
        return mb_error_set(MB_ERR_ARGUMENT, "no file to write; use -o MODEL.h5");
    if (access(maker->output, F_OK) == 0 && !mb_args_has(args, "force"))
        return mb_error_set(MB_ERR_ARGUMENT, "%s exists already; use --force to replace it",
                            maker->output);
    if (maker->arena == NULL)
        return mb_error_memory("a model", 0);
    MB_TRY(create_preset(maker, args));
    MB_TRY(set_optimizer(maker, args->settings));
    MB_TRY(make_texts(maker));
    MB_TRY(mb_graph_create(maker->model_text, maker->output, &maker->graph));
    MB_TRY(mb_graph_bind(maker->graph, NULL));
    MB_TRY(write_file(maker));
    return print_result(maker, args);
}

static int run_new(const mb_args_t *args)
{
    maker_t maker = {.arena = mb_arena_create(),
                     .output = mb_args_flag(args, "output"),
                     .seed = mb_settings_seed(args->settings, MB_SET_SEED)};
    int code = mb_say_end(make(&maker, args));
    mb_graph_destroy(maker.graph);
    if (maker.optimizer != NULL)
        mb_optimizer_destroy(maker.optimizer);
    free(maker.model_text);
    free(maker.training_text);
    json_decref(maker.model);
    json_decref(maker.training);
    if (maker.arena != NULL)
        mb_arena_destroy(maker.arena);
    return code;
}

static void print_presets(void)
{
    int count;
    const mb_preset_t *presets = mb_preset_list(&count);
    printf("\nPresets, and their settings with what they are when not given:\n");
    for (int i = 0; i < count; i++)
        printf("  %-6s%s\n        %s\n", presets[i].name, presets[i].title, presets[i].keys);
}

static const mb_setting_id_t settings[] = {MB_SET_SEED,        MB_SET_OPTIMIZER,    MB_SET_LR,
                                           MB_SET_LR_SCHEDULE, MB_SET_WEIGHT_DECAY, MB_SET_CLIP};

static const mb_flag_t flags[] = {{"output", 'o', "MODEL.h5", "the model file to write"},
                                  {"force", '\0', NULL, "replace an existing file"},
                                  {"json", '\0', NULL, "one JSON object on stdout instead of text"},
                                  {.name = NULL}};

const mb_command_t mb_command_new = {
    .name = "new",
    .usage = "PRESET -o MODEL.h5 [KEY=VALUE...] [options]",
    .title = "Make a model file from a preset",
    .detail = "The file is what Keras would save: mbrun trains it, and Keras loads it.\n",
    .more = print_presets,
    .flags = flags,
    .settings = settings,
    .n_settings = sizeof settings / sizeof settings[0],
    .least_words = 1,
    .most_words = 1 + MAX_PAIRS,
    .words = "a preset",
    .run = run_new};
