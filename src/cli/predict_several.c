/* mbrun predict --models: each model in its turn, into a file of its own. Where one fails the
 * others still write theirs. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/predict.h"
#include "cli/several.h"

enum { PATH_TEXT = 4096 };

typedef struct {
    mb_prediction_t one;
    char output[PATH_TEXT];
} model_t;

static mb_status_t work(void *user)
{
    return mb_prediction_run(&((model_t *)user)->one);
}

static mb_status_t choose_output(const mb_several_t *all, const mb_args_t *args, model_t *model)
{
    const char *folder = mb_args_flag(args, "output");
    if (folder == NULL)
        return mb_error_set(MB_ERR_ARGUMENT, "no folder for the outputs; use -o FOLDER");
    int length = snprintf(model->output, PATH_TEXT, "%s/%s.h5", folder, model->one.name);
    if (length >= PATH_TEXT)
        return mb_error_set(MB_ERR_ARGUMENT, "-o: the path %.64s... is too long", model->output);
    model->one.output = model->output;
    MB_TRY(mb_prediction_check(&model->one));
    return mb_several_folder(all, folder);
}

static mb_status_t prepare(mb_several_t *all, const mb_args_t *args, int at, model_t *model)
{
    mb_member_t *member = &all->member[at];
    model->one = (mb_prediction_t){.comm = member->comm,
                                   .args = args,
                                   .model = args->words[at],
                                   .name = args->names[at],
                                   .log = &member->log};
    member->name = args->names[at];
    member->work = work;
    member->user = model;
    MB_TRY(mb_settings_copy(args->settings, &model->one.settings));
    return choose_output(all, args, model);
}

int mb_predict_several(const mb_args_t *args)
{
    mb_several_t all;
    int n = args->n_words, code;
    if (!mb_several_start(&all, args, n, &code))
        return code;
    model_t *models = calloc((size_t)n, sizeof *models);
    mb_status_t status = models == NULL ? mb_error_memory("several models", 0) : MB_OK;
    for (int i = 0; i < n && status == MB_OK; i++)
        status = prepare(&all, args, i, &models[i]);
    status = mb_comm_agree(all.job.comm, status);
    if (status == MB_OK)
        mb_several_run(&all);
    else
        mb_job_report(&all.job, status);
    for (int i = 0; i < n && models != NULL; i++)
        mb_settings_destroy(models[i].one.settings);
    free(models);
    return mb_several_end(&all, status);
}
