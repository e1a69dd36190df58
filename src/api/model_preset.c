/* Model files made from presets. */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "model/preset.h"
#include "train/fresh.h"

enum { MAX_PAIRS = 32 };

typedef struct {
    uint64_t seed;
    int count;
    const char *pairs[MAX_PAIRS][2];
} preset_words_t;

static mb_status_t take_seed(const char *text, uint64_t *seed)
{
    char *end;
    *seed = strtoull(text, &end, 10);
    if (*end == '\0' && end != text && text[0] != '-')
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "seed=%s: a whole number of at least 0 is wanted", text);
}

/* Cuts TEXT, which is changed, into pairs. */
static mb_status_t take_words(char *text, preset_words_t *words)
{
    char *rest = NULL;
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        char *equals = strchr(word, '=');
        if (equals == NULL || equals == word || equals[1] == '\0')
            return mb_error_set(MB_ERR_ARGUMENT,
                                "'%s' is no setting of a preset: key=value, with spaces between "
                                "settings",
                                word);
        *equals = '\0';
        if (strcmp(word, "seed") == 0) {
            MB_TRY(take_seed(equals + 1, &words->seed));
            continue;
        }
        if (words->count == MAX_PAIRS)
            return mb_error_set(MB_ERR_ARGUMENT, "more than %d settings of a preset", MAX_PAIRS);
        words->pairs[words->count][0] = word;
        words->pairs[words->count++][1] = equals + 1;
    }
    return MB_OK;
}

static mb_status_t write_preset(const char *preset, char *settings, const char *path)
{
    json_t *model = NULL, *training = NULL;
    preset_words_t words = {.seed = 0};
    MB_TRY(take_words(settings, &words));
    MB_TRY(mb_preset_create(preset, (const char *const(*)[2])words.pairs, words.count, &model,
                            &training));
    mb_status_t status = mb_fresh_write(model, training, words.seed, path, NULL);
    json_decref(model);
    json_decref(training);
    return status;
}

static mb_status_t check_and_write(const char *preset, const char *settings, const char *path,
                                   bool writes)
{
    MB_TRY(mb_api_need(preset, "mb_model_create_preset", "preset"));
    MB_TRY(mb_api_need(path, "mb_model_create_preset", "path"));
    char *copy = writes ? strdup(settings == NULL ? "" : settings) : NULL;
    if (writes && copy == NULL)
        return mb_error_memory("a preset's settings", strlen(settings));
    mb_status_t status = writes ? write_preset(preset, copy, path) : MB_OK;
    free(copy);
    return status;
}

mb_status_t mb_model_create_preset(mb_context_t *context, const char *preset, const char *settings,
                                   const char *path)
{
    bool writes = context == NULL || mb_comm_rank(context->comm) == 0;
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = check_and_write(preset, settings, path, writes);
    mb_api_leave(&kept);
    return context == NULL ? status : mb_comm_agree(context->comm, status);
}
