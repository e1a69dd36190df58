/* mbrun average: the mean of the weights of several checkpoints. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <mb/mb.h>

#include "base/arena.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/say.h"

enum { MOST_FILES = 1024 };

typedef struct {
    mb_arena_t *arena; /* of a run's paths */
    int n;
    const char *paths[MOST_FILES];
} job_t;

static bool is_directory(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

static mb_status_t take_last(const mb_args_t *args, int *last)
{
    const char *text = mb_args_flag(args, "last");
    char *end = NULL;
    long value = text == NULL ? 0 : strtol(text, &end, 10);
    *last = MOST_FILES;
    if (text == NULL)
        return MB_OK;
    if (end == text || *end != '\0' || value < 1 || value > MOST_FILES)
        return mb_error_set(MB_ERR_ARGUMENT, "--last %s: a number from 1 to %d is wanted", text,
                            MOST_FILES);
    *last = (int)value;
    return MB_OK;
}

/* The newest LAST checkpoints in a run's files, which stand there oldest first. */
static mb_status_t take_newest(job_t *job, const char *run, const json_t *files, int last)
{
    size_t at = json_array_size(files);
    int first = last;
    while (at-- > 0 && first > 0) {
        const json_t *file = json_array_get(files, at);
        const char *name = json_string_value(json_object_get(file, "name"));
        if (strncmp(name, "step-", 5) != 0 || !json_is_true(json_object_get(file, "seal_holds")))
            continue;
        job->paths[--first] = mb_arena_format(job->arena, "%s/%s", run, name);
        if (job->paths[first] == NULL)
            return mb_error_memory("a list of files", strlen(run));
    }
    job->n = last - first;
    memmove(job->paths, job->paths + first, (size_t)job->n * sizeof *job->paths);
    return MB_OK;
}

static mb_status_t take_run(job_t *job, const char *run, int last)
{
    char *text = NULL;
    MB_TRY(mb_checkpoint_list(run, &text));
    json_t *list = json_loads(text, 0, NULL);
    mb_text_free(text);
    job->arena = mb_arena_create();
    mb_status_t status = list == NULL || job->arena == NULL
                             ? mb_error_memory("a list of files", 0)
                             : take_newest(job, run, json_object_get(list, "files"), last);
    json_decref(list);
    if (status != MB_OK || job->n > 0)
        return status;
    return mb_error_set(MB_ERR_IO,
                        "'%s' holds no step-*.h5 whose seal holds; mbrun ls %s shows what there is",
                        run, run);
}

static mb_status_t take_paths(const mb_args_t *args, job_t *job)
{
    int last;
    MB_TRY(take_last(args, &last));
    if (args->n_words == 1 && is_directory(args->words[0]))
        return take_run(job, args->words[0], last);
    for (int i = 0; i < args->n_words; i++) {
        if (is_directory(args->words[i]))
            return mb_error_set(MB_ERR_ARGUMENT, "%s is a directory: give one run alone, or files",
                                args->words[i]);
    }
    int first = args->n_words > last ? args->n_words - last : 0;
    for (int i = first; i < args->n_words; i++)
        job->paths[job->n++] = args->words[i];
    return MB_OK;
}

static mb_status_t average(const mb_args_t *args, job_t *job)
{
    const char *to = NULL;
    int weights = 0;
    MB_TRY(take_paths(args, job));
    MB_TRY(mb_output_take(args, job->n, job->paths, &to));
    MB_TRY(mb_checkpoint_average(job->n, job->paths, to, &weights));
    if (mb_args_has(args, "json")) {
        json_t *inputs = json_array();
        for (int i = 0; i < job->n; i++)
            json_array_append_new(inputs, json_string(job->paths[i]));
        return mb_say_json(
            json_pack("{s:o, s:s, s:i}", "inputs", inputs, "output", to, "weights", weights));
    }
    printf("%s: mean of %d files, %d weights\n", to, job->n, weights);
    for (int i = 0; i < job->n; i++)
        printf("  %s\n", job->paths[i]);
    return MB_OK;
}

static int run_average(const mb_args_t *args)
{
    job_t *job = calloc(1, sizeof *job);
    int code = mb_say_end(job == NULL ? mb_error_memory("a list of files", sizeof *job)
                                      : average(args, job));
    if (job != NULL && job->arena != NULL)
        mb_arena_destroy(job->arena);
    free(job);
    return code;
}

static const mb_flag_t flags[] = {
    {"last", '\0', "K", "the newest K checkpoints of the run, or the last K files (all)"},
    {"output", 'o', "OUT.h5", "the model to write"},
    {"force", '\0', NULL, "replace an existing file"},
    {"json", '\0', NULL, "one JSON object on stdout instead of text"},
    MB_FLAG_PLUGIN,
    {.name = NULL}};

const mb_command_t mb_command_average = {
    .name = "average",
    .usage = "RUN|FILES... [--last K] -o OUT.h5",
    .title = "Write the mean of the weights of a run's last checkpoints, or of files",
    .detail = "Of a run its step-*.h5 whose seals hold are taken. All files must be of one "
              "architecture.\n"
              "Each weight is summed in double precision, oldest file first, and rounded once. The "
              "moving\n"
              "means and variances of batch normalization are weights and averaged like all "
              "others: where\n"
              "that is not good enough, train a few steps more to let them settle. The optimizer's "
              "state\n"
              "and the counters of the run do not go along; configurations are the last file's.\n",
    .flags = flags,
    .least_words = 1,
    .most_words = MOST_FILES,
    .words = "a run's directory, or files",
    .run = run_average};
