/* mbrun new: a model file from a preset, with initial values. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/command.h"
#include "cli/say.h"
#include "model/optimizer.h"
#include "model/preset.h"
#include "store/io.h"
#include "train/export.h"
#include "train/fresh.h"

#define MAX_PAIRS 32

typedef struct {
    mb_arena_t *arena;
    const char *output;
    uint64_t seed;
    json_t *model, *training;
    mb_optimizer_t *optimizer;
    int64_t parameters;
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

static mb_status_t print_result(const maker_t *maker, const mb_args_t *args)
{
    char count[MB_COUNT_TEXT];
    if (mb_args_has(args, "json"))
        return mb_say_json(json_pack("{s:s, s:s, s:I, s:s}", "output", maker->output, "preset",
                                     args->words[0], "parameters", (json_int_t)maker->parameters,
                                     "optimizer", maker->optimizer->class_name));
    printf("%s: %s with %s parameters, to be trained with %s\n", maker->output, args->words[0],
           mb_say_count(maker->parameters, count, sizeof count), maker->optimizer->class_name);
    return MB_OK;
}

/* Other forms are made from an HDF5 file beside. */
static mb_status_t write_model(maker_t *maker)
{
    if (mb_form_of(maker->output) == MB_FORM_HDF5)
        return mb_fresh_write(maker->model, maker->training, maker->seed, maker->output,
                              &maker->parameters);
    char *temporary = mb_io_temporary_name(maker->output);
    if (temporary == NULL)
        return mb_error_memory("a path", strlen(maker->output));
    mb_status_t status =
        mb_fresh_write(maker->model, maker->training, maker->seed, temporary, &maker->parameters);
    if (status == MB_OK)
        status = mb_export(temporary, maker->output, NULL, NULL);
    unlink(temporary);
    free(temporary);
    return status;
}

static mb_status_t make(maker_t *maker, const mb_args_t *args)
{
    if (maker->output == NULL)
        return mb_error_set(MB_ERR_ARGUMENT, "no file to write; use -o MODEL.h5 or -o MODEL.keras");
    if (access(maker->output, F_OK) == 0 && !mb_args_has(args, "force"))
        return mb_error_set(MB_ERR_ARGUMENT, "%s exists already; use --force to replace it",
                            maker->output);
    if (maker->arena == NULL)
        return mb_error_memory("a model", 0);
    MB_TRY(create_preset(maker, args));
    MB_TRY(set_optimizer(maker, args->settings));
    MB_TRY(write_model(maker));
    return print_result(maker, args);
}

static int run_new(const mb_args_t *args)
{
    maker_t maker = {.arena = mb_arena_create(),
                     .output = mb_args_flag(args, "output"),
                     .seed = mb_settings_seed(args->settings, MB_SET_SEED)};
    int code = mb_say_end(make(&maker, args));
    if (maker.optimizer != NULL)
        mb_optimizer_destroy(maker.optimizer);
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
        printf("  %-10s%s\n        %s\n", presets[i].name, presets[i].title, presets[i].keys);
}

static const mb_setting_id_t settings[] = {MB_SET_SEED,        MB_SET_OPTIMIZER,    MB_SET_LR,
                                           MB_SET_LR_SCHEDULE, MB_SET_WEIGHT_DECAY, MB_SET_CLIP};

static const mb_flag_t flags[] = {
    {"output", 'o', "MODEL", "the model file to write: .h5 or .keras"},
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
