/* See train.h. Models are set up one after the other, so that what is wrong with one is said before
 * any of them has trained, and what their layers take is measured undisturbed. Then they run in
 * turns. Where one fails the others write a checkpoint at their next step and stop. */
#include "cli/train.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/host_memory.h"
#include "base/log.h"
#include "cli/recorded.h"
#include "cli/run.h"
#include "cli/say.h"
#include "cli/several.h"
#include "cli/signals.h"

enum { NAME_TEXT = 32 };

typedef struct {
    mb_cli_run_t run;
    mb_member_t *member;
    mb_settings_t *settings;
    char name[NAME_TEXT]; /* of a seed */
} model_t;

typedef struct {
    mb_several_t all;
    const mb_args_t *args;
    double started;
    int n;
    model_t *model;
} training_t;

static mb_status_t say_where(void *user)
{
    training_t *training = user;
    if (!mb_signals_where())
        return MB_OK;
    for (int i = 0; i < training->n; i++)
        mb_cli_run_say_where(&training->model[i].run);
    return MB_OK;
}

/* A step's end is where a model that waits for nobody lets the others on. */
static bool stop(void *user)
{
    mb_member_t *member = ((model_t *)user)->member;
    mb_turns_pass(member->all->turns);
    return mb_signals_stop() || member->all->failed;
}

static mb_status_t work(void *user)
{
    return mb_training_run(((model_t *)user)->run.trainer);
}

static void ended(void *user, mb_status_t status)
{
    mb_cli_run_say_end(&((model_t *)user)->run, status);
}

/* ---- what each is: a file of the list, or the model with a seed of its own */

static mb_status_t set(model_t *model, mb_setting_id_t id, const char *text,
                       mb_setting_origin_t origin)
{
    return mb_settings_set(model->settings, mb_setting_info(id)->key, text, origin);
}

static mb_status_t set_seed(model_t *model, int at)
{
    char text[NAME_TEXT];
    uint64_t first = mb_settings_seed(model->settings, MB_SET_SEED), seed = first + (uint64_t)at;
    if (seed < first)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "--ensemble: there are no %d seeds from %" PRIu64 " on", at + 1, first);
    snprintf(text, sizeof text, "%" PRIu64, seed);
    snprintf(model->name, sizeof model->name, "seed-%" PRIu64, seed);
    model->run.name = model->name;
    return set(model, MB_SET_SEED, text, MB_FROM_USER);
}

static mb_status_t set_directory(training_t *training, model_t *model, const char *folder)
{
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/%s", folder, model->run.name);
    if (length >= (int)sizeof path)
        return mb_error_set(MB_ERR_ARGUMENT, "--run: the path %.64s... is too long", path);
    MB_TRY(mb_several_folder(&training->all, folder));
    return set(model, MB_SET_RUN, path, MB_FROM_USER);
}

static mb_status_t choose_directory(training_t *training, model_t *model)
{
    const char *given = mb_settings_text(model->settings, MB_SET_RUN);
    if (given == NULL && training->args->names != NULL)
        return MB_OK;
    char *folder = given != NULL ? strdup(given) : mb_training_default_directory(model->run.model);
    if (folder == NULL)
        return mb_error_memory("a path", 0);
    mb_status_t status = set_directory(training, model, folder);
    free(folder);
    return status;
}

/* What each would take alone is shared out among all. */
static mb_status_t share_image_cache(training_t *training, model_t *model)
{
    char text[NAME_TEXT];
    int64_t bytes = mb_host_memory() / 8 / mb_comm_local_size(model->run.comm) / training->n;
    snprintf(text, sizeof text, "%" PRId64, bytes);
    return set(model, MB_SET_IMAGE_CACHE, text, MB_FROM_DEFAULT);
}

static mb_status_t prepare(training_t *training, int at)
{
    static const mb_setting_id_t recorded[] = {MB_SET_SEED, MB_SET_RUN};
    const mb_args_t *args = training->args;
    model_t *model = &training->model[at];
    bool listed = args->names != NULL;
    model->run.model = args->words[listed ? at : 0];
    model->run.name = listed ? args->names[at] : model->name;
    MB_TRY(mb_settings_copy(args->settings, &model->settings));
    model->run.settings = model->settings;
    if (!listed) {
        MB_TRY(mb_recorded_take(model->run.model, model->settings, recorded,
                                sizeof recorded / sizeof recorded[0]));
        MB_TRY(set_seed(model, at));
    }
    MB_TRY(choose_directory(training, model));
    return share_image_cache(training, model);
}

/* ---- */

static void join(training_t *training, int at)
{
    const mb_args_t *args = training->args;
    bool quiet = mb_args_has(args, "quiet");
    model_t *model = &training->model[at];
    mb_member_t *member = &training->all.member[at];
    model->member = member;
    model->run.comm = member->comm;
    model->run.log = &member->log;
    model->run.stop = stop;
    model->run.user = model;
    model->run.started = training->started;
    model->run.saving = training->all.n;
    member->work = work;
    member->ended = ended;
    member->user = model;
    member->progress = &model->run.progress;
    member->log.least = quiet ? MB_LOG_WARNING : MB_LOG_INFO;
    mb_comm_add_progress(member->comm, say_where, training);
}

static mb_status_t check_output(const mb_args_t *args)
{
    if (!mb_args_has(args, "output"))
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "-o names one file, and several models are trained: each one's final.h5 is "
                        "in its run directory, and mbrun convert writes other forms of it");
}

static mb_status_t prepare_all(training_t *training)
{
    const mb_args_t *args = training->args;
    mb_status_t status = check_output(args);
    for (int i = 0; i < training->n; i++)
        join(training, i);
    for (int i = 0; i < training->n && status == MB_OK; i++) {
        model_t *model = &training->model[i];
        status = prepare(training, i);
        training->all.member[i].name = model->run.name;
        mb_progress_begin(&model->run.progress, model->run.name, mb_args_has(args, "json"),
                          mb_args_has(args, "quiet"));
    }
    return mb_comm_agree(training->all.job.comm, status);
}

static void set_up_and_run(training_t *training)
{
    for (int i = 0; i < training->n; i++) {
        model_t *model = &training->model[i];
        mb_status_t status = mb_cli_run_set_up(&model->run, training->args);
        if (status == MB_OK)
            continue;
        mb_member_fail(model->member, status);
        for (int told = 0; told <= i; told++)
            mb_cli_run_say_end(&training->model[told].run, status);
        return;
    }
    mb_several_run(&training->all);
}

static int end(training_t *training, mb_status_t status)
{
    for (int i = 0; i < training->n; i++) {
        mb_training_destroy(training->model[i].run.trainer);
        mb_settings_destroy(training->model[i].settings);
        mb_comm_remove_progress(training->all.member[i].comm, training);
    }
    free(training->model);
    return mb_several_end(&training->all, status);
}

int mb_train_several(const mb_args_t *args)
{
    training_t training = {.args = args, .started = mb_time_seconds()};
    int n = args->ensemble > 0 ? args->ensemble : args->n_words, code;
    if (!mb_several_start(&training.all, args, n, &code))
        return code;
    mb_signals_install(training.all.job.rank);
    training.model = calloc((size_t)n, sizeof *training.model);
    mb_status_t status = training.model == NULL ? mb_error_memory("several models", 0) : MB_OK;
    status = mb_comm_agree(training.all.job.comm, status);
    if (status == MB_OK) {
        training.n = n;
        status = prepare_all(&training);
    }
    if (status == MB_OK)
        set_up_and_run(&training);
    else
        mb_job_report(&training.all.job, status);
    return end(&training, status);
}
