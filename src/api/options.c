/* See options.h. */
#include "api/options.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static mb_status_t refuse(const mb_api_options_t *options, const char *key,
                          const char *const *names, int n_names)
{
    const char *nearest = mb_str_nearest(key, names, (size_t)n_names);
    return mb_error_set(MB_ERR_ARGUMENT, "%s: there is no option '%s'%s%s%s", options->function,
                        key, nearest == NULL ? "" : ": do you mean '",
                        nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?");
}

mb_status_t mb_api_options_check(const mb_api_options_t *options, const char *const *names,
                                 int n_names)
{
    if (options->count < 0 || options->count > MB_API_MAX_OPTIONS)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: %d options; there are 0 to %d", options->function,
                            options->count, MB_API_MAX_OPTIONS);
    if (options->count > 0 && (options->keys == NULL || options->values == NULL))
        return mb_error_set(MB_ERR_ARGUMENT, "%s: keys or values are NULL", options->function);
    for (int i = 0; i < options->count; i++) {
        int k = 0;
        if (options->keys[i] == NULL || options->values[i] == NULL)
            return mb_error_set(MB_ERR_ARGUMENT, "%s: key or value %d is NULL", options->function,
                                i);
        while (k < n_names && strcmp(options->keys[i], names[k]) != 0)
            k++;
        if (k == n_names)
            return refuse(options, options->keys[i], names, n_names);
    }
    return MB_OK;
}

const char *mb_api_option(const mb_api_options_t *options, const char *key)
{
    const char *value = NULL;
    for (int i = 0; i < options->count; i++) {
        if (strcmp(options->keys[i], key) == 0)
            value = options->values[i];
    }
    return value;
}

mb_status_t mb_api_option_on(const mb_api_options_t *options, const char *key, bool *on)
{
    const char *value = mb_api_option(options, key);
    *on = value != NULL && strcmp(value, "yes") == 0;
    if (value == NULL || *on || strcmp(value, "no") == 0)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "%s: %s=%s: yes or no is wanted", options->function, key,
                        value);
}

mb_status_t mb_api_json(json_t *json, char **text)
{
    char *dumped = json == NULL ? NULL : json_dumps(json, JSON_REAL_PRECISION(17));
    json_decref(json);
    if (dumped == NULL)
        return mb_error_memory("a text", 0);
    *text = dumped;
    return MB_OK;
}

mb_status_t mb_text_free(char *text)
{
    free(text);
    return MB_OK;
}
