/* Settings: see settings.h. Values stay text, checked when they are set; readers parse again. */
#include "train/settings.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "base/str.h"

static const mb_setting_info_t table[MB_SET_COUNT] = {
#define MB_SETTING_ROW(ID, key, kind, otherwise, fixed, argument, help)                            \
    {key, MB_KIND_##kind, otherwise, fixed, argument, help},
    MB_SETTING_LIST(MB_SETTING_ROW)
#undef MB_SETTING_ROW
};

const mb_setting_info_t *mb_setting_info(mb_setting_id_t id)
{
    return &table[id];
}

int mb_setting_find(const char *key, const char **nearest)
{
    const char *keys[MB_SET_COUNT];
    for (int i = 0; i < MB_SET_COUNT; i++) {
        keys[i] = table[i].key;
        if (strcmp(key, table[i].key) == 0)
            return i;
    }
    if (nearest != NULL)
        *nearest = mb_str_nearest(key, keys, MB_SET_COUNT);
    return -1;
}

static bool parse_count(const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    *out = value;
    return errno == 0 && end != text && *end == '\0' && value >= 1;
}

static bool parse_seed(const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 0);
    *out = value;
    return errno == 0 && end != text && *end == '\0' && strchr(text, '-') == NULL;
}

static bool parse_real(const char *text, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*out);
}

static bool parse_fraction(const char *text, double *out)
{
    char *end;
    *out = strtod(text, &end);
    if (end == text)
        return false;
    if (strcmp(end, "%") == 0)
        *out /= 100;
    else if (*end != '\0')
        return false;
    return *out >= 0 && *out < 1;
}

static bool parse_cadence(const char *text, mb_cadence_t *out)
{
    char *end;
    *out = (mb_cadence_t){0, 0, 0};
    if (strcmp(text, "never") == 0)
        return true;
    double value = strtod(text, &end);
    if (end == text || !(value > 0) || value > 1e15)
        return false;
    if (strcmp(end, "epoch") == 0 || strcmp(end, "epochs") == 0)
        out->epochs = (int64_t)value;
    else if (*end == '\0' || strcmp(end, "steps") == 0 || strcmp(end, "step") == 0)
        out->steps = (int64_t)value;
    else
        out->seconds = value * mb_duration_unit(end);
    return out->seconds > 0 || ((out->steps > 0 || out->epochs > 0) && value == floor(value));
}

static bool parse_seconds(const char *text, double *out)
{
    char *end;
    double value = strtod(text, &end);
    *out = value * (*end == '\0' ? 1 : mb_duration_unit(end));
    return end != text && *out > 0 && isfinite(*out);
}

static bool parse_shuffle(const char *text)
{
    int64_t block;
    if (strcmp(text, "full") == 0 || strcmp(text, "none") == 0)
        return true;
    return strncmp(text, "block:", 6) == 0 && parse_count(text + 6, &block);
}

static const char *accepted(mb_setting_kind_t kind, const char *value)
{
    int64_t count;
    uint64_t seed;
    double real;
    mb_cadence_t cadence;
    switch (kind) {
    case MB_KIND_TEXT:
        return value[0] != '\0' ? NULL : "a text that is not empty";
    case MB_KIND_COUNT:
        return parse_count(value, &count) ? NULL : "a whole number of at least 1";
    case MB_KIND_SEED:
        return parse_seed(value, &seed) ? NULL : "a whole number of at least 0";
    case MB_KIND_REAL:
        return parse_real(value, &real) ? NULL : "a number";
    case MB_KIND_FRACTION:
        return parse_fraction(value, &real) ? NULL : "a fraction from 0 to below 1, or 20%";
    case MB_KIND_CADENCE:
        return parse_cadence(value, &cadence) ? NULL : "500 (steps), 10min, 1epoch or never";
    case MB_KIND_SECONDS:
        return parse_seconds(value, &real) ? NULL : "a time: 90s, 5min, 2h";
    case MB_KIND_LIMIT:
        return mb_duration_parse(value, &real) ? NULL : "a time: 90s, 30min, 2h, 1-12:00:00";
    case MB_KIND_BYTES:
        return mb_str_parse_bytes(value, &real) ? NULL : "a size: 512MiB, 4GiB, 0";
    case MB_KIND_SWITCH:
        return strcmp(value, "yes") == 0 || strcmp(value, "no") == 0 ? NULL : "yes or no";
    case MB_KIND_SHUFFLE:
        return parse_shuffle(value) ? NULL : "full, none or block:K";
    }
    return "a known kind of value";
}

mb_status_t mb_settings_set(mb_settings_t *settings, const char *key, const char *value,
                            mb_setting_origin_t origin)
{
    const char *nearest = NULL;
    int id = mb_setting_find(key, &nearest);
    if (id < 0 && nearest != NULL)
        return mb_error_set(MB_ERR_ARGUMENT, "there is no setting '%s': do you mean '%s'?", key,
                            nearest);
    if (id < 0)
        return mb_error_set(MB_ERR_ARGUMENT, "there is no setting '%s'; see mbrun train --help",
                            key);
    const char *wanted = accepted(table[id].kind, value);
    if (wanted != NULL)
        return mb_error_set(MB_ERR_ARGUMENT, "setting '%s': '%s' is not %s", key, value, wanted);
    if (settings->value[id] != NULL && settings->origin[id] > origin)
        return MB_OK;
    char *copy = strdup(value);
    if (copy == NULL)
        return mb_error_memory("a setting", strlen(value));
    free(settings->value[id]);
    settings->value[id] = copy;
    settings->origin[id] = origin;
    return MB_OK;
}

mb_status_t mb_settings_create(mb_settings_t **out)
{
    mb_settings_t *settings = calloc(1, sizeof *settings);
    if (settings == NULL)
        return mb_error_memory("the settings", sizeof *settings);
    for (int i = 0; i < MB_SET_COUNT; i++) {
        mb_status_t status =
            table[i].otherwise == NULL
                ? MB_OK
                : mb_settings_set(settings, table[i].key, table[i].otherwise, MB_FROM_DEFAULT);
        if (status != MB_OK) {
            mb_settings_destroy(settings);
            return status;
        }
    }
    *out = settings;
    return MB_OK;
}

mb_status_t mb_settings_copy(const mb_settings_t *from, mb_settings_t **out)
{
    mb_settings_t *settings = calloc(1, sizeof *settings);
    if (settings == NULL)
        return mb_error_memory("the settings", sizeof *settings);
    for (int i = 0; i < MB_SET_COUNT; i++) {
        settings->origin[i] = from->origin[i];
        if (from->value[i] == NULL)
            continue;
        settings->value[i] = strdup(from->value[i]);
        if (settings->value[i] == NULL) {
            mb_settings_destroy(settings);
            return mb_error_memory("a setting", strlen(from->value[i]));
        }
    }
    *out = settings;
    return MB_OK;
}

void mb_settings_destroy(mb_settings_t *settings)
{
    if (settings == NULL)
        return;
    for (int i = 0; i < MB_SET_COUNT; i++)
        free(settings->value[i]);
    free(settings);
}

mb_status_t mb_settings_take_file(mb_settings_t *settings, const mb_model_file_t *file)
{
    for (int i = 0; i < file->n_settings; i++) {
        if (strncmp(file->settings[i].key, MB_RECORD_PREFIX, strlen(MB_RECORD_PREFIX)) == 0)
            continue;
        mb_status_t status =
            mb_settings_set(settings, file->settings[i].key, file->settings[i].value, MB_FROM_FILE);
        if (status != MB_OK)
            return mb_error_prefix(status, "%s, /mbrun/run: ", file->path);
    }
    return MB_OK;
}

bool mb_settings_has(const mb_settings_t *settings, mb_setting_id_t id)
{
    return settings->value[id] != NULL;
}

const char *mb_settings_text(const mb_settings_t *settings, mb_setting_id_t id)
{
    return settings->value[id];
}

int64_t mb_settings_int(const mb_settings_t *settings, mb_setting_id_t id)
{
    int64_t value = 0;
    if (settings->value[id] != NULL)
        parse_count(settings->value[id], &value);
    return value;
}

uint64_t mb_settings_seed(const mb_settings_t *settings, mb_setting_id_t id)
{
    uint64_t value = 0;
    if (settings->value[id] != NULL)
        parse_seed(settings->value[id], &value);
    return value;
}

double mb_settings_real(const mb_settings_t *settings, mb_setting_id_t id)
{
    double value = 0;
    const char *text = settings->value[id];
    if (text == NULL)
        return 0;
    if (table[id].kind == MB_KIND_FRACTION)
        parse_fraction(text, &value);
    else if (table[id].kind == MB_KIND_SECONDS)
        parse_seconds(text, &value);
    else if (table[id].kind == MB_KIND_LIMIT)
        mb_duration_parse(text, &value);
    else if (table[id].kind == MB_KIND_BYTES)
        mb_str_parse_bytes(text, &value);
    else
        parse_real(text, &value);
    return value;
}

mb_status_t mb_settings_weights(const mb_settings_t *settings, mb_weights_request_t *out)
{
    *out = (mb_weights_request_t){.path = mb_settings_text(settings, MB_SET_WEIGHTS),
                                  .skip_mismatch = mb_settings_on(settings, MB_SET_SKIP_MISMATCH)};
    bool told = mb_settings_has(settings, MB_SET_WEIGHTS_BY) || out->skip_mismatch;
    if (out->path == NULL && told)
        return mb_error_set(
            MB_ERR_ARGUMENT,
            "weights-by and skip-mismatch say how weights are loaded: use them with "
            "--weights FILE");
    return mb_weights_read_way(mb_settings_text(settings, MB_SET_WEIGHTS_BY), &out->by_name);
}

bool mb_settings_on(const mb_settings_t *settings, mb_setting_id_t id)
{
    return settings->value[id] != NULL && strcmp(settings->value[id], "yes") == 0;
}

mb_cadence_t mb_settings_cadence(const mb_settings_t *settings, mb_setting_id_t id)
{
    mb_cadence_t cadence = {0, 0, 0};
    if (settings->value[id] != NULL)
        parse_cadence(settings->value[id], &cadence);
    return cadence;
}

bool mb_settings_copy_state(const mb_settings_t *settings, bool in_limit)
{
    mb_cadence_t cadence = mb_settings_cadence(settings, MB_SET_CHECKPOINT_EVERY);
    if (in_limit && settings->origin[MB_SET_CHECKPOINT_MODE] == MB_FROM_DEFAULT)
        return false;
    if (strcmp(settings->value[MB_SET_IO], "mpi-io") == 0)
        return false;
    return strcmp(settings->value[MB_SET_CHECKPOINT_MODE], "async") == 0 &&
           (cadence.steps > 0 || cadence.epochs > 0 || cadence.seconds > 0);
}
