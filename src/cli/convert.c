/* mbrun convert: a model file in another of Keras' forms. */
#include <stdio.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/say.h"
#include "train/export.h"

static void say_line(void *user, mb_log_level_t level, const char *message)
{
    (void)user, (void)level;
    fprintf(stderr, "mbrun: %s\n", message);
}

static mb_status_t convert(const mb_args_t *args)
{
    const char *from = args->words[0], *to = mb_args_flag(args, "output");
    const mb_log_t log = {say_line, NULL, MB_LOG_INFO};
    mb_weights_request_t weights;
    if (to == NULL)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "no file to write; use -o OUT.keras, -o OUT.weights.h5 or -o OUT.h5");
    if (access(to, F_OK) == 0 && !mb_args_has(args, "force"))
        return mb_error_set(MB_ERR_ARGUMENT, "%s exists already; use --force to replace it", to);
    MB_TRY(mb_settings_weights(args->settings, &weights));
    MB_TRY(mb_export(from, to, &weights, &log));
    if (mb_args_has(args, "json"))
        return mb_say_json(json_pack("{s:s, s:s}", "input", from, "output", to));
    printf("%s: written from %s\n", to, from);
    return MB_OK;
}

static int run_convert(const mb_args_t *args)
{
    return mb_say_end(convert(args));
}

static const mb_setting_id_t settings[] = {MB_SET_WEIGHTS, MB_SET_WEIGHTS_BY, MB_SET_SKIP_MISMATCH};

static const mb_flag_t flags[] = {
    {"output", 'o', "FILE", "what to write: its name's end says in which form"},
    {"force", '\0', NULL, "replace an existing file"},
    {"json", '\0', NULL, "one JSON object on stdout instead of text"},
    MB_FLAG_PLUGIN,
    {.name = NULL}};

const mb_command_t mb_command_convert = {
    .name = "convert",
    .usage = "MODEL -o OUT.keras|OUT.weights.h5|OUT.h5 [options]",
    .title = "Write a model file in another of Keras' forms",
    .detail =
        "OUT.keras is a Keras 3 archive, OUT.weights.h5 Keras 3's weights alone, any other name\n"
        "Keras' HDF5 file. The optimizer's state goes along where Keras goes on from it, and\n"
        "settings that are recorded in the model; the counters of a run do not. With --weights\n"
        "the weights are another file's, and the optimizer begins anew.\n",
    .flags = flags,
    .settings = settings,
    .n_settings = sizeof settings / sizeof settings[0],
    .least_words = 1,
    .most_words = 1,
    .words = "a model file",
    .run = run_convert};
