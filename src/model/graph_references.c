/* What one call takes: tensors and keyword arguments.
 *
 * Keras 2 writes a call as a list of [layer, call, output, {keyword arguments}], where a tensor
 * among the keyword arguments is [layer, call, output]. Keras 3 writes {"args": [...], "kwargs":
 * {...}} with objects of class __keras_tensor__ that hold the same three in "keras_history". */
#include "model/graph_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool is_history(const json_t *value, size_t least, size_t most)
{
    size_t size = json_array_size(value);
    return json_is_array(value) && size >= least && size <= most &&
           json_is_string(json_array_get(value, 0)) && json_is_integer(json_array_get(value, 1)) &&
           json_is_integer(json_array_get(value, 2));
}

static const char *object_class(const json_t *value)
{
    return json_string_value(json_object_get(value, "class_name"));
}

/* The [layer, call, output] behind one serialized tensor of either dialect; NULL if it is none. */
static const json_t *history_of(const json_t *value)
{
    if (json_is_array(value))
        return is_history(value, 3, 4) ? value : NULL;
    const char *class_name = object_class(value);
    if (class_name == NULL || strcmp(class_name, "__keras_tensor__") != 0)
        return NULL;
    const json_t *history = json_object_get(json_object_get(value, "config"), "keras_history");
    return is_history(history, 3, 3) ? history : NULL;
}

static mb_status_t add_reference(const json_t *history, const char *where, mb_references_t *out)
{
    if (out->n == MB_MAX_REFERENCES)
        return mb_error_set(MB_ERR_UNSUPPORTED, "%s: more than %d tensors", where,
                            MB_MAX_REFERENCES);
    mb_reference_t item = {.layer = json_string_value(json_array_get(history, 0)),
                           .call = json_integer_value(json_array_get(history, 1)),
                           .output = json_integer_value(json_array_get(history, 2))};
    if (item.call < 0 || item.call > MB_MAX_NODES || item.output < 0 || item.output > MB_MAX_NODES)
        return mb_error_set(MB_ERR_FORMAT,
                            "%s: [\"%s\", %" PRId64 ", %" PRId64
                            "] names no output of a layer's call",
                            where, item.layer, item.call, item.output);
    out->items[out->n++] = item;
    return MB_OK;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Keras flattens a dictionary in the order of its sorted keys. */
static mb_status_t flatten_object(const json_t *object, const char *where, mb_references_t *out)
{
    const char *keys[MB_MAX_REFERENCES];
    size_t count = json_object_size(object);
    if (count > MB_MAX_REFERENCES)
        return mb_error_set(MB_ERR_UNSUPPORTED, "%s: more than %d tensors", where,
                            MB_MAX_REFERENCES);
    size_t n = 0;
    json_t *items = (json_t *)(uintptr_t)object;
    for (void *at = json_object_iter(items); at != NULL; at = json_object_iter_next(items, at))
        keys[n++] = json_object_iter_key(at);
    qsort(keys, n, sizeof(keys[0]), compare_keys);
    for (size_t i = 0; i < n; i++)
        MB_TRY(mb_references_flatten(json_object_get(object, keys[i]), where, out));
    return MB_OK;
}

/* Recursion is bounded by the depth that mb_json_parse accepts. */
mb_status_t mb_references_flatten(const json_t *value, const char *where, mb_references_t *out)
{
    const json_t *history = history_of(value);
    if (history != NULL)
        return add_reference(history, where, out);
    const char *class_name = object_class(value);
    if (class_name != NULL && strcmp(class_name, "__tuple__") == 0)
        value = json_object_get(value, "items");
    else if (json_is_object(value) && class_name == NULL)
        return flatten_object(value, where, out);
    if (!json_is_array(value))
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: a tensor [layer, call, output] is wanted where a constant or "
                            "another object stands",
                            where);
    for (size_t i = 0; i < json_array_size(value); i++)
        MB_TRY(mb_references_flatten(json_array_get(value, i), where, out));
    return MB_OK;
}

static bool holds_tensor(const json_t *value)
{
    if (history_of(value) != NULL)
        return true;
    for (size_t i = 0; json_is_array(value) && i < json_array_size(value); i++) {
        if (holds_tensor(json_array_get(value, i)))
            return true;
    }
    return false;
}

/* The tensors of a call in the order of the class's arguments. */
typedef struct {
    const char *where;
    const char *const *names; /* ends with NULL */
    int n_names;
    mb_references_t first; /* the first argument may be a list */
    bool present[4];
    mb_references_t items[4]; /* the others, at their place */
    bool states;              /* the second may be a list too */
    bool takes_masks;         /* by name alone */
    bool masked[MB_MAX_INPUTS];
    mb_reference_t masks[MB_MAX_INPUTS];
    bool has_given; /* attention_mask */
    mb_reference_t given;
} mb_slots_t;

static const char *const attention_names[] = {"query", "value", "key", NULL};
static const char *const recurrent_names[] = {"sequences", "initial_state", NULL};
static const char *const other_names[] = {"inputs", NULL};

static mb_status_t put_slot(mb_slots_t *slots, int place, const json_t *value)
{
    if (place < slots->n_names && slots->present[place])
        return mb_error_set(MB_ERR_FORMAT, "%s: argument '%s' is given twice", slots->where,
                            slots->names[place]);
    if (place >= slots->n_names)
        return mb_error_set(MB_ERR_UNSUPPORTED, "%s: a tensor as argument %d; this build takes %d",
                            slots->where, place + 1, slots->n_names);
    slots->present[place] = true;
    if (place == 0)
        return mb_references_flatten(value, slots->where, &slots->first);
    mb_references_t one = {0};
    MB_TRY(mb_references_flatten(value, slots->where, &one));
    if (one.n != 1 && !slots->states)
        return mb_error_set(MB_ERR_FORMAT, "%s: argument '%s' must be one tensor", slots->where,
                            slots->names[place]);
    slots->items[place] = one;
    return MB_OK;
}

static int slot_named(const mb_slots_t *slots, const char *key)
{
    for (int i = 0; i < slots->n_names; i++) {
        if (strcmp(slots->names[i], key) == 0)
            return i;
    }
    return -1;
}

/* null, or a list or object of it: the mask of a call with several tensors. */
static bool says_nothing(const json_t *value)
{
    for (size_t i = 0; json_is_array(value) && i < json_array_size(value); i++) {
        if (!says_nothing(json_array_get(value, i)))
            return false;
    }
    json_t *items = (json_t *)(uintptr_t)value;
    for (void *at = json_object_iter(items); at != NULL; at = json_object_iter_next(items, at)) {
        if (!says_nothing(json_object_iter_value(at)))
            return false;
    }
    return json_is_null(value) || json_array_size(value) > 0 || json_object_size(value) > 0;
}

static mb_status_t take_mask(mb_slots_t *slots, size_t argument, const json_t *value)
{
    mb_references_t one = {0};
    if (json_is_null(value))
        return MB_OK;
    if (argument >= MB_MAX_INPUTS || history_of(value) == NULL)
        return mb_error_set(MB_ERR_UNSUPPORTED, "%s: a mask that is no tensor", slots->where);
    slots->masked[argument] = true;
    MB_TRY(add_reference(history_of(value), slots->where, &one));
    slots->masks[argument] = one.items[0];
    return MB_OK;
}

/* "mask": of the first argument, or of each in a list; "query_mask": of the argument "query". */
static mb_status_t take_masks(mb_slots_t *slots, const char *key, const json_t *value, bool *taken)
{
    mb_references_t one = {0};
    size_t length = strlen(key);
    *taken = slots->takes_masks && (history_of(value) != NULL || json_is_array(value));
    for (int i = 0; *taken && i < slots->n_names; i++) {
        const char *name = slots->names[i];
        if (strncmp(key, name, strlen(name)) == 0 && strcmp(key + strlen(name), "_mask") == 0)
            return take_mask(slots, (size_t)i, value);
    }
    if (*taken && strcmp(key, "mask") == 0 && history_of(value) != NULL)
        return take_mask(slots, 0, value);
    for (size_t i = 0; *taken && strcmp(key, "mask") == 0 && i < json_array_size(value); i++)
        MB_TRY(take_mask(slots, i, json_array_get(value, i)));
    *taken = *taken && length >= 4 && strcmp(key + length - 4, "mask") == 0;
    if (!*taken || strcmp(key, "attention_mask") != 0)
        return MB_OK;
    if (history_of(value) == NULL)
        return mb_error_set(MB_ERR_UNSUPPORTED, "%s: argument '%s' must be a tensor", slots->where,
                            key);
    slots->has_given = true;
    MB_TRY(add_reference(history_of(value), slots->where, &one));
    slots->given = one.items[0];
    return MB_OK;
}

/* Nulls say nothing; tensors find their place by name; the rest is the class's to read. */
static mb_status_t sort_kwargs(mb_slots_t *slots, const json_t *from, json_t *kwargs)
{
    json_t *items = (json_t *)(uintptr_t)from;
    for (void *at = json_object_iter(items); at != NULL; at = json_object_iter_next(items, at)) {
        const char *key = json_object_iter_key(at);
        json_t *value = json_object_iter_value(at);
        if (says_nothing(value))
            continue;
        int place = slot_named(slots, key);
        bool taken = false;
        if (place >= 0)
            MB_TRY(put_slot(slots, place, value));
        else
            MB_TRY(take_masks(slots, key, value, &taken));
        if (place >= 0 || taken)
            continue;
        if (holds_tensor(value))
            return mb_error_set(MB_ERR_UNSUPPORTED, "%s: a tensor as argument '%s'", slots->where,
                                key);
        else if (json_object_set(kwargs, key, value) != 0)
            return mb_error_memory("a call's arguments", 0);
    }
    return MB_OK;
}

/* Keras 3 records a Dropout's default, training=False, and hands every call of a functional model
 * the model's own `training` instead of what is recorded (operation_fn in models/functional.py). */
static mb_status_t read_keras3(const json_t *node, mb_slots_t *slots, json_t *kwargs)
{
    mb_config_t c;
    MB_TRY(mb_config_open(&c, node, "%s", slots->where));
    const json_t *args = mb_config_take(&c, "args");
    const json_t *named = mb_config_take(&c, "kwargs");
    MB_TRY(mb_config_finish(&c));
    if (args != NULL && !json_is_array(args))
        return mb_error_set(MB_ERR_FORMAT, "%s: 'args' must be a list", slots->where);
    for (size_t i = 0; i < json_array_size(args) && i < MB_MAX_REFERENCES; i++) {
        const json_t *value = json_array_get(args, i);
        if (!json_is_null(value))
            MB_TRY(put_slot(slots, (int)i, value));
    }
    MB_TRY(sort_kwargs(slots, named, kwargs));
    if (json_is_boolean(json_object_get(kwargs, "training")))
        json_object_del(kwargs, "training");
    return MB_OK;
}

/* The keyword arguments stand behind every tensor of the first argument, all alike. */
static const json_t *keras2_kwargs(const json_t *node)
{
    if (is_history(node, 3, 4))
        return json_array_get(node, 3);
    if (json_is_array(node))
        return keras2_kwargs(json_array_get(node, 0));
    void *at = json_object_iter((json_t *)(uintptr_t)node);
    return at == NULL ? NULL : keras2_kwargs(json_object_iter_value(at));
}

static mb_status_t read_keras2(const json_t *node, mb_slots_t *slots, json_t *kwargs)
{
    MB_TRY(put_slot(slots, 0, node));
    const json_t *named = keras2_kwargs(node);
    if (named != NULL && !json_is_object(named))
        return mb_error_set(MB_ERR_FORMAT, "%s: the keyword arguments must be an object",
                            slots->where);
    return sort_kwargs(slots, named, kwargs);
}

/* Behind the others. */
static void add_masks(const mb_slots_t *slots, mb_references_t *out)
{
    int arguments = out->n;
    for (int i = 0; i < arguments && i < MB_MAX_INPUTS; i++) {
        if (!slots->masked[i] || out->n == MB_MAX_REFERENCES)
            continue;
        out->masks[i] = out->n;
        out->items[out->n++] = slots->masks[i];
    }
    if (slots->has_given && out->n < MB_MAX_REFERENCES) {
        out->given = out->n;
        out->items[out->n++] = slots->given;
    }
    out->n_masks = out->n - arguments;
}

/* Puts the slots into one list without gaps. */
static mb_status_t close_slots(const mb_slots_t *slots, mb_references_t *out)
{
    *out = slots->first;
    bool gap = !slots->present[0];
    for (int i = 1; i < slots->n_names; i++) {
        if (slots->present[i] && (gap || out->n != i))
            return mb_error_set(MB_ERR_UNSUPPORTED, "%s: argument '%s' without '%s'", slots->where,
                                slots->names[i], slots->names[i - 1]);
        for (int k = 0; slots->present[i] && k < slots->items[i].n; k++) {
            if (out->n == MB_MAX_REFERENCES)
                return mb_error_set(MB_ERR_UNSUPPORTED, "%s: more than %d tensors", slots->where,
                                    MB_MAX_REFERENCES);
            out->items[out->n++] = slots->items[i].items[k];
        }
        gap = !slots->present[i];
    }
    if (out->n == 0)
        return mb_error_set(MB_ERR_FORMAT, "%s: called without a tensor", slots->where);
    add_masks(slots, out);
    if (out->n > MB_MAX_INPUTS)
        return mb_error_set(MB_ERR_UNSUPPORTED, "%s: called with %d tensors, at most %d are taken",
                            slots->where, out->n, MB_MAX_INPUTS);
    return MB_OK;
}

static bool takes_query(const char *class_name)
{
    return strcmp(class_name, "MultiHeadAttention") == 0 ||
           strcmp(class_name, "GroupedQueryAttention") == 0 ||
           strcmp(class_name, "GroupQueryAttention") == 0;
}

static bool heeds_masks(const mb_module_t *module)
{
    if (module->kind != MB_MODULE_LAYER)
        return module->kind == MB_MODULE_MODEL;
    return module->layer->class_->takes_masks == MB_TAKES_MASKS;
}

mb_status_t mb_references_of_call(const json_t *node, const mb_module_t *module, const char *where,
                                  mb_references_t *out, json_t *kwargs)
{
    bool is_layer = module->kind == MB_MODULE_LAYER;
    mb_slots_t slots = {.where = where,
                        .states = is_layer && module->layer->class_->takes_states,
                        .takes_masks = heeds_masks(module)};
    slots.names = takes_query(module->class_name) ? attention_names
                  : slots.states                  ? recurrent_names
                                                  : other_names;
    while (slots.names[slots.n_names] != NULL)
        slots.n_names++;
    if (json_is_object(node) && json_object_get(node, "args") != NULL)
        MB_TRY(read_keras3(node, &slots, kwargs));
    else
        MB_TRY(read_keras2(node, &slots, kwargs));
    return close_slots(&slots, out);
}
