/* mbrun export: a part of a file: weights or moments alone, chosen by pattern, renamed, narrower.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/say.h"
#include "engine/model_variables.h"
#include "store/derive.h"

enum { MOST = 256 };

typedef struct {
    char *text[2]; /* that patterns point into */
    const char *only[MOST], *except[MOST];
    mb_renaming_t renamings[MOST];
    char *renaming_text[MOST];
    mb_format_t format;
    mb_derivation_t how;
} job_t;

/* "A,B" as a list. */
static mb_status_t take_patterns(const mb_args_t *args, const char *flag, char **text,
                                 const char **list, int *n)
{
    const char *given = mb_args_flag(args, flag);
    char *rest = NULL;
    if (given == NULL)
        return MB_OK;
    *text = strdup(given);
    if (*text == NULL)
        return mb_error_memory("the command line", 0);
    for (char *at = strtok_r(*text, ",", &rest); at != NULL; at = strtok_r(NULL, ",", &rest)) {
        if (*n == MOST)
            return mb_error_set(MB_ERR_ARGUMENT, "--%s takes at most %d patterns", flag, MOST);
        list[(*n)++] = at;
    }
    return *n > 0 ? MB_OK
                  : mb_error_set(MB_ERR_ARGUMENT, "--%s wants patterns of names: 'dense*,*bias'",
                                 flag);
}

static mb_status_t take_renaming(job_t *job, const char *given)
{
    const char *equals = strchr(given, '=');
    if (equals == NULL || equals == given || equals[1] == '\0' || equals[1] == '/')
        return mb_error_set(MB_ERR_ARGUMENT, "--rename %s: FROM=TO is wanted, as in encoder=tower",
                            given);
    if (job->how.n_renamings == MOST)
        return mb_error_set(MB_ERR_ARGUMENT, "--rename is given more than %d times", MOST);
    char *text = strdup(given);
    if (text == NULL)
        return mb_error_memory("the command line", 0);
    text[equals - given] = '\0';
    job->renaming_text[job->how.n_renamings] = text;
    job->renamings[job->how.n_renamings++] = (mb_renaming_t){text, text + (equals - given) + 1};
    return MB_OK;
}

static mb_status_t take_format(const mb_args_t *args, job_t *job)
{
    const char *text = mb_args_flag(args, "dtype");
    if (text == NULL)
        return MB_OK;
    MB_TRY(mb_format_parse(text, &job->format));
    if (!mb_format_is_float(&job->format) || job->format.kept_bits > 0)
        return mb_error_set(
            MB_ERR_ARGUMENT,
            "--dtype %s: fp32, bf16, fp16 and e3m4 are there; mbrun quantize stores "
            "models in formats with scales",
            text);
    job->how.format = &job->format;
    return MB_OK;
}

static mb_status_t take_options(const mb_args_t *args, job_t *job)
{
    mb_derivation_t *how = &job->how;
    how->only = job->only;
    how->except = job->except;
    how->renamings = job->renamings;
    how->moments = mb_args_has(args, "moments");
    how->weights = mb_args_has(args, "weights") || !how->moments;
    MB_TRY(take_patterns(args, "only", &job->text[0], job->only, &how->n_only));
    MB_TRY(take_patterns(args, "except", &job->text[1], job->except, &how->n_except));
    for (int i = 0; i < args->n_repeated; i++)
        MB_TRY(take_renaming(job, args->repeated[i]));
    return take_format(args, job);
}

static mb_status_t say(const mb_args_t *args, const char *to, const mb_derived_t *derived)
{
    if (mb_args_has(args, "json"))
        return mb_say_json(json_pack("{s:s, s:s, s:i, s:i, s:b}", "input", args->words[0], "output",
                                     to, "weights", derived->weights, "moments", derived->moments,
                                     "model", (int)derived->is_model));
    printf("%s: %d weights, %d moments; %s\n", to, derived->weights, derived->moments,
           derived->is_model ? "a model" : "no model: what is in it goes into one with --weights");
    return MB_OK;
}

static mb_status_t export(const mb_args_t *args, job_t *job)
{
    const char *to = NULL;
    mb_derived_t derived;
    mb_model_file_t *file = NULL;
    MB_TRY(take_options(args, job));
    MB_TRY(mb_output_take(args, 1, args->words, &to));
    MB_TRY(mb_model_file_open_arranged(args->words[0], &file));
    job->how.file = file;
    mb_status_t status = mb_derive(&job->how, to, &derived);
    mb_model_file_close(file);
    return status == MB_OK ? say(args, to, &derived) : status;
}

static int run_export(const mb_args_t *args)
{
    job_t *job = calloc(1, sizeof *job);
    int code = mb_say_end(job == NULL ? mb_error_memory("the command line", sizeof *job)
                                      : export(args, job));
    for (int i = 0; job != NULL && i < job->how.n_renamings; i++)
        free(job->renaming_text[i]);
    if (job != NULL) {
        free(job->text[0]);
        free(job->text[1]);
    }
    free(job);
    return code;
}

static const mb_flag_t flags[] = {
    {"output", 'o', "OUT.h5", "the file to write"},
    {"weights", '\0', NULL, "weights alone (the default)"},
    {"moments", '\0', NULL, "the optimizer's moments alone; with --weights: both"},
    {"only", '\0', "PATTERNS", "what matches one of them: 'dense*,*/bias'"},
    {"except", '\0', "PATTERNS", "what matches none of them"},
    {"rename", '\0', "FROM=TO", "whole components of names; again: several"},
    {"dtype", '\0', "FORMAT", "matrices as fp32, bf16, fp16 or e3m4; vectors stay exact"},
    {"force", '\0', NULL, "replace an existing file"},
    {"json", '\0', NULL, "one JSON object on stdout instead of text"},
    MB_FLAG_PLUGIN,
    {.name = NULL}};

const mb_command_t mb_command_export = {
    .name = "export",
    .usage = "FILE -o OUT.h5 [--weights | --moments] [--only PATTERNS] [--rename FROM=TO] ...",
    .title = "Write a part of a model file or checkpoint, under other names or narrower",
    .detail =
        "Patterns hold for a weight's name as mbrun diff shows it (dense/kernel), for its layer's\n"
        "(dense), and for moments with or without what they are (velocity/dense/kernel). With all\n"
        "weights under their own names OUT.h5 is a model; otherwise it holds weights alone, which\n"
        "mbrun --weights (by name) and Keras' load_weights(by_name=True) take. Encoded tensors "
        "are\n"
        "expanded. The counters of a run do not go along. For Keras' other forms there is mbrun\n"
        "convert, for formats with scales mbrun quantize.\n",
    .flags = flags,
    .repeats = "rename",
    .least_words = 1,
    .most_words = 1,
    .words = "a file",
    .run = run_export};
