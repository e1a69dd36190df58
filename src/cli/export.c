/* mbrun export: a part of a file: weights or moments alone, chosen by pattern, renamed, narrower.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mb/mb.h>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/say.h"

enum { MOST = 1024 };

typedef struct {
    char *text[2]; /* that patterns point into */
    int n;
    const char *keys[MOST], *values[MOST];
    int weights, moments, is_model; /* what was written */
} job_t;

static mb_status_t add(job_t *job, const char *key, const char *value)
{
    if (job->n == MOST)
        return mb_error_set(MB_ERR_ARGUMENT, "more than %d patterns, renamings and options", MOST);
    job->keys[job->n] = key;
    job->values[job->n++] = value;
    return MB_OK;
}

/* "A,B" as a list. */
static mb_status_t take_patterns(const mb_args_t *args, const char *flag, char **text, job_t *job)
{
    const char *given = mb_args_flag(args, flag);
    int before = job->n;
    char *rest = NULL;
    if (given == NULL)
        return MB_OK;
    *text = strdup(given);
    if (*text == NULL)
        return mb_error_memory("the command line", 0);
    for (char *at = strtok_r(*text, ",", &rest); at != NULL; at = strtok_r(NULL, ",", &rest))
        MB_TRY(add(job, flag, at));
    return job->n > before ? MB_OK
                           : mb_error_set(MB_ERR_ARGUMENT,
                                          "--%s wants patterns of names: 'dense*,*bias'", flag);
}

static mb_status_t take_options(const mb_args_t *args, job_t *job)
{
    const char *dtype = mb_args_flag(args, "dtype");
    MB_TRY(add(job, "moments", mb_args_has(args, "moments") ? "yes" : "no"));
    MB_TRY(add(job, "weights", mb_args_has(args, "weights") ? "yes" : "no"));
    MB_TRY(take_patterns(args, "only", &job->text[0], job));
    MB_TRY(take_patterns(args, "except", &job->text[1], job));
    for (int i = 0; i < args->n_repeated; i++)
        MB_TRY(add(job, "rename", args->repeated[i]));
    return dtype == NULL ? MB_OK : add(job, "dtype", dtype);
}

static mb_status_t say(const mb_args_t *args, const char *to, const job_t *job)
{
    if (mb_args_has(args, "json"))
        return mb_say_json(json_pack("{s:s, s:s, s:i, s:i, s:b}", "input", args->words[0], "output",
                                     to, "weights", job->weights, "moments", job->moments, "model",
                                     job->is_model));
    printf("%s: %d weights, %d moments; %s\n", to, job->weights, job->moments,
           job->is_model ? "a model" : "no model: what is in it goes into one with --weights");
    return MB_OK;
}

static mb_status_t export(const mb_args_t *args, job_t *job)
{
    const char *to = NULL;
    MB_TRY(take_options(args, job));
    MB_TRY(mb_output_take(args, 1, args->words, &to));
    MB_TRY(mb_checkpoint_export(args->words[0], job->n, job->keys, job->values, to, &job->weights,
                                &job->moments, &job->is_model));
    return say(args, to, job);
}

static int run_export(const mb_args_t *args)
{
    job_t *job = calloc(1, sizeof *job);
    int code = mb_say_end(job == NULL ? mb_error_memory("the command line", sizeof *job)
                                      : export(args, job));
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
