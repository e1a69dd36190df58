/* A model as a file. */
#include <stdlib.h>

#include "api/model_own.h"
#include "train/fresh.h"

static char *dump(const json_t *json)
{
    return json == NULL ? NULL : json_dumps(json, JSON_REAL_PRECISION(17));
}

static mb_status_t model_text(const mb_model_t *model, char **out)
{
    json_t *config = NULL;
    MB_TRY(mb_draft_config(model->own->draft, &config));
    *out = dump(config);
    json_decref(config);
    return *out == NULL ? mb_error_memory("a model's config", 0) : MB_OK;
}

static bool is_compiled_anew(const mb_model_own_t *own)
{
    for (int i = 0; i < MB_COMPILE_COUNT; i++) {
        if (own->texts[i] != NULL)
            return true;
    }
    return false;
}

static mb_status_t training_text(const mb_model_t *model, const mb_graph_t *graph, char **out)
{
    json_t *training = NULL;
    MB_TRY(mb_compile_texts((const char *const *)model->own->texts, model->training, graph,
                            mb_api_model_name(model), &training));
    *out = dump(training);
    bool lost = training != NULL && *out == NULL;
    json_decref(training);
    return lost ? mb_error_memory("a training_config", 0) : MB_OK;
}

/* What a file says of its model stays word for word where nothing was set. */
static mb_status_t write_file(const mb_model_t *model, const char *path)
{
    char *own_model = NULL, *own_training = NULL;
    const mb_model_file_t *file = model->file;
    bool anew = file == NULL || is_compiled_anew(model->own);
    mb_api_weights_t weights;
    MB_TRY(mb_api_model_weights(model, &weights));
    mb_status_t status = file == NULL ? model_text(model, &own_model) : MB_OK;
    if (status == MB_OK && anew)
        status = training_text(model, weights.graph, &own_training);
    mb_fresh_t fresh = {.graph = weights.graph,
                        .model = file == NULL ? own_model : file->model_config,
                        .training = anew ? own_training : file->training_config,
                        .n_settings = file == NULL ? 0 : file->n_settings,
                        .settings = file == NULL ? NULL : file->settings,
                        .values = mb_api_weight_values,
                        .user = &weights};
    if (status == MB_OK)
        status = mb_fresh_write_values(&fresh, path);
    free(own_model);
    free(own_training);
    return status;
}

static mb_status_t check_and_write(const mb_model_t *model, const char *path, bool writes)
{
    MB_TRY(mb_api_need(model, "mb_model_save", "model"));
    MB_TRY(mb_api_need(path, "mb_model_save", "path"));
    return writes ? write_file(model, path) : MB_OK;
}

mb_status_t mb_model_save(const mb_model_t *model, mb_context_t *context, const char *path)
{
    bool writes = context == NULL || mb_comm_rank(context->comm) == 0;
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = check_and_write(model, path, writes);
    mb_api_leave(&kept);
    return context == NULL ? status : mb_comm_agree(context->comm, status);
}
