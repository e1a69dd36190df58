/* Strict reading of a JSON object: every key is obeyed, declared to be without effect, or refused.
 *
 * Open a reader over the object, take keys with typed calls, and finish: a key that nobody took is
 * refused by name, with the place. WHERE ("layer 'dense_1' (Dense)") starts every message.
 *
 *     mb_config_t c;
 *     mb_config_open(&c, object, "layer '%s' (Dense)", name);
 *     MB_TRY(mb_config_int(&c, "units", 1, INT64_MAX, &units));
 *     MB_TRY(mb_config_bool_or(&c, "use_bias", true, &use_bias));
 *     return mb_config_finish(&c);
 */
#ifndef MB_BASE_CONFIG_H
#define MB_BASE_CONFIG_H

#include <jansson.h>
#include "base/error.h"
#include "base/types.h"

#define MB_CONFIG_MAX_KEYS 96

typedef struct {
    const json_t *object;
    bool keras2; /* the object is in Keras 2's dialect */
    char where[192];
    int n_taken;
    const char *taken[MB_CONFIG_MAX_KEYS];
    /* Of each: the one value that is obeyed; "" where none changes anything; NULL: any. */
    const char *accepted[MB_CONFIG_MAX_KEYS];
} mb_config_t;

/* For lists of what is obeyed: from now on WATCHER sees each object whose keys have been taken
 * (NULL: no longer). Of the process, not of a thread. */
typedef void mb_config_watcher_t(void *user, const mb_config_t *config);
void mb_config_watch(mb_config_watcher_t *watcher, void *user);

/* Parses TEXT of LENGTH bytes strictly (no duplicates, nesting at most 200 deep: an absurdly deep
 * text is refused, not recursed into). WHAT names the source in the message, with line and column.
 * *out is a new reference; json_decref it. */
mb_status_t mb_json_parse(const char *text, size_t length, const char *what, json_t **out);

/* OBJECT must be a JSON object, otherwise MB_ERR_FORMAT. */
mb_status_t mb_config_open(mb_config_t *config, const json_t *object, const char *where, ...)
    MB_PRINTF(3, 4);

/* Takes a key and returns its value, NULL when absent. A JSON null is returned as json null. */
const json_t *mb_config_take(mb_config_t *config, const char *key);
/* True when the key is present and not null (does not take it). */
bool mb_config_has(const mb_config_t *config, const char *key);

/* Required keys. A missing key or a wrong type is MB_ERR_FORMAT, a value out of range
 * MB_ERR_ARGUMENT. Strings belong to the JSON. */
mb_status_t mb_config_int(mb_config_t *config, const char *key, int64_t low, int64_t high,
                          int64_t *out);
mb_status_t mb_config_real(mb_config_t *config, const char *key, double *out);
mb_status_t mb_config_string(mb_config_t *config, const char *key, const char **out);
mb_status_t mb_config_bool(mb_config_t *config, const char *key, bool *out);

/* Optional keys: absent or null gives OTHERWISE. */
mb_status_t mb_config_int_or(mb_config_t *config, const char *key, int64_t low, int64_t high,
                             int64_t otherwise, int64_t *out);
mb_status_t mb_config_real_or(mb_config_t *config, const char *key, double otherwise, double *out);
mb_status_t mb_config_string_or(mb_config_t *config, const char *key, const char *otherwise,
                                const char **out);
mb_status_t mb_config_bool_or(mb_config_t *config, const char *key, bool otherwise, bool *out);

/* One integer that stands for COUNT equal ones, or a list of COUNT integers (kernel_size ...). */
mb_status_t mb_config_ints(mb_config_t *config, const char *key, int count, int64_t low,
                           int64_t *out);

/* Keys whose value changes nothing in what is computed (name, registered_name ...). */
void mb_config_ignore(mb_config_t *config, const char *key);
/* Refuses the key unless it is absent, null, or equal to the JSON literal ACCEPTED ("false", "1.0",
 * "\"channels_last\""): the one value this build obeys. */
mb_status_t mb_config_only(mb_config_t *config, const char *key, const char *accepted);
/* Refuses any key not taken: MB_ERR_UNSUPPORTED, "WHERE: key 'x' is not known". */
mb_status_t mb_config_finish(mb_config_t *config);

/* Keras' serialized objects: {"module":..., "class_name": C, "config": {...}} or the short string
 * form "relu" (config NULL then). */
mb_status_t mb_config_object(const json_t *value, const char *where, const char **class_name,
                             const json_t **object_config);

#endif
