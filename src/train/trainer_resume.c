/* Going on with a run: which checkpoint, and what may not have changed since it was written. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/io.h"
#include "train/trainer_private.h"

#define LONGEST_WORDS 32768 /* an attribute holds 64 KiB */
#define FACT MB_RECORD_PREFIX

char *mb_training_default_directory(const char *model)
{
    static const char *const ends[] = {".h5", ".keras"};
    size_t length = strlen(model);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        size_t end = strlen(ends[i]);
        if (length > end && strcmp(model + length - end, ends[i]) == 0)
            length -= end;
    }
    char *path = malloc(length + sizeof ".run");
    if (path != NULL)
        snprintf(path, length + sizeof ".run", "%.*s.run", (int)length, model);
    return path;
}

/* With --restart, rank 0 takes the old run's files away before anything new is written. */
static mb_status_t forget(mb_training_t *trainer)
{
    static const char *const names[] = {"final.h5", "metrics.jsonl", "plan.json",
                                        MB_LOCAL_IDENTITY};
    if (mb_comm_rank(trainer->comm) != 0)
        return MB_OK;
    MB_TRY(mb_run_dir_prune(trainer->dir, 0, -1));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *path = mb_run_dir_file(trainer->dir, names[i]);
        if (path == NULL)
            return mb_error_memory("a path", 0);
        mb_status_t status = mb_io_remove(path);
        free(path);
        MB_TRY(status);
    }
    return MB_OK;
}

/* A final.h5 that is stored as something else than is asked for now is written anew. */
static bool is_wanted_final(const mb_training_t *trainer, const mb_model_file_t *file)
{
    mb_method_t method;
    bool small = mb_training_final_format(trainer, &method) != NULL;
    const char *wanted = mb_settings_text(trainer->settings, MB_SET_CHECKPOINT_DTYPE);
    if (trainer->settings->origin[MB_SET_CHECKPOINT_DTYPE] < MB_FROM_FILE)
        return true;
    return file->quantized == NULL ? !small : strcmp(file->quantized, wanted) == 0;
}

/* The step of a finished run's file; -1 without one. */
static int64_t final_step(mb_training_t *trainer, bool holds)
{
    mb_model_file_t *file = NULL;
    int64_t step = -1;
    char *path = holds ? mb_run_dir_file(trainer->dir, "final.h5") : NULL;
    if (path != NULL && mb_model_file_open(path, false, false, &file) == MB_OK)
        step = file->state.present && is_wanted_final(trainer, file) ? file->state.step : -1;
    mb_model_file_close(file);
    free(path);
    return step;
}

static mb_status_t open_checkpoint(mb_training_t *trainer, const char *path)
{
    MB_TRY(mb_model_file_open(path, true, false, &trainer->resume));
    if (!trainer->resume->state.present)
        return mb_error_set(MB_ERR_FORMAT,
                            "%s: has no /mbrun/state to go on from; move it away, or use --restart",
                            path);
    return MB_OK;
}

mb_status_t mb_training_open_directory(mb_training_t *trainer)
{
    char *path, *newest = NULL;
    bool final_holds = false;
    if (trainer->options.no_directory)
        return mb_training_refuse_local(trainer);
    if (mb_settings_has(trainer->settings, MB_SET_RUN))
        path = strdup(mb_settings_text(trainer->settings, MB_SET_RUN));
    else
        path = mb_training_default_directory(trainer->options.model);
    mb_status_t status = path == NULL ? mb_error_memory("a path", 0) : MB_OK;
    if (status == MB_OK)
        status = mb_run_dir_open(trainer->comm, path, &trainer->dir);
    free(path);
    MB_TRY(status);
    mb_run_dir_set_log(trainer->dir, trainer->options.log);
    if (trainer->options.restart)
        MB_TRY(mb_comm_agree(trainer->comm, forget(trainer)));
    MB_TRY(mb_training_open_local(trainer));
    MB_TRY(mb_run_dir_newest(trainer->dir, &newest, &final_holds));
    trainer->final_step = final_step(trainer, final_holds);
    if (newest != NULL)
        status = mb_comm_agree(trainer->comm, open_checkpoint(trainer, newest));
    free(newest);
    return status == MB_OK ? mb_training_take_local(trainer) : status;
}

static uint64_t model_hash(const mb_training_t *trainer)
{
    return mb_hash_name(trainer->model->file->model_config);
}

static mb_status_t record_fact(mb_training_t *trainer, const char *key, char *value)
{
    if (value == NULL)
        return mb_error_memory("a run's record", 0);
    trainer->record[trainer->n_record++] = (mb_setting_t){key, value};
    return MB_OK;
}

/* The chosen layout is recorded like a setting that was given. */
static mb_status_t record_choice(mb_training_t *trainer, mb_setting_id_t id, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    return mb_settings_set(trainer->settings, mb_setting_info(id)->key, text, MB_FROM_USER);
}

/* So that what the model is used on later gives the same integers to the same words. */
static mb_status_t record_words(mb_training_t *trainer)
{
    const mb_vocabularies_t *words = &trainer->data->words;
    if (words->n == 0)
        return MB_OK;
    char *text = mb_vocabularies_text(words);
    if (text == NULL)
        return mb_error_memory("a run's record", 0);
    bool fits = strlen(text) < LONGEST_WORDS;
    char *kept = fits ? mb_arena_strdup(trainer->arena, text) : NULL;
    free(text);
    if (fits)
        return record_fact(trainer, MB_MODEL_WORDS, kept);
    mb_training_note(trainer, "the words of the data are too many to be recorded in the run: make "
                              "data for eval and predict with mbrun data --like TRAINING.h5");
    return MB_OK;
}

mb_status_t mb_training_make_record(mb_training_t *trainer)
{
    mb_arena_t *arena = trainer->arena;
    MB_TRY(record_choice(trainer, MB_SET_MICRO_BATCH, trainer->layout.micro_batch));
    MB_TRY(record_choice(trainer, MB_SET_REPLICAS, trainer->layout.replicas));
    if (trainer->model->graph->keeps_states)
        MB_TRY(record_choice(trainer, MB_SET_BATCH, trainer->layout.batch));
    trainer->record = MB_ARENA_ARRAY(arena, mb_setting_t, MB_SET_COUNT + 8);
    if (trainer->record == NULL)
        return mb_error_memory("a run's record", 0);
    for (int id = 0; id < MB_SET_COUNT; id++) {
        const mb_setting_info_t *info = mb_setting_info((mb_setting_id_t)id);
        const char *value = mb_settings_text(trainer->settings, (mb_setting_id_t)id);
        if (info->fixed && value != NULL)
            MB_TRY(record_fact(trainer, info->key, mb_arena_strdup(arena, value)));
    }
    MB_TRY(record_fact(trainer, FACT "data_digest",
                       mb_arena_format(arena, "%016" PRIx64, trainer->data->digest)));
    MB_TRY(record_fact(trainer, FACT "data_samples",
                       mb_arena_format(arena, "%" PRId64, trainer->data->samples)));
    MB_TRY(record_words(trainer));
    MB_TRY(record_fact(trainer, FACT "model",
                       mb_arena_format(arena, "%016" PRIx64, model_hash(trainer))));
    MB_TRY(record_fact(trainer, FACT "bits", mb_arena_strdup(arena, trainer->machine->signature)));
    return record_fact(trainer, FACT "device",
                       mb_arena_strdup(arena, trainer->machine->description));
}

static mb_status_t refuse(const mb_training_t *trainer, const char *what, const char *was,
                          const char *is)
{
    return mb_error_set(
        MB_ERR_ARGUMENT,
        "the run in %s was begun with %s %s, and this start says %s: go on with the "
        "same, or use --run NEW for another run, or --restart to begin again",
        mb_run_dir_path(trainer->dir), what, was, is);
}

static mb_status_t check_fact(const mb_training_t *trainer, const char *key, const char *what)
{
    const char *was = mb_model_file_setting(trainer->resume, key);
    for (int i = 0; i < trainer->n_record && was != NULL; i++) {
        if (strcmp(trainer->record[i].key, key) == 0 && strcmp(trainer->record[i].value, was) != 0)
            return refuse(trainer, what, was, trainer->record[i].value);
    }
    return MB_OK;
}

/* Another processor or build is no reason not to go on. */
static void tell_bits(mb_training_t *trainer)
{
    char before[MB_SIGNATURE_TEXT], now[MB_SIGNATURE_TEXT];
    const char *was = mb_model_file_setting(trainer->resume, FACT "bits");
    if (was == NULL || strcmp(was, trainer->machine->signature) == 0)
        return;
    mb_signature_unlike(was, trainer->machine->signature, before, sizeof before);
    mb_signature_unlike(trainer->machine->signature, was, now, sizeof now);
    mb_training_note(trainer,
                     "so far the run computed with \"%s\", from here on with \"%s\": it goes on, "
                     "but the last bits may differ from those of a run on one of them alone",
                     before, now);
}

mb_status_t mb_training_check_record(mb_training_t *trainer)
{
    if (trainer->resume == NULL)
        return MB_OK;
    tell_bits(trainer);
    MB_TRY(check_fact(trainer, FACT "model", "the model (config hash)"));
    MB_TRY(check_fact(trainer, FACT "data_samples", "this number of samples:"));
    return check_fact(trainer, FACT "data_digest", "the data (digest)");
}

/* Whether a user's text says the same as the recorded one: 0.10 and 0.1 do. */
static bool same_value(const char *a, const char *b)
{
    char *end_a, *end_b;
    double x = strtod(a, &end_a), y = strtod(b, &end_b);
    bool numbers = end_a != a && end_b != b && *end_a == '\0' && *end_b == '\0';
    return strcmp(a, b) == 0 || (numbers && x == y);
}

/* What the first start left to Keras' configuration must not be given later either. */
static mb_status_t check_additions(const mb_training_t *trainer)
{
    for (int id = 0; trainer->resume != NULL && id < MB_SET_COUNT; id++) {
        const mb_setting_info_t *info = mb_setting_info((mb_setting_id_t)id);
        const char *value = mb_settings_text(trainer->settings, (mb_setting_id_t)id);
        bool given = value != NULL && trainer->settings->origin[id] >= MB_FROM_FILE;
        bool recorded = mb_model_file_setting(trainer->resume, info->key) != NULL;
        if (info->fixed && given && !recorded && id != MB_SET_DATA)
            return refuse(trainer, "no", info->key, value);
    }
    return MB_OK;
}

mb_status_t mb_training_take_record(mb_training_t *trainer)
{
    MB_TRY(check_additions(trainer));
    for (int i = 0; trainer->resume != NULL && i < trainer->resume->n_settings; i++) {
        const mb_setting_t *was = &trainer->resume->settings[i];
        int id = mb_setting_find(was->key, NULL);
        if (id < 0 || !mb_setting_info((mb_setting_id_t)id)->fixed)
            continue;
        const char *value = mb_settings_text(trainer->settings, (mb_setting_id_t)id);
        bool given = value != NULL && trainer->settings->origin[id] >= MB_FROM_FILE;
        if (given && id != MB_SET_DATA && !same_value(value, was->value))
            return refuse(trainer, was->key, was->value, value);
        if (!given)
            MB_TRY(mb_settings_set(trainer->settings, was->key, was->value, MB_FROM_USER));
    }
    return MB_OK;
}
