/* mbrun configure: run settings recorded inside a model file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mb/mb.h>

#include "cli/command.h"
#include "cli/say.h"

#define MAX_CHANGES (2 * MB_SET_COUNT)

typedef struct {
    int n;
    const char *keys[MAX_CHANGES], *values[MAX_CHANGES]; /* a value of NULL removes */
} changes_t;

static void add(changes_t *changes, int id, const char *value)
{
    if (changes->n == MAX_CHANGES)
        return;
    changes->keys[changes->n] = mb_setting_info((mb_setting_id_t)id)->key;
    changes->values[changes->n++] = value;
}

/* --unset KEY,KEY: cuts TEXT, which the keys then point into. */
static mb_status_t take_unset(char *text, const mb_args_t *args, changes_t *changes)
{
    char *rest = NULL;
    for (char *key = strtok_r(text, ",", &rest); key != NULL; key = strtok_r(NULL, ",", &rest)) {
        const char *nearest = NULL;
        int id = mb_setting_find(key, &nearest);
        if (id < 0)
            return mb_error_set(MB_ERR_ARGUMENT, "--unset: there is no setting '%s'%s%s%s", key,
                                nearest == NULL ? "" : ": do you mean '",
                                nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?");
        if (args->settings->origin[id] == MB_FROM_USER)
            return mb_error_set(MB_ERR_ARGUMENT, "'%s' is both set and unset", key);
        add(changes, id, NULL);
    }
    return MB_OK;
}

static void take_settings(const mb_args_t *args, changes_t *changes)
{
    for (int id = 0; id < MB_SET_COUNT; id++) {
        if (args->settings->value[id] != NULL && args->settings->origin[id] == MB_FROM_USER)
            add(changes, id, args->settings->value[id]);
    }
}

static void print_changes(const char *path, const changes_t *changes)
{
    printf("%s:\n", path);
    for (int i = 0; i < changes->n; i++) {
        if (changes->values[i] != NULL)
            printf("  %-18s%s\n", changes->keys[i], changes->values[i]);
        else
            printf("  %-18s(no longer recorded)\n", changes->keys[i]);
    }
}

static mb_status_t configure(const mb_args_t *args, char *unset)
{
    changes_t changes = {.n = 0};
    if (args->settings->origin[MB_SET_DEADLINE] == MB_FROM_USER)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "a deadline holds before the model file is read, so it cannot be "
                            "recorded in it: give --deadline when the run is started");
    const char *path = args->words[0], *output = mb_args_flag(args, "output");
    take_settings(args, &changes);
    if (unset != NULL)
        MB_TRY(take_unset(unset, args, &changes));
    if (changes.n == 0)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "nothing to record: give settings as options (--data D --epochs 3); "
                            "mbrun inspect shows what is recorded");
    MB_TRY(mb_checkpoint_configure(path, changes.n, changes.keys, changes.values, output));
    print_changes(output == NULL ? path : output, &changes);
    return MB_OK;
}

static int run_configure(const mb_args_t *args)
{
    const char *given = mb_args_flag(args, "unset");
    char *unset = given == NULL ? NULL : strdup(given);
    int code = mb_say_end(given != NULL && unset == NULL ? mb_error_memory("the command line", 0)
                                                         : configure(args, unset));
    free(unset);
    return code;
}

static const mb_flag_t flags[] = {
    {"output", 'o', "COPY", "write the result here and leave the model file as it is"},
    {"unset", '\0', "KEYS", "settings, separated by commas, that are no longer to be recorded"},
    MB_FLAG_PLUGIN,
    {.name = NULL}};

const mb_command_t mb_command_configure = {
    .name = "configure",
    .usage = "MODEL.h5 --data FILE --epochs N ... [-o COPY]",
    .title = "Record run settings inside a model file",
    .detail =
        "What is recorded holds for every later run of the model, so that mbrun MODEL.h5 needs\n"
        "no options; options of the command line win over it. Paths are kept as they are given:\n"
        "relative ones are looked up where a run is started. Weights do not change.\n",
    .flags = flags,
    .settings = mb_command_all_settings,
    .n_settings = MB_RUN_SETTINGS,
    .least_words = 1,
    .most_words = 1,
    .words = "a model file",
    .run = run_configure};
