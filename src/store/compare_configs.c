/* Two configurations, key by key. Lists of layers are matched by the layers' names, so that one
 * layer more is one difference and not one for each behind it. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/str.h"
#include "store/compare.h"

enum { LONGEST_VALUE = 200 };

static mb_status_t compare_values(mb_comparison_t *comparison, const char *place, const json_t *a,
                                  const json_t *b);

/* A value on one line, cut where it is long; NULL where there is none. */
static const char *text_of(mb_comparison_t *comparison, const json_t *value)
{
    char *whole = value == NULL ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    if (whole == NULL)
        return NULL;
    bool cut = strlen(whole) > LONGEST_VALUE;
    const char *text =
        mb_arena_format(comparison->arena, "%.*s%s", LONGEST_VALUE, whole, cut ? " ..." : "");
    free(whole);
    return text;
}

static mb_status_t note_values(mb_comparison_t *comparison, const char *place, const json_t *a,
                               const json_t *b)
{
    return mb_compare_note(comparison, MB_COMPARED_CONFIG, place, text_of(comparison, a),
                           text_of(comparison, b));
}

/* What names an entry of a list of layers; NULL: it is none. */
static const char *layer_name(const json_t *entry)
{
    const char *name = json_string_value(json_object_get(entry, "name"));
    if (name == NULL)
        name = json_string_value(json_object_get(json_object_get(entry, "config"), "name"));
    return json_object_get(entry, "class_name") == NULL ? NULL : name;
}

static bool is_layers(const json_t *list)
{
    size_t i;
    json_t *entry;
    json_array_foreach(list, i, entry)
    {
        if (layer_name(entry) == NULL)
            return false;
    }
    return json_array_size(list) > 0;
}

static const json_t *find_layer(const json_t *list, const char *name)
{
    size_t i;
    json_t *entry;
    json_array_foreach(list, i, entry)
    {
        if (strcmp(layer_name(entry), name) == 0)
            return entry;
    }
    return NULL;
}

/* "layer 'tower' (Functional) / layer 'dense' (Dense)" */
static const char *layer_place(mb_comparison_t *comparison, const char *place, const json_t *layer)
{
    const char *class_name = json_string_value(json_object_get(layer, "class_name"));
    const char *end = strrchr(place, ')');
    int outer = strstr(place, "layer '") == NULL || end == NULL ? 0 : (int)(end + 1 - place);
    return mb_arena_format(comparison->arena, "%.*s%slayer '%s' (%s)", outer, place,
                           outer > 0 ? " / " : "", layer_name(layer),
                           class_name == NULL ? "?" : class_name);
}

static mb_status_t compare_layers(mb_comparison_t *comparison, const char *place, const json_t *a,
                                  const json_t *b)
{
    size_t i;
    json_t *entry;
    json_array_foreach(a, i, entry)
    {
        const json_t *other = find_layer(b, layer_name(entry));
        const char *where = layer_place(comparison, place, entry);
        if (where == NULL)
            return mb_error_memory("a comparison", 0);
        if (other == NULL)
            MB_TRY(note_values(comparison, where, json_object_get(entry, "config"), NULL));
        else
            MB_TRY(compare_values(comparison, where, entry, other));
    }
    json_array_foreach(b, i, entry)
    {
        if (find_layer(a, layer_name(entry)) == NULL)
            MB_TRY(note_values(comparison, layer_place(comparison, place, entry), NULL,
                               json_object_get(entry, "config")));
    }
    return MB_OK;
}

/* The keys of a layer's config stand for themselves: "layer 'dense' (Dense): units". */
static const char *key_place(mb_comparison_t *comparison, const char *place, const char *key)
{
    size_t length = strlen(place);
    if (strcmp(key, "config") == 0)
        return place;
    return mb_arena_format(comparison->arena, "%s%s%s", place,
                           length > 0 && place[length - 1] == ')' ? ": " : ".", key);
}

static mb_status_t compare_key(mb_comparison_t *comparison, const char *place, const char *key,
                               const json_t *a, const json_t *b)
{
    const char *where = key_place(comparison, place, key);
    if (where == NULL)
        return mb_error_memory("a comparison", 0);
    return compare_values(comparison, where, a, b);
}

static mb_status_t compare_objects(mb_comparison_t *comparison, const char *place, json_t *a,
                                   json_t *b)
{
    const char *key;
    json_t *value;
    json_object_foreach(a, key, value)
    {
        MB_TRY(compare_key(comparison, place, key, value, json_object_get(b, key)));
    }
    json_object_foreach(b, key, value)
    {
        if (json_object_get(a, key) == NULL)
            MB_TRY(compare_key(comparison, place, key, NULL, value));
    }
    return MB_OK;
}

static mb_status_t compare_values(mb_comparison_t *comparison, const char *place, const json_t *a,
                                  const json_t *b)
{
    if (a == b || json_equal(a, b))
        return MB_OK;
    if (json_is_object(a) && json_is_object(b))
        return compare_objects(comparison, place, (json_t *)(uintptr_t)a, (json_t *)(uintptr_t)b);
    if (is_layers(a) && is_layers(b))
        return compare_layers(comparison, place, a, b);
    return note_values(comparison, place, a, b);
}

static mb_status_t parse(const char *text, const char *path, const char *what, json_t **out)
{
    char place[256];
    *out = NULL;
    if (text == NULL)
        return MB_OK;
    snprintf(place, sizeof place, "'%s': %s", path, what);
    return mb_json_parse(text, strlen(text), place, out);
}

static mb_status_t compare_texts(mb_comparison_t *comparison, const char *what,
                                 const mb_model_file_t *file_a, const char *a,
                                 const mb_model_file_t *file_b, const char *b)
{
    json_t *x = NULL, *y = NULL;
    if (a == b || (a != NULL && b != NULL && strcmp(a, b) == 0))
        return MB_OK;
    mb_status_t status = parse(a, file_a->path, what, &x);
    if (status == MB_OK)
        status = parse(b, file_b->path, what, &y);
    if (status == MB_OK)
        status = compare_values(comparison, what, x, y);
    json_decref(x);
    json_decref(y);
    return status;
}

mb_status_t mb_compare_configs(mb_comparison_t *comparison, const mb_model_file_t *a,
                               const mb_model_file_t *b)
{
    MB_TRY(compare_texts(comparison, "model_config", a, a->model_config, b, b->model_config));
    return compare_texts(comparison, "training_config", a, a->training_config, b,
                         b->training_config);
}
