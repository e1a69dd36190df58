/* "name:key=value,..." to a JSON object; see spec.h. */
#include "model/spec.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* ".5" and "1." are numbers to people, though not to JSON. */
static json_t *number_value(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    bool starts_like_one = text[0] != '\0' && strchr("+-.0123456789", text[0]) != NULL;
    return starts_like_one && *end == '\0' ? json_real(value) : NULL;
}

json_t *mb_spec_value(const char *text)
{
    if (strcmp(text, "yes") == 0)
        return json_true();
    if (strcmp(text, "no") == 0)
        return json_false();
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    if (value != NULL && (json_is_object(value) || json_is_array(value))) {
        json_decref(value);
        value = NULL;
    }
    if (value == NULL)
        value = number_value(text);
    return value != NULL ? value : json_string(text);
}

static mb_status_t add_pair(json_t *config, char *pair, const char *text, const char *where)
{
    char *equals = strchr(pair, '=');
    if (equals == NULL || equals == pair)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: '%s' in '%s' is not of the form key=value, as in name:key=value",
                            where, pair, text);
    *equals = '\0';
    if (json_object_get(config, pair) != NULL)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: key '%s' stands twice in '%s'", where, pair,
                            text);
    if (json_object_set_new(config, pair, mb_spec_value(equals + 1)) != 0)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: '%s' is not UTF-8 text", where, text);
    return MB_OK;
}

/* Cuts COPY, a writable copy of TEXT, at its colon and commas. */
static mb_status_t parse_copy(char *copy, const char *text, const char *where, json_t *config)
{
    char *colon = strchr(copy, ':');
    if (colon == NULL)
        return MB_OK;
    *colon = '\0';
    char *rest = NULL;
    for (char *pair = strtok_r(colon + 1, ",", &rest); pair != NULL;
         pair = strtok_r(NULL, ",", &rest))
        MB_TRY(add_pair(config, pair, text, where));
    return MB_OK;
}

mb_status_t mb_spec_parse(const char *text, const char *where, json_t **out)
{
    size_t bytes = strlen(text) + 1;
    char *copy = malloc(bytes);
    json_t *config = json_object();
    json_t *object = NULL;
    mb_status_t status = MB_OK;
    if (copy == NULL || config == NULL) {
        status = mb_error_memory(where, bytes);
        goto out;
    }
    memcpy(copy, text, bytes);
    MB_TRY_GOTO(parse_copy(copy, text, where, config), status, out);
    object = json_pack("{s:s, s:O}", "class_name", copy, "config", config);
    if (object == NULL)
        status = mb_error_set(MB_ERR_ARGUMENT, "%s: '%s' is not UTF-8 text", where, text);
    else
        *out = object;
out:
    json_decref(config);
    free(copy);
    return status;
}
