/* Lists of vocabularies, and their form as text. */
#include "data/vocabulary.h"

#include "base/config.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

mb_status_t mb_vocabularies_take(mb_vocabularies_t *list, mb_vocabulary_t *vocabulary)
{
    mb_vocabulary_t **items = realloc(list->items, (size_t)(list->n + 1) * sizeof(*items));
    if (items == NULL) {
        mb_vocabulary_destroy(vocabulary);
        return mb_error_memory("a list of vocabularies", (size_t)list->n);
    }
    list->items = items;
    items[list->n++] = vocabulary;
    return MB_OK;
}

const mb_vocabulary_t *mb_vocabularies_find(const mb_vocabularies_t *list, const char *name)
{
    for (int i = 0; list != NULL && i < list->n; i++) {
        if (strcmp(list->items[i]->name, name) == 0)
            return list->items[i];
    }
    return NULL;
}

void mb_vocabularies_free(mb_vocabularies_t *list)
{
    for (int i = 0; i < list->n; i++)
        mb_vocabulary_destroy(list->items[i]);
    free(list->items);
    *list = (mb_vocabularies_t){NULL, 0};
}

static json_t *words_of(const mb_vocabulary_t *v)
{
    json_t *words = json_array();
    for (int64_t i = 0; i < v->n; i++)
        json_array_append_new(words, json_string_nocheck(v->words[i]));
    return words;
}

char *mb_vocabularies_text(const mb_vocabularies_t *list)
{
    json_t *object = json_object();
    for (int i = 0; i < list->n; i++)
        json_object_set_new(object, list->items[i]->name, words_of(list->items[i]));
    char *text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    return text;
}

static mb_status_t read_words(mb_vocabulary_t *v, const json_t *words, const char *where)
{
    size_t i;
    json_t *word;
    json_array_foreach(words, i, word)
    {
        if (!json_is_string(word))
            return mb_error_set(MB_ERR_FORMAT, "%s: the vocabulary of '%s' is damaged", where,
                                v->name);
        MB_TRY(mb_vocabulary_add(v, json_string_value(word), json_string_length(word)));
    }
    mb_vocabulary_sort(v);
    return MB_OK;
}

static mb_status_t read_all(json_t *object, const char *where, mb_vocabularies_t *out)
{
    const char *name;
    json_t *words;
    json_object_foreach(object, name, words)
    {
        mb_vocabulary_t *v;
        MB_TRY(mb_vocabulary_create(name, &v));
        MB_TRY(mb_vocabularies_take(out, v));
        MB_TRY(read_words(v, words, where));
    }
    return MB_OK;
}

mb_status_t mb_vocabularies_parse(const char *text, const char *where, mb_vocabularies_t *out)
{
    json_t *object = NULL;
    *out = (mb_vocabularies_t){NULL, 0};
    MB_TRY(mb_json_parse(text, strlen(text), where, &object));
    mb_status_t status = read_all(object, where, out);
    json_decref(object);
    if (status != MB_OK)
        mb_vocabularies_free(out);
    return status;
}
