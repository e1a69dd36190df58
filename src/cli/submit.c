/* mbrun submit: a batch script for Slurm from the plan, shown and submitted. Without MPI. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/duration.h"
#include "cli/child.h"
#include "cli/recorded.h"
#include "cli/say.h"
#include "cli/submit_script.h"
#include "cli/supervise_progress.h"
#include "store/io.h"
#include "store/run_dir.h"
#include "train/trainer.h"

enum { MOST = 1 << 20, REQUEUES = 50, LARGEST_FILE = 1 << 20 };

typedef struct {
    const mb_args_t *args;
    char mbrun[PATH_MAX], folder[PATH_MAX], name[256];
    char *path; /* of the script */
    mb_script_t script;
    mb_str_t options, text;
    mb_planning_t planning;
    mb_layouts_t layouts;
} submission_t;

/* ---- what is asked */

static mb_status_t take_count(const mb_args_t *args, const char *flag, int otherwise, int *out)
{
    char *end;
    const char *text = mb_args_flag(args, flag);
    *out = otherwise;
    if (text == NULL)
        return MB_OK;
    long value = strtol(text, &end, 10);
    *out = (int)value;
    if (end != text && *end == '\0' && value >= 1 && value <= MOST)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "--%s: '%s' is not a whole number from 1 to %d", flag,
                        text, MOST);
}

static mb_status_t take_time(submission_t *s)
{
    const char *text = mb_args_flag(s->args, "time");
    if (text == NULL)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "submit wants how long the job may take: --time 24h; past that it goes "
                            "back into the queue and goes on");
    if (mb_duration_parse(text, &s->script.seconds))
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "--time: '%s' is not a time: 90min, 24h, 1-12:00:00",
                        text);
}

static mb_status_t take_launcher(const mb_args_t *args)
{
    static const char *const names[] = {"srun", "mpirun"};
    const char *text = mb_args_flag(args, "launcher");
    if (text == NULL || strcmp(text, names[0]) == 0 || strcmp(text, names[1]) == 0)
        return MB_OK;
    const char *nearest = mb_str_nearest(text, names, 2);
    return mb_error_set(MB_ERR_ARGUMENT, "--launcher: '%s' is not srun or mpirun%s%s", text,
                        nearest == NULL ? "" : ": do you mean ", nearest == NULL ? "" : nearest);
}

/* A rank for each GPU, or for each device that the hardware file says a node has. */
static mb_status_t take_ranks(submission_t *s)
{
    const char *path = mb_args_flag(s->args, "hardware");
    mb_hardware_t hardware = mb_hardware_default();
    mb_script_t *script = &s->script;
    if (path != NULL)
        MB_TRY(mb_hardware_read(path, &hardware));
    MB_TRY(take_count(s->args, "nodes", 1, &script->nodes));
    MB_TRY(take_count(s->args, "gpus-per-node", 0, &script->gpus));
    MB_TRY(take_count(s->args, "cpus-per-task", 0, &script->cpus));
    MB_TRY(take_count(s->args, "requeues", REQUEUES, &script->requeues));
    long long all =
        (long long)script->nodes * (script->gpus > 0 ? script->gpus : hardware.devices_per_node);
    MB_TRY(take_count(s->args, "ranks", all < MOST ? (int)all : MOST, &script->ranks));
    if (script->ranks % script->nodes == 0)
        return MB_OK;
    return mb_error_set(
        MB_ERR_ARGUMENT, "%d ranks do not share out evenly over %d nodes: use --ranks %d",
        script->ranks, script->nodes, (script->ranks / script->nodes + 1) * script->nodes);
}

static mb_status_t take_places(submission_t *s)
{
    const char *model = s->args->words[0], *slash = strrchr(model, '/');
    const char *given = mb_args_flag(s->args, "script");
    ssize_t length = readlink("/proc/self/exe", s->mbrun, sizeof s->mbrun - 1);
    if (length > 0)
        s->mbrun[length] = '\0';
    else
        snprintf(s->mbrun, sizeof s->mbrun, "mbrun");
    if (getcwd(s->folder, sizeof s->folder) == NULL)
        return mb_error_set(MB_ERR_IO, "the working directory has no path");
    snprintf(s->name, sizeof s->name, "%.200s", slash == NULL ? model : slash + 1);
    char *end = strrchr(s->name, '.');
    if (end != NULL && end != s->name)
        *end = '\0';
    size_t room = strlen(s->name) + sizeof ".sbatch";
    s->path = given != NULL ? strdup(given) : malloc(room);
    if (s->path == NULL)
        return mb_error_memory("a path", room);
    if (given == NULL)
        snprintf(s->path, room, "%s.sbatch", s->name);
    return MB_OK;
}

static mb_status_t take(submission_t *s)
{
    MB_TRY(take_time(s));
    MB_TRY(take_launcher(s->args));
    MB_TRY(take_ranks(s));
    MB_TRY(take_places(s));
    mb_script_options(s->args, &s->options);
    mb_str_add(&s->options, "");
    return s->options.failed ? mb_error_memory("a batch script", 0) : MB_OK;
}

/* ---- the plan */

/* What its newest checkpoint keeps. */
static mb_status_t take_begun(submission_t *s, const char *directory, int64_t step)
{
    static const mb_setting_id_t kept[] = {MB_SET_BATCH, MB_SET_REPLICAS, MB_SET_MICRO_BATCH};
    char path[PATH_MAX], name[64];
    snprintf(path, sizeof path, "%.3900s/%s", directory,
             mb_run_dir_step_name(step, name, sizeof name));
    if (access(path, R_OK) != 0) /* those of several models */
        return MB_OK;
    return mb_recorded_take(path, s->args->settings, kept, sizeof kept / sizeof kept[0]);
}

/* A run that was begun keeps its replicas and micro-batches: the rest is planned for them. */
static mb_status_t look_for_run(submission_t *s)
{
    const char *given = mb_settings_text(s->args->settings, MB_SET_RUN);
    char *directory =
        given != NULL ? strdup(given) : mb_training_default_directory(s->args->words[0]);
    if (directory == NULL)
        return mb_error_memory("a path", 0);
    int64_t step = mb_run_progress_read(directory).checkpoint;
    s->script.goes_on = step >= 0;
    mb_status_t status = s->script.goes_on ? take_begun(s, directory, step) : MB_OK;
    free(directory);
    return status;
}

static mb_status_t plan(submission_t *s)
{
    const char *memory = mb_settings_text(s->args->settings, MB_SET_MEMORY);
    mb_planning_request_t request = {.model = s->args->words[0],
                                     .settings = s->args->settings,
                                     .ranks = s->script.ranks,
                                     .hardware = mb_args_flag(s->args, "hardware")};
    /* What a share of a node's memory is, only the node can tell. */
    if (memory != NULL && strchr(memory, '%') == NULL)
        request.memory = memory;
    MB_TRY(look_for_run(s));
    MB_TRY(mb_planning_open(&request, &s->planning));
    return mb_layouts_find(&s->planning, &s->layouts);
}

/* ---- the script */

static mb_status_t make(submission_t *s)
{
    mb_script_t *script = &s->script;
    script->args = s->args;
    script->mbrun = s->mbrun;
    script->name = s->name;
    script->folder = s->folder;
    script->options = s->options.text == NULL ? "" : s->options.text;
    script->plan = &s->layouts;
    mb_script_write(script, &s->text);
    return s->text.failed ? mb_error_memory("a batch script", s->text.length) : MB_OK;
}

/* What somebody else has written is not written over. */
static mb_status_t write_script(const submission_t *s)
{
    char *there = NULL;
    MB_TRY(mb_io_read_text(s->path, LARGEST_FILE, &there));
    bool ours = there == NULL || there[0] == '\0' || strstr(there, MB_SCRIPT_MARK) != NULL;
    free(there);
    if (!ours)
        return mb_error_set(MB_ERR_IO,
                            "'%s' is there and was not written by mbrun submit: name another file "
                            "with -o",
                            s->path);
    return mb_io_replace_text(s->path, s->text.text);
}

static mb_status_t hand_over(const submission_t *s)
{
    char id[64];
    char *const words[] = {"sbatch", "--parsable", s->path, NULL};
    int code = mb_child_read(words, id, sizeof id);
    if (code == 127)
        return mb_error_set(MB_ERR_IO,
                            "sbatch is not installed here: the script is in %s; submit it where "
                            "Slurm is: sbatch %s",
                            s->path, s->path);
    if (code != 0)
        return mb_error_set(
            MB_ERR_IO,
            "sbatch ended with exit code %d: the script is in %s; mend what it says "
            "above, then: sbatch %s",
            code, s->path, s->path);
    id[strcspn(id, ";\n")] = '\0';
    printf("\njob %s, script %s\n"
           "follow  squeue --jobs %s; tail -f %s-%s.log\n"
           "stop    scancel %s; submit it again to go on\n",
           id, s->path, id, s->name, id, id);
    return MB_OK;
}

static mb_status_t submit(submission_t *s)
{
    bool only_shows = mb_args_has(s->args, "dry-run");
    MB_TRY(take(s));
    MB_TRY(plan(s));
    MB_TRY(make(s));
    printf("%s", s->text.text);
    fflush(stdout);
    if (!only_shows || mb_args_has(s->args, "script"))
        MB_TRY(write_script(s));
    return only_shows ? MB_OK : hand_over(s);
}

static int run_submit(const mb_args_t *args)
{
    submission_t *s = calloc(1, sizeof *s);
    if (s == NULL)
        return mb_say_end(mb_error_memory("a batch script", sizeof *s));
    s->args = args;
    int code = mb_say_end(submit(s));
    mb_planning_close(&s->planning);
    mb_str_free(&s->options);
    mb_str_free(&s->text);
    free(s->path);
    free(s);
    return code;
}

static const mb_flag_t flags[] = {
    {"nodes", '\0', "N", "of the job (default: 1)"},
    {"time", '\0', "T", "of a slot: 90min, 24h, 1-12:00:00; then the job queues again and goes on"},
    {"partition", '\0', "NAME", "of the cluster"},
    {"account", '\0', "NAME", "that pays"},
    {"gpus-per-node", '\0', "N", "one rank for each"},
    {"ranks", '\0', "N",
     "over all nodes (default: a GPU's each, or the devices of a node that --hardware says)"},
    {"cpus-per-task", '\0', "N", "cores of each rank"},
    {"launcher", '\0', "NAME", "srun (the default) or mpirun"},
    {"requeues", '\0', "N", "how often the job may queue again (default: 50)"},
    {"sbatch", '\0', "OPTION", "one more of sbatch: --sbatch=--qos=long; again: several"},
    {"script", 'o', "FILE", "where the script is written (default: MODEL.sbatch here)"},
    {"dry-run", '\0', NULL, "only show the script"},
    MB_FLAG_HARDWARE,
    {"ensemble", '\0', "K", "K seeds of the model at once, as of train"},
    {"output", '\0', "FILE", "the final model here too, as of train"},
    {"json", '\0', NULL, "the job prints JSON, as of train"},
    {"quiet", 'q', NULL, "the job prints errors only, as of train"},
    MB_FLAG_PLUGIN,
    {.name = NULL}};

const mb_command_t mb_command_submit = {
    .name = "submit",
    .usage = "MODEL.h5 --nodes N --time T [options of train]",
    .title = "Write a Slurm batch script from the plan, show it and submit it",
    .detail =
        "Stages, replicas, micro-batches and schedule are the fastest layout of the ranks, as\n"
        "mbrun plan --ranks lists it, unless options say them. The job checkpoints before its\n"
        "time is over, goes back into the queue and goes on, until the run is done; the script\n"
        "is left in MODEL.sbatch and can be edited and submitted again.\n",
    .flags = flags,
    .repeats = "sbatch",
    .settings = mb_command_all_settings,
    .n_settings = MB_RUN_SETTINGS,
    .least_words = 1,
    .most_words = 1,
    .words = "a model file",
    .run = run_submit};
