/* Keys and values of a preset; see preset_settings.h. */
#include "model/preset_settings.h"
#include "base/str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int find(const mb_preset_settings_t *settings, const char *key)
{
    for (int i = 0; i < settings->count; i++) {
        if (strcmp(settings->keys[i], key) == 0)
            return i;
    }
    return -1;
}

static mb_status_t cut_defaults(const char *defaults, mb_preset_settings_t *settings)
{
    char *rest = NULL;
    if (strlen(defaults) >= sizeof(settings->text))
        return mb_error_set(MB_ERR_INTERNAL, "preset %s: too many settings", settings->preset);
    memcpy(settings->text, defaults, strlen(defaults) + 1);
    for (char *pair = strtok_r(settings->text, " ", &rest); pair != NULL;
         pair = strtok_r(NULL, " ", &rest)) {
        char *equals = strchr(pair, '=');
        if (equals == NULL || settings->count == MB_PRESET_MAX_KEYS)
            return mb_error_set(MB_ERR_INTERNAL, "preset %s: '%s' is no setting", settings->preset,
                                pair);
        *equals = '\0';
        settings->keys[settings->count] = pair;
        settings->values[settings->count++] = equals + 1;
    }
    return MB_OK;
}

static mb_status_t unknown_key(const mb_preset_settings_t *settings, const char *key)
{
    const char *nearest = mb_str_nearest(key, settings->keys, (size_t)settings->count);
    if (nearest != NULL)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "preset %s has no setting '%s'; the nearest one is '%s'",
                            settings->preset, key, nearest);
    mb_str_t known = {0};
    for (int i = 0; i < settings->count; i++)
        mb_str_addf(&known, "%s%s", i == 0 ? "" : ", ", settings->keys[i]);
    mb_error_set(MB_ERR_ARGUMENT, "preset %s has no setting '%s'; it has %s", settings->preset, key,
                 known.text == NULL ? "" : known.text);
    mb_str_free(&known);
    return MB_ERR_ARGUMENT;
}

mb_status_t mb_preset_settings_read(const char *preset, const char *defaults,
                                    const char *const (*given)[2], int n_given,
                                    mb_preset_settings_t *out)
{
    *out = (mb_preset_settings_t){.preset = preset};
    MB_TRY(cut_defaults(defaults, out));
    for (int i = 0; i < n_given; i++) {
        int at = find(out, given[i][0]);
        if (at < 0)
            return unknown_key(out, given[i][0]);
        out->values[at] = given[i][1];
    }
    return MB_OK;
}

const char *mb_preset_text(const mb_preset_settings_t *settings, const char *key)
{
    return settings->values[find(settings, key)];
}

mb_status_t mb_preset_refuse(const mb_preset_settings_t *settings, const char *key,
                             const char *wanted)
{
    return mb_error_set(MB_ERR_ARGUMENT, "preset %s: %s=%s, but %s", settings->preset, key,
                        mb_preset_text(settings, key), wanted);
}

/* Reads one integer at *AT and moves past it. */
static bool scan_int(const char **at, int64_t low, int64_t *out)
{
    char *end;
    errno = 0;
    long long value = strtoll(*at, &end, 10);
    bool fits = end != *at && errno == 0 && value >= low && value <= MB_PRESET_MAX_SIZE;
    *at = end;
    *out = value;
    return fits;
}

mb_status_t mb_preset_int(const mb_preset_settings_t *settings, const char *key, int64_t low,
                          int64_t *out)
{
    const char *at = mb_preset_text(settings, key);
    if (scan_int(&at, low, out) && *at == '\0')
        return MB_OK;
    return mb_preset_refuse(settings, key,
                            low > 1 ? "a whole number above 1 is wanted"
                                    : "a whole number above 0 is wanted");
}

mb_status_t mb_preset_list_of(const mb_preset_settings_t *settings, const char *key, char separator,
                              int *count, int64_t out[MB_PRESET_MAX_LIST])
{
    const char *at = mb_preset_text(settings, key);
    *count = 0;
    if (strcmp(at, "none") == 0)
        return MB_OK;
    while (*count < MB_PRESET_MAX_LIST) {
        if (!scan_int(&at, 1, &out[*count]))
            break;
        (*count)++;
        if (*at == '\0')
            return MB_OK;
        if (*at != separator)
            break;
        at++;
    }
    return mb_preset_refuse(settings, key,
                            separator == 'x' ? "sizes above 0 are wanted, as in 28x28x1"
                                             : "whole numbers above 0 are wanted, as in 128,64");
}

mb_status_t mb_preset_rate(const mb_preset_settings_t *settings, const char *key, double *out)
{
    const char *text = mb_preset_text(settings, key);
    char *end;
    *out = strtod(text, &end);
    if (end != text && *end == '\0' && *out >= 0.0 && *out < 1.0)
        return MB_OK;
    return mb_preset_refuse(settings, key, "a number from 0 to below 1 is wanted");
}

mb_status_t mb_preset_flag(const mb_preset_settings_t *settings, const char *key, bool *out)
{
    const char *text = mb_preset_text(settings, key);
    *out = strcmp(text, "yes") == 0 || strcmp(text, "true") == 0;
    if (*out || strcmp(text, "no") == 0 || strcmp(text, "false") == 0)
        return MB_OK;
    return mb_preset_refuse(settings, key, "yes or no is wanted");
}

mb_status_t mb_preset_choice(const mb_preset_settings_t *settings, const char *key,
                             const char *const *known, size_t n, const char **out)
{
    const char *text = mb_preset_text(settings, key);
    mb_str_t wanted = {0};
    for (size_t i = 0; i < n; i++) {
        mb_str_addf(&wanted, "%s%s", i == 0 ? "it must be one of " : ", ", known[i]);
        if (strcmp(known[i], text) == 0)
            *out = known[i];
    }
    mb_status_t status = MB_OK;
    if (*out == NULL)
        status = mb_preset_refuse(settings, key, wanted.text == NULL ? "" : wanted.text);
    mb_str_free(&wanted);
    return status;
}
