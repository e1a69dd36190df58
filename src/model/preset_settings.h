/* What a preset was asked for: its keys with their defaults, and the values given. */
#ifndef MB_MODEL_PRESET_SETTINGS_H
#define MB_MODEL_PRESET_SETTINGS_H

#include "base/error.h"
#include "base/types.h"

#define MB_PRESET_MAX_KEYS 12
#define MB_PRESET_MAX_LIST 64
#define MB_PRESET_MAX_SIZE ((int64_t)1 << 31)

typedef struct {
    const char *preset;
    int count;
    char text[512]; /* the defaults, cut into keys and values */
    const char *keys[MB_PRESET_MAX_KEYS];
    const char *values[MB_PRESET_MAX_KEYS];
} mb_preset_settings_t;

/* DEFAULTS: "key=value key=value". */
mb_status_t mb_preset_settings_read(const char *preset, const char *defaults,
                                    const char *const (*given)[2], int n_given,
                                    mb_preset_settings_t *out);

/* KEY is one of the preset's. Integers are from LOW up; a list is cut at SEPARATOR and has at most
 * MB_PRESET_MAX_LIST of them ("none": 0). */
const char *mb_preset_text(const mb_preset_settings_t *settings, const char *key);
mb_status_t mb_preset_int(const mb_preset_settings_t *settings, const char *key, int64_t low,
                          int64_t *out);
mb_status_t mb_preset_list_of(const mb_preset_settings_t *settings, const char *key, char separator,
                              int *count, int64_t out[MB_PRESET_MAX_LIST]);
mb_status_t mb_preset_rate(const mb_preset_settings_t *settings, const char *key, double *out);
mb_status_t mb_preset_flag(const mb_preset_settings_t *settings, const char *key, bool *out);

/* One of the N words in KNOWN; *out starts as NULL. */
mb_status_t mb_preset_choice(const mb_preset_settings_t *settings, const char *key,
                             const char *const *known, size_t n, const char **out);

mb_status_t mb_preset_refuse(const mb_preset_settings_t *settings, const char *key,
                             const char *wanted);

#endif
