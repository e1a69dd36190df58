/* Reads a command line by the command's own lists: --key value, --key=value, -o value, switches
 * (--json, --keras-optimizer, --no-shuffle) and words. */
#include "cli/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cli/models.h"

#define MAX_NAMES (MB_SET_COUNT + MB_MAX_FLAGS + 2)
#define MAX_KEY 64

typedef struct {
    mb_args_t *args;
    int n, at;
    char *const *texts;
    bool only_words;
} reader_t;

static int flag_index(const mb_command_t *command, const char *name, char letter)
{
    for (int i = 0; command->flags[i].name != NULL; i++) {
        if (name != NULL ? strcmp(command->flags[i].name, name) == 0
                         : command->flags[i].letter == letter)
            return i;
    }
    return -1;
}

static bool takes_setting(const mb_command_t *command, int id)
{
    for (int i = 0; i < command->n_settings; i++) {
        if ((int)command->settings[i] == id)
            return true;
    }
    return false;
}

static mb_status_t unknown(const mb_command_t *command, const char *key)
{
    const char *names[MAX_NAMES];
    size_t n = 0;
    names[n++] = "help";
    for (int i = 0; command->flags[i].name != NULL; i++)
        names[n++] = command->flags[i].name;
    for (int i = 0; i < command->n_settings; i++) {
        names[n++] = mb_setting_info(command->settings[i])->key;
        if (command->settings[i] == MB_SET_SHUFFLE)
            names[n++] = "no-shuffle";
    }
    const char *nearest = mb_str_nearest(key, names, n);
    if (nearest != NULL)
        return mb_error_set(MB_ERR_ARGUMENT, "%s has no option '--%s': do you mean '--%s'?",
                            command->name, key, nearest);
    int id = mb_setting_find(key, NULL);
    if (id >= 0)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s has no option '--%s'; that is an option of mbrun %s", command->name,
                            key, id < MB_RUN_SETTINGS ? "train" : "predict");
    return mb_error_set(MB_ERR_ARGUMENT, "%s has no option '--%s'; see mbrun %s --help",
                        command->name, key, command->name);
}

/* The value behind "=" or the next text. */
static mb_status_t take_value(reader_t *reader, const char *shown, const char *argument,
                              const char *equals, const char **value)
{
    *value = equals;
    if (equals == NULL && reader->at < reader->n)
        *value = reader->texts[reader->at++];
    if (*value == NULL)
        return mb_error_set(MB_ERR_ARGUMENT, "option '%s' wants a value: %s %s", shown, shown,
                            argument);
    return MB_OK;
}

static mb_status_t add_plugin(mb_str_t *plugins, const char *path)
{
    mb_str_addf(plugins, "%s\n", path);
    return plugins->failed ? mb_error_memory("the command line", strlen(path)) : MB_OK;
}

static mb_status_t read_flag(reader_t *reader, int index, const char *shown, const char *equals)
{
    mb_args_t *args = reader->args;
    const mb_flag_t *flag = &args->command->flags[index];
    if (flag->argument == NULL && equals != NULL)
        return mb_error_set(MB_ERR_ARGUMENT, "option '%s' takes no value", shown);
    args->flags[index] = "";
    if (flag->argument == NULL)
        return MB_OK;
    MB_TRY(take_value(reader, shown, flag->argument, equals, &args->flags[index]));
    if (strcmp(flag->name, "plugin") == 0)
        return add_plugin(&args->plugins, args->flags[index]);
    if (args->command->repeats != NULL && strcmp(args->command->repeats, flag->name) == 0)
        args->repeated[args->n_repeated++] = args->flags[index];
    return MB_OK;
}

static bool names_files(int id)
{
    return id == MB_SET_DATA || id == MB_SET_VAL;
}

/* Data that is named again is joined: a line a name (data/paths.h). */
static mb_status_t add_file(reader_t *reader, int id, const char *value)
{
    mb_settings_t *settings = reader->args->settings;
    mb_str_t names = {0};
    mb_str_addf(&names, "%s\n%s", settings->value[id], value);
    if (names.failed)
        return mb_error_memory("the command line", strlen(value));
    mb_status_t status = mb_settings_set(settings, mb_setting_info((mb_setting_id_t)id)->key,
                                         names.text, MB_FROM_USER);
    mb_str_free(&names);
    return status;
}

static mb_status_t read_setting(reader_t *reader, int id, const char *shown, const char *equals)
{
    const mb_setting_info_t *info = mb_setting_info((mb_setting_id_t)id);
    const char *value = equals;
    if (info->kind != MB_KIND_SWITCH)
        MB_TRY(take_value(reader, shown, info->argument, equals, &value));
    else if (value == NULL)
        value = "yes";
    if (names_files(id) && reader->args->settings->origin[id] == MB_FROM_USER)
        return add_file(reader, id, value);
    return mb_settings_set(reader->args->settings, info->key, value, MB_FROM_USER);
}

/* --no-shuffle, and --no- before a setting that is a switch. */
static bool is_negation(const mb_command_t *command, const char *key, int *id, const char **value)
{
    if (strncmp(key, "no-", 3) != 0)
        return false;
    *id = mb_setting_find(key + 3, NULL);
    if (*id < 0 || !takes_setting(command, *id))
        return false;
    *value = *id == MB_SET_SHUFFLE ? "none" : "no";
    return *id == MB_SET_SHUFFLE || mb_setting_info((mb_setting_id_t)*id)->kind == MB_KIND_SWITCH;
}

static mb_status_t read_long(reader_t *reader, const char *text)
{
    const mb_command_t *command = reader->args->command;
    const char *equals = strchr(text, '=');
    size_t length = equals == NULL ? strlen(text) : (size_t)(equals - text);
    char shown[MAX_KEY];
    if (length >= sizeof shown)
        return mb_error_set(MB_ERR_ARGUMENT, "%s has no option '%.*s...'; see mbrun %s --help",
                            command->name, MAX_KEY, text, command->name);
    snprintf(shown, sizeof shown, "%.*s", (int)length, text);
    const char *key = shown + 2, *value = NULL;
    equals = equals == NULL ? NULL : equals + 1;
    int flag = flag_index(command, key, '\0'), id = mb_setting_find(key, NULL);
    if (flag >= 0)
        return read_flag(reader, flag, shown, equals);
    if (id >= 0 && takes_setting(command, id))
        return read_setting(reader, id, shown, equals);
    if (!is_negation(command, key, &id, &value))
        return unknown(command, key);
    if (equals != NULL)
        return mb_error_set(MB_ERR_ARGUMENT, "option '%s' takes no value", shown);
    return read_setting(reader, id, shown, value);
}

static mb_status_t read_short(reader_t *reader, const char *text)
{
    const mb_command_t *command = reader->args->command;
    int flag = text[2] == '\0' ? flag_index(command, NULL, text[1]) : -1;
    if (flag < 0)
        return mb_error_set(MB_ERR_ARGUMENT, "%s has no option '%.32s'; see mbrun %s --help",
                            command->name, text, command->name);
    return read_flag(reader, flag, text, NULL);
}

static mb_status_t read_all(reader_t *reader)
{
    mb_args_t *args = reader->args;
    while (reader->at < reader->n) {
        const char *text = reader->texts[reader->at++];
        bool option = !reader->only_words && text[0] == '-' && text[1] != '\0';
        if (option && strcmp(text, "--") == 0)
            reader->only_words = true;
        else if (option && text[1] == '-')
            MB_TRY(read_long(reader, text));
        else if (option)
            MB_TRY(read_short(reader, text));
        else if (args->command->dashes && !reader->only_words)
            return mb_error_set(MB_ERR_ARGUMENT,
                                "'%s': put -- in front of the command: mbrun %s %s", text,
                                args->command->name, args->command->usage);
        else
            args->words[args->n_words++] = text;
    }
    return MB_OK;
}

static mb_status_t check_words(mb_args_t *args)
{
    const mb_command_t *command = args->command;
    if (command->several)
        MB_TRY(mb_models_take(args));
    if (args->names != NULL)
        return MB_OK;
    if (args->n_words < command->least_words)
        return mb_error_set(MB_ERR_ARGUMENT, "%s wants %s: mbrun %s %s", command->name,
                            command->words, command->name, command->usage);
    if (args->n_words > command->most_words)
        return mb_error_set(MB_ERR_ARGUMENT, "%s does not know what to do with '%s': mbrun %s %s",
                            command->name, args->words[command->most_words], command->name,
                            command->usage);
    return MB_OK;
}

/* Whoever asks for help gets it, whatever else is wrong. */
static bool asks_help(int n, char *const *texts)
{
    for (int i = 0; i < n && strcmp(texts[i], "--") != 0; i++) {
        if (strcmp(texts[i], "--help") == 0 || strcmp(texts[i], "-h") == 0)
            return true;
    }
    return false;
}

mb_status_t mb_args_read(const mb_command_t *command, int n, char *const *texts, mb_args_t *out)
{
    *out = (mb_args_t){.command = command, .help = asks_help(n, texts)};
    if (out->help)
        return MB_OK;
    out->words = calloc((size_t)n + 1, sizeof *out->words);
    out->repeated = calloc((size_t)n + 1, sizeof *out->repeated);
    if (out->words == NULL || out->repeated == NULL)
        return mb_error_memory("the command line", (size_t)n);
    MB_TRY(mb_settings_create(&out->settings));
    reader_t reader = {.args = out, .n = n, .texts = texts};
    MB_TRY(read_all(&reader));
    return check_words(out);
}

void mb_args_free(mb_args_t *args)
{
    mb_settings_destroy(args->settings);
    free(args->words);
    free(args->names);
    free(args->models);
    free(args->repeated);
    mb_str_free(&args->plugins);
}

const char *mb_args_flag(const mb_args_t *args, const char *name)
{
    int index = flag_index(args->command, name, '\0');
    return index < 0 ? NULL : args->flags[index];
}

bool mb_args_has(const mb_args_t *args, const char *name)
{
    return mb_args_flag(args, name) != NULL;
}
