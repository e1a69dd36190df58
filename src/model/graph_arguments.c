/* What an operation of keras.ops is called with: {"args": [...], "kwargs": {...}} with tensors and
 * constants mixed. Tensors become the call's inputs, in the order in which they stand there; in
 * their place the class finds {"input": i}. */
#include "model/graph_private.h"

#include <string.h>

#include "model/layers/operators.h"

typedef struct {
    const char *where;
    mb_references_t *references;
} arguments_t;

static mb_status_t translate(const arguments_t *arguments, const json_t *value, json_t **out);

static mb_status_t take_tensor(const arguments_t *arguments, const json_t *value, json_t **out)
{
    int place = arguments->references->n;
    MB_TRY(mb_references_flatten(value, arguments->where, arguments->references));
    if (arguments->references->n > MB_MAX_INPUTS)
        return mb_error_set(MB_ERR_UNSUPPORTED, "%s: called with more than %d tensors",
                            arguments->where, MB_MAX_INPUTS);
    *out = json_pack("{s:i}", MB_ARGUMENT_INPUT, place);
    return *out == NULL ? mb_error_memory("a call's arguments", 0) : MB_OK;
}

static mb_status_t translate_list(const arguments_t *arguments, const json_t *value, json_t **out)
{
    mb_status_t status = MB_OK;
    *out = json_array();
    for (size_t i = 0; status == MB_OK && i < json_array_size(value); i++) {
        json_t *item = NULL;
        status = translate(arguments, json_array_get(value, i), &item);
        if (status == MB_OK && json_array_append_new(*out, item) != 0)
            status = mb_error_memory("a call's arguments", 0);
    }
    return status;
}

/* Lists hold tensors too; other objects (a slice, a constant array) stay as they are. */
static mb_status_t translate(const arguments_t *arguments, const json_t *value, json_t **out)
{
    const char *class_name = json_string_value(json_object_get(value, "class_name"));
    if (class_name != NULL && strcmp(class_name, "__keras_tensor__") == 0)
        return take_tensor(arguments, value, out);
    if (class_name != NULL && strcmp(class_name, "__tuple__") == 0)
        value = json_object_get(value, "items");
    if (json_is_array(value))
        return translate_list(arguments, value, out);
    *out = json_deep_copy(value);
    return *out == NULL ? mb_error_memory("a call's arguments", 0) : MB_OK;
}

static mb_status_t put(const arguments_t *arguments, const char *key, const json_t *value,
                       json_t *kwargs)
{
    json_t *translated = NULL;
    mb_status_t status = translate(arguments, value, &translated);
    if (status != MB_OK) {
        json_decref(translated);
        return status;
    }
    return json_object_set_new(kwargs, key, translated) == 0
               ? MB_OK
               : mb_error_memory("a call's arguments", 0);
}

mb_status_t mb_arguments_of_call(const json_t *node, const char *where, mb_references_t *out,
                                 json_t *kwargs)
{
    arguments_t arguments = {where, out};
    json_t *named = json_object_get(node, "kwargs");
    *out = (mb_references_t){0};
    if (!json_is_array(json_object_get(node, "args")))
        return mb_error_set(MB_ERR_FORMAT, "%s: 'args' must be a list", where);
    MB_TRY(put(&arguments, MB_ARGUMENTS_KEY, json_object_get(node, "args"), kwargs));
    for (void *at = json_object_iter(named); at != NULL; at = json_object_iter_next(named, at)) {
        if (!json_is_null(json_object_iter_value(at)))
            MB_TRY(put(&arguments, json_object_iter_key(at), json_object_iter_value(at), kwargs));
    }
    if (out->n == 0)
        return mb_error_set(MB_ERR_FORMAT, "%s: called without a tensor", where);
    return MB_OK;
}
