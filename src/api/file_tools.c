/* Files made of files: averages, parts, other forms, other settings. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/options.h"
#include "engine/model_variables.h"
#include "store/average.h"
#include "store/edit.h"
#include "train/export.h"
#include "train/settings.h"

enum { MOST_FILES = 1024 };

/* ---- averages */

static mb_status_t average(int count, const char *const *paths, mb_model_file_t **files,
                           const char *output, mb_derived_t *derived)
{
    for (int i = 0; i < count; i++)
        MB_TRY(mb_model_file_open_arranged(paths[i], &files[i]));
    return mb_average((const mb_model_file_t *const *)files, count, output, derived);
}

static mb_status_t check_paths(int count, const char *const *paths)
{
    if (count < 1 || count > MOST_FILES)
        return mb_error_set(MB_ERR_ARGUMENT, "mb_checkpoint_average: %d files; there are 1 to %d",
                            count, MOST_FILES);
    for (int i = 0; i < count; i++) {
        if (paths[i] == NULL)
            return mb_error_set(MB_ERR_ARGUMENT, "mb_checkpoint_average: paths[%d] is NULL", i);
    }
    return MB_OK;
}

mb_status_t mb_checkpoint_average(int count, const char *const *paths, const char *output,
                                  int *weights)
{
    mb_derived_t derived;
    MB_NEED(paths);
    MB_NEED(output);
    MB_TRY(check_paths(count, paths));
    mb_model_file_t **files = calloc((size_t)count, sizeof *files);
    if (files == NULL)
        return mb_error_memory("a list of files", (size_t)count * sizeof *files);
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = average(count, paths, files, output, &derived);
    for (int i = 0; i < count; i++)
        mb_model_file_close(files[i]);
    free(files);
    mb_api_leave(&kept);
    if (status == MB_OK && weights != NULL)
        *weights = derived.weights;
    return status;
}

/* ---- parts */

typedef struct {
    int n_texts, n_only, n_except;
    char **texts; /* that the lists point into */
    const char **only, **except;
    mb_renaming_t *renamings;
    mb_format_t format;
    mb_derivation_t how;
} part_t;

static mb_status_t take_renaming(part_t *part, char *text)
{
    char *equals = strchr(text, '=');
    if (equals == NULL || equals == text || equals[1] == '\0' || equals[1] == '/')
        return mb_error_set(MB_ERR_ARGUMENT, "rename %s: FROM=TO is wanted, as in encoder=tower",
                            text);
    *equals = '\0';
    part->renamings[part->how.n_renamings++] = (mb_renaming_t){text, equals + 1};
    return MB_OK;
}

static mb_status_t take_format(part_t *part, const char *text)
{
    MB_TRY(mb_format_parse(text, &part->format));
    if (!mb_format_is_float(&part->format) || part->format.kept_bits > 0)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "dtype %s: fp32, bf16, fp16 and e3m4 are there; mbrun quantize, or a "
                            "quantizer, stores models in formats with scales",
                            text);
    part->how.format = &part->format;
    return MB_OK;
}

static mb_status_t take_part(part_t *part, const mb_api_options_t *options)
{
    for (int i = 0; i < options->count; i++) {
        const char *key = options->keys[i];
        char *text = strdup(options->values[i]);
        if (text == NULL)
            return mb_error_memory("an option", strlen(options->values[i]));
        part->texts[part->n_texts++] = text;
        if (strcmp(key, "only") == 0)
            part->only[part->how.n_only++] = text;
        else if (strcmp(key, "except") == 0)
            part->except[part->how.n_except++] = text;
        else if (strcmp(key, "rename") == 0)
            MB_TRY(take_renaming(part, text));
        else if (strcmp(key, "dtype") == 0)
            MB_TRY(take_format(part, text));
    }
    MB_TRY(mb_api_option_on(options, "moments", &part->how.moments));
    MB_TRY(mb_api_option_on(options, "weights", &part->how.weights));
    part->how.weights = part->how.weights || !part->how.moments;
    return MB_OK;
}

static mb_status_t allocate_part(part_t *part, int count)
{
    size_t n = (size_t)count + 1;
    part->texts = calloc(n, sizeof *part->texts);
    part->only = calloc(n, sizeof *part->only);
    part->except = calloc(n, sizeof *part->except);
    part->renamings = calloc(n, sizeof *part->renamings);
    if (part->texts == NULL || part->only == NULL || part->except == NULL ||
        part->renamings == NULL)
        return mb_error_memory("options", n * sizeof *part->renamings);
    part->how.only = part->only;
    part->how.except = part->except;
    part->how.renamings = part->renamings;
    return MB_OK;
}

static void free_part(part_t *part)
{
    for (int i = 0; i < part->n_texts; i++)
        free(part->texts[i]);
    free(part->texts);
    free(part->only);
    free(part->except);
    free(part->renamings);
}

static mb_status_t export_part(const char *path, part_t *part, const mb_api_options_t *options,
                               const char *output, mb_derived_t *derived)
{
    mb_model_file_t *file = NULL;
    MB_TRY(allocate_part(part, options->count));
    MB_TRY(take_part(part, options));
    MB_TRY(mb_model_file_open_arranged(path, &file));
    part->how.file = file;
    mb_status_t status = mb_derive(&part->how, output, derived);
    mb_model_file_close(file);
    return status;
}

mb_status_t mb_checkpoint_export(const char *path, int count, const char *const *keys,
                                 const char *const *values, const char *output, int *weights,
                                 int *moments, int *model)
{
    static const char *const names[] = {"weights", "moments", "only", "except", "rename", "dtype"};
    part_t part = {.n_texts = 0};
    mb_derived_t derived = {.weights = 0};
    mb_api_options_t options = {__func__, count, keys, values};
    MB_NEED(path);
    MB_NEED(output);
    MB_TRY(mb_api_options_check(&options, names, sizeof names / sizeof names[0]));
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = export_part(path, &part, &options, output, &derived);
    free_part(&part);
    mb_api_leave(&kept);
    MB_TRY(status);
    if (weights != NULL)
        *weights = derived.weights;
    if (moments != NULL)
        *moments = derived.moments;
    if (model != NULL)
        *model = derived.is_model;
    return MB_OK;
}

/* ---- other forms, other settings */

static mb_status_t convert(const char *path, const mb_api_options_t *options, const char *output)
{
    mb_weights_request_t weights;
    mb_settings_t *settings = NULL;
    MB_TRY(mb_settings_create(&settings));
    mb_status_t status = MB_OK;
    for (int i = 0; i < options->count && status == MB_OK; i++)
        status = mb_settings_set(settings, options->keys[i], options->values[i], MB_FROM_USER);
    if (status == MB_OK)
        status = mb_settings_weights(settings, &weights);
    if (status == MB_OK)
        status = mb_export(path, output, &weights, NULL);
    mb_settings_destroy(settings);
    return status;
}

mb_status_t mb_checkpoint_convert(const char *path, int count, const char *const *keys,
                                  const char *const *values, const char *output)
{
    static const char *const names[] = {"weights", "weights-by", "skip-mismatch"};
    mb_api_options_t options = {__func__, count, keys, values};
    MB_NEED(path);
    MB_NEED(output);
    MB_TRY(mb_api_options_check(&options, names, sizeof names / sizeof names[0]));
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = convert(path, &options, output);
    mb_api_leave(&kept);
    return status;
}

/* Values are checked as those of a run are. */
static mb_status_t check_settings(int count, const char *const *keys, const char *const *values)
{
    mb_settings_t *settings = NULL;
    if (count < 1 || count > MB_API_MAX_OPTIONS)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "mb_checkpoint_configure: %d settings; there are 1 to %d", count,
                            MB_API_MAX_OPTIONS);
    MB_TRY(mb_settings_create(&settings));
    mb_status_t status = MB_OK;
    for (int i = 0; i < count && status == MB_OK; i++) {
        status = mb_api_need(keys[i], "mb_checkpoint_configure", "a key");
        if (status == MB_OK && values[i] != NULL)
            status = mb_settings_set(settings, keys[i], values[i], MB_FROM_USER);
        else if (status == MB_OK && mb_setting_find(keys[i], NULL) < 0)
            status = mb_error_set(MB_ERR_ARGUMENT, "there is no setting '%s'", keys[i]);
        if (status == MB_OK && strcmp(keys[i], "deadline") == 0)
            status = mb_error_set(MB_ERR_ARGUMENT,
                                  "a deadline holds before the model file is read, so it cannot be "
                                  "recorded in it");
    }
    mb_settings_destroy(settings);
    return status;
}

static mb_status_t configure(const char *path, int count, const char *const *keys,
                             const char *const *values, const char *output)
{
    MB_TRY(check_settings(count, keys, values));
    mb_setting_t *settings = calloc((size_t)count, sizeof *settings);
    if (settings == NULL)
        return mb_error_memory("settings", (size_t)count * sizeof *settings);
    for (int i = 0; i < count; i++)
        settings[i] = (mb_setting_t){keys[i], values[i]};
    mb_status_t status = mb_export_settings(path, output, count, settings);
    free(settings);
    return status;
}

mb_status_t mb_checkpoint_configure(const char *path, int count, const char *const *keys,
                                    const char *const *values, const char *output)
{
    MB_NEED(path);
    MB_NEED(keys);
    MB_NEED(values);
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = configure(path, count, keys, values, output);
    mb_api_leave(&kept);
    return status;
}
