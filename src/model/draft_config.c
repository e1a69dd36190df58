/* A layer's config from what a program writes: JSON, or words "key=value". */
#include "model/draft_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "model/spec.h"

/* "3,3" is a list; what begins as JSON is JSON; the rest is as after the colon of an option. */
static mb_status_t read_value(const char *text, const char *where, json_t **out)
{
    if (strchr("[{\"", text[0]) != NULL && text[0] != '\0')
        return mb_json_parse(text, strlen(text), where, out);
    if (strchr(text, ',') == NULL) {
        *out = mb_spec_value(text);
        return MB_OK;
    }
    char *copy = strdup(text), *rest = NULL;
    json_t *list = json_array();
    for (char *item = copy == NULL ? NULL : strtok_r(copy, ",", &rest); item != NULL;
         item = strtok_r(NULL, ",", &rest))
        json_array_append_new(list, mb_spec_value(item));
    free(copy);
    *out = list;
    return MB_OK;
}

static mb_status_t refuse_word(const char *word, const char *where)
{
    return mb_error_set(MB_ERR_ARGUMENT,
                        "%s: '%s' is not of the form key=value; settings stand apart by spaces, or "
                        "the whole is a JSON object",
                        where, word);
}

static mb_status_t take_word(char *word, const char *where, json_t *config, json_t *kwargs)
{
    json_t *value = NULL;
    char *key = word, *equals = strchr(word, '=');
    json_t *to = config;
    if (equals == NULL || equals == word)
        return refuse_word(word, where);
    *equals = '\0';
    if (strncmp(key, "call.", 5) == 0) {
        key += 5;
        to = kwargs;
    }
    if (json_object_get(to, key) != NULL)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: '%s' stands twice", where, key);
    MB_TRY(read_value(equals + 1, where, &value));
    if (json_object_set_new(to, key, value) != 0)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: '%s' is not UTF-8 text", where, key);
    return MB_OK;
}

static mb_status_t take_words(const char *text, const char *where, json_t *config, json_t *kwargs)
{
    char *copy = strdup(text), *rest = NULL;
    mb_status_t status = copy == NULL ? mb_error_memory("a layer's settings", 0) : MB_OK;
    for (char *word = copy == NULL ? NULL : strtok_r(copy, " \t\n", &rest);
         word != NULL && status == MB_OK; word = strtok_r(NULL, " \t\n", &rest))
        status = take_word(word, where, config, kwargs);
    free(copy);
    return status;
}

static mb_status_t take_object(const json_t *object, const char *where, json_t *config,
                               json_t *kwargs)
{
    const char *key;
    json_t *value;
    json_t *call = json_object_get(object, "call");
    if (!json_is_object(object) || (call != NULL && !json_is_object(call)))
        return mb_error_set(MB_ERR_ARGUMENT, "%s: %s must be a JSON object", where,
                            call == NULL ? "the config" : "'call'");
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (value != call && json_object_set(config, key, value) != 0)
            return mb_error_memory("a layer's config", 0);
    }
    if (call != NULL && json_object_update(kwargs, call) != 0)
        return mb_error_memory("a call's arguments", 0);
    return MB_OK;
}

static mb_status_t take_text(const char *text, const char *where, json_t *config, json_t *kwargs)
{
    json_t *object = NULL;
    text += strspn(text, " \t\n");
    if (text[0] != '{')
        return take_words(text, where, config, kwargs);
    MB_TRY(mb_json_parse(text, strlen(text), where, &object));
    mb_status_t status = take_object(object, where, config, kwargs);
    json_decref(object);
    return status;
}

static mb_status_t check_name(const json_t *config, const char *name, const char *where)
{
    const char *found = json_string_value(json_object_get(config, "name"));
    if (found != NULL && strcmp(found, name) == 0)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "%s: its config gives it another name; leave the key 'name' out", where);
}

mb_status_t mb_draft_read_config(const char *text, const char *name, const char *model,
                                 json_t **config, json_t **kwargs)
{
    char where[192];
    snprintf(where, sizeof where, "model '%s': layer '%s'", model, name);
    json_t *own = json_pack("{s:s, s:b}", "name", name, "trainable", 1), *call = json_object();
    mb_status_t status = own == NULL || call == NULL
                             ? mb_error_set(MB_ERR_ARGUMENT, "%s: not UTF-8 text", where)
                             : MB_OK;
    if (status == MB_OK && text != NULL)
        status = take_text(text, where, own, call);
    if (status == MB_OK)
        status = check_name(own, name, where);
    if (status != MB_OK || json_object_size(call) == 0) {
        json_decref(call);
        call = NULL;
    }
    if (status != MB_OK) {
        json_decref(own);
        return status;
    }
    *config = own;
    *kwargs = call;
    return MB_OK;
}
