/* mbrun configure: run settings recorded inside a model file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/say.h"
#include "store/edit.h"
#include "train/export.h"

#define MAX_CHANGES (2 * MB_SET_COUNT)

typedef struct {
    int n;
    mb_setting_t list[MAX_CHANGES]; /* a value of NULL removes */
} changes_t;

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
        if (changes->n < MAX_CHANGES)
            changes->list[changes->n++] =
                (mb_setting_t){mb_setting_info((mb_setting_id_t)id)->key, NULL};
    }
    return MB_OK;
}

static void take_settings(const mb_args_t *args, changes_t *changes)
{
    for (int id = 0; id < MB_SET_COUNT; id++) {
        if (args->settings->value[id] != NULL && args->settings->origin[id] == MB_FROM_USER)
            changes->list[changes->n++] = (mb_setting_t){mb_setting_info((mb_setting_id_t)id)->key,
                                                         args->settings->value[id]};
    }
}

static void print_changes(const char *path, const changes_t *changes)
{
    printf("%s:\n", path);
    for (int i = 0; i < changes->n; i++) {
        if (changes->list[i].value != NULL)
            printf("  %-18s%s\n", changes->list[i].key, changes->list[i].value);
        else
            printf("  %-18s(no longer recorded)\n", changes->list[i].key);
    }
}

/* A copy in another form is made first, and gone again when it cannot be changed. */
static mb_status_t record(const char *path, const char *output, const changes_t *changes)
{
    if (output == NULL || mb_form_of(path) == mb_form_of(output))
        return mb_model_file_set_settings(path, output, changes->n, changes->list);
    if (mb_form_of(output) == MB_FORM_WEIGHTS)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: weights alone are no model to record settings in; name it .keras "
                            "or .h5",
                            output);
    MB_TRY(mb_export(path, output, NULL, NULL));
    mb_status_t status = mb_model_file_set_settings(output, NULL, changes->n, changes->list);
    if (status != MB_OK)
        unlink(output);
    return status;
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
    MB_TRY(record(path, output, &changes));
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
